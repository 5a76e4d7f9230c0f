"""RDMA, TCP and the way between them: a fabric that fails and comes back, pods that fall back by themselves, refused pods.

Nodes, scheduler, StatefulSet controller and object store are real as in every test here; devices are numbers in a node's
status, and the machine that the preflight looks at is the simulator's.
"""

import json
import re
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from http import HTTPStatus
from typing import Any, Final

import pytest

from e2e.audit import AuditLog
from e2e.cluster import wait_for
from e2e.rig import NAMESPACE, ROOT, Operator, Rig, fetch
from e2e.simulator.behaviours import Behaviour, Match, Refusal
from e2e.situations.foreign_crds import install_foreign_crds, remove_foreign_crds
from e2e.situations.machines import VF_RESOURCE, Machine
from e2e.situations.model import Expected, Situation
from e2e.situations.stage import Stage
from e2e.space import Space
from e2e.tests.conftest import FAST, forget_lease

_OPTIONAL: Final = ROOT / "manifests" / "optional"
_USER: Final = f"system:serviceaccount:{NAMESPACE}:inference-cache-operator"
_NAME: Final = "model"
_PATH: Final = f"/status/{{}}/{VF_RESOURCE.replace('/', '~1')}"
_PROMPT: Final = "a conversation that was stored before the fabric failed " * 60
_NIXL: Final = {"client": "NIXL", "rdmaDialect": "Dell"}
_RAIL: Final = {
    "cniVersion": "1.0.0",
    "name": "storage",
    "type": "sriov",
    "ipam": {"type": "whereabouts", "range": "192.168.10.0/24"},
}
_FABRIC: Final = {
    "mode": "Reference",
    "type": "SRIOVEthernet",
    "resourceName": VF_RESOURCE,
    "networks": [{"name": "storage"}],
}
_PLUGIN: Final = {
    "client": "Plugin",
    "plugin": {
        "modulePath": "vendor.adapter",
        "className": "Adapter",
        "objectNames": "LMCacheS3",
        "parameters": [
            {"name": "endpoint", "value": "http://s3.internal"},
            {"name": "bucket", "value": "kv-tests"},
            {"name": "region", "value": "us-east-1"},
        ],
    },
}


def _situation(name: str, policy: str, store: dict[str, Any] | None = None) -> Situation:
    return Situation(
        name,
        Expected("TransportDegraded", "False", "TransportAsWanted"),
        (Machine(adapter=None), Machine(adapter=None)),
        {"policy": policy, "fabricRef": {"name": "FABRIC"}},
        # One pod for each node, so that a pod that restarts needs the devices of its node.
        engine={"tensorParallelSize": 8},
        store=_NIXL if store is None else store,
        memory="3Gi",
        fabric=_FABRIC,
        networks={"storage": (_RAIL, VF_RESOURCE)},
    )


_WALK: Final = _situation("walk", "Auto")
_NAMES: Final = _situation("names of a vendor", "Auto", _PLUGIN)
_REQUIRED: Final = _situation("required", "RequireRDMA")
_SINGLE: Final = _situation("single pods", "Auto")
_REFUSED: Final = _situation("refused", "Auto")
_CLASS: Final = "rdma.claims.example"


def _slice(node: str) -> dict[str, Any]:
    """Return what a DRA driver offers on a node: four RDMA devices."""
    devices = [{"name": f"nic-{number}", "attributes": {"rdma": {"bool": True}}} for number in range(4)]
    pool = {"name": node, "generation": 1, "resourceSliceCount": 1}
    return {
        "apiVersion": "resource.k8s.io/v1",
        "kind": "ResourceSlice",
        "metadata": {"name": f"{node}-dra-net"},
        "spec": {"driver": "dra.net", "nodeName": node, "pool": pool, "devices": devices},
    }


_CLAIMS: Final = replace(
    _situation("claims", "Auto"),
    transport={"rdma": {"deviceClassName": _CLASS}},
    fabric=None,
    networks={},
    others=(
        {
            "apiVersion": "resource.k8s.io/v1",
            "kind": "DeviceClass",
            "metadata": {"name": _CLASS},
            "spec": {"selectors": [{"cel": {"expression": "device.driver == 'dra.net'"}}]},
        },
        _slice("claims-0"),
        _slice("claims-1"),
    ),
)


@pytest.fixture(scope="module")
def operators() -> list[Operator]:
    """The operators that ran so far, the last one still does."""
    return []


