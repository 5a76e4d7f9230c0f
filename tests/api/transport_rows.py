"""Examples about the transport: policy, fabric, devices and networks that the deployment names itself."""

from collections.abc import Mapping
from typing import Any, Final

from tests.api.nodes_rows import ON_FABRIC
from tests.api.rows import (
    MEMORY,
    OBJECT_NAME_MESSAGE,
    STORE,
    accept,
    enum,
    items,
    lengths,
    numbers,
    required,
    rule,
    unknown,
)
from tests.support.builders import REMOVED

_TRANSPORT: Final = "spec.transport"
_RDMA: Final = f"{_TRANSPORT}.rdma"
_NETWORK: Final = f"{_RDMA}.networks.0"
_POLICY: Final = f"{_TRANSPORT}.policy"
INLINE: Final[Mapping[str, Any]] = {
    _TRANSPORT: {"rdma": {"resourceName": "rdma/storage", "networks": [{"name": "storage"}]}}
}
_CLAIMED: Final[Mapping[str, Any]] = {_TRANSPORT: {"rdma": {"deviceClassName": "rdma.example"}}}
DIALECT: Final[Mapping[str, Any]] = {**ON_FABRIC, f"{STORE}.rdmaDialect": "Dell"}
PLUGIN: Final[Mapping[str, Any]] = {
    f"{STORE}.client": "Plugin",
    f"{STORE}.plugin": {"modulePath": "vendor.adapter", "className": "Adapter", "objectNames": "LMCacheS3"},
}
_ONE_TIER: Final[Mapping[str, Any]] = {**ON_FABRIC, "spec.cache.tiers": [{"memory": {"size": "64Gi"}}]}
_NO_TIER: Final[Mapping[str, Any]] = {**ON_FABRIC, "spec.cache": {"mode": "Disabled"}}
_OFF: Final[Mapping[str, Any]] = {**DIALECT, "spec.cache.mode": "Disabled"}

_BOTH_MESSAGE: Final = "transport must have one of fabricRef and rdma at most; remove one of them"
_DEVICES_MESSAGE: Final = "policy RequireRDMA needs fabricRef or rdma, which name the devices"
_IDLE_MESSAGE: Final = "with recovery or lockedMemory, transport needs fabricRef or rdma"
_ONE_MESSAGE: Final = "rdma needs exactly one of resourceName (device plugin) and deviceClassName (DRA)"
RESOURCE_MESSAGE: Final = "must be an extended resource that an RDMA or SR-IOV device plugin advertises, DOMAIN/NAME"
NAMESPACE_MESSAGE: Final = "must be the name of a namespace: lower case letters, digits and '-'"
_STORE_MESSAGE: Final = "transport.policy RequireRDMA needs an objectStore tier, as RDMA leads to the object store"
_CLIENT_MESSAGE: Final = "transport.policy RequireRDMA needs a client that speaks RDMA"
_TAKEOVER_MESSAGE: Final = "plugin.objectNames LMCacheS3 must not be combined with addressing Path or tls"

_CHOICE: Final = [
    *enum(_POLICY, ("Auto", "RequireRDMA", "TCP"), ON_FABRIC, {"RequireRDMA": DIALECT}),
    *enum(f"{_TRANSPORT}.recovery", ("NextRestart", "Immediate"), ON_FABRIC),
    *enum(f"{_TRANSPORT}.lockedMemory", ("IPCLock", "NodeUnlimited"), ON_FABRIC),
    accept("a transport that says nothing", _TRANSPORT, {}),
    accept("TCP without devices", _POLICY, "TCP"),
    accept("RDMA where it is there without devices", _POLICY, "Auto"),
    rule("RDMA without devices", _POLICY, "RequireRDMA", _DEVICES_MESSAGE, at=_TRANSPORT),
    rule("a fabric and devices", f"{_RDMA}", {"resourceName": "rdma/storage"}, _BOTH_MESSAGE, ON_FABRIC, _TRANSPORT),
    rule("recovery without devices", f"{_TRANSPORT}.recovery", "Immediate", _IDLE_MESSAGE, at=_TRANSPORT),
    rule("locked memory without devices", f"{_TRANSPORT}.lockedMemory", "IPCLock", _IDLE_MESSAGE, at=_TRANSPORT),
    required(f"{_TRANSPORT}.fabricRef.name", ON_FABRIC),
    *lengths(f"{_TRANSPORT}.fabricRef.name", 1, 253, ON_FABRIC),
    rule("a fabric in upper case", f"{_TRANSPORT}.fabricRef.name", "Storage", OBJECT_NAME_MESSAGE, ON_FABRIC),
]

