"""InferenceCacheFabric on a real API server with the real CRDs: what is made, what is refused, what is never touched."""

import itertools
import json
import re
from collections.abc import Callable, Iterator
from typing import Any, Final

import pytest

from e2e.audit import AuditLog
from e2e.cluster import wait_for
from e2e.fabric_space import NETWORKS, OPERATOR_NAMESPACE, FabricSpace, find_policy
from e2e.rig import NAMESPACE, ROOT, Operator, Rig
from e2e.situations.foreign_crds import install_foreign_crds, load_foreign_crds, remove_foreign_crds
from e2e.tests.conftest import FAST, forget_lease
from inference_cache.domain import kinds

_SETTINGS: Final = {**FAST, "INFERENCE_CACHE_DISCOVERY_SECONDS": "1"}
_MANAGE: Final = ROOT / "manifests" / "optional" / "fabric-manage.yaml"
_ROLES: Final = [ROOT / "manifests" / "optional" / f"{name}.yaml" for name in ("node-evidence", "fabric-reference")]
_USER: Final = f"system:serviceaccount:{NAMESPACE}:inference-cache-operator"
_counter = itertools.count()

Make = Callable[[str], FabricSpace]


@pytest.fixture(scope="module")
def surroundings(rig: Rig) -> Iterator[Rig]:
    """The CRDs of other projects, and the optional rights."""
    install_foreign_crds(rig.cluster)
    for path in (*_ROLES, _MANAGE):
        rig.cluster.kubectl("apply", "--server-side", "-f", str(path))
    rig.cluster.kubectl("create", "namespace", OPERATOR_NAMESPACE, check=False)
    yield rig
    remove_foreign_crds(rig.cluster)


@pytest.fixture(scope="module")
def operator(surroundings: Rig) -> Iterator[Operator]:
    """One operator for the whole module, unless a test starts it anew."""
    forget_lease(surroundings)
    operator = surroundings.start_operator("operator", environment=_SETTINGS).wait_ready(60)
    yield operator
    operator.stop()


@pytest.fixture
def make(surroundings: Rig, operator: Operator, request: pytest.FixtureRequest) -> Iterator[Make]:
    """Makes fabrics for one test."""
    assert operator.exit_code() is None, surroundings.cluster.log("operator")[-3000:]
    made: list[FabricSpace] = []
    word = re.sub(r"[^a-z0-9]+", "-", request.node.name.lower().removeprefix("test_"))[:14].strip("-")

    def build(kind: str) -> FabricSpace:
        space = FabricSpace(surroundings, f"{word}-{next(_counter)}", kind)
        made.append(space)
        return space

    yield build
    for space in made:
        space.strike()
    surroundings.cluster.kubectl("delete", "nicclusterpolicies.mellanox.com", "--all", check=False)


def expect_objects(space: FabricSpace) -> list[str]:
    """Return the objects that a managed fabric of one network has with all operators installed."""
    network = f"{NETWORKS[space.kind].name}/storage-{space.namespace}"
    policy = f"SriovNetworkNodePolicy/inference-cache-{space.name}"
    return [network, policy] if space.kind.startswith("SRIOV") else [network]


def start_managed(space: FabricSpace, **changes: Any) -> FabricSpace:
    """Bring a managed fabric to Ready."""
    space.prepare()
    space.apply(space.build(**changes))
    space.wait_own(*expect_objects(space))
    space.play_networks()
    space.wait("Ready", "True", "FabricReady")
    return space


def state_of(space: FabricSpace) -> dict[str, str]:
    """Return the version of everything that the operator may write for a fabric."""
    objects = {key: item["metadata"]["resourceVersion"] for key, item in space.own().items()}
    policy = find_policy(space)
    shared = {"policy": policy["metadata"]["resourceVersion"]} if policy else {}
    return {**objects, **shared, "fabric": space.get()["metadata"]["resourceVersion"]}


def run_pod(space: FabricSpace, *, network: bool = True, resource: bool = False) -> None:
    """Make a foreign pod that uses the fabric."""
    annotations = {"k8s.v1.cni.cncf.io/networks": f"storage-{space.namespace}"} if network else {}
    limits = {"limits": {space.resource: "1"}} if resource else {}
    container = {"name": "main", "image": "busybox:1", "resources": limits}
    space.apply(
        {
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {"name": "user", "namespace": space.namespace, "annotations": annotations},
            "spec": {"containers": [container], "nodeSelector": {"nowhere": "true"}},
        }
    )


