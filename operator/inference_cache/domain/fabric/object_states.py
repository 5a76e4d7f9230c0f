"""What the controllers of a fabric's objects say of them, as far as each kind has a status."""

from collections.abc import Mapping
from typing import Any, Final

from inference_cache.domain import kinds
from inference_cache.domain.kinds import Kind
from inference_cache.domain.live import Live
from inference_cache.domain.reasons import Reason

from .device_plugin import RDMA_SECTION, SRIOV_SECTION
from .findings import Finding
from .plan import describe

_CONDITIONED: Final = frozenset({kinds.SRIOV_NETWORK, kinds.SRIOV_IB_NETWORK})
_STATED: Final = frozenset({kinds.HOST_DEVICE_NETWORK, kinds.MACVLAN_NETWORK, kinds.IPOIB_NETWORK})
# Names by which NicClusterPolicy reports on its sections in status.appliedStates.
_APPLIED: Final[Mapping[str, str]] = {
    RDMA_SECTION: "state-RDMA-device-plugin",
    SRIOV_SECTION: "state-SRIOV-device-plugin",
}


def check_object(live: Live) -> Finding | None:
    """Return what the controller of an object has against it; one that has no status is taken as it is."""
    status: Mapping[str, Any] = live.body.get("status") or {}
    if live.kind in _CONDITIONED:
        return _check_condition(live, status)
    if live.kind in _STATED:
        return _check_state(describe(live), status, str(status.get("reason") or ""))
    if live.kind is kinds.DAEMON_SET:
        return _check_daemon_set(live, status)
    return None


def check_section(policy: Live, section: str) -> Finding | None:
    """Return what the NVIDIA network operator has against a section of NicClusterPolicy."""
    states = (policy.body.get("status") or {}).get("appliedStates") or []
    found: Mapping[str, Any] = next((item for item in states if item.get("name") == _APPLIED[section]), {})
    return _check_state(f"{describe(policy)}, {section}", found, str(found.get("message") or ""))


def _check_condition(live: Live, status: Mapping[str, Any]) -> Finding | None:
    found = next((item for item in status.get("conditions") or [] if item.get("type") == "Ready"), None)
    if found is None or found.get("status") != "False":
        return None
    message = str(found.get("message") or "").rstrip(".")
    lasting = found.get("reason") == "NetworkAttachmentDefinitionInvalid"
    text = f"{describe(live)}: {found.get('reason')}: {message}."
    return Finding(Reason.FabricObjectFaulty, text, passing=not lasting)


def _check_state(what: str, status: Mapping[str, Any], message: str) -> Finding | None:
    state = status.get("state")
    if state not in {"error", "notReady"}:
        return None
    text = f"{what} is {state}" + (f": {message.rstrip('.')}." if message else ".")
    return Finding(Reason.FabricObjectFaulty, text, passing=state == "notReady")


def _check_daemon_set(live: Live, status: Mapping[str, Any]) -> Finding | None:
    wanted, ready = status.get("desiredNumberScheduled", 0), status.get("numberReady", 0)
    if status.get("observedGeneration") is None or ready >= wanted:
        return None
    text = f"{describe(live)}: {ready} of {wanted} pods are ready."
    # Nodes come and go; only where none works is the fabric of no use.
    return Finding(Reason.FabricObjectFaulty, text, passing=True, advisory=ready > 0)


def is_network(kind: Kind) -> bool:
    """Whether a kind makes NetworkAttachmentDefinitions of the same name."""
    return kind in _CONDITIONED or kind in _STATED
