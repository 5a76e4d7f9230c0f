"""What changing each field of the spec costs: nothing, a restart of pods, or the cache.

One table, held against the schema by a test, so that a new field cannot be forgotten. What a given change really costs
is computed from what would be rendered (`change_plan`); the table says what to expect and why, and a test changes every
field and compares the two.
"""

from dataclasses import dataclass
from enum import StrEnum
from typing import Final


class ChangeClass(StrEnum):
    """Cost of a change, in growing order."""

    NONE = "None"
    HOT = "Hot"
    ROLLING = "Rolling"
    CACHE_BREAKING = "CacheBreaking"

    @property
    def rank(self) -> int:
        """Position in the order of cost."""
        return list(ChangeClass).index(self)


@dataclass(frozen=True)
class Entry:
    """What a field's change costs.

    Attributes:
        classes: Every class that a change of this field can have; several where the value decides.
        why: What the field touches.
    """

    classes: frozenset[ChangeClass]
    why: str

    @property
    def words(self) -> str:
        """The classes as the documentation writes them."""
        return " or ".join(item.value for item in sorted(self.classes, key=lambda item: item.rank))


def _hot(why: str) -> Entry:
    return Entry(frozenset({ChangeClass.HOT}), why)


def _rolling(why: str) -> Entry:
    return Entry(frozenset({ChangeClass.ROLLING}), why)


def _breaking(why: str) -> Entry:
    return Entry(frozenset({ChangeClass.CACHE_BREAKING}), why)


def _some(why: str, *classes: ChangeClass) -> Entry:
    return Entry(frozenset(classes), why)


_H, _R, _C = ChangeClass.HOT, ChangeClass.ROLLING, ChangeClass.CACHE_BREAKING

CHANGE_CLASSES: Final[dict[str, Entry]] = {
    "replicas": _hot("pods are added or removed; those that stay are not touched"),
    "model.name": _rolling("name in vLLM's API; keys of the cache hold the fingerprint instead"),
    "model.source": _breaking("other weights compute other keys and values"),
    "model.source.huggingFace.tokenSecretRef": _rolling("only who may download"),
    "model.source.image.reference": _some("the digest names the weights, the registry does not", _R, _C),
    "model.source.image.pullPolicy": _rolling("only when the image is pulled"),
    "model.maxModelLen": _breaking("models with LongRoPE rotate keys by other factors above their original length"),
    "model.architecture": _some("describes the weights; may change how many loads run at a time", _H, _R),
    "engine.tensorParallelSize": _breaking("each GPU stores its share of the heads"),
    "engine.gpuMemoryUtilizationPercent": _rolling("size of the KV pool in HBM"),
    "engine.dtype": _breaking("the same bytes mean other numbers"),
    "engine.kvCacheDtype": _breaking("the same bytes mean other numbers"),
    "engine.blockTokens": _breaking("blocks order the bytes within a chunk"),
    "engine.image": _some("cache kept if the versions behind it have the same key format", _R, _C),
    "engine.versions": _some("cache kept if the versions have the same key format", _H, _R, _C),
    "engine.resources": _rolling("requests and limits of the engine container"),
    "engine.extraArgs": _some("cache kept for options that are known to leave it alone", _R, _C),
    "engine.extraEnv": _some("cache kept for variables that are known to leave it alone", _R, _C),
    "cache.mode": _some(
        "Disabled takes the cache server away or brings it; Required only changes what Ready means", _H, _R
    ),
    "cache.chunkTokens": _breaking("an object holds one chunk"),
    "cache.resources": _rolling("requests and limits of the cache server"),
    "cache.tiers[].memory": _rolling("size and eviction of the memory tier, which begins empty after a restart"),
    "cache.tiers[].objectStore.endpoint": _breaking(
        "another store, as far as can be told; the objects of the old one are not read"
    ),
    "cache.tiers[].objectStore.region": _rolling("only how requests are signed"),
    "cache.tiers[].objectStore.bucket": _breaking("objects of the old bucket stay there and are not read"),
    "cache.tiers[].objectStore.addressing": _some("Path needs NIXL, which names objects differently", _R, _C),
    "cache.tiers[].objectStore.tls": _some("a private authority needs NIXL, which names objects differently", _R, _C),
    "cache.tiers[].objectStore.credentials": _rolling("pods read keys at their start"),
    "cache.tiers[].objectStore.client": _some("LMCacheS3 and NIXL name objects differently", _H, _C),
    "cache.tiers[].objectStore.plugin": _some(
        "the cache server's adapter where pods are made for RDMA; elsewhere another one of the same names stands in",
        _H,
        _R,
    ),
    "cache.tiers[].objectStore.plugin.objectNames": _breaking("objects of other names are not found"),
    "cache.tiers[].objectStore.plugin.modulePath": _some(
        "an adapter with names of its own is another one by its module, else as plugin", _H, _R, _C
    ),
    "cache.tiers[].objectStore.plugin.className": _some(
        "an adapter with names of its own is another one by its class, else as plugin", _H, _R, _C
    ),
    "cache.tiers[].objectStore.plugin.tcpParameters": _rolling("parameters of the cache server's adapter"),
    "cache.tiers[].objectStore.rdmaDialect": _some(
        "chooses NIXL where client is Auto, which names objects differently; else an option of pods made for RDMA",
        _H,
        _R,
        _C,
    ),
    "cache.tiers[].objectStore.maxInFlightLoads": _some(
        "an option of the cache server, if it is another number than the computed one", _H, _R
    ),
    "cache.tiers[].objectStore.afterLoad": _some("an option of the cache server", _H, _R),
    "cache.tiers[].objectStore.ioThreads": _rolling("an option of the cache server"),
    "cache.tiers[].objectStore.link": _hot("only the capacity plan reads it"),
    "transport.policy": _some("devices, networks and preflight of pods, where devices are named", _H, _R),
    "transport.fabricRef": _some("devices and networks of pods that are made for RDMA", _H, _R),
    "transport.rdma": _some("devices and networks of pods that are made for RDMA", _H, _R),
    "transport.recovery": _hot("only the operator reads it"),
    "transport.lockedMemory": _some("capability of pods that are made for RDMA", _H, _R),
    "nodes": _rolling("placement of pods"),
    "nodes.requirements.gpu.partitioning": _some(
        "checked; label values of accepted products, and the eligibility label where there is one", _H, _R
    ),
    "nodes.requirements.memory": _some("checked, and part of the eligibility label where there is one", _H, _R),
    "nodes.requirements.hugePages": _some("checked; placement of pods if it is more than they request", _H, _R),
    "nodes.requirements.rdma": _some("placement of pods that are made for RDMA", _H, _R),
    "nodes.requirements.dpu": _some("placement of pods that are made for RDMA", _H, _R),
    "nodes.requirements.numa": _some("placement of pods, if zones matter at all", _H, _R),
    "rollout.maxUnavailable": _hot("only the disruption budget and the operator read it"),
    "rollout.drainSeconds": _rolling("times of a pod's end"),
    "observability": _rolling("options and variables of engine and cache server"),
    "workload": _hot("only the capacity plan reads it"),
}
"""Cost of a change by field; the longest path that covers a field holds."""


def find_entry(path: str) -> tuple[str, Entry] | None:
    """Return the entry that covers a field, with its path; list items are written as []."""
    parts = path.split(".")
    for end in range(len(parts), 0, -1):
        candidate = ".".join(parts[:end])
        for name in (candidate, candidate.removesuffix("[]")):
            if name in CHANGE_CLASSES:
                return name, CHANGE_CLASSES[name]
    return None
