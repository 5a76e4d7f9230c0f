"""Which writes are missing, and what stands in their way."""

import copy
from dataclasses import replace
from typing import Any

import pytest

from inference_cache.domain import names
from inference_cache.domain.desired import build_desired
from inference_cache.domain.kinds import CONFIG_MAP, STATEFUL_SET
from inference_cache.domain.live import Live
from inference_cache.domain.plan import (
    Apply,
    Cause,
    Create,
    Delete,
    Obstacle,
    Plan,
    Scale,
    check_ownership,
    plan_writes,
)
from inference_cache.domain.reasons import Reason
from inference_cache.domain.scope import Scope
from tests.golden.cases import CASES, load_scope
from tests.support.builders import IDENTITY, build_pod, build_sample_scope, observe, observe_all

_REGION = "cache.tiers.1.objectStore.region"


def _edit(live: Live, **metadata: Any) -> Live:
    body = copy.deepcopy(live.body)
    body["metadata"] |= metadata
    return replace(live, body=body)


def _plan(scope: Scope, live: list[Live], *, hold: bool = False) -> Plan:
    return plan_writes(scope.identity, build_desired(scope), live, [], hold=hold)


@pytest.mark.parametrize("hold", [False, True], ids=["free", "held"])
@pytest.mark.parametrize("case", CASES)
def test_nothing_to_write_when_everything_is_as_desired(case: str, hold: bool) -> None:
    scope = load_scope(case)
    assert _plan(scope, observe_all(scope), hold=hold) == Plan()


def test_first_pass_creates_every_object_in_order() -> None:
    scope = build_sample_scope()
    assert _plan(scope, []).actions == tuple(Create(manifest) for manifest in build_desired(scope))


def test_hold_creates_nothing_for_a_deployment_without_stateful_set() -> None:
    assert _plan(build_sample_scope(), [], hold=True) == Plan(held=True)


def test_hold_keeps_the_pod_template_and_prunes_nothing() -> None:
    live = observe_all(build_sample_scope())
    plan = _plan(build_sample_scope({"model.maxModelLen": 4096}), live, hold=True)
    assert plan == Plan(held=True)


def test_hold_still_restores_a_deleted_service_of_running_pods() -> None:
    scope = build_sample_scope()
    live = [item for item in observe_all(scope) if str(item.kind) != "Service"]
    plan = _plan(scope, live, hold=True)
    assert not plan.held
    assert [type(action) for action in plan.actions] == [Create, Create]


@pytest.mark.parametrize("kind", ["Service", "PodDisruptionBudget", "NetworkPolicy", "ServiceAccount"])
def test_child_lost_while_a_change_is_held_comes_back(kind: str) -> None:
    live = [item for item in observe_all(build_sample_scope()) if str(item.kind) != kind]
    plan = _plan(build_sample_scope({"model.maxModelLen": 4096}), live, hold=True)
    assert plan.held
    assert plan.actions
    assert all(isinstance(action, Create) and str(action.manifest.kind) == kind for action in plan.actions)


def test_config_of_running_pods_that_is_lost_while_a_change_is_held_is_reported() -> None:
    live = [item for item in observe_all(build_sample_scope()) if item.kind is not CONFIG_MAP]
    plan = _plan(build_sample_scope({_REGION: "eu-central-1"}), live, hold=True)
    assert [item.reason for item in plan.obstacles] == [Reason.RunningConfigLost]
    # The agent's programs are the same for every specification.
    assert [action.manifest.name for action in plan.actions if isinstance(action, Create)] == ["nemotron-70b-agent"]


def test_config_that_the_new_specification_has_too_comes_back_while_a_change_is_held() -> None:
    live = [item for item in observe_all(build_sample_scope()) if item.kind is not CONFIG_MAP]
    scope = build_sample_scope({"model.maxModelLen": 4096})
    plan = _plan(scope, live, hold=True)
    assert plan.held
    assert plan.obstacles == ()
    wanted = {item.name for item in build_desired(scope) if item.kind is CONFIG_MAP}
    assert {action.manifest.name for action in plan.actions if isinstance(action, Create)} == wanted


def test_config_of_the_new_specification_alone_waits_with_it() -> None:
    live = observe_all(build_sample_scope())
    assert _plan(build_sample_scope({_REGION: "eu-central-1"}), live, hold=True).actions == ()


def test_hold_lets_running_pods_scale() -> None:
    plan = _plan(build_sample_scope({"replicas": 5}), observe_all(build_sample_scope()), hold=True)
    assert not plan.held
    assert [action.manifest.kind for action in plan.actions if isinstance(action, Apply)] == [STATEFUL_SET]


def test_edit_by_another_is_drift_and_new_content_is_a_specification() -> None:
    scope = build_sample_scope()
    live = observe_all(scope)
    live[-1].body["spec"]["replicas"] = 9
    (drift,) = _plan(scope, live).actions
    assert isinstance(drift, Apply)
    assert drift.cause is Cause.DRIFT
    changed = _plan(build_sample_scope({"replicas": 3}), observe_all(scope)).actions
    assert [action.cause for action in changed if isinstance(action, Apply)] == [Cause.SPECIFICATION]


def test_fields_that_the_server_adds_are_no_drift() -> None:
    scope = build_sample_scope()
    live = observe_all(scope)
    live[-1].body["spec"]["template"]["spec"]["dnsPolicy"] = "ClusterFirst"
    live[-1].body["status"] = {"replicas": 2}
    assert _plan(scope, live) == Plan()


