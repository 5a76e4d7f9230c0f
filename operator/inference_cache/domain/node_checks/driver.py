"""The NIC driver of a node while its devices are missing: being upgraded, not ready, kept out by a module, or not loaded.

Labels are those of the NVIDIA network operator and of Node Feature Discovery.
"""

from typing import Final

from inference_cache.domain.node_evidence import NodeEvidence, Source
from inference_cache.domain.node_need import Need
from inference_cache.domain.reasons import Reason

from .finding import Finding, fault
from .resource import lacks_devices

UPGRADE_STATE: Final = "nvidia.com/ofed-driver-upgrade-state"
DRIVER_WAIT: Final = "network.nvidia.com/operator.mofed.wait"
# Nothing happens in these: done, unknown to the controller, or waiting for its turn.
_AT_REST: Final = frozenset({"", "unknown", "upgrade-done"})
_QUEUED: Final = "upgrade-required"
# Modules of other drivers and of storage over RDMA, which hold the RDMA stack that the driver replaces.
_BLOCKING: Final = frozenset(
    {
        "ib_iser",
        "ib_isert",
        "ib_srp",
        "ib_srpt",
        "irdma",
        "nvme_rdma",
        "nvmet_rdma",
        "qedr",
        "rdma_rxe",
        "rds_rdma",
        "rpcrdma",
        "siw",
        "svcrdma",
        "xprtrdma",
    }
)
_NEEDED: Final = ("ib_uverbs", "rdma_ucm")
_FEATURES: Final = tuple(f"feature.node.kubernetes.io/{name}rdma.available" for name in ("", "custom-"))


def check_driver_upgrade(evidence: NodeEvidence, need: Need) -> Finding | None:
    """The NIC driver must not be on its way out; one that only waits for its turn still works."""
    rdma = need.rdma
    if rdma is None:
        return None
    state = evidence.facts.labels.get(UPGRADE_STATE, "")
    if state in _AT_REST or (state == _QUEUED and not lacks_devices(evidence, rdma)):
        return None
    return fault(Reason.NICDriverUpgrading, f"{UPGRADE_STATE} is {state} by {Source.LABEL}", Source.LABEL)


def check_driver_ready(evidence: NodeEvidence, need: Need) -> Finding | None:
    """The driver's container must be ready before device plugins start."""
    rdma = need.rdma
    if rdma is None or evidence.facts.labels.get(DRIVER_WAIT) != "true" or not lacks_devices(evidence, rdma):
        return None
    blocking = sorted(_BLOCKING & evidence.report.modules) if evidence.report else []
    if blocking:
        detail = f"{', '.join(blocking)} by {Source.REPORT}, while {DRIVER_WAIT} is true"
        return fault(Reason.NICDriverBlockedByModule, detail, Source.REPORT)
    return fault(Reason.NICDriverNotReady, f"{DRIVER_WAIT} is true by {Source.LABEL}", Source.LABEL)


def check_modules(evidence: NodeEvidence, need: Need) -> Finding | None:
    """The kernel modules of RDMA must be loaded. Asked only where devices are missing, as modules may be built in."""
    rdma = need.rdma
    if rdma is None or not lacks_devices(evidence, rdma):
        return None
    report = evidence.report
    if report is not None and report.modules:
        missing = [name for name in _NEEDED if name not in report.modules]
        if missing:
            return fault(Reason.RDMAModulesMissing, f"{', '.join(missing)} by {Source.REPORT}", Source.REPORT)
        return None
    labels = evidence.facts.labels
    if not evidence.facts.features_published or any(labels.get(label) == "true" for label in _FEATURES):
        return None
    detail = f"{_FEATURES[0]} is not set by Node Feature Discovery, which has run there"
    return fault(Reason.RDMAModulesMissing, detail, Source.LABEL)
