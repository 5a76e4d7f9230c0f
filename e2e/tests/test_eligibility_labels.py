"""Eligibility labels on a real API server: through NodeFeature objects, by patches of nodes, and where neither is allowed.

Nobody acts on NodeFeature objects in a test cluster, so the test itself copies their labels to the nodes.
"""

import itertools
import json
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Final

import pytest
import yaml

from e2e.audit import AuditLog
from e2e.cluster import wait_for
from e2e.cluster.nodes import build_gpu_node
from e2e.rig import NAMESPACE, ROOT, Operator, Rig
from e2e.situations.foreign_crds import install_foreign_crds, load_foreign_crds, remove_foreign_crds
from e2e.space import Space
from e2e.tests.conftest import FAST, forget_lease

_OPTIONAL: Final = ROOT / "manifests" / "optional"
_PREFIX: Final = "eligible.inferencecache.io/"
_USER: Final = f"system:serviceaccount:{NAMESPACE}:inference-cache-operator"
_KERNELS: Final = {f"old-{n}": "5.4.0-200-generic" for n in range(3)} | {
    f"new-{n}": "6.8.0-60-generic" for n in range(2)
}
_counter = itertools.count()
_FIT: Final = {"new-0", "new-1"}


def _build_node(rig: Rig, name: str, kernel: str) -> dict[str, Any]:
    node = build_gpu_node(name, mark={**rig.cluster.mark, "pool": "kernels"})
    node["status"]["nodeInfo"]["kernelVersion"] = kernel
    return node


@pytest.fixture
def machines(rig: Rig) -> Iterator[None]:
    """Five nodes, three of which have an old kernel."""
    nodes = [_build_node(rig, name, kernel) for name, kernel in _KERNELS.items()]
    rig.cluster.kubectl("create", "-f", "-", stdin=yaml.safe_dump_all(nodes))
    yield
    rig.cluster.kubectl("delete", "nodes", "-l", "pool=kernels")


@pytest.fixture
def start(rig: Rig) -> Iterator[Callable[[], Operator]]:
    """Starts the operator once more."""
    running: list[Operator] = []

    def begin() -> Operator:
        while running:
            running.pop().stop()
        forget_lease(rig)
        running.append(rig.start_operator(f"operator-{next(_counter)}", environment=FAST).wait_ready())
        return running[0]

    yield begin
    for operator in running:
        assert operator.exit_code() is None, rig.cluster.log(operator.name)[-3000:]
        operator.stop()


@contextmanager
def _granted(rig: Rig, name: str) -> Iterator[None]:
    path = str(_OPTIONAL / f"{name}.yaml")
    rig.cluster.kubectl("apply", "--server-side", "-f", path)
    try:
        yield
    finally:
        rig.cluster.kubectl("delete", "-f", path)


@contextmanager
def _node_features_served(rig: Rig) -> Iterator[None]:
    crds = [item for item in load_foreign_crds() if item["spec"]["names"]["kind"] == "NodeFeature"]
    assert len(crds) == 1
    install_foreign_crds(rig.cluster, crds)

    def served() -> bool:
        return "nodefeatures" in rig.cluster.kubectl("api-resources", "--api-group=nfd.k8s-sigs.io").stdout

    try:
        wait_for(served, 30, "NodeFeature is not served")
        yield
    finally:
        remove_foreign_crds(rig.cluster, crds)


def _apply(space: Space, replicas: int = 4) -> None:
    nodes = {"selector": {"pool": "kernels"}, "requirements": {"kernelAtLeast": "6.1"}}
    space.apply(space.build(replicas=replicas, nodes=nodes))


def _labels(rig: Rig) -> dict[str, str]:
    """Return the value of the one eligibility label by node."""
    found: dict[str, str] = {}
    for node in rig.cluster.get("nodes", "-l", "pool=kernels")["items"]:
        values = [value for key, value in node["metadata"]["labels"].items() if key.startswith(_PREFIX)]
        assert len(values) <= 1
        if values:
            found[node["metadata"]["name"]] = values[0]
    return found


def _features(rig: Rig) -> dict[str, dict[str, str]]:
    """Return the labels that NodeFeature objects carry, by node."""
    items = (rig.cluster.get("nodefeatures", "--namespace", NAMESPACE) or {}).get("items", [])
    return {item["metadata"]["labels"]["nfd.node.kubernetes.io/node-name"]: item["spec"]["labels"] for item in items}


def _expected() -> dict[str, str]:
    return {name: "true" if name in _FIT else "false" for name in _KERNELS}


def _places(space: Space) -> set[str]:
    return {pod["spec"].get("nodeName", "") for pod in space.pods()}


