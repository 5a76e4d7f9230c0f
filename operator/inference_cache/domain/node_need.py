"""What one replica needs of a node: the spec's requirements and its sizes, flat and hashable, read once for thousands of nodes.

RDMA is a need of its own. A deployment with policy Auto also runs on nodes without it, so what RDMA needs is kept apart
from what every replica needs, and only `required` makes it hard.
"""

from dataclasses import dataclass
from typing import Final

from inference_cache.api.networks import LinkType
from inference_cache.api.node_requirements import (
    DPUMode,
    DPURequirements,
    GPUDirect,
    NodeRequirements,
    NUMAAlignment,
    Partitioning,
    RDMARequirements,
)
from inference_cache.api.nodes import Nodes, TaintEffect, Toleration, TolerationOperator
from inference_cache.api.quantities import parse_quantity
from inference_cache.api.transport import TransportPolicy

from .attachment import Attachment
from .defaults import Settled
from .gpu_requirements import accept_products, least_gpu_memory_mib
from .sizing import compute_sizes

Version = tuple[int, ...]

# Resources of the shared device plugin have this prefix unless someone changes it.
_SHARED_PREFIX: Final = "rdma/"


@dataclass(frozen=True, slots=True)
class TransportWish:
    """What a deployment asks of RDMA.

    Attributes:
        attachment: What one RDMA pod gets; None where nobody asks for RDMA, or nobody can tell what a pod would get.
        required: Whether a node without RDMA is of no use.
    """

    attachment: Attachment | None = None
    required: bool = False


NO_RDMA: Final = TransportWish()


def build_wish(settled: Settled, attachment: Attachment | None) -> TransportWish:
    """Return what the spec asks of RDMA, with what a pod of it would get."""
    if not settled.wants_rdma:
        return NO_RDMA
    return TransportWish(attachment, settled.transport_policy is TransportPolicy.REQUIRE_RDMA)


@dataclass(frozen=True, slots=True)
class Tolerated:
    """A toleration; empty fields match everything that the API says they match."""

    key: str | None
    any_value: bool
    value: str
    effect: str | None


@dataclass(frozen=True, slots=True)
class DPUNeed:
    """The DPU that a node must have.

    Attributes:
        models: Accepted models or PCI device ids; empty for any BlueField.
    """

    models: frozenset[str]
    mode: DPUMode


@dataclass(frozen=True, slots=True)
class RDMANeed:
    """What an RDMA pod needs of a node.

    Attributes:
        resource_name: Extended resource; None with DRA.
        device_class: DeviceClass; None with the device plugin.
        count: Devices of one pod.
        per_network: Whether each network takes one device.
        shared: Whether the devices are those of the shared device plugin, which are neither moved nor aligned.
        link_type: Link layer that is wanted; None for any.
        link_required: Whether the spec's requirements state it, so that a node that does not tell misses it. A fabric's own
            link layer only rules out nodes that are known to have the other one.
        models: Accepted models or PCI device ids; empty for any.
        min_speed_gbps: 0 for any.
        firmware: Least firmware, in numbers; empty for any.
        firmware_text: The same as it was written.
        declared: Whether the spec itself states anything of adapters, GPUDirect or DPU.
        required: Whether a node without RDMA is of no use.
        selector: Labels of the nodes that belong to the fabric; empty for all nodes.
    """

    resource_name: str | None
    device_class: str | None
    count: int
    per_network: bool = False
    shared: bool = False
    link_type: LinkType | None = None
    link_required: bool = False
    models: frozenset[str] = frozenset()
    min_speed_gbps: int = 0
    firmware: Version = ()
    firmware_text: str = ""
    gpu_direct: bool = False
    dpu: DPUNeed | None = None
    declared: bool = False
    required: bool = False
    selector: tuple[tuple[str, str], ...] = ()

    @property
    def devices(self) -> str:
        """What a pod asks for, as people read it."""
        if self.resource_name is not None:
            return f"{self.count} {self.resource_name}"
        return f"{self.count} {'device' if self.count == 1 else 'devices'} of {self.device_class}"