def test_managed_fabric_is_made_becomes_ready_and_leaves_nothing_behind(make: Make) -> None:
    for kind in NETWORKS:
        space = start_managed(make(kind))
        found = space.get()
        assert found["metadata"]["finalizers"] == ["inferencecache.io/fabric"]
        assert found["status"]["nodes"] == {"selected": 2, "ready": 2}
        assert {item["state"] for item in found["status"]["objects"]} == {"Applied"}
        assert found["status"]["unverified"]
        policy = find_policy(space)
        assert (policy is not None) == (not kind.startswith("SRIOV"))
        if policy is not None:
            section = "sriovDevicePlugin" if kind == "HostDevice" else "rdmaSharedDevicePlugin"
            assert space.resource.partition("/")[2] in policy["spec"][section]["config"]
            assert policy["spec"][section]["image"]
        assert space.condition("Stalled")["status"] == "False"
        assert {"FabricApplied", "FabricReady"} <= space.events()
        space.delete()
        assert find_policy(space) is None


def test_referred_fabric_says_what_is_missing_and_becomes_ready_when_it_comes(make: Make) -> None:
    for kind in NETWORKS:
        space = make(kind).prepare()
        space.apply(space.build("Reference"))
        found = space.wait("Ready", "False", "NetworkNotFound")
        assert f"{space.namespace}/storage" in found["message"]
        space.make_network()
        space.wait("Ready", "True", "FabricReady")
        shown = {(item["kind"], item["state"]) for item in space.get()["status"]["objects"]}
        assert shown == {("NetworkAttachmentDefinition", "Present")}
        assert "finalizers" not in space.get()["metadata"]
        assert space.own() == {}
        space.delete()


def test_resource_that_nobody_makes_is_told_until_a_policy_and_nodes_have_it(make: Make) -> None:
    space = make("SRIOVEthernet").prepare(resource=None)
    space.make_network()
    space.apply(space.build("Reference"))
    space.wait("ObjectsReady", "False", "FabricObjectsMissing")
    spec = {"nodeSelector": {"situation": space.name}, "nicSelector": {"vendor": "15b3"}, "numVfs": 8}
    kind = kinds.SRIOV_POLICY
    metadata = {"name": space.name, "namespace": OPERATOR_NAMESPACE}
    name = space.resource.partition("/")[2]
    policy = {"apiVersion": kind.api_version, "kind": kind.name, "metadata": metadata}
    space.apply({**policy, "spec": {**spec, "resourceName": name}})
    space.wait("ObjectsReady", "True", "FabricObjectsPresent")
    found = space.wait("Ready", "False", "RDMAResourceNotAdvertised")
    assert "2 RDMAResourceNotAdvertised" in found["message"]
    for number in range(2):
        amount = {"status": {"capacity": {space.resource: "8"}, "allocatable": {space.resource: "8"}}}
        patch = ("--subresource=status", "--type=merge", "--patch", json.dumps(amount))
        space.cluster.kubectl("patch", "node", f"{space.name}-{number}", *patch)
    space.wait("Ready", "True", "FabricReady")
    space.cluster.kubectl("delete", "sriovnetworknodepolicies", space.name, "--namespace", OPERATOR_NAMESPACE)


