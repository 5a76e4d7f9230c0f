"""What is said of the objects of a fabric: which form it takes, what others must make, what controllers have against it."""

from typing import Any

import pytest

from inference_cache.api.fabric_status import FabricNodes
from inference_cache.domain import kinds
from inference_cache.domain.fabric.device_plugin import parse_entries
from inference_cache.domain.fabric.findings import Finding
from inference_cache.domain.fabric.form import Form, belongs_to, choose_form
from inference_cache.domain.fabric.managed_checks import check_managed
from inference_cache.domain.fabric.network_checks import check_namespaces
from inference_cache.domain.fabric.networks import NetworkFacts
from inference_cache.domain.fabric.nodes import Survey
from inference_cache.domain.fabric.object_states import check_object, check_section
from inference_cache.domain.fabric.plan import build_desired
from inference_cache.domain.fabric.reference_checks import Existing, check_reference
from inference_cache.domain.fabric.usage import Usage, parse_networks
from inference_cache.domain.kinds import Kind
from inference_cache.domain.reasons import Reason

from .fabric_facts import build_fabric, build_live, build_policy, find_form, observe, serve

_POLICY = kinds.NIC_CLUSTER_POLICY


def choose(
    case: str, *without: Kind, plain: bool = False, live: tuple[Any, ...] = (), namespaces: Any = ()
) -> Form | Finding:
    spec = build_fabric(case).spec
    assert spec is not None
    return choose_form(spec, serve(*without, plain=plain), live, namespaces)


