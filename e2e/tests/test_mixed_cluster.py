"""A cluster of 200 nodes with eight kinds of defects: who is eligible, where pods land, and that churn changes nothing.

Requirements that node labels cannot express reach the scheduler as one label, which the operator writes here with the
optional right to label nodes.
"""

import itertools
import json
import random
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from typing import Any, Final

import pytest
import yaml

from e2e.audit import AuditCall, AuditLog
from e2e.cluster import wait_for
from e2e.rig import NAMESPACE, Rig
from e2e.situations.machines import ABSENT, VF_RESOURCE, Adapter, Machine
from e2e.situations.model import PLUGIN, Expected, Situation
from e2e.situations.stage import build_machines
from e2e.space import Space
from e2e.tests.conftest import OPTIONAL, staged

_USER: Final = f"system:serviceaccount:{NAMESPACE}:inference-cache-operator"
_MOFED: Final = "network.nvidia.com/operator.mofed.wait"
_HEALTHY: Final = 120
_EACH: Final = 10
_REPLICAS: Final = 24
_FLAP_SECONDS: Final = 120
_FLAPPING: Final = 40
_DEFECTS: Final[dict[str, Machine]] = {
    "GPUProductMismatch": Machine(labels={"nvidia.com/gpu.product": "NVIDIA-L40S"}),
    "DriverTooOld": Machine(labels={"nvidia.com/cuda.driver-version.major": "535"}),
    "GPUCountTooLow": Machine(allocatable={"nvidia.com/gpu": "4"}),
    "NICModelMismatch": Machine(adapter=Adapter(device_id="101d", model="ConnectX-6 Dx")),
    "NICSpeedTooLow": Machine(adapter=Adapter(speed="25000 Mb/s")),
    "LinkDown": Machine(adapter=Adapter(admin="down")),
    "NICDriverNotReady": Machine(labels={_MOFED: "true"}, allocatable={VF_RESOURCE: ABSENT}),
    "SRIOVConfigFailed": Machine(
        allocatable={VF_RESOURCE: ABSENT}, sync=("Failed", "totalvfs is 0"), adapter=Adapter(total_vfs=0, functions=0)
    ),
}
_MACHINES: Final = (
    *itertools.repeat(Machine(adapter=replace(Adapter(), functions=8)), _HEALTHY),
    *(machine for machine in _DEFECTS.values() for _ in range(_EACH)),
)
_SITUATION: Final = Situation(
    "mixed",
    Expected("NodesEligible", "True", "NodesAvailable"),
    _MACHINES,
    {"policy": "RequireRDMA", "rdma": {"resourceName": VF_RESOURCE}},
    {
        "gpu": {"products": ["H200"], "driverMajorAtLeast": 570},
        "rdma": {"nicModels": ["ConnectX-7"], "minSpeedGbps": 100, "linkType": "Ethernet"},
    },
    engine={"tensorParallelSize": 8},
    store=PLUGIN,
)


@pytest.fixture(scope="module")
def mixed(rig: Rig) -> Iterator[Space]:
    """The cluster with its nodes and one deployment that is Ready."""
    with staged(rig, [_SITUATION], ("node-evidence", "fabric-reference", "node-labels")) as stage:
        space = stage.spaces[_SITUATION.name]
        rig.cluster.kubectl("scale", "icd/model", f"--replicas={_REPLICAS}", "--namespace", space.namespace)
        space.wait_ready("model", 120)
        yield space
    rig.cluster.kubectl("delete", "-f", str(OPTIONAL / "node-labels.yaml"), "--wait=false")


def _eligible_names() -> set[str]:
    return {f"{_SITUATION.slug}-{number}" for number in range(_HEALTHY)}


def _nodes_of(space: Space) -> set[str]:
    return {pod["spec"].get("nodeName", "") for pod in space.pods("model")}


def _uids(space: Space) -> set[str]:
    return {pod["metadata"]["uid"] for pod in space.pods("model")}


def test_eligible_nodes_are_counted_exactly_with_one_line_for_each_reason(mixed: Space) -> None:
    nodes = mixed.get("icd", "model")["status"]["nodes"]
    assert (nodes["candidates"], nodes["eligible"]) == (len(_MACHINES), _HEALTHY)
    found = {item["reason"]: item["count"] for item in nodes["ineligible"]}
    assert found == dict.fromkeys(_DEFECTS, _EACH)
    for item in nodes["ineligible"]:
        assert 1 <= len(item["examples"]) <= 3
    condition = mixed.condition("model", "NodesEligible")
    assert (condition["status"], condition["reason"]) == ("True", "NodesAvailable")


