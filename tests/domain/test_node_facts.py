"""What is kept of a Node object."""

import copy
import json
from typing import Any

from inference_cache.domain.node_facts import Taint, project_node

NODE: dict[str, Any] = {
    "metadata": {
        "name": "gpu-0",
        "uid": "0a1b",
        "resourceVersion": "7",
        "labels": {"kubernetes.io/hostname": "gpu-0", "nvidia.com/gpu.product": "NVIDIA-H200"},
        "annotations": {"nfd.node.kubernetes.io/feature-labels": "rdma.available"},
        "managedFields": [{"manager": "kubelet"}],
    },
    "spec": {
        "taints": [{"key": "a", "value": "b", "effect": "NoSchedule"}, {"key": "soft", "effect": "PreferNoSchedule"}]
    },
    "status": {
        "allocatable": {
            "cpu": "191500m",
            "memory": "2Ti",
            "pods": "110",
            "hugepages-2Mi": "4Gi",
            "hugepages-1Gi": "0",
            "nvidia.com/gpu": "8",
            "nvidia.com/gpu.shared": "4",
            "nvidia.com/mig-1g.18gb": "7",
            "rdma/storage": "63",
            "nvidia.com/storage_vf": "0",
        },
        "conditions": [{"type": "Ready", "status": "True", "lastHeartbeatTime": "2026-08-01T12:00:00Z"}],
        "nodeInfo": {"kernelVersion": "6.8.0-60-generic"},
        "images": [{"names": ["a"], "sizeBytes": 1}],
    },
}


def test_everything_that_checks_ask_for_is_kept() -> None:
    facts = project_node(NODE)
    assert (facts.name, facts.uid, facts.kernel, facts.ready, facts.unschedulable) == (
        "gpu-0",
        "0a1b",
        "6.8.0-60-generic",
        True,
        False,
    )
    assert facts.taints == (Taint("a", "b", "NoSchedule"),)
    assert (facts.gpus, facts.memory, facts.milli_cpus, facts.huge_pages) == (8, 2 * 2**40, 191_500, 4 * 2**30)
    assert facts.features_published


def test_extended_resources_are_those_with_a_domain_beside_gpus_and_zero_is_kept() -> None:
    assert project_node(NODE).resources == {
        "nvidia.com/gpu.shared": 4,
        "nvidia.com/mig-1g.18gb": 7,
        "rdma/storage": 63,
        "nvidia.com/storage_vf": 0,
    }


def test_a_heartbeat_changes_nothing() -> None:
    later = copy.deepcopy(NODE)
    later["metadata"]["resourceVersion"] = "8"
    later["metadata"]["managedFields"] = []
    later["status"]["conditions"][0]["lastHeartbeatTime"] = "2026-08-01T12:05:00Z"
    later["status"]["images"] = []
    later["metadata"]["annotations"]["volumes.kubernetes.io/controller-managed-attach-detach"] = "true"
    assert project_node(later) == project_node(NODE)


def test_a_new_node_that_says_nothing_yet_is_read() -> None:
    facts = project_node({"metadata": {"name": "gpu-0"}})
    assert (facts.ready, facts.gpus, facts.resources, facts.kernel, facts.features_published) == (
        False,
        None,
        {},
        "",
        False,
    )


def test_names_and_values_are_shared_between_nodes() -> None:
    first, second = (project_node(json.loads(json.dumps(NODE))) for _ in range(2))
    pairs = zip(first.labels.items(), second.labels.items(), strict=True)
    assert all(a[0] is b[0] and a[1] is b[1] for a, b in pairs)
