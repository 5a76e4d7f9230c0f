"""Whether a node is in service at all. These change by the minute, so they never enter an eligibility label."""

from inference_cache.domain.node_evidence import NodeEvidence, Source
from inference_cache.domain.node_need import Need
from inference_cache.domain.reasons import Reason

from .finding import Finding, fault


def check_ready(evidence: NodeEvidence, _: Need) -> Finding | None:
    """The node must report Ready."""
    if evidence.facts.ready:
        return None
    return fault(Reason.NodeNotReady, f"condition Ready is not True by {Source.NODE}", Source.NODE)


def check_schedulable(evidence: NodeEvidence, _: Need) -> Finding | None:
    """The node must not be cordoned."""
    if not evidence.facts.unschedulable:
        return None
    return fault(Reason.NodeUnschedulable, f"spec.unschedulable is true by {Source.NODE}", Source.NODE)
