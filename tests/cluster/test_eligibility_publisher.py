"""The publisher of eligibility labels: what it writes and when it does not, with a clock and a writer of the test."""

import asyncio
from collections.abc import Hashable, Iterable, Mapping
from dataclasses import replace
from typing import Any

import pytest

from inference_cache.cluster import eligibility_publisher
from inference_cache.cluster.eligibility_publisher import (
    LONGEST_WAIT_SECONDS,
    PATIENCE_SECONDS,
    UNNEEDED_SECONDS,
    EligibilityPublisher,
)
from inference_cache.cluster.errors import ConflictError, RefusedError, UnavailableError
from inference_cache.cluster.label_writer import IDLE_SECONDS, REFUSED_SECONDS, LabelWriter
from inference_cache.domain.eligibility import MET, MISSED, MISSED_SECONDS, Placement, eligibility_labels, list_present
from inference_cache.domain.kinds import NODE, NODE_FEATURE, Kind
from inference_cache.domain.node_evidence import NodeEvidence
from inference_cache.domain.node_need import Need
from inference_cache.domain.reasons import Reason
from tests.support.evidence import build_evidence

_NEED = Need(gpus=8, kernel=(5, 14))
_OTHER = Need(gpus=8, kernel=(6, 0))
(_LABEL,) = eligibility_labels(_NEED)
(_OTHER_LABEL,) = eligibility_labels(_OTHER)
_OLD = "4.18.0"


class FakeCluster:
    """Nodes with evidence, and a gateway that labels them: at once as patches do, or only where somebody acts on NodeFeatures."""

    def __init__(self) -> None:
        self.now = 1000.0
        self.found: dict[str, NodeEvidence] = {}
        self.features: dict[str, dict[str, Any]] = {}
        self.served: bool | None = False
        self.acts = True
        self.forbidden: set[Kind] = set()
        self.failure: Exception | None = None
        self.written: list[tuple[str, str]] = []
        self.settled = True
        self.wrote = asyncio.Event()

    def add(self, name: str, **facts: Any) -> None:
        self.found[name] = build_evidence(name, **facts)

    def nodes(self) -> Iterable[NodeEvidence]:
        return (self.found[name] for name in tuple(self.found))

    def labels(self, name: str) -> dict[str, str]:
        return list_present(self.found[name].facts.labels)

    def serves(self, kind: Kind) -> bool | None:
        assert kind is NODE_FEATURE
        return self.served

    def change(self, name: str, **facts: Any) -> None:
        evidence = self.found[name]
        self.found[name] = replace(evidence, facts=replace(evidence.facts, **facts))

    async def apply_own(self, kind: Kind, namespace: str, body: dict[str, Any]) -> None:
        self._note(kind, body["metadata"]["ownerReferences"][0]["name"])
        assert namespace == body["metadata"]["namespace"] == "system"
        self.features[body["metadata"]["name"]] = body
        if self.acts:
            self._label(body["metadata"]["labels"]["nfd.node.kubernetes.io/node-name"], body["spec"]["labels"])

    async def patch_node_labels(self, name: str, uid: str, labels: Mapping[str, str | None]) -> None:
        self._note(NODE, name)
        if self.found[name].facts.uid != uid:
            raise ConflictError("uid")
        wanted = {**self.labels(name), **labels}
        self._label(name, {key: value for key, value in wanted.items() if value is not None})

    async def read(self, kind: Kind, namespace: str, name: str) -> dict[str, Any] | None:
        del kind, namespace
        found = self.features.get(name)
        return {"metadata": {"uid": "u", **found["metadata"]}} if found else None

    async def delete(self, kind: Kind, namespace: str, name: str, *, uid: str) -> None:
        del namespace, uid
        body = self.features.pop(name)
        node = body["metadata"]["labels"]["nfd.node.kubernetes.io/node-name"]
        self._note(kind, node)
        if self.acts:
            self._label(node, {})

    def _note(self, kind: Kind, node: str) -> None:
        if kind in self.forbidden:
            raise RefusedError(Reason.Forbidden, "patch", kind, node, "may not")
        if self.failure is not None:
            raise self.failure
        self.written.append((kind.name, node))
        self.wrote.set()

    def _label(self, name: str, labels: Mapping[str, str]) -> None:
        present = self.labels(name)
        others = {key: value for key, value in self.found[name].facts.labels.items() if key not in present}
        self.change(name, labels={**others, **labels})


