"""Whether the Pod Security of a namespace admits RDMA pods, known before the first one is refused."""

from typing import Final

from inference_cache.api.transport import LockedMemory

from .attachment import Attachment
from .reasons import Reason

# Both refuse IPC_LOCK: baseline knows a list of capabilities that may be added, restricted one that may be kept.
_REFUSING: Final = frozenset({"baseline", "restricted"})


def check_pod_security(enforce: str | None, attachment: Attachment) -> tuple[Reason, str] | None:
    """Return why the namespace would refuse RDMA pods.

    Args:
        enforce: Value of the namespace's label pod-security.kubernetes.io/enforce; None where it has none or is not known.
            The cluster's default and exemptions are not visible to the operator.
        attachment: What the pods get.
    """
    if enforce not in _REFUSING or attachment.locked_memory is LockedMemory.NODE_UNLIMITED:
        return None
    refused = (
        f"The namespace enforces the Pod Security level {enforce}, which refuses the capability IPC_LOCK of RDMA pods"
    )
    if enforce == "baseline":
        return Reason.PodSecurityBlocked, f"{refused}; with transport.lockedMemory NodeUnlimited they do without it."
    # It wants runAsNonRoot of every container, whatever the transport.
    return Reason.PodSecurityBlocked, f"{refused}. It refuses pods for TCP as well, as their containers run as root."
