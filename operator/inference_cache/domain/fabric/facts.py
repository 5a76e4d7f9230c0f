"""What is known of one InferenceCacheFabric, in the form that others decide from."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from inference_cache.api.fabric import Devices, FabricMode, FabricType, InferenceCacheFabricSpec
from inference_cache.api.networks import LinkType
from inference_cache.api.parsing import parse_fabric
from inference_cache.domain import names
from inference_cache.domain.reasons import Reason
from inference_cache.domain.verdict import FabricCondition, Truth

LINK_TYPES: Final[Mapping[FabricType, LinkType]] = {
    FabricType.SRIOV_ETHERNET: LinkType.ETHERNET,
    FabricType.SRIOV_INFINIBAND: LinkType.INFINIBAND,
    FabricType.SHARED_MACVLAN: LinkType.ETHERNET,
    FabricType.SHARED_IPOIB: LinkType.INFINIBAND,
}
"""Link layer by type; a whole function may have either."""
SHARED: Final = frozenset({FabricType.SHARED_MACVLAN, FabricType.SHARED_IPOIB})
"""Types whose devices many pods share."""
SRIOV: Final = frozenset({FabricType.SRIOV_ETHERNET, FabricType.SRIOV_INFINIBAND})
"""Types whose devices are virtual functions."""


@dataclass(frozen=True, slots=True)
class FabricFacts:
    """One fabric.

    Attributes:
        spec: None where it breaks a rule of the API; `violations` says which.
        ready: Its condition Ready; Unknown while that does not speak of the current spec yet.
        reason: Reason of that condition.
        message: Message of that condition.
        deleting: Whether its deletion has begun.
        generation: Generation of the spec.
        created: When it was made, in RFC 3339 form, which sorts by time.
        resource_version: Version of the object.
        finalizers: Its finalizers.
        status: What is stored as its status.
    """

    name: str
    uid: str
    spec: InferenceCacheFabricSpec | None
    ready: Truth = Truth.UNKNOWN
    reason: Reason = Reason.Waiting
    message: str = ""
    deleting: bool = False
    violations: tuple[str, ...] = ()
    generation: int = 1
    created: str = ""
    resource_version: str = ""
    finalizers: tuple[str, ...] = ()
    status: Mapping[str, Any] = field(default_factory=dict)

    @property
    def managed(self) -> bool:
        """Whether its objects are made by the operator."""
        return self.spec is not None and self.spec.mode is FabricMode.MANAGE

    @property
    def guarded(self) -> bool:
        """Whether it cannot vanish before the operator has taken its objects away."""
        return names.FABRIC_FINALIZER in self.finalizers


def read_devices(spec: InferenceCacheFabricSpec) -> Devices:
    """Return the devices of a managed fabric.

    Raises:
        ValueError: The fabric's mode is Reference, which has none.
    """
    if spec.devices is None:
        raise ValueError("a fabric of mode Reference has no devices")
    return spec.devices


def project_fabric(body: dict[str, Any]) -> FabricFacts:
    """Return the facts of an InferenceCacheFabric object."""
    metadata = body["metadata"]
    parsed = parse_fabric(metadata["name"], body.get("spec") or {})
    status = body.get("status") or {}
    ready, reason, message = _read_ready(status, metadata.get("generation", 1))
    return FabricFacts(
        name=metadata["name"],
        uid=metadata["uid"],
        spec=None if isinstance(parsed, list) else parsed,
        ready=ready,
        reason=reason,
        message=message,
        deleting="deletionTimestamp" in metadata,
        violations=tuple(str(item) for item in parsed) if isinstance(parsed, list) else (),
        generation=metadata.get("generation", 1),
        created=metadata.get("creationTimestamp", ""),
        resource_version=metadata["resourceVersion"],
        finalizers=tuple(metadata.get("finalizers") or ()),
        status=status,
    )


def _read_ready(status: Mapping[str, Any], generation: int) -> tuple[Truth, Reason, str]:
    found = next((item for item in status.get("conditions") or [] if item["type"] == FabricCondition.READY.value), None)
    if found is None or found.get("observedGeneration") != generation:
        return Truth.UNKNOWN, Reason.Waiting, "The operator has not looked at the current specification yet."
    # A newer operator may have written a reason that this one does not know.
    reason = Reason.__members__.get(found["reason"], Reason.FabricNotReady)
    return Truth(found["status"]), reason, found.get("message", "")
