"""Pure predicates over the evidence of one node, and the order in which they name its reason.

Each takes the evidence and the need and returns a finding or nothing. A fact that nobody tells is a finding too, of its own
reason; a fact that a source denies is a fault.
"""

from typing import Final

from .capacity import check_cpus, check_huge_pages, check_memory
from .dpu import check_dpu
from .driver import check_driver_ready, check_driver_upgrade, check_modules
from .fabric import check_membership
from .finding import Check, Finding
from .gpu import (
    check_compute,
    check_driver,
    check_gpu_count,
    check_gpu_memory,
    check_gpu_operand,
    check_gpu_product,
    check_partitioning,
)
from .kernel import check_gpu_direct, check_kernel
from .nic import check_adapter
from .numa import check_device_zone, check_gpu_zone
from .resource import check_device_count, check_netns_mode, check_resource, note_exhausted
from .sriov import check_sriov_drain, check_sriov_sync
from .state import check_ready, check_schedulable

NODE_CHECKS: Final[tuple[Check, ...]] = (
    check_ready,  # first: the other facts of a lost node are old
    check_schedulable,
    check_gpu_operand,  # before what follows from it
    check_partitioning,
    check_gpu_product,  # before the count: a wrong model is not mended by more of it
    check_gpu_memory,
    check_driver,
    check_compute,
    check_gpu_count,
    check_kernel,
    check_cpus,
    check_huge_pages,
    check_memory,
    check_gpu_zone,
)
"""What every replica needs."""

RDMA_CHECKS: Final[tuple[Check, ...]] = (
    check_membership,  # first: what a node outside the fabric lacks is of no matter
    check_driver_upgrade,  # then passing causes: links and devices are missing because of them
    check_driver_ready,
    check_sriov_drain,
    check_netns_mode,
    check_sriov_sync,
    check_adapter,  # before the devices: a wrong adapter or a dead link is why there are none
    check_modules,
    check_resource,
    check_device_count,
    check_dpu,
    check_gpu_direct,
    check_device_zone,
)
"""What RDMA pods need beyond that. A fault names the reason before any fact that nobody tells."""

NOTES: Final[tuple[Check, ...]] = (note_exhausted,)
"""What is worth telling of a node and speaks against nothing."""

__all__ = ["NODE_CHECKS", "NOTES", "RDMA_CHECKS", "Check", "Finding"]
