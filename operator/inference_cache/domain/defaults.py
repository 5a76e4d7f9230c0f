"""What a spec means where it says nothing. Defaults are applied here and never written into a stored object."""

from dataclasses import dataclass
from typing import Final

from inference_cache.api.cache import (
    Addressing,
    AfterLoad,
    CacheMode,
    EvictionPolicy,
    MemoryTier,
    ObjectStoreTier,
    Pages,
    StoreClient,
)
from inference_cache.api.engine import Dtype, Engine, KVCacheDtype
from inference_cache.api.node_requirements import NodeRequirements, NUMAAlignment, Partitioning
from inference_cache.api.observability import LogLevel, Observability, Switch
from inference_cache.api.quantities import parse_quantity
from inference_cache.api.store_plugin import ObjectNames
from inference_cache.api.transport import LockedMemory, Recovery, Transport, TransportPolicy
from inference_cache.api.v1alpha1 import InferenceCacheDeploymentSpec

# LMCache's connector refuses another algorithm than the server's; blake3 does not depend on PYTHONHASHSEED (LMCache#1139).
HASH_ALGORITHM: Final = "blake3"
MAX_IN_FLIGHT_LOADS: Final = 8
_CHUNK_TOKENS: Final = 256


@dataclass(frozen=True)
class Settled:
    """A spec with every default filled in, flattened to what the builders need. Sizes are bytes, times are seconds.

    Attributes:
        cache_enabled: Whether pods get a cache server; without it, memory_bytes is 0 and object_store None.
        client: Client of the store, never Auto.
        object_names: How the client names objects: what serves the same objects over TCP must use these names too.
        max_in_flight_loads: What the spec asks for; None leaves the choice to the sizing.
        transport_policy: What the spec asks for, even where no devices are named; wants_rdma weighs both.
        requirements: What a node must have; the empty one where the spec asks for nothing.
    """

    spec: InferenceCacheDeploymentSpec
    replicas: int
    tensor_parallel_size: int
    gpu_memory_utilization_percent: int
    dtype: Dtype
    kv_cache_dtype: KVCacheDtype
    block_tokens: int | None
    cache_mode: CacheMode
    cache_enabled: bool
    chunk_tokens: int
    memory_bytes: int
    pages: Pages
    eviction_policy: EvictionPolicy
    eviction_watermark_percent: int
    eviction_percent: int
    object_store: ObjectStoreTier | None
    addressing: Addressing
    client: StoreClient
    object_names: ObjectNames
    max_in_flight_loads: int | None
    after_load: AfterLoad
    max_unavailable: int
    drain_seconds: int
    log_level: LogLevel
    request_logs: bool
    metrics_sample_percent: int
    transport_policy: TransportPolicy
    recovery: Recovery
    locked_memory: LockedMemory
    requirements: NodeRequirements
    partitioning: Partitioning
    numa_alignment: NUMAAlignment

    @property
    def wants_rdma(self) -> bool:
        """Whether the spec asks for RDMA: a policy that allows it, and devices or a fabric for it."""
        transport = self.spec.transport
        named = transport is not None and (transport.fabric_ref is not None or transport.rdma is not None)
        return named and self.transport_policy is not TransportPolicy.TCP

    @property
    def client_speaks_rdma(self) -> bool:
        """Whether the client can reach the store over RDMA: a vendor's adapter, or NIXL in a dialect that the store has."""
        if self.object_store is None:
            return False
        return self.client is StoreClient.PLUGIN or self.object_store.rdma_dialect is not None

    @property
    def extra_args(self) -> tuple[str, ...]:
        """Options from the hatch, in the order of their text: the list is a set."""
        engine = self.spec.engine
        return tuple(sorted((engine.extra_args if engine else None) or []))


def settle(spec: InferenceCacheDeploymentSpec) -> Settled:
    """Return the spec with its defaults."""
    engine = spec.engine or Engine()
    rollout = spec.rollout
    seen = spec.observability or Observability()
    mode = spec.cache.mode or CacheMode.OPPORTUNISTIC
    declared = next((tier.object_store for tier in spec.cache.tiers or [] if tier.object_store is not None), None)
    tiers = [] if mode is CacheMode.DISABLED else spec.cache.tiers or []
    memory = next((tier.memory for tier in tiers if tier.memory is not None), None)
    store = next((tier.object_store for tier in tiers if tier.object_store is not None), None)
    tier = memory or MemoryTier(size="1Gi")
    transport = spec.transport or Transport()
    requirements = (spec.nodes.requirements if spec.nodes else None) or NodeRequirements()
    return Settled(
        spec=spec,
        replicas=1 if spec.replicas is None else spec.replicas,
        tensor_parallel_size=engine.tensor_parallel_size or 1,
        gpu_memory_utilization_percent=engine.gpu_memory_utilization_percent or 88,
        dtype=engine.dtype or Dtype.AUTO,
        kv_cache_dtype=engine.kv_cache_dtype or KVCacheDtype.AUTO,
        block_tokens=engine.block_tokens,
        cache_mode=mode,
        cache_enabled=memory is not None,
        chunk_tokens=spec.cache.chunk_tokens or _CHUNK_TOKENS,
        memory_bytes=parse_quantity(memory.size) if memory else 0,
        pages=tier.pages or Pages.STANDARD,
        eviction_policy=tier.eviction_policy or EvictionPolicy.LRU,
        eviction_watermark_percent=tier.eviction_watermark_percent or 80,
        eviction_percent=tier.eviction_percent or 20,
        object_store=store,
        addressing=(store.addressing if store else None) or Addressing.VIRTUAL_HOST,
        # Of a cache that is switched off too: it names the objects that are there when it is switched on again.
        client=choose_client(declared),
        object_names=choose_object_names(declared),
        max_in_flight_loads=store.max_in_flight_loads if store else None,
        after_load=(store.after_load if store else None) or AfterLoad.DROP,
        max_unavailable=(rollout.max_unavailable if rollout else None) or 1,
        drain_seconds=(rollout.drain_seconds if rollout else None) or 120,
        log_level=seen.log_level or LogLevel.INFO,
        request_logs=seen.request_logs is Switch.ENABLED,
        metrics_sample_percent=seen.metrics_sample_percent or 1,
        transport_policy=transport.policy or TransportPolicy.AUTO,
        recovery=transport.recovery or Recovery.NEXT_RESTART,
        locked_memory=transport.locked_memory or LockedMemory.IPC_LOCK,
        requirements=requirements,
        partitioning=(requirements.gpu.partitioning if requirements.gpu else None) or Partitioning.REFUSE,
        numa_alignment=requirements.numa.alignment if requirements.numa else NUMAAlignment.NONE,
    )


def choose_client(store: ObjectStoreTier | None) -> StoreClient:
    """Return the client that can reach the store.

    LMCache's own knows neither path addressing nor a private authority nor RDMA. The transport has no say: both must
    find the same objects.
    """
    if store is None:
        return StoreClient.LMCACHE_S3
    asked = store.client or StoreClient.AUTO
    if asked is not StoreClient.AUTO:
        return asked
    needs_nixl = store.addressing is Addressing.PATH or store.tls is not None or store.rdma_dialect is not None
    return StoreClient.NIXL if needs_nixl else StoreClient.LMCACHE_S3


def choose_object_names(store: ObjectStoreTier | None) -> ObjectNames:
    """Return how the client names the objects of the store; of a vendor's adapter the spec says so."""
    if store is not None and store.plugin is not None:
        return store.plugin.object_names
    return ObjectNames.NIXL if choose_client(store) is StoreClient.NIXL else ObjectNames.LMCACHE_S3
