"""What a NetworkAttachmentDefinition tells, and what of it keeps RDMA from working."""

import json
from ipaddress import ip_network
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from inference_cache.api.networks import LinkType
from inference_cache.domain.attachment import Attachment, Network
from inference_cache.domain.fabric import networks
from inference_cache.domain.fabric.networks import (
    ADVISORY,
    NetworkFacts,
    check_network,
    check_networks,
    check_rails,
    project_network,
)
from inference_cache.domain.reasons import Reason

_RESOURCE = "nvidia.com/storage_vf"
_WANTED = Network("storage", "inference", "net1")
_IPAM = {"type": "whereabouts", "range": "192.168.10.0/24"}


def build_body(config: Any, resource: str | None = _RESOURCE) -> dict[str, Any]:
    annotations = {"k8s.v1.cni.cncf.io/resourceName": resource} if resource else {}
    text = config if isinstance(config, str) else json.dumps(config)
    return {
        "metadata": {"name": "storage", "namespace": "inference", "annotations": annotations},
        "spec": {"config": text},
    }


def cni(kind: str, **more: Any) -> dict[str, Any]:
    return {"cniVersion": "1.0.0", "name": "storage", "type": kind, "ipam": _IPAM, **more}


def attach(link: LinkType | None = None, resource: str | None = _RESOURCE) -> Attachment:
    return Attachment("storage", resource, None, 1, (_WANTED,), per_network=True, link_type=link)


FACTS: dict[str, tuple[Any, NetworkFacts]] = {
    "a plugin of its own": (
        cni("sriov"),
        NetworkFacts("inference", "storage", _RESOURCE, "sriov", "whereabouts", ("192.168.10.0/24",)),
    ),
    "a list of plugins": (
        {"cniVersion": "1.0.0", "plugins": [{"type": "macvlan", "mtu": 9000, "ipam": {"type": "dhcp"}}, {"type": "sbr"}]},
        NetworkFacts("inference", "storage", _RESOURCE, "macvlan", "dhcp", mtu=9000),
    ),
    "a pool of nv-ipam": (
        cni("ipoib", ipam={"type": "nv-ipam", "poolName": "rail-a"}),
        NetworkFacts("inference", "storage", _RESOURCE, "ipoib", "nv-ipam", pool="rail-a"),
    ),
    "several ranges": (
        cni("macvlan", ipam={"type": "host-local", "ranges": [[{"subnet": "10.0.0.0/24"}], [{"subnet": "fd00::/64"}]]}),
        NetworkFacts("inference", "storage", _RESOURCE, "macvlan", "host-local", ("10.0.0.0/24", "fd00::/64")),
    ),
    "a range from one address to another": (
        cni("macvlan", ipam={"type": "whereabouts", "ipRanges": [{"range": "10.0.0.9-10.0.0.20/24"}]}),
        NetworkFacts("inference", "storage", _RESOURCE, "macvlan", "whereabouts", ("10.0.0.0/24",)),
    ),
    "fixed addresses": (
        cni("macvlan", ipam={"type": "static", "addresses": [{"address": "10.0.0.9/24"}]}),
        NetworkFacts("inference", "storage", _RESOURCE, "macvlan", "static", ("10.0.0.0/24",)),
    ),
    "no addresses": (cni("sriov", ipam={}), NetworkFacts("inference", "storage", _RESOURCE, "sriov")),
    "an MTU that means the master's": (cni("macvlan", mtu=0, ipam={}), NetworkFacts("inference", "storage", _RESOURCE, "macvlan")),
    "text that is no JSON": (
        "type: sriov",
        NetworkFacts("inference", "storage", _RESOURCE, malformed="spec.config is no JSON"),
    ),
    "JSON that is no object": ("[]", NetworkFacts("inference", "storage", _RESOURCE, malformed="spec.config is no JSON object")),
    "JSON that is nested too deeply": ("[" * 5000, NetworkFacts("inference", "storage", _RESOURCE, malformed="spec.config is no JSON")),
    "text that is too long": (
        json.dumps({**cni("macvlan"), "note": "x" * 65536}),
        NetworkFacts("inference", "storage", _RESOURCE, malformed="spec.config is larger than 64 KiB"),
    ),
    "bytes that are too many": (
        '{"note": "' + "\u20ac" * 30000 + '"}',
        NetworkFacts("inference", "storage", _RESOURCE, malformed="spec.config is larger than 64 KiB"),
    ),
    "more subnets than anyone needs": (
        cni("macvlan", ipam={"type": "whereabouts", "ipRanges": [{"range": f"10.{i // 256}.{i % 256}.0/24"} for i in range(1000)]}),
        NetworkFacts("inference", "storage", _RESOURCE, "macvlan", "whereabouts", tuple(f"10.0.{i}.0/24" for i in range(32))),
    ),
    "nothing": ("", NetworkFacts("inference", "storage", _RESOURCE, malformed="spec.config is empty")),
    "no version": (
        {"type": "sriov"},
        NetworkFacts("inference", "storage", _RESOURCE, malformed="spec.config has no cniVersion"),
    ),
    "no type": (
        {"cniVersion": "1.0.0"},
        NetworkFacts("inference", "storage", _RESOURCE, malformed="spec.config names no CNI plugin (type)"),
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", FACTS, ids=list(FACTS))
def test_configuration_is_read(case: str) -> None:
    config, expected = FACTS[case]
    assert project_network(build_body(config)) == expected


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(max_size=8),
        lambda inner: st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["type", "plugins", "ipam", "ranges", "cniVersion", "mtu", "addresses"]), inner, max_size=5),
        max_leaves=12,
    )
)  # fmt: skip
def test_any_json_is_read_without_an_error(config: object) -> None:
    facts = project_network(build_body(json.dumps(config)))
    assert bool(facts.malformed) != bool(facts.cni_type)


