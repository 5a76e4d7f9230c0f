"""What one RDMA pod would get: from each kind of fabric, from the spec itself, or why nobody can tell."""

from dataclasses import replace
from typing import Any

import pytest

from inference_cache.api.networks import LinkType
from inference_cache.api.transport import LockedMemory, Recovery, TransportPolicy
from inference_cache.domain.attachment import Attachment, Network
from inference_cache.domain.fabric.facts import FabricFacts, project_fabric
from inference_cache.domain.reasons import Reason
from inference_cache.domain.transport_intent import read_intent, resolve_attachment
from tests.support.builders import build_settled

NAMESPACE = "inference"
VF = "nvidia.com/storage_vf"
SHARED = "rdma/storage"
_BY_FABRIC = {"transport.fabricRef": {"name": "storage"}}
_RAILS = [{"name": "rail-a"}, {"name": "rail-b", "namespace": "networks"}]


def _fabric(**spec: Any) -> FabricFacts:
    known = {"mode": "Reference", "type": "SRIOVEthernet", "resourceName": VF}
    metadata = {"name": "storage", "uid": "f", "resourceVersion": "1"}
    return project_fabric({"metadata": metadata, "spec": known | spec})


_MANAGED = {
    "mode": "Manage",
    "namespaces": [NAMESPACE],
    "networks": [{"name": "rail-a", "ipam": {"type": "DHCP"}}],
    "devices": {"virtualFunctions": 8, "deviceIds": ["1021"]},
    "nodeDrain": "Acknowledged",
}
_NET1, _NET2 = Network("rail-a", NAMESPACE, "net1"), Network("rail-b", "networks", "net2")

_FABRICS: dict[str, tuple[dict[str, Any], Attachment]] = {
    "SR-IOV takes a device for each network": (
        {"networks": _RAILS},
        Attachment("storage", VF, None, 2, (_NET1, _NET2), per_network=True, link_type=LinkType.ETHERNET),
    ),
    "SR-IOV without networks takes one device": (
        {},
        Attachment("storage", VF, None, 1, (), per_network=True, link_type=LinkType.ETHERNET),
    ),
    "InfiniBand": (
        {"type": "SRIOVInfiniBand", "networks": [{"name": "rail-a"}]},
        Attachment("storage", VF, None, 1, (_NET1,), per_network=True, link_type=LinkType.INFINIBAND),
    ),
    "shared devices are one for all networks": (
        {"type": "SharedMacvlan", "resourceName": SHARED, "networks": _RAILS},
        Attachment("storage", SHARED, None, 1, (_NET1, _NET2), per_network=False, link_type=LinkType.ETHERNET),
    ),
    "shared IPoIB": (
        {"type": "SharedIPoIB", "resourceName": SHARED, "networks": [{"name": "rail-a"}]},
        Attachment("storage", SHARED, None, 1, (_NET1,), per_network=False, link_type=LinkType.INFINIBAND),
    ),
    "a whole function has any link": (
        {"type": "HostDevice", "networks": [{"name": "rail-a"}]},
        Attachment("storage", VF, None, 1, (_NET1,), per_network=True, link_type=None),
    ),
    "networks of mode Manage carry the namespace in their name": (
        _MANAGED,
        Attachment(
            "storage",
            VF,
            None,
            1,
            (Network("rail-a-inference", NAMESPACE, "net1"),),
            per_network=True,
            link_type=LinkType.ETHERNET,
        ),
    ),
}


@pytest.mark.parametrize(("spec", "expected"), _FABRICS.values(), ids=_FABRICS.keys())
def test_fabric_gives(spec: dict[str, Any], expected: Attachment) -> None:
    assert resolve_attachment(build_settled(_BY_FABRIC), _fabric(**spec), NAMESPACE) == expected


