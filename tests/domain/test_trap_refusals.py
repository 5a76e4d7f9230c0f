"""The known traps that a spec may ask for: each is refused, by the API, by a condition or by the node check.

The refusal is for the trap and for nothing else: the sample without the change is accepted.
"""

from typing import Any, Final

import pytest

from inference_cache.api.parsing import Violation, parse_spec
from inference_cache.domain.assemble import assemble
from inference_cache.domain.node_policy import check_nodes
from inference_cache.domain.reasons import Reason
from inference_cache.domain.verdict import Truth
from tests.support.builders import IDENTITY, PLATFORM, REMOVED, build_node, build_settled, build_spec

Changes = dict[str, Any]

_STORE: Final = "cache.tiers.1.objectStore"
_HUB: Final = "model.source.huggingFace"
_ARGS: Final = "engine.extraArgs"
_ENV: Final = "engine.extraEnv"
_DENSE: Final = {"layers": 80, "attentionHeads": 64, "kvHeads": 8, "headDim": 128}


def _versions(vllm: str, lmcache: str) -> Changes:
    return {"engine.versions": {"vllm": vllm, "lmcache": lmcache}}


def _literal(name: str, value: str = "1") -> Changes:
    return {_ENV: [{"name": name, "value": value}]}


# The field that the API's message is about.
_BY_THE_API: Final[dict[str, tuple[Changes, str]]] = {
    "LMCache#3376 client without path addressing": ({f"{_STORE}.client": "LMCacheS3", f"{_STORE}.addressing": "Path"}, f"{_STORE}"),
    "LMCache#3376 address instead of a host name": ({f"{_STORE}.endpoint": "http://10.0.0.7:9000"}, f"{_STORE}.endpoint"),
    "LMCache#3376 bucket in front of the host already": ({f"{_STORE}.endpoint": "http://kv-nemotron.s3.internal"}, f"{_STORE}.endpoint"),
    "LMCache#3376 bucket with dots, which certificates cannot name": ({f"{_STORE}.bucket.name": "kv.nemotron"}, f"{_STORE}.bucket.name"),
    "LMCache S3 adapter accepts a path and fails every request": ({f"{_STORE}.endpoint": "http://s3.internal/kv"}, f"{_STORE}.endpoint"),
    "LMCache S3 adapter accepts a trailing slash and fails every request": ({f"{_STORE}.endpoint": "http://s3.internal/"}, f"{_STORE}.endpoint"),
    "LMCache S3 adapter trusts the image's authorities alone": ({f"{_STORE}.endpoint": "https://s3.internal", f"{_STORE}.client": "LMCacheS3", f"{_STORE}.tls": {"caRef": {"configMap": "ca"}}}, f"{_STORE}"),
    "LMCache S3 adapter needs a region": ({f"{_STORE}.region": REMOVED}, f"{_STORE}.region"),
    "LMCache#5230 variable that forces the vendored connector": (_literal("LMCACHE_USE_UPSTREAM_MP"), f"{_ENV}.0.name"),
    "LMCache#3381 asynchronous loading": (_literal("LMCACHE_ENABLE_ASYNC_LOADING"), f"{_ENV}.0.name"),
    "LMCache PR#4745 in-process configuration": (_literal("LMCACHE_CONFIG_FILE", "/x"), f"{_ENV}.0.name"),
    "LMCache#1139 LMCache#1095 LMCache#2136 LMCache#2979 vllm#42625 another hash seed": (_literal("PYTHONHASHSEED", "random"), f"{_ENV}.0.name"),
    "vllm#34896 vllm#32200 another failure policy": ({_ARGS: ['--kv-transfer-config={"kv_load_failure_policy":"fail"}']}, f"{_ARGS}.0"),
    "LMCache keys hold no adapter name: LoRA": ({_ARGS: ["--enable-lora"]}, f"{_ARGS}.0"),
    "LMCache keys hold no type: another dtype beside the typed field": ({_ARGS: ["--dtype=float16"]}, f"{_ARGS}.0"),
    "LMCache keys hold no revision: a branch moves": ({f"{_HUB}.revision": "main"}, f"{_HUB}.revision"),
    "vLLM replaces the model text by a snapshot path": (_literal("HF_HUB_OFFLINE", "0"), f"{_ENV}.0.name"),
    "LMCache isolated IPC excludes sleep mode": ({_ARGS: ["--enable-sleep-mode"]}, f"{_ARGS}.0"),
    "LMCache isolated IPC excludes expandable segments": (_literal("PYTORCH_CUDA_ALLOC_CONF", "expandable_segments:True"), f"{_ENV}.0.name"),
    "LMCache accepts a tier of no size": ({"cache.tiers.0.memory.size": "0Gi"}, "cache.tiers.0.memory.size"),
    "LMCache accepts a chunk size of 0": ({"cache.chunkTokens": 0}, "cache.chunkTokens"),
    "LMCache chunks must be whole blocks": ({"cache.chunkTokens": 272, "engine.blockTokens": 32}, "cache.chunkTokens"),
    "LMCache chunks must be whole blocks of the least size": ({"cache.chunkTokens": 100}, "cache.chunkTokens"),
    "vLLM with shutdown-timeout 0 leaves its client hanging": ({"rollout.drainSeconds": 0}, "rollout.drainSeconds"),
    "vLLM and LMCache report usage again": (_literal("DO_NOT_TRACK", "0"), f"{_ENV}.0.name"),
    "vLLM development routes drop the cache without authentication": (_literal("VLLM_SERVER_DEV_MODE"), f"{_ENV}.0.name"),
    "process arguments show keys: signing key": ({_ARGS: ["--model-loader-extra-config=AKIAIOSFODNN7EXAMPLE"]}, _ARGS),
    "process arguments show keys: API key": ({_ARGS: ["--api-key=x"]}, f"{_ARGS}.0"),
    "pods show literal variables: signing key": (_literal("AWS_SECRET_ACCESS_KEY", "x"), f"{_ENV}.0.name"),
    "pods show literal variables: client key": (_literal("VLLM_API_KEY", "x"), f"{_ENV}.0"),
    "GPUs that the engine does not own": (_literal("NVIDIA_VISIBLE_DEVICES", "all"), f"{_ENV}.0.name"),
}  # fmt: skip