_OTHER_OWNER = [{"kind": "X", "name": "other", "uid": "other", "controller": True}]
_OLDER_SELF = [{"kind": "X", "name": IDENTITY.name, "uid": "older", "controller": True}]
_OWNERSHIP: dict[str, tuple[dict[str, Any], Reason | None]] = {
    "ours": ({}, None),
    "our owner reference was removed": ({"ownerReferences": []}, None),
    "another controller owns it": ({"ownerReferences": _OTHER_OWNER}, Reason.NameConflict),
    "someone made it by hand": ({"ownerReferences": [], "labels": {}}, Reason.NameConflict),
    "our labels were copied without our hash": ({"ownerReferences": [], "annotations": {}}, Reason.NameConflict),
    "it is being deleted": ({"deletionTimestamp": "2026-01-01T00:00:00Z"}, Reason.ChildTerminating),
    "a deleted deployment of the same name owned it": ({"ownerReferences": _OLDER_SELF}, Reason.ChildTerminating),
}


@pytest.mark.parametrize(("metadata", "reason"), _OWNERSHIP.values(), ids=_OWNERSHIP.keys())
def test_ownership_when(metadata: dict[str, Any], reason: Reason | None) -> None:
    manifest = build_desired(build_sample_scope())[-1]
    obstacle = check_ownership(IDENTITY, _edit(observe(manifest), **metadata))
    assert (obstacle.reason if obstacle else None) is reason
    if obstacle is not None:
        assert "StatefulSet inference/nemotron-70b" in obstacle.message


def test_an_object_of_someone_else_is_not_written_and_nothing_is_pruned() -> None:
    scope, changed = build_sample_scope(), build_sample_scope({"cache.tiers.1.objectStore.region": "eu-central-1"})
    live = [
        _edit(item, ownerReferences=_OTHER_OWNER) if str(item.kind) == "NetworkPolicy" else item
        for item in observe_all(scope)
    ]
    plan = _plan(changed, live)
    assert [item.reason for item in plan.obstacles] == [Reason.NameConflict]
    assert all(isinstance(item, Obstacle) for item in plan.obstacles)
    assert not any(isinstance(action, Delete) for action in plan.actions)
    assert "NetworkPolicy" not in [str(a.manifest.kind) for a in plan.actions if isinstance(a, Create | Apply)]


@pytest.fixture
def outdated() -> tuple[Scope, list[Live], Live]:
    """A scope whose objects run already, and the ConfigMap of an older specification beside them."""
    older = next(
        item
        for item in observe_all(build_sample_scope({"cache.tiers.1.objectStore.region": "x"}))
        if item.kind is CONFIG_MAP
    )
    scope = build_sample_scope()
    return scope, [*observe_all(scope), older], older


def test_prune_deletes_a_config_map_that_nothing_uses(outdated: tuple[Scope, list[Live], Live]) -> None:
    scope, live, older = outdated
    assert _plan(scope, live).actions == (Delete(older),)


def test_prune_keeps_a_config_map_that_a_pod_mounts(outdated: tuple[Scope, list[Live], Live]) -> None:
    scope, live, older = outdated
    pods = [build_pod(0, config_maps=(older.name,))]
    assert plan_writes(scope.identity, build_desired(scope), live, pods, hold=False) == Plan()


def test_prune_keeps_the_config_map_of_the_template_that_is_being_replaced() -> None:
    changed = build_sample_scope({"cache.tiers.1.objectStore.region": "eu-central-1"})
    plan = _plan(changed, observe_all(build_sample_scope()))
    assert not any(isinstance(action, Delete) for action in plan.actions)


def test_prune_leaves_what_another_owns(outdated: tuple[Scope, list[Live], Live]) -> None:
    scope, live, older = outdated
    assert _plan(scope, [*live[:-1], _edit(older, ownerReferences=_OTHER_OWNER)]) == Plan()


def test_missing_owner_label_names_are_those_of_the_manifest() -> None:
    manifest = build_desired(build_sample_scope())[0]
    assert observe(manifest).deployment == manifest.body["metadata"]["labels"][names.LABEL_DEPLOYMENT]


@pytest.mark.parametrize(("wanted", "scaled"), [(5, None), (2, None), (1, 1)], ids=["more", "as many", "fewer"])
def test_no_pod_is_added_from_a_held_template_that_may_start_without_proof(wanted: int, scaled: int | None) -> None:
    before = build_sample_scope({"replicas": 2})
    after = build_sample_scope({"replicas": wanted, "model.maxModelLen": 4096})
    plan = plan_writes(after.identity, build_desired(after), observe_all(before), [], hold=True, exact=True)
    assert plan.held
    assert [action.replicas for action in plan.actions if isinstance(action, Scale)] == (
        [] if scaled is None else [scaled]
    )


def test_template_of_another_proof_is_held_as_a_change_of_the_specification() -> None:
    required = load_scope("rdma-sriov-required")
    optional = replace(required, transport=replace(required.transport, required=False))
    desired = build_desired(required)
    assert not plan_writes(required.identity, desired, observe_all(optional), [], hold=True).held
    plan = plan_writes(required.identity, desired, observe_all(optional), [], hold=True, exact=True)
    assert plan == Plan(held=True)


def test_pods_that_need_proof_already_are_added_while_a_change_is_held() -> None:
    before = load_scope("rdma-sriov-required")
    settled = replace(
        before.settled, replicas=before.settled.replicas + 2, drain_seconds=before.settled.drain_seconds + 5
    )
    after = replace(before, settled=settled)
    plan = plan_writes(after.identity, build_desired(after), observe_all(before), [], hold=True, exact=True)
    assert plan.held
    assert [action.replicas for action in plan.actions if isinstance(action, Scale)] == [settled.replicas]
