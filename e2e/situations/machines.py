"""A machine as its Node object and as other projects describe it: NicDevice, SriovNetworkNodeState, topology, our own report.

A machine begins as eight H200 with two ports of a ConnectX-7 and all that a healthy RDMA node shows; a situation changes
one thing.
"""

import copy
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from e2e.cluster.nodes import build_gpu_node

OPERATOR_NAMESPACE: Final = "nvidia-network-operator"
VF_RESOURCE: Final = "nvidia.com/storage_vf"
SHARED_RESOURCE: Final = "rdma/storage"
NFD_ANNOTATION: Final = "nfd.node.kubernetes.io/feature-labels"
_STATE_ANNOTATIONS: Final = "sriovnetwork.openshift.io"
ABSENT: Final = "ABSENT"
"""In labels and allocatable: the key is taken away."""


@dataclass(frozen=True)
class Adapter:
    """Both ports of one network adapter."""

    device_id: str = "1021"
    model: str = "ConnectX-7"
    link_type: str = "ETH"
    speed: str = "200000 Mb/s"
    admin: str = "up"
    firmware: str = "28.39.1002"
    total_vfs: int = 16
    functions: int = 8
    guid: str = ""
    dpu: bool = False
    mtu: int = 9000


@dataclass(frozen=True)
class Machine:
    """One node and what is said of it.

    Attributes:
        labels: Changes of the node's labels.
        allocatable: Changes of what it advertises.
        adapter: What SriovNetworkNodeState and NicDevice say; None where there is no such object.
        sources: Which of the two objects exist.
        sync: syncStatus and lastSyncError of the SR-IOV network operator.
        drain: Its annotations desired-state and current-state.
        rdma_mode: Network namespace mode of the RDMA subsystem.
        zones: Free GPUs and devices of each NUMA zone; None without NodeResourceTopology.
        report: Changes of the node validator's report; None without one.
        report_age: Seconds since it was probed.
        ready: Whether KWOK keeps the node ready.
    """

    labels: Mapping[str, str] = field(default_factory=dict)
    allocatable: Mapping[str, str] = field(default_factory=dict)
    adapter: Adapter | None = field(default_factory=Adapter)
    sources: frozenset[str] = frozenset({"NicDevice", "SriovNetworkNodeState"})
    sync: tuple[str, str] = ("Succeeded", "")
    drain: tuple[str, str] = ("Idle", "Idle")
    rdma_mode: str = "shared"
    kernel: str = "6.8.0-60-generic"
    unschedulable: bool = False
    ready: bool = True
    zones: tuple[Mapping[str, int], ...] | None = None
    report: Mapping[str, Any] | None = None
    report_age: int = 0


def build_machine(name: str, group: str, machine: Machine, mark: Mapping[str, str]) -> list[dict[str, Any]]:
    """Return the objects of a machine, the Node first."""
    objects = [_build_node(name, group, machine, mark)]
    if machine.adapter is not None:
        if "SriovNetworkNodeState" in machine.sources:
            objects.append(_build_state(name, machine, machine.adapter))
        if "NicDevice" in machine.sources:
            objects.append(_build_nic_device(name, machine.adapter))
    if machine.zones is not None:
        objects.append(_build_topology(name, machine.zones))
    if machine.report is not None:
        objects.append(_build_report(name, machine))
    return objects


def _build_node(name: str, group: str, machine: Machine, mark: Mapping[str, str]) -> dict[str, Any]:
    node = build_gpu_node(name, mark=mark)
    node["metadata"]["annotations"][NFD_ANNOTATION] = "rdma.available,pci-15b3.present"
    labels = node["metadata"]["labels"]
    labels["situation"] = group
    _change(labels, machine.labels)
    allocatable = {**node["status"]["allocatable"], VF_RESOURCE: "16", SHARED_RESOURCE: "63"}
    del allocatable["nvidia.com/hostdev"], allocatable["rdma/shared_device"]
    _change(allocatable, machine.allocatable)
    node["status"]["allocatable"] = allocatable
    node["status"]["capacity"] = copy.deepcopy(allocatable)
    node["status"]["nodeInfo"]["kernelVersion"] = machine.kernel
    if machine.unschedulable:
        node["spec"]["unschedulable"] = True
    if not machine.ready:
        node["metadata"]["annotations"].pop("kwok.x-k8s.io/node")
        for key in mark:
            labels.pop(key, None)
        conditions = [{"type": "Ready", "status": "False", "reason": "KubeletNotReady", "message": "down"}]
        node["status"]["conditions"] = conditions
    return node


def _change(target: dict[str, Any], changes: Mapping[str, str]) -> None:
    for key, value in changes.items():
        if value == ABSENT:
            target.pop(key, None)
        else:
            target[key] = value


