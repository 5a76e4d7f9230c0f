"""Mistakes about the way to the store: adapters of vendors, RDMA, and what nodes must have for it."""

from typing import Any, Final

from tests.api.messages.mistakes import bad
from tests.support.builders import REMOVED

_STORE: Final = "cache.tiers.1.objectStore"
_AT_STORE: Final = "cache.tiers[1].objectStore"
_PLUGIN: Final = f"{_STORE}.plugin"
_AT_PLUGIN: Final = f"{_AT_STORE}.plugin"
_ADAPTER: Final = {"modulePath": "vendor.adapter", "className": "Adapter", "objectNames": "LMCacheS3"}
_VENDOR: Final[dict[str, Any]] = {f"{_STORE}.client": "Plugin", _PLUGIN: _ADAPTER}
_ON_FABRIC: Final[dict[str, Any]] = {"transport": {"fabricRef": {"name": "storage"}}}
_INLINE: Final[dict[str, Any]] = {
    "transport": {"rdma": {"resourceName": "rdma/storage", "networks": [{"name": "storage"}]}}
}
_REQUIRED: Final = {"policy": "RequireRDMA", "fabricRef": {"name": "storage"}}
_MEMORY: Final[dict[str, Any]] = {"memory": {"size": "1200Gi"}}
_KEY: Final = "wJalrXUtnFEMI"

PLUGIN_MISTAKES: Final = [
    bad("an adapter without its client", _PLUGIN, _ADAPTER, "plugin without client Plugin", _AT_STORE),
    bad("the client of an adapter that is not named", f"{_STORE}.client", "Plugin", "client Plugin without plugin", _AT_STORE),
    bad("an adapter's module as a file", f"{_PLUGIN}.modulePath", "vendor/adapter.py", base=_VENDOR),
    bad("an adapter's class with its module", f"{_PLUGIN}.className", "vendor.adapter.Adapter", base=_VENDOR),
    bad("an adapter that does not say how it names objects", f"{_PLUGIN}.objectNames", REMOVED, "", base=_VENDOR),
    bad("parameters of an adapter as a mapping", f"{_PLUGIN}.parameters", {"threads": 8}, "a mapping", base=_VENDOR),
    bad("a parameter as a number", f"{_PLUGIN}.parameters", [{"name": "threads", "value": 8}], at=f"{_AT_PLUGIN}.parameters[0].value", base=_VENDOR, hidden="got 8"),
    bad("a key as parameter", f"{_PLUGIN}.parameters", [{"name": "secretKey", "value": _KEY}], at=f"{_AT_PLUGIN}.parameters[0]", base=_VENDOR, hidden=_KEY),
    bad("parameters for TCP that nobody would read", f"{_PLUGIN}.tcpParameters", [{"name": "a", "value": "b"}], "objectNames LMCacheS3", _AT_PLUGIN, base=_VENDOR),
    bad("an adapter with names of a client that cannot take over", f"{_STORE}.addressing", "Path", "objectNames LMCacheS3", "cache.tiers", base=_VENDOR),
    bad("a dialect with LMCache's client", f"{_STORE}.rdmaDialect", "Dell", "client LMCacheS3", _AT_STORE, base={f"{_STORE}.client": "LMCacheS3"}),
    bad("a dialect that NIXL does not know", f"{_STORE}.rdmaDialect", "Generic"),
]  # fmt: skip

