"""Examples about InferenceCacheFabric: what each mode and type may say of networks and devices."""

from collections.abc import Mapping
from typing import Any, Final

from inference_cache.api.fabric import FABRIC_KIND
from tests.api.nodes_rows import LABEL_KEYS_MESSAGE, LABEL_VALUES_MESSAGE
from tests.api.rows import (
    OBJECT_NAME_MESSAGE,
    Row,
    accept,
    duplicate,
    enum,
    items,
    lengths,
    numbers,
    on,
    required,
    rule,
    unknown,
)
from tests.api.transport_rows import NAMESPACE_MESSAGE, RESOURCE_MESSAGE
from tests.support.builders import REMOVED

Changes = Mapping[str, Any]
_NETWORK: Final = "spec.networks.0"
_DEVICES: Final = "spec.devices"
_POOL: Final = {"type": "NVIPAM", "poolName": "rail-a"}
_RANGE: Final = {"type": "Whereabouts", "range": "192.168.10.0/24"}
_PLAIN: Final = {"name": "storage", "ipam": _POOL}
_RAIL: Final = {**_PLAIN, "interface": "ens3f0np0"}

# The sample is in mode Manage and of type SharedMacvlan.
SRIOV: Final[Changes] = {
    "spec.type": "SRIOVEthernet",
    "spec.resourceName": "nvidia.com/storage_vf",
    _DEVICES: {"interfaces": ["ens3f0np0"], "virtualFunctions": 8},
    "spec.networks": [_PLAIN],
}
_INFINIBAND: Final[Changes] = {**SRIOV, "spec.type": "SRIOVInfiniBand"}
_IPOIB: Final[Changes] = {"spec.type": "SharedIPoIB", f"{_DEVICES}.mtu": REMOVED}
_WHOLE: Final[Changes] = {
    "spec.type": "HostDevice",
    "spec.resourceName": "nvidia.com/hostdev",
    _DEVICES: {"interfaces": ["ens3f0np0"]},
    "spec.networks": [_PLAIN],
}
_ONE: Final[Changes] = {"spec.networks": [_RAIL]}
_RANGED: Final[Changes] = {"spec.networks": [{**_RAIL, "ipam": _RANGE}]}
REFERENCE: Final[Changes] = {
    "spec.mode": "Reference",
    "spec.type": "SRIOVEthernet",
    "spec.resourceName": "nvidia.com/storage-vf",
    _DEVICES: REMOVED,
    "spec.networks": [{"name": "storage"}],
}
_BARE: Final[Changes] = {
    **REFERENCE,
    "spec.namespaces": REMOVED,
    "spec.networks": REMOVED,
    "spec.nodeSelector": REMOVED,
}

