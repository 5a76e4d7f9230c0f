"""The status of a fabric: which condition says what, when someone must act, and that same facts give the same status."""

from typing import Any

import pytest

from inference_cache.api.fabric_status import FabricNodes, InferenceCacheFabricStatus
from inference_cache.api.status import NodeReasonCount
from inference_cache.domain.conditions import summarize_failure
from inference_cache.domain.fabric.facts import FabricFacts, project_fabric
from inference_cache.domain.fabric.findings import Finding, ObjectState
from inference_cache.domain.fabric.nodes import Survey
from inference_cache.domain.fabric.summary import (
    FabricOutcome,
    list_unverified,
    summarize_fabric,
)
from inference_cache.domain.reasons import Reason
from inference_cache.domain.verdict import Truth

from .fabric_facts import CASES, build_fabric, load_body

_NOW, _LATER = "2026-03-01T00:00:00Z", "2026-03-02T00:00:00Z"
_FABRIC = build_fabric("shared-macvlan")
_GOING = build_fabric("shared-macvlan", deletionTimestamp="x", finalizers=["inferencecache.io/fabric"])
_GOOD = Survey(FabricNodes(selected=3, ready=2, faulty=[NodeReasonCount(reason="LinkDown", count=1, examples=["n1"])]))


def faulty(*reasons: Reason) -> Survey:
    return Survey(
        FabricNodes(
            selected=3, ready=0, faulty=[NodeReasonCount(reason=item.name, count=1, examples=["n"]) for item in reasons]
        )
    )


def told(outcome: FabricOutcome) -> dict[str, tuple[str, str]]:
    status = summarize_fabric(outcome, None, _NOW)
    InferenceCacheFabricStatus.model_validate(status)
    return {item["type"]: (item["status"], item["reason"]) for item in status["conditions"]}


_DRAIN = Finding(Reason.NodeDrainNotAcknowledged, "Policy x must be created.")
_WAITS = Finding(Reason.FabricObjectFaulty, "Network x is notReady.", passing=True)
_BLIND = Finding(Reason.Forbidden, "May not read.", unknown=True)
_NOTE = Finding(Reason.NetworkNamespaceIsolated, "Network of another namespace.", advisory=True)
_USED = Finding(Reason.FabricInUse, "Pod p uses it.", passing=True)

OUTCOMES: dict[str, tuple[FabricOutcome, tuple[str, str], str, str]] = {
    # Ready, Progressing, Stalled
    "all is well": (FabricOutcome(_FABRIC, survey=_GOOD), ("True", "FabricReady"), "False", "False"),
    "something to note": (FabricOutcome(_FABRIC, (), [_NOTE], _GOOD), ("True", "FabricReady"), "False", "False"),
    "spec broken": (FabricOutcome(FabricFacts("x", "u", None), [Finding(Reason.SpecInvalid, "no")]), ("False", "SpecInvalid"), "False", "True"),
    "someone must act": (FabricOutcome(_FABRIC, (), [_DRAIN], _GOOD), ("False", "NodeDrainNotAcknowledged"), "False", "True"),
    "it comes by itself": (FabricOutcome(_FABRIC, (), [_WAITS], _GOOD), ("False", "FabricObjectFaulty"), "True", "False"),
    "both, acting first": (FabricOutcome(_FABRIC, (), [_WAITS, _DRAIN], _GOOD), ("False", "NodeDrainNotAcknowledged"), "False", "True"),
    "may not be seen": (FabricOutcome(_FABRIC, (), [_BLIND], _GOOD), ("Unknown", "Forbidden"), "False", "True"),
    "nodes not known": (FabricOutcome(_FABRIC), ("Unknown", "NodesUnknown"), "True", "False"),
    "no nodes": (FabricOutcome(_FABRIC, survey=Survey(FabricNodes(selected=0, ready=0))), ("False", "FabricNoNodes"), "False", "True"),
    "nodes without resource": (FabricOutcome(_FABRIC, survey=faulty(Reason.RDMAResourceNotAdvertised)), ("False", "RDMAResourceNotAdvertised"), "True", "False"),
    "drivers on their way": (FabricOutcome(_FABRIC, survey=faulty(Reason.NICDriverNotReady)), ("False", "NICDriverNotReady"), "True", "False"),
    "going": (FabricOutcome(_GOING), ("False", "FabricDeleting"), "True", "False"),
    "going, and in use": (FabricOutcome(_GOING, (), [_USED]), ("False", "FabricInUse"), "True", "False"),
    "going, and a drain is needed": (FabricOutcome(_GOING, (), [_DRAIN]), ("False", "NodeDrainNotAcknowledged"), "False", "True"),
}  # fmt: skip


