"""What the SR-IOV network operator does to a node: draining it, configuring it, or failing at it."""

from typing import Final

from inference_cache.domain.node_evidence import NodeEvidence, Source
from inference_cache.domain.node_need import Need
from inference_cache.domain.reasons import Reason

from .finding import Finding, fault
from .resource import lacks_devices

_DRAINING: Final = frozenset({"Draining", "DrainComplete"})
_DISTURBING: Final = frozenset({"Drain_Required", "Reboot_Required"})
_FAILED: Final = "Failed"
_IN_PROGRESS: Final = "InProgress"


def check_sriov_drain(evidence: NodeEvidence, need: Need) -> Finding | None:
    """The node must not be drained or about to be; being configured matters only while devices are missing."""
    rdma, sriov = need.rdma, evidence.sriov
    if rdma is None or sriov is None:
        return None
    source = Source.NODE_STATE
    if sriov.current in _DRAINING or sriov.desired in _DISTURBING:
        detail = f"state {sriov.current or 'unknown'}, wanted {sriov.desired or 'unknown'} by {source}"
        return fault(Reason.SRIOVNodeDraining, detail, source)
    if sriov.sync_status == _IN_PROGRESS and not rdma.shared and lacks_devices(evidence, rdma):
        return fault(Reason.SRIOVNodeDraining, f"syncStatus {_IN_PROGRESS} by {source}", source)
    return None


def check_sriov_sync(evidence: NodeEvidence, need: Need) -> Finding | None:
    """The virtual functions must have been made; a failure on a node that offers devices concerns other ones."""
    rdma, sriov = need.rdma, evidence.sriov
    if rdma is None or sriov is None or sriov.sync_status != _FAILED:
        return None
    if rdma.shared or not lacks_devices(evidence, rdma):
        return None
    source = Source.NODE_STATE
    error = " ".join(sriov.last_error.split())
    return fault(Reason.SRIOVConfigFailed, f"{error or 'no lastSyncError'} by {source}", source)
