"""Eligibility labels: when a need has one, that it depends on the requirement alone, which nodes meet it, and hysteresis."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from inference_cache.api.networks import LinkType
from inference_cache.api.transport import LockedMemory
from inference_cache.domain import names
from inference_cache.domain.attachment import TCP_ONLY, TransportChoice, Variant
from inference_cache.domain.eligibility import (
    MET,
    MISSED,
    MISSED_SECONDS,
    Placement,
    eligibility_labels,
    has_gpu_signs,
    judge_placement,
    list_pod_labels,
    list_rules,
    needs_label,
    plan_labels,
)
from inference_cache.domain.node_need import NO_RDMA, TransportWish, build_need
from inference_cache.domain.pod_security import check_pod_security
from inference_cache.domain.reasons import Reason
from inference_cache.domain.verdict import ConditionType, Truth, Verdict, bad, ok
from tests.support.builders import build_sample_scope, build_settled
from tests.support.evidence import SHARED, VF, build_attachment, build_evidence, port, wish, zones

_FABRIC = {"transport": {"fabricRef": {"name": "storage"}}}
_KERNEL = {"nodes.requirements.kernelAtLeast": "5.14"}
_PAGES = {"nodes.requirements.hugePages": "4Gi"}
_ZONE = {"nodes.requirements.numa": {"alignment": "SingleZone"}}
_MODELS = _FABRIC | {"nodes.requirements.rdma": {"nicModels": ["ConnectX-7", "BlueField-3"]}}
_LABEL = f"{names.ELIGIBLE_LABEL_PREFIX}0123456789"
_OTHER = f"{names.ELIGIBLE_LABEL_PREFIX}9876543210"


def _labels(changes: dict[str, Any], wanted: TransportWish = NO_RDMA) -> tuple[str, ...]:
    return eligibility_labels(build_need(build_settled(changes), wanted))


_NEEDS: dict[str, tuple[dict[str, Any], TransportWish, int]] = {
    "nothing new": ({}, NO_RDMA, 0),
    "GPU requirements, which labels of others tell": ({"nodes.requirements.gpu": {"products": ["H200"], "minMemoryPerGPU": "80Gi", "driverMajorAtLeast": 570, "computeCapabilityAtLeast": "9.0"}}, NO_RDMA, 0),
    "whole GPUs": ({"nodes.requirements.gpu.partitioning": "Refuse"}, NO_RDMA, 0),
    "memory of the node": ({"nodes.requirements.memory": "1900Gi"}, NO_RDMA, 0),
    "kernel": (_KERNEL, NO_RDMA, 1),
    "huge pages beyond the request": (_PAGES, NO_RDMA, 1),
    "huge pages that pods request anyway": (_PAGES | {"cache.tiers.0.memory.pages": "Huge2Mi"}, NO_RDMA, 0),
    "one zone": (_ZONE, NO_RDMA, 1),
    "alignment that is not asked for": ({"nodes.requirements.numa": {"alignment": "None"}}, NO_RDMA, 0),
    "devices, which the scheduler sees": (_FABRIC, wish(), 0),
    "devices, required": (_FABRIC, wish(required=True), 0),
    "models of adapters": (_MODELS, wish(), 1),
    "models of adapters, for pods over TCP": (_MODELS, NO_RDMA, 0),
    "DPU": (_FABRIC | {"nodes.requirements.dpu": {}}, wish(), 1),
    "GPUDirect": (_FABRIC | {"nodes.requirements.rdma": {"gpuDirect": "Require"}}, wish(), 1),
    "GPUDirect that is not asked for": (_FABRIC | {"nodes.requirements.rdma": {"gpuDirect": "Ignore"}}, wish(), 0),
    "one zone with devices": (_FABRIC | _ZONE, wish(), 2),
    "one zone with devices that have none": (_FABRIC | _ZONE, wish(resource_name=SHARED, per_network=False), 1),
    "kernel and models": (_MODELS | _KERNEL, wish(), 2),
}  # fmt: skip


@pytest.mark.parametrize(("changes", "wanted", "labels"), _NEEDS.values(), ids=_NEEDS.keys())
def test_need_has_labels_for_what_nothing_else_tells(
    changes: dict[str, Any], wanted: TransportWish, labels: int
) -> None:
    assert len(_labels(changes, wanted)) == labels
    assert needs_label(build_need(build_settled(changes), wanted)) is bool(labels)


def test_labels_are_what_they_were_in_earlier_versions() -> None:
    """A label that changes moves every pod that asks for it."""
    assert _labels(_KERNEL) == (f"{names.ELIGIBLE_LABEL_PREFIX}9afc0578a3",)
    assert _labels(_MODELS, wish()) == (f"{names.ELIGIBLE_LABEL_PREFIX}92a3317952",)


def test_label_depends_on_the_requirement_and_not_on_the_deployment() -> None:
    assert _labels(_KERNEL) == _labels(
        _KERNEL | {"model.maxModelLen": 4096, "replicas": 5, "nodes.selector": {"a": "b"}}
    )
    assert _labels(_KERNEL) != _labels({"nodes.requirements.kernelAtLeast": "5.15"})
    assert _labels(_MODELS, wish()) == _labels(_MODELS, wish(required=True))
    other = _FABRIC | {"nodes.requirements.rdma": {"nicModels": ["BlueField-3", "ConnectX-7"]}}
    assert _labels(_MODELS, wish()) == _labels(other, wish())
    assert _labels(_MODELS, wish()) != _labels(_MODELS, wish(link_type=LinkType.INFINIBAND))


def test_scheduler_is_told_for_pods_over_rdma_and_not_for_those_over_tcp() -> None:
    settled = build_settled(_MODELS | _KERNEL)
    base, rdma = _labels(_MODELS | _KERNEL, wish())
    assert list_pod_labels(settled, TCP_ONLY) == (base,)
    assert list_pod_labels(settled, TransportChoice(Variant.RDMA, build_attachment())) == (base, rdma)


def test_template_excludes_nodes_that_are_known_to_miss_it() -> None:
    from inference_cache.domain.desired.workload import build_pod_spec  # noqa: PLC0415

    spec = build_pod_spec(build_sample_scope(_KERNEL), None)
    (term,) = spec["affinity"]["nodeAffinity"]["requiredDuringSchedulingIgnoredDuringExecution"]["nodeSelectorTerms"]
    (label,) = _labels(_KERNEL)
    assert term["matchExpressions"][-1] == {"key": label, "operator": "NotIn", "values": [MISSED]}


_RULES: dict[str, tuple[dict[str, Any], TransportWish, dict[str, Any], bool]] = {
    "kernel": (_KERNEL, NO_RDMA, {}, True),
    "kernel too old": (_KERNEL, NO_RDMA, {"kernel": "4.18"}, False),
    "kernel not told": (_KERNEL, NO_RDMA, {"kernel": ""}, False),
    "a node that is lost": (_KERNEL, NO_RDMA, {"ready": False, "unschedulable": True}, True),
    "a node that the scheduler refuses itself": (_KERNEL, NO_RDMA, {"gpus": 0, "milli_cpus": 0, "labels": {}}, True),
    "GPUs that are shared": (_KERNEL, NO_RDMA, {"labels": {"nvidia.com/gpu.replicas": "2"}}, False),
    "GPUs in two zones": (_ZONE, NO_RDMA, {"zones": zones({names.GPU_RESOURCE: 4}, {names.GPU_RESOURCE: 4})}, False),
    "adapter": (_MODELS, wish(), {}, True),
    "another adapter": (_MODELS, wish(), {"nics": (port(device_id="101d", model="ConnectX-6 Dx"),)}, False),
    "devices that are all taken": (_MODELS, wish(), {"used": {VF: 16}}, True),
    "no devices": (_MODELS, wish(), {"resources": {}}, False),
    "an adapter on a node that is lost": (_MODELS, wish(), {"ready": False, "unschedulable": True}, True),
}  # fmt: skip


@pytest.mark.parametrize(("changes", "wanted", "facts", "met"), _RULES.values(), ids=_RULES.keys())
def test_node_meets_rule(changes: dict[str, Any], wanted: TransportWish, facts: dict[str, Any], met: bool) -> None:
    (rule,) = list_rules(build_need(build_settled(changes), wanted))
    assert rule.is_met(build_evidence(**facts)) is met


def test_label_says_so_at_once_when_a_node_is_fit() -> None:
    plan = plan_labels({_LABEL: MISSED, "other": "x"}, {_LABEL: True}, (), {_LABEL: 1.0}, 100.0)
    assert (dict(plan.labels), dict(plan.missed_since), plan.due) == ({_LABEL: MET}, {}, None)
    assert plan.differs_from({_LABEL: MISSED})
    assert not plan.differs_from({_LABEL: MET, "other": "x"})


def test_label_says_at_once_that_a_new_node_is_not_fit() -> None:
    assert dict(plan_labels({}, {_LABEL: False}, (), {}, 100.0).labels) == {_LABEL: MISSED}


def test_label_holds_until_a_node_has_missed_it_for_two_minutes() -> None:
    present = {_LABEL: MET}
    since: dict[str, float] = {}
    for now in (0.0, 60.0, 119.9):
        plan = plan_labels(present, {_LABEL: False}, (), since, now)
        assert (dict(plan.labels), plan.due) == ({_LABEL: MET}, 120.0)
        since = dict(plan.missed_since)
    plan = plan_labels(present, {_LABEL: False}, (), since, 120.0)
    assert (dict(plan.labels), dict(plan.missed_since), plan.due) == ({_LABEL: MISSED}, {}, None)


def test_one_good_moment_begins_the_two_minutes_anew() -> None:
    present = {_LABEL: MET}
    first = plan_labels(present, {_LABEL: False}, (), {}, 0.0).missed_since
    since = plan_labels(present, {_LABEL: True}, (), first, 100.0).missed_since
    plan = plan_labels(present, {_LABEL: False}, (), since, 119.0)
    assert (dict(plan.labels), plan.due) == ({_LABEL: MET}, 239.0)


@given(st.lists(st.tuples(st.floats(0.1, 100), st.booleans()), min_size=1, max_size=60))
def test_flapping_node_is_written_to_at_most_twice_in_two_minutes(steps: list[tuple[float, bool]]) -> None:
    present, now, writes = {_LABEL: MET}, 0.0, 0
    since: dict[str, float] = {}
    for pause, met in steps:
        now += pause
        plan = plan_labels(present, {_LABEL: met}, (), since, now)
        since = dict(plan.missed_since)
        if plan.differs_from(present):
            writes += 1
            present = dict(plan.labels)
        if met:
            assert present == {_LABEL: MET}
    assert writes <= 2 * (now / MISSED_SECONDS + 1)


def test_labels_that_nobody_needs_go_when_they_are_no_longer_kept() -> None:
    present = {_LABEL: MET, _OTHER: MISSED}
    assert dict(plan_labels(present, {_LABEL: True}, (_OTHER,), {}, 0.0).labels) == present
    assert dict(plan_labels(present, {_LABEL: True}, (), {}, 0.0).labels) == {_LABEL: MET}


@pytest.mark.parametrize(
    ("facts", "expected"),
    [
        ({}, True),
        ({"gpus": None, "labels": {}}, False),
        ({"gpus": None, "labels": {"nvidia.com/gpu.present": "true"}}, True),
        ({"gpus": None, "labels": {"feature.node.kubernetes.io/pci-10de.present": "true"}}, True),
        ({"gpus": 0, "labels": {}}, True),
    ],
)
def test_only_nodes_with_gpus_are_labelled(facts: dict[str, Any], expected: bool) -> None:
    assert has_gpu_signs(build_evidence(**facts)) is expected


_FINE = ok(ConditionType.NODES_ELIGIBLE, Reason.NodesAvailable, "3 of 4.")


@pytest.mark.parametrize(
    ("verdict", "placement", "status", "reason", "begins"),
    [
        (_FINE, Placement.ENFORCED, Truth.TRUE, Reason.NodesAvailable, "3 of 4."),
        (_FINE, Placement.PENDING, Truth.UNKNOWN, Reason.PlacementPending, "Labels that keep pods away"),
        (_FINE, Placement.NOT_ENFORCED, Truth.TRUE, Reason.NodesAvailable, "3 of 4. Requirements that node labels"),
        (bad(ConditionType.NODES_ELIGIBLE, Reason.NoEligibleNodes), Placement.PENDING, Truth.FALSE, Reason.NoEligibleNodes, ""),
    ],
    ids=["enforced", "pending", "not enforced", "no node at all"],
)  # fmt: skip
def test_placement_is_told(verdict: Verdict, placement: Placement, status: Truth, reason: Reason, begins: str) -> None:
    found = judge_placement(verdict, placement)
    assert (found.status, found.reason) == (status, reason)
    assert found.message.startswith(begins)


@pytest.mark.parametrize(
    ("enforce", "memory", "blocked"),
    [
        (None, LockedMemory.IPC_LOCK, False),
        ("privileged", LockedMemory.IPC_LOCK, False),
        ("baseline", LockedMemory.IPC_LOCK, True),
        ("restricted", LockedMemory.IPC_LOCK, True),
        ("baseline", LockedMemory.NODE_UNLIMITED, False),
        ("restricted", LockedMemory.NODE_UNLIMITED, False),
    ],
)
def test_pod_security(enforce: str | None, memory: LockedMemory, blocked: bool) -> None:
    found = check_pod_security(enforce, build_attachment(locked_memory=memory))
    assert (found is not None) is blocked
    if found is None:
        return
    reason, text = found
    assert reason is Reason.PodSecurityBlocked
    assert f"Pod Security level {enforce}, which refuses the capability IPC_LOCK" in text
    # Without the capability, the pods still run as root, which restricted refuses.
    assert ("NodeUnlimited" in f"{text} {reason.remedy}") is (enforce == "baseline")
    assert ("pods for TCP as well" in text) is (enforce == "restricted")
