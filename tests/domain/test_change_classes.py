"""Every field of the schema has a change class, and changing it really costs what the table says."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Final

import pytest

from inference_cache.api.crd import build_crd
from inference_cache.api.fabric import InferenceCacheFabricSpec
from inference_cache.api.parsing import parse_fabric, parse_spec
from inference_cache.api.v1alpha1 import InferenceCacheDeploymentSpec
from inference_cache.domain.assemble import Assembly, Platform, assemble
from inference_cache.domain.change_classes import CHANGE_CLASSES, ChangeClass, find_entry
from inference_cache.domain.change_plan import ChangePlan, plan_change
from inference_cache.domain.fabric.facts import FabricFacts
from inference_cache.domain.transport import prefer_transport
from inference_cache.domain.version_extension import extend_table
from inference_cache.domain.versions import BUILT_IN_TABLE, DEFAULT_PAIR
from tests.support.builders import IDENTITY, PLATFORM, REMOVED, build_spec

HOT, ROLLING, BREAKING = ChangeClass.HOT, ChangeClass.ROLLING, ChangeClass.CACHE_BREAKING
_STORE: Final = "cache.tiers.1.objectStore"
_MEMORY: Final = "cache.tiers.0.memory"
_HUB: Final = "model.source.huggingFace"
_CLAIM: Final = "model.source.persistentVolumeClaim"
_IMAGE: Final = "model.source.image"
_SHAPE: Final = "model.architecture"
_DIGEST: Final = f"models/m@sha256:{'a' * 64}"

ON_CLAIM: Final[Mapping[str, Any]] = {"model.source": {"persistentVolumeClaim": {"claimName": "w", "revision": "1"}}}
ON_IMAGE: Final[Mapping[str, Any]] = {"model.source": {"image": {"reference": _DIGEST}}}
# 61440 tokens of 320 KiB are 18.75 GiB: 64Gi hold two, so the number of loads depends on the shape.
SHAPED: Final[Mapping[str, Any]] = {
    _SHAPE: {"layers": 80, "attentionHeads": 64, "kvHeads": 8, "headDim": 128},
    f"{_MEMORY}.size": "64Gi",
}
LATENT: Final[Mapping[str, Any]] = {
    _SHAPE: {
        "layers": 80, "attentionHeads": 64, "kvHeads": 64, "headDim": 128,
        "latentAttention": {"kvLoraRank": 2048, "ropeHeadDim": 64},
    },
    f"{_MEMORY}.size": "64Gi",
}  # fmt: skip
TOLERATED: Final[Mapping[str, Any]] = {"nodes.tolerations": [{"key": "k", "operator": "Equal", "value": "v"}]}
SECURE: Final[Mapping[str, Any]] = {
    f"{_STORE}.endpoint": "https://s3.internal",
    f"{_STORE}.client": "NIXL",
    f"{_STORE}.tls": {"caRef": {"configMap": "ca", "key": "ca.crt"}},
}
TOKEN: Final[Mapping[str, Any]] = {f"{_HUB}.tokenSecretRef": {"name": "hub", "key": "token"}}
VARIABLE: Final[Mapping[str, Any]] = {"engine.extraEnv": [{"name": "NCCL_DEBUG", "value": "INFO"}]}
SECRET_VARIABLE: Final[Mapping[str, Any]] = {
    "engine.extraEnv": [{"name": "VLLM_API_KEY", "secretKeyRef": {"name": "s", "key": "k"}}]
}
WORKLOAD: Final[Mapping[str, Any]] = {"workload": {"conversations": 1, "contextTokens": 1}}
VERSIONS: Final[Mapping[str, Any]] = {
    "engine.image": "engine:v1",
    "engine.versions": {"vllm": "0.32.0", "lmcache": "0.5.6"},
}

VENDOR: Final = {"modulePath": "vendor.adapter", "className": "Adapter", "objectNames": "LMCacheS3"}
PLUGIN: Final[Mapping[str, Any]] = {f"{_STORE}.client": "Plugin", f"{_STORE}.plugin": VENDOR}
ON_FABRIC: Final[Mapping[str, Any]] = {**PLUGIN, "transport": {"fabricRef": {"name": "storage"}}}
OWN_NAMES: Final[Mapping[str, Any]] = {
    **ON_FABRIC,
    f"{_STORE}.plugin": VENDOR | {"objectNames": "Own", "tcpParameters": [{"name": "a", "value": "1"}]},
}
TUNED: Final[Mapping[str, Any]] = {**ON_FABRIC, f"{_STORE}.plugin.parameters": [{"name": "a", "value": "1"}]}
BY_RESOURCE: Final[Mapping[str, Any]] = {
    **PLUGIN,
    "transport": {"rdma": {"resourceName": "rdma/storage", "networks": [{"name": "storage", "namespace": "team"}]}},
}
BY_CLASS: Final[Mapping[str, Any]] = {**PLUGIN, "transport": {"rdma": {"deviceClassName": "rdma"}}}
# LMCache's own client speaks TCP, so pods are made for TCP whatever the fabric can do.
NO_RDMA: Final[Mapping[str, Any]] = {"transport": {"fabricRef": {"name": "storage"}}}
NO_RDMA_INLINE: Final[Mapping[str, Any]] = {"transport": {"rdma": {"resourceName": "rdma/storage"}}}
NIXL_ON_FABRIC: Final[Mapping[str, Any]] = {**NO_RDMA, f"{_STORE}.client": "NIXL", f"{_MEMORY}.size": "2Gi"}
KERNEL: Final[Mapping[str, Any]] = {"nodes.requirements.kernelAtLeast": "5.14"}
_NEEDS: Final = "nodes.requirements"
_RDMA: Final = f"{_NEEDS}.rdma"


def _build_fabric(name: str, network: str) -> FabricFacts:
    spec = {
        "mode": "Reference",
        "type": "SRIOVEthernet",
        "resourceName": "nvidia.com/vf",
        "networks": [{"name": network}],
    }
    parsed = parse_fabric(name, spec)
    assert isinstance(parsed, InferenceCacheFabricSpec)
    return FabricFacts(name, f"uid-{name}", parsed)


FABRICS: Final = {
    name: _build_fabric(name, network) for name, network in (("storage", "a"), ("other", "b"), ("storage-too", "a"))
}

_TABLE, _FAULTS = extend_table(
    BUILT_IN_TABLE,
    f"""
