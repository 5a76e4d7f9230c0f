"""How the pods are doing: counts, and the one reason that someone should look at first."""

import copy
from dataclasses import replace
from typing import Any

import pytest

from inference_cache.domain import names
from inference_cache.domain.attachment import Variant
from inference_cache.domain.desired import build_desired
from inference_cache.domain.live import Live
from inference_cache.domain.pod_facts import PodFacts
from inference_cache.domain.reasons import Reason
from inference_cache.domain.refused_pods import Refusal
from inference_cache.domain.verdict import ConditionType, bad
from inference_cache.domain.workload_state import check_workload, observe_workload
from tests.support.builders import build_pod, build_sample_scope, observe

_BLOCKER = bad(ConditionType.CREDENTIALS_READY, Reason.SecretNotFound)


def _stateful_set(**status: Any) -> Live:
    live = observe(build_desired(build_sample_scope())[-1])
    metadata = live.metadata | {"generation": 2}
    return replace(
        live,
        body=live.body | {"metadata": metadata, "status": {"observedGeneration": 2, "updateRevision": "new"} | status},
    )


_CRASH = (Reason.PodsCrashing, "Pod b crashes.")
_PULL = (Reason.ImagePullFailing, "Pod c pulls.")
_PLACE = (Reason.PodsUnschedulable, "Pod a waits.")
_CASES: dict[str, tuple[list[PodFacts], int, Reason, str]] = {
    "every wanted pod is ready": ([build_pod(0), build_pod(1)], 2, Reason.PodsReady, "2 of 2"),
    "no pod is wanted": ([], 0, Reason.ScaledToZero, ""),
    "a pod starts": ([build_pod(0), build_pod(1, ready=False)], 2, Reason.PodsStarting, "1 of 2"),
    "a ready pod that ends does not count": ([build_pod(0), build_pod(1, terminating=True)], 2, Reason.PodsStarting, "1 of 2"),
    "a pod was not created": ([build_pod(0)], 2, Reason.PodsNotCreated, "1 pods do not exist"),
    "the worst problem is named first": (
        [build_pod(0, ready=False, problem=_PLACE), build_pod(1, ready=False, problem=_CRASH), build_pod(2, ready=False, problem=_PULL)],
        3,
        Reason.ImagePullFailing,
        "2 more pods have problems",
    ),
    "a problem of an ending pod does not count": (
        [build_pod(0), build_pod(1, ready=False, terminating=True, problem=_CRASH)],
        2,
        Reason.PodsStarting,
        "1 of 2",
    ),
}  # fmt: skip


@pytest.mark.parametrize(("pods", "wanted", "reason", "text"), _CASES.values(), ids=_CASES.keys())
def test_workload_when(pods: list[PodFacts], wanted: int, reason: Reason, text: str) -> None:
    verdict = check_workload(observe_workload(_stateful_set(), pods, wanted), pods, None)
    assert verdict.reason is reason
    assert text in verdict.message


def test_no_stateful_set_is_held_by_a_blocker_and_otherwise_starting() -> None:
    state = observe_workload(None, [], 2)
    assert check_workload(state, [], _BLOCKER).reason is Reason.WorkloadHeld
    assert "CredentialsReady: SecretNotFound" in check_workload(state, [], _BLOCKER).message
    assert check_workload(state, [], None).reason is Reason.PodsStarting


def test_blocker_does_not_hide_pods_that_run() -> None:
    pods = [build_pod(0), build_pod(1)]
    assert check_workload(observe_workload(_stateful_set(), pods, 2), pods, _BLOCKER).reason is Reason.PodsReady


def test_no_pod_counts_as_updated_before_the_controller_saw_the_specification() -> None:
    pods = [build_pod(0), build_pod(1, revision="old")]
    stale = observe_workload(_stateful_set(observedGeneration=1), pods, 2)
    assert (stale.settled, stale.updated) == (False, 0)
    seen = observe_workload(_stateful_set(), pods, 2)
    assert (seen.settled, seen.updated, seen.ready, seen.replicas) == (True, 1, 2, 2)