def _build_state(name: str, machine: Machine, adapter: Adapter) -> dict[str, Any]:
    functions = [
        {
            "vfID": number,
            "deviceID": "101e",
            "vendor": "15b3",
            "driver": "mlx5_core",
            **({"guid": adapter.guid} if adapter.guid else {}),
        }
        for number in range(adapter.functions)
    ]
    interfaces = [
        {
            "name": f"ens3f{port}np{port}",
            "pciAddress": f"0000:17:00.{port}",
            "vendor": "15b3",
            "deviceID": adapter.device_id,
            "linkType": adapter.link_type,
            **({"linkSpeed": adapter.speed} if adapter.speed else {}),
            "linkAdminState": adapter.admin,
            "mtu": adapter.mtu,
            "totalvfs": adapter.total_vfs,
            "numVfs": adapter.functions,
            "Vfs": [{**item, "pciAddress": f"0000:17:0{port}.{number % 8}"} for number, item in enumerate(functions)],
        }
        for port in (0, 1)
    ]
    group = {"resourceName": "storage_vf", "vfRange": "0-7", "deviceType": "netdevice", "isRdma": True}
    wanted = [
        {"pciAddress": item["pciAddress"], "name": item["name"], "numVfs": adapter.functions, "vfGroups": [group]}
        for item in interfaces
    ]
    desired, current = machine.drain
    status, error = machine.sync
    return {
        "apiVersion": "sriovnetwork.openshift.io/v1",
        "kind": "SriovNetworkNodeState",
        "metadata": {
            "name": name,
            "namespace": OPERATOR_NAMESPACE,
            "annotations": {
                f"{_STATE_ANNOTATIONS}/desired-state": desired,
                f"{_STATE_ANNOTATIONS}/current-state": current,
            },
        },
        "spec": {"interfaces": wanted},
        "status": {
            "interfaces": interfaces,
            "syncStatus": status,
            **({"lastSyncError": error} if error else {}),
            "system": {"rdmaMode": machine.rdma_mode},
        },
    }


def _build_nic_device(name: str, adapter: Adapter) -> dict[str, Any]:
    return {
        "apiVersion": "configuration.net.nvidia.com/v1alpha1",
        "kind": "NicDevice",
        "metadata": {"name": f"{name}-{adapter.device_id}-mt0000", "namespace": OPERATOR_NAMESPACE},
        "spec": {},
        "status": {
            "node": name,
            "type": adapter.device_id,
            "modelName": adapter.model,
            "dpu": adapter.dpu,
            "superNIC": adapter.model.startswith("BlueField") and not adapter.dpu,
            "firmwareVersion": adapter.firmware,
            "partNumber": "mcx755106as-heat",
            "psid": "mt_0000000834",
            "serialNumber": "mt0000x00000",
            "ports": [
                {
                    "pci": f"0000:17:00.{port}",
                    "networkInterface": f"ens3f{port}np{port}",
                    "rdmaInterface": f"mlx5_{port}",
                }
                for port in (0, 1)
            ],
        },
    }


def _build_topology(name: str, zones: tuple[Mapping[str, int], ...]) -> dict[str, Any]:
    return {
        "apiVersion": "topology.node.k8s.io/v1alpha2",
        "kind": "NodeResourceTopology",
        "metadata": {"name": name},
        "topologyPolicies": ["SingleNUMANodePodLevel"],
        "zones": [
            {
                "name": f"node-{number}",
                "type": "Node",
                "resources": [
                    {"name": key, "capacity": str(count), "allocatable": str(count), "available": str(count)}
                    for key, count in zone.items()
                ],
            }
            for number, zone in enumerate(zones)
        ],
    }


def _build_report(name: str, machine: Machine) -> dict[str, Any]:
    probed = datetime.now(UTC) - timedelta(seconds=machine.report_age)
    port = {
        "number": 1,
        "linkLayer": "Ethernet",
        "state": "ACTIVE",
        "physicalState": "LinkUp",
        "rateGbps": 200,
        "gids": 4,
        "roceV2Gids": 2,
    }
    device = {
        "pciAddress": "0000:17:00.0",
        "vendor": "15b3",
        "device": "1021",
        "interface": "ens3f0np0",
        "interfaceState": "up",
        "mtu": 9000,
        "speedGbps": 200,
        "rdmaDevice": "mlx5_0",
        "charDevice": "uverbs0",
        "firmware": "28.39.1002",
        "numaNode": 0,
        "function": "Physical",
        "ports": [port],
    }
    changes = dict(machine.report or {})
    device["ports"] = [port | changes.pop("port", {})]
    second = {"pciAddress": "0000:17:00.1", "interface": "ens3f1np1", "rdmaDevice": "mlx5_1", "charDevice": "uverbs1"}
    return {
        "apiVersion": "inferencecache.io/v1alpha1",
        "kind": "NodeCapabilityReport",
        "metadata": {"name": name},
        "report": {
            "probedAt": probed.isoformat(timespec="seconds").replace("+00:00", "Z"),
            "validSeconds": 3600,
            "kernel": machine.kernel,
            "modules": ["ib_uverbs", "mlx5_ib", "rdma_ucm"],
            "rdmaNetnsMode": machine.rdma_mode,
            "memlockHard": -1,
            "devices": [device, device | second],
            **changes,
        },
    }
