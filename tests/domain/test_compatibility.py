"""The condition Compatible: each reason with the values that caused it, several at once, and what is not known."""

import re
from collections.abc import Mapping
from typing import Any, Final

import pytest

from inference_cache.domain.compatibility import KubernetesVersion, check_compatibility
from inference_cache.domain.reasons import Reason
from inference_cache.domain.verdict import MAX_MESSAGE, Truth, Verdict
from inference_cache.domain.versions import DEFAULT_PAIR, OLDER_PAIR, VersionPair
from tests.support.builders import build_settled

Changes = Mapping[str, Any]

_STORE: Final = "cache.tiers.1.objectStore"
_NEW: Final[KubernetesVersion] = (1, 37)
_IMAGE: Final = {"model.source": {"image": {"reference": "models/m@sha256:" + "a" * 64}}}
_DENSE: Final = {"layers": 80, "attentionHeads": 64, "kvHeads": 8, "headDim": 128}
_LATENT: Final = {"layers": 61, "attentionHeads": 128, "kvHeads": 128, "headDim": 128, "latentAttention": {"kvLoraRank": 512, "ropeHeadDim": 64}}  # fmt: skip


def _check(changes: Changes, pair: VersionPair = DEFAULT_PAIR, kubernetes: KubernetesVersion | None = _NEW) -> Verdict:
    return check_compatibility(build_settled(changes), pair, kubernetes)


def test_sample_is_compatible_and_the_message_names_the_pair() -> None:
    verdict = _check({})
    assert (verdict.status, verdict.reason) == (Truth.TRUE, Reason.VersionsCompatible)
    for word in ("vLLM 0.32.0", "LMCache 0.5.6", "torch 2.13.0", "CUDA 13"):
        assert word in verdict.message


