"""Rules of the spec about its transport: what RDMA needs of cache, client and nodes.

With policy Auto nothing of this is a mistake: such a deployment runs over TCP, and its status tells why.
"""

from typing import Any, Final

from .base import Rule, count_set
from .cache import Addressing, ObjectStoreTier, StoreClient
from .networks import LinkType
from .store_plugin import ObjectNames
from .transport import TransportPolicy

_REQUIRED: Final = "has(self.transport) && has(self.transport.policy) && self.transport.policy == 'RequireRDMA'"
_NAMED: Final = "has(self.transport) && (has(self.transport.fabricRef) || has(self.transport.rdma))"
_NEEDS: Final = "has(self.nodes) && has(self.nodes.requirements)"


def _stores(condition: str) -> str:
    return f"has(self.cache.tiers) && self.cache.tiers.exists(t, has(t.objectStore) && ({condition}))"


_SPEAKS_TCP: Final = (
    "!has(t.objectStore.rdmaDialect) && !(has(t.objectStore.client) && t.objectStore.client == 'Plugin')"
)
_ASKS_FOR: Final = "has(t.objectStore.client) && t.objectStore.client == '{}'"
_CANNOT_FALL_BACK: Final = (
    "has(t.objectStore.plugin) && t.objectStore.plugin.objectNames == 'LMCacheS3' && "
    "(has(t.objectStore.tls) || has(t.objectStore.addressing) && t.objectStore.addressing == 'Path')"
)
_TWO_LINK_TYPES: Final = (
    "has(self.transport) && has(self.transport.rdma) && has(self.transport.rdma.linkType) && "
    f"{_NEEDS} && has(self.nodes.requirements.rdma) && has(self.nodes.requirements.rdma.linkType) && "
    "self.transport.rdma.linkType != self.nodes.requirements.rdma.linkType"
)


def _requires_rdma(spec: Any) -> bool:
    return spec.transport is not None and spec.transport.policy is TransportPolicy.REQUIRE_RDMA


def _names_devices(spec: Any) -> bool:
    return spec.transport is not None and count_set(spec.transport, "fabric_ref", "rdma") > 0


def _find_store(spec: Any) -> ObjectStoreTier | None:
    return next((tier.object_store for tier in spec.cache.tiers or [] if tier.object_store is not None), None)


def _speaks_tcp(store: ObjectStoreTier | None) -> bool:
    return store is not None and store.client is not StoreClient.PLUGIN and store.rdma_dialect is None


def _say_client(spec: Any) -> str:
    store = _find_store(spec)
    return f"client {(store.client if store and store.client else StoreClient.AUTO).value} without rdmaDialect"


def _cannot_fall_back(store: ObjectStoreTier | None) -> bool:
    if store is None or store.plugin is None or store.plugin.object_names is not ObjectNames.LMCACHE_S3:
        return False
    return store.tls is not None or store.addressing is Addressing.PATH


def _list_link_types(spec: Any) -> tuple[LinkType | None, LinkType | None]:
    """Return the link layer of the devices that the spec names, and the one that it asks of nodes."""
    devices = spec.transport.rdma if spec.transport else None
    requirements = spec.nodes.requirements if spec.nodes else None
    wanted = requirements.rdma if requirements else None
    return devices.link_type if devices else None, wanted.link_type if wanted else None


def _asks_for_adapters(spec: Any) -> bool:
    requirements = spec.nodes.requirements if spec.nodes else None
    return requirements is not None and count_set(requirements, "rdma", "dpu") > 0


TRANSPORT_RULES: Final = (
    Rule(
        cel=f"!({_REQUIRED}) || {_stores('true')}",
        message="transport.policy RequireRDMA needs an objectStore tier, as RDMA leads to the object store; write one in cache.tiers, or policy: Auto",
        holds=lambda m: not _requires_rdma(m) or _find_store(m) is not None,
        got_cel="has(self.cache.tiers) ? 'a memory tier alone' : 'no tiers'",
        got=lambda m: "a memory tier alone" if m.cache.tiers else "no tiers",
        path=".transport.policy",
    ),
    Rule(
        cel=f"!({_REQUIRED}) || !({_stores(_SPEAKS_TCP)})",
        message="transport.policy RequireRDMA needs a client that speaks RDMA; write rdmaDialect beside client NIXL or Auto, or client: Plugin with plugin, or policy: Auto",
        holds=lambda m: not _requires_rdma(m) or not _speaks_tcp(_find_store(m)),
        # Spelt out, as the API server grants no text from within a list.
        got_cel=f"{_stores(_ASKS_FOR.format('LMCacheS3'))} ? 'client LMCacheS3 without rdmaDialect' : "
        f"{_stores(_ASKS_FOR.format('NIXL'))} ? 'client NIXL without rdmaDialect' : 'client Auto without rdmaDialect'",
        got=_say_client,
        path=".transport.policy",
    ),
    Rule(
        cel=f"({_REQUIRED}) || !({_stores(_CANNOT_FALL_BACK)})",
        message="plugin.objectNames LMCacheS3 must not be combined with addressing Path or tls, as LMCache's own client takes over where a pod has no RDMA and knows neither; write objectNames: NIXL or Own if the adapter names objects so, or transport.policy: RequireRDMA",
        holds=lambda m: _requires_rdma(m) or not _cannot_fall_back(_find_store(m)),
        got_cel="'objectNames LMCacheS3'",
        got=lambda _: "objectNames LMCacheS3",
        path=".cache.tiers",
    ),
    Rule(
        cel=f"!({_TWO_LINK_TYPES})",
        message="nodes.requirements.rdma.linkType must be the one of transport.rdma.linkType, or no node fits; write the same in both, or remove one",
        holds=lambda m: None in _list_link_types(m) or len(set(_list_link_types(m))) == 1,
        got_cel="self.nodes.requirements.rdma.linkType + ' and ' + self.transport.rdma.linkType",
        got=lambda m: " and ".join(str(item) for item in reversed(_list_link_types(m))),
        path=".nodes.requirements.rdma.linkType",
    ),
    Rule(
        cel=f"({_NAMED}) || !({_NEEDS} && (has(self.nodes.requirements.rdma) || has(self.nodes.requirements.dpu)))",
        message="what nodes.requirements.rdma and dpu ask for needs transport.fabricRef or transport.rdma, as nobody looks at adapters that no pod gets; write transport: {fabricRef: {name: FABRIC}}, or remove them",
        holds=lambda m: _names_devices(m) or not _asks_for_adapters(m),
        got_cel="has(self.nodes.requirements.rdma) ? 'rdma' : 'dpu'",
        got=lambda m: "rdma" if m.nodes.requirements.rdma is not None else "dpu",
        path=".nodes.requirements",
    ),
)
"""Rules that look at more than the transport."""