def test_label_tells_eligible_nodes_from_those_that_only_it_can_exclude(mixed: Space) -> None:
    # GPU model, driver and count are labels and resources that the scheduler reads itself.
    by_scheduler = {"GPUProductMismatch", "DriverTooOld", "GPUCountTooLow"}
    others = {
        f"{_SITUATION.slug}-{_HEALTHY + position * _EACH + number}"
        for position, reason in enumerate(_DEFECTS)
        if reason not in by_scheduler
        for number in range(_EACH)
    }

    def labelled(value: str) -> set[str]:
        nodes = mixed.cluster.get("nodes", "-l", f"situation={_SITUATION.slug}")["items"]
        return {
            node["metadata"]["name"]
            for node in nodes
            for key, text in node["metadata"]["labels"].items()
            if key.startswith("eligible.inferencecache.io/") and text == value
        }

    wait_for(lambda: labelled("true") >= _eligible_names(), 30, "not every eligible node has the label")
    assert not labelled("true") & others
    assert labelled("false") == others


def test_pods_land_on_eligible_nodes_only(mixed: Space) -> None:
    assert _nodes_of(mixed) <= _eligible_names()
    assert len(_nodes_of(mixed)) == _REPLICAS


def test_changing_nodes_restart_no_pod(mixed: Space) -> None:
    before = _uids(mixed)
    used = sorted(_nodes_of(mixed))
    cluster = mixed.cluster
    cluster.kubectl("cordon", used[0])
    cluster.kubectl("label", "node", used[1], f"{_MOFED}=true", "--overwrite")
    _patch_resource(mixed, used[2], "0")
    joined = Situation("mixed", _SITUATION.expected, tuple(_MACHINES[:1]))
    extra = [item for item in build_machines(joined, cluster.mark) if item["kind"] == "Node"]
    extra[0]["metadata"]["name"] = "mixed-joined"
    cluster.kubectl("create", "-f", "-", stdin=yaml.safe_dump_all(extra))

    def counted() -> bool:
        return bool(mixed.get("icd", "model")["status"]["nodes"]["candidates"] == len(_MACHINES) + 1)

    wait_for(counted, 90, "the new node is not counted")
    assert _uids(mixed) == before
    cluster.kubectl("uncordon", used[0])
    cluster.kubectl("label", "node", used[1], f"{_MOFED}=false", "--overwrite")
    _patch_resource(mixed, used[2], "16")
    cluster.kubectl("delete", "node", "mixed-joined")
    wait_for(lambda: not counted(), 90, "the node that left is still counted")
    assert _uids(mixed) == before


def _patch_resource(space: Space, node: str, count: str) -> None:
    patch = {"status": {"allocatable": {VF_RESOURCE: count}, "capacity": {VF_RESOURCE: count}}}
    space.cluster.kubectl("patch", "node", node, "--subresource=status", "--type=merge", "-p", json.dumps(patch))


def _operator_writes(calls: list[AuditCall]) -> Counter[str]:
    found = (call for call in calls if call.user == _USER and call.is_write and call.resource != "leases")
    return Counter(f"{call.resource}/{call.subresource}".rstrip("/") for call in found)


def test_flapping_nodes_cause_no_writes_to_workloads_and_few_to_status(mixed: Space) -> None:
    cluster = mixed.cluster
    log = AuditLog(cluster.audit_log)
    names = sorted(_eligible_names())
    chosen = random.Random(6).sample(names, _FLAPPING)  # noqa: S311 - the same nodes in every run
    assert len(chosen) * 5 == len(_MACHINES)
    before = _uids(mixed)
    start = log.settle(lambda word: cluster.kubectl("get", "--raw", f"/version?{word}"))
    ends = time.monotonic() + _FLAP_SECONDS
    turns = 0
    while time.monotonic() < ends:
        down = turns % 2 == 0
        _flap(mixed, chosen, down=down)
        turns += 1
    if turns % 2:
        _flap(mixed, chosen, down=False)
    log.settle(lambda word: cluster.kubectl("get", "--raw", f"/version?{word}"))
    writes = _operator_writes(log.since(start))
    print(f"{turns} turns of {_FLAPPING} nodes in {_FLAP_SECONDS} s; writes of the operator: {dict(writes)}")
    assert turns >= 4
    status = writes.pop("inferencecachedeployments/status", 0)
    events = writes.pop("events", 0)
    assert not writes
    assert status <= _FLAP_SECONDS / 15
    assert events <= 2
    assert _uids(mixed) == before


def _flap(space: Space, names: list[str], *, down: bool) -> None:
    """Cordon or uncordon nodes and take their RDMA devices away or give them back, in two calls."""
    count = "0" if down else "16"
    specs: list[dict[str, Any]] = []
    states: list[dict[str, Any]] = []
    for name in names:
        head = {"apiVersion": "v1", "kind": "Node", "metadata": {"name": name}}
        specs.append({**head, "spec": {"unschedulable": down}})
        states.append({**head, "status": {"allocatable": {VF_RESOURCE: count}, "capacity": {VF_RESOURCE: count}}})
    common = ("apply", "--server-side", "--force-conflicts", "--field-manager=flapper")
    space.cluster.kubectl(*common, "-f", "-", stdin=yaml.safe_dump_all(specs))
    space.cluster.kubectl(*common, "--subresource=status", "-f", "-", stdin=yaml.safe_dump_all(states))
