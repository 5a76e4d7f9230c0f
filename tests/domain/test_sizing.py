"""What a pod requests: known models by number, overrides key by key, loads in flight, and refusals that show their arithmetic."""

import re
from typing import Any, Final

import pytest

from inference_cache.api.quantities import GIB, format_amount, parse_milli
from inference_cache.domain import names
from inference_cache.domain.desired.options import build_cache_args
from inference_cache.domain.desired.workload import build_pod_spec
from inference_cache.domain.kv_layout import build_kv_layout
from inference_cache.domain.reasons import Reason
from inference_cache.domain.sizing import WEIGHTS, Sizes, compute_sizes, list_size_problems
from tests.support.builders import build_sample_scope, build_settled

Changes = dict[str, Any]

_SIZE: Final = "cache.tiers.0.memory.size"
_LOADS: Final = "cache.tiers.1.objectStore.maxInFlightLoads"
_70B: Final = {"model.architecture": {"layers": 80, "attentionHeads": 64, "kvHeads": 8, "headDim": 128}}
_8B: Final = {
    "model.architecture": {"layers": 32, "attentionHeads": 32, "kvHeads": 8, "headDim": 128},
    "engine.tensorParallelSize": 1,
    "model.maxModelLen": 32768,
    _SIZE: "72Gi",
}
_LATENT: Final = {
    "model.architecture": {
        "layers": 61,
        "attentionHeads": 128,
        "kvHeads": 128,
        "headDim": 128,
        "latentAttention": {"kvLoraRank": 512, "ropeHeadDim": 64},
    },
    "model.maxModelLen": 131072,
    _SIZE: "512Gi",
}


def _sizes(changes: Changes) -> Sizes:
    return compute_sizes(build_settled(changes))


# Bytes per token from the models' config.json; for latent attention KV is stored once, whatever the number of GPUs.
_KNOWN: Final[dict[str, tuple[Changes, int, str, str, int]]] = {
    "70B in 16 bits on 8 GPUs": (_70B, 327_680, "80Gi", "1208Gi", 61_440 * 327_680),
    "70B in 8 bits on 8 GPUs": (_70B | {"engine.kvCacheDtype": "FP8E4M3"}, 163_840, "80Gi", "1208Gi", 61_440 * 163_840),
    "70B on 16 GPUs, two for each KV head": (_70B | {"engine.tensorParallelSize": 16}, 655_360, "144Gi", "1208Gi", 61_440 * 655_360),
    "8B on 1 GPU": (_8B, 131_072, "26Gi", "80Gi", 32_768 * 131_072),
    "latent attention on 8 GPUs": (_LATENT, 70_272, "80Gi", "520Gi", 131_072 * 70_272),
    "latent attention on 1 GPU": (_LATENT | {"engine.tensorParallelSize": 1}, 70_272, "26Gi", "520Gi", 131_072 * 70_272),
}  # fmt: skip


@pytest.mark.parametrize(("changes", "per_token", "engine", "cache", "context"), _KNOWN.values(), ids=_KNOWN.keys())
def test_known_model(changes: Changes, per_token: int, engine: str, cache: str, context: int) -> None:
    layout = build_kv_layout(build_settled(changes))
    sizes = _sizes(changes)
    assert layout is not None
    assert layout.bytes_per_token == per_token
    assert sizes.engine.requests["memory"] == sizes.engine.limits["memory"] == engine
    assert sizes.cache is not None
    assert sizes.cache.requests["memory"] == sizes.cache.limits["memory"] == cache
    assert sizes.context_bytes == context
    assert list_size_problems(build_settled(changes)) == []


