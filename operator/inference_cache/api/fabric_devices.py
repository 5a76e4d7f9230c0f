"""The devices of a managed fabric, and which of their fields belong to which type."""

from collections.abc import Callable
from typing import Annotated, Final

from pydantic import Field

from .base import ApiModel, Rule, UniqueItems, count_set, match_rule, ruled
from .engine import EngineImage
from .fabric_networks import InterfaceName
from .fabric_types import IS_SHARED, IS_SRIOV, SHARED_TYPES, SRIOV_TYPES, FabricType

_PCI_PATTERN: Final = "^[0-9a-f]{4}$"
_PCI = match_rule(
    _PCI_PATTERN,
    "must be a PCI id of four lower case hexadecimal digits, such as 1021 for ConnectX-7; copy it from lspci -nn",
)
PCIId = Annotated[str, *ruled(_PCI, min_length=1, max_length=16)]
PluginImage = EngineImage


class Devices(ApiModel):
    """Mode Manage: the devices of the nodes that become the fabric's resource."""

    rules = (
        Rule(
            cel="has(self.deviceIds) || has(self.interfaces)",
            message="devices needs deviceIds or interfaces, or every adapter of the vendor would be taken, those of the pod network included; write for instance interfaces: [ens3f0np0]",
            holds=lambda m: count_set(m, "device_ids", "interfaces") > 0,
            got_cel="'neither'",
            got=lambda _: "neither",
        ),
    )

    vendor: PCIId | None = None
    """PCI vendor. Without it: 15b3 (NVIDIA, Mellanox)."""
    device_ids: Annotated[list[PCIId], *ruled(unique=UniqueItems(), min_length=1, max_length=8)] | None = None
    """PCI device ids of the physical functions. Types SRIOVEthernet and SRIOVInfiniBand take one."""
    interfaces: Annotated[list[InterfaceName], *ruled(unique=UniqueItems(), min_length=1, max_length=8)] | None = None
    """Interfaces of the physical functions."""
    virtual_functions: Annotated[int, Field(ge=1, le=127)] | None = None
    """Types SRIOVEthernet and SRIOVInfiniBand, which need it: virtual functions of each physical function."""
    mtu: Annotated[int, Field(ge=1280, le=9978)] | None = None
    """Types SRIOVEthernet, SRIOVInfiniBand and SharedMacvlan: MTU of the interfaces. RoCE with its 4096-byte MTU needs 4200 at least. Without it: as it is."""
    slots: Annotated[int, Field(ge=1, le=1000)] | None = None
    """Types SharedMacvlan and SharedIPoIB: pods that may share the devices of a node (rdmaHcaMax). Without it: 63."""
    plugin_image: PluginImage | None = None
    """Types SharedMacvlan and SharedIPoIB: image of the RDMA shared device plugin. Without it: the operator's choice."""


def _refuse(fault: str, find: Callable[[FabricType, Devices], bool], message: str) -> Rule:
    """Return the rule of a fabric's spec that its devices may not have a fault, in CEL over `self` and in Python."""
    return Rule(
        cel=f"!has(self.devices) || !({fault})",
        message=message,
        holds=lambda spec: spec.devices is None or not find(spec.type, spec.devices),
        got_cel="'type ' + self.type",
        got=lambda spec: f"type {spec.type.value}",
        path=".devices",
    )


DEVICE_RULES: Final = (
    _refuse(
        f"{IS_SRIOV} && !has(self.devices.virtualFunctions)",
        lambda kind, devices: kind in SRIOV_TYPES and devices.virtual_functions is None,
        "devices needs virtualFunctions with types SRIOVEthernet and SRIOVInfiniBand; write how many each physical function gets, such as virtualFunctions: 8",
    ),
    _refuse(
        f"has(self.devices.virtualFunctions) && !({IS_SRIOV})",
        lambda kind, devices: devices.virtual_functions is not None and kind not in SRIOV_TYPES,
        "devices.virtualFunctions must be set with types SRIOVEthernet and SRIOVInfiniBand only; remove it",
    ),
    _refuse(
        f"{IS_SRIOV} && has(self.devices.deviceIds) && self.devices.deviceIds.size() > 1",
        lambda kind, devices: kind in SRIOV_TYPES and len(devices.device_ids or []) > 1,
        "devices.deviceIds must hold one id with types SRIOVEthernet and SRIOVInfiniBand, as a SriovNetworkNodePolicy selects one; keep one, or use interfaces",
    ),
    _refuse(
        f"(has(self.devices.slots) || has(self.devices.pluginImage)) && !({IS_SHARED})",
        lambda kind, devices: count_set(devices, "slots", "plugin_image") > 0 and kind not in SHARED_TYPES,
        "devices.slots and devices.pluginImage must be set with types SharedMacvlan and SharedIPoIB only, which run the RDMA shared device plugin; remove them",
    ),
    _refuse(
        "has(self.devices.mtu) && self.type in ['SharedIPoIB', 'HostDevice']",
        lambda kind, devices: devices.mtu is not None and kind in {FabricType.SHARED_IPOIB, FabricType.HOST_DEVICE},
        "devices.mtu must be left out with types SharedIPoIB and HostDevice, whose networks cannot set it; remove it, and set it on the nodes",
    ),
)
"""Rules of the fabric's spec about its devices: the type decides what they may say."""
