"""Two fabrics, or a fabric and somebody else's policy, that want one device: who keeps it, and when there is no quarrel."""

from typing import Any

import pytest

from inference_cache.domain.fabric.claims import check_claims, check_foreign_policies, exclude_each_other
from inference_cache.domain.fabric.facts import FabricFacts
from inference_cache.domain.reasons import Reason

from .fabric_facts import build_fabric, build_policy, load_body, read_spec

_OLD, _NEW = "2026-01-01T00:00:00Z", "2026-02-01T00:00:00Z"
_RANGES = [{"name": "x", "interface": "ens3f0np0", "ipam": {"type": "DHCP"}}]


def build_shared(name: str, created: str, resource: str = "rdma/other", **changes: Any) -> FabricFacts:
    known: dict[str, Any] = {"devices": {"interfaces": ["ens3f0np0"]}, "networks": _RANGES, "resourceName": resource}
    return build_fabric("shared-macvlan", name, creationTimestamp=created, **(known | changes))


PAIRS: dict[str, tuple[dict[str, Any], dict[str, Any], bool]] = {
    "the same interface": ({}, {}, True),
    "other interfaces": ({}, {"devices": {"interfaces": ["ens9"]}, "networks": [{"name": "x", "interface": "ens9", "ipam": {"type": "DHCP"}}]}, False),
    "an interface and a device id": ({}, {"devices": {"deviceIds": ["1021"]}}, True),
    "two device ids": ({"devices": {"deviceIds": ["101d"]}}, {"devices": {"deviceIds": ["1021"]}}, False),
    "two vendors": ({}, {"devices": {"vendor": "8086", "interfaces": ["ens3f0np0"]}}, False),
    "nodes that exclude each other": ({"nodeSelector": {"zone": "a"}}, {"nodeSelector": {"zone": "b"}}, True),
    "nodes that may be the same": ({"nodeSelector": {"zone": "a"}}, {"nodeSelector": {"rack": "b"}}, True),
}  # fmt: skip


@pytest.mark.parametrize("case", PAIRS, ids=list(PAIRS))
def test_younger_fabric_is_refused_a_device_of_the_older(case: str) -> None:
    one, other, quarrel = PAIRS[case]
    old, new = build_shared("zeta", _OLD, **one), build_shared("alpha", _NEW, "rdma/mine", **other)
    found = check_claims(new, read_spec(new), [old, new])
    assert [item.reason for item in found] == ([Reason.DeviceClaimedTwice] if quarrel else [])
    assert not found or "zeta" in found[0].message
    assert check_claims(old, read_spec(old), [old, new]) == []


@pytest.mark.parametrize(
    ("older", "younger", "quarrel"),
    [
        ("sriov-ethernet", "sriov-ethernet", False),
        ("sriov-ethernet", "shared-macvlan", True),
        ("host-device", "sriov-ethernet", True),
        ("host-device", "shared-ipoib", True),
    ],
)
def test_node_selectors_tell_virtual_functions_apart_and_entries_of_the_policy_do_not(
    older: str, younger: str, quarrel: bool
) -> None:
    devices = {"deviceIds": ["1021"]}
    old, new = (
        build_fabric(kind, name, creationTimestamp=created, resourceName=f"nvidia.com/{name}", nodeSelector={"zone": name},
                     devices={**devices, **({"virtualFunctions": 4} if "sriov" in kind else {})})
        for kind, name, created in ((older, "old", _OLD), (younger, "new", _NEW))
    )  # fmt: skip
    found = check_claims(new, read_spec(new), [old, new])
    assert [item.reason for item in found] == ([Reason.DeviceClaimedTwice] if quarrel else [])
    assert all("Node selectors do not tell them apart" in item.remedy for item in found)


def test_of_two_fabrics_of_one_second_the_first_by_name_keeps_the_device() -> None:
    one, other = build_shared("alpha", _OLD), build_shared("beta", _OLD, "rdma/mine")
    assert check_claims(one, read_spec(one), [one, other]) == []
    assert [item.reason for item in check_claims(other, read_spec(other), [one, other])] == [Reason.DeviceClaimedTwice]


def test_two_fabrics_never_make_one_resource() -> None:
    old, new = (
        build_shared("old", _OLD, "rdma/same"),
        build_shared("new", _NEW, "rdma/same", devices={"deviceIds": ["101d"]}),
    )
    (found,) = check_claims(new, read_spec(new), [old, new])
    assert found.reason is Reason.DeviceClaimedTwice
    assert found.remedy.startswith("Delete this fabric and make it again with another resourceName")


def test_shared_devices_and_virtual_functions_of_one_port_are_a_quarrel() -> None:
    old = build_shared("old", _OLD)
    new = build_fabric("sriov-ethernet", "new", creationTimestamp=_NEW, nodeSelector=None)
    assert [item.reason for item in check_claims(new, read_spec(new), [old, new])] == [Reason.DeviceClaimedTwice]


def test_fabrics_that_only_refer_claim_nothing() -> None:
    old, new = build_fabric("reference", "old", creationTimestamp=_OLD), build_shared("new", _NEW)
    assert check_claims(new, read_spec(new), [old, new]) == []


POLICIES: dict[str, tuple[dict[str, Any], bool]] = {
    "the same interface": ({"pfNames": ["ens3f0np0"]}, True),
    "a range of the same interface": ({"pfNames": ["ens3f0np0#4-7"]}, True),
    "another interface": ({"pfNames": ["ens9#0-3"]}, False),
    "every adapter of the vendor": ({}, True),
    "another model": ({"deviceID": "101d"}, False),
    "another vendor": ({"vendor": "8086"}, False),
}


@pytest.mark.parametrize("case", POLICIES, ids=list(POLICIES))
def test_policies_of_others_are_respected(case: str) -> None:
    nic, quarrel = POLICIES[case]
    fabric, policy = build_fabric("sriov-ethernet"), build_policy("theirs", **nic)
    found = check_foreign_policies(read_spec(fabric), [policy], {policy.uid: "node-1"})
    assert [item.reason for item in found] == ([Reason.DeviceClaimedTwice] if quarrel else [])
    assert check_foreign_policies(read_spec(fabric), [policy], {}) == []


def test_resource_of_anothers_policy_is_not_made_twice() -> None:
    fabric, policy = build_fabric("sriov-ethernet"), build_policy("theirs", "storage_vf", pfNames=["ens9"])
    (found,) = check_foreign_policies(read_spec(fabric), [policy], {policy.uid: "node-1"})
    assert (found.reason, "storage_vf" in found.message) == (Reason.DeviceClaimedTwice, True)


def test_selectors_exclude_each_other_by_one_key_alone() -> None:
    assert exclude_each_other({"a": "1"}, {"a": "2", "b": "1"})
    assert not exclude_each_other({"a": "1"}, {"b": "2"})
    assert not exclude_each_other({}, load_body("sriov-ethernet")["spec"]["nodeSelector"])
