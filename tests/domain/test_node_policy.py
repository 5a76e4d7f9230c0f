"""Which nodes can run a replica, and the one reason why another cannot."""

from typing import Any

import pytest

from inference_cache.domain import names
from inference_cache.domain.node_facts import NodeFacts, Taint
from inference_cache.domain.node_policy import check_nodes
from inference_cache.domain.reasons import Reason
from inference_cache.domain.verdict import Truth
from tests.support.builders import build_node, build_settled

_GPU = names.GPU_PRODUCT_LABEL
_INELIGIBLE: dict[str, tuple[dict[str, Any], Reason]] = {
    "a lost node, whatever else is wrong": ({"ready": False, "gpus": 0, "memory": 0}, Reason.NodeNotReady),
    "a cordoned node": ({"unschedulable": True}, Reason.NodeUnschedulable),
    "another GPU model, even with too few": ({"labels": {_GPU: "NVIDIA-B200"}, "gpus": 1}, Reason.GPUProductMismatch),
    "GPUs without a model label": ({"labels": {}}, Reason.GPUProductUnknown),
    "no label and no GPUs advertised": ({"labels": {}, "gpus": None}, Reason.GPUNotAdvertised),
    "a label but no GPUs advertised": ({"gpus": None}, Reason.GPUNotAdvertised),
    "one GPU too few": ({"gpus": 7}, Reason.GPUCountTooLow),
    "too little memory": ({"memory": 1200 * 2**30}, Reason.MemoryTooSmall),
}


@pytest.mark.parametrize(("facts", "reason"), _INELIGIBLE.values(), ids=_INELIGIBLE.keys())
def test_node_has_one_precise_reason(facts: dict[str, Any], reason: Reason) -> None:
    verdict, status = check_nodes(build_settled(), [build_node(**facts)])
    assert (verdict.status, verdict.reason) == (Truth.FALSE, Reason.NoEligibleNodes)
    assert status is not None
    assert [(item.reason, item.count, item.examples) for item in status.ineligible or []] == [
        (reason.name, 1, ["node-1"])
    ]
    assert reason.name in verdict.message
    assert verdict.message.endswith(Reason.NoEligibleNodes.remedy)


_CANDIDATES: dict[str, tuple[dict[str, Any], NodeFacts, bool]] = {
    "every label matches": ({"nodes.selector": {_GPU: "NVIDIA-H200"}}, build_node(), True),
    "a label is missing": ({"nodes.selector": {"pool": "x"}}, build_node(), False),
    "a taint is not tolerated": ({}, build_node(taints=(Taint("other", "", "NoSchedule"),)), False),
    "the effect of the toleration is another": ({}, build_node(taints=(Taint(names.GPU_RESOURCE, "", "NoExecute"),)), False),
    "a state taint has a reason of its own": ({}, build_node(taints=(Taint("node.kubernetes.io/not-ready", "", "NoExecute"),)), True),
    "value and taint are equal": ({"nodes.tolerations": [{"key": "a", "value": "b"}]}, build_node(taints=(Taint("a", "b", "NoSchedule"),)), True),
    "value and taint differ": ({"nodes.tolerations": [{"key": "a", "value": "c"}]}, build_node(taints=(Taint("a", "b", "NoSchedule"),)), False),
    "everything is tolerated": ({"nodes.tolerations": [{"operator": "Exists"}]}, build_node(taints=(Taint("a", "b", "NoExecute"),)), True),
}  # fmt: skip


@pytest.mark.parametrize(("changes", "node", "candidate"), _CANDIDATES.values(), ids=_CANDIDATES.keys())
def test_candidate_when(changes: dict[str, Any], node: NodeFacts, candidate: bool) -> None:
    verdict, status = check_nodes(build_settled(changes), [node])
    assert status is not None
    assert status.candidates == int(candidate)
    assert verdict.reason is (Reason.NodesAvailable if candidate else Reason.NoCandidateNodes)


def test_unread_nodes_are_unknown_and_not_absent() -> None:
    verdict, status = check_nodes(build_settled(), None)
    assert (verdict.status, verdict.reason, status) == (Truth.UNKNOWN, Reason.NodesUnknown, None)
    assert verdict.passing


def test_one_good_node_is_enough_and_the_rest_is_counted_with_three_examples() -> None:
    nodes = [build_node(f"node-{number}", ready=number == 0) for number in range(6)]
    verdict, status = check_nodes(build_settled(), reversed(nodes))
    assert verdict.status is Truth.TRUE
    assert status is not None
    assert (status.candidates, status.eligible) == (6, 1)
    assert [(item.count, item.examples) for item in status.ineligible or []] == [(5, ["node-1", "node-2", "node-3"])]


def test_scaled_to_zero_needs_no_eligible_node() -> None:
    verdict, _ = check_nodes(build_settled({"replicas": 0}), [build_node(ready=False)])
    assert verdict.status is Truth.TRUE
