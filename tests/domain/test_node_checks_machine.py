"""Checks of what every replica needs of a machine: one row per defect and per fact that nobody tells, word for word."""

from typing import Any

import pytest

from inference_cache.api.quantities import GIB
from inference_cache.domain import names
from inference_cache.domain.node_judgement import judge
from inference_cache.domain.node_need import Need
from inference_cache.domain.reasons import Reason
from tests.support.evidence import GPU_LABELS, build_evidence, build_report, zones

_GPU = names.GPU_RESOURCE
Row = tuple[dict[str, Any], dict[str, Any], Reason | None, str]


def _labels(**changes: str | None) -> dict[str, Any]:
    keys = {
        "product": names.GPU_PRODUCT_LABEL,
        "major": names.COMPUTE_MAJOR_LABEL,
        "minor": names.COMPUTE_MINOR_LABEL,
        "memory": names.GPU_MEMORY_LABEL,
        "driver": names.DRIVER_MAJOR_LABEL,
        "sharing": "nvidia.com/gpu.sharing-strategy",
        "replicas": "nvidia.com/gpu.replicas",
        "strategy": "nvidia.com/mig.strategy",
        "workload": "nvidia.com/gpu.workload.config",
    }
    labels = GPU_LABELS | {keys[key]: value for key, value in changes.items() if value is not None}
    for key, value in changes.items():
        if value is None:
            labels.pop(keys[key], None)
    return {"labels": labels}


