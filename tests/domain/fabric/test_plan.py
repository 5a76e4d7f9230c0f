"""From what a managed fabric should have and what it has to the writes: none twice, none unasked, none under pods."""

from dataclasses import replace
from typing import Any

import pytest

from inference_cache.domain import kinds
from inference_cache.domain.fabric.device_plugin import POLICY_NAME, parse_entries
from inference_cache.domain.fabric.facts import FabricFacts
from inference_cache.domain.fabric.findings import Finding
from inference_cache.domain.fabric.plan import (
    ApplyShared,
    FabricPlan,
    Surroundings,
    find_unwanted,
    plan_fabric,
)
from inference_cache.domain.fabric.usage import Usage
from inference_cache.domain.live import Live, project_live
from inference_cache.domain.plan import Apply, Cause, Create, Delete
from inference_cache.domain.reasons import Reason

from .fabric_facts import CASES, PLAIN, build_fabric, build_live, find_form, observe, own

MANAGED = [case for case in CASES if case != "reference"]
_SECTION = "rdmaSharedDevicePlugin"


def look(
    case: str, fabric: FabricFacts, *live: Live, policy: Live | None = None, kept: frozenset[str] = frozenset()
) -> Surroundings:
    return Surroundings(find_form(fabric, plain=case.endswith(PLAIN)), live, policy, kept)


def observe_policy(action: ApplyShared, *others: dict[str, Any]) -> Live:
    """Return NicClusterPolicy as it is after the operator applied its fields."""
    assert action.manifest is not None
    sections: dict[str, Any] = {
        f"f:{name}": {f"f:{field}": {} for field in content} for name, content in action.manifest.body["spec"].items()
    }
    metadata = {**action.manifest.body["metadata"], "uid": "ncp", "resourceVersion": "5"}
    metadata["managedFields"] = [own({"f:spec": sections}), *others]
    return project_live(kinds.NIC_CLUSTER_POLICY, {**action.manifest.body, "metadata": metadata})


def settle(case: str, fabric: FabricFacts) -> tuple[list[Live], Live | None]:
    """Return what there is after a first pass."""
    plan = plan_fabric(fabric, look(case, fabric), (), None)
    live = [observe(action.manifest) for action in plan.actions if isinstance(action, Create)]
    shared = next((action for action in plan.actions if isinstance(action, ApplyShared)), None)
    return live, observe_policy(shared) if shared else None


def describe(plan: FabricPlan) -> list[str]:
    return [type(action).__name__ for action in plan.actions]


def use(*, network: str = "", resource: str = "", phase: str = "Running") -> Usage:
    usage = Usage()
    container = {"resources": {"requests": {resource: "1"}}} if resource else {}
    annotations = {"k8s.v1.cni.cncf.io/networks": network} if network else {}
    metadata = {"name": "engine-0", "namespace": "inference", "annotations": annotations}
    usage.add({"metadata": metadata, "spec": {"containers": [container]}, "status": {"phase": phase}})
    return usage


@pytest.mark.parametrize("case", MANAGED)
def test_everything_is_created_once_and_then_left_alone(case: str) -> None:
    fabric = build_fabric(case)
    live, policy = settle(case, fabric)
    assert live
    assert plan_fabric(fabric, look(case, fabric, *live, policy=policy), (), None) == FabricPlan()


@pytest.mark.parametrize("case", MANAGED)
def test_lost_object_is_made_again_and_edited_one_is_repaired(case: str) -> None:
    fabric = build_fabric(case)
    live, policy = settle(case, fabric)
    for number, item in enumerate(live):
        lost = look(case, fabric, *live[:number], *live[number + 1 :], policy=policy)
        assert describe(plan_fabric(fabric, lost, (), None)) == ["Create"]
        top = "data" if item.kind is kinds.CONFIG_MAP else "spec"
        edited = replace(item, body={**item.body, top: {}})
        (action,) = plan_fabric(
            fabric, look(case, fabric, *live[:number], edited, *live[number + 1 :], policy=policy), (), None
        ).actions
        assert isinstance(action, Apply)
        assert action.cause is Cause.DRIFT


@pytest.mark.parametrize("case", MANAGED)
def test_nothing_is_written_while_a_rule_is_broken(case: str) -> None:
    fabric, broken = build_fabric(case), Finding(Reason.FabricRuleBroken, "no")
    assert plan_fabric(fabric, look(case, fabric), (broken,), None) == FabricPlan(findings=(broken,))


