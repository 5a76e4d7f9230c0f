"""Which fields are part of the layout fingerprint, as data: pairs of values that are the same layout or are not.

The table names every leaf of the schema, so that a new field cannot be forgotten: whoever adds one must say here
whether it is part of the layout.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Final

from inference_cache.domain.versions import BUILT_IN_TABLE, DEFAULT_PAIR, VersionTable
from tests.support.builders import REMOVED

Changes = Mapping[str, Any]


@dataclass(frozen=True)
class Row:
    """Two values of a field, and whether they are the same layout.

    Attributes:
        path: The field, with list items as numbers.
        same: Whether the fingerprints must be equal.
        when: What else the spec must say; the condition of fields that are part of the layout only sometimes.
    """

    path: str
    one: Any
    other: Any
    same: bool
    when: Changes = field(default_factory=dict)


def _layout(path: str, one: Any, other: Any, when: Changes | None = None) -> Row:
    return Row(path, one, other, same=False, when=when or {})


def _neutral(path: str, one: Any, other: Any, when: Changes | None = None) -> Row:
    return Row(path, one, other, same=True, when=when or {})


_DIGEST: Final = "@sha256:" + "a" * 64
_HUB: Final = {"model.source": {"huggingFace": {"repository": "o/m", "revision": "0" * 40}}}
_TOKEN: Final = _HUB | {"model.source.huggingFace.tokenSecretRef": {"name": "one", "key": "one"}}
_CLAIM: Final = {"model.source": {"persistentVolumeClaim": {"claimName": "one", "path": "one", "revision": "1"}}}
_IMAGE: Final = {"model.source": {"image": {"reference": f"one{_DIGEST}", "path": "one"}}}
_ARCHITECTURE: Final = {
    "model.architecture": {
        "layers": 32,
        "attentionHeads": 32,
        "kvHeads": 8,
        "headDim": 128,
        "latentAttention": {"kvLoraRank": 512, "ropeHeadDim": 64},
    }
}
_VERSIONS: Final = {
    "engine.image": REMOVED,
    "engine.versions": {"vllm": DEFAULT_PAIR.vllm, "lmcache": DEFAULT_PAIR.lmcache},
}
_TAGGED: Final = {"engine.versions": REMOVED, "engine.image": "one:vllm-0.32.0-lmcache-0.5.6"}
_STORED: Final = {
    "endpoint": "https://one.example",
    "region": "us-east-1",
    "bucket": {"name": "kv-one"},
    "credentials": {"secretRef": {"name": "one"}},
}
_NO_CHUNK: Final = {"engine.blockTokens": REMOVED}
_S3: Final = {
    "transport": {},
    "nodes.requirements": {},
    "cache": {"tiers": [{"memory": {"size": "64Gi"}}, {"objectStore": _STORED}]},
} | _NO_CHUNK
_STORE: Final = "cache.tiers.1.objectStore"
_PATH: Final = _S3 | {f"{_STORE}.addressing": "Path"}
_TLS: Final = _S3 | {f"{_STORE}.tls": {"caRef": {"configMap": "one", "key": "one"}}}
_NIXL: Final = _S3 | {f"{_STORE}.client": "NIXL", "transport": {}}
_ADAPTER: Final = {"modulePath": "one.two", "className": "One", "objectNames": "LMCacheS3"}
_PARAMETERS: Final = [{"name": "one", "value": "1"}]
_PLUGIN: Final = _S3 | {"transport": {}, f"{_STORE}.client": "Plugin", f"{_STORE}.plugin": _ADAPTER}
_OWN: Final = _PLUGIN | {f"{_STORE}.plugin": _ADAPTER | {"objectNames": "Own", "tcpParameters": _PARAMETERS}}
_FABRIC: Final = {"nodes.requirements": {}, "transport": {"fabricRef": {"name": "one"}}}
_INLINE: Final = {
    "nodes.requirements": {},
    "transport": {"rdma": {"resourceName": "rdma/one", "networks": [{"name": "one", "namespace": "one"}]}},
}
_ENV: Final = {"engine.extraEnv": [{"name": "MY_SWITCH", "value": "1"}]}
_SECRET: Final = {"engine.extraEnv": [{"name": "MY_SWITCH", "secretKeyRef": {"name": "one", "key": "one"}}]}
_TOLERATION: Final = {
    "nodes.tolerations": [{"key": "one", "operator": "Equal", "value": "one", "effect": "NoSchedule"}]
}
_GPU: Final = "nodes.requirements.gpu"
_RDMA: Final = "nodes.requirements.rdma"
_DPU: Final = "nodes.requirements.dpu"
_ENGINE_RESOURCES: Final[Changes] = {"engine.resources": {"requests": {}, "limits": {}}}
_CACHE_RESOURCES: Final = _S3 | {"cache.resources": {"requests": {}, "limits": {}}}
_LOAD: Final = {"workload": {"conversations": 1, "contextTokens": 1}}

TABLE: Final = VersionTable(
    (
        *BUILT_IN_TABLE.pairs,
        replace(DEFAULT_PAIR, vllm="0.32.7", key_format="of its own"),
        replace(DEFAULT_PAIR, vllm="0.32.8"),
        replace(DEFAULT_PAIR, lmcache="0.5.97", key_format="another of its own"),
        replace(DEFAULT_PAIR, lmcache="0.5.98"),
    )
)
"""The supported versions and some more, with and without a key format of their own."""

ROWS: Final[dict[str, list[Row]]] = {
    "model.name": [_neutral("model.name", "one", "two")],
    "model.source.huggingFace.repository": [_layout("model.source.huggingFace.repository", "o/m", "o/n", _HUB)],
    "model.source.huggingFace.revision": [_layout("model.source.huggingFace.revision", "0" * 40, "1" * 40, _HUB)],
    "model.source.huggingFace.tokenSecretRef.name": [
        _neutral("model.source.huggingFace.tokenSecretRef.name", "one", "two", _TOKEN),
        _neutral("model.source.huggingFace.tokenSecretRef", REMOVED, {"name": "two"}, _TOKEN),
    ],
    "model.source.huggingFace.tokenSecretRef.key": [
        _neutral("model.source.huggingFace.tokenSecretRef.key", "one", "two", _TOKEN)
    ],
    "model.source.persistentVolumeClaim.claimName": [
        _layout("model.source.persistentVolumeClaim.claimName", "one", "two", _CLAIM)
    ],
    "model.source.persistentVolumeClaim.path": [
        _layout("model.source.persistentVolumeClaim.path", "one", "two", _CLAIM),
        _layout("model.source.persistentVolumeClaim.path", "one", REMOVED, _CLAIM),
    ],
    "model.source.persistentVolumeClaim.revision": [
        _layout("model.source.persistentVolumeClaim.revision", "1", "2", _CLAIM)
    ],
    # The digest alone tells what an image holds.
    "model.source.image.reference": [
        _layout("model.source.image.reference", f"one{_DIGEST}", "one@sha256:" + "b" * 64, _IMAGE),
        _neutral("model.source.image.reference", f"one{_DIGEST}", f"mirror.example/two{_DIGEST}", _IMAGE),
    ],
    "model.source.image.path": [
        _layout("model.source.image.path", "one", "two", _IMAGE),
        _layout("model.source.image.path", "one", REMOVED, _IMAGE),
    ],
    "model.source.image.pullPolicy": [_neutral("model.source.image.pullPolicy", "Always", "Never", _IMAGE)],
    "model.maxModelLen": [_layout("model.maxModelLen", 4096, 8192)],
    # A declared architecture describes the weights and does not change them.
    "model.architecture.layers": [_neutral("model.architecture.layers", 32, 33, _ARCHITECTURE)],
    "model.architecture.attentionHeads": [_neutral("model.architecture.attentionHeads", 32, 64, _ARCHITECTURE)],
    "model.architecture.kvHeads": [_neutral("model.architecture.kvHeads", 8, 4, _ARCHITECTURE)],
    "model.architecture.headDim": [_neutral("model.architecture.headDim", 128, 64, _ARCHITECTURE)],
    "model.architecture.latentAttention.kvLoraRank": [
        _neutral("model.architecture.latentAttention.kvLoraRank", 512, 256, _ARCHITECTURE)
    ],
    "model.architecture.latentAttention.ropeHeadDim": [
        _neutral("model.architecture.latentAttention.ropeHeadDim", 64, 32, _ARCHITECTURE)
    ],
    "model.architecture.attentionLayers": [
        _neutral("model.architecture.attentionLayers", "Full", "Hybrid", _ARCHITECTURE)
    ],
    "model.architecture.weightDtype": [
        _neutral("model.architecture.weightDtype", "BFloat16", "Float16", _ARCHITECTURE)
    ],
    "model.architecture.parameters": [_neutral("model.architecture.parameters", 10**9, 10**10, _ARCHITECTURE)],
    "model.architecture.activeParameters": [
        _neutral("model.architecture.activeParameters", 10**9, 10**10, _ARCHITECTURE)
    ],
    "replicas": [_neutral("replicas", 1, 7)],
    "engine.tensorParallelSize": [
        _layout("engine.tensorParallelSize", 4, 8),
        _neutral("engine.tensorParallelSize", 1, REMOVED),
    ],
    "engine.gpuMemoryUtilizationPercent": [_neutral("engine.gpuMemoryUtilizationPercent", 50, 90)],
    "engine.dtype": [
        _layout("engine.dtype", "BFloat16", "Float16"),
        _layout("engine.dtype", "BFloat16", "Auto"),
        _neutral("engine.dtype", "Auto", REMOVED),
    ],
    "engine.kvCacheDtype": [
        _layout("engine.kvCacheDtype", "FP8E4M3", "FP8E5M2"),
        _layout("engine.kvCacheDtype", "FP8E4M3", "Auto"),
        _neutral("engine.kvCacheDtype", "Auto", REMOVED),
    ],
    "engine.blockTokens": [
        _layout("engine.blockTokens", 32, 64, {"cache.chunkTokens": 256}),
        _layout("engine.blockTokens", 16, REMOVED, {"cache.chunkTokens": 256}),
    ],
    # Versions and image count by the key format of the pair that they stand for.
    "engine.image": [
        _layout("engine.image", "one:vllm-0.32.0-lmcache-0.5.6", "one:vllm-0.26.0-lmcache-0.5.3", _TAGGED),
        _neutral("engine.image", "one:vllm-0.32.0-lmcache-0.5.6", "two.example/x:vllm-0.32.0-lmcache-0.5.6-b", _TAGGED),
        _neutral("engine.image", f"one{_DIGEST}", "two:1", _VERSIONS),
    ],
    "engine.versions.vllm": [
        _layout("engine.versions.vllm", "0.32.0", "0.32.7", _VERSIONS),
        _neutral("engine.versions.vllm", "0.32.0", "0.32.8", _VERSIONS),
    ],
    "engine.versions.lmcache": [
        _layout("engine.versions.lmcache", "0.5.6", "0.5.97", _VERSIONS),
        _neutral("engine.versions.lmcache", "0.5.6", "0.5.98", _VERSIONS),
    ],
    "engine.resources.requests{}": [_neutral("engine.resources.requests.cpu", "1", "2", _ENGINE_RESOURCES)],
    "engine.resources.limits{}": [_neutral("engine.resources.limits.cpu", "1", "2", _ENGINE_RESOURCES)],
    # What is not known to leave the cache alone counts as layout.
    "engine.extraArgs[]": [
        _layout("engine.extraArgs", ["--quantization=fp8"], ["--quantization=awq"]),
        _layout("engine.extraArgs", ["--enforce-eager"], REMOVED),
        _neutral("engine.extraArgs", ["--max-num-seqs=64", "--stream-interval=1"], ["--max-num-seqs=65"]),
        _neutral(
            "engine.extraArgs", ["--enforce-eager", "--load-format=auto"], ["--load-format=auto", "--enforce-eager"]
        ),
    ],
    "engine.extraEnv[].name": [
        _layout("engine.extraEnv.0.name", "MY_SWITCH", "MY_OTHER", _ENV),
        _neutral("engine.extraEnv.0.name", "TZ", "NCCL_DEBUG", _ENV),
    ],
    "engine.extraEnv[].value": [
        _layout("engine.extraEnv.0.value", "1", "2", _ENV),
        _layout("engine.extraEnv.0.value", "1", "", _ENV),
        _neutral("engine.extraEnv.0.value", "1", "2", _ENV | {"engine.extraEnv.0.name": "UCX_TLS"}),
    ],
    "engine.extraEnv[].secretKeyRef.name": [
        _layout("engine.extraEnv.0.secretKeyRef.name", "one", "two", _SECRET),
        _neutral(
            "engine.extraEnv.0.secretKeyRef.name", "one", "two", _SECRET | {"engine.extraEnv.0.name": "VLLM_API_KEY"}
        ),
    ],
    "engine.extraEnv[].secretKeyRef.key": [
        _layout("engine.extraEnv.0.secretKeyRef.key", "one", "two", _SECRET),
        _neutral(
            "engine.extraEnv.0.secretKeyRef.key", "one", "two", _SECRET | {"engine.extraEnv.0.name": "VLLM_API_KEY"}
        ),
    ],
    # A cache that is switched off keeps its name for when it is switched on again.
    "cache.mode": [
        _neutral("cache.mode", "Required", "Opportunistic", _PATH),
        _neutral("cache.mode", "Required", "Disabled", _S3),
        _neutral("cache.mode", "Required", "Disabled", _PATH),
    ],
    "cache.chunkTokens": [
        _layout("cache.chunkTokens", 256, 512, _NO_CHUNK),
        _neutral("cache.chunkTokens", 256, REMOVED, _NO_CHUNK),
    ],
    "cache.tiers[].memory.size": [_neutral("cache.tiers.0.memory.size", "64Gi", "65Gi", _S3)],
    "cache.tiers[].memory.pages": [_neutral("cache.tiers.0.memory.pages", "Standard", "Huge2Mi", _S3)],
    "cache.tiers[].memory.evictionPolicy": [_neutral("cache.tiers.0.memory.evictionPolicy", "LRU", "ARC", _S3)],
    "cache.tiers[].memory.evictionWatermarkPercent": [
        _neutral("cache.tiers.0.memory.evictionWatermarkPercent", 50, 60, _S3)
    ],
    "cache.tiers[].memory.evictionPercent": [_neutral("cache.tiers.0.memory.evictionPercent", 5, 6, _S3)],
    "cache.tiers[].objectStore.endpoint": [_neutral(f"{_STORE}.endpoint", "https://one", "http://two:9000", _S3)],
    "cache.tiers[].objectStore.region": [_neutral(f"{_STORE}.region", "one", "two", _S3)],
    "cache.tiers[].objectStore.bucket.name": [_neutral(f"{_STORE}.bucket.name", "kv-one", "kv-two", _S3)],
    # The two clients name objects differently; which one is used follows from client, addressing and tls together.
    "cache.tiers[].objectStore.addressing": [
        _layout(f"{_STORE}.addressing", "VirtualHost", "Path", _S3),
        _neutral(f"{_STORE}.addressing", "VirtualHost", REMOVED, _S3),
        _neutral(f"{_STORE}.addressing", "VirtualHost", "Path", _S3 | {f"{_STORE}.client": "NIXL"}),
        _neutral(f"{_STORE}.addressing", "VirtualHost", "Path", _TLS),
    ],
    "cache.tiers[].objectStore.tls.caRef.configMap": [
        _neutral(f"{_STORE}.tls.caRef.configMap", "one", "two", _TLS),
        _layout(f"{_STORE}.tls", REMOVED, {"caRef": {"configMap": "one"}}, _S3),
        _neutral(f"{_STORE}.tls", REMOVED, {"caRef": {"configMap": "one"}}, _PATH),
    ],
    "cache.tiers[].objectStore.tls.caRef.key": [_neutral(f"{_STORE}.tls.caRef.key", "one", "two", _TLS)],
    "cache.tiers[].objectStore.credentials.secretRef.name": [
        _neutral(f"{_STORE}.credentials.secretRef.name", "one", "two", _S3)
    ],
    "cache.tiers[].objectStore.client": [
        _layout(f"{_STORE}.client", "LMCacheS3", "NIXL", _S3),
        _neutral(f"{_STORE}.client", "LMCacheS3", "Auto", _S3),
        _neutral(f"{_STORE}.client", "NIXL", "Auto", _PATH),
        _layout(f"{_STORE}.client", "LMCacheS3", "NIXL", _S3 | {"cache.mode": "Disabled"}),
    ],
    "cache.tiers[].objectStore.rdmaDialect": [
        # It chooses NIXL, and leaves NIXL as it is.
        _layout(f"{_STORE}.rdmaDialect", "Dell", REMOVED, _S3),
        _neutral(f"{_STORE}.rdmaDialect", "Dell", REMOVED, _NIXL),
        _neutral(f"{_STORE}.rdmaDialect", "Dell", REMOVED, _PATH),
    ],
    # An adapter that names objects as LMCache or NIXL does shares them; of one with names of its own the class tells.
    "cache.tiers[].objectStore.plugin.objectNames": [
        _layout(f"{_STORE}.plugin.objectNames", "LMCacheS3", "NIXL", _PLUGIN),
        _layout(f"{_STORE}.plugin.objectNames", "LMCacheS3", "Own", _PLUGIN),
        _neutral(
            f"{_STORE}", _STORED | {"client": "LMCacheS3"}, _STORED | {"client": "Plugin", "plugin": _ADAPTER}, _S3
        ),
        _neutral(
            f"{_STORE}",
            _STORED | {"client": "NIXL"},
            _STORED | {"client": "Plugin", "plugin": _ADAPTER | {"objectNames": "NIXL"}},
            _S3,
        ),
        _layout(
            f"{_STORE}",
            _STORED | {"client": "NIXL"},
            _STORED | {"client": "Plugin", "plugin": _ADAPTER | {"objectNames": "Own"}},
            _S3,
        ),
        _layout(f"{_STORE}.plugin.objectNames", "NIXL", "Own", _PLUGIN | {"cache.mode": "Disabled"}),
    ],
    "cache.tiers[].objectStore.plugin.modulePath": [
        _layout(f"{_STORE}.plugin.modulePath", "one.two", "one.three", _OWN),
        _neutral(f"{_STORE}.plugin.modulePath", "one.two", "one.three", _PLUGIN),
    ],
    "cache.tiers[].objectStore.plugin.className": [
        _layout(f"{_STORE}.plugin.className", "One", "Two", _OWN),
        _neutral(f"{_STORE}.plugin.className", "One", "Two", _PLUGIN),
    ],
    "cache.tiers[].objectStore.plugin.configClassName": [
        _neutral(f"{_STORE}.plugin.configClassName", "One", REMOVED, _OWN)
    ],
    "cache.tiers[].objectStore.plugin.parameters[].name": [
        _neutral(f"{_STORE}.plugin.parameters", _PARAMETERS, [{"name": "two", "value": "1"}], _OWN)
    ],
    "cache.tiers[].objectStore.plugin.parameters[].value": [
        _neutral(f"{_STORE}.plugin.parameters", _PARAMETERS, [{"name": "one", "value": "2"}], _OWN),
        _neutral(f"{_STORE}.plugin.parameters", _PARAMETERS, REMOVED, _OWN),
    ],
    "cache.tiers[].objectStore.plugin.tcpParameters[].name": [
        _neutral(f"{_STORE}.plugin.tcpParameters.0.name", "one", "two", _OWN)
    ],
    "cache.tiers[].objectStore.plugin.tcpParameters[].value": [
        _neutral(f"{_STORE}.plugin.tcpParameters.0.value", "1", "2", _OWN),
        _neutral(f"{_STORE}.plugin.tcpParameters", _PARAMETERS, REMOVED, _OWN),
    ],
    "cache.tiers[].objectStore.maxInFlightLoads": [_neutral(f"{_STORE}.maxInFlightLoads", 1, 2, _S3)],
    "cache.tiers[].objectStore.afterLoad": [_neutral(f"{_STORE}.afterLoad", "Drop", "KeepInMemory", _S3)],
    "cache.tiers[].objectStore.ioThreads": [_neutral(f"{_STORE}.ioThreads", 1, 2, _S3)],
    "cache.tiers[].objectStore.link.networkGigabits": [
        _neutral(f"{_STORE}.link", REMOVED, {"networkGigabits": 1}, _S3)
    ],
    "cache.tiers[].objectStore.link.readMegabytes": [_neutral(f"{_STORE}.link", REMOVED, {"readMegabytes": 1}, _S3)],
    "cache.tiers[].objectStore.link.writeMegabytes": [_neutral(f"{_STORE}.link", REMOVED, {"writeMegabytes": 1}, _S3)],
    "cache.resources.requests{}": [_neutral("cache.resources.requests.cpu", "1", "2", _CACHE_RESOURCES)],
    "cache.resources.limits{}": [_neutral("cache.resources.limits.cpu", "1", "2", _CACHE_RESOURCES)],
    # Both transports must find the same objects.
    "transport.policy": [
        _neutral("transport.policy", "Auto", "TCP", _FABRIC),
        _neutral("transport.policy", "Auto", "RequireRDMA", _PLUGIN | _FABRIC),
    ],
    "transport.fabricRef.name": [
        _neutral("transport.fabricRef.name", "one", "two", _FABRIC),
        _neutral("transport", REMOVED, {"fabricRef": {"name": "one"}}, _FABRIC),
    ],
    "transport.rdma.resourceName": [_neutral("transport.rdma.resourceName", "rdma/one", "rdma/two", _INLINE)],
    "transport.rdma.deviceClassName": [
        _neutral("transport.rdma", {"deviceClassName": "one"}, {"resourceName": "rdma/one"}, _INLINE)
    ],
    "transport.rdma.count": [_neutral("transport.rdma.count", 1, 2, _INLINE)],
    "transport.rdma.networks[].name": [_neutral("transport.rdma.networks.0.name", "one", "two", _INLINE)],
    "transport.rdma.networks[].namespace": [_neutral("transport.rdma.networks.0.namespace", "one", "two", _INLINE)],
    "transport.rdma.linkType": [_neutral("transport.rdma.linkType", "Ethernet", "InfiniBand", _INLINE)],
    "transport.recovery": [_neutral("transport.recovery", "NextRestart", "Immediate", _FABRIC)],
    "transport.lockedMemory": [_neutral("transport.lockedMemory", "IPCLock", "NodeUnlimited", _FABRIC)],
    "nodes.selector{}": [_neutral("nodes.selector", {"one": "1"}, {"two": "2"})],
    "nodes.tolerations[].key": [_neutral("nodes.tolerations.0.key", "one", "two", _TOLERATION)],
    "nodes.tolerations[].operator": [_neutral("nodes.tolerations.0.operator", "Equal", REMOVED, _TOLERATION)],
    "nodes.tolerations[].value": [_neutral("nodes.tolerations.0.value", "one", "two", _TOLERATION)],
    "nodes.tolerations[].effect": [_neutral("nodes.tolerations.0.effect", "NoSchedule", "NoExecute", _TOLERATION)],
    "nodes.requirements.gpu.products[]": [_neutral(f"{_GPU}.products", ["H100"], ["H200"])],
    "nodes.requirements.gpu.minMemoryPerGPU": [_neutral(f"{_GPU}.minMemoryPerGPU", "80Gi", "140Gi")],
    "nodes.requirements.gpu.driverMajorAtLeast": [_neutral(f"{_GPU}.driverMajorAtLeast", 550, 570)],
    "nodes.requirements.memory": [_neutral("nodes.requirements.memory", "64Gi", "65Gi")],
    "nodes.requirements.gpu.computeCapabilityAtLeast": [_neutral(f"{_GPU}.computeCapabilityAtLeast", "8.0", "9.0")],
    "nodes.requirements.gpu.partitioning": [_neutral(f"{_GPU}.partitioning", "Accept", REMOVED)],
    "nodes.requirements.hugePages": [_neutral("nodes.requirements.hugePages", "64Gi", "65Gi")],
    "nodes.requirements.kernelAtLeast": [_neutral("nodes.requirements.kernelAtLeast", "5.14", "6.8")],
    "nodes.requirements.rdma.linkType": [_neutral(f"{_RDMA}.linkType", "Ethernet", "InfiniBand", _FABRIC)],
    "nodes.requirements.rdma.minSpeedGbps": [_neutral(f"{_RDMA}.minSpeedGbps", 100, 200, _FABRIC)],
    "nodes.requirements.rdma.nicModels[]": [_neutral(f"{_RDMA}.nicModels", ["1021"], ["1023"], _FABRIC)],
    "nodes.requirements.rdma.firmwareAtLeast": [_neutral(f"{_RDMA}.firmwareAtLeast", "28.1", "28.2", _FABRIC)],
    "nodes.requirements.rdma.gpuDirect": [_neutral(f"{_RDMA}.gpuDirect", "Ignore", "Require", _FABRIC)],
    "nodes.requirements.dpu.models[]": [_neutral(f"{_DPU}.models", ["BlueField-2"], ["BlueField-3"], _FABRIC)],
    "nodes.requirements.dpu.mode": [_neutral(f"{_DPU}.mode", "DPU", "NIC", _FABRIC)],
    "nodes.requirements.numa.alignment": [_neutral("nodes.requirements.numa.alignment", "None", "SingleZone")],
    "rollout.maxUnavailable": [_neutral("rollout.maxUnavailable", 1, 2)],
    "rollout.drainSeconds": [_neutral("rollout.drainSeconds", 1, 2)],
    "observability.logLevel": [_neutral("observability.logLevel", "Debug", "Error")],
    "observability.requestLogs": [_neutral("observability.requestLogs", "Enabled", "Disabled")],
    "observability.metricsSamplePercent": [_neutral("observability.metricsSamplePercent", 1, 2)],
    "observability.tracesEndpoint": [_neutral("observability.tracesEndpoint", "http://one", "http://two")],
    "workload.conversations": [_neutral("workload.conversations", 1, 2, _LOAD)],
    "workload.contextTokens": [_neutral("workload.contextTokens", 1, 2, _LOAD)],
    "workload.newTokens": [_neutral("workload.newTokens", 1, 2, _LOAD)],
    "workload.answerTokens": [_neutral("workload.answerTokens", 1, 2, _LOAD)],
}