@pytest.mark.parametrize("case", OUTCOMES, ids=list(OUTCOMES))
def test_conditions(case: str) -> None:
    outcome, ready, progressing, stalled = OUTCOMES[case]
    found = told(outcome)
    assert found["Ready"] == ready
    assert (found["Progressing"][0], found["Stalled"][0]) == (progressing, stalled)


def test_rollout_to_nodes_of_a_managed_fabric_gets_its_time() -> None:
    dark = FabricOutcome(_FABRIC, survey=faulty(Reason.RDMAResourceNotAdvertised))

    def stalled(status: dict[str, Any]) -> str:
        InferenceCacheFabricStatus.model_validate(status)
        found: str = next(item["status"] for item in status["conditions"] if item["type"] == "Stalled")
        return found

    first = summarize_fabric(dark, None, "2026-03-01T00:00:00Z")
    assert stalled(first) == "False"
    second = summarize_fabric(dark, first, "2026-03-01T00:19:59Z")
    assert stalled(second) == "False"
    assert stalled(summarize_fabric(dark, second, "2026-03-01T00:20:01Z")) == "True"
    referred = FabricOutcome(build_fabric("reference"), survey=faulty(Reason.RDMAResourceNotAdvertised))
    assert stalled(summarize_fabric(referred, None, _NOW)) == "True"
    broken = FabricOutcome(_FABRIC, survey=faulty(Reason.RDMANetnsModeMismatch))
    assert stalled(summarize_fabric(broken, None, _NOW)) == "True"


def test_nodes_that_can_carry_it_are_enough_and_the_others_are_named() -> None:
    status = summarize_fabric(FabricOutcome(_FABRIC, survey=_GOOD), None, _NOW)
    nodes = next(item for item in status["conditions"] if item["type"] == "NodesReady")
    assert nodes["message"] == "2 of 3 selected nodes can carry the fabric: 1 LinkDown (n1)."
    assert status["nodes"] == {
        "selected": 3,
        "ready": 2,
        "faulty": [{"reason": "LinkDown", "count": 1, "examples": ["n1"]}],
    }


def test_same_facts_give_the_same_status_and_times_move_with_the_status_alone() -> None:
    first = summarize_fabric(FabricOutcome(_FABRIC, survey=_GOOD), None, _NOW)
    assert summarize_fabric(FabricOutcome(_FABRIC, survey=_GOOD), first, _LATER) == first
    second = summarize_fabric(FabricOutcome(_FABRIC, (), [_DRAIN], _GOOD), first, _LATER)
    times = {item["type"]: item["lastTransitionTime"] for item in second["conditions"]}
    assert (times["Ready"], times["NodesReady"]) == (_LATER, _NOW)


def test_at_most_64_objects_are_shown_and_those_in_trouble_first() -> None:
    objects = [ObjectState("SriovNetwork", "ns", f"n{number:03}", "Applied") for number in range(200)]
    objects.append(ObjectState("SriovNetwork", "ns", "z", "Conflict", Reason.NameConflict))
    shown = summarize_fabric(FabricOutcome(_FABRIC, objects=objects), None, _NOW)["objects"]
    assert (len(shown), shown[0]["name"], shown[0]["reason"]) == (64, "z", "NameConflict")


def test_long_messages_are_cut_before_the_remedy() -> None:
    long = Finding(Reason.FabricRuleBroken, "x" * 5000)
    status = summarize_fabric(FabricOutcome(_FABRIC, (), [long, _DRAIN], _GOOD), None, _NOW)
    objects = next(item for item in status["conditions"] if item["type"] == "ObjectsReady")
    assert len(objects["message"]) <= 1024
    assert objects["message"].endswith("And 1 more.")


def test_findings_are_told_as_long_as_there_is_room_and_then_counted() -> None:
    def tell(*findings: Finding) -> str:
        status = summarize_fabric(FabricOutcome(_FABRIC, (), findings, _GOOD), None, _NOW)
        found: str = next(item["message"] for item in status["conditions"] if item["type"] == "ObjectsReady")
        assert len(found) <= 1024
        return found

    missing = [Finding(Reason.NetworkNotFound, f"Network {number:03} does not exist.") for number in range(100)]
    remedy = Reason.NetworkNotFound.remedy
    assert tell(*missing[:2]) == f"{missing[0].message} {remedy} Also: {missing[1].message}"
    both = tell(_WAITS, _DRAIN)
    assert both.startswith(_DRAIN.message)
    assert _WAITS.message in both
    assert "more." not in both
    many = tell(*missing)
    shown = many.count("does not exist")
    assert shown > 10
    assert many.endswith(f" And {100 - shown} more.")


