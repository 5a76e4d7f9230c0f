"""What a spec asks of GPUs, in the units of the node labels that tell it."""

from typing import Final

from inference_cache.api.node_requirements import GPURequirements, Partitioning
from inference_cache.api.quantities import parse_quantity

from .gpu_products import expand_products

_MIB: Final = 2**20
# GPU Feature Discovery appends it to the product of GPUs that are shared by time slicing or MPS.
SHARED_SUFFIX: Final = "-SHARED"


def least_gpu_memory_mib(gpu: GPURequirements | None) -> int:
    """Return the least memory of each GPU in MiB, rounded down; 0 where the spec asks for none.

    An H200 of 141 GB reports 143771 MiB; rounding up would let a requirement of exactly that size exclude it.
    """
    return parse_quantity(gpu.min_memory_per_gpu) // _MIB if gpu and gpu.min_memory_per_gpu else 0


def accept_products(gpu: GPURequirements | None) -> list[str]:
    """Return the accepted values of the label nvidia.com/gpu.product, sorted; none where any will do.

    Where shared GPUs are accepted, the product goes by two names.
    """
    if gpu is None or not gpu.products:
        return []
    products = expand_products(gpu.products)
    if gpu.partitioning is Partitioning.ACCEPT:
        products = sorted({*products, *(f"{item.removesuffix(SHARED_SUFFIX)}{SHARED_SUFFIX}" for item in products)})
    return products
