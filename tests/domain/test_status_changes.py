"""Which changes of a status may wait: counts of nodes alone, and nothing that someone acts on."""

import copy
from typing import Any

import pytest

from inference_cache.domain.status_changes import is_count_alone

_STATUS: dict[str, Any] = {
    "observedGeneration": 3,
    "readyReplicas": 2,
    "nodes": {"candidates": 200, "eligible": 160},
    "transport": {"decision": "TCP"},
    "conditions": [
        {"type": "Ready", "status": "False", "reason": "PodsUnschedulable", "message": "0/200 nodes: 40 not ready."},
        {"type": "NodesEligible", "status": "True", "reason": "NodesAvailable", "message": "160 of 200 nodes."},
        {"type": "TransportDegraded", "status": "True", "reason": "RDMAPartial", "message": "3 pods."},
        {"type": "CredentialsReady", "status": "False", "reason": "SecretKeyMissing", "message": "no key A."},
    ],
}
_CASES: dict[str, tuple[list[tuple[list[Any], Any]], bool]] = {
    "nothing": ([], False),
    "counts of nodes": ([(["nodes", "eligible"], 150), (["conditions", 1, "message"], "150 of 200 nodes.")], True),
    "what the scheduler says of nodes": ([(["conditions", 0, "message"], "0/200 nodes: 50 not ready.")], True),
    "why pods use TCP": ([(["conditions", 2, "message"], "4 pods.")], True),
    "another reason": ([(["nodes", "eligible"], 150), (["conditions", 2, "reason"], "RDMAUnavailable")], False),
    "another status": ([(["conditions", 1, "status"], "False")], False),
    "what a person must mend": ([(["conditions", 3, "message"], "no key B.")], False),
    "ready pods": ([(["nodes", "eligible"], 150), (["readyReplicas"], 1)], False),
    "the decision": ([(["transport", "decision"], "RDMA")], False),
    "the generation": ([(["observedGeneration"], 4)], False),
    "nodes for the first time": ([(["nodes"], None)], False),
}


@pytest.mark.parametrize(("changes", "waits"), _CASES.values(), ids=_CASES.keys())
def test_change_waits_when_it_is_of(changes: list[tuple[list[Any], Any]], waits: bool) -> None:
    after = copy.deepcopy(_STATUS)
    for path, value in changes:
        place: Any = after
        for step in path[:-1]:
            place = place[step]
        if value is None:
            del place[path[-1]]
        else:
            place[path[-1]] = value
    assert is_count_alone(_STATUS, after) is waits


@pytest.mark.parametrize(
    ("path", "waits"),
    [("replicas", True), ("updatedReplicas", True), ("transport", True), ("readyReplicas", False)],
)
def test_pods_that_come_and_go_wait_while_the_kubelet_refuses_them(path: str, waits: bool) -> None:
    before = copy.deepcopy(_STATUS) | {"replicas": 2, "updatedReplicas": 2}
    assert not is_count_alone(before, before | {path: 1})
    before["conditions"][0]["reason"] = "PodAdmissionFailed"
    assert is_count_alone(before, before | {path: 1}) is waits


def test_first_status_never_waits() -> None:
    assert not is_count_alone(None, _STATUS)
