"""The capability matrix as rows: what each node has, who says so, and how it stands towards a deployment."""

from collections.abc import Callable, Mapping
from typing import Any, Final

from inference_cache.api.quantities import GIB
from inference_cache.domain import names
from inference_cache.domain.node_checks import Finding
from inference_cache.domain.node_checks.adapters import list_adapters
from inference_cache.domain.node_evidence import NIC, NICSighting, NodeEvidence, Source
from inference_cache.domain.node_matrix import Judgement, format_taint
from inference_cache.domain.node_need import RDMANeed

from .evidence_reader import NodeReading

# Old and new GPU Feature Discovery.
_DRIVER_LABELS: Final = ("nvidia.com/cuda.driver-version.major", "nvidia.com/cuda.driver.major")
_FACTS: Final[Mapping[str, Callable[[NICSighting], Any]]] = {
    "model": lambda it: it.model,
    "vendor": lambda it: it.vendor,
    "deviceId": lambda it: it.device_id,
    "interface": lambda it: it.interface,
    "rdmaDevice": lambda it: it.rdma_device,
    "linkType": lambda it: it.link_type.value if it.link_type else None,
    "speedGbps": lambda it: it.speed_gbps,
    "linkUp": lambda it: it.link_up,
    "subnetManager": lambda it: it.subnet_manager,
    "firmware": lambda it: it.firmware,
    "dpuMode": lambda it: it.dpu_mode.value if it.dpu_mode else None,
    "virtual": lambda it: it.virtual,
    "numaNode": lambda it: it.numa_node,
    "mtu": lambda it: it.mtu,
    "totalVfs": lambda it: it.total_vfs,
    "currentVfs": lambda it: it.current_vfs,
    "guidsUnset": lambda it: it.guids_unset,
}

Row = dict[str, Any]


def build_row(
    evidence: NodeEvidence, reading: NodeReading, judged: Judgement | None = None, rdma: RDMANeed | None = None
) -> Row:
    """Return the row of a node; what is not known is None.

    Args:
        evidence: What is known of the node.
        reading: Which sources there are.
        judged: How it stands towards a deployment, where one is asked about.
        rdma: What RDMA pods of that deployment need.
    """
    node = evidence.facts
    row: Row = {
        "node": node.name,
        "ready": node.ready,
        "schedulable": not node.unschedulable,
        "gpuProduct": node.labels.get(names.GPU_PRODUCT_LABEL),
        "gpus": node.gpus,
        "gpuMemoryMiB": _read_number(node.labels.get("nvidia.com/gpu.memory")),
        "driverMajor": next((_read_number(node.labels[key]) for key in _DRIVER_LABELS if key in node.labels), None),
        "memoryGiB": node.memory // GIB,
        "hugePagesGiB": node.huge_pages // GIB,
        "kernel": node.kernel or None,
        "taints": [format_taint(taint) for taint in node.taints],
        "adapters": [_describe_adapter(nic) for nic in list_adapters(evidence)],
        "devices": _count_devices(evidence, reading, rdma),
        "dpus": [{"name": dpu.name, "phase": dpu.phase} for dpu in evidence.dpus],
        "sriov": _describe_sriov(evidence),
        "numaZones": _describe_zones(evidence),
        "report": _describe_report(evidence),
        "sources": {source.value: _tell_source(source, evidence, reading) for source in _OPTIONAL},
    }
    return row if judged is None else row | _describe_judgement(judged, rdma)


def _describe_judgement(judged: Judgement, rdma: RDMANeed | None) -> Row:
    return {
        "candidate": judged.candidate,
        "eligible": judged.eligible,
        "cause": judged.describe(),
        "violations": [reason.name for reason in judged.violations],
        "findings": [_describe_finding(finding) for finding in judged.findings],
        # With RDMA required, what is missing for it is among the findings.
        "rdma": None if rdma is None else judged.eligible and not judged.rdma_findings,
        "rdmaFindings": [_describe_finding(finding) for finding in judged.rdma_findings],
        "notes": [_describe_finding(finding) for finding in judged.notes],
    }


