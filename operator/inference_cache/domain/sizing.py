"""What a pod requests, from the one size that the user states.

The values are starting points on the safe side; they are requests that the scheduler and the node check both use.
"""

from dataclasses import dataclass
from typing import Final

from inference_cache.api.quantities import GIB

from .defaults import Settled

# LMCache's resident size was L1 + 1.4 GiB with one GPU; each further rank adds a context. LMCache's own operator adds 5.
_CACHE_OVERHEAD: Final = 8 * GIB
_ENGINE_BASE: Final = 16 * GIB
_ENGINE_PER_GPU: Final = 6 * GIB
_SHM_PER_GPU: Final = 2 * GIB
_SHM_MINIMUM: Final = 4 * GIB
_CACHE_CPUS: Final = 4


@dataclass(frozen=True)
class Sizes:
    """Sizes of one pod; memory in bytes."""

    cache_memory: int
    cache_cpus: int
    engine_memory: int
    engine_cpus: int
    shm: int
    gpus: int

    @property
    def pod_memory(self) -> int:
        """Memory that a node must have free for one pod."""
        return self.cache_memory + self.engine_memory


def compute_sizes(settled: Settled) -> Sizes:
    """Return the sizes of one pod."""
    gpus = settled.tensor_parallel_size
    shm = max(_SHM_MINIMUM, gpus * _SHM_PER_GPU)
    return Sizes(
        cache_memory=settled.memory_bytes + _CACHE_OVERHEAD,
        cache_cpus=_CACHE_CPUS,
        # /dev/shm is memory-backed and counts towards the container that writes to it.
        engine_memory=_ENGINE_BASE + gpus * _ENGINE_PER_GPU + shm,
        engine_cpus=max(4, 2 * gpus),
        shm=shm,
        gpus=gpus,
    )
