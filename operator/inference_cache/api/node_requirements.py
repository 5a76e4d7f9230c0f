"""What a node must have: GPUs, kernel, network adapters, DPUs, huge pages, memory and their NUMA zones."""

import re
from enum import StrEnum
from typing import Annotated, Final

from pydantic import Field

from .base import LABEL_VALUE, ApiModel, Rule, UniqueItems, match_rule, ruled
from .networks import LinkType
from .quantities import MemorySize

_GPU_PRODUCT = match_rule(
    LABEL_VALUE,
    (
        "must be a GPU family such as H200, or a value of the label nvidia.com/gpu.product, which has no blanks, such as "
        "NVIDIA-H200; copy it from kubectl get nodes -L nvidia.com/gpu.product"
    ),
)
GPUProduct = Annotated[str, *ruled(_GPU_PRODUCT, min_length=1, max_length=63)]

_COMPUTE_PATTERN: Final = "^[0-9]{1,2}[.][0-9]$"
_COMPUTE = match_rule(
    _COMPUTE_PATTERN,
    "must be a CUDA compute capability, MAJOR.MINOR; write it in quotes, such as '9.0' for Hopper",
)
_KERNEL_PATTERN: Final = "^[0-9]{1,3}[.][0-9]{1,3}$"
_KERNEL = match_rule(
    _KERNEL_PATTERN,
    "must be a Linux kernel version, MAJOR.MINOR; write it in quotes, such as '5.14'",
)
_FIRMWARE_PATTERN: Final = "^[0-9]{1,4}([.][0-9]{1,5}){1,3}$"
_FIRMWARE = match_rule(
    _FIRMWARE_PATTERN,
    "must be a firmware version of numbers and dots, such as 28.39.1002; copy it from kubectl get nicdevices or mlxfwmanager",
)
_PCI_ID_PATTERN: Final = "^[0-9a-f]{4}$"
DPU_MODELS: Final = ("BlueField-2", "BlueField-3")
NIC_MODELS: Final = ("ConnectX-6", "ConnectX-6 Dx", "ConnectX-7", "ConnectX-8", "ConnectX-9", *DPU_MODELS)


def _one_of(models: tuple[str, ...]) -> Rule:
    return Rule(
        cel=f"self in {list(models)!r} || self.matches('{_PCI_ID_PATTERN}')",
        message=f"must be {', '.join(models)} or a PCI device id of four lower case hexadecimal digits; write for instance {models[-1]}",
        holds=lambda text: text in models or bool(re.fullmatch(_PCI_ID_PATTERN, text)),
    )


NICModel = Annotated[str, *ruled(_one_of(NIC_MODELS), min_length=1, max_length=32)]
DPUModel = Annotated[str, *ruled(_one_of(DPU_MODELS), min_length=1, max_length=32)]


class Partitioning(StrEnum):
    """Whether GPUs that are cut into pieces are accepted."""

    REFUSE = "Refuse"
    ACCEPT = "Accept"


class GPUDirect(StrEnum):
    """Whether the NIC must be able to reach GPU memory."""

    IGNORE = "Ignore"
    REQUIRE = "Require"


class DPUMode(StrEnum):
    """How a BlueField works."""

    DPU = "DPU"
    NIC = "NIC"


class NUMAAlignment(StrEnum):
    """Whether GPUs and RDMA devices of a pod must come from one NUMA zone."""

    NONE = "None"
    SINGLE_ZONE = "SingleZone"


class GPURequirements(ApiModel):
    """What the GPUs of a node must be."""

    products: Annotated[list[GPUProduct], *ruled(unique=UniqueItems(), min_length=1, max_length=16)] | None = None
    """Accepted GPU models: a family that the operator knows (H100, H200, B200, ...; docs/reference/gpu-products.md) or an exact value of the label nvidia.com/gpu.product. Without it: any."""
    min_memory_per_gpu: Annotated[MemorySize | None, Field(alias="minMemoryPerGPU")] = None
    """Least memory of each GPU, as the label nvidia.com/gpu.memory tells (MiB). Without it: any."""
    driver_major_at_least: Annotated[int, Field(ge=400, le=9999)] | None = None
    """Least major version of the NVIDIA driver, as the label nvidia.com/cuda.driver-version.major tells. Without it: any."""
    compute_capability_at_least: Annotated[str, *ruled(_COMPUTE, min_length=1, max_length=16)] | None = None
    """Least CUDA compute capability, as the labels nvidia.com/gpu.compute.major and minor tell. Without it: any."""
    partitioning: Partitioning | None = None
    """Accept takes nodes whose GPUs are shared by time slicing or MPS, or cut by MIG. Without it: Refuse, as a tensor-parallel engine needs whole GPUs."""


class RDMARequirements(ApiModel):
    """What the network adapters for RDMA must be. With transport.policy Auto, nodes that miss it count as nodes without RDMA; with RequireRDMA they are not eligible; with TCP nobody asks."""

    link_type: LinkType | None = None
    """Link layer. Without it: that of the fabric."""
    min_speed_gbps: Annotated[int, Field(ge=1, le=3200)] | None = None
    """Least speed of one port in Gb/s. Without it: any."""
    nic_models: Annotated[list[NICModel], *ruled(unique=UniqueItems(), min_length=1, max_length=16)] | None = None
    """Accepted network adapters, by model or PCI device id. Without it: any."""
    firmware_at_least: Annotated[str, *ruled(_FIRMWARE, min_length=1, max_length=32)] | None = None
    """Least firmware of the network adapter. Without it: any."""
    gpu_direct: Annotated[GPUDirect | None, Field(alias="gpuDirect")] = None
    """Require takes only nodes whose kernel, driver and GPU can share GPU memory with the NIC by DMA-BUF, as far as a node tells. Without it: Ignore, as LMCache moves KV between DRAM and the store."""


class DPURequirements(ApiModel):
    """What the DPU of a node must be; counts like the requirements of RDMA."""

    models: Annotated[list[DPUModel], *ruled(unique=UniqueItems(), min_length=1, max_length=16)] | None = None
    """Accepted DPUs, by model or PCI device id. Without it: any BlueField."""
    mode: DPUMode | None = None
    """DPU: the BlueField's own cores handle the traffic; NIC: it works as a plain adapter. Without it: DPU."""


class NUMARequirements(ApiModel):
    """How the devices of a pod must lie to each other."""

    alignment: NUMAAlignment
    """Whether they must be of one zone: SingleZone takes only nodes of which NodeResourceTopology says that one zone has all GPUs and RDMA devices of a pod; None asks for nothing."""


class NodeRequirements(ApiModel):
    """What a node must have to be eligible."""

    gpu: GPURequirements | None = None
    """GPU requirements. The count comes from engine.tensorParallelSize."""
    memory: MemorySize | None = None
    """Least allocatable memory. Without it: what one replica requests."""
    huge_pages: MemorySize | None = None
    """Least allocatable huge pages of 2Mi. Without it: what one replica requests."""
    kernel_at_least: Annotated[str, *ruled(_KERNEL, min_length=1, max_length=64)] | None = None
    """Least version of the Linux kernel. Without it: any."""
    rdma: RDMARequirements | None = None
    """Network adapters for RDMA."""
    dpu: DPURequirements | None = None
    """DPU."""
    numa: NUMARequirements | None = None
    """NUMA zones."""
