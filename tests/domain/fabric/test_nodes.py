"""The nodes of a fabric: counts, the reason of each that cannot carry it, and what forbids to write its policies."""

from dataclasses import replace
from typing import Any

import pytest

from inference_cache.api.networks import LinkType
from inference_cache.domain import kinds
from inference_cache.domain.fabric.facts import FabricFacts
from inference_cache.domain.fabric.form import Form
from inference_cache.domain.fabric.nodes import NodeTally, Survey, describe_nodes, matches_selector
from inference_cache.domain.fabric.rules import check_rules, check_survey
from inference_cache.domain.live import Live
from inference_cache.domain.node_evidence import NodeEvidence
from inference_cache.domain.reasons import Reason
from tests.support.evidence import SHARED, VF, build_evidence, build_report, build_sriov, port

from .fabric_facts import build_fabric, build_live, build_policy, find_form

_NODE = {"feature.node.kubernetes.io/pci-15b3.present": "true"}
_WAIT = "network.nvidia.com/operator.mofed.wait"


def count(
    fabric: FabricFacts,
    *nodes: NodeEvidence,
    policies: tuple[Live, ...] = (),
    pools: tuple[Live, ...] = (),
    blocks: Any = None,
) -> Survey:
    assert fabric.spec is not None
    tally = NodeTally(fabric.spec, policies, pools, blocks)
    for node in nodes:
        tally.add(node)
    return tally.finish()


def reasons(survey: Survey) -> dict[str, int]:
    return {item.reason: item.count for item in survey.counts.faulty or []}


FAULTS: dict[str, tuple[str, dict[str, Any], Reason | None]] = {
    "healthy SR-IOV": ("sriov-ethernet", {}, None),
    "healthy shared": ("shared-macvlan", {}, None),
    "healthy InfiniBand": ("sriov-infiniband", {"resources": {"openshift.io/storage_ib": 8}, "nics": (port(link_type=LinkType.INFINIBAND, interface="ibs3f0"),)}, None),
    "nothing known of adapters": ("sriov-ethernet", {"nics": ()}, None),
    "not ready": ("sriov-ethernet", {"ready": False}, Reason.NodeNotReady),
    "resource absent": ("sriov-ethernet", {"resources": {}}, Reason.RDMAResourceNotAdvertised),
    "resource zero": ("sriov-ethernet", {"resources": {VF: 0}}, Reason.RDMAResourceZero),
    "driver not ready": ("sriov-ethernet", {"resources": {}, "labels": {**_NODE, _WAIT: "true"}}, Reason.NICDriverNotReady),
    "driver upgrading": ("shared-macvlan", {"resources": {}, "labels": {**_NODE, "nvidia.com/ofed-driver-upgrade-state": "drain-required"}}, Reason.NICDriverUpgrading),
    "SR-IOV failed": ("sriov-ethernet", {"resources": {}, "sriov": build_sriov(sync_status="Failed")}, Reason.SRIOVConfigFailed),
    "SR-IOV at work": ("sriov-ethernet", {"resources": {}, "sriov": build_sriov(sync_status="InProgress")}, Reason.SRIOVNodeDraining),
    "SR-IOV drains": ("sriov-ethernet", {"resources": {}, "sriov": build_sriov(desired="Drain_Required")}, Reason.SRIOVNodeDraining),
    "SR-IOV drains for others": ("shared-macvlan", {"sriov": build_sriov(desired="Drain_Required")}, Reason.SRIOVNodeDraining),
    "SR-IOV drains a node that still offers devices": ("sriov-ethernet", {"sriov": build_sriov(current="Draining")}, Reason.SRIOVNodeDraining),
    "SR-IOV at work on other functions": ("sriov-ethernet", {"sriov": build_sriov(sync_status="InProgress")}, None),
    "upgrade takes a driver away": ("sriov-ethernet", {"labels": {**_NODE, "nvidia.com/ofed-driver-upgrade-state": "drain-required"}}, Reason.NICDriverUpgrading),
    "link down in mode Reference": ("reference", {"nics": (port(link_up=False),)}, Reason.LinkDown),
    "link down is why there is no device": ("sriov-ethernet", {"resources": {VF: 0}, "nics": (port(link_up=False),)}, Reason.LinkDown),
    "link of the other kind": ("sriov-ethernet", {"nics": (port(link_type=LinkType.INFINIBAND),)}, Reason.LinkTypeMismatch),
    "link down": ("sriov-ethernet", {"nics": (port(link_up=False),)}, Reason.LinkDown),
    "one of two links down": ("sriov-ethernet", {"nics": (port(link_up=False), port(pci="0000:17:00.1", interface="ens3f1np1"))}, None),
    "another adapter down": ("sriov-ethernet", {"nics": (port(), port(pci="0000:99:00.0", interface="ens9", link_up=False))}, None),
    "exclusive by SR-IOV state": ("shared-macvlan", {"sriov": build_sriov(rdma_mode="exclusive")}, Reason.RDMANetnsModeMismatch),
    "exclusive by report": ("shared-macvlan", {"report": build_report(rdma_netns_mode="exclusive")}, Reason.RDMANetnsModeMismatch),
    "exclusive where each pod has its own": ("sriov-ethernet", {"sriov": build_sriov(rdma_mode="exclusive")}, None),
}  # fmt: skip


