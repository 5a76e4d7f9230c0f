"""From a deployment as stored to the root cause, the evidence and the fix."""

from typing import Any

import pytest

from inference_cache.domain.conditions import summarize_failure
from inference_cache.domain.explain import explain
from inference_cache.domain.explanation import Explanation, Observation, State
from inference_cache.domain.plan import Obstacle
from inference_cache.domain.pod_transport import Make
from inference_cache.domain.pod_trouble import ContainerTrouble, EventFacts
from inference_cache.domain.reasons import Reason
from inference_cache.domain.remedies import Command, Target
from inference_cache.domain.summary import Outcome, summarize
from inference_cache.domain.verdict import ConditionType, Verdict, bad, ok, unknown
from inference_cache.domain.workload_state import WorkloadState
from tests.support.builders import build_pod, build_sample_scope, build_spec

_NOW = "2026-01-01T00:00:00Z"
_TARGET = Target("inference", "nemotron-70b", "inference-cache-system")
_NODES = ok(ConditionType.NODES_ELIGIBLE, Reason.NodesAvailable)
_KEYS = ok(ConditionType.CREDENTIALS_READY, Reason.CredentialsFound)
_STORE = ok(ConditionType.OBJECT_STORE_READY, Reason.BucketReachable)
_NO_SECRET = bad(ConditionType.CREDENTIALS_READY, Reason.SecretNotFound, "Secret kv-nemotron does not exist.")
_NOT_ASKED = unknown(ConditionType.OBJECT_STORE_READY, Reason.NotChecked)
_DENIED = bad(ConditionType.OBJECT_STORE_READY, Reason.AccessDenied)
_RUNNING = ok(ConditionType.WORKLOAD_AVAILABLE, Reason.PodsReady)
_SERVING = WorkloadState(True, True, 2, 2, 2, 2, Make("new"))
_UNWANTED = WorkloadState(True, True, 0, 0, 0, 0, Make("new"))


def _status(*checks: Verdict, generation: int = 3, **facts: Any) -> dict[str, Any]:
    known: dict[str, Any] = {"workload": _RUNNING, "state": _SERVING}
    outcome = Outcome("nemotron-70b", generation, build_sample_scope(), checks, **(known | facts))
    return summarize(outcome, None, _NOW)


def _observe(status: dict[str, Any] | None, metadata: dict[str, Any] | None = None, **facts: Any) -> Observation:
    body = {
        "metadata": {"name": "nemotron-70b", "namespace": "inference", "generation": 3, "creationTimestamp": _NOW}
        | (metadata or {}),
        "spec": build_spec(),
        **({} if status is None else {"status": status}),
    }
    return Observation(body, **facts)


def _explain(status: dict[str, Any] | None, metadata: dict[str, Any] | None = None, **facts: Any) -> Explanation:
    return explain(_observe(status, metadata, **facts), _TARGET)


def _chain(found: Explanation) -> list[tuple[str, str]]:
    return [(link.subject, link.reason) for link in found.chain]


def test_healthy_deployment_says_so_with_what_is_in_effect() -> None:
    found = _explain(_status(_NODES, _KEYS, _STORE))
    assert (found.state, found.fixes, found.others, found.evidence) == (State.HEALTHY, (), (), ())
    assert "is ready" in found.summary
    assert (found.effect or {})["cacheTiers"] == "1200Gi+S3"
    assert (found.effect or {})["pods"] == "2 of 2 ready"


def test_chain_leads_from_ready_to_the_check_and_the_fix_has_real_names() -> None:
    found = _explain(_status(_NODES, _NO_SECRET, _NOT_ASKED, workload=None, state=None))
    assert found.state is State.BROKEN
    assert _chain(found) == [("Ready", "SecretNotFound"), ("CredentialsReady", "SecretNotFound")]
    first = found.fixes[0].steps[0]
    assert isinstance(first, Command)
    assert first.text.startswith("kubectl -n inference create secret generic kv-nemotron ")
    assert found.others == (), "what was not asked because of the root cause is no problem of its own"


