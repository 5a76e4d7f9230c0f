"""Judges all nodes for a need, in portions that give way to other work, and once for all deployments with the same need."""

import asyncio
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from inference_cache.domain.defaults import Settled
from inference_cache.domain.node_policy import NODES_UNREAD, Need, NodeReview, ReviewResult

from .evidence import EvidenceStore

_PORTION: Final = 200
_REMEMBERED: Final = 512
FRESH_SECONDS: Final = 1.0
"""For how long a result counts although nodes have changed since; news about nodes wake everybody later than that."""

_Key = tuple[Need, bool]


@dataclass(frozen=True, slots=True)
class _Known:
    result: ReviewResult
    version: int
    used: int
    at: float


class NodeReviewer:
    """Reviews nodes.

    Args:
        evidence: What is known of the nodes.
        used: Returns a number that grows whenever RDMA pods come to a node or leave it.
        clock: Monotonic seconds.
    """

    def __init__(
        self, evidence: EvidenceStore, used: Callable[[], int] = lambda: 0, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._evidence = evidence
        self._used = used
        self._clock = clock
        self._known: OrderedDict[_Key, _Known] = OrderedDict()
        # Judging takes the processor, so several at a time would only hold each other up.
        self._lock = asyncio.Lock()

    async def review(self, settled: Settled, need: Need) -> ReviewResult:
        """Return which nodes meet a need; the result is never older than the latest coming or going of an RDMA pod."""
        key = (need, settled.replicas > 0)
        if (known := self._find(key)) is not None:
            return known
        async with self._lock:
            if (known := self._find(key)) is not None:
                return known
            return await self._review(key, settled)

    def _find(self, key: _Key) -> ReviewResult | None:
        known = self._known.get(key)
        if known is None:
            return None
        need, _ = key
        if need.rdma is not None and known.used != self._used():
            return None
        if known.version != self._evidence.version and self._clock() - known.at > FRESH_SECONDS:
            return None
        self._known.move_to_end(key)
        return known.result

    async def _review(self, key: _Key, settled: Settled) -> ReviewResult:
        need, _ = key
        version, used, started = self._evidence.version, self._used(), self._clock()
        nodes = self._evidence.nodes()
        if nodes is None:
            return NODES_UNREAD
        review = NodeReview(settled, need)
        for number, evidence in enumerate(nodes, start=1):
            review.add(evidence)
            if number % _PORTION == 0:
                await asyncio.sleep(0)
        result = review.finish(self._evidence.sources)
        self._known[key] = _Known(result, version, used, started)
        self._known.move_to_end(key)
        while len(self._known) > _REMEMBERED:
            self._known.popitem(last=False)
        return result
