"""The fields of the spec by their paths: which an object has, what they mean, and which one a misspelt name stands for."""

import difflib
import re
from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from typing import Any, Final

from .schema import build_schema
from .v1alpha1 import InferenceCacheDeploymentSpec

Location = Sequence[int | str]
"""Keys and positions from the spec to a place in it."""

# What other tools and Kubernetes itself call things that have a field here.
OTHER_NAMES: Final = {
    "accesskeyid": ("spec.cache.tiers[].objectStore.credentials.secretRef",),
    "args": ("spec.engine.extraArgs",),
    "ca": ("spec.cache.tiers[].objectStore.tls.caRef",),
    "cabundle": ("spec.cache.tiers[].objectStore.tls.caRef",),
    "dram": ("spec.cache.tiers[].memory",),
    "env": ("spec.engine.extraEnv",),
    "extraarguments": ("spec.engine.extraArgs",),
    "extraenvironment": ("spec.engine.extraEnv",),
    "forcepathstyle": ("spec.cache.tiers[].objectStore.addressing",),
    "gpucount": ("spec.engine.tensorParallelSize",),
    "gpus": ("spec.engine.tensorParallelSize",),
    "hftoken": ("spec.model.source.huggingFace.tokenSecretRef",),
    "l1": ("spec.cache.tiers[].memory",),
    "l1sizegb": ("spec.cache.tiers[].memory.size",),
    "l2": ("spec.cache.tiers[].objectStore",),
    "maxmodellength": ("spec.model.maxModelLen",),
    "nodeselector": ("spec.nodes.selector",),
    "pathstyle": ("spec.cache.tiers[].objectStore.addressing",),
    "pvc": ("spec.model.source.persistentVolumeClaim",),
    "s3": ("spec.cache.tiers[].objectStore",),
    "secretaccesskey": ("spec.cache.tiers[].objectStore.credentials.secretRef",),
    "servedmodelname": ("spec.model.name",),
    "token": ("spec.model.source.huggingFace.tokenSecretRef",),
    "tp": ("spec.engine.tensorParallelSize",),
    "valuefrom": ("spec.engine.extraEnv[].secretKeyRef",),
}
# Names that stand in too many places to be a hint, unless the place is below the one where the name was written.
_COMMON: Final = frozenset({"image", "key", "memory", "name", "path", "resources", "revision", "value"})
_CUTOFF: Final = 0.6


@cache
def load_schema() -> dict[str, Any]:
    """Return the structural schema of the spec, as the CRD holds it."""
    return build_schema(InferenceCacheDeploymentSpec)


def format_path(location: Location) -> str:
    """Return a location as messages write it, such as spec.cache.tiers[1].memory."""
    return "spec" + "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in location)


def generalize(location: Location) -> str:
    """Return a location without positions, such as spec.cache.tiers[].memory."""
    return "spec" + "".join("[]" if isinstance(part, int) else f".{part}" for part in location)


def find_schema(location: Location) -> dict[str, Any]:
    """Return the schema of a place; an empty one where the spec has no such place."""
    node = load_schema()
    for part in location:
        if isinstance(part, int):
            node = node.get("items", {})
        else:
            node = node.get("properties", {}).get(part) or node.get("additionalProperties") or {}
    return node


def is_required(location: Location) -> bool:
    """Whether the object around a field must have it; the spec itself is required too."""
    return not location or location[-1] in find_schema(location[:-1]).get("required", [])


def list_fields(location: Location) -> list[str]:
    """Return the names of the fields that the object at a place may have."""
    return list(find_schema(location).get("properties", {}))


def find_nearest(name: str, known: Sequence[str]) -> str | None:
    """Return the one of the known words that a misspelt one most likely stands for."""
    plain = {flatten(word): word for word in known}
    wanted = flatten(name)
    best, *others = [*difflib.get_close_matches(wanted, plain, n=2, cutoff=_CUTOFF), ""]
    # Between two that are equally near, no guess is better than a wrong one.
    if not best or any(_likeness(wanted, best) == _likeness(wanted, other) for other in others):
        return None
    return plain[best]


def find_elsewhere(name: str, around: Location) -> Sequence[str]:
    """Return the paths of fields of that name, or of what other tools call so, below a place or else anywhere."""
    plain = flatten(name)
    found = OTHER_NAMES.get(plain) or _index_names().get(plain, [])
    below = [path for path in found if path.startswith((f"{generalize(around)}.", f"{generalize(around)}["))]
    return below or ([] if name in _COMMON else found)


def _likeness(one: str, other: str) -> float:
    return difflib.SequenceMatcher(None, other, one).ratio()


def flatten(name: str) -> str:
    """Return a name without capitals and punctuation, in which snake_case and camelCase are the same."""
    return re.sub("[^a-z0-9]", "", name.lower())


@cache
def _index_names() -> Mapping[str, list[str]]:
    found: dict[str, list[str]] = {}
    for path in _walk(load_schema(), "spec"):
        found.setdefault(flatten(path.rpartition(".")[2]), []).append(path)
    return found


def _walk(node: Mapping[str, Any], path: str) -> Iterator[str]:
    for name, child in node.get("properties", {}).items():
        yield f"{path}.{name}"
        yield from _walk(child, f"{path}.{name}")
    if isinstance(items := node.get("items"), dict):
        yield from _walk(items, f"{path}[]")
