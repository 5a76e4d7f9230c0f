"""GPUs of a node: model, memory, driver, compute capability, count, and whether a pod would get whole ones.

Facts are the labels of GPU Feature Discovery and the allocatable resources of the device plugin.
"""

from typing import Final

from inference_cache.domain import names
from inference_cache.domain.gpu_requirements import SHARED_SUFFIX
from inference_cache.domain.node_evidence import NodeEvidence, Source
from inference_cache.domain.node_need import Need
from inference_cache.domain.reasons import Reason

from .finding import Finding, fault, gap, read_number, unread_label

WORKLOAD_CONFIG: Final = "nvidia.com/gpu.workload.config"
_SHARING: Final = "nvidia.com/gpu.sharing-strategy"
_REPLICAS: Final = "nvidia.com/gpu.replicas"
_SHARED_RESOURCE: Final = "nvidia.com/gpu.shared"
_SLICE_PREFIX: Final = "nvidia.com/mig-"
_MIG: Final = "-MIG-"


def check_gpu_operand(evidence: NodeEvidence, _: Need) -> Finding | None:
    """The GPUs must be for containers, not handed to virtual machines."""
    config = evidence.facts.labels.get(WORKLOAD_CONFIG, "")
    if config in {"", "container"}:
        return None
    return fault(Reason.GPUOperandNotReady, f"{WORKLOAD_CONFIG} is {config} by {Source.LABEL}", Source.LABEL)


def check_partitioning(evidence: NodeEvidence, need: Need) -> Finding | None:
    """A pod must get whole GPUs, unless the spec accepts parts of them.

    The label nvidia.com/mig.strategy alone says nothing: it is the plugin's setting, also where no GPU is cut.
    """
    if need.partitions:
        return None
    node = evidence.facts
    product = node.labels.get(names.GPU_PRODUCT_LABEL, "")
    if _MIG in product or product.endswith(SHARED_SUFFIX):
        return fault(Reason.GPUPartitioned, f"{product} by {Source.LABEL}", Source.LABEL)
    strategy = node.labels.get(_SHARING, "none")
    if strategy not in {"", "none"}:
        return fault(Reason.GPUPartitioned, f"sharing by {strategy} by {Source.LABEL}", Source.LABEL)
    replicas = read_number(node, _REPLICAS) or 0
    if replicas > 1:
        return fault(Reason.GPUPartitioned, f"{replicas} pods share each GPU by {Source.LABEL}", Source.LABEL)
    if (node.gpus or 0) >= need.gpus:
        return None
    # Whole GPUs are too few; where the others went decides the reason.
    parts = sorted(
        name for name in node.resources if name == _SHARED_RESOURCE or name.startswith(_SLICE_PREFIX)
    )  # fmt: skip
    seen = [f"{node.resources[name]} {name}" for name in parts if node.resources[name]]
    if not seen:
        return None
    whole = f"{node.gpus or 0} {names.GPU_RESOURCE}"
    return fault(Reason.GPUPartitioned, f"{', '.join(seen)} beside {whole} by {Source.NODE}", Source.NODE)


def check_gpu_product(evidence: NodeEvidence, need: Need) -> Finding | None:
    """The GPU model must be accepted; a missing label is unknown, which is not the same as wrong."""
    if not need.products:
        return None
    node = evidence.facts
    product = node.labels.get(names.GPU_PRODUCT_LABEL)
    if product is None:
        return gap(Reason.GPUProductUnknown, f"label {names.GPU_PRODUCT_LABEL} is missing") if node.gpus else _no_gpus()
    if product in need.products:
        return None
    return fault(Reason.GPUProductMismatch, f"{product} by {Source.LABEL}", Source.LABEL)


def check_gpu_memory(evidence: NodeEvidence, need: Need) -> Finding | None:
    """Each GPU must have the required memory; the label counts MiB."""
    if not need.gpu_memory_mib:
        return None
    found = read_number(evidence.facts, names.GPU_MEMORY_LABEL)
    if found is None:
        return unread_label(Reason.GPUMemoryUnknown, evidence.facts, names.GPU_MEMORY_LABEL)
    if found >= need.gpu_memory_mib:
        return None
    detail = f"{found} MiB by {Source.LABEL}, {need.gpu_memory_mib} wanted"
    return fault(Reason.GPUMemoryTooSmall, detail, Source.LABEL)


def check_driver(evidence: NodeEvidence, need: Need) -> Finding | None:
    """The driver must be new enough.

    Only the current label counts, not the deprecated cuda.driver.major: placement asks the scheduler for the same one.
    """
    if not need.driver_major:
        return None
    found = read_number(evidence.facts, names.DRIVER_MAJOR_LABEL)
    if found is None:
        return unread_label(Reason.DriverUnknown, evidence.facts, names.DRIVER_MAJOR_LABEL)
    if found >= need.driver_major:
        return None
    return fault(Reason.DriverTooOld, f"{found} by {Source.LABEL}, {need.driver_major} wanted", Source.LABEL)


def check_compute(evidence: NodeEvidence, need: Need) -> Finding | None:
    """The GPUs must have the CUDA compute capability."""
    if not need.compute:
        return None
    node = evidence.facts
    major, minor = (read_number(node, label) for label in (names.COMPUTE_MAJOR_LABEL, names.COMPUTE_MINOR_LABEL))
    if major is None:
        return unread_label(Reason.ComputeCapabilityUnknown, node, names.COMPUTE_MAJOR_LABEL)
    # The minor number matters only within the same major number, and not where any will do.
    if (major, 0) >= need.compute or major > need.compute[0]:
        return None
    if minor is None and major == need.compute[0]:
        return unread_label(Reason.ComputeCapabilityUnknown, node, names.COMPUTE_MINOR_LABEL)
    if (major, minor or 0) >= need.compute:
        return None
    seen, wanted = f"{major}.{'x' if minor is None else minor}", ".".join(map(str, need.compute))
    return fault(Reason.ComputeCapabilityTooLow, f"{seen} by {Source.LABEL}, {wanted} wanted", Source.LABEL)


def check_gpu_count(evidence: NodeEvidence, need: Need) -> Finding | None:
    """The node must have the GPUs of one replica."""
    found = evidence.facts.gpus
    if found is None:
        return _no_gpus()
    if found >= need.gpus:
        return None
    return fault(Reason.GPUCountTooLow, f"{found} by {Source.NODE}, {need.gpus} wanted", Source.NODE)


def _no_gpus() -> Finding:
    return fault(Reason.GPUNotAdvertised, f"no resource {names.GPU_RESOURCE} by {Source.NODE}", Source.NODE)