@pytest.fixture(scope="module")
def stage(rig: Rig, operators: list[Operator]) -> Iterator[Stage]:
    """Nodes, networks, fabrics, and an operator that may read them."""
    cluster = rig.cluster
    install_foreign_crds(cluster)
    for name in ("node-evidence", "fabric-reference", "resource-claims"):
        cluster.kubectl("apply", "--server-side", "-f", str(_OPTIONAL / f"{name}.yaml"))
    stage = Stage(rig, [_WALK, _NAMES, _REQUIRED, _SINGLE, _REFUSED, _CLAIMS])
    stage.set_up()
    forget_lease(rig)
    operators.append(rig.start_operator("operator", environment=FAST).wait_ready(60))
    stage.deploy()
    for space in stage.spaces.values():
        cluster.kubectl("scale", f"icd/{_NAME}", "--replicas=2", "--namespace", space.namespace)
    yield stage
    assert operators[-1].exit_code() is None, cluster.log(operators[-1].name)[-3000:]
    operators[-1].stop()
    stage.strike()
    cluster.kubectl("delete", "deviceclass", _CLASS, "--ignore-not-found")
    cluster.kubectl("delete", "resourceslices", "--all")
    cluster.kubectl("delete", "-f", str(_OPTIONAL / "resource-claims.yaml"), "--wait=false")
    remove_foreign_crds(cluster)


class Walk:
    """One deployment with nodes of its own."""

    def __init__(self, stage: Stage, situation: Situation) -> None:
        self.stage = stage
        self.space: Space = stage.spaces[situation.name]
        self.cluster = stage.cluster
        self.nodes = [f"{situation.slug}-{number}" for number in range(len(situation.machines))]

    @property
    def status(self) -> dict[str, Any]:
        """The deployment's status."""
        found: dict[str, Any] = self.space.get("icd", _NAME)["status"]
        return found

    @property
    def transport(self) -> tuple[str, str, str]:
        """What is rendered, what runs, and the evidence."""
        found = self.status["transport"]
        return found["decision"], found["effective"], found["evidence"]

    def pod(self, ordinal: int) -> dict[str, Any]:
        """One pod; empty where it does not exist."""
        found: dict[str, Any] = self.space.get("pod", f"{_NAME}-{ordinal}") or {}
        return found

    def uid(self, ordinal: int) -> str:
        """Uid of a pod."""
        found: str = self.pod(ordinal).get("metadata", {}).get("uid", "")
        return found

    def transport_of(self, ordinal: int) -> str:
        """For which transport a pod was made."""
        found: str = self.pod(ordinal)["metadata"]["labels"]["inferencecache.io/transport"]
        return found

    def restart(self, ordinal: int) -> str:
        """Delete a pod; returns the uid that it had."""
        uid = self.uid(ordinal)
        self.cluster.kubectl("delete", "pod", f"{_NAME}-{ordinal}", "--namespace", self.space.namespace)
        return uid

    def lose_devices(self) -> None:
        """Take the resource away on all nodes, as when the device plugin is uninstalled."""
        self._patch_nodes([{"op": "remove", "path": _PATH.format(part)} for part in ("allocatable", "capacity")])

    def restore_devices(self) -> None:
        """Give the resource back."""
        parts = ("capacity", "allocatable")
        self._patch_nodes([{"op": "add", "path": _PATH.format(part), "value": "16"} for part in parts])

    def wait(self, holds: Callable[[], object], seconds: float, what: str) -> None:
        """Wait for something of the deployment."""
        try:
            wait_for(holds, seconds, what, pause=0.3)
        except RuntimeError:
            shown = {key: self.status.get(key) for key in ("transport", "nodes", "conditions")}
            raise AssertionError(f"{what}: {json.dumps(shown, indent=1)}") from None

    def ask(self, ordinal: int, prompt: str = _PROMPT) -> int:
        """Send a prompt to a pod; returns how many of its tokens were cached."""
        url = f"http://{self.pod(ordinal)['status']['podIP']}:8000/v1/completions"
        model = self.space.get("icd", _NAME)["spec"]["model"]["name"]
        status, answer = fetch(url, body={"model": model, "prompt": prompt, "max_tokens": 2}, timeout=20)
        assert status == HTTPStatus.OK, answer
        cached: int = (answer["usage"].get("prompt_tokens_details") or {}).get("cached_tokens") or 0
        return cached

    def list_objects(self) -> set[str]:
        """Return the names of this deployment's objects in the bucket."""
        fingerprint = self.status["cacheFingerprint"]
        found = self.cluster.s3.client().list_objects_v2(Bucket="kv-tests").get("Contents", [])
        return {item["Key"] for item in found if fingerprint in item["Key"]}

    def wait_ready(self, seconds: float = 60) -> None:
        """Wait until the deployment is Ready with both pods."""
        self.space.wait_ready(_NAME, seconds)
        self.wait(lambda: self.status.get("readyReplicas") == 2, seconds, "not two pods")

    def _patch_nodes(self, patch: list[dict[str, Any]]) -> None:
        for node in self.nodes:
            self.cluster.kubectl(
                "patch", "node", node, "--subresource=status", "--type=json", "--patch", json.dumps(patch)
            )