_BAD: Final[dict[str, tuple[Changes, VersionPair, KubernetesVersion | None, Reason, tuple[str, ...]]]] = {
    "option that no version has": ({"engine.extraArgs": ["--max-num-sequences=4"]}, DEFAULT_PAIR, _NEW, Reason.OptionUnknown, ("--max-num-sequences is no option of vLLM 0.32.0", "--max-num-seqs")),
    "option that only the newer version has": ({"engine.extraArgs": ["--max-num-queued-reqs=4"]}, OLDER_PAIR, _NEW, Reason.OptionUnknown, ("--max-num-queued-reqs is no option of vLLM 0.26.0",)),
    "abbreviation": ({"engine.extraArgs": ["--served-model-nam=x"]}, DEFAULT_PAIR, _NEW, Reason.OptionUnknown, ("--served-model-nam is no option",)),
    "value of another type": ({"engine.extraArgs": ["--max-num-seqs=many"]}, DEFAULT_PAIR, _NEW, Reason.OptionUnknown, ("the value of --max-num-seqs must be of type int", "write --max-num-seqs=VALUE")),
    "no value": ({"engine.extraArgs": ["--max-num-seqs"]}, DEFAULT_PAIR, _NEW, Reason.OptionUnknown, ("--max-num-seqs needs a value of type int", "write --max-num-seqs=VALUE")),
    "value for a switch": ({"engine.extraArgs": ["--enforce-eager=true"]}, DEFAULT_PAIR, _NEW, Reason.OptionUnknown, ("--enforce-eager is a switch", "write it without =")),
    "no choice": ({"engine.extraArgs": ["--scheduling-policy=random"]}, DEFAULT_PAIR, _NEW, Reason.OptionUnknown, ("the value of --scheduling-policy must be one of fcfs, priority",)),
    "no JSON": ({"engine.extraArgs": ["--hf-overrides={"]}, DEFAULT_PAIR, _NEW, Reason.OptionUnknown, ("the value of --hf-overrides must be of type json",)),
    "JSON as deep as an entry is long": ({"engine.extraArgs": ["--hf-overrides=" + "[" * 1000]}, DEFAULT_PAIR, _NEW, Reason.OptionUnknown, ("the value of --hf-overrides must be of type json",)),
    "ARC with the older pair": ({"cache.tiers.0.memory.evictionPolicy": "ARC"}, OLDER_PAIR, _NEW, Reason.FeatureUnsupported, ("LMCache 0.5.3", "memory.evictionPolicy", "vLLM 0.32.0 with LMCache 0.5.6")),
    "huge pages with the older pair": ({"cache.tiers.0.memory.pages": "Huge2Mi"}, OLDER_PAIR, _NEW, Reason.FeatureUnsupported, ("LMCache 0.5.3", "memory.pages", "vLLM 0.32.0 with LMCache 0.5.6")),
    "NIXL with the older pair": ({f"{_STORE}.client": "NIXL"}, OLDER_PAIR, _NEW, Reason.FeatureUnsupported, ("LMCache 0.5.3", "NIXL", "change objectStore.client")),
    "path addressing with the older pair": ({f"{_STORE}.addressing": "Path"}, OLDER_PAIR, _NEW, Reason.FeatureUnsupported, ("LMCache 0.5.3", "NIXL", "change objectStore.addressing: Path")),
    "hybrid model with a store": ({"model.architecture": _DENSE | {"attentionLayers": "Hybrid"}}, DEFAULT_PAIR, _NEW, Reason.HybridModelInStore, ("Hybrid", "objectStore", "LMCache#4492", "Remove the objectStore tier")),
    "heads that do not divide": ({"model.architecture": _DENSE | {"attentionHeads": 36}}, DEFAULT_PAIR, _NEW, Reason.ParallelismImpossible, ("36 attention heads", "8 GPUs", "tensorParallelSize of 1, 2, 4")),
    "KV heads that neither divide nor repeat": ({"model.architecture": _DENSE | {"attentionHeads": 96, "kvHeads": 12}}, DEFAULT_PAIR, _NEW, Reason.ParallelismImpossible, ("12 KV heads", "8 GPUs", "tensorParallelSize of 1, 2, 3, 4, 6, 12")),
    "chunks of half a block with latent attention": ({"model.architecture": _LATENT, "cache.chunkTokens": 64}, DEFAULT_PAIR, _NEW, Reason.ChunkNotMultiple, ("64", "128")),
    "layout variable from a Secret": ({"engine.extraEnv": [{"name": "VLLM_KV_CACHE_LAYOUT", "secretKeyRef": {"name": "x", "key": "k"}}]}, DEFAULT_PAIR, _NEW, Reason.VariableUnknown, ("VLLM_KV_CACHE_LAYOUT", "Secret x", "Write it as value")),
    "no native sidecars": ({}, DEFAULT_PAIR, (1, 29), Reason.KubernetesTooOld, ("1.29", "1.30")),
    "no image volumes": (_IMAGE, DEFAULT_PAIR, (1, 32), Reason.KubernetesTooOld, ("1.32", "1.33", "model.source.image", "huggingFace")),
}  # fmt: skip


@pytest.mark.parametrize(("changes", "pair", "kubernetes", "reason", "words"), _BAD.values(), ids=_BAD.keys())
def test_problem_has_its_reason_and_names_the_values(
    changes: Changes, pair: VersionPair, kubernetes: KubernetesVersion, reason: Reason, words: tuple[str, ...]
) -> None:
    verdict = _check(changes, pair, kubernetes)
    assert (verdict.status, verdict.reason, verdict.passing) == (Truth.FALSE, reason, False)
    assert [word for word in words if word not in verdict.message] == []
    assert re.search(r"(?i)\b(write|use|change|upgrade|remove|lists all|must be one of)\b", verdict.message)
    assert " Also: " not in verdict.message
    assert " more." not in verdict.message