@pytest.mark.parametrize("drain", [None, "Refused"], ids=["not said", "refused"])
def test_without_a_word_for_it_no_policy_is_written_and_nothing_else_either(drain: str | None) -> None:
    fabric = build_fabric("sriov-ethernet", nodeDrain=drain)
    plan = plan_fabric(fabric, look("sriov-ethernet", fabric), (), None)
    assert plan.actions == ()
    assert [item.reason for item in plan.findings] == [Reason.NodeDrainNotAcknowledged]


def test_policy_that_stands_is_not_changed_without_a_word_for_it() -> None:
    before = build_fabric("sriov-ethernet")
    live, _ = settle("sriov-ethernet", before)
    devices = {"deviceIds": ["1021"], "interfaces": ["ens3f0np0"], "virtualFunctions": 4}
    after = build_fabric(
        "sriov-ethernet", nodeDrain=None, devices=devices, networks=[{"name": "new", "ipam": {"type": "DHCP"}}]
    )
    plan = plan_fabric(after, look("", after, *live), (), Usage())
    assert [item.reason for item in plan.findings] == [Reason.NodeDrainNotAcknowledged]
    assert {action.manifest.kind for action in plan.actions if isinstance(action, Create)} == {kinds.SRIOV_NETWORK}
    assert not any(isinstance(action, Apply) for action in plan.actions)


def test_default_of_the_webhook_and_other_labels_drain_no_node() -> None:
    fabric = build_fabric("sriov-ethernet", nodeDrain=None)
    live, _ = settle("sriov-ethernet", build_fabric("sriov-ethernet"))
    (policy,) = (item for item in live if item.kind is kinds.SRIOV_POLICY)
    body = {**policy.body, "spec": {**policy.body["spec"], "priority": 99}}
    metadata = {**policy.metadata, "annotations": {"inferencecache.io/applied-hash": "of another release"}}
    changed = replace(policy, body={**body, "metadata": metadata})
    plan = plan_fabric(fabric, look("", fabric, *(changed if item is policy else item for item in live)), (), None)
    assert (describe(plan), plan.findings) == (["Apply"], ())


def test_network_that_is_no_longer_wanted_goes_when_no_pod_uses_it() -> None:
    before = build_fabric("shared-macvlan")
    live, policy = settle("", before)
    networks = [{"name": "rail-a", "interface": "ens3f0np0", "ipam": {"type": "NVIPAM", "poolName": "rail-a"}}]
    after = build_fabric("shared-macvlan", networks=networks)
    around = look("", after, *live, policy=policy)
    assert [item.name for item in find_unwanted(after, around)] == ["rail-b-inference"]
    held = plan_fabric(after, around, (), use(network="rail-b-inference"))
    assert (held.actions, [item.reason for item in held.findings]) == ((), [Reason.FabricInUse])
    assert "engine-0" in held.findings[0].message
    assert plan_fabric(after, around, (), None).actions == ()
    free = plan_fabric(after, around, (), use(network="rail-a-inference"))
    assert [action.live.name for action in free.actions if isinstance(action, Delete)] == ["rail-b-inference"]


@pytest.mark.parametrize("case", MANAGED)
def test_deletion_waits_for_pods_then_takes_networks_first_and_ends(case: str) -> None:
    fabric = build_fabric(case)
    live, policy = settle(case, fabric)
    going = build_fabric(case, deletionTimestamp="2026-03-01T00:00:00Z", finalizers=["inferencecache.io/fabric"])
    users = Usage()
    for item in live:
        namespace = item.body.get("spec", {}).get("networkNamespace") or item.namespace
        annotations = {"k8s.v1.cni.cncf.io/networks": f"{namespace}/{item.name}"}
        metadata = {"name": "p", "namespace": "inference", "annotations": annotations}
        users.add({"metadata": metadata, "spec": {}})
    held = plan_fabric(going, Surroundings(None, live, policy), (), users)
    assert (held.actions, held.finished) == ((), False)
    assert {item.reason for item in held.findings} == {Reason.FabricInUse}
    steps, left = [], list(live)
    for _ in range(4):
        plan = plan_fabric(going, Surroundings(None, left, policy), (), Usage())
        assert plan.findings == ()
        if plan.finished:
            break
        gone = [action.live for action in plan.actions if isinstance(action, Delete)]
        steps.append({item.kind for item in gone})
        left = [item for item in left if item not in gone]
        if any(isinstance(action, ApplyShared) for action in plan.actions):
            policy = None
    else:
        pytest.fail("the fabric's objects never went")
    assert (left, policy) == ([], None)
    if any(item.kind is kinds.SRIOV_POLICY for item in live):
        assert kinds.SRIOV_POLICY not in steps[0]
        assert steps[1] == {kinds.SRIOV_POLICY}


