"""Specs that obey every rule of the API and still cannot work, with the reason and the arithmetic that must be named."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Final

from inference_cache.api.parsing import parse_spec
from inference_cache.domain.assemble import Platform, assemble
from inference_cache.domain.reasons import Reason
from inference_cache.domain.verdict import Truth, Verdict
from tests.support.builders import IDENTITY, PLATFORM, build_spec

_STORE: Final = "cache.tiers.1.objectStore"
_MEMORY: Final = "cache.tiers.0.memory"


@dataclass(frozen=True)
class DomainMistake:
    """One spec that cannot work.

    Attributes:
        id: What was done.
        changes: Values by path below spec, applied in order to the sample.
        reason: Reason of the condition that says no.
        shows: Texts that its message must hold: what was found, what was needed, what to write.
    """

    id: str
    changes: Mapping[str, Any]
    reason: Reason
    shows: tuple[str, ...]
    platform: Platform = PLATFORM

    def check(self) -> list[Verdict]:
        """Return the conditions that say no."""
        spec = parse_spec(IDENTITY.name, build_spec(self.changes))
        if isinstance(spec, list):
            raise TypeError("; ".join(map(str, spec)))
        checks = assemble(IDENTITY, spec, self.platform).checks
        return [verdict for verdict in checks if verdict.status is Truth.FALSE]


_LLAMA: Final = {"model.architecture": {"layers": 80, "attentionHeads": 64, "kvHeads": 8, "headDim": 128}}
_DEEPSEEK: Final = {
    "model.architecture": {
        "layers": 61,
        "attentionHeads": 128,
        "kvHeads": 128,
        "headDim": 128,
        "latentAttention": {"kvLoraRank": 512, "ropeHeadDim": 64},
    }
}
_OLDER: Final = {"engine.versions": {"vllm": "0.26.0", "lmcache": "0.5.3"}}
_ADAPTER: Final = {"modulePath": "vendor.adapter", "className": "Adapter", "objectNames": "NIXL"}
_WEIGHTS: Final = {"model.source": {"image": {"reference": f"registry.example/llama@sha256:{'0' * 64}"}}}


def _versions(vllm: str, lmcache: str) -> dict[str, Any]:
    return {"engine.versions": {"vllm": vllm, "lmcache": lmcache}}


def _argument(text: str) -> dict[str, Any]:
    return {"engine.extraArgs": [text]}


_SIZES: Final = [
    DomainMistake("a memory tier smaller than one context", {**_LLAMA, f"{_MEMORY}.size": "16Gi"}, Reason.MemoryTierTooSmall, ("16 GiB", "12.80 GiB", "61440 tokens x 327680 B", "18.75 GiB", "24Gi")),
    DomainMistake("more loads than the memory tier holds", {**_LLAMA, f"{_MEMORY}.size": "100Gi", f"{_STORE}.maxInFlightLoads": 8}, Reason.MemoryTierTooSmall, ("100 GiB", "80 GiB", "150 GiB", "188Gi", "at most 4")),
    DomainMistake("an engine with too little memory", {"engine.resources": {"requests": {"memory": "8Gi"}}}, Reason.ResourcesTooSmall, ("engine.resources", "8 GiB", "20 GiB", "16 GiB", "4 GiB")),
    DomainMistake("a cache server with too little memory", {"cache.resources": {"limits": {"memory": "1200Gi"}}}, Reason.ResourcesTooSmall, ("cache.resources", "1200 GiB", "1202 GiB", "2 GiB")),
    DomainMistake("a cache server with huge pages and too little memory", {"cache.resources": {"limits": {"memory": "1Gi"}}, f"{_MEMORY}.pages": "Huge2Mi"}, Reason.ResourcesTooSmall, ("1 GiB", "2 GiB", "huge pages")),
    DomainMistake("a request above its limit", {"engine.resources": {"requests": {"cpu": "32"}, "limits": {"cpu": "16"}}}, Reason.ResourcesTooSmall, ("engine.resources.requests.cpu is 32", "engine.resources.limits.cpu of 16")),
    DomainMistake("two sizes at once", {"engine.resources": {"requests": {"memory": "8Gi"}}, "cache.resources": {"limits": {"memory": "1200Gi"}}}, Reason.ResourcesTooSmall, ("engine.resources.requests.memory is 8 GiB", "Also: cache.resources.limits.memory is 1200 GiB")),
]  # fmt: skip

_VERSIONS: Final = [
    DomainMistake("an image whose versions nobody knows", {"engine.image": "registry.example/engine:v1"}, Reason.EngineVersionsUnknown, ("registry.example/engine:v1", "engine.versions")),
    DomainMistake("versions that contradict the tag", {**_OLDER, "engine.image": "engine:vllm-0.32.0-lmcache-0.5.6"}, Reason.EngineVersionsContradict, ("vLLM 0.26.0 with LMCache 0.5.3", "vLLM 0.32.0 with LMCache 0.5.6")),
    DomainMistake("vLLM with wrong tokens", _versions("0.33.0", "0.5.6"), Reason.KnownBadVersions, ("vLLM 0.33.0", "issues/49250", "vLLM 0.32.0 with LMCache 0.5.6")),
    DomainMistake("versions for different torches", _versions("0.26.0", "0.5.6"), Reason.KnownBadVersions, ("torch 2.11.0", "torch 2.13.0", "issues/1712")),
    DomainMistake("LMCache that does not register again", _versions("0.26.0", "0.5.0"), Reason.KnownBadVersions, ("LMCache 0.5.0", "pull/3208")),
    DomainMistake("versions that nobody tried", _versions("0.30.0", "0.5.6"), Reason.UnsupportedVersions, ("vLLM 0.30.0 with LMCache 0.5.6", "Supported: vLLM 0.32.0 with LMCache 0.5.6")),
    DomainMistake("versions in an extension that is refused", _versions("0.30.0", "0.5.6"), Reason.UnsupportedVersions, ("extension is not used", "pairs[0]"), replace(PLATFORM, version_faults=("pairs[0].vllm: String should match pattern (got '0.30')",))),
]  # fmt: skip

_OPTIONS: Final = [
    DomainMistake("an option that does not exist", _argument("--turbo"), Reason.OptionUnknown, ("--turbo", "vLLM 0.32.0", "is no option")),
    DomainMistake("a misspelt option", _argument("--max-num-sequences=64"), Reason.OptionUnknown, ("--max-num-sequences is no option", "--max-num-seqs")),
    DomainMistake("an option of the wrong type", _argument("--max-num-seqs=many"), Reason.OptionUnknown, ("value of --max-num-seqs", "int")),
    DomainMistake("an option without its value", _argument("--max-num-seqs"), Reason.OptionUnknown, ("--max-num-seqs", "int")),
    DomainMistake("a switch with a value", _argument("--enable-chunked-prefill=true"), Reason.OptionUnknown, ("--enable-chunked-prefill is a switch",)),
    DomainMistake("a choice that does not exist", _argument("--scheduling-policy=lifo"), Reason.OptionUnknown, ("value of --scheduling-policy", "fcfs, priority")),
    DomainMistake("ARC with the older pair", {**_OLDER, f"{_MEMORY}.evictionPolicy": "ARC"}, Reason.FeatureUnsupported, ("vLLM 0.26.0 with LMCache 0.5.3", "memory.evictionPolicy", "Use a pair that has it")),
    DomainMistake("huge pages with the older pair", {**_OLDER, f"{_MEMORY}.pages": "Huge2Mi"}, Reason.FeatureUnsupported, ("change memory.pages",)),
    DomainMistake("path addressing with the older pair", {**_OLDER, f"{_STORE}.addressing": "Path"}, Reason.FeatureUnsupported, ("NIXL", "objectStore.addressing: Path")),
    DomainMistake("a dialect with the older pair", {**_OLDER, f"{_STORE}.rdmaDialect": "Dell"}, Reason.FeatureUnsupported, ("NIXL", "change objectStore.rdmaDialect")),
    DomainMistake("an adapter with names of NIXL and the older pair", {**_OLDER, f"{_STORE}.client": "Plugin", f"{_STORE}.plugin": _ADAPTER}, Reason.FeatureUnsupported, ("NIXL", "change objectStore.plugin.objectNames")),
]  # fmt: skip

_MODELS: Final = [
    DomainMistake("a hybrid model with a store", {**_LLAMA, "model.architecture.attentionLayers": "Hybrid"}, Reason.HybridModelInStore, ("Hybrid", "objectStore")),
    DomainMistake("heads that do not divide", {**_LLAMA, "engine.tensorParallelSize": 6}, Reason.ParallelismImpossible, ("64 attention heads", "6 GPUs")),
    DomainMistake("KV heads that neither divide nor repeat", {**_LLAMA, "model.architecture.attentionHeads": 72, "model.architecture.kvHeads": 12}, Reason.ParallelismImpossible, ("12 KV heads", "8 GPUs")),
    DomainMistake("a chunk that latent attention cannot use", {**_DEEPSEEK, "cache.chunkTokens": 64}, Reason.ChunkNotMultiple, ("cache.chunkTokens is 64", "128")),
    DomainMistake("an old Kubernetes", {}, Reason.KubernetesTooOld, ("1.29", "1.30"), replace(PLATFORM, kubernetes=(1, 29))),
    DomainMistake("weights from an image on an old Kubernetes", _WEIGHTS, Reason.KubernetesTooOld, ("1.32", "1.33"), replace(PLATFORM, kubernetes=(1, 32))),
    DomainMistake("several at once", {**_LLAMA, **_argument("--turbo"), "engine.tensorParallelSize": 6}, Reason.OptionUnknown, ("--turbo", "Also: 64 attention heads")),
]  # fmt: skip

DOMAIN_MISTAKES: Final = [*_SIZES, *_VERSIONS, *_OPTIONS, *_MODELS]
