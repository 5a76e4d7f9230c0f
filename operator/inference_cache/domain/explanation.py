"""The parts of an explanation: what was observed, the answer, and the steps between them."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from .node_evidence import NodeEvidence
from .pod_facts import PodFacts
from .pod_trouble import ContainerTrouble, EventFacts
from .remedies import Fix


class State(StrEnum):
    """The answer in one word."""

    HEALTHY = "Healthy"
    IDLE = "ScaledToZero"
    DEGRADED = "Degraded"
    PROGRESSING = "Progressing"
    BROKEN = "Broken"
    STALE = "Stale"
    NOT_SEEN = "NotSeen"
    DELETING = "Deleting"

    @property
    def wrong(self) -> bool:
        """Whether someone has to act."""
        return self in {State.DEGRADED, State.BROKEN, State.STALE, State.NOT_SEEN}


@dataclass(frozen=True)
class Observation:
    """What was read for one explanation.

    Attributes:
        deployment: The object as the API server returned it.
        pods: Its pods; None where they could not be read, as with the following.
        nodes: The nodes with all that is known of them.
        fabric: The InferenceCacheFabric that the spec names; None also where there is none.
        lease: What is known of the operator's Lease, in a sentence.
        unread: What could not be read, and why.
    """

    deployment: Mapping[str, Any]
    pods: tuple[PodFacts, ...] | None = None
    troubles: tuple[ContainerTrouble, ...] = ()
    workload: Mapping[str, Any] | None = None
    events: tuple[EventFacts, ...] = ()
    nodes: tuple[NodeEvidence, ...] | None = None
    fabric: Mapping[str, Any] | None = None
    lease: str = ""
    unread: tuple[str, ...] = ()


@dataclass(frozen=True)
class Link:
    """One step from the symptom to the cause: what is the case, with the words of whoever said so.

    Attributes:
        detail: Whether it only shows the cause before it at an example, and is no cause of its own.
    """

    subject: str
    status: str
    reason: str
    message: str
    detail: bool = False


@dataclass(frozen=True)
class Problem:
    """A cause, and the ways to mend it: each is enough, the best comes first."""

    link: Link
    fixes: tuple[Fix, ...]


@dataclass(frozen=True)
class Explanation:
    """The answer.

    Attributes:
        chain: From Ready to the root cause.
        fixes: Ways to mend the root cause, the best first.
        others: Other problems that remain when the root cause is mended.
        effect: What is in effect, by name.
    """

    namespace: str
    name: str
    state: State
    summary: str
    chain: tuple[Link, ...] = ()
    evidence: tuple[str, ...] = ()
    fixes: tuple[Fix, ...] = ()
    others: tuple[Problem, ...] = ()
    effect: Mapping[str, str] | None = None
    unread: tuple[str, ...] = ()
