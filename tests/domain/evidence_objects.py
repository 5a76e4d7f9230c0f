"""Objects of other projects and a report of the node validator, as their writers write them."""

from typing import Any

Object = dict[str, Any]

NIC_DEVICE: Object = {
    "apiVersion": "configuration.net.nvidia.com/v1alpha1",
    "kind": "NicDevice",
    "metadata": {"name": "gpu-0-1021-mt2334x00345", "namespace": "nvidia-network-operator"},
    "status": {
        "node": "gpu-0",
        "type": "1021",
        "modelName": "ConnectX-7 HHHL adapter card, 200GbE / NDR200 IB, dual-port QSFP112, PCIe 5.0 x16",
        "dpu": False,
        "superNIC": False,
        "firmwareVersion": "28.39.1002",
        "partNumber": "mcx755106as-heat",
        "psid": "mt_0000001045",
        "serialNumber": "mt2334x00345",
        "ports": [
            {"pci": "0000:1a:00.0", "networkInterface": "enp26s0f0np0", "rdmaInterface": "mlx5_0"},
            {"pci": "0000:1a:00.1", "networkInterface": "enp26s0f1np1", "rdmaInterface": "mlx5_1"},
        ],
    },
}

NODE_STATE: Object = {
    "apiVersion": "sriovnetwork.openshift.io/v1",
    "kind": "SriovNetworkNodeState",
    "metadata": {
        "name": "gpu-0",
        "namespace": "nvidia-network-operator",
        "annotations": {
            "sriovnetwork.openshift.io/desired-state": "Drain_Required",
            "sriovnetwork.openshift.io/current-state": "Draining",
        },
    },
    "spec": {
        "interfaces": [
            {
                "pciAddress": "0000:1a:00.0",
                "name": "enp26s0f0np0",
                "numVfs": 8,
                "vfGroups": [
                    {"resourceName": "storage_vf", "vfRange": "0-5", "deviceType": "netdevice", "isRdma": True},
                    {"resourceName": "other_vf", "vfRange": "6-7"},
                ],
            },
            {"pciAddress": "0000:1a:00.1", "numVfs": 4, "vfGroups": [{"resourceName": "storage_vf"}]},
        ]
    },
    "status": {
        "interfaces": [
            {
                "name": "enp26s0f0np0",
                "pciAddress": "0000:1a:00.0",
                "vendor": "15b3",
                "deviceID": "1021",
                "driver": "mlx5_core",
                "linkType": "ETH",
                "linkSpeed": "100000 Mb/s",
                "linkAdminState": "up",
                "mtu": 9000,
                "totalvfs": 16,
                "numVfs": 8,
                "eSwitchMode": "legacy",
                "Vfs": [{"pciAddress": "0000:1a:00.2", "vfID": 0, "guid": "00:00:00:00:00:00:00:00"}],
            }
        ],
        "syncStatus": "InProgress",
        "lastSyncError": "",
        "system": {"rdmaMode": "exclusive"},
    },
}

REPORT: Object = {
    "metadata": {"name": "gpu-0"},
    "report": {
        "probedAt": "2026-08-01T12:00:00Z",
        "validSeconds": 900,
        "nodeUid": "u-1",
        "kernel": "6.8.0-60-generic",
        "modules": ["mlx5_ib", "ib_uverbs"],
        "rdmaNetnsMode": "shared",
        "memlockHard": -1,
        "hugePagesTotal": 1024,
        "numaNodes": 2,
        "devices": [
            {
                "pciAddress": "0000:1a:00.0",
                "vendor": "15b3",
                "device": "a2dc",
                "interface": "enp26s0f0np0",
                "interfaceState": "up",
                "mtu": 4200,
                "rdmaDevice": "mlx5_0",
                "firmware": "32.39.2048",
                "numaNode": 1,
                "function": "Physical",
                "dpuMode": "DPU",
                "totalVfs": 16,
                "currentVfs": 2,
                "ports": [
                    {
                        "number": 1,
                        "linkLayer": "InfiniBand",
                        "state": "ACTIVE",
                        "rateGbps": 400,
                        "subnetManagerLid": 1,
                    }
                ],
            },
            {"pciAddress": "0000:1a:00.2", "vendor": "15b3", "device": "101e", "function": "Virtual"},
        ],
    },
}


def change(body: Any, path: str, value: Any) -> Any:
    """Return a copy in which one field of a path such as status.ports.0.pci is another one; ... takes it away."""
    head, _, rest = path.partition(".")
    key: Any = int(head) if head.isdecimal() else head
    copied: Any = list(body) if isinstance(body, list) else dict(body)
    if rest:
        copied[key] = change(copied[key], rest, value)
    elif value is ...:
        del copied[key]
    else:
        copied[key] = value
    return copied