@pytest.mark.parametrize("case", FAULTS, ids=list(FAULTS))
def test_reason_of_a_node_is_named(case: str) -> None:
    kind, facts, expected = FAULTS[case]
    survey = count(build_fabric(kind), build_evidence(**({"labels": _NODE} | facts)))
    assert reasons(survey) == ({expected.name: 1} if expected else {})
    assert (survey.counts.selected, survey.counts.ready) == (1, int(expected is None))


@pytest.mark.parametrize(
    ("kind", "amount", "expected"),
    [
        ("sriov-ethernet", 1, {"RDMAResourceTooFew": 1}),
        ("sriov-ethernet", 2, {}),
        ("shared-macvlan", 1, {}),
    ],
)
def test_node_must_have_the_devices_of_one_pod(kind: str, amount: int, expected: dict[str, int]) -> None:
    rails: list[dict[str, Any]] = [{"name": f"rail-{name}", "ipam": {"type": "DHCP"}} for name in "ab"]
    changes: dict[str, Any] = {"networks": rails}
    if kind == "shared-macvlan":
        changes["devices"] = {"interfaces": ["ens3f0np0", "ens3f1np1"]}
        for rail, interface in zip(rails, changes["devices"]["interfaces"], strict=True):
            rail["interface"] = interface
    fabric = build_fabric(kind, **changes)
    survey = count(fabric, build_evidence(labels=_NODE, resources={VF: amount, SHARED: amount}))
    assert reasons(survey) == expected


def test_nodes_of_other_labels_do_not_count() -> None:
    survey = count(build_fabric("sriov-ethernet"), build_evidence(labels={}), build_evidence("n2", labels=_NODE))
    assert (survey.counts.selected, survey.counts.ready) == (1, 1)


def test_counts_name_three_nodes_and_the_most_frequent_reason_first() -> None:
    nodes = [build_evidence(f"n{number}", labels=_NODE, resources={} if number else {VF: 0}) for number in range(6)]
    survey = count(build_fabric("sriov-ethernet"), *reversed(nodes))
    faulty = survey.counts.faulty or []
    assert [(item.reason, item.count, item.examples) for item in faulty] == [
        ("RDMAResourceNotAdvertised", 5, ["n1", "n2", "n3"]),
        ("RDMAResourceZero", 1, ["n0"]),
    ]
    assert describe_nodes(survey.counts).startswith(
        "0 of 6 selected nodes can carry the fabric: 5 RDMAResourceNotAdvertised"
    )
    assert survey.advertising == 1


def test_rollout_of_drivers_passes_and_a_wrong_resource_does_not() -> None:
    waiting = build_evidence(labels={**_NODE, _WAIT: "true"}, resources={})
    assert count(build_fabric("sriov-ethernet"), waiting).converging
    assert not count(
        build_fabric("sriov-ethernet"), waiting, build_evidence("n2", labels=_NODE, resources={})
    ).converging


