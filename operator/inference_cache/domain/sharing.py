"""Which deployments share cached KV: those with the same layout fingerprint and the same bucket. They do so on purpose."""

from collections.abc import Iterable
from typing import Any, Final, NamedTuple

from inference_cache.api.status import CacheSharing

# Counts stop here, so that a thousand equal deployments do not rewrite each other's status again and again.
MOST_COUNTED: Final = 10
EXAMPLES: Final = 3


class SharingKey(NamedTuple):
    """What two deployments must have in common to read each other's objects."""

    fingerprint: str
    endpoint: str
    bucket: str


class Sharer(NamedTuple):
    """A deployment, ordered by age, so that newcomers do not push older ones out of the examples."""

    created: str
    namespace: str
    name: str


def build_sharing_key(deployment: dict[str, Any]) -> SharingKey | None:
    """Return the key of a deployment as it stands in its status and spec; None without fingerprint or object store."""
    fingerprint = deployment.get("status", {}).get("cacheFingerprint")
    cache = deployment.get("spec", {}).get("cache", {})
    if not isinstance(cache, dict) or cache.get("mode") == "Disabled":
        return None
    tiers = cache.get("tiers")
    stores = [tier.get("objectStore") for tier in tiers or [] if isinstance(tier, dict)]
    store = next((item for item in stores if isinstance(item, dict)), None)
    if not fingerprint or store is None:
        return None
    return SharingKey(fingerprint, str(store.get("endpoint", "")), str(store.get("bucket", {}).get("name", "")))


def build_sharer(deployment: dict[str, Any]) -> Sharer:
    """Return a deployment as others show it."""
    metadata = deployment["metadata"]
    return Sharer(metadata.get("creationTimestamp", ""), metadata.get("namespace", ""), metadata["name"])


def summarize_sharing(namespace: str, name: str, sharers: Iterable[Sharer]) -> CacheSharing | None:
    """Return what the status says of the others; names of other namespaces stay untold."""
    others = sorted(item for item in sharers if (item.namespace, item.name) != (namespace, name))
    if not others:
        return None
    examples = [item.name for item in others if item.namespace == namespace][:EXAMPLES]
    return CacheSharing(deployments=min(len(others), MOST_COUNTED), examples=sorted(examples) or None)
