"""Families of GPU products and the values of the label nvidia.com/gpu.product that belong to them.

Placement needs exact label values, and a list read from the nodes would change with every node that joins and roll the
pods. So families are data here; anything else a user writes is taken as an exact label value.
"""

from typing import Final

GPU_FAMILIES: Final[dict[str, tuple[str, ...]]] = {
    "A100": (
        "NVIDIA-A100-SXM4-40GB",
        "NVIDIA-A100-SXM4-80GB",
        "NVIDIA-A100-PCIE-40GB",
        "NVIDIA-A100-PCIE-80GB",
        "NVIDIA-A100-80GB-PCIe",
    ),
    "H100": ("NVIDIA-H100-80GB-HBM3", "NVIDIA-H100-PCIe", "NVIDIA-H100-NVL", "NVIDIA-H100-SXM5-80GB"),
    "H200": ("NVIDIA-H200", "NVIDIA-H200-NVL", "NVIDIA-H200-SXM5-141GB"),
    "B200": ("NVIDIA-B200",),
    "GB200": ("NVIDIA-GB200",),
    "L40S": ("NVIDIA-L40S",),
}


def expand_products(products: list[str]) -> list[str]:
    """Return the accepted label values, sorted, without duplicates."""
    values: set[str] = set()
    for product in products:
        values.update(GPU_FAMILIES.get(product, (product,)))
    return sorted(values)