def test_fallback_walk_and_the_same_objects_on_both_transports(stage: Stage) -> None:
    walk = Walk(stage, _WALK)
    # The fabric is healthy.
    walk.wait_ready()
    walk.wait(lambda: walk.transport == ("RDMA", "RDMA", "Proven"), 20, "no pod proves RDMA")
    walk.space.wait_condition(_NAME, "TransportDegraded", "False", "TransportAsWanted")
    walk.space.wait_condition(_NAME, "NetworkReady", "True", "NetworkAttached")
    assert walk.status["nodes"]["rdma"] == 2
    assert walk.status["rendered"]["transport"] == "RDMA"
    (first, _) = walk.status["transport"]["attachments"]
    assert re.fullmatch(r"net1 192\.168\.10\.\d+ mlx5_2", first["interfaces"][0])
    assert first["devices"] == ["mlx5_2 ACTIVE Ethernet 200 Gb/s"]
    assert walk.ask(0) == 0
    walk.wait(walk.list_objects, 15, "nothing was stored over RDMA")
    over_rdma = walk.list_objects()

    # The device plugin is gone: pods that run keep what they have.
    walk.lose_devices()
    walk.wait(lambda: walk.status["nodes"].get("rdma") == 0, 45, "the loss is not seen")
    stayed, restarted = walk.uid(1), walk.restart(0)
    walk.wait(lambda: walk.uid(0) not in {"", restarted}, 20, "the pod was not made anew")
    assert walk.transport_of(0) == "RDMA", "the decision must not change at once"
    # It cannot run with RDMA, so the deployment falls back and says why.
    found = walk.space.wait_condition(_NAME, "TransportDegraded", "True", "RDMAUnavailable", 60)
    assert "RDMAResourceNotAdvertised" in found["message"]
    walk.wait_ready()
    walk.wait(lambda: walk.transport == ("TCP", "RDMA 1, TCP 1", "Proven"), 20, "not one pod on each transport")
    assert (walk.transport_of(0), walk.uid(1)) == ("TCP", stayed)
    assert walk.space.events("RDMAUnavailable")
    # What was stored over RDMA is found over TCP, under the same name; and the other way round.
    assert walk.ask(0) > 0
    assert walk.list_objects() == over_rdma
    other = "another conversation, stored over TCP alone " * 60
    assert walk.ask(0, other) == 0
    walk.wait(lambda: walk.list_objects() > over_rdma, 15, "nothing was stored over TCP")
    assert {name.split("@")[0] for name in walk.list_objects()} == {name.split("@")[0] for name in over_rdma}
    assert walk.ask(1, other) > 0

    # The fabric is back: with NextRestart the pod on TCP is left alone.
    on_tcp = walk.uid(0)
    walk.restore_devices()
    walk.space.wait_condition(_NAME, "TransportDegraded", "True", "RDMARecovered", 110)
    walk.wait(lambda: walk.transport[0] == "RDMA", 20, "the decision did not change back")
    assert (walk.uid(0), walk.uid(1)) == (on_tcp, stayed)
    assert walk.status["updatedReplicas"] == 2
    ready = walk.space.condition(_NAME, "Ready")
    assert (ready["status"], ready["reason"]) == ("True", "Ready")

    # With Immediate it is replaced, and the other one stays.
    patch = json.dumps({"spec": {"transport": {"recovery": "Immediate"}}})
    walk.cluster.kubectl("patch", "icd", _NAME, "--namespace", walk.space.namespace, "--type=merge", "--patch", patch)
    walk.wait(lambda: walk.uid(0) not in {"", on_tcp}, 30, "the pod on TCP was not replaced")
    walk.wait_ready()
    walk.wait(lambda: walk.transport == ("RDMA", "RDMA", "Proven"), 20, "RDMA was not taken up again")
    walk.space.wait_condition(_NAME, "TransportDegraded", "False", "TransportAsWanted")
    assert walk.uid(1) == stayed
    assert walk.ask(0) > 0
    assert walk.ask(0, other) > 0


