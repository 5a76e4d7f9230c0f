"""Fake GPU nodes: the labels and resources of a node with eight H200 NVL and two 100 Gb/s ports, and faulty variants."""

from collections.abc import Mapping
from enum import StrEnum
from typing import Any, Final

_LABELS: Final = {
    "kubernetes.io/os": "linux",
    "kubernetes.io/arch": "amd64",
    "nvidia.com/gpu.present": "true",
    "nvidia.com/gpu.product": "NVIDIA-H200-NVL",
    "nvidia.com/gpu.count": "8",
    "nvidia.com/gpu.memory": "143771",
    "nvidia.com/gpu.family": "hopper",
    "nvidia.com/gpu.compute.major": "9",
    "nvidia.com/gpu.compute.minor": "0",
    "nvidia.com/cuda.driver-version.major": "580",
    "feature.node.kubernetes.io/pci-15b3.present": "true",
    "feature.node.kubernetes.io/network-sriov.capable": "true",
    "feature.node.kubernetes.io/rdma.available": "true",
    "network.nvidia.com/operator.mofed.wait": "false",
}
_ALLOCATABLE: Final = {
    "cpu": "192",
    "memory": "2Ti",
    "ephemeral-storage": "7Ti",
    "pods": "110",
    "nvidia.com/gpu": "8",
    "nvidia.com/hostdev": "16",
    "rdma/shared_device": "63",
    "hugepages-2Mi": "0",
}


class NodeVariant(StrEnum):
    """One thing that is different from the reference node."""

    REFERENCE = "reference"
    NO_GPU = "no-gpu"
    H100 = "h100"
    FOUR_GPUS = "four-gpus"
    CORDONED = "cordoned"
    SMALL_MEMORY = "small-memory"


def build_gpu_node(
    name: str, variant: NodeVariant = NodeVariant.REFERENCE, mark: Mapping[str, str] | None = None
) -> dict[str, Any]:
    """Return a Node; KWOK keeps it ready if it carries the cluster's mark."""
    labels = {**_LABELS, "kubernetes.io/hostname": name, **(mark or {})}
    allocatable = dict(_ALLOCATABLE)
    spec: dict[str, Any] = {}
    match variant:
        case NodeVariant.NO_GPU:
            labels = {key: value for key, value in labels.items() if not key.startswith("nvidia.com/")}
            del allocatable["nvidia.com/gpu"]
        case NodeVariant.H100:
            labels["nvidia.com/gpu.product"] = "NVIDIA-H100-80GB-HBM3"
        case NodeVariant.FOUR_GPUS:
            labels["nvidia.com/gpu.count"] = allocatable["nvidia.com/gpu"] = "4"
        case NodeVariant.CORDONED:
            spec["unschedulable"] = True
        case NodeVariant.SMALL_MEMORY:
            allocatable["memory"] = "512Gi"
        case NodeVariant.REFERENCE:
            pass
    return {
        "apiVersion": "v1",
        "kind": "Node",
        "metadata": {"name": name, "labels": labels, "annotations": {"kwok.x-k8s.io/node": "fake"}},
        "spec": spec,
        "status": {
            "allocatable": allocatable,
            "capacity": allocatable,
            "nodeInfo": {"kernelVersion": "6.8.0-60-generic", "kubeletVersion": "v1.37.2"},
        },
    }