FORMS: dict[str, tuple[Form | Finding, Form | Reason]] = {
    "SR-IOV": (choose("sriov-ethernet"), Form(kinds.SRIOV_NETWORK, kinds.SRIOV_POLICY, "nvidia-network-operator")),
    "SR-IOV operator of its own": (
        choose("sriov-ethernet", namespaces={"sriov-network-operator"}),
        Form(kinds.SRIOV_NETWORK, kinds.SRIOV_POLICY, "sriov-network-operator"),
    ),
    "named namespace": (
        choose("sriov-infiniband", namespaces={"sriov-network-operator"}),
        Form(kinds.SRIOV_IB_NETWORK, kinds.SRIOV_POLICY, "openshift-sriov-network-operator"),
    ),
    "policy that stands elsewhere": (
        choose("sriov-ethernet", live=(build_policy("x", namespace="here"),), namespaces={"sriov-network-operator"}),
        Form(kinds.SRIOV_NETWORK, kinds.SRIOV_POLICY, "here"),
    ),
    "SR-IOV without its operator": (choose("sriov-ethernet", plain=True), Reason.FabricCRDMissing),
    "without Multus": (choose("shared-macvlan", kinds.NETWORK_ATTACHMENT), Reason.MultusNotInstalled),
    "shared": (choose("shared-macvlan"), Form(kinds.MACVLAN_NETWORK, _POLICY, "nvidia-network-operator")),
    "shared without the operator": (
        choose("shared-ipoib", plain=True),
        Form(kinds.NETWORK_ATTACHMENT, kinds.DAEMON_SET, "nvidia-network-operator"),
    ),
    "host device without the operator": (
        choose("host-device", plain=True),
        Form(kinds.NETWORK_ATTACHMENT, None, "nvidia-network-operator"),
    ),
    "operator that came later": (
        choose("shared-macvlan", live=tuple(observe(item) for item in build_desired(build_fabric("shared-macvlan"), find_form(build_fabric("shared-macvlan"), plain=True)))),
        Form(kinds.NETWORK_ATTACHMENT, kinds.DAEMON_SET, "nvidia-network-operator"),
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", FORMS, ids=list(FORMS))
def test_form_follows_what_is_installed_and_what_stands(case: str) -> None:
    found, expected = FORMS[case]
    assert (found.reason if isinstance(found, Finding) else found) == expected


def test_nothing_is_decided_before_the_api_server_has_told_what_it_serves() -> None:
    spec = build_fabric("shared-macvlan").spec
    assert spec is not None
    found = choose_form(spec, lambda _: None, (), None)
    assert isinstance(found, Finding)
    assert found.unknown


def test_object_that_another_controller_took_over_is_no_longer_ours() -> None:
    fabric = build_fabric("host-device")
    (manifest,) = build_desired(fabric, find_form(fabric, plain=True))
    assert belongs_to(observe(manifest), "storage")
    assert not belongs_to(observe(manifest), "other")
    owner = {"apiVersion": "v1", "kind": "HostDeviceNetwork", "name": "x", "uid": "y", "controller": True}
    assert not belongs_to(observe(manifest, ownerReferences=[owner]), "storage")


_NAD = NetworkFacts("inference", "storage", "nvidia.com/storage_vf", "sriov", "whereabouts", ("10.0.0.0/24",))
_NETWORKS = {("inference", "storage"): _NAD}
_DARK = Survey(FabricNodes(selected=2, ready=0))
_LIT = Survey(FabricNodes(selected=2, ready=2), advertising=2)
_WITH_ENTRY = {
    "rdmaSharedDevicePlugin": {"config": '{"configList":[{"resourceName":"storage","rdmaHcaMax":1,"devices":["a"]}]}'}
}


def refer(existing: Existing, survey: Survey | None = _LIT, **changes: Any) -> tuple[list[Reason], list[str]]:
    spec = build_fabric("reference", **changes).spec
    assert spec is not None
    findings, states = check_reference("storage", spec, existing, survey)
    return [item.reason for item in findings], [f"{item.kind} {item.state}" for item in states]


def exist(*without: Kind, **more: Any) -> Existing:
    known: dict[str, Any] = {"namespaces": ["inference"], "networks": _NETWORKS, "policies": []}
    return Existing(serve(*without), **(known | more))


_SHARED: dict[str, Any] = {"type": "SharedMacvlan", "resourceName": "rdma/storage", "networks": None}
REFERENCES: dict[str, tuple[tuple[list[Reason], list[str]], list[Reason], list[str]]] = {
    "all there": (refer(exist()), [], ["NetworkAttachmentDefinition Present"]),
    "network missing": (refer(exist(networks={})), [Reason.NetworkNotFound], ["NetworkAttachmentDefinition Missing"]),
    "network of another resource": (refer(exist(), resourceName="openshift.io/storage_vf"), [Reason.NADResourceMismatch], ["NetworkAttachmentDefinition Faulty"]),
    "Multus missing": (refer(exist(kinds.NETWORK_ATTACHMENT)), [Reason.MultusNotInstalled], []),
    "networks not readable": (refer(exist(refused={kinds.NETWORK_ATTACHMENT: "403"})), [Reason.Forbidden], []),
    "networks not read yet": (refer(exist(networks=None)), [Reason.Waiting], []),
    "no namespace to look into": (refer(exist(namespaces=[])), [], []),
    "resource that no policy makes": (refer(exist(), _DARK), [Reason.FabricObjectsMissing], ["NetworkAttachmentDefinition Present"]),
    "resource of a policy whose nodes are not ready": (refer(exist(policies=[build_policy("p", "storage_vf")]), _DARK), [], ["NetworkAttachmentDefinition Present", "SriovNetworkNodePolicy Present"]),
    "resource without the operator that makes it": (refer(exist(kinds.SRIOV_POLICY), _DARK), [Reason.FabricCRDMissing], ["NetworkAttachmentDefinition Present"]),
    "policies not readable": (refer(exist(refused={kinds.SRIOV_POLICY: "403"}), _DARK), [Reason.Forbidden], ["NetworkAttachmentDefinition Present"]),
    "shared without entry": (refer(exist(policy=build_live(_POLICY, "nic-cluster-policy", {})), _DARK, **_SHARED), [Reason.FabricObjectsMissing], []),
    "shared with an entry of others": (refer(exist(policy=build_live(_POLICY, "nic-cluster-policy", _WITH_ENTRY)), _DARK, **_SHARED), [], ["NicClusterPolicy Present"]),
    "nodes not known": (refer(exist(), None), [], ["NetworkAttachmentDefinition Present"]),
}  # fmt: skip


@pytest.mark.parametrize("case", REFERENCES, ids=list(REFERENCES))
def test_reference_names_what_is_missing(case: str) -> None:
    found, findings, states = REFERENCES[case]
    assert found == (findings, states)


STATES: dict[str, tuple[Kind, dict[str, Any], tuple[bool, bool] | None]] = {
    "SriovNetwork without status": (kinds.SRIOV_NETWORK, {}, None),
    "SriovNetwork ready": (kinds.SRIOV_NETWORK, {"conditions": [{"type": "Ready", "status": "True"}]}, None),
    "SriovNetwork without namespace": (kinds.SRIOV_IB_NETWORK, {"conditions": [{"type": "Ready", "status": "False", "reason": "NamespaceNotFound", "message": "no"}]}, (True, False)),
    "SriovNetwork invalid": (kinds.SRIOV_NETWORK, {"conditions": [{"type": "Ready", "status": "False", "reason": "NetworkAttachmentDefinitionInvalid", "message": "no"}]}, (False, False)),
    "MacvlanNetwork ready": (kinds.MACVLAN_NETWORK, {"state": "ready"}, None),
    "MacvlanNetwork not ready": (kinds.MACVLAN_NETWORK, {"state": "notReady"}, (True, False)),
    "IPoIBNetwork in error": (kinds.IPOIB_NETWORK, {"state": "error", "reason": "no master"}, (False, False)),
    "DaemonSet that nobody has looked at": (kinds.DAEMON_SET, {}, None),
    "DaemonSet ready": (kinds.DAEMON_SET, {"observedGeneration": 1, "desiredNumberScheduled": 2, "numberReady": 2}, None),
    "DaemonSet partly ready": (kinds.DAEMON_SET, {"observedGeneration": 1, "desiredNumberScheduled": 2, "numberReady": 1}, (True, True)),
    "DaemonSet not ready": (kinds.DAEMON_SET, {"observedGeneration": 1, "desiredNumberScheduled": 2, "numberReady": 0}, (True, False)),
    "policy": (kinds.SRIOV_POLICY, {}, None),
}  # fmt: skip


@pytest.mark.parametrize("case", STATES, ids=list(STATES))
def test_word_of_the_controller_counts(case: str) -> None:
    kind, status, expected = STATES[case]
    live = build_live(kind, "x", {}, "ns")
    live.body["status"] = status
    found = check_object(live)
    assert (None if found is None else (found.passing, found.advisory)) == expected


def test_state_of_a_section_of_the_policy() -> None:
    policy = build_live(_POLICY, "nic-cluster-policy", {})
    assert check_section(policy, "rdmaSharedDevicePlugin") is None
    policy.body["status"] = {
        "state": "notReady",
        "appliedStates": [{"name": "state-RDMA-device-plugin", "state": "error", "message": "no image"}],
    }
    found = check_section(policy, "rdmaSharedDevicePlugin")
    assert found is not None
    assert (found.reason, found.passing, "no image" in found.message) == (Reason.FabricObjectFaulty, False, True)
    assert check_section(policy, "sriovDevicePlugin") is None


def test_managed_network_is_ready_when_its_definition_is_there_and_fits() -> None:
    fabric = build_fabric("sriov-infiniband")
    assert fabric.spec is not None
    form = find_form(fabric)
    desired = build_desired(fabric, form)
    live = {(item.kind, item.namespace, item.name): observe(item) for item in desired}

    def check(networks: dict[tuple[str, str], NetworkFacts]) -> list[Reason]:
        assert fabric.spec is not None
        findings, states = check_managed(fabric.name, fabric.spec, form, desired, live, None, networks)
        assert {item.state for item in states} == {"Applied"}
        return [item.reason for item in findings]

    key = ("inference", "storage-inference")
    good = NetworkFacts(*key, "openshift.io/storage_ib", "ib-sriov", "nv-ipam", pool="storage")
    assert check({key: good}) == []
    assert check({}) == [Reason.FabricObjectFaulty]
    assert check({key: NetworkFacts(*key, "nvidia.com/storage_ib", "ib-sriov", "nv-ipam")}) == [
        Reason.NADResourceMismatch
    ]
    findings, states = check_managed(fabric.name, fabric.spec, form, desired, {}, None, {})
    assert (findings, {item.state for item in states}) == ([], {"Missing"})


ANNOTATIONS: dict[str, tuple[str, list[tuple[str, str]] | None]] = {
    "names": ("a, other/b@net2", [("ns", "a"), ("other", "b")]),
    "JSON": ('[{"name": "a"}, {"name": "b", "namespace": "other"}, {"name": "third/c"}]', [("ns", "a"), ("other", "b"), ("third", "c")]),
    "nothing": ("", []),
    "broken": ("[{", None),
    "nested too deeply": ("[" * 200_000, None),
    "a namespace that is no text": ('[{"name": "a", "namespace": ["x"]}]', None),
    "an item that is no object": ('[{"name": "a"}, 1]', None),
}  # fmt: skip


@pytest.mark.parametrize("case", ANNOTATIONS, ids=list(ANNOTATIONS))
def test_networks_of_a_pod_are_read_in_both_forms(case: str) -> None:
    text, expected = ANNOTATIONS[case]
    assert parse_networks(text, "ns") == expected


def annotate(key: str, text: str) -> dict[str, Any]:
    return {"metadata": {"name": "p", "namespace": "ns", "annotations": {key: text}}, "spec": {}}


def test_pod_of_unreadable_networks_may_use_any_of_its_namespace() -> None:
    for text in ("[{", "[" * 200_000, '[{"name":"a","namespace":["x"]}]'):
        usage = Usage()
        usage.add(annotate("k8s.v1.cni.cncf.io/networks", text))
        assert (usage.find_network_user("ns", "any"), usage.find_network_user("other", "any")) == ("ns/p", None)


def test_default_network_of_a_pod_is_in_use() -> None:
    usage = Usage()
    usage.add(annotate("v1.multus-cni.io/default-network", "other/a"))
    assert (usage.find_network_user("other", "a"), usage.find_network_user("ns", "a")) == ("ns/p", None)


@pytest.mark.parametrize("text", ["[" * 5000, "{", "[]"], ids=["nested too deeply", "broken", "no object"])
def test_section_that_is_not_understood_has_no_entries(text: str) -> None:
    assert parse_entries("rdmaSharedDevicePlugin", {"spec": {"rdmaSharedDevicePlugin": {"config": text}}}) == []


def test_pod_uses_what_its_containers_request_until_it_has_ended() -> None:
    usage = Usage()
    for phase in ("Succeeded", "Failed"):
        container = {"resources": {"limits": {f"rdma/{phase}": "1"}}}
        usage.add(
            {
                "metadata": {"name": "p", "namespace": "ns"},
                "spec": {"containers": [container]},
                "status": {"phase": phase},
            }
        )
        assert usage.find_resource_user(f"rdma/{phase}") is None
    init = {"resources": {"requests": {"rdma/x": "1", "cpu": "1"}}}
    usage.add({"metadata": {"name": "p", "namespace": "ns"}, "spec": {"initContainers": [init], "containers": [{}]}})
    assert (usage.find_resource_user("rdma/x"), usage.find_resource_user("x"), usage.find_resource_user("cpu")) == (
        "ns/p",
        "ns/p",
        None,
    )


def test_namespaces_that_do_not_exist_are_told_where_namespaces_can_be_read() -> None:
    spec = build_fabric("reference", namespaces=["inference", "nowhere"]).spec
    assert spec is not None
    (found,) = check_namespaces(spec, {"inference", "default"})
    assert (found.reason, found.passing, "nowhere" in found.message) == (Reason.NamespaceNotFound, False, True)
    assert check_namespaces(spec, {"inference", "nowhere"}) == []
    assert check_namespaces(spec, None) == []
    spec = build_fabric("reference", namespaces=None).spec
    assert spec is not None
    assert check_namespaces(spec, set()) == []