def _writes_to_nodes(log: AuditLog, rig: Rig, act: Callable[[], object]) -> Counter[str]:
    start = log.settle(lambda word: rig.cluster.kubectl("get", "--raw", f"/version?{word}"))
    act()
    log.settle(lambda word: rig.cluster.kubectl("get", "--raw", f"/version?{word}"))
    calls = (call for call in log.since(start) if call.user == _USER and call.is_write)
    return Counter(call.resource for call in calls if call.resource in {"nodes", "nodefeatures"})


@pytest.mark.usefixtures("machines")
def test_node_features_carry_labels_and_pods_wait_for_those_that_keep_them_away(
    space: Space, rig: Rig, start: Callable[[], Operator]
) -> None:
    with _node_features_served(rig), _granted(rig, "node-features"), _granted(rig, "node-labels"):
        start()
        _apply(space)
        try:
            wait_for(lambda: set(_features(rig)) == set(_KERNELS), 20, "not every node has its NodeFeature")
        except RuntimeError:
            status = (space.get("icd", "small") or {}).get("status")
            pytest.fail(f"NodeFeatures {_features(rig)}, labels {_labels(rig)}, status {status}")
        (label,) = _features(rig)["new-0"]
        assert _features(rig) == {name: {label: value} for name, value in _expected().items()}
        space.wait_condition("small", "NodesEligible", "Unknown", "PlacementPending")
        assert space.pods() == []
        for name, labels in _features(rig).items():
            rig.cluster.kubectl("label", "node", name, *(f"{key}={value}" for key, value in labels.items()))
        space.wait_ready()
        assert _places(space) <= _FIT
        owner = rig.cluster.get("nodefeature", "inference-cache-old-2", "--namespace", NAMESPACE)
        assert owner["metadata"]["ownerReferences"][0]["kind"] == "Node"
        rig.cluster.kubectl("delete", "node", "old-2")
        wait_for(lambda: "old-2" not in _features(rig), 90, "the NodeFeature of a node that is gone stays")


@pytest.mark.usefixtures("machines")
def test_nodes_are_patched_where_only_that_is_allowed(space: Space, rig: Rig, start: Callable[[], Operator]) -> None:
    with _node_features_served(rig), _granted(rig, "node-labels"):
        start()
        _apply(space)
        space.wait_ready()
        assert _places(space) <= _FIT
        wait_for(lambda: _labels(rig) == _expected(), 20, "the labels are not what they should be")
        assert _features(rig) == {}
        before = {pod["metadata"]["uid"] for pod in space.pods()}
        log = AuditLog(rig.cluster.audit_log)

        def restart() -> None:
            start()
            # It takes a pass to scale; a write to a node would come within a second of it.
            space.cluster.kubectl("scale", "icd/small", "--replicas=3", "--namespace", space.namespace)
            wait_for(lambda: len(space.pods()) == 3, 30, "not scaled")
            space.wait_ready()

        assert _writes_to_nodes(log, rig, restart) == {}
        _set_kernel(rig, "old-0", "6.8.0-60-generic")
        wait_for(lambda: _labels(rig)["old-0"] == "true", 20, "a node that is fit now has not got its label")
        _set_kernel(rig, "new-1", "5.4.0-200-generic")
        flaps = _writes_to_nodes(log, rig, lambda: _flap(rig, "new-0"))
        assert flaps == {}, "a node that flaps is not written to"
        assert _labels(rig)["new-1"] == "true", "the label stays for two minutes"
        assert {pod["metadata"]["uid"] for pod in space.pods()} <= before


@pytest.mark.usefixtures("machines")
def test_that_placement_is_not_enforced_is_told_and_keeps_no_pod_from_running(
    space: Space, rig: Rig, start: Callable[[], Operator]
) -> None:
    with _node_features_served(rig):
        start()
        _apply(space)
        space.wait_ready()
        found = space.wait_condition("small", "NodesEligible", "True", "NodesAvailable")
        assert found["message"] == (
            "2 of 5 candidate nodes meet every requirement. Requirements that node labels cannot express are checked, but pods "
            "are not kept away from nodes that miss them. Install Node Feature Discovery, or apply the optional ClusterRole for "
            "node labels."
        )
        assert (_labels(rig), _features(rig)) == ({}, {})


def _set_kernel(rig: Rig, name: str, kernel: str) -> None:
    patch = json.dumps({"status": {"nodeInfo": {"kernelVersion": kernel}}})
    rig.cluster.kubectl("patch", "node", name, "--subresource=status", "--type=merge", "-p", patch)


def _flap(rig: Rig, name: str) -> None:
    """Take a node's kernel and its place in the scheduler away and give them back, as something else changes meanwhile."""
    for _ in range(5):
        _set_kernel(rig, name, "5.4.0-200-generic")
        rig.cluster.kubectl("cordon", name)
        _set_kernel(rig, name, "6.8.0-60-generic")
        rig.cluster.kubectl("uncordon", name)