_ROWS: dict[str, Row] = {
    "a machine in order": ({}, {}, None, ""),
    "not ready": ({}, {"ready": False}, Reason.NodeNotReady, "condition Ready is not True by Node"),
    "cordoned": ({}, {"unschedulable": True}, Reason.NodeUnschedulable, "spec.unschedulable is true by Node"),
    "GPUs handed to virtual machines": ({}, _labels(workload="vm-passthrough"), Reason.GPUOperandNotReady, "nvidia.com/gpu.workload.config is vm-passthrough by node labels"),
    "GPUs for containers by name": ({}, _labels(workload="container"), None, ""),
    "GPUs for virtual machines before they are missing": ({}, _labels(workload="vm-vgpu") | {"gpus": None}, Reason.GPUOperandNotReady, "nvidia.com/gpu.workload.config is vm-vgpu by node labels"),
    "MIG in the product": ({}, _labels(product="NVIDIA-H200-MIG-1g.18gb"), Reason.GPUPartitioned, "NVIDIA-H200-MIG-1g.18gb by node labels"),
    "sharing in the product": ({}, _labels(product="NVIDIA-H200-SHARED"), Reason.GPUPartitioned, "NVIDIA-H200-SHARED by node labels"),
    "time slicing": ({}, _labels(sharing="time-slicing"), Reason.GPUPartitioned, "sharing by time-slicing by node labels"),
    "MPS": ({}, _labels(sharing="mps"), Reason.GPUPartitioned, "sharing by mps by node labels"),
    "no sharing by name": ({}, _labels(sharing="none"), None, ""),
    "replicas of each GPU": ({}, _labels(replicas="4"), Reason.GPUPartitioned, "4 pods share each GPU by node labels"),
    "one replica of each GPU": ({}, _labels(replicas="1"), None, ""),
    "replicas that are no number": ({}, _labels(replicas="many"), None, ""),
    "a strategy for MIG and no GPU that is cut": ({}, _labels(strategy="single"), None, ""),
    "whole GPUs beside some that are cut": ({}, {"resources": {"nvidia.com/mig-1g.18gb": 7}}, None, ""),
    "too few whole GPUs beside some that are cut": ({}, {"gpus": 7, "resources": {"nvidia.com/mig-1g.18gb": 7}}, Reason.GPUPartitioned, "7 nvidia.com/mig-1g.18gb beside 7 nvidia.com/gpu by Node"),
    "shared GPUs under a name of their own": ({}, {"gpus": None, "resources": {"nvidia.com/gpu.shared": 32}}, Reason.GPUPartitioned, "32 nvidia.com/gpu.shared beside 0 nvidia.com/gpu by Node"),
    "too few GPUs and none that is cut": ({}, {"gpus": 7, "resources": {"nvidia.com/mig-1g.18gb": 0}}, Reason.GPUCountTooLow, "7 by Node, 8 wanted"),
    "sharing that is accepted": ({"partitions": True}, _labels(sharing="mps", replicas="4", product="NVIDIA-H200-SHARED"), None, ""),
    "another model": ({"products": frozenset({"NVIDIA-H200"})}, _labels(product="NVIDIA-L40S"), Reason.GPUProductMismatch, "NVIDIA-L40S by node labels"),
    "model not told": ({"products": frozenset({"NVIDIA-H200"})}, _labels(product=None), Reason.GPUProductUnknown, "label nvidia.com/gpu.product is missing"),
    "model not told, and no GPU": ({"products": frozenset({"NVIDIA-H200"})}, _labels(product=None) | {"gpus": None}, Reason.GPUNotAdvertised, "no resource nvidia.com/gpu by Node"),
    "GPU memory too small": ({"gpu_memory_mib": 143360}, _labels(memory="81559"), Reason.GPUMemoryTooSmall, "81559 MiB by node labels, 143360 wanted"),
    "GPU memory not told": ({"gpu_memory_mib": 143360}, {}, Reason.GPUMemoryUnknown, "label nvidia.com/gpu.memory is missing"),
    "GPU memory that is no number": ({"gpu_memory_mib": 143360}, _labels(memory="141GB"), Reason.GPUMemoryUnknown, "label nvidia.com/gpu.memory is 141GB, which is no number"),
    "driver too old": ({"driver_major": 570}, _labels(driver="535"), Reason.DriverTooOld, "535 by node labels, 570 wanted"),
    "driver not told": ({"driver_major": 570}, _labels(driver=None), Reason.DriverUnknown, "label nvidia.com/cuda.driver-version.major is missing"),
    "compute capability too low": ({"compute": (9, 0)}, _labels(major="8", minor="9"), Reason.ComputeCapabilityTooLow, "8.9 by node labels, 9.0 wanted"),
    "compute capability too low by its minor number": ({"compute": (8, 9)}, _labels(major="8", minor="6"), Reason.ComputeCapabilityTooLow, "8.6 by node labels, 8.9 wanted"),
    "compute capability just enough": ({"compute": (8, 9)}, _labels(major="8", minor="9"), None, ""),
    "compute capability of two digits": ({"compute": (9, 0)}, _labels(major="12", minor="0"), None, ""),
    "compute capability not told": ({"compute": (9, 0)}, _labels(major=None), Reason.ComputeCapabilityUnknown, "label nvidia.com/gpu.compute.major is missing"),
    "compute capability told by half, and that is enough": ({"compute": (9, 0)}, _labels(minor=None), None, ""),
    "compute capability told by half, and that is too low": ({"compute": (9, 0)}, _labels(major="8", minor=None), Reason.ComputeCapabilityTooLow, "8.x by node labels, 9.0 wanted"),
    "compute capability told by half": ({"compute": (8, 9)}, _labels(major="8", minor="x"), Reason.ComputeCapabilityUnknown, "label nvidia.com/gpu.compute.minor is x, which is no number"),
    "no GPUs advertised": ({}, {"gpus": None}, Reason.GPUNotAdvertised, "no resource nvidia.com/gpu by Node"),
    "no GPUs left": ({}, {"gpus": 0}, Reason.GPUCountTooLow, "0 by Node, 8 wanted"),
    "kernel too old": ({"kernel": (5, 14)}, {"kernel": "4.18.0-553.el8_10.x86_64"}, Reason.KernelTooOld, "4.18.0-553.el8_10.x86_64 by Node, 5.14 wanted"),
    "kernel of fewer digits": ({"kernel": (5, 14)}, {"kernel": "5.4.0"}, Reason.KernelTooOld, "5.4.0 by Node, 5.14 wanted"),
    "kernel just new enough": ({"kernel": (5, 14)}, {"kernel": "5.14.0-427.el9"}, None, ""),
    "kernel not told": ({"kernel": (5, 14)}, {"kernel": ""}, Reason.KernelUnknown, "no kernel version in status.nodeInfo"),
    "kernel that is no version": ({"kernel": (5, 14)}, {"kernel": "custom"}, Reason.KernelUnknown, "custom by Node, which is no kernel version"),
    "kernel that the report tells": ({"kernel": (5, 14)}, {"kernel": "", "report": build_report(kernel="4.18.0")}, Reason.KernelTooOld, "4.18.0 by NodeCapabilityReport, 5.14 wanted"),
    "kernel whose report is too old": ({"kernel": (5, 14)}, {"kernel": "", "report_stale": True}, Reason.ReportStale, "KernelUnknown: no kernel version in status.nodeInfo"),
    "CPUs too few": ({"pod_milli_cpus": 4500}, {"milli_cpus": 4250}, Reason.CPUsTooFew, "4.25 by Node, 4.5 wanted"),
    "huge pages of the tier too few": ({"pod_huge_pages": 4 * GIB}, {"huge_pages": 4 * GIB - 1}, Reason.HugePagesTooFew, "3.99 GiB by Node, 4 GiB wanted"),
    "huge pages of the requirement too few": ({"huge_pages": 4 * GIB}, {}, Reason.HugePagesTooFew, "0 GiB by Node, 4 GiB wanted"),
    "huge pages just enough": ({"huge_pages": 4 * GIB, "pod_huge_pages": 2 * GIB}, {"huge_pages": 4 * GIB}, None, ""),
    "memory too small": ({"pod_memory": 16 * GIB, "memory": 64 * GIB}, {"memory": 32 * GIB}, Reason.MemoryTooSmall, "32 GiB by Node, 64 GiB wanted"),
    "zones not told": ({"single_zone": True}, {}, Reason.NUMAUnknown, "no NodeResourceTopology of the node"),
    "zones without GPUs": ({"single_zone": True}, {"zones": zones({}, {})}, Reason.NUMAUnknown, "no zone with nvidia.com/gpu by NodeResourceTopology"),
    "GPUs in two zones": ({"single_zone": True}, {"zones": zones({_GPU: 4}, {_GPU: 4})}, Reason.NUMAAlignmentImpossible, "node-0 has 4, node-1 has 4 by NodeResourceTopology, 8 nvidia.com/gpu wanted in one"),
    "GPUs in one zone, all of them taken": ({"single_zone": True}, {"zones": zones({}, {_GPU: 8})}, None, ""),
    "more zones than a message holds": ({"single_zone": True}, {"zones": zones(*[{_GPU: 1}] * 10)}, Reason.NUMAAlignmentImpossible, f"{', '.join(f'node-{n} has 1' for n in range(8))}, 2 more by NodeResourceTopology, 8 nvidia.com/gpu wanted in one"),
    "zones that nobody asks for": ({}, {"zones": zones({_GPU: 4}, {_GPU: 4})}, None, ""),
}  # fmt: skip


@pytest.mark.parametrize(("wanted", "facts", "reason", "detail"), _ROWS.values(), ids=_ROWS.keys())
def test_machine(wanted: dict[str, Any], facts: dict[str, Any], reason: Reason | None, detail: str) -> None:
    judged = judge(build_evidence(**facts), Need(**({"gpus": 8} | wanted)))
    first = judged.violations[0] if judged.violations else None
    assert (first.reason if first else None) is reason
    assert (first.detail if first else "") == detail
    if first is not None:
        assert first.unknown is (first.reason is Reason.ReportStale or first.reason.name.endswith("Unknown"))
        assert first.reason.remedy, "a fault without a remedy helps nobody"


def test_every_violation_is_kept_in_the_order_of_status() -> None:
    need = Need(gpus=8, products=frozenset({"NVIDIA-H200"}), driver_major=600, kernel=(6, 9))
    judged = judge(build_evidence(ready=False, gpus=4), need)
    assert [item.reason for item in judged.violations] == [
        Reason.NodeNotReady,
        Reason.DriverTooOld,
        Reason.GPUCountTooLow,
        Reason.KernelTooOld,
    ]
    assert (judged.rdma_violations, judged.notes, judged.eligible) == ((), (), False)