def test_sample_is_accepted() -> None:
    settled = build_settled()
    assembly = assemble(IDENTITY, settled.spec, PLATFORM)
    assert [item.status for item in assembly.checks] == [Truth.TRUE, Truth.TRUE]
    assert check_nodes(settled, [build_node()])[0].status is Truth.TRUE


def _name(path: str) -> str:
    return "".join(f"[{part}]" if part.isdigit() else f".{part}" for part in path.split("."))


@pytest.mark.parametrize(("changes", "path"), _BY_THE_API.values(), ids=_BY_THE_API.keys())
def test_api_refuses(changes: Changes, path: str) -> None:
    found = parse_spec(IDENTITY.name, build_spec(changes))
    assert isinstance(found, list)
    assert [item.field for item in found if isinstance(item, Violation)] == [f"spec{_name(path)}"]


_BY_A_CONDITION: Final[dict[str, tuple[Changes, Reason]]] = {
    "LMCache#1712 LMCache#1294 ray#56695 wheels of two torch versions": (_versions("0.26.0", "0.5.6"), Reason.KnownBadVersions),
    "LMCache#1961 LMCache without S3 adapter in its server": (_versions("0.20.0", "0.4.4"), Reason.KnownBadVersions),
    "LMCache PR#3208 engines do not register again": (_versions("0.26.0", "0.5.2"), Reason.KnownBadVersions),
    "LMCache#5230 vLLM that takes no connector from outside": (_versions("0.19.1", "0.5.3"), Reason.KnownBadVersions),
    "vllm#49250 vllm PR#49252 vllm PR#53298 wrong tokens after a rejected load": (_versions("0.33.0", "0.5.6"), Reason.KnownBadVersions),
    "a pair that nobody has tried": (_versions("0.31.0", "0.5.6"), Reason.UnsupportedVersions),
    "an image of unknown versions": ({"engine.image": "vllm/vllm-openai:v0.32.0"}, Reason.EngineVersionsUnknown),
    "LMCache#4492 LMCache#4674 hybrid model with stored KV": ({"model.architecture": _DENSE | {"attentionLayers": "Hybrid"}}, Reason.HybridModelInStore),
    "LMCache nixl_native does not exist in 0.5.3": (_versions("0.26.0", "0.5.3") | {f"{_STORE}.addressing": "Path"}, Reason.FeatureUnsupported),
    "LMCache huge pages do not exist in 0.5.3": (_versions("0.26.0", "0.5.3") | {"cache.tiers.0.memory.pages": "Huge2Mi"}, Reason.FeatureUnsupported),
    "LMCache starves loads that its tier cannot hold": ({"model.architecture": _DENSE, "cache.tiers.0.memory.size": "64Gi", f"{_STORE}.maxInFlightLoads": 8}, Reason.MemoryTierTooSmall),
    "LMCache#2901 LMCache#949 LMCache#792 server is killed for memory without a word": ({"cache.resources": {"limits": {"memory": "1200Gi"}}}, Reason.ResourcesTooSmall),
    "vLLM parses abbreviations of its options": ({_ARGS: ["--kv-transfer-conf={}"]}, Reason.OptionUnknown),
}  # fmt: skip


@pytest.mark.parametrize(("changes", "reason"), _BY_A_CONDITION.values(), ids=_BY_A_CONDITION.keys())
def test_condition_refuses(changes: Changes, reason: Reason) -> None:
    assembly = assemble(IDENTITY, build_settled(changes).spec, PLATFORM)
    assert [item.reason for item in assembly.checks if item.blocks] == [reason]


_BY_THE_NODES: Final[dict[str, tuple[Changes, Reason]]] = {
    "LMCache PR#2643 huge pages that nobody reserved": ({"cache.tiers.0.memory.pages": "Huge2Mi"}, Reason.HugePagesTooFew),
    "LMCache#2901 LMCache PR#5127 tier that no node can hold": ({"cache.tiers.0.memory.size": "4Ti"}, Reason.MemoryTooSmall),
}  # fmt: skip


@pytest.mark.parametrize(("changes", "reason"), _BY_THE_NODES.values(), ids=_BY_THE_NODES.keys())
def test_node_check_refuses(changes: Changes, reason: Reason) -> None:
    verdict, status = check_nodes(build_settled(changes), [build_node()])
    assert verdict.blocks
    assert status is not None
    assert [item.reason for item in status.ineligible or []] == [reason.name]