def test_finding_may_bring_a_remedy_of_its_own() -> None:
    own = Finding(Reason.DeviceClaimedTwice, "Fabric x makes it too.", remedy="Make it anew.")
    status = summarize_fabric(FabricOutcome(_FABRIC, (), [own], _GOOD), None, _NOW)
    stalled = next(item for item in status["conditions"] if item["type"] == "Stalled")
    assert stalled["message"] == "Fabric x makes it too. Make it anew."


def test_nodes_of_a_fabric_that_goes_stay_as_they_were() -> None:
    def see(status: dict[str, Any]) -> dict[str, Any]:
        return next(item for item in status["conditions"] if item["type"] == "NodesReady")

    before = summarize_fabric(FabricOutcome(_FABRIC, survey=_GOOD), None, _NOW)
    after = summarize_fabric(FabricOutcome(_GOING), before, _LATER)
    assert (see(after), after["nodes"]) == (see(before), before["nodes"])
    fresh = see(summarize_fabric(FabricOutcome(_GOING), None, _NOW))
    assert (fresh["status"], fresh["reason"]) == ("Unknown", "FabricDeleting")
    unread = summarize_fabric(FabricOutcome(_FABRIC), None, _NOW)
    assert see(summarize_fabric(FabricOutcome(_GOING), unread, _LATER))["reason"] == "FabricDeleting"


@pytest.mark.parametrize("case", CASES)
def test_what_cannot_be_proven_is_listed_for_every_type(case: str) -> None:
    spec = build_fabric(case).spec
    assert spec is not None
    listed = list_unverified(spec)
    assert listed
    assert all(len(text) <= 128 for text in listed)
    assert len(listed) <= 16


def test_failure_of_a_pass_keeps_what_is_known() -> None:
    known = summarize_fabric(FabricOutcome(_FABRIC, survey=_GOOD), None, _NOW)
    failed = summarize_failure(known, 1, Reason.RequestsFailing, "timeout", _LATER)
    found = {item["type"]: (item["status"], item["reason"]) for item in failed["conditions"]}
    assert found["Ready"] == ("True", "FabricReady")
    assert (found["Progressing"], found["Stalled"][0]) == (("False", "RequestsFailing"), "False")
    fresh = summarize_failure(None, 1, Reason.Forbidden, "no", _NOW)
    assert {item["type"]: item["status"] for item in fresh["conditions"]} == {
        "Ready": "False",
        "Progressing": "False",
        "Stalled": "True",
    }


READY: dict[str, tuple[dict[str, Any] | None, Truth, Reason]] = {
    "not looked at yet": (None, Truth.UNKNOWN, Reason.Waiting),
    "ready": ({"status": "True", "reason": "FabricReady", "observedGeneration": 1}, Truth.TRUE, Reason.FabricReady),
    "of an older spec": ({"status": "True", "reason": "FabricReady", "observedGeneration": 0}, Truth.UNKNOWN, Reason.Waiting),
    "not ready": ({"status": "False", "reason": "NetworkNotFound", "observedGeneration": 1}, Truth.FALSE, Reason.NetworkNotFound),
    "reason of a newer operator": ({"status": "False", "reason": "Whatever", "observedGeneration": 1}, Truth.FALSE, Reason.FabricNotReady),
}  # fmt: skip


@pytest.mark.parametrize("case", READY, ids=list(READY))
def test_readiness_that_deployments_see(case: str) -> None:
    condition, ready, reason = READY[case]
    body = load_body("reference")
    if condition is not None:
        body["status"] = {"conditions": [{"type": "Ready", "message": "m", **condition}]}
    facts = project_fabric(body)
    assert (facts.ready, facts.reason) == (ready, reason)


def test_fabric_that_breaks_a_rule_of_the_api_is_known_with_its_violations() -> None:
    body = load_body("reference", devices={"interfaces": ["a"]})
    facts = project_fabric(body)
    assert facts.spec is None
    assert facts.violations
    assert not facts.managed
