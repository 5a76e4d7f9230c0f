"""Examples about the cache: its mode, its chunks and the memory tier."""

from typing import Any, Final

from tests.api.resource_rows import resources
from tests.api.rows import MEMORY, S3_TIER, Row, accept, enum, numbers, required, rule, sizes, unknown
from tests.support.builders import REMOVED

_CHUNK_MESSAGE: Final = "must be a multiple of 16, the engine's block size; write for instance 256"
_FIRST_MESSAGE: Final = "move memory to the first place and keep a single one"
_TIER_MESSAGE: Final = "a tier needs exactly one of memory, objectStore; write one list entry for each tier"
_TIERS_MESSAGE: Final = "tiers must be set unless mode is Disabled; write a memory tier, or mode: Disabled"
_MEMORY_TIER: Final[dict[str, Any]] = {"memory": {"size": "16Gi"}}

_TIERS: Final = [
    required("spec.cache"),
    *enum("spec.cache.mode", ("Required", "Opportunistic", "Disabled")),
    accept("no tiers with the cache disabled", "spec.cache", {"mode": "Disabled"}),
    rule("a cache without tiers", "spec.cache.tiers", REMOVED, _TIERS_MESSAGE, at="spec.cache"),
    rule("a required cache without tiers", "spec.cache", {"mode": "Required"}, _TIERS_MESSAGE),
    *numbers("spec.cache.chunkTokens", 16, 4096, step=16),
    rule("a chunk that is no multiple of the block", "spec.cache.chunkTokens", 100, _CHUNK_MESSAGE),
    Row(
        "rejects empty tiers",
        {"spec.cache.tiers": []},
        "spec.cache.tiers",
        "minItems",
        "must have at least 1 entry",
        "should have at least 1 items",
    ),
    Row(
        "rejects three tiers",
        {"spec.cache.tiers": [_MEMORY_TIER, S3_TIER, S3_TIER]},
        "spec.cache.tiers",
        "maxItems",
        "must have at most 2 entries",
        "must have at most 2 items",
    ),
    accept("memory alone", "spec.cache.tiers", [_MEMORY_TIER]),
    rule("an object store alone", "spec.cache.tiers", [S3_TIER], _FIRST_MESSAGE),
    rule("memory after the object store", "spec.cache.tiers", [S3_TIER, _MEMORY_TIER], _FIRST_MESSAGE),
    rule("two memory tiers", "spec.cache.tiers", [_MEMORY_TIER, _MEMORY_TIER], _FIRST_MESSAGE),
    rule("a tier without any field", "spec.cache.tiers.1", {}, _TIER_MESSAGE),
    rule(
        "a tier with two fields",
        "spec.cache.tiers.0.objectStore",
        S3_TIER["objectStore"],
        _TIER_MESSAGE,
        at="spec.cache.tiers.0",
    ),
]

CACHE_ROWS: Final = [
    *_TIERS,
    required(f"{MEMORY}.size"),
    *sizes(f"{MEMORY}.size", "memory"),
    *enum(f"{MEMORY}.pages", ("Standard", "Huge2Mi")),
    *enum(f"{MEMORY}.evictionPolicy", ("LRU", "ARC")),
    *numbers(f"{MEMORY}.evictionWatermarkPercent", 10, 95),
    *numbers(f"{MEMORY}.evictionPercent", 1, 90),
    *resources("spec.cache.resources"),
    *(unknown(parent) for parent in ("spec.cache", "spec.cache.tiers.0", MEMORY)),
]
