"""Whether a node belongs to the fabric at all; what a node outside it could do is of no matter."""

from inference_cache.domain.node_evidence import NodeEvidence, Source
from inference_cache.domain.node_need import Need
from inference_cache.domain.reasons import Reason

from .finding import Finding, fault


def check_membership(evidence: NodeEvidence, need: Need) -> Finding | None:
    """The node must carry every label of the fabric's nodeSelector."""
    if need.rdma is None:
        return None
    labels = evidence.facts.labels
    for key, value in need.rdma.selector:
        found = labels.get(key)
        if found == value:
            continue
        has = f"has no label {key}" if found is None else f"label {key} is {found}"
        return fault(Reason.NodeNotInFabric, f"{has} by {Source.LABEL}, {value} wanted", Source.LABEL)
    return None