_DEVICES: Final = [
    *lengths(f"{_RDMA}.resourceName", 1, 128, INLINE, fits=False),
    accept("the longest resource", f"{_RDMA}.resourceName", f"{'a' * 31}.{'a' * 32}/{'b' * 63}", INLINE),
    accept("a resource that only begins like that of GPUs", f"{_RDMA}.resourceName", "nvidia.com/gpu_vf", INLINE),
    rule("a resource without prefix", f"{_RDMA}.resourceName", "storage", RESOURCE_MESSAGE, INLINE),
    rule("GPUs as devices", f"{_RDMA}.resourceName", "nvidia.com/gpu", RESOURCE_MESSAGE, INLINE),
    rule("slices of GPUs as devices", f"{_RDMA}.resourceName", "nvidia.com/mig-1g.5gb", RESOURCE_MESSAGE, INLINE),
    rule("a resource of Kubernetes", f"{_RDMA}.resourceName", "node.kubernetes.io/x", RESOURCE_MESSAGE, INLINE),
    rule("a resource of quotas", f"{_RDMA}.resourceName", "requests.rdma/x", RESOURCE_MESSAGE, INLINE),
    *lengths(f"{_RDMA}.deviceClassName", 1, 253, _CLAIMED),
    rule("a DeviceClass in upper case", f"{_RDMA}.deviceClassName", "RDMA", OBJECT_NAME_MESSAGE, _CLAIMED),
    rule("a resource and a DeviceClass", f"{_RDMA}.resourceName", "rdma/storage", _ONE_MESSAGE, _CLAIMED, _RDMA),
    rule("neither resource nor DeviceClass", f"{_RDMA}.resourceName", REMOVED, _ONE_MESSAGE, INLINE, _RDMA),
    *numbers(f"{_RDMA}.count", 1, 8, base=INLINE),
    *enum(f"{_RDMA}.linkType", ("Ethernet", "InfiniBand"), INLINE),
    *items(f"{_RDMA}.networks", 1, 8, lambda number: {"name": f"storage-{number}"}, INLINE),
    accept("a network twice", f"{_RDMA}.networks", [{"name": "storage"}] * 2, INLINE),
    required(f"{_NETWORK}.name", INLINE),
    *lengths(f"{_NETWORK}.name", 1, 253, INLINE),
    rule("a network with its namespace", f"{_NETWORK}.name", "team/storage", OBJECT_NAME_MESSAGE, INLINE),
    *lengths(f"{_NETWORK}.namespace", 1, 63, INLINE),
    rule("a namespace with a dot", f"{_NETWORK}.namespace", "team.a", NAMESPACE_MESSAGE, INLINE),
]

_PATHS: Final = [
    accept("RDMA by a vendor's adapter", _POLICY, "RequireRDMA", {**ON_FABRIC, **PLUGIN}),
    accept("RDMA by NIXL", _POLICY, "RequireRDMA", {**DIALECT, f"{STORE}.client": "NIXL"}),
    accept("RDMA for a cache that is switched off", _POLICY, "RequireRDMA", _OFF),
    rule("RDMA with a memory tier alone", _POLICY, "RequireRDMA", _STORE_MESSAGE, _ONE_TIER),
    rule("RDMA without tiers", _POLICY, "RequireRDMA", _STORE_MESSAGE, _NO_TIER),
    rule("RDMA with the client of choice", _POLICY, "RequireRDMA", _CLIENT_MESSAGE, ON_FABRIC),
    rule("RDMA with LMCache's client", _POLICY, "RequireRDMA", _CLIENT_MESSAGE, {**ON_FABRIC, f"{STORE}.client": "LMCacheS3"}),
    rule("RDMA with NIXL and no dialect", _POLICY, "RequireRDMA", _CLIENT_MESSAGE, {**ON_FABRIC, f"{STORE}.client": "NIXL"}),
    accept("a client without RDMA where it is optional", _POLICY, "Auto", ON_FABRIC),
    accept("a memory tier alone where RDMA is optional", f"{MEMORY}.size", "64Gi", _ONE_TIER),
    rule("path addressing with names of LMCache's client", f"{STORE}.addressing", "Path", _TAKEOVER_MESSAGE, PLUGIN, "spec.cache.tiers"),
    rule("an authority with names of LMCache's client", f"{STORE}.tls", {"caRef": {"configMap": "ca"}}, _TAKEOVER_MESSAGE, {**PLUGIN, f"{STORE}.endpoint": "https://s3.internal"}, "spec.cache.tiers"),
    accept("path addressing with an adapter that never falls back", f"{STORE}.addressing", "Path", {**ON_FABRIC, **PLUGIN, _POLICY: "RequireRDMA"}),
    accept("path addressing with names of NIXL", f"{STORE}.addressing", "Path", {**PLUGIN, f"{STORE}.plugin.objectNames": "NIXL"}),
]  # fmt: skip

TRANSPORT_ROWS: Final = [
    *_CHOICE,
    *_DEVICES,
    *_PATHS,
    *(unknown(parent, INLINE) for parent in (_TRANSPORT, _RDMA, _NETWORK)),
    unknown(f"{_TRANSPORT}.fabricRef", ON_FABRIC),
]