_NAME_MESSAGE: Final = "becomes part of network names: use at most 30 lower case letters, digits and '-'"
_REFERENCE_MESSAGE: Final = "devices must be set in mode Manage only"
_MANAGE_MESSAGE: Final = "mode Manage needs devices, namespaces and networks"
_DRAIN_MESSAGE: Final = (
    "nodeDrain and operatorNamespace must be set in mode Manage with types SRIOVEthernet and SRIOVInfiniBand only"
)
_SRIOV_NAME_MESSAGE: Final = "resourceName must have letters, digits and '_' alone behind its '/'"
_HOME_MESSAGE: Final = "networks[].namespace must be left out in mode Manage"
_MADE_MESSAGE: Final = "networks[] must have no ipam, interface and vlan in mode Reference"
_IPAM_MESSAGE: Final = "networks[] needs ipam in mode Manage"
_LONG_MESSAGE: Final = "networks[].name becomes part of other names in mode Manage"
_VLAN_MESSAGE: Final = "networks[].vlan must be set with type SRIOVEthernet only"
_OWN_MESSAGE: Final = "networks[].interface must be set with types SharedMacvlan and SharedIPoIB only"
_MASTER_MESSAGE: Final = "networks[] needs interface in mode Manage with types SharedMacvlan and SharedIPoIB"
_PORT_MESSAGE: Final = "networks[].interface must differ from network to network"
_SUBNET_MESSAGE: Final = "networks[].ipam must differ from network to network"
_ADAPTER_MESSAGE: Final = "networks[].interface must be one of devices.interfaces"
_SOURCE_MESSAGE: Final = "type NVIPAM needs poolName, type Whereabouts needs range, and none takes another's"
_CIDR_MESSAGE: Final = "must be a network in CIDR form"
_INTERFACE_MESSAGE: Final = "must be the name of a network interface of the node, at most 15 characters"
_PCI_MESSAGE: Final = "must be a PCI id of four lower case hexadecimal digits"
_SELECT_MESSAGE: Final = "devices needs deviceIds or interfaces"
_FUNCTIONS_MESSAGE: Final = "devices needs virtualFunctions with types SRIOVEthernet and SRIOVInfiniBand"
_NO_FUNCTIONS_MESSAGE: Final = "devices.virtualFunctions must be set with types SRIOVEthernet and SRIOVInfiniBand only"
_ONE_ID_MESSAGE: Final = "devices.deviceIds must hold one id with types SRIOVEthernet and SRIOVInfiniBand"
_SLOTS_MESSAGE: Final = (
    "devices.slots and devices.pluginImage must be set with types SharedMacvlan and SharedIPoIB only"
)
_MTU_MESSAGE: Final = "devices.mtu must be left out with types SharedIPoIB and HostDevice"
_IMAGE_MESSAGE: Final = "must name a fixed version, as latest moves"

_TYPES: Final = ("SRIOVEthernet", "SRIOVInfiniBand", "SharedMacvlan", "SharedIPoIB", "HostDevice")
_BASES: Final = dict(zip(_TYPES, (SRIOV, _INFINIBAND, None, _IPOIB, _WHOLE), strict=True))

_HEAD: Final = [
    accept("the sample", "metadata.name", "storage"),
    accept("a name of 30 characters", "metadata.name", "a" * 30),
    rule("a name of 31 characters", "metadata.name", "a" * 31, _NAME_MESSAGE),
    rule("a name with a dot", "metadata.name", "storage.a", _NAME_MESSAGE),
    required("spec.mode"),
    required("spec.type"),
    required("spec.resourceName"),
    *enum("spec.mode", ("Reference", "Manage"), bases={"Reference": REFERENCE}),
    *enum("spec.type", _TYPES, bases=_BASES),
    *(accept(f"{kind} by reference", "spec.type", kind, REFERENCE) for kind in _TYPES),
    accept("a reference without networks, namespaces and selector", "spec.mode", "Reference", _BARE),
    rule("devices in a reference", _DEVICES, {"interfaces": ["ens3f0np0"]}, _REFERENCE_MESSAGE, REFERENCE, "spec"),
    *(rule(f"a managed fabric without {name}", f"spec.{name}", REMOVED, _MANAGE_MESSAGE, at="spec") for name in ("devices", "namespaces", "networks")),
    *lengths("spec.resourceName", 1, 128, fits=False),
    rule("a resource without prefix", "spec.resourceName", "storage", RESOURCE_MESSAGE),
    accept("a resource with a hyphen of devices that are shared", "spec.resourceName", "rdma/storage-a"),
    accept("a resource with an underscore", "spec.resourceName", "openshift.io/storage_vf", SRIOV),
    rule("a resource with a hyphen of virtual functions", "spec.resourceName", "nvidia.com/storage-vf", _SRIOV_NAME_MESSAGE, SRIOV),
    rule("a resource with a dot of virtual functions", "spec.resourceName", "nvidia.com/storage.vf", _SRIOV_NAME_MESSAGE, _INFINIBAND),
    *items("spec.namespaces", 1, 32, "team"),
    duplicate("spec.namespaces", "team", "team"),
    *lengths("spec.namespaces.0", 1, 63),
    rule("a namespace in upper case", "spec.namespaces.0", "Team", NAMESPACE_MESSAGE),
    *enum("spec.nodeDrain", ("Refused", "Acknowledged"), SRIOV),
    rule("a drain for devices that are shared", "spec.nodeDrain", "Acknowledged", _DRAIN_MESSAGE, at="spec"),
    rule("a drain for a reference", "spec.nodeDrain", "Refused", _DRAIN_MESSAGE, REFERENCE, "spec"),
    *lengths("spec.operatorNamespace", 1, 63, SRIOV),
    rule("an operator's namespace with a dot", "spec.operatorNamespace", "a.b", NAMESPACE_MESSAGE, SRIOV),
    rule("an operator's namespace for whole devices", "spec.operatorNamespace", "sriov", _DRAIN_MESSAGE, _WHOLE, "spec"),
]  # fmt: skip