pairs:
- vllm: 0.32.1
  lmcache: 0.5.6
  optionsOf: {{vllm: 0.32.0, lmcache: 0.5.6}}
  keyFormat: {DEFAULT_PAIR.key_format}
""",
)
_EXTENDED: Final = replace(PLATFORM, versions=_TABLE)


@dataclass(frozen=True)
class Example:
    """A change of one field, from a spec that has it."""

    path: str
    value: Any
    expected: ChangeClass
    base: Mapping[str, Any] = field(default_factory=dict)
    platform: Platform = PLATFORM

    def plan(self) -> ChangePlan:
        """Return what the change does."""
        old = build_spec(self.base)
        new = build_spec({**self.base, self.path: self.value})
        before, after = (parse_spec(IDENTITY.name, spec) for spec in (old, new))
        assert not isinstance(before, list), [str(item) for item in before]
        assert not isinstance(after, list), [str(item) for item in after]
        return plan_change(self._assemble(before).scope, self._assemble(after), old, new)

    def _assemble(self, spec: InferenceCacheDeploymentSpec) -> Assembly:
        """Return the deployment as it is rendered where every fabric is in order."""
        found = assemble(IDENTITY, spec, self.platform)
        assert found.scope is not None
        wanted = spec.transport.fabric_ref if spec.transport else None
        fabric = FABRICS[wanted.name] if wanted else None
        choice = prefer_transport(found.scope.settled, fabric, IDENTITY.namespace)
        return replace(found, scope=replace(found.scope, transport=choice))


EXAMPLES: Final = [
    Example("replicas", 5, HOT),
    Example("model.name", "other", ROLLING),
    Example(f"{_HUB}.repository", "other/model", BREAKING),
    Example(f"{_HUB}.revision", "f" * 40, BREAKING),
    Example(f"{_HUB}.tokenSecretRef.name", "other", ROLLING, TOKEN),
    Example(f"{_HUB}.tokenSecretRef.key", "other", ROLLING, TOKEN),
    Example(f"{_CLAIM}.claimName", "v", BREAKING, ON_CLAIM),
    Example(f"{_CLAIM}.path", "a", BREAKING, ON_CLAIM),
    Example(f"{_CLAIM}.revision", "2", BREAKING, ON_CLAIM),
    Example(f"{_IMAGE}.reference", f"models/m@sha256:{'b' * 64}", BREAKING, ON_IMAGE),
    Example(f"{_IMAGE}.reference", f"mirror/m@sha256:{'a' * 64}", ROLLING, ON_IMAGE),
    Example(f"{_IMAGE}.path", "a", BREAKING, ON_IMAGE),
    Example(f"{_IMAGE}.pullPolicy", "Always", ROLLING, ON_IMAGE),
    Example("model.maxModelLen", 30000, BREAKING),
    Example(f"{_SHAPE}.layers", 10, ROLLING, SHAPED),
    Example(f"{_SHAPE}.attentionHeads", 128, HOT, SHAPED),
    Example(f"{_SHAPE}.kvHeads", 16, ROLLING, SHAPED),
    Example(f"{_SHAPE}.headDim", 256, ROLLING, SHAPED),
    Example(f"{_SHAPE}.latentAttention.kvLoraRank", 512, ROLLING, LATENT),
    Example(f"{_SHAPE}.latentAttention.ropeHeadDim", 4000, ROLLING, LATENT),
    Example(f"{_SHAPE}.attentionLayers", "Full", HOT, SHAPED),
    Example(f"{_SHAPE}.weightDtype", "Float16", HOT, SHAPED),
    Example(f"{_SHAPE}.parameters", 10_000_000, HOT, SHAPED),
    Example(f"{_SHAPE}.activeParameters", 10_000_000, HOT, SHAPED),
    Example("engine.tensorParallelSize", 4, BREAKING),
    Example("engine.gpuMemoryUtilizationPercent", 80, ROLLING),
    Example("engine.dtype", "Float16", BREAKING),
    Example("engine.kvCacheDtype", "FP8E4M3", BREAKING),
    Example("engine.blockTokens", 32, BREAKING),
    Example("engine.image", "mirror/engine:vllm-0.32.0-lmcache-0.5.6", ROLLING),
    Example("engine.image", "engine:vllm-0.26.0-lmcache-0.5.3", BREAKING),
    Example("engine.versions", {"vllm": "0.32.0", "lmcache": "0.5.6"}, HOT),
    Example("engine.versions", {"vllm": "0.26.0", "lmcache": "0.5.3"}, BREAKING),
    Example("engine.versions", {"vllm": "0.32.1", "lmcache": "0.5.6"}, ROLLING, platform=_EXTENDED),
    Example("engine.resources.requests", {"cpu": "32"}, ROLLING),
    Example("engine.resources.limits", {"memory": "128Gi"}, ROLLING),
    Example("engine.extraArgs", ["--max-num-seqs=8"], ROLLING),
    Example("engine.extraArgs", ["--attention-backend=FLASH_ATTN"], BREAKING),
    Example("engine.extraEnv.0.name", "NCCL_ALGO", ROLLING, VARIABLE),
    Example("engine.extraEnv.0.value", "WARN", ROLLING, VARIABLE),
    Example("engine.extraEnv.0.secretKeyRef.name", "other", ROLLING, SECRET_VARIABLE),
    Example("engine.extraEnv.0.secretKeyRef.key", "other", ROLLING, SECRET_VARIABLE),
    Example("engine.extraEnv", [{"name": "VLLM_KV_CACHE_LAYOUT", "value": "HND"}], BREAKING),
    Example("cache.mode", "Disabled", ROLLING),
    Example("cache.mode", "Required", HOT),
    Example("cache.chunkTokens", 512, BREAKING),
    Example("cache.resources.requests", {"cpu": "8"}, ROLLING),
    Example("cache.resources.limits", {"memory": "1300Gi"}, ROLLING),
    Example(f"{_MEMORY}.size", "600Gi", ROLLING),
    Example(f"{_MEMORY}.pages", "Huge2Mi", ROLLING),
    Example(f"{_MEMORY}.evictionPolicy", "ARC", ROLLING),
    Example(f"{_MEMORY}.evictionWatermarkPercent", 70, ROLLING),
    Example(f"{_MEMORY}.evictionPercent", 10, ROLLING),
    Example(f"{_STORE}.endpoint", "http://other.internal", BREAKING),
    Example(f"{_STORE}.region", "eu-central-1", ROLLING),
    Example(f"{_STORE}.bucket.name", "other", BREAKING),
    Example(f"{_STORE}.addressing", "Path", BREAKING),
    Example(f"{_STORE}.addressing", "Path", ROLLING, {f"{_STORE}.client": "NIXL"}),
    Example(f"{_STORE}.tls.caRef.configMap", "other", ROLLING, SECURE),
    Example(f"{_STORE}.tls.caRef.key", "other", ROLLING, SECURE),
    Example(f"{_STORE}.tls", {"caRef": {"configMap": "ca"}}, BREAKING, {f"{_STORE}.endpoint": "https://s3.internal"}),
    Example(f"{_STORE}.credentials.secretRef.name", "other", ROLLING),
    Example(f"{_STORE}.client", "NIXL", BREAKING),
    Example(f"{_STORE}.client", "LMCacheS3", HOT),
    Example(f"{_STORE}.plugin.objectNames", "NIXL", BREAKING, PLUGIN),
    Example(f"{_STORE}.plugin.modulePath", "other.adapter", HOT, PLUGIN),
    Example(f"{_STORE}.plugin.modulePath", "other.adapter", ROLLING, ON_FABRIC),
    Example(f"{_STORE}.plugin.modulePath", "other.adapter", BREAKING, OWN_NAMES),
    Example(f"{_STORE}.plugin.className", "Other", HOT, PLUGIN),
    Example(f"{_STORE}.plugin.className", "Other", ROLLING, ON_FABRIC),
    Example(f"{_STORE}.plugin.className", "Other", BREAKING, OWN_NAMES),
    Example(f"{_STORE}.plugin.configClassName", "Other", ROLLING, ON_FABRIC),
    Example(f"{_STORE}.plugin.configClassName", "Other", HOT, PLUGIN),
    Example(f"{_STORE}.plugin.parameters", [{"name": "a", "value": "1"}], ROLLING, ON_FABRIC),
    Example(f"{_STORE}.plugin.parameters", [{"name": "a", "value": "1"}], HOT, PLUGIN),
    Example(f"{_STORE}.plugin.parameters.0.name", "b", ROLLING, TUNED),
    Example(f"{_STORE}.plugin.parameters.0.value", "2", ROLLING, TUNED),
    Example(f"{_STORE}.plugin.tcpParameters.0.name", "b", ROLLING, OWN_NAMES),
    Example(f"{_STORE}.plugin.tcpParameters.0.value", "2", ROLLING, OWN_NAMES),
    Example(f"{_STORE}.rdmaDialect", "Dell", BREAKING),
    Example(f"{_STORE}.rdmaDialect", "Dell", ROLLING, NIXL_ON_FABRIC),
    Example(f"{_STORE}.rdmaDialect", "Dell", HOT, {f"{_STORE}.client": "NIXL"}),
    Example(f"{_STORE}.maxInFlightLoads", 4, ROLLING),
    Example(f"{_STORE}.maxInFlightLoads", 8, HOT),
    Example(f"{_STORE}.afterLoad", "KeepInMemory", ROLLING),
    Example(f"{_STORE}.afterLoad", "Drop", HOT),
    Example(f"{_STORE}.ioThreads", 16, ROLLING),
    Example(f"{_STORE}.link.networkGigabits", 100, HOT),
    Example(f"{_STORE}.link.readMegabytes", 100, HOT),
    Example(f"{_STORE}.link.writeMegabytes", 100, HOT),
    Example("transport.policy", "TCP", HOT),
    Example("transport.policy", "TCP", ROLLING, ON_FABRIC),
    Example("transport.policy", "RequireRDMA", ROLLING, ON_FABRIC),
    Example("transport.fabricRef", {"name": "storage"}, ROLLING),
    Example("transport.fabricRef.name", "other", ROLLING, ON_FABRIC),
    Example("transport.fabricRef.name", "storage-too", HOT, ON_FABRIC),
    Example("transport.fabricRef.name", "other", HOT, NO_RDMA),
    Example("transport.rdma", BY_RESOURCE["transport"]["rdma"], ROLLING, PLUGIN),
    Example("transport.rdma.resourceName", "rdma/other", ROLLING, BY_RESOURCE),
    Example("transport.rdma.resourceName", "rdma/other", HOT, NO_RDMA_INLINE),
    Example("transport.rdma.deviceClassName", "other", ROLLING, BY_CLASS),
    Example("transport.rdma.count", 2, ROLLING, BY_RESOURCE),
    Example("transport.rdma.networks.0.name", "other", ROLLING, BY_RESOURCE),
    Example("transport.rdma.networks.0.namespace", "other", ROLLING, BY_RESOURCE),
    Example("transport.rdma.linkType", "InfiniBand", ROLLING, BY_RESOURCE),
    Example("transport.recovery", "Immediate", HOT, ON_FABRIC),
    Example("transport.lockedMemory", "NodeUnlimited", ROLLING, ON_FABRIC),
    Example("transport.lockedMemory", "IPCLock", HOT, ON_FABRIC),
    Example("transport.lockedMemory", "NodeUnlimited", HOT, NO_RDMA),
    Example("nodes.selector", {"pool": "x"}, ROLLING),
    Example("nodes.tolerations.0.key", "other", ROLLING, TOLERATED),
    Example("nodes.tolerations.0.operator", REMOVED, ROLLING, TOLERATED),
    Example("nodes.tolerations.0.value", "other", ROLLING, TOLERATED),
    Example("nodes.tolerations.0.effect", "NoExecute", ROLLING, TOLERATED),
    Example("nodes.requirements.gpu.products", ["H100"], ROLLING),
    Example("nodes.requirements.gpu.minMemoryPerGPU", "80Gi", ROLLING),
    Example("nodes.requirements.gpu.driverMajorAtLeast", 570, ROLLING),
    Example(f"{_NEEDS}.gpu.computeCapabilityAtLeast", "9.0", ROLLING),
    Example(f"{_NEEDS}.gpu.partitioning", "Accept", ROLLING),
    Example(f"{_NEEDS}.gpu.partitioning", "Accept", HOT, {f"{_NEEDS}.gpu.products": REMOVED}),
    Example(f"{_NEEDS}.memory", "1Ti", HOT),
    Example(f"{_NEEDS}.memory", "10Ti", ROLLING, KERNEL),
    Example(f"{_NEEDS}.hugePages", "64Gi", ROLLING),
    Example(f"{_NEEDS}.hugePages", "64Gi", HOT, {f"{_MEMORY}.pages": "Huge2Mi"}),
    Example(f"{_NEEDS}.kernelAtLeast", "6.8", ROLLING),
    Example(f"{_RDMA}.linkType", "Ethernet", ROLLING, ON_FABRIC),
    Example(f"{_RDMA}.linkType", "Ethernet", HOT, NO_RDMA),
    Example(f"{_RDMA}.minSpeedGbps", 100, ROLLING, ON_FABRIC),
    Example(f"{_RDMA}.nicModels", ["ConnectX-7"], ROLLING, ON_FABRIC),
    Example(f"{_RDMA}.firmwareAtLeast", "28.39", ROLLING, ON_FABRIC),
    Example(f"{_RDMA}.gpuDirect", "Require", ROLLING, ON_FABRIC),
    Example(f"{_NEEDS}.dpu.models", ["BlueField-3"], ROLLING, ON_FABRIC),
    Example(f"{_NEEDS}.dpu.mode", "NIC", ROLLING, ON_FABRIC),
    Example(f"{_NEEDS}.dpu.mode", "NIC", HOT, NO_RDMA),
    Example(f"{_NEEDS}.numa.alignment", "SingleZone", ROLLING),
    Example(f"{_NEEDS}.numa.alignment", "None", HOT),
    Example("rollout.maxUnavailable", 2, HOT),
    Example("rollout.drainSeconds", 60, ROLLING),
    Example("observability.logLevel", "Debug", ROLLING),
    Example("observability.requestLogs", "Enabled", ROLLING),
    Example("observability.metricsSamplePercent", 10, ROLLING),
    Example("observability.tracesEndpoint", "http://otel:4317", ROLLING),
    Example("workload.conversations", 2, HOT, WORKLOAD),
    Example("workload.contextTokens", 2, HOT, WORKLOAD),
    Example("workload.newTokens", 2, HOT, WORKLOAD),
    Example("workload.answerTokens", 2, HOT, WORKLOAD),
]


def _generalize(path: str) -> str:
    parts: list[str] = []
    for part in path.split("."):
        if part.isdigit():
            parts[-1] += "[]"
        else:
            parts.append(part)
    return ".".join(parts)


def list_leaves(schema: dict[str, Any], path: str = "") -> Iterator[str]:
    """Yield every field of a schema that holds a value; items of a list of objects are written with []."""
    for name, child in schema["properties"].items():
        inner, where = child, f"{path}.{name}" if path else name
        if "items" in inner and "properties" in inner["items"]:
            inner, where = inner["items"], f"{where}[]"
        if "properties" in inner:
            yield from list_leaves(inner, where)
        else:
            yield where


def _leaves() -> list[str]:
    root = build_crd()["spec"]["versions"][0]["schema"]["openAPIV3Schema"]
    return list(list_leaves(root["properties"]["spec"]))


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda item: f"{item.path} {item.expected}")
def test_change_costs_what_the_example_says(example: Example) -> None:
    plan = example.plan()
    assert plan.change_class is example.expected
    found = find_entry(_generalize(example.path))
    assert found is not None
    assert plan.change_class in found[1].classes, f"the table says {found[1].words}"
    restarts = plan.pods_restarted > 0
    assert restarts == (example.expected in {ROLLING, BREAKING})


def test_extension_of_the_examples_is_valid() -> None:
    assert _FAULTS == []


def test_every_field_of_the_schema_has_a_class() -> None:
    leaves = _leaves()
    assert len(leaves) > 60
    assert [path for path in leaves if find_entry(path) is None] == []


def test_every_field_of_the_schema_has_an_example() -> None:
    shown = {_generalize(example.path) for example in EXAMPLES}
    covered = [path for path in _leaves() if path in shown or any(item.startswith(f"{path}[]") for item in shown)]
    wider = [path for path in _leaves() if any(path.startswith(f"{item}.") for item in shown)]
    assert sorted(set(_leaves()) - set(covered) - set(wider)) == []


def test_every_entry_of_the_table_covers_a_field() -> None:
    used = {found[0] for path in _leaves() if (found := find_entry(path)) is not None}
    assert sorted(set(CHANGE_CLASSES) - used) == []


def test_every_class_of_every_entry_is_seen() -> None:
    seen: dict[str, set[ChangeClass]] = {}
    for example in EXAMPLES:
        found = find_entry(_generalize(example.path))
        assert found is not None
        seen.setdefault(found[0], set()).add(example.expected)
    assert {path: seen.get(path, set()) for path in CHANGE_CLASSES} == {
        path: set(entry.classes) for path, entry in CHANGE_CLASSES.items()
    }
