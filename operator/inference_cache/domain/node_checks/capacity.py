"""CPU, memory and huge pages of a node: what one replica requests, and what the spec asks for beyond that."""

from inference_cache.api.quantities import GIB
from inference_cache.domain.node_evidence import NodeEvidence, Source
from inference_cache.domain.node_need import Need
from inference_cache.domain.reasons import Reason

from .finding import Finding, fault


def check_cpus(evidence: NodeEvidence, need: Need) -> Finding | None:
    """The node must have the CPUs of one replica."""
    found = evidence.facts.milli_cpus
    if found >= need.pod_milli_cpus:
        return None
    detail = f"{found / 1000:g} by {Source.NODE}, {need.pod_milli_cpus / 1000:g} wanted"
    return fault(Reason.CPUsTooFew, detail, Source.NODE)


def check_huge_pages(evidence: NodeEvidence, need: Need) -> Finding | None:
    """The node must have the huge pages of one memory tier, and what the spec asks for."""
    found, wanted = evidence.facts.huge_pages, max(need.huge_pages, need.pod_huge_pages)
    if found >= wanted:
        return None
    return fault(Reason.HugePagesTooFew, f"{_show(found)} by {Source.NODE}, {_show(wanted)} wanted", Source.NODE)


def check_memory(evidence: NodeEvidence, need: Need) -> Finding | None:
    """The node must have the memory of one replica, and what the spec asks for."""
    found, wanted = evidence.facts.memory, max(need.memory, need.pod_memory)
    if found >= wanted:
        return None
    return fault(Reason.MemoryTooSmall, f"{_show(found)} by {Source.NODE}, {_show(wanted)} wanted", Source.NODE)


def _show(size: int) -> str:
    """Return a size rounded down, so that a byte too few does not read as enough."""
    return f"{size * 100 // GIB / 100:.2f} GiB".replace(".00 GiB", " GiB")