def test_held_workload_stands_between_ready_and_the_check() -> None:
    held = bad(ConditionType.WORKLOAD_AVAILABLE, Reason.WorkloadHeld)
    state = WorkloadState(False, False, 2, 0, 0, 0, Make(""))
    found = _explain(_status(_NO_SECRET, workload=held, state=state, held=True))
    assert _chain(found) == [
        ("Ready", "SecretNotFound"),
        ("WorkloadAvailable", "WorkloadHeld"),
        ("CredentialsReady", "SecretNotFound"),
    ]


def test_serving_pods_with_a_broken_cache_are_degraded() -> None:
    found = _explain(_status(_NODES, _KEYS, _DENIED))
    assert found.state is State.DEGRADED
    assert _chain(found) == [("Ready", "CacheDegraded"), ("ObjectStoreReady", "AccessDenied")]
    assert "serves" in found.summary


def test_further_problems_are_listed_with_their_own_fixes() -> None:
    none = bad(ConditionType.NODES_ELIGIBLE, Reason.NoCandidateNodes)
    found = _explain(_status(none, _NO_SECRET, _NOT_ASKED, workload=None, state=None))
    assert found.chain[-1].reason == "NoCandidateNodes"
    (other,) = found.others
    assert other.link.subject == "CredentialsReady"
    assert "create secret" in str(other.fixes)


def test_bad_nodes_under_serving_pods_are_told_beside_good_health() -> None:
    found = _explain(_status(bad(ConditionType.NODES_ELIGIBLE, Reason.NoEligibleNodes), _KEYS, _STORE))
    assert found.state is State.HEALTHY
    assert [other.link.reason for other in found.others] == ["NoEligibleNodes"]


def test_nodes_of_the_status_end_the_chain() -> None:
    status = _status(bad(ConditionType.NODES_ELIGIBLE, Reason.NoEligibleNodes), workload=None, state=None)
    status["nodes"] = {
        "candidates": 3,
        "eligible": 0,
        "ineligible": [{"reason": "NodeUnschedulable", "count": 3, "examples": ["n1"]}],
    }
    found = _explain(status)
    assert _chain(found)[-1] == ("Nodes", "NodeUnschedulable")
    assert "kubectl uncordon n1" in str(found.fixes)


def test_pods_that_start_need_nothing() -> None:
    starting = bad(ConditionType.WORKLOAD_AVAILABLE, Reason.PodsStarting)
    found = _explain(_status(_NODES, workload=starting, state=WorkloadState(True, True, 2, 2, 0, 2, Make("new"))))
    assert found.state is State.PROGRESSING
    assert [fix.steps for fix in found.fixes] == [()]


def test_unknown_check_is_progress_while_the_operator_reads() -> None:
    found = _explain(_status(unknown(ConditionType.NODES_ELIGIBLE, Reason.NodesUnknown), workload=None, state=None))
    assert found.state is State.PROGRESSING
    assert found.chain[-1].status == "Unknown"


def test_obstacle_is_the_root_itself() -> None:
    conflict = (Obstacle(Reason.NameConflict, "Service inference/nemotron-70b exists."),)
    found = _explain(_status(_NODES, obstacles=conflict))
    assert _chain(found) == [("Ready", "NameConflict")]
    assert "delete service nemotron-70b" in str(found.fixes)


def test_scaled_to_zero_is_as_specified_and_can_be_undone() -> None:
    found = _explain(_status(_NODES, state=_UNWANTED))
    assert found.state is State.IDLE
    assert "scale icd nemotron-70b --replicas=1" in str(found.fixes)


def test_status_of_an_older_generation_points_to_the_operator() -> None:
    lease = "operator-1 renewed the operator's Lease 7200 seconds ago, so no operator leads any more."
    found = _explain(_status(_NODES, generation=2), lease=lease)
    assert found.state is State.STALE
    assert "generation 2" in found.summary
    assert lease in found.evidence
    assert "kubectl -n inference-cache-system get deployments,pods,leases" in str(found.fixes)


@pytest.mark.parametrize("status", [None, {}, {"conditions": []}], ids=["none", "empty", "no conditions"])
def test_deployment_that_no_operator_has_seen(status: dict[str, Any] | None) -> None:
    found = _explain(status)
    assert found.state is State.NOT_SEEN
    assert "rollout restart deployment/inference-cache-operator" in str(found.fixes)