class Stage:
    """A publisher in a fake cluster."""

    def __init__(self) -> None:
        self.cluster = FakeCluster()
        self.leading = True
        self.released: list[Hashable] = []
        writer = LabelWriter(self.cluster, self.cluster.serves, "system", self.clock)  # type: ignore[arg-type]
        self.publisher = EligibilityPublisher(
            writer, self.cluster, lambda: self.leading, self.released.append, self.clock
        )

    def clock(self) -> float:
        return self.cluster.now

    async def settle(self, passes: int = 6) -> float | None:
        """Look as often as it asks to look at once; returns when it wants to look again."""
        due: float | None = None
        for _ in range(passes):
            due = await self.publisher.publish()
            if due is None or due > self.cluster.now:
                break
        return due

    def take_writes(self) -> list[tuple[str, str]]:
        found, self.cluster.written = self.cluster.written, []
        return found


@pytest.fixture
def stage(monkeypatch: pytest.MonkeyPatch) -> Stage:
    monkeypatch.setattr(eligibility_publisher, "WRITES_PER_SECOND", 1_000_000)
    return Stage()


async def test_labels_are_written_once_with_those_first_that_keep_pods_away(stage: Stage) -> None:
    for name, kernel in (("a", "6.8"), ("b", _OLD), ("c", "6.8"), ("d", _OLD)):
        stage.cluster.add(name, kernel=kernel)
    stage.publisher.register("x", _NEED)
    await stage.settle()
    assert stage.take_writes() == [("Node", "b"), ("Node", "d"), ("Node", "a"), ("Node", "c")]
    assert [stage.cluster.labels(name) for name in "abcd"] == [{_LABEL: MET}, {_LABEL: MISSED}] * 2
    assert await stage.settle() is None
    assert stage.take_writes() == []
    assert stage.publisher.enforced is True


async def test_nothing_is_written_where_nobody_needs_a_label(stage: Stage) -> None:
    stage.cluster.add("a")
    stage.publisher.register("x", Need(gpus=8))
    assert await stage.settle() is None
    assert (stage.take_writes(), stage.publisher.enforced) == ([], None)
    assert stage.publisher.find_placement("x") is Placement.ENFORCED


async def test_nothing_is_written_before_every_source_was_read(stage: Stage) -> None:
    stage.cluster.add("a", kernel=_OLD)
    stage.cluster.settled = False
    stage.publisher.register("x", _NEED)
    assert await stage.publisher.publish() == stage.cluster.now + 1
    assert (stage.take_writes(), stage.publisher.find_placement("x")) == ([], Placement.UNKNOWN)


async def test_nodes_without_gpus_are_left_alone(stage: Stage) -> None:
    stage.cluster.add("cpu", gpus=None, labels={}, kernel=_OLD)
    stage.publisher.register("x", _NEED)
    await stage.settle()
    assert (stage.take_writes(), stage.publisher.enforced) == ([], True)


async def test_nodes_that_no_deployment_selects_are_left_alone(stage: Stage) -> None:
    pool = {"pool": "x"}
    stage.cluster.add("inside", labels={**build_evidence().facts.labels, **pool}, kernel=_OLD)
    stage.cluster.add("outside", kernel=_OLD)
    stage.publisher.register("x", replace(_NEED, selector=tuple(pool.items())))
    await stage.settle()
    assert (stage.take_writes(), stage.publisher.enforced) == ([("Node", "inside")], None)
    await stage.settle()
    assert stage.publisher.enforced is True
    stage.publisher.register("y", _NEED)
    assert stage.publisher.find_placement("y") is Placement.UNKNOWN
    assert stage.publisher.find_placement("x") is Placement.ENFORCED
    await stage.settle()
    assert stage.take_writes() == [("Node", "outside")]
    stage.publisher.forget("y")
    await stage.settle()
    assert stage.take_writes() == [], "a label that somebody needs stays where it is"


