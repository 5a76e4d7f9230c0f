"""What speaks against a fabric: one reason, where, and whether it may pass without anyone acting."""

from collections.abc import Sequence
from dataclasses import dataclass

from inference_cache.domain.reasons import Reason


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that is not as it should be.

    Attributes:
        passing: Whether it may pass by itself, so that someone's acting is not called for.
        unknown: Whether it only says that something could not be observed.
        advisory: Whether the fabric counts as ready all the same.
        remedy: What to do, where that of the reason does not suit; empty for that of the reason.
    """

    reason: Reason
    message: str
    passing: bool = False
    unknown: bool = False
    advisory: bool = False
    remedy: str = ""


@dataclass(frozen=True, slots=True)
class ObjectState:
    """One object of a fabric, for status.

    Attributes:
        state: Present, Missing, Applied, Conflict or Faulty.
        reason: Why it is not as it should be; None where it is.
    """

    kind: str
    namespace: str
    name: str
    state: str
    reason: Reason | None = None


def order_objects(states: Sequence[ObjectState]) -> list[ObjectState]:
    """Return the objects with those in trouble first."""
    return sorted(states, key=lambda item: (item.reason is None, item.kind, item.namespace, item.name))