def test_field_of_another_manager_is_not_forced(make: Make) -> None:
    space = make("SharedMacvlan").prepare()
    theirs = {"image": "theirs", "config": '{"configList":[{"resourceName":"x","rdmaHcaMax":1,"devices":["a"]}]}'}
    kind = kinds.NIC_CLUSTER_POLICY
    body = {"apiVersion": kind.api_version, "kind": kind.name, "metadata": {"name": "nic-cluster-policy"}}
    space.apply({**body, "spec": {"rdmaSharedDevicePlugin": theirs, "nicFeatureDiscovery": {"image": "nfd"}}})
    before = find_policy(space)
    space.apply(space.build())
    found = space.wait("Stalled", "True", "FabricFieldConflict")
    assert "spec.rdmaSharedDevicePlugin.config belongs to author" in found["message"]
    assert find_policy(space) == before
    states = {item["kind"]: item["state"] for item in space.get()["status"]["objects"]}
    assert states["NicClusterPolicy"] == "Conflict"
    # The other manager lets go of the configuration, and keeps the image.
    theirs.pop("config")
    space.apply({**body, "spec": {"rdmaSharedDevicePlugin": theirs, "nicFeatureDiscovery": {"image": "nfd"}}})
    space.wait_own(*expect_objects(space))
    space.play_networks()
    space.wait("Ready", "True", "FabricReady", seconds=60)
    policy = find_policy(space)
    assert policy is not None
    assert policy["spec"]["rdmaSharedDevicePlugin"]["image"] == "theirs"
    space.delete()
    policy = find_policy(space)
    assert policy is not None
    assert "config" not in policy["spec"]["rdmaSharedDevicePlugin"]
    assert policy["spec"]["nicFeatureDiscovery"]["image"] == "nfd"


def test_fabrics_share_the_policy_and_each_takes_away_its_own_entry_alone(make: Make) -> None:
    one, other = start_managed(make("SharedMacvlan")), start_managed(make("SharedIPoIB"))
    host = start_managed(make("HostDevice"))

    def entries() -> set[str]:
        policy = find_policy(one)
        spec = policy["spec"] if policy else {}
        texts = [json.loads(spec[key]["config"]) for key in spec]
        return {item["resourceName"] for text in texts for items in text.values() for item in items}

    mine = {space.name: space.resource.partition("/")[2] for space in (one, other, host)}
    assert entries() == set(mine.values())
    one.delete()
    assert entries() == {mine[other.name], mine[host.name]}
    host.delete()
    assert entries() == {mine[other.name]}
    other.delete()
    assert find_policy(one) is None


@pytest.mark.parametrize("kind", ["SRIOVEthernet", "SRIOVInfiniBand"])
def test_without_a_word_for_the_drain_no_policy_is_written(make: Make, kind: str) -> None:
    space = make(kind).prepare()
    space.apply(space.build(nodeDrain="Refused"))
    space.wait("Stalled", "True", "NodeDrainNotAcknowledged")
    assert space.own() == {}
    space.apply(space.build())
    space.wait_own(*expect_objects(space))
    space.play_networks()
    space.wait("Ready", "True")
    # What stands stays as it is when the word is taken back, and is neither changed nor deleted.
    before = space.own()
    space.apply(space.build(nodeDrain=None, devices={"interfaces": ["ens3f0np0"], "virtualFunctions": 4}))
    space.wait("Ready", "False", "NodeDrainNotAcknowledged")
    space.cluster.kubectl("delete", "icf", space.name, "--wait=false")
    space.wait("Ready", "False", "NodeDrainNotAcknowledged")
    key = next(item for item in before if item.startswith("SriovNetworkNodePolicy/"))
    assert space.wait_own(key)[key]["spec"] == before[key]["spec"]
    space.apply(space.build())
    wait_for(lambda: not space.get() and not space.own(), 30, "the fabric did not go")


def test_fabric_stays_while_a_pod_uses_it_and_goes_afterwards(make: Make) -> None:
    space = start_managed(make("SRIOVEthernet"))
    run_pod(space)
    space.cluster.kubectl("delete", "icf", space.name, "--wait=false")
    found = space.wait("Ready", "False", "FabricInUse")
    assert f"{space.namespace}/user" in found["message"]
    assert set(space.own()) == set(expect_objects(space))
    space.cluster.kubectl("delete", "pod", "user", "--namespace", space.namespace, "--force", "--grace-period=0")
    wait_for(lambda: not space.get() and not space.own(), 40, "the fabric did not go")


@pytest.mark.parametrize("kind", ["SRIOVInfiniBand", "SharedMacvlan"])
def test_policy_and_entry_stay_while_a_pod_requests_the_resource(make: Make, kind: str) -> None:
    space = start_managed(make(kind))
    run_pod(space, network=False, resource=True)
    space.cluster.kubectl("delete", "icf", space.name, "--wait=false")
    space.wait("Ready", "False", "FabricInUse")
    space.wait_own(*(key for key in expect_objects(space) if "Policy" in key))
    assert (find_policy(space) is not None) == (kind == "SharedMacvlan")
    space.cluster.kubectl("delete", "pod", "user", "--namespace", space.namespace, "--force", "--grace-period=0")
    wait_for(lambda: not space.get() and not space.own(), 40, "the fabric did not go")
    assert find_policy(space) is None


