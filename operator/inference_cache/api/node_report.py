"""NodeCapabilityReport v1alpha1: what the node validator probed on one node. Written by the validator, read by the operator."""

from enum import StrEnum
from typing import Annotated, Final

from pydantic import Field

from .base import ApiModel, match_rule, ruled
from .v1alpha1 import GROUP, VERSION

REPORT_KIND: Final = "NodeCapabilityReport"
REPORT_PLURAL: Final = "nodecapabilityreports"
REPORT_API_VERSION: Final = f"{GROUP}/{VERSION}"

_Short = Annotated[str, Field(max_length=64)]
_Size = Annotated[int, Field(ge=-1, le=2**60)]

_TIME_PATTERN: Final = "^[0-9]{4}-(0[1-9]|1[0-2])-(0[1-9]|[12][0-9]|3[01])T([01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9]Z$"
_TIME = match_rule(
    _TIME_PATTERN,
    "must be a time in UTC and whole seconds; write for instance 2026-01-31T12:00:00Z",
)


class FunctionKind(StrEnum):
    """Kind of a PCI function."""

    PHYSICAL = "Physical"
    VIRTUAL = "Virtual"


class ReportedPort(ApiModel):
    """One port of an RDMA device, from /sys/class/infiniband."""

    number: Annotated[int, Field(ge=1, le=255)]
    """Port number."""
    link_layer: _Short | None = None
    """Ethernet or InfiniBand."""
    state: _Short | None = None
    """Logical state, such as ACTIVE or DOWN."""
    physical_state: _Short | None = None
    """Physical state, such as LinkUp or Disabled."""
    rate_gbps: Annotated[int, Field(ge=0, le=100_000)] | None = None
    """Rate in Gb/s."""
    subnet_manager_lid: Annotated[int, Field(ge=0, le=65535)] | None = None
    """LID of the subnet manager; 0 means that an InfiniBand port has none."""
    gids: Annotated[int, Field(ge=0, le=1024)] | None = None
    """GIDs that are not zero."""
    roce_v2_gids: Annotated[int, Field(ge=0, le=1024)] | None = None
    """Those of type RoCE v2."""


class ReportedDevice(ApiModel):
    """One PCI function of a network adapter, with its RDMA device and its interface."""

    pci_address: _Short
    """PCI address."""
    vendor: _Short
    """PCI vendor id."""
    device: _Short
    """PCI device id."""
    interface: _Short | None = None
    """Network interface."""
    interface_state: _Short | None = None
    """Its operstate, such as up or down."""
    mtu: Annotated[int, Field(ge=0, le=1_000_000)] | None = None
    """MTU of the interface."""
    speed_gbps: Annotated[int, Field(ge=0, le=100_000)] | None = None
    """Speed of the interface in Gb/s."""
    rdma_device: _Short | None = None
    """RDMA device, such as mlx5_0."""
    char_device: _Short | None = None
    """Its uverbs device, if the file exists."""
    firmware: _Short | None = None
    """Firmware version."""
    numa_node: Annotated[int, Field(ge=-1, le=4096)] | None = None
    """NUMA node; -1 where the platform does not tell."""
    function: FunctionKind | None = None
    """Physical or Virtual function."""
    total_vfs: Annotated[int, Field(ge=0, le=65535)] | None = None
    """Virtual functions that the firmware allows."""
    current_vfs: Annotated[int, Field(ge=0, le=65535)] | None = None
    """Virtual functions that exist."""
    dpu_mode: _Short | None = None
    """Of a BlueField: DPU or NIC, where it can be told."""
    ports: (
        Annotated[list[ReportedPort], Field(max_length=8, json_schema_extra={"x-kubernetes-list-type": "atomic"})]
        | None
    ) = None
    """Ports of the RDMA device."""


class InferenceCacheNodeReport(ApiModel):
    """What was probed."""

    probed_at: Annotated[str, *ruled(_TIME, min_length=1, max_length=20)]
    """When the content below was first seen as it is, or was last confirmed."""
    valid_seconds: Annotated[int, Field(ge=60, le=86_400)]
    """How long the report counts; an older one is ignored."""
    node_uid: _Short | None = None
    """Uid of the Node object, so that a report of a node that was replaced does not count."""
    boot_id: _Short | None = None
    """Boot of the machine."""
    kernel: _Short | None = None
    """Kernel version."""
    modules: (
        Annotated[list[_Short], Field(max_length=64, json_schema_extra={"x-kubernetes-list-type": "atomic"})] | None
    ) = None
    """Loaded kernel modules that matter for RDMA and GPUDirect."""
    rdma_netns_mode: _Short | None = None
    """shared or exclusive, where the kernel tells."""
    memlock_soft: _Size | None = None
    """Soft limit of locked memory of a container in bytes; -1 is unlimited."""
    memlock_hard: _Size | None = None
    """Hard limit; -1 is unlimited."""
    huge_pages_total: Annotated[int, Field(ge=0, le=2**40)] | None = None
    """Huge pages of 2Mi that the kernel has reserved."""
    huge_pages_free: Annotated[int, Field(ge=0, le=2**40)] | None = None
    """Those that are free."""
    numa_nodes: Annotated[int, Field(ge=0, le=4096)] | None = None
    """NUMA nodes."""
    gpus: Annotated[int, Field(ge=0, le=256)] | None = None
    """PCI functions of NVIDIA GPUs."""
    devices: (
        Annotated[list[ReportedDevice], Field(max_length=64, json_schema_extra={"x-kubernetes-list-type": "atomic"})]
        | None
    ) = None
    """Network adapters of RDMA vendors; virtual functions are left out first where there are too many."""
    problems: (
        Annotated[
            list[Annotated[str, Field(max_length=253)]],
            Field(max_length=16, json_schema_extra={"x-kubernetes-list-type": "atomic"}),
        ]
        | None
    ) = None
    """What could not be read."""
