"""Which pods may go now: those of an older specification, and those that take up RDMA again."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from inference_cache.api.transport import Recovery
from inference_cache.domain.attachment import Variant
from inference_cache.domain.pod_facts import PodFacts
from inference_cache.domain.pod_transport import Make, PodTransport
from inference_cache.domain.preflight_report import Evidence, PreflightReport
from inference_cache.domain.reasons import Reason
from inference_cache.domain.rollout import RETRY_RDMA_SECONDS, Retry, plan_replacements
from tests.support.builders import build_pod

OLD, NEW = "old", "new"
_CASES: dict[str, tuple[list[PodFacts], int, int, list[int], int]] = {
    "nothing is outdated": ([build_pod(0), build_pod(1)], 2, 1, [], 0),
    "the highest ordinal goes first": ([build_pod(n, revision=OLD) for n in range(3)], 3, 1, [2], 3),
    "two at a time": ([build_pod(n, revision=OLD) for n in range(3)], 3, 2, [2, 1], 3),
    "a new pod that is not ready uses the budget": ([build_pod(0, revision=OLD), build_pod(1, ready=False)], 2, 1, [], 1),
    "a missing pod uses the budget": ([build_pod(0, revision=OLD)], 2, 1, [], 1),
    "a pod that ends uses the budget": ([build_pod(0, revision=OLD), build_pod(1, revision=OLD, terminating=True)], 2, 1, [], 1),
    "a broken outdated pod goes whatever the budget": ([build_pod(0, revision=OLD, ready=False), build_pod(1, ready=False)], 2, 1, [0], 1),
    "a pod beyond the wanted replicas is left to the StatefulSet": ([build_pod(0), build_pod(1, revision=OLD)], 1, 1, [], 0),
}  # fmt: skip


@pytest.mark.parametrize(("pods", "replicas", "budget", "gone", "outdated"), _CASES.values(), ids=_CASES.keys())
def test_replacements_when(pods: list[PodFacts], replicas: int, budget: int, gone: list[int], outdated: int) -> None:
    plan = plan_replacements(pods, Make(NEW), replicas, budget)
    assert ([pod.ordinal for pod in plan.delete], plan.outdated) == (gone, outdated)


_POD = st.builds(
    lambda revision, ready, terminating: (revision, ready, terminating),
    st.sampled_from([OLD, NEW]),
    st.booleans(),
    st.booleans(),
)


@given(st.lists(_POD, max_size=12), st.integers(0, 12), st.integers(1, 12))
def test_ready_pods_never_fall_below_the_budget(
    states: list[tuple[str, bool, bool]], replicas: int, budget: int
) -> None:
    pods = [
        build_pod(number, revision=revision, ready=ready, terminating=terminating)
        for number, (revision, ready, terminating) in enumerate(states)
    ]
    serving = [pod for pod in pods if pod.ready and not pod.terminating and pod.ordinal < replicas]
    plan = plan_replacements(pods, Make(NEW), replicas, budget)
    left = [pod for pod in serving if pod not in plan.delete]
    assert len(left) >= min(len(serving), replicas - budget)
    assert all(pod.make.revision == OLD and not pod.terminating for pod in plan.delete)


RDMA_TEMPLATE = Make(NEW, Variant.RDMA, "abc")
TCP_TEMPLATE = Make(NEW, Variant.TCP, "abc")
NOW = 100_000.0
_FELL = PodTransport(preflight=PreflightReport(Variant.TCP, Evidence.NONE))
_FINE = PodTransport(preflight=PreflightReport(Variant.RDMA, Evidence.UNVERIFIED))


def _tcp(ordinal: int, **facts: Any) -> PodFacts:
    return build_pod(ordinal, **({"revision": OLD, "variant": Variant.TCP, "workload_hash": "abc"} | facts))


def _rdma(ordinal: int, **facts: Any) -> PodFacts:
    known: dict[str, Any] = {"variant": Variant.RDMA, "workload_hash": "abc", "transport": _FINE, "created": NOW - 900}
    return build_pod(ordinal, **(known | facts))


_PLACE = (Reason.PodsUnschedulable, "Pod waits.")
_OTHERS: dict[str, tuple[list[PodFacts], Make, list[int], int]] = {
    "pods of the other transport that serve stay": ([_tcp(0), _rdma(1)], RDMA_TEMPLATE, [], 0),
    "pods of the other transport that start stay": ([_tcp(0, ready=False), _rdma(1)], RDMA_TEMPLATE, [], 0),
    "those that find no node go": ([_rdma(0, revision=OLD, ready=False, node="", problem=_PLACE), _tcp(1, revision=NEW)], TCP_TEMPLATE, [0], 0),
    "those without network go": ([_rdma(0, revision=OLD, ready=False, waits_since=NOW), _tcp(1, revision=NEW)], TCP_TEMPLATE, [0], 0),
    "those that crash go": ([_tcp(0, ready=False, problem=(Reason.PodsCrashing, "Pod crashes.")), _rdma(1)], RDMA_TEMPLATE, [0], 0),
    "a pod of the same transport that finds no node stays": ([_rdma(0, ready=False, node="", problem=_PLACE)], RDMA_TEMPLATE, [], 0),
    "those of another specification are outdated": ([_tcp(0, workload_hash="xyz"), _rdma(1)], RDMA_TEMPLATE, [0], 1),
    "those from before the spec asked for RDMA are outdated": ([build_pod(0, revision=OLD), _rdma(1)], RDMA_TEMPLATE, [0], 1),
    "those with other devices are outdated": ([_rdma(0, revision=OLD), _rdma(1)], RDMA_TEMPLATE, [0], 1),
    "a pod that the kubelet refused is left to others": ([_rdma(0, ready=False, refused="TopologyAffinityError"), _rdma(1)], RDMA_TEMPLATE, [], 0),
}  # fmt: skip


@pytest.mark.parametrize(("pods", "template", "gone", "outdated"), _OTHERS.values(), ids=_OTHERS.keys())
def test_other_transport_when(pods: list[PodFacts], template: Make, gone: list[int], outdated: int) -> None:
    plan = plan_replacements(pods, template, len(pods), 1)
    found = [pod.ordinal for pod in (*plan.delete, *plan.lost)]
    assert (found, plan.retry, plan.outdated) == (gone, (), outdated)
    assert outdated or not plan.delete


def _retry(recovery: Recovery = Recovery.IMMEDIATE, *, fine: bool = True) -> Retry:
    return Retry(recovery, lambda _: fine, NOW)


_RETRIES: dict[str, tuple[list[PodFacts], Make, Retry, list[int], float | None]] = {
    "NextRestart leaves pods on TCP": ([_tcp(0), _rdma(1)], RDMA_TEMPLATE, _retry(Recovery.NEXT_RESTART), [], None),
    "Immediate replaces one within the budget": ([_tcp(0), _tcp(1)], RDMA_TEMPLATE, _retry(), [1], None),
    "Immediate waits for the one that starts": ([_tcp(0), _rdma(1, ready=False)], RDMA_TEMPLATE, _retry(), [], None),
    "Immediate lets outdated pods go first": ([_tcp(0), build_pod(1, revision=OLD)], RDMA_TEMPLATE, _retry(), [], None),
    "Immediate does nothing while pods are made for TCP": ([_tcp(0, revision=NEW)], TCP_TEMPLATE, _retry(), [], None),
    "a pod that fell back long ago is tried once more": ([_rdma(0, transport=_FELL), _rdma(1)], RDMA_TEMPLATE, _retry(), [0], None),
    "one at a time": ([_rdma(0, transport=_FELL), _rdma(1, transport=_FELL)], RDMA_TEMPLATE, _retry(), [1], None),
    "not while another is missing": ([_rdma(0, transport=_FELL), _rdma(1, ready=False)], RDMA_TEMPLATE, _retry(), [], None),
    "not on a node that lacks RDMA": ([_rdma(0, transport=_FELL)], RDMA_TEMPLATE, _retry(fine=False), [], None),
    "not before its time": ([_rdma(0, transport=_FELL, created=NOW - 500)], RDMA_TEMPLATE, _retry(), [], RETRY_RDMA_SECONDS - 500),
    "not with NextRestart": ([_rdma(0, transport=_FELL)], RDMA_TEMPLATE, _retry(Recovery.NEXT_RESTART), [], None),
    "pods on RDMA stay": ([_rdma(0), _rdma(1)], RDMA_TEMPLATE, _retry(), [], None),
}  # fmt: skip


@pytest.mark.parametrize(("pods", "template", "retry", "gone", "look_again"), _RETRIES.values(), ids=_RETRIES.keys())
def test_recovery_when(
    pods: list[PodFacts], template: Make, retry: Retry, gone: list[int], look_again: float | None
) -> None:
    plan = plan_replacements(pods, template, len(pods), 1, retry)
    assert ([pod.ordinal for pod in plan.retry], plan.look_again) == (gone, look_again)


_ANY = st.builds(
    lambda variant, ready, terminating, fell, hash_, node: {
        "variant": variant,
        "revision": NEW if variant is Variant.RDMA else OLD,
        "ready": ready,
        "terminating": terminating,
        "transport": _FELL if fell else _FINE,
        "workload_hash": hash_,
        "node": node,
        "created": NOW - 900,
    },
    st.sampled_from([Variant.RDMA, Variant.TCP, None]),
    st.booleans(),
    st.booleans(),
    st.booleans(),
    st.sampled_from(["abc", "xyz"]),
    st.sampled_from(["node-1", ""]),
)


@given(st.lists(_ANY, max_size=8), st.integers(0, 8), st.integers(1, 4), st.sampled_from(Recovery))
def test_transport_alone_never_makes_a_pod_outdated_nor_breaks_the_budget(
    states: list[dict[str, Any]], replicas: int, budget: int, recovery: Recovery
) -> None:
    pods = [build_pod(number, **facts) for number, facts in enumerate(states)]
    plan = plan_replacements(pods, RDMA_TEMPLATE, replicas, budget, _retry(recovery))
    gone = (*plan.delete, *plan.lost, *plan.retry)
    assert not any(pod.ready for pod in plan.lost)
    assert len({pod.name for pod in gone}) == len(gone)
    kept = [pod for pod in pods if pod.make.variant is Variant.TCP and pod.make.workload_hash == "abc"]
    assert not any(pod in kept for pod in plan.delete)
    if recovery is Recovery.NEXT_RESTART:
        assert plan.retry == ()
    serving = [pod for pod in pods if pod.ready and not pod.terminating and pod.ordinal < replicas]
    left = [pod for pod in serving if pod not in gone]
    assert len(left) >= min(len(serving), replicas - budget)