_SELECTOR: Final = [
    rule("a label key with a blank", "spec.nodeSelector", {"bad key": "x"}, LABEL_KEYS_MESSAGE),
    rule("a label value with a blank", "spec.nodeSelector", {"pool": "a b"}, LABEL_VALUES_MESSAGE),
    Row(
        "rejects seventeen labels",
        {"spec.nodeSelector": {f"label-{number}": "x" for number in range(17)}},
        "spec.nodeSelector",
        "maxProperties",
        "must have at most 16 keys",
        "must have at most 16 items",
    ),
    Row(
        "rejects a label value that is too long",
        {"spec.nodeSelector": {"pool": "a" * 64}},
        "spec.nodeSelector.pool",
        "maxLength",
        "must have at most 63 characters",
        "may not be more than 63 bytes",
    ),
]

_NETWORKS: Final = [
    *items("spec.networks", 1, 8, lambda number: {"name": f"storage-{number}"}, REFERENCE),
    duplicate("spec.networks", {"name": "storage"}, {"name": "storage"}, base=REFERENCE),
    required(f"{_NETWORK}.name", _ONE),
    *lengths(f"{_NETWORK}.name", 1, 253, REFERENCE),
    rule("a network in upper case", f"{_NETWORK}.name", "Storage", OBJECT_NAME_MESSAGE, REFERENCE),
    accept("a name of 30 characters of a managed network", f"{_NETWORK}.name", "a" * 30),
    rule("a name of 31 characters of a managed network", f"{_NETWORK}.name", "a" * 31, _LONG_MESSAGE, at="spec.networks"),
    rule("a name with a dot of a managed network", f"{_NETWORK}.name", "a.b", _LONG_MESSAGE, at="spec.networks"),
    *lengths(f"{_NETWORK}.namespace", 1, 63, REFERENCE),
    rule("a network's namespace with a dot", f"{_NETWORK}.namespace", "a.b", NAMESPACE_MESSAGE, REFERENCE),
    rule("a namespace of a managed network", f"{_NETWORK}.namespace", "team", _HOME_MESSAGE, at="spec.networks"),
    *(
        rule(f"{field} in a reference", f"{_NETWORK}.{field}", value, _MADE_MESSAGE, REFERENCE, "spec.networks")
        for field, value in (("ipam", _POOL), ("vlan", 5))
    ),
    rule("interface in a reference", f"{_NETWORK}.interface", "ens3f0np0", _MADE_MESSAGE, {**REFERENCE, "spec.type": "SharedMacvlan"}, "spec.networks"),
    rule("a managed network without addresses", f"{_NETWORK}.ipam", REMOVED, _IPAM_MESSAGE, at="spec.networks"),
    *numbers(f"{_NETWORK}.vlan", 1, 4094, base=SRIOV),
    *(
        rule(f"a VLAN with {kind}", f"{_NETWORK}.vlan", 5, _VLAN_MESSAGE, _BASES[kind], "spec.networks")
        for kind in _TYPES[1:]
    ),
    *lengths(f"{_NETWORK}.interface", 1, 15, {**_ONE, f"{_DEVICES}.interfaces": ["a" * 15]}),
    rule("an interface with a slash", f"{_NETWORK}.interface", "ens3/0", _INTERFACE_MESSAGE),
    rule("an interface of virtual functions", f"{_NETWORK}.interface", "ens3f0np0", _OWN_MESSAGE, SRIOV, "spec.networks"),
    rule("an interface of whole devices", f"{_NETWORK}.interface", "ens3f0np0", _OWN_MESSAGE, _WHOLE, "spec.networks"),
    rule("a network over macvlan without interface", f"{_NETWORK}.interface", REMOVED, _MASTER_MESSAGE, at="spec.networks"),
    rule("a network over IPoIB without interface", f"{_NETWORK}.interface", REMOVED, _MASTER_MESSAGE, _IPOIB, "spec.networks"),
    rule("two networks of one interface", "spec.networks.1.interface", "ens3f0np0", _PORT_MESSAGE, at="spec.networks"),
    rule("an interface that is none of the devices", f"{_NETWORK}.interface", "eno1", _ADAPTER_MESSAGE, at="spec.networks"),
    accept("any interface with devices by id", f"{_NETWORK}.interface", "eno1", {_DEVICES: {"deviceIds": ["1021"]}}),
]  # fmt: skip

