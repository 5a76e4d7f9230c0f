"""Counts nodes by reason with a few examples each, the same whatever the order of the nodes, and bounded in size."""

from bisect import insort
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Final

from inference_cache.api.status import NodeReasonCount

from .node_checks import Finding
from .reasons import Reason

EXAMPLES: Final = 3
MAX_REASONS: Final = 10
_MAX_SHOWN_DETAIL: Final = 100


@dataclass(slots=True)
class _Entry:
    count: int = 0
    examples: list[tuple[str, str]] = field(default_factory=list)


class Tally:
    """Nodes by reason."""

    def __init__(self) -> None:
        self._entries: dict[Reason, _Entry] = {}

    def add(self, name: str, finding: Finding) -> None:
        """Count a node."""
        entry = self._entries.setdefault(finding.reason, _Entry())
        entry.count += 1
        if len(entry.examples) < EXAMPLES or name < entry.examples[-1][0]:
            insort(entry.examples, (name, finding.detail))
            del entry.examples[EXAMPLES:]

    @property
    def total(self) -> int:
        """Nodes that were counted."""
        return sum(entry.count for entry in self._entries.values())

    @property
    def reasons(self) -> Iterable[Reason]:
        """Every reason that was counted."""
        return self._entries.keys()

    @property
    def sole_reason(self) -> Reason | None:
        """The reason of all that were counted, None where there are several."""
        return next(iter(self._entries)) if len(self._entries) == 1 else None

    def summarize(self) -> list[NodeReasonCount]:
        """Return the most frequent reasons for status."""
        return [
            NodeReasonCount(reason=reason.name, count=entry.count, examples=[name for name, _ in entry.examples])
            for reason, entry in self._rank()
        ]

    def describe(self) -> str:
        """Return the most frequent reasons for a message, each with what was seen on one node."""
        return "; ".join(_describe(reason, entry) for reason, entry in self._rank())

    def _rank(self) -> list[tuple[Reason, _Entry]]:
        return sorted(self._entries.items(), key=lambda item: (-item[1].count, item[0].name))[:MAX_REASONS]


def _describe(reason: Reason, entry: _Entry) -> str:
    names = ", ".join(name for name, _ in entry.examples)
    first, detail = entry.examples[0]
    if len(detail) > _MAX_SHOWN_DETAIL:
        detail = f"{detail[: _MAX_SHOWN_DETAIL - 1]}…"
    seen = f": {detail}" if entry.count == 1 else f"; {first}: {detail}"
    return f"{entry.count} {reason.name} (for instance {names}{seen})"
