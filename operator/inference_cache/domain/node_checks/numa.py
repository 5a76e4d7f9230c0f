"""Whether one NUMA zone of a node has all GPUs and RDMA devices of a pod.

Judged by what zones have, not by what is free in them: free devices change with every pod. Devices of the shared plugin
carry no zone, so the kubelet never aligns them, and they are not looked for.
"""

from collections.abc import Iterable, Mapping
from typing import Final

from inference_cache.domain import names
from inference_cache.domain.node_evidence import NodeEvidence, Source, Zone
from inference_cache.domain.node_need import Need
from inference_cache.domain.reasons import Reason

from .finding import Finding, fault, gap

_MAX_ZONES: Final = 8


def check_gpu_zone(evidence: NodeEvidence, need: Need) -> Finding | None:
    """One zone must have the GPUs of a replica."""
    if not need.single_zone:
        return None
    return _check_zones(evidence, {names.GPU_RESOURCE: need.gpus})


def check_device_zone(evidence: NodeEvidence, need: Need) -> Finding | None:
    """One zone must have the GPUs and the devices of an RDMA pod."""
    rdma = need.rdma
    if not need.single_zone or rdma is None or rdma.resource_name is None or rdma.shared:
        return None
    return _check_zones(evidence, {names.GPU_RESOURCE: need.gpus, rdma.resource_name: rdma.count})


def _check_zones(evidence: NodeEvidence, wanted: dict[str, int]) -> Finding | None:
    zones = evidence.zones
    if not zones:
        return gap(Reason.NUMAUnknown, f"no {Source.NODE_TOPOLOGY} of the node")
    for resource in wanted:
        if not any(resource in _read(zone) for zone in zones):
            source = Source.NODE_TOPOLOGY
            return gap(Reason.NUMAUnknown, f"no zone with {resource} by {source}", source)
    if any(all(_read(zone).get(name, 0) >= count for name, count in wanted.items()) for zone in zones):
        return None
    asked = " and ".join(f"{count} {name}" for name, count in wanted.items())
    detail = f"{_describe(zones, wanted)} by {Source.NODE_TOPOLOGY}, {asked} wanted in one"
    return fault(Reason.NUMAAlignmentImpossible, detail, Source.NODE_TOPOLOGY)


def _read(zone: Zone) -> Mapping[str, int]:
    return zone.allocatable or zone.available


def _describe(zones: tuple[Zone, ...], resources: Iterable[str]) -> str:
    keys = list(resources)
    shown = [f"{zone.name} has {' and '.join(str(_read(zone).get(key, 0)) for key in keys)}" for zone in zones]
    more = len(shown) - _MAX_ZONES
    return ", ".join([*shown[:_MAX_ZONES], *([f"{more} more"] if more > 0 else [])])