_INLINE: dict[str, tuple[dict[str, Any], Attachment]] = {
    "a device and no network": (
        {"resourceName": VF},
        Attachment(None, VF, None, 1, (), per_network=False, link_type=None),
    ),
    "a device for each network": (
        {"resourceName": VF, "networks": _RAILS, "linkType": "InfiniBand"},
        Attachment(None, VF, None, 2, (_NET1, _NET2), per_network=True, link_type=LinkType.INFINIBAND),
    ),
    "as many devices as it says": (
        {"resourceName": SHARED, "networks": _RAILS, "count": 1},
        Attachment(None, SHARED, None, 1, (_NET1, _NET2), per_network=False, link_type=None),
    ),
    "devices of a DeviceClass": (
        {"deviceClassName": "rdma.example", "count": 2},
        Attachment(None, None, "rdma.example", 2, (), per_network=False, link_type=None),
    ),
}


@pytest.mark.parametrize(("rdma", "expected"), _INLINE.values(), ids=_INLINE.keys())
def test_spec_gives(rdma: dict[str, Any], expected: Attachment) -> None:
    assert resolve_attachment(build_settled({"transport.rdma": rdma}), None, NAMESPACE) == expected


def test_locked_memory_is_that_of_the_spec() -> None:
    settled = build_settled({"transport": {"rdma": {"resourceName": VF}, "lockedMemory": "NodeUnlimited"}})
    found = resolve_attachment(settled, None, NAMESPACE)
    assert isinstance(found, Attachment)
    assert found.locked_memory is LockedMemory.NODE_UNLIMITED


def test_pods_get_the_nodes_of_the_fabric() -> None:
    settled = build_settled({"transport.fabricRef": {"name": "storage"}})
    found = resolve_attachment(settled, _fabric(nodeSelector={"b": "2", "a": "1"}), NAMESPACE)
    assert isinstance(found, Attachment)
    assert found.node_selector == (("a", "1"), ("b", "2"))


_FAULTS: dict[str, tuple[FabricFacts | None, Reason, str]] = {
    "it does not exist": (None, Reason.FabricNotFound, "InferenceCacheFabric storage does not exist."),
    "it breaks a rule": (
        replace(_fabric(), spec=None, violations=("spec.mode: missing",)),
        Reason.FabricNotReady,
        "InferenceCacheFabric storage breaks a rule: spec.mode: missing.",
    ),
    "it is for other namespaces": (
        _fabric(namespaces=["other"]),
        Reason.FabricForbidden,
        "InferenceCacheFabric storage does not serve namespace inference.",
    ),
}


@pytest.mark.parametrize(("fabric", "reason", "text"), _FAULTS.values(), ids=_FAULTS.keys())
def test_fabric_gives_nothing_when(fabric: FabricFacts | None, reason: Reason, text: str) -> None:
    assert resolve_attachment(build_settled(_BY_FABRIC), fabric, NAMESPACE) == (reason, text)


@pytest.mark.parametrize("changes", [{}, {"transport": {}}, {"transport": {"policy": "TCP", "fabricRef": {"name": "storage"}}}], ids=["no transport", "no fabric", "policy TCP"])  # fmt: skip
def test_nothing_is_attached_where_nobody_asks(changes: dict[str, Any]) -> None:
    settled = build_settled(changes)
    assert resolve_attachment(settled, _fabric(), NAMESPACE) is None
    assert not read_intent(settled).asked


def test_intent_has_defaults() -> None:
    intent = read_intent(build_settled(_BY_FABRIC))
    assert (intent.policy, intent.asked, intent.recovery, intent.required) == (
        TransportPolicy.AUTO,
        True,
        Recovery.NEXT_RESTART,
        False,
    )
    asked = {"policy": "RequireRDMA", "fabricRef": {"name": "storage"}, "recovery": "Immediate"}
    required = read_intent(build_settled({"transport": asked, "cache.tiers.1.objectStore.rdmaDialect": "Dell"}))
    assert required.required
    assert required.recovery is Recovery.IMMEDIATE