def test_policy_is_not_deleted_without_a_word_for_it() -> None:
    live, _ = settle("sriov-ethernet", build_fabric("sriov-ethernet"))
    policies = [item for item in live if item.kind is kinds.SRIOV_POLICY]
    going = build_fabric(
        "sriov-ethernet", nodeDrain=None, deletionTimestamp="x", finalizers=["inferencecache.io/fabric"]
    )
    plan = plan_fabric(going, Surroundings(None, policies), (), Usage())
    assert (plan.actions, plan.finished) == ((), False)
    assert [item.reason for item in plan.findings] == [Reason.NodeDrainNotAcknowledged]


def test_policy_and_entry_stay_while_a_pod_requests_the_resource() -> None:
    for case, resource in (
        ("sriov-ethernet", "nvidia.com/storage_vf"),
        ("shared-macvlan", "rdma/storage"),
        ("shared-macvlan-plain", "rdma/storage"),
    ):
        live, policy = settle(case, build_fabric(case))
        rest = [item for item in live if "Network" not in item.kind.name or item.kind is kinds.SRIOV_POLICY]
        going = build_fabric(case, deletionTimestamp="x", finalizers=["inferencecache.io/fabric"])
        plan = plan_fabric(going, Surroundings(None, rest, policy), (), use(resource=resource))
        assert (plan.actions, plan.finished) == ((), False)
        assert {item.reason for item in plan.findings} == {Reason.FabricInUse}
        ended = plan_fabric(going, Surroundings(None, rest, policy), (), use(resource=resource, phase="Succeeded"))
        assert ended.actions


def test_policy_of_all_keeps_the_entries_of_other_fabrics_and_fields_of_others() -> None:
    first, second = build_fabric("shared-macvlan", "one"), build_fabric("shared-ipoib", "two")
    foreign = {"manager": "helm", "operation": "Update", "fieldsV1": {"f:spec": {"f:ofedDriver": {"f:image": {}}}}}
    (shared,) = (
        item for item in plan_fabric(first, look("", first), (), None).actions if isinstance(item, ApplyShared)
    )
    policy = observe_policy(shared, foreign)
    around = look("", second, policy=policy, kept=frozenset({"rdma/storage"}))
    (both,) = (item for item in plan_fabric(second, around, (), None).actions if isinstance(item, ApplyShared))
    assert both.manifest is not None
    assert [item["resourceName"] for item in parse_entries(_SECTION, both.manifest.body)] == ["storage", "storage_ib"]
    assert set(both.manifest.body["spec"]) == {_SECTION}
    going = build_fabric("shared-ipoib", "two", deletionTimestamp="x", finalizers=["inferencecache.io/fabric"])
    (left,) = plan_fabric(going, Surroundings(None, [], observe_policy(both)), (), Usage()).actions
    assert isinstance(left, ApplyShared)
    assert left.manifest is not None
    assert [item["resourceName"] for item in parse_entries(_SECTION, left.manifest.body)] == ["storage"]


def test_image_that_somebody_else_chose_and_configuration_that_is_not_ours_are_not_taken_over() -> None:
    fabric = build_fabric("shared-macvlan")
    fields: dict[str, Any] = {"f:spec": {f"f:{_SECTION}": {"f:image": {}, "f:config": {}}}}
    policy = build_live(
        kinds.NIC_CLUSTER_POLICY,
        POLICY_NAME,
        {
            _SECTION: {
                "image": "theirs",
                "config": '{"configList":[{"resourceName":"x","rdmaHcaMax":1,"devices":["a"]}]}',
            }
        },
        managedFields=[{"manager": "helm", "operation": "Update", "fieldsV1": fields}],
    )
    (shared,) = (
        item
        for item in plan_fabric(fabric, look("", fabric, policy=policy), (), None).actions
        if isinstance(item, ApplyShared)
    )
    assert shared.manifest is not None
    content = shared.manifest.body["spec"][_SECTION]
    assert set(content) == {"config"}
    assert [item["resourceName"] for item in parse_entries(_SECTION, shared.manifest.body)] == ["storage"]


def test_object_that_is_being_deleted_is_awaited() -> None:
    fabric = build_fabric("shared-ipoib")
    live, policy = settle("", fabric)
    going = replace(live[0], body={**live[0].body, "metadata": {**live[0].metadata, "deletionTimestamp": "x"}})
    plan = plan_fabric(fabric, look("", fabric, going, policy=policy), (), None)
    assert (plan.actions, [item.reason for item in plan.findings]) == ((), [Reason.ChildTerminating])