_GOOD: Final[dict[str, tuple[Changes, VersionPair, KubernetesVersion | None]]] = {
    "the oldest Kubernetes": ({}, DEFAULT_PAIR, (1, 30)),
    "the oldest Kubernetes with image volumes": (_IMAGE, DEFAULT_PAIR, (1, 33)),
    "a Kubernetes of the future": ({}, DEFAULT_PAIR, (2, 0)),
    "a Kubernetes that is not known": (_IMAGE, DEFAULT_PAIR, None),
    "the older pair with what it can do": ({}, OLDER_PAIR, _NEW),
    "NIXL of a disabled cache": ({f"{_STORE}.client": "NIXL", "cache.mode": "Disabled"}, OLDER_PAIR, _NEW),
    "hybrid model without a store": ({"model.architecture": _DENSE | {"attentionLayers": "Hybrid"}, "cache.tiers": [{"memory": {"size": "64Gi"}}]}, DEFAULT_PAIR, _NEW),
    "KV heads that are copied": ({"model.architecture": _DENSE | {"kvHeads": 2}}, DEFAULT_PAIR, _NEW),
    "latent attention, whose one head is copied": ({"model.architecture": _LATENT | {"kvHeads": 3}}, DEFAULT_PAIR, _NEW),
    "chunks of whole blocks with latent attention": ({"model.architecture": _LATENT, "cache.chunkTokens": 128}, DEFAULT_PAIR, _NEW),
    "neutral variable from a Secret": ({"engine.extraEnv": [{"name": "VLLM_API_KEY", "secretKeyRef": {"name": "x", "key": "k"}}]}, DEFAULT_PAIR, _NEW),
    "any chunk with latent attention and no cache": ({"model.architecture": _LATENT, "cache.chunkTokens": 64, "cache.mode": "Disabled"}, DEFAULT_PAIR, _NEW),
    "options of every type": ({"engine.extraArgs": ["--max-num-seqs=4", "--enforce-eager", "--no-enable-chunked-prefill", "--hf-overrides={}", "--scheduling-policy=fcfs", "--watermark=0.5", "--chat-template=x=y"]}, DEFAULT_PAIR, _NEW),
}  # fmt: skip


@pytest.mark.parametrize(("changes", "pair", "kubernetes"), _GOOD.values(), ids=_GOOD.keys())
def test_no_problem_with(changes: Changes, pair: VersionPair, kubernetes: KubernetesVersion | None) -> None:
    verdict = _check(changes, pair, kubernetes)
    assert verdict.status is Truth.TRUE, verdict.message


def test_several_problems_are_shown_together() -> None:
    changes = {
        "engine.extraArgs": ["--one"],
        "cache.tiers.0.memory.evictionPolicy": "ARC",
        "model.architecture": _DENSE | {"attentionHeads": 36},
    }
    verdict = _check(changes, OLDER_PAIR)
    assert verdict.reason is Reason.OptionUnknown
    assert verdict.message.count(" Also: ") == 2
    assert [word for word in ("--one", "ARC", "36 attention heads") if word not in verdict.message] == []


def test_problems_that_do_not_fit_are_counted() -> None:
    verdict = _check({"engine.extraArgs": [f"--no-such-option-{number}" for number in range(32)]})
    shown = verdict.message.count("is no option")
    assert 1 < shown < 32
    assert verdict.message.endswith(f" And {32 - shown} more.")
    assert len(verdict.message) <= MAX_MESSAGE


def test_value_of_an_entry_is_never_shown() -> None:
    verdict = _check({"engine.extraArgs": ["--unknown-option=" + "x" * 1000]})
    assert "xx" not in verdict.message
    assert len(verdict.message) <= MAX_MESSAGE


def test_store_without_a_declared_architecture_says_what_is_not_known() -> None:
    assert "LMCache#4492" in _check({}).message
    assert "LMCache#4492" not in _check({"model.architecture": _DENSE}).message
    assert "LMCache#4492" not in _check({"cache.tiers": [{"memory": {"size": "64Gi"}}]}).message
