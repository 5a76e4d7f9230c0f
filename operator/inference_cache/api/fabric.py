"""InferenceCacheFabric v1alpha1: which NICs, device plugin, policies and networks make a storage fabric. Owned by the platform team."""

import re
from enum import StrEnum
from typing import Annotated, Any, Final

from .base import DNS_LABEL, ApiModel, Rule, UniqueItems, ruled
from .fabric_devices import DEVICE_RULES, Devices
from .fabric_networks import IPAM, NETWORK_RULES, FabricNetwork, IPAMType
from .fabric_types import IS_MANAGED, IS_SRIOV, SRIOV_TYPES, FabricMode, FabricType
from .networks import MAX_NETWORKS, NamespaceName, ResourceName
from .nodes import LabelSelector
from .v1alpha1 import GROUP, VERSION

__all__ = [
    "FABRIC_API_VERSION",
    "FABRIC_KIND",
    "FABRIC_NAME_RULE",
    "FABRIC_PLURAL",
    "IPAM",
    "Devices",
    "FabricMode",
    "FabricNetwork",
    "FabricType",
    "IPAMType",
    "InferenceCacheFabricSpec",
    "NodeDrain",
]

FABRIC_KIND: Final = "InferenceCacheFabric"
FABRIC_PLURAL: Final = "inferencecachefabrics"
FABRIC_API_VERSION: Final = f"{GROUP}/{VERSION}"

FABRIC_NAME_RULE: Final = Rule(
    cel=f"self.metadata.name.matches('{DNS_LABEL}') && self.metadata.name.size() <= 30",
    message="metadata.name becomes part of network names: use at most 30 lower case letters, digits and '-'",
    holds=lambda name: bool(re.fullmatch(DNS_LABEL, name)) and len(name) <= 30,
    got_cel="self.metadata.name",
    got=lambda name: name,
)


class NodeDrain(StrEnum):
    """Whether the fabric's policies may drain and reboot nodes."""

    REFUSED = "Refused"
    ACKNOWLEDGED = "Acknowledged"


# The webhook of the SR-IOV network operator takes no other characters.
_SRIOV_NAME_PATTERN: Final = "^[A-Za-z0-9_]+$"


def _makes_functions(spec: Any) -> bool:
    return spec.mode is FabricMode.MANAGE and spec.type in SRIOV_TYPES


class InferenceCacheFabricSpec(ApiModel):
    """One storage fabric."""

    rules = (
        Rule(
            cel="self.mode == 'Manage' || !has(self.devices)",
            message="devices must be set in mode Manage only, as mode Reference changes no device; remove devices, or write mode: Manage",
            holds=lambda m: m.mode is FabricMode.MANAGE or m.devices is None,
            got_cel="'mode ' + self.mode",
            got=lambda m: f"mode {m.mode.value}",
        ),
        Rule(
            cel="self.mode == 'Reference' || (has(self.devices) && has(self.namespaces) && has(self.networks))",
            message="mode Manage needs devices, namespaces and networks; write them, or mode: Reference",
            holds=lambda m: m.mode is FabricMode.REFERENCE or None not in (m.devices, m.namespaces, m.networks),
            got_cel="'mode ' + self.mode",
            got=lambda m: f"mode {m.mode.value}",
        ),
        Rule(
            cel=f"({IS_MANAGED} && {IS_SRIOV}) || !(has(self.nodeDrain) || has(self.operatorNamespace))",
            message="nodeDrain and operatorNamespace must be set in mode Manage with types SRIOVEthernet and SRIOVInfiniBand only, as nothing else writes SriovNetworkNodePolicies; remove them",
            holds=lambda m: _makes_functions(m) or (m.node_drain is None and m.operator_namespace is None),
            got_cel="'mode ' + self.mode + ', type ' + self.type",
            got=lambda m: f"mode {m.mode.value}, type {m.type.value}",
        ),
        Rule(
            cel=f"!({IS_MANAGED} && {IS_SRIOV}) || self.resourceName.split('/')[1].matches('{_SRIOV_NAME_PATTERN}')",
            message="resourceName must have letters, digits and '_' alone behind its '/', in mode Manage with types SRIOVEthernet and SRIOVInfiniBand, as the SR-IOV operator takes no other; write for instance nvidia.com/storage_vf",
            holds=lambda m: (
                not _makes_functions(m) or bool(re.fullmatch(_SRIOV_NAME_PATTERN, m.resource_name.partition("/")[2]))
            ),
            got_cel="self.resourceName",
            got=lambda m: m.resource_name,
            path=".resourceName",
        ),
        *NETWORK_RULES,
        *DEVICE_RULES,
        Rule(
            cel="(self.mode == 'Reference' && oldSelf.mode == 'Reference') || (self.type == oldSelf.type && self.resourceName == oldSelf.resourceName)",
            message="type and resourceName must not change in mode Manage, as pods use the objects of the old ones; write them as they were, and make another fabric",
            holds=lambda _: True,
            got_cel="self.type + ' ' + self.resourceName + ' instead of ' + oldSelf.type + ' ' + oldSelf.resourceName",
            transition=True,
        ),
    )

    mode: FabricMode
    """Who makes the objects of the fabric: Reference checks what others have made, Manage makes policies, networks and the device plugin."""
    type: FabricType
    """How pods get RDMA devices: SRIOVEthernet and SRIOVInfiniBand give each pod virtual functions; SharedMacvlan and SharedIPoIB share the physical function among pods; HostDevice gives a pod a whole function."""
    resource_name: ResourceName
    """Extended resource that nodes advertise for the fabric, with its prefix."""
    node_selector: LabelSelector | None = None
    """Labels of the nodes that belong to the fabric. Without it: every node."""
    namespaces: Annotated[list[NamespaceName], *ruled(unique=UniqueItems(), min_length=1, max_length=32)] | None = None
    """Namespaces whose deployments may use the fabric; mode Manage needs it, and makes the networks there. Without it, in mode Reference: all."""
    networks: (
        Annotated[list[FabricNetwork], *ruled(unique=UniqueItems("name"), min_length=1, max_length=MAX_NETWORKS)] | None
    ) = None
    """Networks in the order of the pods' interfaces net1, net2, ... Each takes one device of the resource with the types SRIOVEthernet, SRIOVInfiniBand and HostDevice. Mode Manage needs them. Without it: none."""
    operator_namespace: NamespaceName | None = None
    """Mode Manage, types SRIOVEthernet and SRIOVInfiniBand: namespace of the SR-IOV network operator. Without it: sriov-network-operator where that one exists, else nvidia-network-operator."""
    devices: Devices | None = None
    """Devices, in mode Manage, which needs them."""
    node_drain: NodeDrain | None = None
    """Mode Manage, types SRIOVEthernet and SRIOVInfiniBand: Acknowledged lets the operator write SriovNetworkNodePolicies, for which the SR-IOV operator drains nodes and may reboot them. Without it: Refused."""
