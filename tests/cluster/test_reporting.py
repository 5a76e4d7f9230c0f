"""What is written of a pass and what is not: counts at most every 30 s, and an Event for each fall back."""

import asyncio
from typing import Any

import pytest

from inference_cache.api.status import NodeStatus
from inference_cache.cluster.cache import ObjectCache
from inference_cache.cluster.events import EventRecorder
from inference_cache.cluster.gateway import Gateway
from inference_cache.cluster.reporting import COUNT_SECONDS, Reporter
from inference_cache.domain.kinds import DEPLOYMENT, Kind
from inference_cache.domain.reasons import Reason
from inference_cache.domain.scope import Identity
from inference_cache.domain.summary import Outcome
from inference_cache.domain.verdict import ConditionType, Truth, Verdict, ok
from inference_cache.domain.workload_state import WorkloadState
from tests.support.builders import IDENTITY, build_sample_scope


class _Recorder(Gateway):
    """A gateway without a cluster that stores the status and remembers Events."""

    def __init__(self) -> None:
        self.deployment: dict[str, Any] = {
            "metadata": {"name": IDENTITY.name, "namespace": IDENTITY.namespace, "uid": IDENTITY.uid, "generation": 1}
        }
        self.statuses: list[dict[str, Any]] = []
        self.events: list[tuple[str, str]] = []

    async def apply_status(self, identity: Identity, status: dict[str, Any], kind: Kind = DEPLOYMENT) -> dict[str, Any]:
        assert (identity, kind) == (IDENTITY, DEPLOYMENT)
        self.statuses.append(status)
        metadata = self.deployment["metadata"] | {"resourceVersion": str(len(self.statuses))}
        self.deployment = {**self.deployment, "metadata": metadata, "status": status}
        return self.deployment

    async def create_event(self, event: dict[str, Any]) -> None:
        self.events.append((event["reason"], event["type"]))


class _Bench:
    def __init__(self) -> None:
        self.gateway = _Recorder()
        self.now = 1000.0
        events = EventRecorder(self.gateway, "test")
        self.reporter = Reporter(self.gateway, ObjectCache(), events, lambda: "2026-01-01T00:00:00Z", lambda: self.now)

    def report(self, eligible: int, *notes: Verdict) -> float | None:
        state = WorkloadState(exists=True, settled=True, wanted=1, replicas=1, ready=1, updated=1)
        message = f"{eligible} of 200 candidate nodes meet every requirement."
        outcome = Outcome(
            IDENTITY.name,
            1,
            build_sample_scope(),
            (ok(ConditionType.NODES_ELIGIBLE, Reason.NodesAvailable, message),),
            workload=ok(ConditionType.WORKLOAD_AVAILABLE, Reason.PodsReady),
            state=state,
            nodes=NodeStatus(candidates=200, eligible=eligible),
            notes=notes,
        )
        return asyncio.run(self.reporter.report(IDENTITY, self.gateway.deployment, outcome, []))


def test_counts_are_written_once_and_then_kept_back() -> None:
    bench = _Bench()
    assert [bench.report(count) for count in (200, 180, 180, 170)] == [None, None, None, COUNT_SECONDS]
    assert [status["nodes"]["eligible"] for status in bench.gateway.statuses] == [200, 180]
    bench.now += 10
    assert bench.report(160) == COUNT_SECONDS - 10
    bench.now += 20
    assert bench.report(150) is None
    assert [status["nodes"]["eligible"] for status in bench.gateway.statuses] == [200, 180, 150]


def test_two_minutes_of_flapping_nodes_cost_a_handful_of_writes() -> None:
    bench = _Bench()
    for second in range(120):
        bench.report(160 + second % 40)
        bench.now += 1
    assert len(bench.gateway.statuses) <= 6


def test_condition_that_flips_is_written_at_once_with_the_counts() -> None:
    bench = _Bench()
    bench.report(200)
    bench.report(180)
    bench.report(170, _degraded(Truth.TRUE, Reason.RDMAPartial))
    assert bench.gateway.statuses[-1]["nodes"]["eligible"] == 170


def test_forgotten_deployment_begins_anew() -> None:
    bench = _Bench()
    bench.report(200)
    bench.report(180)
    bench.reporter.forget((IDENTITY.namespace, IDENTITY.name))
    assert bench.report(170) is None


def _degraded(status: Truth, reason: Reason) -> Verdict:
    return Verdict(ConditionType.TRANSPORT_DEGRADED, status, reason, reason.meaning)


_WANTED = _degraded(Truth.FALSE, Reason.TransportAsWanted)
_UNKNOWN = _degraded(Truth.UNKNOWN, Reason.TransportUnknown)
_LOST = _degraded(Truth.TRUE, Reason.RDMAUnavailable)
_RETURNING = _degraded(Truth.TRUE, Reason.RDMAReturning)
_BACK = _degraded(Truth.TRUE, Reason.RDMARecovered)
_EVENTS: dict[str, tuple[list[Verdict], list[tuple[str, str]]]] = {
    "pods start and use RDMA": ([_UNKNOWN, _WANTED], []),
    "the fabric fails": ([_WANTED, _LOST, _LOST], [("RDMAUnavailable", "Warning")]),
    "the fabric comes back": (
        [_WANTED, _LOST, _RETURNING, _BACK, _WANTED],
        [
            ("RDMAUnavailable", "Warning"),
            ("RDMAReturning", "Normal"),
            ("RDMARecovered", "Normal"),
            ("TransportAsWanted", "Normal"),
        ],
    ),
    "pods start anew after a fall back": ([_LOST, _UNKNOWN, _WANTED], [("RDMAUnavailable", "Warning")]),
}


@pytest.mark.parametrize(("verdicts", "expected"), _EVENTS.values(), ids=_EVENTS.keys())
def test_events_tell_when(verdicts: list[Verdict], expected: list[tuple[str, str]]) -> None:
    bench = _Bench()
    for verdict in verdicts:
        bench.report(200, verdict)
    assert [event for event in bench.gateway.events if event[0] != "Ready"] == expected
