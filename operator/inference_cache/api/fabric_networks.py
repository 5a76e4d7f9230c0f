"""The networks of a fabric: interfaces, addresses, and which of their fields belong to which mode and type."""

import re
from collections.abc import Callable
from enum import StrEnum
from typing import Annotated, Any, Final

from pydantic import Field

from .base import DNS_LABEL, ApiModel, ObjectName, Rule, count_set, match_rule, ruled
from .fabric_types import IS_MANAGED, IS_SHARED, SHARED_TYPES, FabricMode, FabricType
from .networks import NamespaceName

_MAX_MANAGED_NAME: Final = 30

_INTERFACE_PATTERN: Final = "^[A-Za-z0-9][-A-Za-z0-9_.]{0,14}$"
_INTERFACE = match_rule(
    _INTERFACE_PATTERN,
    "must be the name of a network interface of the node, at most 15 characters, such as ens3f0np0; copy it from ip link",
)
InterfaceName = Annotated[str, *ruled(_INTERFACE, min_length=1, max_length=15)]

_OCTET: Final = "(25[0-5]|2[0-4][0-9]|1[0-9]{2}|[1-9]?[0-9])"
_CIDR_PATTERN: Final = (
    f"^({_OCTET}[.]){{3}}{_OCTET}/([12]?[0-9]|3[0-2])$|^[0-9a-f:]{{2,39}}/([1-9]?[0-9]|1[01][0-9]|12[0-8])$"
)
_CIDR = match_rule(
    _CIDR_PATTERN,
    "must be a network in CIDR form; write for instance 192.168.10.0/24",
)


class IPAMType(StrEnum):
    """Who gives addresses to pods."""

    NV_IPAM = "NVIPAM"
    WHEREABOUTS = "Whereabouts"
    DHCP = "DHCP"


class IPAM(ApiModel):
    """Addresses of one network. host-local is not among the kinds: it gives one address to several nodes."""

    rules = (
        Rule(
            cel="(self.type == 'NVIPAM') == has(self.poolName) && (self.type == 'Whereabouts') == has(self.range)",
            message="type NVIPAM needs poolName, type Whereabouts needs range, and none takes another's; write the type's own field, and remove the other",
            holds=lambda m: (
                (m.type is IPAMType.NV_IPAM) == (m.pool_name is not None)
                and (m.type is IPAMType.WHEREABOUTS) == (m.range is not None)
            ),
            got_cel="'type ' + self.type",
            got=lambda m: f"type {m.type.value}",
        ),
    )

    type: IPAMType
    """Who gives addresses: NVIPAM takes them from an IPPool that exists, Whereabouts from range, DHCP from a server of the network."""
    pool_name: ObjectName | None = None
    """IPPool of nv-ipam."""
    range: Annotated[str, *ruled(_CIDR, min_length=1, max_length=43)] | None = None
    """Range of Whereabouts."""


class FabricNetwork(ApiModel):
    """One network, which is one interface in each pod."""

    name: ObjectName
    """Mode Reference: name of the NetworkAttachmentDefinition. Mode Manage: the NetworkAttachmentDefinition is named NAME-NAMESPACE."""
    namespace: NamespaceName | None = None
    """Mode Reference: namespace of the NetworkAttachmentDefinition. Without it: the deployment's."""
    interface: InterfaceName | None = None
    """Mode Manage, types SharedMacvlan and SharedIPoIB, which need it: interface of the node (the physical function) that carries the network."""
    ipam: IPAM | None = None
    """Mode Manage, which needs it: addresses of the pods."""
    vlan: Annotated[int, Field(ge=1, le=4094)] | None = None
    """Mode Manage, type SRIOVEthernet: VLAN of the virtual functions."""


_MANAGED_NAME: Final = f"n.name.size() <= {_MAX_MANAGED_NAME} && n.name.matches('{DNS_LABEL}')"


def _refuse(fault: str, find: Callable[[Any, FabricNetwork], bool], message: str) -> Rule:
    """Return the rule of a fabric's spec that none of its networks may have a fault, in CEL over `self` and `n` and in Python."""

    def list_faulty(spec: Any) -> list[FabricNetwork]:
        return [network for network in spec.networks or [] if find(spec, network)]

    return Rule(
        cel=f"!has(self.networks) || !self.networks.exists(n, {fault})",
        message=message,
        holds=lambda spec: not list_faulty(spec),
        # Without the network's name: the API server grants no text from within a list.
        got_cel="'mode ' + self.mode + ', type ' + self.type",
        got=lambda spec: f"network {list_faulty(spec)[0].name}",
        path=".networks",
    )