def test_vendors_client_and_its_stand_in_on_tcp_name_objects_alike(stage: Stage) -> None:
    walk = Walk(stage, _NAMES)
    walk.wait_ready()
    walk.wait(lambda: walk.transport[:2] == ("RDMA", "RDMA"), 20, "no pod on RDMA")
    assert walk.ask(0) == 0
    walk.wait(walk.list_objects, 15, "nothing was stored")
    names = walk.list_objects()
    behaviour = "vendor"
    stage.rig.simulator.put(behaviour, Behaviour(rdma="no-device"), Match(namespace=walk.space.namespace))
    try:
        walk.restart(0)
        walk.wait(lambda: walk.transport[1] == "RDMA 1, TCP 1", 40, "the pod did not fall back")
        walk.wait_ready()
        assert walk.transport_of(0) == "RDMA", "it is made for RDMA and decides for itself"
        assert walk.ask(0) > 0
        assert walk.list_objects() == names
    finally:
        stage.rig.simulator.delete(behaviour)


def test_required_rdma_holds_with_a_reason_and_lets_pods_run(stage: Stage) -> None:
    walk = Walk(stage, _REQUIRED)
    walk.wait_ready()
    walk.wait(lambda: walk.transport == ("RDMA", "RDMA", "Proven"), 20, "no pod proves RDMA")
    walk.lose_devices()
    found = walk.space.wait_condition(_NAME, "NodesEligible", "False", "NoEligibleNodes", 45)
    assert "RDMAResourceNotAdvertised" in found["message"]
    stayed, restarted = walk.uid(1), walk.restart(0)
    walk.wait(lambda: walk.uid(0) not in {"", restarted}, 20, "the pod was not made anew")
    walk.space.wait_condition(_NAME, "Ready", "False")
    # That nothing happens shows only over a time, which is longer than the delay of a fall back.
    deadline = time.monotonic() + 45
    while time.monotonic() < deadline:
        assert walk.transport_of(0) == "RDMA"
        assert walk.pod(0)["status"]["phase"] == "Pending"
        time.sleep(3)
    assert walk.uid(1) == stayed
    assert walk.transport[:2] == ("RDMA", "RDMA 1, Unknown 1")
    walk.restore_devices()
    walk.wait_ready()
    walk.wait(lambda: walk.transport == ("RDMA", "RDMA", "Proven"), 20, "RDMA was not taken up again")
    assert walk.uid(1) == stayed


def test_required_rdma_without_proof_starts_no_engine(stage: Stage) -> None:
    walk = Walk(stage, _REQUIRED)
    walk.wait_ready()
    behaviour = "unproven"
    stage.rig.simulator.put(behaviour, Behaviour(rdma="unproven"), Match(namespace=walk.space.namespace))
    try:
        walk.restart(0)
        walk.space.wait_condition(_NAME, "TransportDegraded", "True", "RDMATransferUnproven", 40)
        walk.space.wait_condition(_NAME, "WorkloadAvailable", "False", "RDMATransferUnproven", 40)
        started = {item["name"]: item for item in walk.pod(0)["status"]["initContainerStatuses"]}
        assert started["preflight"]["restartCount"] >= 1
        assert not started["cache"].get("containerID")
        (engine,) = walk.pod(0)["status"]["containerStatuses"]
        assert not engine.get("containerID")
    finally:
        stage.rig.simulator.delete(behaviour)
    walk.wait_ready(90)


_ALONE: Final = {
    "no device in the pod": (Behaviour(rdma="no-device"), "NoRDMADevice"),
    "no address on the network": (Behaviour(rdma="no-address"), "NoFabricAddress"),
    "the client uses TCP": (Behaviour(rdma="silent-tcp"), "SilentTCPFallback"),
    "Multus was bypassed": (Behaviour(rdma="no-address", multus="bypassed"), "NetworkBypassed"),
}


@pytest.mark.parametrize("case", _ALONE, ids=list(_ALONE))
def test_single_pod_falls_back_by_itself_when(stage: Stage, case: str) -> None:
    walk = Walk(stage, _SINGLE)
    behaviour, reason = _ALONE[case]
    walk.wait_ready()
    stage.rig.simulator.put("single", behaviour, Match(namespace=walk.space.namespace, pod="-1$"))
    try:
        stayed = walk.uid(0)
        walk.restart(1)
        found = walk.space.wait_condition(_NAME, "TransportDegraded", "True", reason, 40)
        assert f"1 of 2 pods do not use RDMA: 1 {reason} (for instance {_NAME}-1" in found["message"]
        walk.wait_ready()
        walk.wait(lambda: walk.transport == ("RDMA", "RDMA 1, TCP 1", "Proven"), 20, "not one pod on each transport")
        (trouble, _) = walk.status["transport"]["attachments"]
        assert (trouble["pod"], trouble["cause"]) == (f"{_NAME}-1", reason)
        assert walk.uid(0) == stayed
    finally:
        stage.rig.simulator.delete("single")
    walk.restart(1)
    walk.space.wait_condition(_NAME, "TransportDegraded", "False", "TransportAsWanted", 40)