@dataclass(frozen=True, slots=True)
class Need:
    """What one replica needs of a node. Sizes are bytes.

    Attributes:
        gpus: GPUs of one replica.
        pod_memory: Memory that one replica requests, huge pages not counted.
        pod_milli_cpus: CPU that it requests, in thousandths.
        pod_huge_pages: Huge pages of 2Mi that it requests.
        memory: Memory that the spec asks for beyond that; 0 for none.
        huge_pages: The same of huge pages.
        products: Accepted values of the label nvidia.com/gpu.product; empty for any.
        driver_major: 0 for any.
        compute: Least CUDA compute capability; empty for any.
        kernel: Least kernel; empty for any.
        partitions: Whether GPUs that are cut or shared are accepted.
        single_zone: Whether GPUs and devices must come from one NUMA zone.
        rdma: None where nobody asks for RDMA.
    """

    gpus: int
    pod_memory: int = 0
    pod_milli_cpus: int = 0
    pod_huge_pages: int = 0
    selector: tuple[tuple[str, str], ...] = ()
    tolerations: tuple[Tolerated, ...] = ()
    products: frozenset[str] = frozenset()
    memory: int = 0
    huge_pages: int = 0
    gpu_memory_mib: int = 0
    driver_major: int = 0
    compute: Version = ()
    kernel: Version = ()
    partitions: bool = False
    single_zone: bool = False
    rdma: RDMANeed | None = None


def build_need(settled: Settled, wish: TransportWish = NO_RDMA) -> Need:
    """Return what one replica needs."""
    nodes = settled.spec.nodes or Nodes()
    wanted = settled.requirements
    gpu = wanted.gpu
    sizes = compute_sizes(settled)
    return Need(
        gpus=sizes.gpus,
        pod_memory=sizes.pod_memory,
        pod_milli_cpus=sizes.pod_milli_cpus,
        pod_huge_pages=sizes.huge_pages,
        selector=tuple(sorted((nodes.selector or {}).items())),
        tolerations=tuple(_read_toleration(item) for item in nodes.tolerations or []),
        products=frozenset(accept_products(gpu)),
        memory=parse_quantity(wanted.memory) if wanted.memory else 0,
        huge_pages=parse_quantity(wanted.huge_pages) if wanted.huge_pages else 0,
        gpu_memory_mib=least_gpu_memory_mib(gpu),
        driver_major=(gpu.driver_major_at_least if gpu else None) or 0,
        compute=read_version(gpu.compute_capability_at_least) if gpu and gpu.compute_capability_at_least else (),
        kernel=read_version(wanted.kernel_at_least) if wanted.kernel_at_least else (),
        partitions=settled.partitioning is Partitioning.ACCEPT,
        single_zone=settled.numa_alignment is NUMAAlignment.SINGLE_ZONE,
        rdma=_build_rdma(wanted, wish.attachment, required=wish.required) if wish.attachment else None,
    )


def read_version(text: str) -> Version:
    """Return a version of numbers and dots as numbers, so that 28.39 is more than 28.9."""
    return tuple(int(part) for part in text.split("."))


def _build_rdma(wanted: NodeRequirements, attachment: Attachment, *, required: bool) -> RDMANeed:
    rdma = wanted.rdma or RDMARequirements()
    name = attachment.resource_name
    gpu_direct = rdma.gpu_direct is GPUDirect.REQUIRE
    stated = (rdma.link_type, rdma.min_speed_gbps, rdma.nic_models, rdma.firmware_at_least)
    return RDMANeed(
        resource_name=name,
        device_class=attachment.device_class,
        count=attachment.count,
        per_network=attachment.per_network,
        shared=_is_shared(attachment),
        link_type=rdma.link_type or attachment.link_type,
        link_required=rdma.link_type is not None,
        models=frozenset(rdma.nic_models or ()),
        min_speed_gbps=rdma.min_speed_gbps or 0,
        firmware=read_version(rdma.firmware_at_least) if rdma.firmware_at_least else (),
        firmware_text=rdma.firmware_at_least or "",
        gpu_direct=gpu_direct,
        dpu=_build_dpu(wanted.dpu) if wanted.dpu else None,
        declared=gpu_direct or wanted.dpu is not None or any(item is not None for item in stated),
        required=required,
        selector=attachment.node_selector,
    )


def _is_shared(attachment: Attachment) -> bool:
    """Whether the resource is that of the shared device plugin: only there, networks of a fabric take no device each."""
    if attachment.per_network or attachment.resource_name is None:
        return False
    of_fabric = attachment.fabric is not None and bool(attachment.networks)
    return of_fabric or attachment.resource_name.startswith(_SHARED_PREFIX)


def _build_dpu(dpu: DPURequirements) -> DPUNeed:
    return DPUNeed(frozenset(dpu.models or ()), dpu.mode or DPUMode.DPU)


def _read_toleration(item: Toleration) -> Tolerated:
    return Tolerated(
        key=item.key,
        any_value=item.operator is TolerationOperator.EXISTS,
        value=item.value or "",
        effect=None if item.effect is None else TaintEffect(item.effect).value,
    )
