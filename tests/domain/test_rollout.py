"""Which outdated pods may go now."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from inference_cache.domain.pod_facts import PodFacts
from inference_cache.domain.rollout import plan_replacements
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
    plan = plan_replacements(pods, NEW, replicas, budget)
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
    plan = plan_replacements(pods, NEW, replicas, budget)
    left = [pod for pod in serving if pod not in plan.delete]
    assert len(left) >= min(len(serving), replicas - budget)
    assert all(pod.revision == OLD and not pod.terminating for pod in plan.delete)
