"""The kernel of a node, and whether GPU memory can be shared with the NIC.

Node data can only make DMA-BUF plausible: whether the driver is the open kernel module shows inside a pod alone.
"""

import re
from typing import Final

from inference_cache.domain import names
from inference_cache.domain.node_evidence import NodeEvidence, Source
from inference_cache.domain.node_need import Need, Version
from inference_cache.domain.reasons import Reason

from .finding import Finding, fault, gap, read_number, unread_label

_KERNEL: Final = re.compile(r"^([0-9]{1,4})[.]([0-9]{1,4})")
_DMA_BUF_KERNEL: Final = (5, 12)
_DMA_BUF_DRIVER: Final = 515
_TURING: Final = (7, 5)
_FAMILY: Final = "nvidia.com/gpu.family"
_OLD_FAMILIES: Final = frozenset({"fermi", "kepler", "maxwell", "pascal", "volta"})
_PEERMEM_LABEL: Final = "nvidia.com/peermem.capable"
_PEERMEM_MODULES: Final = frozenset({"nvidia_peermem", "nv_peer_mem"})


def check_kernel(evidence: NodeEvidence, need: Need) -> Finding | None:
    """The kernel must be new enough."""
    if not need.kernel:
        return None
    found = _find_kernel(evidence)
    if found is None:
        return _unknown_kernel(evidence, Reason.KernelUnknown)
    text, version, source = found
    if version >= need.kernel:
        return None
    return fault(Reason.KernelTooOld, f"{text} by {source}, {_show(need.kernel)} wanted", source)


def check_gpu_direct(evidence: NodeEvidence, need: Need) -> Finding | None:
    """GPU memory must be sharable with the NIC: by DMA-BUF, or by the older peer memory module where it is loaded."""
    if need.rdma is None or not need.rdma.gpu_direct:
        return None
    report, node = evidence.report, evidence.facts
    if report is not None and report.modules & _PEERMEM_MODULES:
        return None
    if node.labels.get(_PEERMEM_LABEL) == "true":
        return None
    return _check_dma_buf_kernel(evidence) or _check_dma_buf_driver(evidence) or _check_dma_buf_gpu(evidence)


def _check_dma_buf_kernel(evidence: NodeEvidence) -> Finding | None:
    found = _find_kernel(evidence)
    if found is None:
        return _unknown_kernel(evidence, Reason.GPUDirectUnavailable)
    text, version, source = found
    if version >= _DMA_BUF_KERNEL:
        return None
    return fault(Reason.GPUDirectUnavailable, f"kernel {text} by {source}", source)


def _check_dma_buf_driver(evidence: NodeEvidence) -> Finding | None:
    driver = read_number(evidence.facts, names.DRIVER_MAJOR_LABEL)
    if driver is None:
        return unread_label(Reason.GPUDirectUnavailable, evidence.facts, names.DRIVER_MAJOR_LABEL)
    if driver >= _DMA_BUF_DRIVER:
        return None
    return fault(Reason.GPUDirectUnavailable, f"driver {driver} by {Source.LABEL}", Source.LABEL)


def _check_dma_buf_gpu(evidence: NodeEvidence) -> Finding | None:
    node = evidence.facts
    major, minor = read_number(node, names.COMPUTE_MAJOR_LABEL), read_number(node, names.COMPUTE_MINOR_LABEL)
    family = node.labels.get(_FAMILY, "")
    if major is not None and minor is not None:
        if (major, minor) >= _TURING:
            return None
        return fault(Reason.GPUDirectUnavailable, f"compute capability {major}.{minor} by {Source.LABEL}", Source.LABEL)
    if not family or family in {"undefined", "unknown"}:
        return gap(Reason.GPUDirectUnavailable, f"label {_FAMILY} is missing")
    if family not in _OLD_FAMILIES:
        return None
    return fault(Reason.GPUDirectUnavailable, f"GPU family {family} by {Source.LABEL}", Source.LABEL)


def _find_kernel(evidence: NodeEvidence) -> tuple[str, Version, Source] | None:
    """Return the kernel as the node runs it now; the report of a machine that was booted anew may be older."""
    told = [(evidence.facts.kernel, Source.NODE)]
    if evidence.report is not None:
        told.append((evidence.report.kernel, Source.REPORT))
    for text, source in told:
        found = _KERNEL.match(text)
        if found:
            return text, (int(found[1]), int(found[2])), source
    return None


def _unknown_kernel(evidence: NodeEvidence, reason: Reason) -> Finding:
    text = evidence.facts.kernel
    if not text:
        return gap(reason, "no kernel version in status.nodeInfo")
    return gap(reason, f"{text} by {Source.NODE}, which is no kernel version", Source.NODE)


def _show(version: Version) -> str:
    return ".".join(map(str, version))