def _manages(spec: Any) -> bool:
    return spec.mode is FabricMode.MANAGE


def _shares(spec: Any) -> bool:
    return spec.type in SHARED_TYPES


def _is_managed_name(name: str) -> bool:
    return len(name) <= _MAX_MANAGED_NAME and bool(re.fullmatch(DNS_LABEL, name))


def _repeats_interface(spec: Any, network: FabricNetwork) -> bool:
    others = [item for item in spec.networks if item.name != network.name]
    return network.interface is not None and any(item.interface == network.interface for item in others)


def _repeats_addresses(spec: Any, network: FabricNetwork) -> bool:
    if network.ipam is None or network.ipam.type is IPAMType.DHCP:
        return False
    return any(item.ipam == network.ipam for item in spec.networks if item.name != network.name)


def _leaves_devices(spec: Any, network: FabricNetwork) -> bool:
    known = spec.devices.interfaces if spec.devices else None
    return known is not None and network.interface is not None and network.interface not in known


NETWORK_RULES: Final = (
    _refuse(
        f"{IS_MANAGED} && has(n.namespace)",
        lambda spec, network: _manages(spec) and network.namespace is not None,
        "networks[].namespace must be left out in mode Manage, which makes each network in each of spec.namespaces; remove it",
    ),
    _refuse(
        "self.mode == 'Reference' && (has(n.ipam) || has(n.interface) || has(n.vlan))",
        lambda spec, network: not _manages(spec) and count_set(network, "ipam", "interface", "vlan") > 0,
        "networks[] must have no ipam, interface and vlan in mode Reference, which takes networks as they are; remove them, or write mode: Manage",
    ),
    _refuse(
        f"{IS_MANAGED} && !has(n.ipam)",
        lambda spec, network: _manages(spec) and network.ipam is None,
        "networks[] needs ipam in mode Manage, or pods would get no address; write for instance ipam: {type: NVIPAM, poolName: POOL}",
    ),
    _refuse(
        f"{IS_MANAGED} && !({_MANAGED_NAME})",
        lambda spec, network: _manages(spec) and not _is_managed_name(network.name),
        "networks[].name becomes part of other names in mode Manage: use at most 30 lower case letters, digits and '-'",
    ),
    _refuse(
        "has(n.vlan) && self.type != 'SRIOVEthernet'",
        lambda spec, network: network.vlan is not None and spec.type is not FabricType.SRIOV_ETHERNET,
        "networks[].vlan must be set with type SRIOVEthernet only, whose virtual functions tag their traffic; remove it",
    ),
    _refuse(
        f"has(n.interface) && !({IS_SHARED})",
        lambda spec, network: network.interface is not None and not _shares(spec),
        "networks[].interface must be set with types SharedMacvlan and SharedIPoIB only, as other types give the pod a function of its own; remove it, and name physical functions in devices.interfaces",
    ),
    _refuse(
        f"{IS_MANAGED} && {IS_SHARED} && !has(n.interface)",
        lambda spec, network: _manages(spec) and _shares(spec) and network.interface is None,
        "networks[] needs interface in mode Manage with types SharedMacvlan and SharedIPoIB; write the interface of the node that carries the network, such as interface: ens3f0np0",
    ),
    _refuse(
        "has(n.interface) && self.networks.exists(o, o.name != n.name && has(o.interface) && o.interface == n.interface)",
        _repeats_interface,
        "networks[].interface must differ from network to network, as each network is a port of its own; write another interface, or keep one network",
    ),
    _refuse(
        "has(n.ipam) && n.ipam.type != 'DHCP' && self.networks.exists(o, o.name != n.name && has(o.ipam) && o.ipam == n.ipam)",
        _repeats_addresses,
        "networks[].ipam must differ from network to network, as a pod with two interfaces in one subnet sends through one of them alone; write another pool or range",
    ),
    _refuse(
        "has(n.interface) && has(self.devices) && has(self.devices.interfaces) && !(n.interface in self.devices.interfaces)",
        _leaves_devices,
        "networks[].interface must be one of devices.interfaces, or pods would get the device of one adapter and the network of another; write one of them, or add it there",
    ),
)
"""Rules of the fabric's spec about its networks: mode and type decide what they may say."""