def _describe_finding(finding: Finding) -> dict[str, Any]:
    source = finding.source.value if finding.source else None
    return {
        "reason": finding.reason.name,
        "detail": finding.detail,
        "source": source,
        "state": "Unknown" if finding.unknown else "False",
    }


def _describe_adapter(nic: NIC) -> dict[str, Any]:
    """Return an adapter's facts, each with the source that told it."""
    told = {name: nic.find(read) for name, read in _FACTS.items()}
    return {
        "pci": nic.sightings[0].pci or None,
        **{name: found[0] if found else None for name, found in told.items()},
        "toldBy": {name: found[1].value for name, found in told.items() if found},
    }


def _count_devices(evidence: NodeEvidence, reading: NodeReading, rdma: RDMANeed | None) -> list[dict[str, Any]]:
    """Return the extended resources of a node; the one that a deployment needs also where the node has none of it."""
    resources: dict[str, int | None] = dict(sorted(evidence.facts.resources.items()))
    if rdma is not None and rdma.resource_name is not None:
        resources.setdefault(rdma.resource_name, None)
    found: list[dict[str, Any]] = []
    for name, count in resources.items():
        used = evidence.used.get(name, 0) if reading.used_known else None
        found.append({"resource": name, "allocatable": count, "usedByEnginePods": used})
    found += [
        {"driver": item.driver, "allocatable": item.rdma_devices, "usedByEnginePods": None} for item in evidence.slices
    ]
    return found


def _describe_sriov(evidence: NodeEvidence) -> dict[str, Any] | None:
    state = evidence.sriov
    if state is None:
        return None
    return {
        "syncStatus": state.sync_status or None,
        "lastSyncError": state.last_error or None,
        "desiredState": state.desired or None,
        "currentState": state.current or None,
        "rdmaMode": state.rdma_mode or None,
        "virtualFunctions": dict(state.functions),
    }


def _describe_zones(evidence: NodeEvidence) -> list[dict[str, Any]] | None:
    if evidence.zones is None:
        return None
    return [
        {"name": zone.name, "allocatable": dict(zone.allocatable), "available": dict(zone.available)}
        for zone in evidence.zones
    ]


def _describe_report(evidence: NodeEvidence) -> dict[str, Any] | None:
    report = evidence.report
    if report is None:
        return {"stale": True} if evidence.report_stale else None
    return {
        "stale": False,
        "kernel": report.kernel or None,
        "modules": sorted(report.modules),
        "rdmaNetnsMode": report.rdma_netns_mode or None,
        "memlockHard": report.memlock_hard,
        "hugePages": report.huge_pages_total,
        "numaNodes": report.numa_nodes,
    }


_OPTIONAL: Final[Mapping[Source, Callable[[NodeEvidence], bool]]] = {
    Source.REPORT: lambda it: it.report is not None,
    Source.NIC_DEVICE: lambda it: _sees(it, Source.NIC_DEVICE),
    Source.NODE_STATE: lambda it: it.sriov is not None or _sees(it, Source.NODE_STATE),
    Source.RESOURCE_SLICE: lambda it: bool(it.slices) or _sees(it, Source.RESOURCE_SLICE),
    Source.DPU: lambda it: bool(it.dpus),
    Source.NODE_TOPOLOGY: lambda it: it.zones is not None,
}


def _tell_source(source: Source, evidence: NodeEvidence, reading: NodeReading) -> str:
    """Return what a source does for a node: Tells, Silent, Stale, NotServed or NotReadable."""
    if source in reading.absent:
        return "NotServed"
    if source in reading.sources.unreadable:
        return "NotReadable"
    if source is Source.REPORT and evidence.report_stale:
        return "Stale"
    return "Tells" if _OPTIONAL[source](evidence) else "Silent"


def _sees(evidence: NodeEvidence, source: Source) -> bool:
    return any(sighting.source is source for nic in evidence.nics for sighting in nic.sightings)


def _read_number(text: str | None) -> int | None:
    return int(text) if text is not None and text.isdecimal() else None
