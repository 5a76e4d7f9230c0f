"""What a spec means where it says nothing. Defaults are applied here and never written into a stored object."""

from dataclasses import dataclass
from typing import Final

from inference_cache.api.quantities import parse_quantity
from inference_cache.api.v1alpha1 import InferenceCacheDeploymentSpec, KVCacheDtype, ObjectStoreTier

# LMCache's connector refuses another algorithm than the server's; blake3 does not depend on PYTHONHASHSEED (LMCache#1139).
HASH_ALGORITHM: Final = "blake3"


@dataclass(frozen=True)
class Settled:
    """A spec with every default filled in, flattened to what the builders need. Sizes are bytes, times are seconds."""

    spec: InferenceCacheDeploymentSpec
    replicas: int
    tensor_parallel_size: int
    gpu_memory_utilization_percent: int
    kv_cache_dtype: KVCacheDtype
    chunk_tokens: int
    memory_bytes: int
    object_store: ObjectStoreTier | None
    max_unavailable: int
    drain_seconds: int


def settle(spec: InferenceCacheDeploymentSpec) -> Settled:
    """Return the spec with its defaults."""
    engine, rollout = spec.engine, spec.rollout
    memory = next(tier.memory for tier in spec.cache.tiers if tier.memory is not None)
    store = next((tier.object_store for tier in spec.cache.tiers if tier.object_store is not None), None)
    return Settled(
        spec=spec,
        replicas=1 if spec.replicas is None else spec.replicas,
        tensor_parallel_size=(engine.tensor_parallel_size if engine else None) or 1,
        gpu_memory_utilization_percent=(engine.gpu_memory_utilization_percent if engine else None) or 88,
        kv_cache_dtype=(engine.kv_cache_dtype if engine else None) or KVCacheDtype.AUTO,
        chunk_tokens=spec.cache.chunk_tokens or 256,
        memory_bytes=parse_quantity(memory.size),
        object_store=store,
        max_unavailable=(rollout.max_unavailable if rollout else None) or 1,
        drain_seconds=(rollout.drain_seconds if rollout else None) or 120,
    )