async def test_equal_needs_share_a_label_and_different_ones_do_not(stage: Stage) -> None:
    stage.cluster.add("a", kernel="5.15")
    for key, need in (("x", _NEED), ("y", _NEED), ("z", _OTHER)):
        stage.publisher.register(key, need)
    await stage.settle()
    assert stage.take_writes() == [("Node", "a")]
    assert stage.cluster.labels("a") == {_LABEL: MET, _OTHER_LABEL: MISSED}


async def test_deployment_waits_for_labels_that_keep_pods_away_and_is_woken(stage: Stage) -> None:
    stage.cluster.served, stage.cluster.acts = True, False
    stage.cluster.add("a", kernel=_OLD)
    stage.publisher.register("x", _NEED)
    assert stage.publisher.find_placement("x") is Placement.UNKNOWN
    await stage.publisher.publish()
    assert (stage.publisher.find_placement("x"), stage.released) == (Placement.PENDING, [])
    stage.cluster.change("a", labels={**stage.cluster.found["a"].facts.labels, _LABEL: MISSED})
    await stage.publisher.publish()
    assert (stage.publisher.find_placement("x"), stage.released) == (Placement.ENFORCED, ["x"])
    await stage.publisher.publish()
    assert stage.released == ["x"], "nobody is woken twice"


async def test_nobody_waits_for_labels_of_fit_nodes_or_of_nodes_that_come_later(stage: Stage) -> None:
    stage.cluster.served, stage.cluster.acts = True, False
    stage.cluster.add("a")
    stage.publisher.register("x", _NEED)
    await stage.publisher.publish()
    assert stage.publisher.find_placement("x") is Placement.ENFORCED
    stage.cluster.add("late", kernel=_OLD)
    await stage.publisher.publish()
    assert stage.publisher.find_placement("x") is Placement.ENFORCED


async def test_waiting_ends_where_labels_do_not_show(stage: Stage) -> None:
    stage.cluster.served, stage.cluster.acts = True, False
    stage.cluster.forbidden = {NODE}
    stage.cluster.add("a", kernel=_OLD)
    stage.publisher.register("x", _NEED)
    due = await stage.publisher.publish()
    stage.publisher.find_placement("x")
    due = await stage.publisher.publish()
    assert due == stage.cluster.now + PATIENCE_SECONDS
    stage.cluster.now += PATIENCE_SECONDS
    await stage.settle()
    assert (stage.publisher.find_placement("x"), stage.released) == (Placement.NOT_ENFORCED, ["x"])
    assert stage.publisher.enforced is False


async def test_waiting_goes_on_while_labels_show_and_never_for_ever(stage: Stage) -> None:
    stage.cluster.served, stage.cluster.acts = True, False
    stage.cluster.add("dead", kernel=_OLD)
    stage.publisher.register("x", _NEED)
    begun = stage.cluster.now
    for number in range(20):
        name = f"node-{number}"
        stage.cluster.add(name, kernel=_OLD)
        await stage.publisher.publish()
        waits = stage.publisher.find_placement("x") is Placement.PENDING
        assert waits is (stage.cluster.now < begun + LONGEST_WAIT_SECONDS)
        stage.cluster.change(name, labels={**stage.cluster.found[name].facts.labels, _LABEL: MISSED})
        stage.cluster.now += PATIENCE_SECONDS - 1
        await stage.publisher.publish()


async def test_node_features_carry_labels_where_they_are_served(stage: Stage) -> None:
    stage.cluster.served = True
    stage.cluster.add("a")
    stage.publisher.register("x", _NEED)
    await stage.settle()
    assert stage.take_writes() == [("NodeFeature", "a")]
    body = stage.cluster.features["inference-cache-a"]
    assert body["spec"] == {"features": {}, "labels": {_LABEL: MET}}
    assert body["metadata"]["ownerReferences"] == [{"apiVersion": "v1", "kind": "Node", "name": "a", "uid": "uid-a"}]