TRANSPORT_MISTAKES: Final = [
    bad("the policy as other tools call it", "transport.policy", "Require"),
    bad("the policy by another name", "transport.rdmaPolicy", "RequireRDMA"),
    bad("a fabric as text", "transport.fabricRef", "storage"),
    bad("a fabric in upper case", "transport.fabricRef", {"name": "Storage"}, "Storage", "transport.fabricRef.name"),
    bad("a fabric and devices", "transport", {"fabricRef": {"name": "storage"}, "rdma": {"resourceName": "rdma/storage"}}, "both"),
    bad("RDMA without devices", "transport.policy", "RequireRDMA", "neither", "transport"),
    bad("recovery without RDMA", "transport.recovery", "Immediate", "recovery Immediate", "transport"),
    bad("RDMA without an object store", "transport", _REQUIRED, "a memory tier alone", "transport.policy", base={"cache.tiers": [_MEMORY]}),
    bad("RDMA without tiers", "transport", _REQUIRED, "no tiers", "transport.policy", base={"cache": {"mode": "Disabled"}}),
    bad("RDMA with the client of choice", "transport", _REQUIRED, "client Auto", "transport.policy"),
    bad("RDMA with LMCache's client", "transport", _REQUIRED, "client LMCacheS3", "transport.policy", base={f"{_STORE}.client": "LMCacheS3"}),
    bad("RDMA with NIXL and no dialect", "transport", _REQUIRED, "client NIXL", "transport.policy", base={f"{_STORE}.client": "NIXL"}),
    bad("a resource without its prefix", "transport.rdma.resourceName", "storage_vf", base=_INLINE),
    bad("GPUs as RDMA devices", "transport.rdma.resourceName", "nvidia.com/gpu", base=_INLINE),
    bad("a resource and a DeviceClass", "transport.rdma.deviceClassName", "rdma.example", "both", "transport.rdma", base=_INLINE),
    bad("a network as text", "transport.rdma.networks", ["storage"], "storage", "transport.rdma.networks[0]", base=_INLINE),
    bad("networks as the annotation of Multus", "transport.rdma.networks", "team/storage,team/other", base=_INLINE),
    bad("a network with its namespace", "transport.rdma.networks.0.name", "team/storage", base=_INLINE),
    bad("no devices", "transport.rdma.count", 0, base=_INLINE),
    bad("locked memory as a switch", "transport.lockedMemory", True, "true"),
]  # fmt: skip

_NEEDS: Final = "nodes.requirements"
ADAPTER_MISTAKES: Final = [
    bad("a compute capability that YAML reads as a number", f"{_NEEDS}.gpu.computeCapabilityAtLeast", 9.0, "9.0"),
    bad("a compute capability by name", f"{_NEEDS}.gpu.computeCapabilityAtLeast", "sm_90", "", base={}),
    bad("a kernel that YAML reads as a number", f"{_NEEDS}.kernelAtLeast", 5.14),
    bad("a whole kernel release", f"{_NEEDS}.kernelAtLeast", "5.14.0"),
    bad("huge pages as a count", f"{_NEEDS}.hugePages", 32768),
    bad("adapters for RDMA that no pod gets", f"{_NEEDS}.rdma", {"minSpeedGbps": 100}, "rdma", _NEEDS),
    bad("a DPU that no pod gets", f"{_NEEDS}.dpu", {}, "dpu", _NEEDS),
    bad("a speed with its unit", f"{_NEEDS}.rdma.minSpeedGbps", "100G", base=_ON_FABRIC),
    bad("an adapter in another spelling", f"{_NEEDS}.rdma.nicModels", ["CX7"], "CX7", f"{_NEEDS}.rdma.nicModels[0]", base=_ON_FABRIC),
    bad("a device id that YAML reads as a number", f"{_NEEDS}.rdma.nicModels", [1021], "1021", f"{_NEEDS}.rdma.nicModels[0]", base=_ON_FABRIC),
    bad("a link layer as SR-IOV tools write it", f"{_NEEDS}.rdma.linkType", "ib", base=_ON_FABRIC),
    bad("two link layers", f"{_NEEDS}.rdma.linkType", "Ethernet", "Ethernet and InfiniBand", base={"transport": {"rdma": {"resourceName": "a/b", "linkType": "InfiniBand"}}}),
    bad("a firmware of NVIDIA with its name", f"{_NEEDS}.rdma.firmwareAtLeast", "fw-28.39.1002", base=_ON_FABRIC),
    bad("an adapter as DPU", f"{_NEEDS}.dpu", {"models": ["ConnectX-7"]}, "ConnectX-7", f"{_NEEDS}.dpu.models[0]", base=_ON_FABRIC),
    bad("NUMA zones without their alignment", f"{_NEEDS}.numa", {}, "", f"{_NEEDS}.numa.alignment"),
    bad("NUMA alignment as the kubelet calls it", f"{_NEEDS}.numa.alignment", "single-numa-node"),
]  # fmt: skip
