"""All nodes are judged once for everybody who needs the same, anew when it matters, and never in one go."""

import asyncio
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from inference_cache.cluster.node_reviews import FRESH_SECONDS, NodeReviewer
from inference_cache.domain.attachment import Attachment
from inference_cache.domain.defaults import Settled
from inference_cache.domain.node_evidence import EvidenceSources, NodeEvidence
from inference_cache.domain.node_need import Need, TransportWish, build_need
from inference_cache.domain.node_policy import NODES_UNREAD
from tests.support.builders import build_node, build_settled

_ATTACHMENT = Attachment(None, "nvidia.com/vf", None, 1, (), per_network=False, link_type=None)


@dataclass
class _Evidence:
    """Nodes without a cluster; counts how often they are looked at."""

    count: int | None = 3
    version: int = 1
    looks: int = 0
    sources: EvidenceSources = field(default_factory=EvidenceSources)

    def nodes(self) -> Iterator[NodeEvidence] | None:
        self.looks += 1
        if self.count is None:
            return None
        return iter([NodeEvidence(build_node(f"node-{number}")) for number in range(self.count)])


class _Bench:
    def __init__(self, count: int | None = 3) -> None:
        self.evidence = _Evidence(count)
        self.used = 0
        self.now = 100.0
        evidence: Any = self.evidence
        self.reviewer = NodeReviewer(evidence, lambda: self.used, lambda: self.now)
        self.settled = build_settled()
        self.plain = build_need(self.settled)
        self.rdma = build_need(self.settled, TransportWish(_ATTACHMENT))

    def review(self, need: Need, settled: Settled | None = None) -> int:
        """Return how many looks the review took."""
        before = self.evidence.looks
        asyncio.run(self.reviewer.review(settled or self.settled, need))
        return self.evidence.looks - before


def test_same_need_is_judged_once() -> None:
    bench = _Bench()
    assert [bench.review(bench.plain), bench.review(bench.plain), bench.review(bench.rdma)] == [1, 0, 1]


def test_changed_nodes_are_judged_anew_after_a_moment() -> None:
    bench = _Bench()
    bench.review(bench.plain)
    bench.evidence.version += 1
    assert bench.review(bench.plain) == 0
    bench.now += FRESH_SECONDS + 0.1
    assert [bench.review(bench.plain), bench.review(bench.plain)] == [1, 0]


def test_rdma_pods_that_come_or_go_count_at_once_and_only_for_rdma() -> None:
    bench = _Bench()
    bench.review(bench.plain)
    bench.review(bench.rdma)
    bench.used += 1
    assert [bench.review(bench.plain), bench.review(bench.rdma)] == [0, 1]


def test_deployment_scaled_to_zero_is_another_matter() -> None:
    bench = _Bench(count=0)
    idle = build_settled({"replicas": 0})
    bench.review(bench.plain)
    assert bench.review(bench.plain, idle) == 1


def test_nodes_that_were_not_read_are_not_remembered() -> None:
    bench = _Bench(count=None)
    result = asyncio.run(bench.reviewer.review(bench.settled, bench.plain))
    assert result is NODES_UNREAD
    assert bench.review(bench.plain) == 1


async def test_loop_turns_while_thousands_of_nodes_are_judged_and_they_are_judged_once() -> None:
    bench = _Bench(count=2000)
    turns = 0
    done = asyncio.Event()

    async def count() -> None:
        nonlocal turns
        while not done.is_set():
            turns += 1
            await asyncio.sleep(0)

    counting = asyncio.create_task(count())
    results = await asyncio.gather(*(bench.reviewer.review(bench.settled, bench.plain) for _ in range(5)))
    done.set()
    await counting
    assert bench.evidence.looks == 1
    assert {result.status.eligible for result in results if result.status} == {2000}
    assert turns >= 10
