"""The status that follows from a pass: the summary's reason, and times that change only where a status flips."""

from typing import Any

import pytest

from inference_cache.domain.conditions import summarize_failure
from inference_cache.domain.plan import Obstacle
from inference_cache.domain.reasons import Reason
from inference_cache.domain.summary import Outcome, summarize
from inference_cache.domain.verdict import ConditionType, Verdict, bad, ok
from inference_cache.domain.workload_state import WorkloadState
from tests.support.builders import build_sample_scope

_GOOD = ok(ConditionType.OBJECT_STORE_READY, Reason.BucketReachable)
_OUTAGE = bad(ConditionType.OBJECT_STORE_READY, Reason.StoreUnreachable, passing=True)
_DENIED = bad(ConditionType.OBJECT_STORE_READY, Reason.AccessDenied)
_RUNNING = ok(ConditionType.WORKLOAD_AVAILABLE, Reason.PodsReady)
_STARTING = bad(ConditionType.WORKLOAD_AVAILABLE, Reason.PodsStarting)
_CONFLICT = (Obstacle(Reason.NameConflict, "Service x exists."),)
_TERMINATING = (Obstacle(Reason.ChildTerminating, "Service x is being deleted."),)


def _state(wanted: int = 2, ready: int = 2, updated: int = 2, replicas: int = 2) -> WorkloadState:
    return WorkloadState(exists=True, settled=True, wanted=wanted, replicas=replicas, ready=ready, updated=updated)


def _outcome(check: Verdict = _GOOD, **facts: Any) -> Outcome:
    known: dict[str, Any] = {"workload": _RUNNING, "state": _state()}
    return Outcome("nemotron-70b", 3, build_sample_scope(), (check,), **(known | facts))


def _conditions(status: dict[str, Any]) -> dict[str, tuple[str, str]]:
    return {item["type"]: (item["status"], item["reason"]) for item in status["conditions"]}


_NOT_STALLED = ("False", "NotStalled")
_CASES: dict[str, tuple[Outcome, tuple[str, str], tuple[str, str], tuple[str, str]]] = {
    "all is well": (_outcome(), ("True", "Ready"), ("False", "Complete"), _NOT_STALLED),
    "the store fails under serving pods": (_outcome(_DENIED), ("True", "CacheDegraded"), ("False", "Complete"), _NOT_STALLED),
    "pods start": (_outcome(workload=_STARTING), ("False", "PodsStarting"), ("True", "PodsStarting"), _NOT_STALLED),
    "old pods remain": (_outcome(outdated=1), ("False", "ReplacingPods"), ("True", "ReplacingPods"), _NOT_STALLED),
    "pods are removed": (_outcome(state=_state(replicas=3)), ("False", "Scaling"), ("True", "Scaling"), _NOT_STALLED),
    "an outage keeps a change back": (_outcome(_OUTAGE, held=True), ("False", "StoreUnreachable"), ("False", "ChangeHeld"), _NOT_STALLED),
    "a lasting cause keeps a change back": (_outcome(_DENIED, held=True), ("False", "AccessDenied"), ("False", "ChangeHeld"), ("True", "AccessDenied")),
    "an outage keeps the first pods back": (_outcome(_OUTAGE, workload=None, state=None, held=True), ("False", "StoreUnreachable"), ("False", "Waiting"), _NOT_STALLED),
    "a lasting cause keeps the first pods back": (_outcome(_DENIED, workload=None, state=None, held=True), ("False", "AccessDenied"), ("False", "AccessDenied"), ("True", "AccessDenied")),
    "a name is taken": (_outcome(obstacles=_CONFLICT), ("False", "NameConflict"), ("False", "ChangeHeld"), ("True", "NameConflict")),
    "an older object ends": (_outcome(obstacles=_TERMINATING), ("False", "ChildTerminating"), ("False", "ChangeHeld"), _NOT_STALLED),
    "no pods are wanted": (_outcome(state=_state(0, 0, 0, 0)), ("True", "ScaledToZero"), ("False", "Complete"), _NOT_STALLED),
}  # fmt: skip


@pytest.mark.parametrize(("outcome", "ready", "progress", "stalled"), _CASES.values(), ids=_CASES.keys())
def test_summary_when(
    outcome: Outcome, ready: tuple[str, str], progress: tuple[str, str], stalled: tuple[str, str]
) -> None:
    found = _conditions(summarize(outcome, None, "2026-01-01T00:00:00Z"))
    assert (found["Ready"], found["Progressing"], found["Stalled"]) == (ready, progress, stalled)


@pytest.mark.parametrize("outcome", [case[0] for case in _CASES.values()], ids=_CASES.keys())
def test_same_facts_give_the_same_status_at_any_later_time(outcome: Outcome) -> None:
    first = summarize(outcome, None, "2026-01-01T00:00:00Z")
    assert summarize(outcome, first, "2026-02-02T00:00:00Z") == first


def test_transition_time_changes_only_where_the_status_flips() -> None:
    before = summarize(_outcome(_DENIED), None, "2026-01-01T00:00:00Z")
    after = summarize(_outcome(), before, "2026-02-02T00:00:00Z")
    times = {item["type"]: item["lastTransitionTime"] for item in after["conditions"]}
    assert times.pop("ObjectStoreReady") == "2026-02-02T00:00:00Z"
    assert set(times.values()) == {"2026-01-01T00:00:00Z"}, "Ready changed its reason only"


def test_status_names_the_generation_the_selector_and_what_was_rendered() -> None:
    status = summarize(_outcome(), None, "2026-01-01T00:00:00Z")
    assert status["observedGeneration"] == 3
    assert status["selector"].endswith("inferencecache.io/deployment=nemotron-70b")
    assert status["rendered"]["tiers"] == "1200Gi+S3"


def test_failed_pass_keeps_what_is_known_and_says_that_someone_must_act() -> None:
    previous = {
        "observedGeneration": 3,
        "readyReplicas": 2,
        "conditions": [
            {"type": "Ready", "status": "True", "reason": "Ready", "message": "", "lastTransitionTime": "t0"}
        ],
    }
    status = summarize_failure(previous, 4, Reason.InternalError, "KeyError", "t1")
    by_type = {item["type"]: item for item in status["conditions"]}
    assert (status["observedGeneration"], status["readyReplicas"]) == (3, 2)
    assert by_type["Ready"]["status"] == "True"
    assert (by_type["Stalled"]["status"], by_type["Stalled"]["reason"]) == ("True", "InternalError")
    assert "KeyError" in by_type["Stalled"]["message"]


def test_failing_requests_are_no_call_for_a_person_but_a_new_deployment_is_not_ready() -> None:
    status = summarize_failure(None, 1, Reason.RequestsFailing, "failed calling webhook.", "t1")
    by_type = {item["type"]: item for item in status["conditions"]}
    assert {name: item["status"] for name, item in by_type.items()} == dict.fromkeys(
        ("Ready", "Progressing", "Stalled"), "False"
    )
    assert "failed calling webhook. See the message" in by_type["Ready"]["message"]