async def test_nodes_are_patched_where_node_features_are_forbidden(stage: Stage) -> None:
    stage.cluster.served, stage.cluster.forbidden = True, {NODE_FEATURE}
    stage.cluster.add("a")
    stage.cluster.add("b")
    stage.publisher.register("x", _NEED)
    await stage.settle()
    assert sorted(stage.take_writes()) == [("Node", "a"), ("Node", "b")]


async def test_nodes_are_patched_where_nobody_acts_on_node_features(stage: Stage) -> None:
    stage.cluster.served, stage.cluster.acts = True, False
    stage.cluster.add("a", kernel=_OLD)
    stage.publisher.register("x", _NEED)
    await stage.settle()
    assert stage.take_writes() == [("NodeFeature", "a")]
    stage.cluster.now += PATIENCE_SECONDS
    await stage.settle()
    assert (stage.take_writes(), stage.cluster.labels("a")) == ([("Node", "a")], {_LABEL: MISSED})
    # Later changes take the way that works.
    stage.cluster.add("b")
    await stage.settle()
    assert stage.take_writes() == [("Node", "b")]
    stage.cluster.now += IDLE_SECONDS
    assert stage.publisher.enforced is True


async def test_forbidden_ways_are_remembered_and_tried_again_later(stage: Stage) -> None:
    stage.cluster.served, stage.cluster.forbidden = True, {NODE_FEATURE, NODE}
    stage.cluster.add("a", kernel=_OLD)
    stage.publisher.register("x", _NEED)
    stage.publisher.find_placement("x")
    due = await stage.settle()
    assert (stage.publisher.enforced, stage.publisher.find_placement("x")) == (False, Placement.NOT_ENFORCED)
    assert (due, stage.released) == (stage.cluster.now + REFUSED_SECONDS, ["x"])
    stage.cluster.forbidden = set()
    await stage.settle()
    assert stage.take_writes() == [], "not before it is time"
    stage.cluster.now += REFUSED_SECONDS
    await stage.settle()
    await stage.settle()
    assert (stage.take_writes(), stage.publisher.enforced) == ([("NodeFeature", "a")], True)


async def test_label_goes_after_two_minutes_without_a_break_and_comes_back_at_once(stage: Stage) -> None:
    stage.cluster.add("a")
    stage.publisher.register("x", _NEED)
    await stage.settle()
    stage.take_writes()
    stage.cluster.change("a", kernel=_OLD)
    assert await stage.settle() == stage.cluster.now + MISSED_SECONDS
    stage.cluster.now += MISSED_SECONDS - 1
    await stage.settle()
    assert stage.take_writes() == []
    stage.cluster.now += 1
    await stage.settle()
    assert stage.cluster.labels("a") == {_LABEL: MISSED}
    stage.cluster.change("a", kernel="6.8")
    await stage.settle()
    assert (stage.cluster.labels("a"), len(stage.take_writes())) == ({_LABEL: MET}, 2)


async def test_node_that_is_lost_or_cordoned_is_not_written_to(stage: Stage) -> None:
    stage.cluster.add("a")
    stage.publisher.register("x", _NEED)
    await stage.settle()
    stage.take_writes()
    stage.cluster.change("a", ready=False, unschedulable=True)
    assert await stage.settle() is None
    assert stage.take_writes() == []


async def test_labels_go_when_nobody_has_needed_them_for_a_while(stage: Stage) -> None:
    stage.cluster.served = True
    stage.cluster.add("a")
    stage.publisher.register("x", _NEED)
    await stage.settle()
    stage.take_writes()
    stage.publisher.forget("x")
    due = await stage.settle()
    assert (stage.take_writes(), due) == ([], stage.cluster.now + UNNEEDED_SECONDS)
    stage.cluster.now += UNNEEDED_SECONDS
    await stage.settle()
    assert stage.cluster.labels("a") == {}
    assert stage.cluster.features == {}
    await stage.settle()
    assert await stage.settle() is None, "where no node has a label and nobody needs one, nobody looks"