_ADDRESSES: Final = [
    *enum(f"{_NETWORK}.ipam.type", ("NVIPAM", "Whereabouts", "DHCP"), bases={"Whereabouts": _RANGED, "DHCP": {f"{_NETWORK}.ipam": {}}}),
    required(f"{_NETWORK}.ipam.type"),
    *lengths(f"{_NETWORK}.ipam.poolName", 1, 253),
    rule("a pool in upper case", f"{_NETWORK}.ipam.poolName", "Pool", OBJECT_NAME_MESSAGE),
    *lengths(f"{_NETWORK}.ipam.range", 1, 43, _RANGED, fits=False),
    accept("a range of IPv6", f"{_NETWORK}.ipam.range", "fd00:10::/64", _RANGED),
    rule("a range without its length", f"{_NETWORK}.ipam.range", "192.168.10.0", _CIDR_MESSAGE, _RANGED),
    rule("a range of numbers above 255", f"{_NETWORK}.ipam.range", "192.168.300.0/24", _CIDR_MESSAGE, _RANGED),
    rule("a range longer than an address", f"{_NETWORK}.ipam.range", "192.168.10.0/33", _CIDR_MESSAGE, _RANGED),
    rule("nv-ipam without pool", f"{_NETWORK}.ipam.poolName", REMOVED, _SOURCE_MESSAGE, at=f"{_NETWORK}.ipam"),
    rule("nv-ipam with a range", f"{_NETWORK}.ipam.range", "10.0.0.0/8", _SOURCE_MESSAGE, at=f"{_NETWORK}.ipam"),
    rule("whereabouts without range", f"{_NETWORK}.ipam", {"type": "Whereabouts"}, _SOURCE_MESSAGE),
    rule("DHCP with a pool", f"{_NETWORK}.ipam", {"type": "DHCP", "poolName": "a"}, _SOURCE_MESSAGE),
    rule("two networks with one pool", "spec.networks.1.ipam.poolName", "rail-a", _SUBNET_MESSAGE, at="spec.networks"),
    rule("two networks with one range", "spec.networks.1.ipam", _RANGE, _SUBNET_MESSAGE, {f"{_NETWORK}.ipam": _RANGE}, "spec.networks"),
    accept("two networks with DHCP", "spec.networks.1.ipam", {"type": "DHCP"}, {f"{_NETWORK}.ipam": {"type": "DHCP"}}),
]  # fmt: skip

