"""The generated pages about decisions that are data: change classes, layout fingerprint, supported versions."""

from collections.abc import Sequence
from typing import Final

from inference_cache.domain.change_classes import CHANGE_CLASSES
from inference_cache.domain.fingerprint import LAYOUT_FACTS
from inference_cache.domain.layout_hatches import NEUTRAL_FLAGS, NEUTRAL_VARIABLE_PREFIXES, NEUTRAL_VARIABLES
from inference_cache.domain.version_extension import CONFIG_MAP_KEY, CONFIG_MAP_NAME
from inference_cache.domain.versions import BUILT_IN_TABLE, KnownBad, Span, VersionPair

from .reference import NOTE, build_table

_CLASSES_INTRODUCTION: Final = (
    "What changing a field costs. **Hot**: nothing restarts. **Rolling**: pods are replaced within `rollout.maxUnavailable`, "
    "and objects in the bucket stay readable; the memory tier of a replaced pod begins empty. **CacheBreaking**: the layout "
    "fingerprint, the bucket or the endpoint changes, so the new pods read nothing that the old ones wrote. Where two classes stand, the value decides; "
    "`icd plan -f FILE` says which one a given change has. The longest path that covers a field holds."
)
_FINGERPRINT_INTRODUCTION: Final = (
    "The layout fingerprint is a hash of everything that changes the bytes or the keys of cached KV. Weights are mounted at, "
    "or downloaded to, `/models/kv-FINGERPRINT`, which is the model part of every object key; clients see `model.name`. Two "
    "deployments with the same fingerprint and bucket share hits on purpose, and `status.sharing` says so. Two with "
    "different fingerprints never share a key."
)
_CLAIMS: Final = (
    "Weights on a PersistentVolumeClaim are known by namespace, claim, path and the revision that you name. Clusters that "
    "share a bucket must therefore not use the same names for different weights; give each its own bucket."
)
_VERSIONS_INTRODUCTION: Final = (
    "The operator renders options for pairs of vLLM and LMCache that are built against the same torch. The pair comes from "
    "`engine.versions`, else from the tag of `engine.image` (such as `vllm-0.32.0-lmcache-0.5.6`), else from the tag of the "
    "operator's image, else it is the first of this list. The connector is LMCache's own for its multi-process server "
    "(`LMCacheMPConnector`) in every pair; none needs the older one within the engine. Kubernetes must be 1.30 or later, and "
    "1.33 or later for `model.source.image`."
)
_EXTENSION: Final = f"""## Your own pairs

A ConfigMap `{CONFIG_MAP_NAME}` in the operator's namespace extends the table. It is read at start and once in every resync period. An entry for a built-in pair takes the place of its image and key format, so that a pair which a later operator brings along keeps the cache that you have. A text with a fault adds no pairs, what was read before stays in force, and its valid knownBad entries hold; the operator logs the fault and sets the metric `inference_cache_version_table_faults`.

```yaml
apiVersion: v1
kind: ConfigMap
metadata:
  name: {CONFIG_MAP_NAME}
  namespace: inference-cache-system
data:
  {CONFIG_MAP_KEY}: |
    pairs:
    - vllm: 0.32.1
      lmcache: 0.5.6
      optionsOf: {{vllm: 0.32.0, lmcache: 0.5.6}}   # the pair of the table whose options it has
      image: registry.example/engine:vllm-0.32.1-lmcache-0.5.6
      # keyFormat: {BUILT_IN_TABLE.default.key_format}   # only if bytes and keys are the same; without it a new cache begins
    knownBad:
    - vllm: {{from: 0.32.0, before: 0.32.1}}
      lmcache: {{}}
      effect: what happens, in a sentence
      issue: https://tracker.example/1234
```
"""


def build_change_classes_page() -> str:
    """Return the page of the change class of every field."""
    rows = ((f"`{path}`", entry.words, entry.why) for path, entry in CHANGE_CLASSES.items())
    return _join("# Change classes", _CLASSES_INTRODUCTION, build_table(("Field", "Class", "Why"), list(rows)))


def build_fingerprint_page() -> str:
    """Return the page of what enters the layout fingerprint."""
    rows = [(f"`{name}`", why) for name, why in LAYOUT_FACTS.items()]
    flags = ", ".join(f"`{flag}`" for flag in sorted(NEUTRAL_FLAGS))
    variables = ", ".join(f"`{name}`" for name in sorted(NEUTRAL_VARIABLES))
    prefixes = ", ".join(f"`{prefix}*`" for prefix in NEUTRAL_VARIABLE_PREFIXES)
    return _join(
        "# Layout fingerprint",
        _FINGERPRINT_INTRODUCTION,
        build_table(("Fact", "Why it is part, and where it comes from"), rows),
        _CLAIMS,
        "## Options and variables that leave it alone",
        "Entries of `engine.extraArgs` and `engine.extraEnv` are part of the fingerprint unless they are known to leave the KV cache alone:",
        flags + ".",
        f"{variables}, {prefixes}.",
    )


def build_versions_page() -> str:
    """Return the page of supported and barred versions."""
    pairs = [_describe_pair(pair) for pair in BUILT_IN_TABLE.pairs]
    bad = [_describe_bad(item) for item in BUILT_IN_TABLE.known_bad]
    return _join(
        "# Versions",
        _VERSIONS_INTRODUCTION,
        build_table(("vLLM", "LMCache", "torch", "CUDA", "Key format", "Can also", "Default image"), pairs),
        "No image is published yet; path addressing and private certificate authorities need an image whose LMCache was built with NIXL, which the wheels on PyPI are not.",
        "## Known to be bad",
        build_table(("vLLM", "LMCache", "Effect", "Upstream"), bad),
        _EXTENSION.rstrip(),
    )


def _join(title: str, *parts: str) -> str:
    return "\n\n".join((title, NOTE, *parts)) + "\n"


def _describe_pair(pair: VersionPair) -> Sequence[str]:
    features = ", ".join(sorted(item.name.lower().replace("_", " ") for item in pair.features)) or "-"
    return pair.vllm, pair.lmcache, pair.torch, pair.cuda, f"`{pair.key_format}`", features, f"`{pair.default_image}`"


def _describe_bad(item: KnownBad) -> Sequence[str]:
    return _describe_span(item.vllm), _describe_span(item.lmcache), item.effect, item.issue


def _describe_span(span: Span) -> str:
    if not span.low and not span.high:
        return "any"
    if not span.low:
        return f"before {span.high}"
    return f"{span.low} up to, without, {span.high}" if span.high else f"{span.low} and later"
