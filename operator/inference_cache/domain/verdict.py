"""What a check says: a condition with its status, one reason and a message that ends in what to do."""

from dataclasses import dataclass
from enum import StrEnum

from .reasons import Reason


class ConditionType(StrEnum):
    """Conditions of a deployment, in the order in which status shows them."""

    READY = "Ready"
    PROGRESSING = "Progressing"
    STALLED = "Stalled"
    SPEC_VALID = "SpecValid"
    COMPATIBLE = "Compatible"
    NODES_ELIGIBLE = "NodesEligible"
    NETWORK_READY = "NetworkReady"
    CREDENTIALS_READY = "CredentialsReady"
    OBJECT_STORE_READY = "ObjectStoreReady"
    TRANSPORT_DEGRADED = "TransportDegraded"
    WORKLOAD_AVAILABLE = "WorkloadAvailable"
    CACHE_PAYS_OFF = "CachePaysOff"


class FabricCondition(StrEnum):
    """Conditions of a fabric, in the order in which status shows them."""

    READY = "Ready"
    PROGRESSING = "Progressing"
    STALLED = "Stalled"
    SPEC_VALID = "SpecValid"
    OBJECTS_READY = "ObjectsReady"
    NODES_READY = "NodesReady"


AnyCondition = ConditionType | FabricCondition


class Truth(StrEnum):
    """Status of a condition."""

    TRUE = "True"
    FALSE = "False"
    UNKNOWN = "Unknown"


MAX_MESSAGE = 1024
_ROOM_FOR_COUNT = len(" And 999 more.")


@dataclass(frozen=True)
class Verdict:
    """The outcome of one check.

    Attributes:
        passing: The cause may pass without anyone acting (an outage), so the deployment waits rather than stalls.
    """

    condition: AnyCondition
    status: Truth
    reason: Reason
    message: str
    passing: bool = False

    @property
    def blocks(self) -> bool:
        """Whether no pod may be created or replaced because of this."""
        return self.status is not Truth.TRUE


def ok(condition: AnyCondition, reason: Reason, message: str = "") -> Verdict:
    """Return a verdict that holds."""
    return Verdict(condition, Truth.TRUE, reason, message or reason.meaning)


def bad(
    condition: AnyCondition,
    reason: Reason,
    message: str = "",
    *,
    passing: bool = False,
    remedy_of: Reason | None = None,
) -> Verdict:
    """Return a verdict that does not hold; the reason's remedy, or that of its one cause, ends the message."""
    return Verdict(
        condition, Truth.FALSE, reason, _with_remedy(message or reason.meaning, remedy_of or reason), passing
    )


def refuse(condition: AnyCondition, reason: Reason, *messages: str) -> Verdict:
    """Return a verdict that does not hold, from messages that each end in what to do already.

    As many as fit are shown, whole; the others are counted.
    """
    text, shown = messages[0], 1
    for message in messages[1:]:
        longer = f"{text} Also: {message}"
        if len(longer) > MAX_MESSAGE - _ROOM_FOR_COUNT:
            break
        text, shown = longer, shown + 1
    more = len(messages) - shown
    return Verdict(condition, Truth.FALSE, reason, f"{text} And {more} more." if more else text)


def unknown(condition: AnyCondition, reason: Reason, message: str = "") -> Verdict:
    """Return a verdict for what could not be observed."""
    return Verdict(condition, Truth.UNKNOWN, reason, _with_remedy(message, reason), passing=True)


def _with_remedy(message: str, reason: Reason) -> str:
    text = message or reason.meaning
    remedy = reason.remedy
    room = MAX_MESSAGE - len(remedy) - 1
    if len(text) > room:
        text = text[: room - 1] + "…"
    return f"{text} {remedy}".strip()
