"""What the node gives a pod beside its processes: the device plugin's variables and Multus' account of the networks."""

import hashlib
import json
import re
from collections.abc import Mapping
from typing import Any, Final

from .preflight import name_function

NETWORKS: Final = "k8s.v1.cni.cncf.io/networks"
NETWORK_STATUS: Final = "k8s.v1.cni.cncf.io/network-status"
# The shared device plugin names no functions.
_SHARED: Final = "rdma/"
_GPU: Final = "nvidia.com/gpu"


def pick_host(uid: str) -> int:
    """Return the last part of a pod's addresses on its networks, 1 to 254."""
    return hashlib.sha256(uid.encode()).digest()[0] % 254 + 1


def build_device_variables(container: Mapping[str, Any]) -> dict[str, str]:
    """Return the variables in which the SR-IOV device plugin names the functions that a container was given."""
    limits = (container.get("resources") or {}).get("limits") or {}
    found = {}
    for name, count in limits.items():
        if "/" in name and name != _GPU and not name.startswith(_SHARED):
            functions = (name_function(number) for number in range(int(count)))
            found[f"PCIDEVICE_{re.sub('[^A-Z0-9]', '_', name.upper())}"] = ",".join(functions)
    return found


def build_network_status(pod: Mapping[str, Any], pod_ip: str) -> str | None:
    """Return what Multus would write into the pod's annotation; None where the pod asks for no network."""
    asked = (pod["metadata"].get("annotations") or {}).get(NETWORKS)
    if not asked:
        return None
    host = pick_host(pod["metadata"]["uid"])
    entries: list[dict[str, Any]] = [{"name": "cluster", "interface": "eth0", "ips": [pod_ip], "default": True}]
    for number, item in enumerate(json.loads(asked)):
        info = {"pci-address": name_function(number), "rdma-device": f"mlx5_{number + 2}"}
        entries.append(
            {
                "name": f"{item['namespace']}/{item['name']}",
                "interface": item["interface"],
                "ips": [f"192.168.{10 + number}.{host}"],
                "mtu": 9000,
                "device-info": {"type": "pci", "version": "1.1.0", "pci": info},
            }
        )
    return json.dumps(entries)
