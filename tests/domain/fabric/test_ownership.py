"""Labels make no object a fabric's own, and whoever sets them in a namespace of theirs changes nothing of the fabric."""

from dataclasses import replace
from typing import Any

import pytest

from inference_cache.domain import kinds
from inference_cache.domain.fabric.builders import build_fabric_manifest
from inference_cache.domain.fabric.form import Form
from inference_cache.domain.fabric.ownership import is_own
from inference_cache.domain.fabric.plan import Surroundings, build_desired, find_endangered
from inference_cache.domain.kinds import Kind
from inference_cache.domain.live import Live

from .fabric_facts import CASES, PLAIN, build_fabric, find_form, observe

_NAD = kinds.NETWORK_ATTACHMENT
_PLUGIN = "storage-rdma-device-plugin"


def claim(kind: Kind, name: str, namespace: str = "", fabric: str = "storage", **more: Any) -> Live:
    """Return an object with all marks of a fabric's own."""
    return observe(build_fabric_manifest(kind, fabric, name, namespace, {"spec": {}}, **more))


@pytest.mark.parametrize("case", [case for case in CASES if case != "reference"])
def test_everything_that_a_fabric_is_made_of_is_its_own(case: str) -> None:
    fabric = build_fabric(case)
    made = [observe(item) for item in build_desired(fabric, find_form(fabric, plain=case.endswith(PLAIN)))]
    assert all(is_own(item, fabric) for item in made)
    assert not any(is_own(item, build_fabric(case, "other")) for item in made)


CLAIMS: dict[str, tuple[Live, bool]] = {
    "network of the spec": (claim(_NAD, "rail-a-inference", "inference"), True),
    "network of a namespace that is not served": (claim(_NAD, "rail-a-tenant", "tenant"), False),
    "network of another name": (claim(_NAD, "mine", "inference"), False),
    "plugin": (claim(kinds.DAEMON_SET, _PLUGIN, "inference-cache-fabric"), True),
    "plugin in a namespace of a tenant": (claim(kinds.DAEMON_SET, _PLUGIN, "tenant"), False),
    "configuration in a namespace of a tenant": (claim(kinds.CONFIG_MAP, _PLUGIN, "tenant"), False),
    "network of an operator that is not wanted any more": (claim(kinds.MACVLAN_NETWORK, "old-inference"), True),
    "network of the SR-IOV operator": (claim(kinds.SRIOV_NETWORK, "old", "nvidia-network-operator"), True),
    "network of the SR-IOV operator made by a tenant": (claim(kinds.SRIOV_NETWORK, "mine", "tenant"), False),
    "policy of another name": (claim(kinds.SRIOV_POLICY, "mine", "nvidia-network-operator"), False),
}


@pytest.mark.parametrize("case", CLAIMS, ids=list(CLAIMS))
def test_object_is_own_by_its_name_or_by_status(case: str) -> None:
    live, expected = CLAIMS[case]
    fabric = build_fabric("shared-macvlan")
    assert is_own(live, fabric) == expected
    told = {"kind": str(live.kind), "name": live.name, **({"namespace": live.namespace} if live.namespace else {})}
    assert is_own(live, replace(fabric, status={"objects": [told]}))
    assert not is_own(replace(live, body={**live.body, "metadata": {"name": live.name}}), fabric)


@pytest.mark.parametrize(("name", "namespace"), [("rail-a-tenant", "tenant"), ("rail-a-inference", "inference")])
def test_network_of_a_tenant_does_not_change_the_form(name: str, namespace: str) -> None:
    fabric = build_fabric("shared-macvlan")
    made = [observe(item) for item in build_desired(fabric, find_form(fabric))]
    assert find_form(fabric, live=(*made, claim(_NAD, name, namespace))) == find_form(fabric)


def test_network_outside_of_the_served_namespaces_makes_no_form() -> None:
    fabric = build_fabric("shared-macvlan")
    assert find_form(fabric, live=(claim(_NAD, "rail-a-tenant", "tenant"),)) == find_form(fabric)


def test_resource_is_endangered_when_its_maker_is_next_to_go() -> None:
    going: dict[str, Any] = {"deletionTimestamp": "x", "finalizers": ["inferencecache.io/fabric"]}
    for case, resource in (("sriov-ethernet", "storage_vf"), ("shared-macvlan-plain", "rdma/storage")):
        fabric, form = build_fabric(case), find_form(build_fabric(case), plain=case.endswith(PLAIN))
        assert isinstance(form, Form)
        live = [observe(item) for item in build_desired(fabric, form)]
        assert find_endangered(fabric, Surroundings(form, live)) == frozenset()
        removed = build_fabric(case, **going)
        assert find_endangered(removed, Surroundings(None, live)) == frozenset()
        makers = [item for item in live if item.kind in {kinds.SRIOV_POLICY, kinds.DAEMON_SET, kinds.CONFIG_MAP}]
        assert find_endangered(removed, Surroundings(None, makers)) == {resource}