def test_node_without_a_block_of_addresses_is_named() -> None:
    nodes = (build_evidence("n1", labels=_NODE), build_evidence("n2", labels=_NODE))
    survey = count(
        build_fabric("sriov-ethernet"), *nodes, blocks={"rail-a": frozenset({"n1"}), "rail-b": frozenset({"n1", "n2"})}
    )
    assert reasons(survey) == {"IPPoolExhausted": 1}


def test_policies_of_others_are_met_on_nodes_of_the_fabric_alone() -> None:
    everywhere, elsewhere = build_policy("a"), build_policy("b")
    elsewhere = replace(elsewhere, body={**elsewhere.body, "spec": {"nodeSelector": {"zone": "x"}}})
    survey = count(
        build_fabric("sriov-ethernet"),
        build_evidence(labels=_NODE),
        build_evidence("n2", labels={"zone": "x"}),
        policies=(everywhere, elsewhere),
    )
    assert survey.meets == {everywhere.uid: "node-1"}


def pool(mode: str, selector: dict[str, Any] | None) -> Live:
    return build_live(
        kinds.SRIOV_POOL_CONFIG,
        "pool",
        {"rdmaMode": mode, **({"nodeSelector": selector} if selector is not None else {})},
        "ns",
    )


def observed_rules(fabric: FabricFacts, survey: Survey) -> list[Reason]:
    assert fabric.spec is not None
    return [item.reason for item in check_survey(fabric.spec, survey)]


RULES: dict[str, tuple[str, dict[str, Any], dict[str, Any], list[Reason]]] = {
    "all is well": ("sriov-ethernet", {}, {}, []),
    "no node": ("sriov-ethernet", {"labels": {}}, {}, [Reason.FabricNoNodes]),
    "no node where nothing is drained": ("shared-macvlan", {"labels": {}}, {}, []),
    "no adapter of the model": ("sriov-ethernet", {"nics": (port(device_id="101d"),)}, {}, [Reason.FabricRuleBroken]),
    "no interface of the name": ("sriov-ethernet", {"nics": (port(interface="ens9"),)}, {}, [Reason.FabricRuleBroken]),
    "no interface of the name for shared devices": ("shared-macvlan", {"resources": {}, "nics": (port(interface="ens9"),)}, {}, [Reason.FabricRuleBroken]),
    "no interface of the name for whole functions": ("host-device", {"resources": {}, "nics": (port(interface="ens9"),)}, {}, [Reason.FabricRuleBroken]),
    "interface that a pod has taken": ("host-device", {"resources": {"nvidia.com/storage_port": 1}, "nics": (port(interface="ens9"),)}, {}, []),
    "one interface of several": ("shared-macvlan", {"resources": {}, "nics": (port(interface="ens9"), port(pci="0000:17:00.1"))}, {}, []),
    "interfaces not told": ("shared-macvlan", {"resources": {}, "nics": (port(interface=None),)}, {}, []),
    "interfaces of another vendor": ("shared-macvlan", {"resources": {}, "nics": (port(vendor="8086", interface="ens9"),)}, {}, []),
    "adapters not told": ("sriov-ethernet", {"nics": ()}, {}, []),
    "firmware gives more functions": ("sriov-ethernet", {"nics": (port(total_vfs=0),)}, {}, []),
    "shared pool": ("shared-macvlan", {}, {"pools": (pool("shared", {}),)}, []),
    "exclusive pool": ("shared-macvlan", {}, {"pools": (pool("exclusive", {}),)}, [Reason.RDMANetnsModeMismatch]),
    "exclusive pool of other nodes": ("shared-macvlan", {}, {"pools": (pool("exclusive", {"matchLabels": {"zone": "x"}}),)}, []),
    "exclusive pool of no nodes": ("shared-macvlan", {}, {"pools": (pool("exclusive", None),)}, []),
    "exclusive pool with SR-IOV": ("sriov-ethernet", {}, {"pools": (pool("exclusive", {}),)}, [Reason.FabricRuleBroken]),
}  # fmt: skip