LINKS = {"E": LinkType.ETHERNET, "I": LinkType.INFINIBAND, "-": None}

FINDINGS: dict[str, tuple[dict[str, Any] | None, str, str | None, Reason | None]] = {
    "healthy SR-IOV on Ethernet": (cni("sriov"), "E", _RESOURCE, None),
    "healthy SR-IOV on InfiniBand": (cni("ib-sriov"), "I", _RESOURCE, None),
    "healthy macvlan": (cni("macvlan", mtu=9000), "E", None, None),
    "healthy IPoIB": (cni("ipoib", mtu=2044), "I", None, None),
    "healthy host device": (cni("host-device"), "-", _RESOURCE, None),
    "missing": (None, "-", None, Reason.NetworkNotFound),
    "malformed": ({"type": "sriov"}, "-", _RESOURCE, Reason.NetworkConfigMalformed),
    "sriov on InfiniBand": (cni("sriov"), "I", _RESOURCE, Reason.UseSriovIBNetwork),
    "macvlan on InfiniBand": (cni("macvlan"), "I", None, Reason.MacvlanOnInfiniBand),
    "ib-sriov on Ethernet": (cni("ib-sriov"), "E", _RESOURCE, Reason.LinkTypeMismatch),
    "ipoib on Ethernet": (cni("ipoib"), "E", None, Reason.LinkTypeMismatch),
    "sriov without annotation": (cni("sriov"), "-", None, Reason.NADResourceMismatch),
    "sriov of another prefix": (cni("sriov"), "-", "openshift.io/storage_vf", Reason.NADResourceMismatch),
    "host device without annotation": (cni("host-device"), "-", None, Reason.NADResourceMismatch),
    "no addresses": (cni("sriov", ipam={}), "-", _RESOURCE, Reason.IPAMMissing),
    "addresses by host-local": (cni("sriov", ipam={"type": "host-local", "subnet": "10.0.0.0/24"}), "-", _RESOURCE, Reason.IPAMNotClusterWide),
    "MTU too small for RoCE": (cni("macvlan", mtu=1500), "E", None, Reason.MTUTooSmall),
    "MTU too small on an unknown link": (cni("macvlan", mtu=4199), "-", None, Reason.MTUTooSmall),
}  # fmt: skip