def test_two_fabrics_that_claim_one_device(make: Make) -> None:
    older = start_managed(make("SRIOVEthernet"))
    younger = make("SharedMacvlan").prepare(nodes=0)
    younger.port = older.port
    body = younger.build(nodeSelector={"situation": older.name})
    younger.apply(body)
    found = younger.wait("Stalled", "True", "DeviceClaimedTwice")
    assert older.name in found["message"]
    assert (younger.own(), find_policy(younger)) == ({}, None)
    assert older.wait("Ready", "True")
    older.delete()
    younger.wait_own(*expect_objects(younger))


def test_policy_of_somebody_else_keeps_its_device(make: Make) -> None:
    space = make("SRIOVEthernet").prepare()
    nic = {"vendor": "15b3", "pfNames": ["ens3f0np0#0-3"]}
    spec = {"nodeSelector": {"situation": space.name}, "nicSelector": nic, "numVfs": 4, "resourceName": "theirs"}
    metadata = {"name": space.name, "namespace": OPERATOR_NAMESPACE}
    kind = kinds.SRIOV_POLICY
    space.apply({"apiVersion": kind.api_version, "kind": kind.name, "metadata": metadata, "spec": spec})
    space.apply(space.build())
    found = space.wait("Stalled", "True", "DeviceClaimedTwice")
    assert f"{OPERATOR_NAMESPACE}/{space.name}" in found["message"]
    assert space.own() == {}
    space.cluster.kubectl("delete", "sriovnetworknodepolicies", space.name, "--namespace", OPERATOR_NAMESPACE)
    space.wait_own(*expect_objects(space))


def test_rules_of_the_operators_are_told_before_anything_is_written(make: Make) -> None:
    space = make("SRIOVEthernet").prepare()
    space.apply(space.build(devices={"interfaces": ["ens9"], "virtualFunctions": 8}))
    space.wait("Stalled", "True", "FabricRuleBroken")
    space.apply(space.build(devices={"deviceIds": ["101e"], "virtualFunctions": 8}))
    found = space.wait("Stalled", "True", "FabricRuleBroken")
    assert "101e" in found["message"]
    space.apply(space.build(nodeSelector={"situation": "nowhere"}))
    space.wait("Stalled", "True", "FabricNoNodes")
    assert space.own() == {}


def test_object_of_somebody_else_with_the_same_name_stays_untouched(make: Make) -> None:
    space = make("HostDevice").prepare()
    kind = kinds.HOST_DEVICE_NETWORK
    body = {"apiVersion": kind.api_version, "kind": kind.name, "metadata": {"name": f"storage-{space.namespace}"}}
    space.apply({**body, "spec": {"networkNamespace": "elsewhere", "resourceName": "theirs"}})
    before = space.cluster.get("hostdevicenetworks", body["metadata"]["name"])  # type: ignore[index] # a mapping
    space.apply(space.build())
    space.wait("Stalled", "True", "NameConflict")
    assert space.cluster.get("hostdevicenetworks", before["metadata"]["name"]) == before
    space.cluster.kubectl("delete", "icf", space.name)
    assert space.cluster.get("hostdevicenetworks", before["metadata"]["name"]) == before
    space.cluster.kubectl("delete", "hostdevicenetworks", before["metadata"]["name"])


EDITS: Final = {
    "SRIOVEthernet": {"spec": {"vlan": 7}},
    "SharedMacvlan": {"spec": {"master": "evil"}},
    "SharedIPoIB": {"metadata": {"annotations": {"inferencecache.io/applied-hash": "x"}}},
    "HostDevice": {"spec": {"resourceName": "evil"}},
}


