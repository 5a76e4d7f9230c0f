"""What a spec asks of GPUs, in the units of the node labels that tell it."""

from typing import Final

from inference_cache.api.nodes import GPURequirements
from inference_cache.api.quantities import parse_quantity

_MIB: Final = 2**20


def least_gpu_memory_mib(gpu: GPURequirements | None) -> int:
    """Return the least memory of each GPU in MiB, rounded down; 0 where the spec asks for none.

    An H200 of 141 GB reports 143771 MiB; rounding up would let a requirement of exactly that size exclude it.
    """
    return parse_quantity(gpu.min_memory_per_gpu) // _MIB if gpu and gpu.min_memory_per_gpu else 0
