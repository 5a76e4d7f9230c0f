"""Pods that the kubelet refused: what is told of them, and how fast the operator deletes those that stay."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from inference_cache.domain.reasons import Reason
from inference_cache.domain.refused_pods import (
    RECENT_SECONDS,
    STAY_SECONDS,
    Refusal,
    Removed,
    build_refusal,
    count_removal,
    describe_refusals,
    plan_removal,
)
from tests.support.builders import build_pod

NOW = 10_000.0
_PROBLEM = (Reason.PodAdmissionFailed, "Pod nemotron-70b-0: TopologyAffinityError Resources cannot be allocated.")
_POD = build_pod(0, ready=False, problem=_PROBLEM, refused="TopologyAffinityError", created=NOW - 5)


def _refusal(number: int = 0, **changes: object) -> Refusal:
    base = Refusal("nemotron-70b-0", f"uid-{number}", "node-1", "TopologyAffinityError no zone", NOW - 5)
    return replace(base, **changes)  # type: ignore[arg-type] # the names are those of the fields


def test_refusal_is_the_kubelets_own_words() -> None:
    found = build_refusal(_POD)
    assert found == Refusal(
        "nemotron-70b-0", _POD.uid, "node-1", "TopologyAffinityError Resources cannot be allocated", NOW - 5
    )
    assert build_refusal(build_pod(0)) is None


_TOLD: dict[str, tuple[list[Refusal], str]] = {
    "nothing": ([], ""),
    "one refusal": ([_refusal()], "Pod nemotron-70b-0 was refused by node-1: TopologyAffinityError no zone."),
    "another pod that serves": ([_refusal(pod="nemotron-70b-1")], ""),
    "a refusal of long ago": ([_refusal(at=NOW - RECENT_SECONDS)], ""),
    "again and again": (
        [_refusal(n) for n in range(3)],
        "Pod nemotron-70b-0 was refused by node-1: TopologyAffinityError no zone. It keeps happening: Kubernetes makes a new pod at once.",
    ),
    "on many nodes": (
        [_refusal(n, node=f"node-{n}") for n in (4, 3, 2, 1)],
        "Pod nemotron-70b-0 was refused by node-1, node-2, node-3 and others: TopologyAffinityError no zone. It keeps happening: Kubernetes makes a new pod at once.",
    ),
}


@pytest.mark.parametrize(("refusals", "text"), _TOLD.values(), ids=_TOLD.keys())
def test_missing_pod_is_explained_by(refusals: list[Refusal], text: str) -> None:
    found = describe_refusals(refusals, frozenset({"nemotron-70b-0"}), NOW)
    assert (found[1] if found else "") == text


@given(st.permutations([_refusal(n, node=f"node-{n % 3}", at=NOW - n) for n in range(8)]), st.integers(3, 8))
def test_text_does_not_change_while_the_same_goes_on(refusals: list[Refusal], known: int) -> None:
    nodes = {item.node for item in refusals[:known]}
    found = describe_refusals(refusals[:known], frozenset({"nemotron-70b-0"}), NOW)
    assert found is not None
    again = describe_refusals([item for item in refusals if item.node in nodes], frozenset({"nemotron-70b-0"}), NOW)
    assert found == again


def test_refused_pod_is_left_to_kubernetes_first() -> None:
    early = plan_removal([_POD], None, NOW)
    assert (early.pod, early.look_again) == (None, STAY_SECONDS - 5)
    due = plan_removal([_POD], None, NOW + STAY_SECONDS)
    assert (due.pod, due.look_again) == (_POD, None)
    assert plan_removal([replace(_POD, terminating=True), build_pod(1)], None, NOW + 60).pod is None


def test_deletions_grow_rarer_while_they_repeat_and_begin_anew_after_a_while() -> None:
    removed, now, pauses = None, NOW, []
    for _ in range(7):
        removed = count_removal(removed, now)
        pauses.append(removed.pause)
        now += removed.pause
    assert pauses == [30, 60, 120, 240, 480, 600, 600]
    assert removed is not None
    assert count_removal(removed, removed.last + 2000) == Removed(removed.last + 2000, 1)


@given(st.lists(st.floats(0, 400), max_size=30))
def test_never_two_deletions_within_the_pause(steps: list[float]) -> None:
    now, removed = NOW, None
    done: list[float] = []
    for step in steps:
        now += step
        plan = plan_removal([replace(_POD, created=NOW - 100)], removed, now)
        if plan.pod is None:
            assert plan.look_again is not None
            assert plan.look_again > 0
            continue
        if done:
            assert now - done[-1] >= STAY_SECONDS
        done.append(now)
        removed = count_removal(removed, now)