FAILURES = [Reason.Forbidden, Reason.WriteRefused, Reason.RequestsFailing, Reason.InternalError]


@pytest.mark.parametrize("reason", FAILURES, ids=lambda reason: reason.name)
def test_failed_pass_is_the_root_though_the_rest_of_the_status_is_old(reason: Reason) -> None:
    before = _status(_NODES, generation=2)
    found = _explain(summarize_failure(before, 3, reason, "post Service x", _NOW))
    assert found.state in {State.BROKEN, State.DEGRADED}
    assert found.chain[-1].reason == reason.name


def test_failure_of_an_earlier_generation_is_forgotten() -> None:
    status = summarize_failure(_status(_NODES, generation=2), 2, Reason.WriteRefused, "x", _NOW)
    assert _explain(status).state is State.STALE


def test_deletion_needs_only_patience() -> None:
    found = _explain(_status(_NODES), {"deletionTimestamp": _NOW}, pods=(build_pod(0),))
    assert found.state is State.DELETING
    assert found.evidence == ("Pod nemotron-70b-0 still exists.",)
    assert "The operator holds nothing back" in found.fixes[0].why


def test_deletion_that_a_finalizer_holds_names_it() -> None:
    found = _explain(_status(_NODES), {"deletionTimestamp": _NOW, "finalizers": ["example.org/billing"]})
    assert "example.org/billing" in found.fixes[0].why


def test_evidence_names_containers_events_and_who_manages_the_object() -> None:
    crash = bad(ConditionType.WORKLOAD_AVAILABLE, Reason.PodsCrashing, "0 of 2 pods are ready.")
    found = _explain(
        _status(_NODES, workload=crash, state=WorkloadState(True, True, 2, 2, 0, 2, Make("new"))),
        {"annotations": {"argocd.argoproj.io/tracking-id": "x"}},
        troubles=(ContainerTrouble("nemotron-70b-0", "engine", "e:1", "CrashLoopBackOff", 7, 1, "Error"),),
        events=(
            EventFacts(
                "Pod/nemotron-70b-0", "BackOff", "Back-off restarting failed container", 9, "2026-01-01T00:00:02Z"
            ),
            EventFacts(
                "InferenceCacheDeployment/nemotron-70b", "PodsCrashing", crash.message, 1, "2026-01-01T00:00:01Z"
            ),
        ),
    )
    text = "\n".join(found.evidence)
    assert "Argo CD manages this deployment" in text
    assert "container engine: CrashLoopBackOff" in text
    assert "BackOff of Pod/nemotron-70b-0, 9 times" in text
    assert crash.message not in text, "what the conditions say is not said again"


def test_held_change_says_that_pods_serve_on() -> None:
    found = _explain(_status(_NODES, _NO_SECRET, held=True), pods=(build_pod(0), build_pod(1)))
    assert "2 pods of the earlier one serve on" in "\n".join(found.evidence)


def test_missing_payoff_figures_are_no_problem_but_a_slow_store_is_advice() -> None:
    quiet = _status(_NODES, payoff=unknown(ConditionType.CACHE_PAYS_OFF, Reason.PayoffUnknown))
    assert _explain(quiet).others == ()
    slow = _explain(_status(_NODES, payoff=bad(ConditionType.CACHE_PAYS_OFF, Reason.PredictedBelowBreakEven)))
    assert (slow.state, [other.link.reason for other in slow.others]) == (State.HEALTHY, ["PredictedBelowBreakEven"])


def test_reason_of_a_newer_operator_is_passed_on() -> None:
    status = _status(_NODES, _DENIED, workload=None, state=None)
    for item in status["conditions"]:
        if item["reason"] == "AccessDenied":
            item["reason"] = "ReasonOfTomorrow"
    found = _explain(status)
    assert found.state is State.BROKEN
    assert "ReasonOfTomorrow" in found.fixes[0].why


def test_what_could_not_be_read_is_said() -> None:
    assert _explain(_status(_NODES), unread=("you may not list nodes",)).unread == ("you may not list nodes",)