NOW = 10_000.0
_REFUSED = (Reason.PodAdmissionFailed, "Pod nemotron-70b-1: TopologyAffinityError no zone.")


def _refusal(ordinal: int, number: int = 0, at: float = NOW - 5) -> Refusal:
    return Refusal(f"nemotron-70b-{ordinal}", f"uid-{number}", "node-1", "TopologyAffinityError no zone", at)


_REFUSALS: dict[str, tuple[list[PodFacts], list[Refusal], Reason, str]] = {
    "a pod that is still there": (
        [build_pod(0), build_pod(1, ready=False, problem=_REFUSED, refused="TopologyAffinityError", created=NOW - 5)],
        [],
        Reason.PodAdmissionFailed,
        "1 of 2 pods are ready. Pod nemotron-70b-1 was refused by node-1: TopologyAffinityError no zone.",
    ),
    "pods that are gone": (
        [build_pod(0)],
        [_refusal(1, number) for number in range(4)],
        Reason.PodAdmissionFailed,
        "It keeps happening: Kubernetes makes a new pod at once.",
    ),
    "their successor that waits for a node": (
        [build_pod(0), build_pod(1, ready=False, problem=_PLACE, node="")],
        [_refusal(1)],
        Reason.PodAdmissionFailed,
        "Pod nemotron-70b-1 was refused by node-1: TopologyAffinityError no zone. See the message",
    ),
    "their successor that serves": ([build_pod(0, ready=False), build_pod(1)], [_refusal(1)], Reason.PodsStarting, "1 of 2"),
    "refusals of an hour ago": ([build_pod(0)], [_refusal(1, at=NOW - 3600)], Reason.PodsNotCreated, "1 pods do not exist"),
    "a crash of another pod comes first": (
        [build_pod(0, ready=False, problem=_CRASH)],
        [_refusal(1)],
        Reason.PodsCrashing,
        "1 more pods have problems",
    ),
}  # fmt: skip


@pytest.mark.parametrize(("pods", "refusals", "reason", "text"), _REFUSALS.values(), ids=_REFUSALS.keys())
def test_refused_pods_are_told_with(pods: list[PodFacts], refusals: list[Refusal], reason: Reason, text: str) -> None:
    verdict = check_workload(observe_workload(_stateful_set(), pods, 2), pods, None, refusals, NOW)
    assert verdict.reason is reason
    assert text in verdict.message


def test_pods_of_the_other_transport_count_as_updated_unless_rdma_is_required() -> None:
    live = _stateful_set()
    body = copy.deepcopy(live.body)
    body["spec"]["template"]["metadata"]["labels"] |= {names.LABEL_TRANSPORT: "RDMA", names.LABEL_WORKLOAD_HASH: "abc"}
    live = replace(live, body=body)
    pods = [
        build_pod(0, variant=Variant.RDMA, workload_hash="abc"),
        build_pod(1, revision="old", variant=Variant.TCP, workload_hash="abc"),
        build_pod(2, revision="old", variant=Variant.TCP, workload_hash="xyz"),
    ]
    assert observe_workload(live, pods, 3).updated == 2
    assert not observe_workload(live, pods, 3).same
    assert observe_workload(live, pods, 3, exact=True).updated == 1


def test_change_of_the_transport_alone_is_no_change_before_the_controller_has_seen_it() -> None:
    live = _stateful_set(observedGeneration=1)
    body = copy.deepcopy(live.body)
    body["spec"]["template"]["metadata"]["labels"] |= {names.LABEL_TRANSPORT: "TCP", names.LABEL_WORKLOAD_HASH: "abc"}
    live = replace(live, body=body)
    pods = [build_pod(number, revision="old", variant=Variant.RDMA, workload_hash="abc") for number in range(2)]
    state = observe_workload(live, pods, 2)
    assert (state.settled, state.same, state.updated) == (False, True, 2)
    older = [*pods, build_pod(2, revision="old", variant=Variant.RDMA, workload_hash="xyz")]
    assert (observe_workload(live, older, 3).same, observe_workload(live, older, 3).updated) == (False, 2)
    assert not observe_workload(live, pods, 2, exact=True).same
    assert not observe_workload(live, [], 2).same
