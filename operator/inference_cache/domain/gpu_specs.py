"""What the GPU behind a value of the label nvidia.com/gpu.product can do, as its data sheet says.

Where several products are accepted nobody knows on which one a pod will run, so the plan uses the slowest value of each.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

# One way over a full slot as copies reach it, not the line rate: PCIe 5 x16 50-54 GB/s, PCIe 4 x16 28 GB/s.
_PCIE5: Final = 50e9
_PCIE4: Final = 28e9
# Half of what one direction of the CPU link of a GB200 superchip has by data sheet, as two GPUs share it.
_C2C_SHARE: Final = 225e9


@dataclass(frozen=True)
class GPUSpec:
    """One GPU.

    Attributes:
        memory_bytes: HBM, with GB = 1e9 bytes.
        flops: Dense bf16 operations per second, without sparsity.
        hbm_bytes_per_second: Bandwidth of its HBM.
        pcie_bytes_per_second: From or to the host's memory, one way.
    """

    memory_bytes: float
    flops: float
    hbm_bytes_per_second: float
    pcie_bytes_per_second: float


@dataclass(frozen=True)
class GPUChoice:
    """The figures to plan with, None where they cannot be decided, and what was decided in words."""

    spec: GPUSpec | None
    note: str


_A100_40: Final = GPUSpec(40e9, 312e12, 1.555e12, _PCIE4)
_A100_80_PCIE: Final = GPUSpec(80e9, 312e12, 1.935e12, _PCIE4)
_A100_80_SXM: Final = GPUSpec(80e9, 312e12, 2.039e12, _PCIE4)
_H100_SXM: Final = GPUSpec(80e9, 989e12, 3.35e12, _PCIE5)
_H200_SXM: Final = GPUSpec(141e9, 989e12, 4.8e12, _PCIE5)

# Vendor data sheet values (half of the figures with sparsity); none of them was measured here.
GPU_SPECS: Final[dict[str, GPUSpec]] = {
    "NVIDIA-A100-SXM4-40GB": _A100_40,
    "NVIDIA-A100-SXM4-80GB": _A100_80_SXM,
    "NVIDIA-A100-PCIE-40GB": _A100_40,
    "NVIDIA-A100-PCIE-80GB": _A100_80_PCIE,
    "NVIDIA-A100-80GB-PCIe": _A100_80_PCIE,
    "NVIDIA-H100-80GB-HBM3": _H100_SXM,
    "NVIDIA-H100-SXM5-80GB": _H100_SXM,
    "NVIDIA-H100-PCIe": GPUSpec(80e9, 756e12, 2.0e12, _PCIE5),
    "NVIDIA-H100-NVL": GPUSpec(94e9, 835.5e12, 3.9e12, _PCIE5),
    "NVIDIA-H200": _H200_SXM,
    "NVIDIA-H200-SXM5-141GB": _H200_SXM,
    "NVIDIA-H200-NVL": GPUSpec(141e9, 835.5e12, 4.8e12, _PCIE5),
    "NVIDIA-B200": GPUSpec(180e9, 2250e12, 8.0e12, _PCIE5),
    "NVIDIA-GB200": GPUSpec(186e9, 2500e12, 8.0e12, _C2C_SHARE),
    "NVIDIA-L40S": GPUSpec(48e9, 362e12, 0.864e12, _PCIE4),
}


def choose_gpu_spec(label_values: Iterable[str]) -> GPUChoice:
    """Return the figures for nodes with any of these values of nvidia.com/gpu.product.

    One value that is not in the table (a MIG slice, a shared GPU, a newer product) leaves all of it undecided.
    """
    values = sorted(set(label_values))
    if not values:
        return GPUChoice(None, "No GPU product is named, so its speed is not known.")
    unknown = [value for value in values if value not in GPU_SPECS]
    if unknown:
        return GPUChoice(None, f"The figures of {', '.join(unknown)} are not known.")
    specs = [GPU_SPECS[value] for value in values]
    slowest = GPUSpec(
        memory_bytes=min(spec.memory_bytes for spec in specs),
        flops=min(spec.flops for spec in specs),
        hbm_bytes_per_second=min(spec.hbm_bytes_per_second for spec in specs),
        pcie_bytes_per_second=min(spec.pcie_bytes_per_second for spec in specs),
    )
    if len(set(specs)) == 1:
        return GPUChoice(slowest, f"Data sheet values of {', '.join(values)}.")
    return GPUChoice(slowest, f"The smallest data sheet value of each kind among {', '.join(values)}.")
