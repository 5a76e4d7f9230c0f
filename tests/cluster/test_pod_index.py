"""Which devices RDMA pods hold on each node, and which pods were refused: both follow what the cache sees."""

from typing import Any

from inference_cache.cluster.cache import ObjectCache
from inference_cache.cluster.pod_index import RefusalIndex
from inference_cache.domain import names
from inference_cache.domain.kinds import POD
from inference_cache.domain.reasons import Reason
from inference_cache.domain.refused_pods import REMEMBERED
from tests.support.builders import build_pod

VF, GPU = "nvidia.com/vf", names.GPU_RESOURCE
KEY = ("ns", "small")


def _pod(name: str = "small-0", node: str = "node-1", version: int = 1, **changes: Any) -> dict[str, Any]:
    labels = {names.LABEL_DEPLOYMENT: "small", names.LABEL_TRANSPORT: changes.pop("variant", "RDMA")}
    cache = {"name": "cache", "restartPolicy": "Always", "resources": {"limits": {VF: "1"}}}
    engine = {"name": "engine", "resources": {"limits": {GPU: "8"}}}
    return {
        "metadata": {
            "namespace": "ns",
            "name": name,
            "uid": changes.pop("uid", f"uid-{name}"),
            "resourceVersion": str(version),
            "labels": changes.pop("labels", labels),
        },
        "spec": {"nodeName": node, "initContainers": [cache], "containers": [engine]},
        "status": changes.pop("status", {"phase": "Running"}),
    }


def test_devices_of_rdma_pods_are_counted_by_node() -> None:
    told: list[str] = []
    cache = ObjectCache(occupied=told.append)
    cache.upsert(POD, _pod())
    cache.upsert(POD, _pod("small-1"))
    cache.upsert(POD, _pod("small-2", node="node-2"))
    assert cache.used_devices("node-1") == {VF: 2, GPU: 16}
    assert cache.used_devices("node-2") == {VF: 1, GPU: 8}
    assert cache.used_devices("node-3") == {}
    assert told == ["node-1", "node-1", "node-2"]


def test_pods_on_tcp_and_pods_without_node_hold_nothing() -> None:
    cache = ObjectCache()
    cache.upsert(POD, _pod(variant="TCP"))
    cache.upsert(POD, _pod("small-1", node=""))
    assert cache.used_devices("node-1") == {}


def test_pod_that_is_only_seen_anew_changes_nothing() -> None:
    told: list[str] = []
    cache = ObjectCache(occupied=told.append)
    cache.upsert(POD, _pod())
    version = cache.devices_version()
    cache.upsert(POD, _pod(version=2, status={"phase": "Running", "conditions": []}))
    assert (cache.devices_version(), told) == (version, ["node-1"])


def test_devices_are_free_again_when_the_pod_is_gone_has_failed_or_is_another_one() -> None:
    cache = ObjectCache()
    cache.upsert(POD, _pod())
    cache.remove(POD, "ns", "small-0", "uid-small-0")
    assert cache.used_devices("node-1") == {}
    cache.upsert(POD, _pod("small-1"))
    cache.upsert(POD, _pod("small-1", version=2, status={"phase": "Failed", "reason": "Evicted"}))
    assert cache.used_devices("node-1") == {}
    cache.upsert(POD, _pod("small-2"))
    cache.upsert(POD, _pod("small-2", node="node-2", version=2, uid="successor"))
    assert (cache.used_devices("node-1"), cache.used_devices("node-2")) == ({}, {VF: 1, GPU: 8})
    cache.upsert(POD, _pod("small-2", node="node-2", version=3, uid="successor", labels={}))
    assert cache.used_devices("node-2") == {}


def test_refusals_outlive_their_pods_and_go_with_the_deployment() -> None:
    refused = {"phase": "Failed", "reason": "TopologyAffinityError", "message": "no zone"}
    cache = ObjectCache()
    cache.upsert(POD, _pod(status=refused))
    cache.remove(POD, "ns", "small-0", "uid-small-0")
    cache.upsert(POD, _pod(uid="second", version=3, status=refused))
    assert [item.uid for item in cache.refusals(KEY)] == ["uid-small-0", "second"]
    assert cache.refusals(KEY)[0].text == "TopologyAffinityError no zone"
    assert cache.refusals(("ns", "other")) == ()


def test_refusals_are_bounded_and_counted_once_for_each_pod() -> None:
    index = RefusalIndex()
    problem = (Reason.PodAdmissionFailed, "Pod x: TopologyAffinityError.")
    for number in (*range(40), 39):
        pod = build_pod(0, ready=False, problem=problem, refused="TopologyAffinityError", uid=f"uid-{number}")
        index.put(KEY, pod)
    assert [item.uid for item in index.of(KEY)] == [f"uid-{number}" for number in range(40 - REMEMBERED, 40)]
    index.drop(KEY)
    assert index.of(KEY) == ()