def test_context_counts_whole_chunks() -> None:
    layout = build_kv_layout(build_settled(_8B))
    assert layout is not None
    assert [layout.context_bytes(tokens) // 131_072 for tokens in (1, 256, 257, 50_000)] == [256, 256, 512, 50_176]


@pytest.mark.parametrize(
    "architecture",
    [
        None,
        _70B["model.architecture"] | {"attentionLayers": "Hybrid"},
        _70B["model.architecture"] | {"attentionHeads": 36},
    ],
    ids=["none is declared", "hybrid", "heads that do not divide"],
)
def test_unknown_shape_gives_no_context_and_no_problem(architecture: Any) -> None:
    changes = {"model.architecture": architecture} if architecture else {}
    sizes = _sizes(changes | {_SIZE: "1Gi"})
    assert (sizes.context_bytes, sizes.in_flight_loads) == (None, 8)
    assert list_size_problems(build_settled(changes | {_SIZE: "1Gi"})) == []


def test_pod_of_the_sample() -> None:
    sizes = _sizes({})
    assert (sizes.gpus, sizes.shm, sizes.huge_pages) == (8, 16 * GIB, 0)
    assert sizes.pod_memory == (80 + 1208) * GIB
    assert sizes.pod_milli_cpus == (16 + 4) * 1000
    assert sizes.locked_memory == (1200 + 8) * GIB


def test_without_a_cache_nothing_is_pinned_and_no_server_is_counted() -> None:
    sizes = _sizes({"cache.mode": "Disabled"})
    assert (sizes.cache, sizes.memory_tier, sizes.locked_memory, sizes.huge_pages) == (None, 0, 0, 0)
    assert sizes.pod_memory == 80 * GIB


def test_huge_pages_take_the_place_of_memory_and_equal_their_limit() -> None:
    sizes = _sizes(_8B | {"cache.tiers.0.memory.pages": "Huge2Mi", _SIZE: "73729Mi"})
    assert sizes.cache is not None
    assert sizes.cache.requests["hugepages-2Mi"] == sizes.cache.limits["hugepages-2Mi"] == "73730Mi"
    assert sizes.cache.requests["memory"] == "8Gi"
    assert sizes.huge_pages == 73_730 * 2**20


def test_huge_pages_of_whole_gib_are_written_as_the_api_server_keeps_them() -> None:
    sizes = _sizes({"cache.tiers.0.memory.pages": "Huge2Mi", _SIZE: "1Ti"})
    assert sizes.cache is not None
    assert sizes.cache.requests["hugepages-2Mi"] == "1Ti"


def test_cpus_of_the_weights_count_where_they_are_more_than_what_runs_later() -> None:
    few = {"requests": {"cpu": "100m"}}
    sizes = _sizes({"engine.resources": few, "cache.resources": few})
    assert sizes.pod_milli_cpus == WEIGHTS.milli_cpus == 2000
    claim = {"model.source": {"persistentVolumeClaim": {"claimName": "w", "revision": "1"}}}
    assert _sizes({"engine.resources": few, "cache.resources": few} | claim).pod_milli_cpus == 200


_OVERRIDES: Final[dict[str, tuple[dict[str, Any], dict[str, str], dict[str, str]]]] = {
    "nothing": ({}, {"cpu": "16", "memory": "80Gi"}, {"memory": "80Gi"}),
    "a request below the computed limit": ({"requests": {"memory": "64Gi"}}, {"cpu": "16", "memory": "64Gi"}, {"memory": "80Gi"}),
    "a request above the computed limit lifts it": ({"requests": {"memory": "96Gi"}}, {"cpu": "16", "memory": "96Gi"}, {"memory": "96Gi"}),
    "a limit above the computed request": ({"limits": {"memory": "96Gi"}}, {"cpu": "16", "memory": "80Gi"}, {"memory": "96Gi"}),
    "a limit below the computed request lowers it": ({"limits": {"memory": "64Gi"}}, {"cpu": "16", "memory": "64Gi"}, {"memory": "64Gi"}),
    "a limit of CPU lowers the request": ({"limits": {"cpu": "8"}}, {"cpu": "8", "memory": "80Gi"}, {"cpu": "8", "memory": "80Gi"}),
    "a request of CPU sets no limit": ({"requests": {"cpu": "500m"}}, {"cpu": "500m", "memory": "80Gi"}, {"memory": "80Gi"}),
    "both of one key": ({"requests": {"memory": "32Gi"}, "limits": {"memory": "48Gi"}}, {"cpu": "16", "memory": "32Gi"}, {"memory": "48Gi"}),
    "a key that nobody computes": ({"requests": {"ephemeral-storage": "1Gi"}, "limits": {"ephemeral-storage": "2Gi"}}, {"cpu": "16", "ephemeral-storage": "1Gi", "memory": "80Gi"}, {"ephemeral-storage": "2Gi", "memory": "80Gi"}),
    "amounts as nobody keeps them": ({"requests": {"cpu": "32000m", "memory": "98304Mi"}, "limits": {"ephemeral-storage": "2000G"}}, {"cpu": "32", "memory": "96Gi"}, {"ephemeral-storage": "2T", "memory": "96Gi"}),
}  # fmt: skip


@pytest.mark.parametrize(("resources", "requests", "limits"), _OVERRIDES.values(), ids=_OVERRIDES.keys())
def test_overrides_are_merged_key_by_key(
    resources: dict[str, Any], requests: dict[str, str], limits: dict[str, str]
) -> None:
    settled = build_settled({"engine.resources": resources})
    engine = compute_sizes(settled).engine
    assert (engine.requests, engine.limits) == (requests, limits)
    assert list_size_problems(settled) == []


def test_overrides_leave_gpus_and_huge_pages_alone() -> None:
    resources = {"requests": {"cpu": "1"}, "limits": {"cpu": "1", "memory": "20Gi"}}
    changes = {"engine.resources": resources, "cache.resources": resources, "cache.tiers.0.memory.pages": "Huge2Mi"}
    pod = build_pod_spec(build_sample_scope(changes), "config")
    found = {item["name"]: item["resources"] for item in [*pod["initContainers"], *pod["containers"]]}
    for side in ("requests", "limits"):
        assert found[names.ENGINE_CONTAINER][side][names.GPU_RESOURCE] == "8"
        assert found[names.CACHE_CONTAINER][side][names.HUGE_PAGES_RESOURCE] == "1200Gi"
        assert names.GPU_RESOURCE not in found[names.CACHE_CONTAINER][side]


@pytest.mark.parametrize(
    ("text", "kept"),
    [
        ("1024Gi", "1Ti"),
        ("98304Mi", "96Gi"),
        ("1025Mi", "1025Mi"),
        ("1048576Ki", "1Gi"),
        ("2048Ti", "2Pi"),
        ("1000m", "1"),
        ("1500m", "1500m"),
        ("1000000m", "1k"),
        ("1000", "1k"),
        ("1024", "1024"),
        ("2000G", "2T"),
        ("16", "16"),
    ],
)
def test_amount_is_written_as_the_api_server_keeps_it(text: str, kept: str) -> None:
    assert format_amount(text) == kept
    assert parse_milli(kept) == parse_milli(text)


# 80 % of the tier is used before eviction; a context of the 8B model has 4 GiB.
_CHOICES: Final[dict[str, tuple[Changes, int]]] = {
    "at most eight": (_8B | {_SIZE: "1200Gi"}, 8),
    "exactly eight fit": (_8B | {_SIZE: "40Gi"}, 8),
    "a little less than eight fit": (_8B | {_SIZE: "39Gi"}, 7),
    "exactly one fits": (_8B | {_SIZE: "5Gi"}, 1),
    "none fits": (_8B | {_SIZE: "4Gi"}, 1),
    "a lower watermark": (_8B | {_SIZE: "40Gi", "cache.tiers.0.memory.evictionWatermarkPercent": 50}, 5),
    "what is asked for": (_8B | {_LOADS: 3}, 3),
    "more than eight where asked for": (_8B | {_SIZE: "1200Gi", _LOADS: 64}, 64),
    "unknown shape": ({}, 8),
}


@pytest.mark.parametrize(("changes", "loads"), _CHOICES.values(), ids=_CHOICES.keys())
def test_loads_in_flight(changes: Changes, loads: int) -> None:
    assert _sizes(changes).in_flight_loads == loads
    assert f"--l2-prefetch-max-in-flight={loads}" in build_cache_args(build_sample_scope(changes))


_REFUSED: Final[dict[str, tuple[Changes, Reason, tuple[str, ...]]]] = {
    "asked loads that do not fit": (
        _70B | {_SIZE: "64Gi", _LOADS: 8},
        Reason.MemoryTierTooSmall,
        ("64 GiB", "80 % = 51.2", "maxInFlightLoads is 8", "61440 tokens x 327680 B = 18.", "150 GiB", "at least 188Gi", "at most 2"),
    ),
    "not even one load fits": (
        _70B | {_SIZE: "16Gi"},
        Reason.MemoryTierTooSmall,
        ("16 GiB", "80 % = 12.8", "61440 tokens x 327680 B = 18.", "at least 24Gi", "maxModelLen"),
    ),
    "request above its limit": (
        {"engine.resources": {"requests": {"memory": "64Gi"}, "limits": {"memory": "48Gi"}}},
        Reason.ResourcesTooSmall,
        ("engine.resources.requests.memory is 64Gi", "engine.resources.limits.memory of 48Gi"),
    ),
    "request of CPU above its limit": (
        {"cache.resources": {"requests": {"cpu": "2"}, "limits": {"cpu": "1500m"}}},
        Reason.ResourcesTooSmall,
        ("cache.resources.requests.cpu is 2", "cache.resources.limits.cpu of 1500m"),
    ),
    "engine without room for shared memory": (
        {"engine.resources": {"limits": {"memory": "19Gi"}}},
        Reason.ResourcesTooSmall,
        ("engine.resources", "19 GiB", "at least 20 GiB", "16 GiB for /dev/shm", "4 GiB for the process"),
    ),
    "cache server without room for its tier": (
        {"cache.resources": {"requests": {"memory": "1201Gi"}}},
        Reason.ResourcesTooSmall,
        ("cache.resources", "1201 GiB", "at least 1202 GiB", "1200 GiB for the memory tier", "2 GiB for the process"),
    ),
    "cache server with huge pages and nothing beside them": (
        {"cache.tiers.0.memory.pages": "Huge2Mi", "cache.resources": {"limits": {"memory": "1Gi"}}},
        Reason.ResourcesTooSmall,
        ("cache.resources", "1 GiB", "at least 2 GiB", "huge pages are counted apart"),
    ),
}  # fmt: skip


@pytest.mark.parametrize(("changes", "reason", "words"), _REFUSED.values(), ids=_REFUSED.keys())
def test_refusal_shows_its_arithmetic(changes: Changes, reason: Reason, words: tuple[str, ...]) -> None:
    ((found, text),) = list_size_problems(build_settled(changes))
    assert found is reason
    assert [word for word in words if word not in text] == []


@pytest.mark.parametrize("changes", [_70B | {_SIZE: "64Gi", _LOADS: 8}, _70B | {_SIZE: "16Gi"}, _8B | {_SIZE: "1Gi"}])
def test_size_that_a_refusal_asks_for_is_enough_and_less_is_not(changes: Changes) -> None:
    ((_, text),) = list_size_problems(build_settled(changes))
    asked = re.search(r"memory.size of at least ([0-9]+)Gi", text)
    assert asked is not None
    loads = {_LOADS: _sizes(changes).in_flight_loads}
    assert list_size_problems(build_settled(changes | loads | {_SIZE: f"{asked[1]}Gi"})) == []
    assert list_size_problems(build_settled(changes | loads | {_SIZE: f"{int(asked[1]) - 1}Gi"})) != []


def test_loads_that_a_refusal_allows_fit() -> None:
    changes = _70B | {_SIZE: "64Gi", _LOADS: 8}
    assert list_size_problems(build_settled(changes | {_LOADS: 2})) == []
    assert list_size_problems(build_settled(changes | {_LOADS: 3})) != []


def test_tier_without_a_store_has_no_loads_to_hold() -> None:
    changes = _70B | {"cache.tiers": [{"memory": {"size": "1Gi"}}]}
    assert list_size_problems(build_settled(changes)) == []


def test_resources_of_a_disabled_cache_are_not_judged() -> None:
    changes = {"cache.mode": "Disabled", "cache.resources": {"requests": {"cpu": "2"}, "limits": {"cpu": "1"}}}
    assert list_size_problems(build_settled(changes)) == []


@pytest.mark.parametrize(
    ("size", "gib"),
    [
        ("1Gi", "1"),
        ("1200Gi", "1200"),
        ("1500Mi", "1.46484375"),
        ("1025Mi", "1.0009765625"),
        ("2G", "1.8623046875"),
        ("1073741825", "1"),
    ],
)
def test_tier_is_written_in_whole_mib(size: str, gib: str) -> None:
    """LMCache's GB are GiB, and NIXL refuses a tier that is not aligned."""
    assert f"--l1-size-gb={gib}" in build_cache_args(build_sample_scope({_SIZE: size}))
    assert (float(gib) * 1024).is_integer()
