"""Whether the operator still sees the cluster: a watch can be alive as a task and blind all the same."""

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

from . import metrics

# Kubernetes restarts the operator when it has been blind for longer; kopf retries for about a minute before it gives up.
BLIND_SECONDS: Final = 20


@dataclass
class Feed:
    """Success and failure of one watch.

    Attributes:
        name: Plural of the kind.
        vital: Whether the operator is of no use without it.
        failing_since: When the first failure after the last success happened; None while it works.
        waiting_since: When a request began that has not been answered yet.
    """

    name: str
    clock: Callable[[], float] = time.monotonic
    vital: bool = True
    failing_since: float | None = None
    waiting_since: float | None = None
    last_error: str = ""

    def asked(self) -> None:
        """Note that a request began."""
        self.waiting_since = self.waiting_since or self.clock()

    def succeeded(self) -> None:
        """Note an answer or an event."""
        self.failing_since = None
        self.waiting_since = None
        self.last_error = ""
        metrics.watch_blind_seconds.labels(self.name).set(0)

    def failed(self, error: str) -> None:
        """Note a failure."""
        self.waiting_since = None
        self.failing_since = self.failing_since or self.clock()
        self.last_error = error[:200]
        metrics.watch_blind_seconds.labels(self.name).set(self.blind_seconds())

    def blind_seconds(self) -> float:
        """Return for how long nothing was seen although it was asked for; 0 while the watch works."""
        since = [moment for moment in (self.failing_since, self.waiting_since) if moment is not None]
        return self.clock() - min(since) if since else 0.0


@dataclass
class Feeds:
    """All watches of the process."""

    clock: Callable[[], float] = time.monotonic
    _feeds: dict[str, Feed] = field(default_factory=dict)

    def get(self, name: str, *, vital: bool = True) -> Feed:
        """Return the feed of a kind, by its plural; one that is not vital never makes the process count as blind."""
        if name not in self._feeds:
            self._feeds[name] = Feed(name, self.clock, vital)
        return self._feeds[name]

    def find_blind(self) -> list[str]:
        """Return a sentence for every watch that has seen nothing for too long."""
        return [
            f"watch of {feed.name} has been blind for {feed.blind_seconds():.0f} s: {feed.last_error or 'no answer'}"
            for feed in self._feeds.values()
            if feed.vital and feed.blind_seconds() > BLIND_SECONDS
        ]