def test_refused_pods_are_told_without_a_flood_of_status_writes(stage: Stage) -> None:
    walk = Walk(stage, _REFUSED)
    walk.wait_ready()
    audit = AuditLog(walk.cluster.audit_log)
    stage.rig.simulator.put("refused", Behaviour(refuse=Refusal()), Match(namespace=walk.space.namespace))
    mark = audit.mark()
    try:
        walk.restart(0)
        found = walk.space.wait_condition(_NAME, "WorkloadAvailable", "False", "PodAdmissionFailed", 40)
        assert f"Pod {_NAME}-0 was refused by" in found["message"]
        assert "TopologyAffinityError Pod was rejected: Resources cannot be allocated" in found["message"]
        # A count over a time: the flood goes on for as long as the kubelet refuses.
        time.sleep(15)
        calls = [call for call in audit.since(mark) if call.namespace == walk.space.namespace]
        made = sum(call.verb == "create" and call.resource == "pods" for call in calls)
        told = sum(call.user == _USER and call.verb == "patch" and call.subresource == "status" for call in calls)
        print(f"{made} pods were made in 15 s, {told} statuses written")
        assert made > 5, "Kubernetes itself makes a new pod at once"
        assert told <= 8
    finally:
        stage.rig.simulator.delete("refused")
    walk.wait_ready()
    walk.space.wait_condition(_NAME, "WorkloadAvailable", "True", "PodsReady")


def test_devices_by_claims_are_allocated_by_the_scheduler_and_their_template_is_a_child(stage: Stage) -> None:
    walk = Walk(stage, _CLAIMS)

    def templates() -> dict[str, str]:
        found = (walk.cluster.get("resourceclaimtemplates", "--namespace", walk.space.namespace) or {}).get("items", [])
        return {item["metadata"]["name"]: item["metadata"]["uid"] for item in found}

    walk.wait_ready()
    walk.wait(lambda: walk.transport == ("RDMA", "RDMA", "Proven"), 20, "no pod proves RDMA")
    walk.space.wait_condition(_NAME, "NetworkReady", "True", "NetworkAttached")
    claims = walk.cluster.get("resourceclaims", "--namespace", walk.space.namespace)["items"]
    assert len(claims) == 2
    assert all(len(item["status"]["allocation"]["devices"]["results"]) == 1 for item in claims)
    ((name, uid),) = templates().items()
    audit = AuditLog(walk.cluster.audit_log)
    mark = audit.mark()
    # Deleted by hand it comes back, and after that nobody writes it again.
    walk.cluster.kubectl("delete", "resourceclaimtemplate", name, "--namespace", walk.space.namespace)
    walk.wait(lambda: templates().get(name, uid) != uid, 20, "the template did not come back")
    patch = json.dumps({"spec": {"transport": {"rdma": {"count": 2}}}})
    walk.cluster.kubectl("patch", "icd", _NAME, "--namespace", walk.space.namespace, "--type=merge", "--patch", patch)
    walk.wait(lambda: len(templates()) == 1 and name not in templates(), 90, "the old template was not pruned")
    walk.wait_ready()
    calls = [call for call in audit.since(mark) if call.user == _USER and call.resource == "resourceclaimtemplates"]
    assert [call.verb for call in calls if call.is_write] == ["create", "create", "delete"]


def test_restarted_operator_keeps_the_transport_and_restarts_no_pod(
    stage: Stage, rig: Rig, operators: list[Operator]
) -> None:
    walk = Walk(stage, _SINGLE)
    walk.wait_ready()
    walk.wait(lambda: walk.transport == ("RDMA", "RDMA", "Proven"), 20, "no pod proves RDMA")

    def look() -> tuple[str, str, str, dict[str, Any]]:
        version = walk.space.get("statefulset", _NAME)["metadata"]["resourceVersion"]
        return walk.uid(0), walk.uid(1), version, walk.status

    before = look()
    operators[-1].stop()
    operators.append(rig.start_operator("operator-2", environment=FAST).wait_ready(60))
    wait_for(operators[-1].leads, 30, "the new operator does not lead")
    # That nothing happens shows only over a time.
    deadline = time.monotonic() + 8
    while time.monotonic() < deadline:
        assert look() == before
        time.sleep(0.5)
