"""Mistakes that people make in an InferenceCacheFabric."""

from typing import Any, Final

from tests.api.messages.mistakes import FabricMistake, bad_fabric
from tests.support.builders import REMOVED

_NETWORK: Final = "networks.0"
_AT: Final = "networks"
_SRIOV: Final[dict[str, Any]] = {
    "type": "SRIOVEthernet",
    "resourceName": "nvidia.com/storage_vf",
    "devices": {"interfaces": ["ens3f0np0"], "virtualFunctions": 8},
    "networks": [{"name": "storage", "ipam": {"type": "NVIPAM", "poolName": "storage"}}],
}
_REFERENCE: Final[dict[str, Any]] = {
    "mode": "Reference",
    "devices": REMOVED,
    "networks": [{"name": "storage"}],
}

FABRIC_MISTAKES: Final = [
    FabricMistake("a fabric of 31 characters", {}, "metadata.name", "a" * 31, name="a" * 31),
    FabricMistake("a managed fabric without devices", {"devices": REMOVED}, "spec", "mode Manage"),
    FabricMistake("a managed fabric without networks", {"networks": REMOVED}, "spec", "mode Manage"),
    FabricMistake("a reference that changes devices", {"mode": "Reference", "networks": [{"name": "a"}]}, "spec", "mode Reference"),
    FabricMistake("a drain where nothing drains", {"nodeDrain": "Acknowledged"}, "spec", "type SharedMacvlan"),
    bad_fabric("no mode", "mode", REMOVED, ""),
    bad_fabric("a mode as a participle", "mode", "Managed"),
    bad_fabric("a type as NVIDIA's profiles call it", "type", "macvlan-rdma-shared"),
    bad_fabric("a fabric's resource without its prefix", "resourceName", "storage"),
    bad_fabric("a resource that the SR-IOV operator refuses", "resourceName", "nvidia.com/storage-vf", base=_SRIOV),
    bad_fabric("namespaces as text", "namespaces", "inference"),
    bad_fabric("a drain as a switch", "nodeDrain", True, "true", base=_SRIOV),
    bad_fabric("a reference with addresses", "networks", [{"name": "a", "ipam": {"type": "DHCP"}}], "network a", base=_REFERENCE),
    bad_fabric("a managed network with a namespace", f"{_NETWORK}.namespace", "inference", "network rail-a", _AT),
    bad_fabric("a managed network without addresses", f"{_NETWORK}.ipam", REMOVED, "network rail-a", _AT),
    bad_fabric("a managed network with a long name", f"{_NETWORK}.name", "a" * 31, "network aaa", _AT),
    bad_fabric("a network of host-local", f"{_NETWORK}.ipam", {"type": "HostLocal", "range": "10.0.0.0/24"}, "HostLocal", "networks[0].ipam.type"),
    bad_fabric("whereabouts without its range", f"{_NETWORK}.ipam", {"type": "Whereabouts"}, "type Whereabouts", "networks[0].ipam"),
    bad_fabric("a range of two addresses", f"{_NETWORK}.ipam", {"type": "Whereabouts", "range": "10.0.0.10-10.0.0.20"}, "10.0.0.10", "networks[0].ipam.range"),
    bad_fabric("a VLAN over macvlan", f"{_NETWORK}.vlan", 100, "network rail-a", _AT),
    bad_fabric("a VLAN that does not exist", f"{_NETWORK}.vlan", 4095, base=_SRIOV),
    bad_fabric("an interface by the name of its CNI field", f"{_NETWORK}.master", "ens3f0np0"),
    bad_fabric("a network over macvlan without interface", f"{_NETWORK}.interface", REMOVED, "network rail-a", _AT),
    bad_fabric("an interface of virtual functions", f"{_NETWORK}.interface", "ens3f0np0", "network storage", _AT, base=_SRIOV),
    bad_fabric("an interface that is none of the devices", f"{_NETWORK}.interface", "eno1", "network rail-a", _AT),
    bad_fabric("two networks of one port", "networks.1.interface", "ens3f0np0", "network rail-a", _AT),
    bad_fabric("two networks of one pool", "networks.1.ipam.poolName", "rail-a", "network rail-a", _AT),
    bad_fabric("a network twice", "networks.1.name", "rail-a", "[0]", "networks[1]"),
    bad_fabric("every adapter of a vendor", "devices", {"vendor": "15b3"}, "neither"),
    bad_fabric("an adapter by its name", "devices.deviceIds", ["ConnectX-7"], "ConnectX-7", "devices.deviceIds[0]"),
    bad_fabric("an adapter's id that YAML reads as a number", "devices.deviceIds", [1021], "1021", "devices.deviceIds[0]"),
    bad_fabric("virtual functions that are not counted", "devices.virtualFunctions", REMOVED, "type SRIOVEthernet", "devices", base=_SRIOV),
    bad_fabric("virtual functions by the policy's name", "devices.numVfs", 8, base=_SRIOV),
    bad_fabric("virtual functions of devices that are shared", "devices.virtualFunctions", 8, "type SharedMacvlan", "devices"),
    bad_fabric("more virtual functions than adapters make", "devices.virtualFunctions", 128, base=_SRIOV),
    bad_fabric("virtual functions of two models", "devices.deviceIds", ["1021", "a2dc"], "type SRIOVEthernet", "devices", base=_SRIOV),
    bad_fabric("slots of virtual functions", "devices.slots", 63, "type SRIOVEthernet", "devices", base=_SRIOV),
    bad_fabric("an MTU over IPoIB", "type", "SharedIPoIB", "type SharedIPoIB", "devices"),
    bad_fabric("a plugin that moves", "devices.pluginImage", "registry.example/plugin:latest"),
    bad_fabric("a plugin's image with a password", "devices.pluginImage", "me:s3cr3t@registry.example/plugin", hidden="s3cr3t"),
]  # fmt: skip
