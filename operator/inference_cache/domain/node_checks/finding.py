"""What a check says of a node: one reason, what was seen, who says so, and whether it is a fault or a fact that nobody tells."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from inference_cache.domain.node_evidence import NodeEvidence, Source
from inference_cache.domain.node_facts import NodeFacts
from inference_cache.domain.node_need import Need
from inference_cache.domain.reasons import Reason

MAX_DETAIL: Final = 240


@dataclass(frozen=True, slots=True)
class Finding:
    """Why a node does not meet a need.

    Attributes:
        detail: What was seen where, with the source; bounded, and never empty.
        source: Who told it; None where nobody did.
        unknown: Whether the fact is not known, rather than known to be wrong.
    """

    reason: Reason
    detail: str
    source: Source | None = None
    unknown: bool = False

    def __str__(self) -> str:
        return f"{self.reason.name} ({self.detail})"


Check = Callable[[NodeEvidence, Need], Finding | None]


def fault(reason: Reason, detail: str, source: Source) -> Finding:
    """Return a finding that a source stands for."""
    return Finding(reason, cut(detail), source)


def gap(reason: Reason, detail: str, source: Source | None = None) -> Finding:
    """Return a finding about a fact that nobody tells, or that a source tells in a form that cannot be read."""
    return Finding(reason, cut(detail), source, unknown=True)


def cut(text: str) -> str:
    """Return a text that is no longer than a detail may be."""
    return text if len(text) <= MAX_DETAIL else f"{text[: MAX_DETAIL - 1]}…"


def read_number(node: NodeFacts, label: str) -> int | None:
    """Return the whole number that a label holds, or None where it holds none."""
    text = node.labels.get(label, "")
    return int(text) if text.isascii() and text.isdecimal() else None


def unread_label(reason: Reason, node: NodeFacts, label: str) -> Finding:
    """Return that a label is missing, or holds no number."""
    text = node.labels.get(label)
    if text is None:
        return gap(reason, f"label {label} is missing")
    return gap(reason, f"label {label} is {text}, which is no number", Source.LABEL)
