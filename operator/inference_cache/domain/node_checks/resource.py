"""RDMA devices that a node offers to pods: absent, none, too few, all taken, or another number than was made.

These are different faults. What keeps the device plugin from offering devices at all is judged first, by `driver` and
`sriov`; what is left without such a cause is named here.
"""

from collections.abc import Mapping
from typing import Final

from inference_cache.domain import names
from inference_cache.domain.node_evidence import NodeEvidence, Source
from inference_cache.domain.node_need import Need, RDMANeed
from inference_cache.domain.reasons import Reason

from .finding import Finding, fault, gap
from .nic import describe_ports

_EXCLUSIVE: Final = "exclusive"
_SHARED_PREFIX: Final = "rdma/"
_MAX_CAUSES: Final = 3


def count_devices(evidence: NodeEvidence, rdma: RDMANeed) -> int | None:
    """Return how many devices the node offers in all; None where it does not offer the resource."""
    if rdma.resource_name is not None:
        return evidence.facts.resources.get(rdma.resource_name)
    if not evidence.slices:
        return None
    return sum(item.rdma_devices for item in evidence.slices)


def lacks_devices(evidence: NodeEvidence, rdma: RDMANeed) -> bool:
    """Whether the node offers no device at all, so that it matters why."""
    return not count_devices(evidence, rdma)


def count_pods(evidence: NodeEvidence, need: Need, used: Mapping[str, int] | None = None) -> int:
    """Return how many RDMA pods fit on a node by GPUs and devices; with `used`, how many more."""
    rdma = need.rdma
    if rdma is None:
        return 0
    taken = used or {}
    gpus = (evidence.facts.gpus or 0) - taken.get(names.GPU_RESOURCE, 0)
    devices = (count_devices(evidence, rdma) or 0) - taken.get(rdma.resource_name or "", 0)
    return max(0, min(gpus // max(1, need.gpus), devices // max(1, rdma.count)))


def check_netns_mode(evidence: NodeEvidence, need: Need) -> Finding | None:
    """The shared device plugin ends at once where the RDMA subsystem is in exclusive mode."""
    rdma = need.rdma
    if rdma is None or not rdma.shared or not lacks_devices(evidence, rdma):
        return None
    told = [(evidence.report.rdma_netns_mode, Source.REPORT)] if evidence.report else []
    told += [(evidence.sriov.rdma_mode, Source.NODE_STATE)] if evidence.sriov else []
    mode, source = next(((mode, source) for mode, source in told if mode), ("", Source.REPORT))
    if mode != _EXCLUSIVE:
        return None
    return fault(Reason.RDMANetnsModeMismatch, f"mode {mode} by {source}", source)


def check_resource(evidence: NodeEvidence, need: Need) -> Finding | None:
    """The node must offer the devices of one pod."""
    rdma = need.rdma
    if rdma is None:
        return None
    found = count_devices(evidence, rdma)
    if rdma.resource_name is None:
        return _check_slices(found, rdma)
    if found is None:
        return _describe_absent(evidence, rdma.resource_name)
    if found == 0:
        return _describe_zero(evidence, rdma)
    if found >= rdma.count:
        return None
    detail = f"{found} {rdma.resource_name} by {Source.NODE}, {rdma.count} wanted"
    return fault(Reason.RDMAResourceTooFew, detail, Source.NODE)


def check_device_count(evidence: NodeEvidence, need: Need) -> Finding | None:
    """The device plugin must offer the virtual functions that the policy made.

    More than there are is always wrong: pods get devices that do not exist. Fewer is a fault where they limit the pods;
    a function that is unhealthy on a node that has enough of them is none. A policy names its resource without the prefix,
    so nothing is said where the functions may belong to another resource of that name.
    """
    rdma = need.rdma
    if rdma is None or rdma.resource_name is None or evidence.sriov is None:
        return None
    if rdma.shared or rdma.resource_name.startswith(_SHARED_PREFIX) or _list_namesakes(evidence, rdma.resource_name):
        return None
    made = evidence.sriov.functions.get(rdma.resource_name.rpartition("/")[2], 0)
    found = evidence.facts.resources.get(rdma.resource_name)
    if not made or found is None or found == made:
        return None
    by_gpus = (evidence.facts.gpus or 0) // max(1, need.gpus)
    if found < made and found // max(1, rdma.count) >= by_gpus:
        return None
    detail = f"{found} {rdma.resource_name} by {Source.NODE}, {made} virtual functions by {Source.NODE_STATE}"
    return fault(Reason.DevicePluginCountMismatch, detail, Source.NODE_STATE)


def note_exhausted(evidence: NodeEvidence, need: Need) -> Finding | None:
    """Devices may all be taken while GPUs are free. It never makes a node unfit: the pods that took them run there."""
    rdma = need.rdma
    if rdma is None or rdma.resource_name is None or lacks_devices(evidence, rdma):
        return None
    used = evidence.used.get(rdma.resource_name, 0)
    found = evidence.facts.resources.get(rdma.resource_name, 0)
    if found - used >= rdma.count:
        return None
    detail = f"{used} of {found} {rdma.resource_name} are taken by engine pods of this operator; others are not counted"
    return fault(Reason.RDMAResourceExhausted, detail, Source.NODE)


def _check_slices(found: int | None, rdma: RDMANeed) -> Finding | None:
    if found is None:
        return gap(Reason.DRANoMatchingDevices, f"no {Source.RESOURCE_SLICE} of the node offers network devices")
    if found >= rdma.count:
        return None
    detail = f"{found} RDMA devices by {Source.RESOURCE_SLICE}, {rdma.count} wanted"
    return fault(Reason.DRANoMatchingDevices, detail, Source.RESOURCE_SLICE)


def _list_namesakes(evidence: NodeEvidence, name: str) -> list[str]:
    """Return the other resources of the node that differ from a name in the prefix alone."""
    base = name.rpartition("/")[2]
    return sorted(other for other in evidence.facts.resources if other != name and other.rpartition("/")[2] == base)


def _describe_absent(evidence: NodeEvidence, name: str) -> Finding:
    others = _list_namesakes(evidence, name)
    hint = f", but {', '.join(others[:_MAX_CAUSES])}" if others else ""
    return fault(Reason.RDMAResourceNotAdvertised, f"no resource {name}{hint} by {Source.NODE}", Source.NODE)


def _describe_zero(evidence: NodeEvidence, rdma: RDMANeed) -> Finding:
    causes = describe_ports(evidence, rdma)
    base = (rdma.resource_name or "").rpartition("/")[2]
    if evidence.sriov is not None and not rdma.shared and not evidence.sriov.functions.get(base):
        causes.append(f"no virtual functions of {base} by {Source.NODE_STATE}")
    hint = f"; likely {'; '.join(causes[:_MAX_CAUSES])}" if causes else ""
    return fault(Reason.RDMAResourceZero, f"0 {rdma.resource_name} by {Source.NODE}{hint}", Source.NODE)