@pytest.mark.parametrize("kind", EDITS)
def test_edit_by_hand_is_repaired_at_once(make: Make, kind: str) -> None:
    space = start_managed(make(kind))
    before = {key: (item["spec"], item["metadata"]["annotations"]) for key, item in space.own().items()}
    name = f"storage-{space.namespace}"
    where = ("--namespace", OPERATOR_NAMESPACE) if kind.startswith("SRIOV") else ()
    plural = f"{NETWORKS[kind].plural}.{NETWORKS[kind].group}"
    space.cluster.kubectl("patch", plural, name, *where, "--type=merge", "--patch", json.dumps(EDITS[kind]))

    def repaired() -> bool:
        return {key: (item["spec"], item["metadata"]["annotations"]) for key, item in space.own().items()} == before

    wait_for(repaired, 20, "the edit was not repaired", pause=0.2)
    space.cluster.kubectl("delete", plural, name, *where)
    wait_for(repaired, 20, "the object did not come back", pause=0.2)


def test_policy_that_somebody_emptied_by_force_is_a_conflict_and_no_fight(make: Make) -> None:
    space = start_managed(make("SharedMacvlan"))
    patch = '{"spec":{"rdmaSharedDevicePlugin":{"config":"{\\"configList\\":[]}"}}}'
    space.cluster.kubectl(
        "patch", "nicclusterpolicies.mellanox.com", "nic-cluster-policy", "--type=merge", "--patch", patch
    )
    space.wait("Stalled", "True", "FabricFieldConflict")
    policy = find_policy(space)
    assert policy is not None
    assert policy["spec"]["rdmaSharedDevicePlugin"]["config"] == '{"configList":[]}'


def test_mode_reference_lets_go_of_what_was_made(make: Make) -> None:
    space = start_managed(make("SRIOVEthernet"))
    before = {key: item["metadata"]["resourceVersion"] for key, item in space.own().items()}
    networks = [{"name": f"storage-{space.namespace}"}]
    space.apply(space.build("Reference", networks=networks))
    space.wait("Ready", "True", "FabricReady")
    wait_for(lambda: "finalizers" not in space.get()["metadata"], 10, "the finalizer stayed")
    space.cluster.kubectl("delete", "icf", space.name)
    assert {key: item["metadata"]["resourceVersion"] for key, item in space.own().items()} == before


def test_network_taken_out_of_the_spec_goes_when_no_pod_uses_it(make: Make) -> None:
    space = make("SharedMacvlan").prepare()
    second = {"name": "second", "interface": "ens3f1np1", "ipam": {"type": "Whereabouts", "range": "192.168.11.0/24"}}
    body = space.build(devices={"interfaces": [space.port, "ens3f1np1"]})
    first = body["spec"]["networks"][0]
    space.apply({**body, "spec": {**body["spec"], "networks": [second, first]}})
    kept, gone = expect_objects(space)[0], f"MacvlanNetwork/second-{space.namespace}"
    space.wait_own(kept, gone)
    space.apply(body)
    space.wait_own(kept)


def test_no_writes_when_nothing_changed_nor_after_a_kill(make: Make, surroundings: Rig, operator: Operator) -> None:
    spaces = [start_managed(make(kind)) for kind in ("SRIOVEthernet", "SharedMacvlan")]
    before = [state_of(space) for space in spaces]
    audit = AuditLog(surroundings.cluster.audit_log)
    operator.kill()
    forget_lease(surroundings)
    mark = audit.settle(lambda word: surroundings.cluster.kubectl("get", "--raw", f"/version?{word}"))
    restarted = surroundings.start_operator("operator", environment=_SETTINGS).wait_ready(60)
    operator.port, operator.pid = restarted.port, restarted.pid
    wait_for(
        lambda: (restarted.metric('controller_runtime_reconcile_total{controller="inferencecachefabric"') or 0) >= 2,
        40,
        "no pass",
    )
    audit.settle(lambda word: surroundings.cluster.kubectl("get", "--raw", f"/version?{word}"))
    writes = [
        (call.verb, call.resource, call.name)
        for call in audit.since(mark)
        if call.user == _USER and call.is_write and call.resource != "leases"
    ]
    assert writes == []
    assert [state_of(space) for space in spaces] == before