_ADAPTERS: Final = [
    *lengths(f"{_DEVICES}.vendor", 1, 16, fits=False),
    rule("a vendor by name", f"{_DEVICES}.vendor", "mlnx", _PCI_MESSAGE),
    *items(f"{_DEVICES}.deviceIds", 1, 8, lambda number: f"102{number:x}"),
    duplicate(f"{_DEVICES}.deviceIds", "1021", "1021"),
    *lengths(f"{_DEVICES}.deviceIds.0", 1, 16, {f"{_DEVICES}.deviceIds": ["1021"]}, fits=False),
    rule("a device id in upper case", f"{_DEVICES}.deviceIds", ["A2DC"], _PCI_MESSAGE, at=f"{_DEVICES}.deviceIds.0"),
    *items(f"{_DEVICES}.interfaces", 1, 8, "ens3", _WHOLE),
    duplicate(f"{_DEVICES}.interfaces", "ens3f0np0", "ens3f0np0"),
    *lengths(f"{_DEVICES}.interfaces.0", 1, 15, _WHOLE),
    rule("an interface with a blank", f"{_DEVICES}.interfaces.0", "ens3 f0", _INTERFACE_MESSAGE),
    rule("devices of a vendor alone", _DEVICES, {"vendor": "15b3"}, _SELECT_MESSAGE),
    *numbers(f"{_DEVICES}.virtualFunctions", 1, 127, base=SRIOV),
    rule("no number of virtual functions", f"{_DEVICES}.virtualFunctions", REMOVED, _FUNCTIONS_MESSAGE, SRIOV, _DEVICES),
    rule("virtual functions of devices that are shared", f"{_DEVICES}.virtualFunctions", 8, _NO_FUNCTIONS_MESSAGE, at=_DEVICES),
    rule("virtual functions of whole devices", f"{_DEVICES}.virtualFunctions", 8, _NO_FUNCTIONS_MESSAGE, _WHOLE, _DEVICES),
    accept("virtual functions by id", f"{_DEVICES}.deviceIds", ["1021"], SRIOV),
    rule("virtual functions of two models", f"{_DEVICES}.deviceIds", ["1021", "a2dc"], _ONE_ID_MESSAGE, SRIOV, _DEVICES),
    *numbers(f"{_DEVICES}.mtu", 1280, 9978),
    rule("an MTU over IPoIB", f"{_DEVICES}.mtu", 4092, _MTU_MESSAGE, {"spec.type": "SharedIPoIB"}, _DEVICES),
    rule("an MTU of whole devices", f"{_DEVICES}.mtu", 9000, _MTU_MESSAGE, _WHOLE, _DEVICES),
    *numbers(f"{_DEVICES}.slots", 1, 1000),
    rule("slots of virtual functions", f"{_DEVICES}.slots", 8, _SLOTS_MESSAGE, SRIOV, _DEVICES),
    rule("a plugin's image for whole devices", f"{_DEVICES}.pluginImage", "a:1", _SLOTS_MESSAGE, _WHOLE, _DEVICES),
    *lengths(f"{_DEVICES}.pluginImage", 1, 512, head="a:"),
    rule("a plugin's image that moves", f"{_DEVICES}.pluginImage", "registry.example/plugin:latest", _IMAGE_MESSAGE),
    rule("a plugin's image with a password", f"{_DEVICES}.pluginImage", "me:pass@registry.example/x", _IMAGE_MESSAGE, hidden="pass@"),
]  # fmt: skip

FABRIC_ROWS: Final = on(
    FABRIC_KIND,
    "fabric",
    [
        *_HEAD,
        *_SELECTOR,
        *_NETWORKS,
        *_ADDRESSES,
        *_ADAPTERS,
        *(unknown(parent) for parent in ("spec", _NETWORK, f"{_NETWORK}.ipam", _DEVICES)),
    ],
)