async def test_new_leader_takes_over_labels_without_a_write(stage: Stage) -> None:
    stage.cluster.add("a")
    stage.cluster.add("b", kernel=_OLD)
    stage.publisher.register("x", _NEED)
    await stage.settle()
    stage.take_writes()
    stage.publisher.reset()
    await stage.settle()
    stage.publisher.register("x", _NEED)
    assert stage.publisher.find_placement("x") is Placement.UNKNOWN
    await stage.settle()
    assert (stage.take_writes(), stage.publisher.find_placement("x")) == ([], Placement.ENFORCED)


async def test_need_that_changes_gets_its_own_label_and_the_old_one_stays_for_a_while(stage: Stage) -> None:
    stage.cluster.add("a")
    stage.publisher.register("x", _NEED)
    await stage.settle()
    stage.publisher.register("x", _OTHER)
    await stage.settle()
    assert stage.cluster.labels("a") == {_LABEL: MET, _OTHER_LABEL: MET}


async def test_node_that_was_replaced_meanwhile_stops_nobody(stage: Stage) -> None:
    stage.cluster.add("a", kernel=_OLD)
    stage.cluster.add("b", kernel=_OLD)
    stage.cluster.failure = ConflictError("replaced")
    stage.publisher.register("x", _NEED)
    await stage.settle()
    stage.cluster.failure = None
    await stage.settle()
    assert sorted(stage.take_writes()) == [("Node", "a"), ("Node", "b")]


async def test_failing_server_is_an_error_for_the_caller_to_repeat(stage: Stage) -> None:
    stage.cluster.add("a")
    stage.cluster.failure = UnavailableError("down")
    stage.publisher.register("x", _NEED)
    with pytest.raises(UnavailableError):
        await stage.publisher.publish()


async def test_task_writes_when_it_leads_and_not_before(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(eligibility_publisher, "_SETTLE_SECONDS", 0.0)
    monkeypatch.setattr(eligibility_publisher, "_SOON_SECONDS", 0.0)
    stage.cluster.add("a")
    stage.leading = False
    stage.publisher.register("x", _NEED)
    task = asyncio.create_task(stage.publisher.run())
    try:
        for _ in range(20):
            await asyncio.sleep(0)
        assert stage.take_writes() == []
        stage.leading = True
        stage.publisher.note_news()
        async with asyncio.timeout(5):
            await stage.cluster.wrote.wait()
        assert stage.take_writes() == [("Node", "a")]
    finally:
        task.cancel()
        await asyncio.wait({task})


async def test_five_thousand_nodes_do_not_hold_the_loop(stage: Stage) -> None:
    """The loop turns once for each portion of nodes."""
    for number in range(5000):
        stage.cluster.add(f"node-{number}", labels={**build_evidence().facts.labels, _LABEL: MET})
    stage.publisher.register("x", _NEED)
    turns = 0

    async def turn() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    task = asyncio.create_task(turn())
    await stage.publisher.publish()
    task.cancel()
    assert stage.take_writes() == []
    assert turns >= 24


async def test_label_that_never_shows_is_written_ever_more_rarely(stage: Stage) -> None:
    stage.cluster.served = True
    stage.cluster.add("fine", kernel=_OLD)
    stage.publisher.register("x", _NEED)
    await stage.settle()
    # The way works; somebody else keeps one node's label as it is.
    stage.cluster.acts = False
    stage.cluster.add("stuck", kernel=_OLD)
    stage.take_writes()
    for _ in range(120):
        await stage.settle()
        stage.cluster.now += PATIENCE_SECONDS
    writes = stage.take_writes()
    assert {node for _, node in writes} == {"stuck"}
    assert 2 <= len(writes) <= 8