def test_fabric_without_the_optional_rights_names_the_role(make: Make, surroundings: Rig, operator: Operator) -> None:
    cluster = surroundings.cluster
    operator.stop()
    for role in ("manage", "reference"):
        cluster.kubectl("delete", "clusterrolebinding", f"inference-cache-operator-fabric-{role}")
    forget_lease(surroundings)
    poor = surroundings.start_operator("operator", environment=_SETTINGS).wait_ready(60)
    managed, referred = make("SharedMacvlan").prepare(), make("SRIOVEthernet").prepare()
    managed.apply(managed.build())
    found = managed.wait("Stalled", "True", "Forbidden")
    assert "manifests/optional/fabric-manage.yaml" in found["message"]
    referred.make_network()
    referred.apply(referred.build("Reference"))
    found = referred.wait("Ready", "Unknown", "Forbidden")
    assert "manifests/optional/fabric-reference.yaml" in found["message"]
    bare = make("SharedIPoIB").prepare()
    bare.apply(bare.build("Reference", networks=None))
    bare.wait("Ready", "True", "FabricReady")
    assert managed.own() == {}
    assert poor.health()[0] == 200
    poor.stop()
    for path in (*_ROLES, _MANAGE):
        cluster.kubectl("apply", "--server-side", "-f", str(path))
    forget_lease(surroundings)
    restarted = surroundings.start_operator("operator", environment=_SETTINGS).wait_ready(60)
    operator.port, operator.pid = restarted.port, restarted.pid
    managed.wait_own(*expect_objects(managed))
    referred.wait("Ready", "True", "FabricReady")


def test_without_the_nvidia_operator_plain_objects_are_made_and_kept_when_it_comes(
    make: Make, surroundings: Rig
) -> None:
    cluster = surroundings.cluster
    crds = [item for item in load_foreign_crds() if item["spec"]["group"] == "mellanox.com"]
    remove_foreign_crds(cluster, crds)
    spaces = {kind: make(kind).prepare() for kind in ("SharedMacvlan", "SharedIPoIB", "HostDevice")}
    for kind, space in spaces.items():
        space.apply(space.build())
        plugin = f"{space.name}-rdma-device-plugin"
        expected = [f"NetworkAttachmentDefinition/storage-{space.namespace}"]
        if kind != "HostDevice":
            expected += [f"ConfigMap/{plugin}", f"DaemonSet/{plugin}"]
        space.wait_own(*expected)
        space.wait("ObjectsReady", "True", seconds=60)
        space.wait("Ready", "True", "FabricReady")
    before = {kind: set(space.own()) for kind, space in spaces.items()}
    install_foreign_crds(cluster, crds)
    # A fabric that is new takes the operator, which tells that the operator of the cache knows of it by now.
    late = make("SharedMacvlan").prepare()
    late.port = "ens7f0np0"
    late.apply(late.build())
    late.wait_own(*expect_objects(late))
    assert {kind: set(space.own()) for kind, space in spaces.items()} == before
    for space in spaces.values():
        space.delete()


def test_missing_operator_is_named_and_taken_up_when_it_comes(make: Make, surroundings: Rig) -> None:
    cluster = surroundings.cluster
    space = make("SRIOVEthernet").prepare()
    crds = [item for item in load_foreign_crds() if item["spec"]["group"] == "sriovnetwork.openshift.io"]
    remove_foreign_crds(cluster, crds)
    space.apply(space.build())
    found = space.wait("Stalled", "True", "FabricCRDMissing")
    assert "SR-IOV network operator" in found["message"]
    shared = start_managed(make("SharedMacvlan"))
    install_foreign_crds(cluster, crds)
    space.wait_own(*expect_objects(space), seconds=60)
    space.play_networks()
    space.wait("Ready", "True", "FabricReady")
    assert shared.wait("Ready", "True")


def test_without_multus_nothing_is_written(make: Make, surroundings: Rig) -> None:
    cluster = surroundings.cluster
    crds = [item for item in load_foreign_crds() if item["spec"]["group"] == "k8s.cni.cncf.io"]
    remove_foreign_crds(cluster, crds)
    managed, referred = make("SharedMacvlan").prepare(), make("SRIOVEthernet").prepare()
    managed.apply(managed.build())
    referred.apply(referred.build("Reference"))
    managed.wait("Stalled", "True", "MultusNotInstalled")
    referred.wait("Stalled", "True", "MultusNotInstalled")
    assert find_policy(managed) is None
    install_foreign_crds(cluster, crds)
    managed.wait_own(*expect_objects(managed), seconds=60)
    referred.make_network()
    referred.wait("Ready", "True")