@pytest.mark.parametrize("case", RULES, ids=list(RULES))
def test_rules_about_nodes(case: str) -> None:
    kind, facts, around, expected = RULES[case]
    fabric = build_fabric(kind)
    assert observed_rules(fabric, count(fabric, build_evidence(**({"labels": _NODE} | facts)), **around)) == expected


def test_other_vendors_have_as_many_functions_as_they_say() -> None:
    devices = {"vendor": "8086", "interfaces": ["ens3f0np0"], "virtualFunctions": 8}
    fabric = build_fabric("sriov-ethernet", devices=devices)
    node = build_evidence(labels=_NODE, nics=(port(vendor="8086", device_id="1592", total_vfs=4),))
    assert observed_rules(fabric, count(fabric, node)) == [Reason.FabricRuleBroken]


STATIC: dict[str, tuple[str, bool, dict[str, Any], str]] = {
    "virtual function instead of physical": ("sriov-ethernet", False, {"devices": {"deviceIds": ["101e"], "virtualFunctions": 4}}, "101e"),
    "host device of another domain": ("host-device", False, {"resourceName": "example.com/port"}, "nvidia.com/port"),
    "host device name that the plugin refuses": ("host-device", False, {"resourceName": "nvidia.com/storage-port"}, "storage-port"),
    "shared prefix that is no domain": ("shared-macvlan", False, {"resourceName": "storage/x"}, "rdma/x"),
    "shared prefix with a plugin of its own": ("shared-macvlan", True, {"resourceName": "storage/x"}, ""),
    "host device of another domain without the operator": ("host-device", True, {"resourceName": "example.com/port"}, ""),
}  # fmt: skip


@pytest.mark.parametrize("case", STATIC, ids=list(STATIC))
def test_rules_of_the_operators(case: str) -> None:
    kind, plain, changes, shown = STATIC[case]
    fabric = build_fabric(kind, **changes)
    form: Form = find_form(fabric, plain=plain)
    assert fabric.spec is not None
    found = check_rules(fabric.spec, form)
    assert [item.reason for item in found] == ([Reason.FabricRuleBroken] if shown else [])
    assert all(shown in item.message for item in found)


@pytest.mark.parametrize(
    ("kind", "mtu", "small"),
    [
        ("sriov-ethernet", 1500, True),
        ("sriov-ethernet", 4200, False),
        ("sriov-infiniband", 2044, False),
        ("sriov-ethernet", None, False),
    ],
)
def test_mtu_that_is_set_must_be_enough_for_roce(kind: str, mtu: int | None, small: bool) -> None:
    devices = {"interfaces": ["ens3f0np0"], "virtualFunctions": 4, **({"mtu": mtu} if mtu else {})}
    fabric = build_fabric(kind, devices=devices)
    assert fabric.spec is not None
    found = check_rules(fabric.spec, find_form(fabric))
    assert [item.reason for item in found] == ([Reason.MTUTooSmall] if small else [])


SELECTORS: dict[str, tuple[dict[str, Any], bool]] = {
    "everything": ({}, True),
    "label": ({"matchLabels": {"a": "1"}}, True),
    "other value": ({"matchLabels": {"a": "2"}}, False),
    "in": ({"matchExpressions": [{"key": "a", "operator": "In", "values": ["1", "2"]}]}, True),
    "not in": ({"matchExpressions": [{"key": "a", "operator": "NotIn", "values": ["1"]}]}, False),
    "exists": ({"matchExpressions": [{"key": "b", "operator": "Exists"}]}, False),
    "does not exist": ({"matchExpressions": [{"key": "b", "operator": "DoesNotExist"}]}, True),
    "unknown operator": ({"matchExpressions": [{"key": "a", "operator": "Gt", "values": ["0"]}]}, False),
}


@pytest.mark.parametrize("case", SELECTORS, ids=list(SELECTORS))
def test_label_selectors(case: str) -> None:
    selector, expected = SELECTORS[case]
    assert matches_selector(selector, {"a": "1"}) is expected


def test_shared_resource_is_another_than_that_of_functions() -> None:
    assert count(build_fabric("shared-macvlan"), build_evidence(resources={SHARED: 1})).counts.ready == 1