@pytest.mark.parametrize("case", FINDINGS, ids=list(FINDINGS))
def test_finding_is_named(case: str) -> None:
    config, link, resource, expected = FINDINGS[case]
    facts = None if config is None else project_network(build_body(config, resource))
    found = check_network(facts, wanted=_WANTED, attachment=attach(LINKS[link]), namespace="inference")
    assert [reason for reason, _ in found] == ([expected] if expected else [])
    assert all("inference/storage" in text for _, text in found)


def test_network_of_another_namespace_is_told_and_may_be_harmless() -> None:
    facts = project_network(build_body(cni("sriov")))
    found = check_network(facts, wanted=_WANTED, attachment=attach(), namespace="other")
    assert [reason for reason, _ in found] == [Reason.NetworkNamespaceIsolated]
    assert Reason.NetworkNamespaceIsolated in ADVISORY


def test_claims_of_dra_take_no_resource_from_the_network() -> None:
    facts = project_network(build_body(cni("sriov"), None))
    assert check_network(facts, wanted=_WANTED, attachment=attach(resource=None)) == []


RAILS: dict[str, tuple[dict[str, Any], dict[str, Any], bool]] = {
    "one subnet": ({"range": "10.0.0.0/24"}, {"range": "10.0.0.128/25"}, True),
    "two subnets": ({"range": "10.0.0.0/24"}, {"range": "10.0.1.0/24"}, False),
    "one pool": ({"poolName": "a", "type": "nv-ipam"}, {"poolName": "a", "type": "nv-ipam"}, True),
    "two pools": ({"poolName": "a", "type": "nv-ipam"}, {"poolName": "b", "type": "nv-ipam"}, False),
    "two families": ({"range": "10.0.0.0/24"}, {"range": "fd00::/64"}, False),
    "by DHCP": ({"type": "dhcp"}, {"type": "dhcp"}, False),
}


@pytest.mark.parametrize("case", RAILS, ids=list(RAILS))
def test_rails_of_one_subnet_are_found(case: str) -> None:
    one, other, shared = RAILS[case]
    first, second = (
        project_network(build_body(cni("macvlan", ipam={"type": "whereabouts", **item}), None)) for item in (one, other)
    )
    assert [reason for reason, _ in check_rails([first, second])] == ([Reason.RailsShareSubnet] if shared else [])
    pairs = [(_WANTED, first), (_WANTED, second)]
    assert [reason for reason, _ in check_networks(pairs, attach())] == ([Reason.RailsShareSubnet] if shared else [])


_SUBNETS = st.lists(
    st.builds(lambda number, prefix: str(ip_network((number, prefix), strict=False)), st.integers(0, 255), st.integers(24, 32))
    | st.sampled_from(["::/120", "::80/121", "::/0"]),
    max_size=6,
)  # fmt: skip


@given(_SUBNETS, _SUBNETS)
def test_common_subnet_is_found_as_by_comparing_each_with_each(one: list[str], other: list[str]) -> None:
    pairs = [(ip_network(first), ip_network(second)) for first in one for second in other]
    shared = any(first.version == second.version and first.overlaps(second) for first, second in pairs)
    found = check_rails([NetworkFacts("a", "x", subnets=tuple(one)), NetworkFacts("a", "y", subnets=tuple(other))])
    assert bool(found) == shared


def test_subnets_are_parsed_when_the_network_is_read_and_not_when_it_is_compared(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    many = [
        project_network(
            build_body(cni("macvlan", ipam={"ipRanges": [{"range": f"10.{n}.{i}.0/24"} for i in range(40)]}))
        )
        for n in range(8)
    ]
    monkeypatch.setattr(networks, "ip_network", lambda *_, **__: pytest.fail("parsed again"))
    assert check_rails(many) == []
    ((_, text),) = check_rails([many[0], many[0]])
    assert text.endswith("both use 10.0.0.0/24, 10.0.1.0/24, 10.0.2.0/24, 10.0.3.0/24 and others.")
