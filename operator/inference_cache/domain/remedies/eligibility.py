"""Remedies where no node is left: placement that a repetition of the checks confirms, or else what each reason asks for."""

from collections.abc import Callable, Iterable, Mapping
from typing import Final

from inference_cache.api.status import NodeReasonCount
from inference_cache.domain.reasons import Reason

from . import gpus, networks, nodes, rdma, transport
from .fixes import SOME_NODE, Command, Fix, Situation, find_field, look
from .placement import plan_placement
from .rdma_facts import show_matrix

Builder = Callable[[Situation], tuple[Fix, ...]]
_MOST_REASONS: Final = 3
_FEATURES: Final = "manifests/optional/node-features.yaml"
_LABELS: Final = "manifests/optional/node-labels.yaml"
_EVIDENCE: Final = "manifests/optional/node-evidence.yaml"

NODE_REMEDIES: Final[Mapping[Reason, Builder]] = {
    Reason.NodeNotReady: nodes.mend_not_ready,
    Reason.NodeUnschedulable: nodes.mend_cordoned,
    Reason.GPUProductUnknown: nodes.mend_unknown_product,
    Reason.GPUProductMismatch: nodes.mend_other_product,
    Reason.GPUNotAdvertised: nodes.mend_no_gpus,
    Reason.GPUCountTooLow: nodes.mend_few_gpus,
    Reason.GPUMemoryUnknown: nodes.mend_unknown_gpu_memory,
    Reason.GPUMemoryTooSmall: nodes.mend_little_gpu_memory,
    Reason.DriverUnknown: nodes.mend_unknown_driver,
    Reason.DriverTooOld: nodes.mend_old_driver,
    Reason.CPUsTooFew: nodes.mend_few_cpus,
    Reason.HugePagesTooFew: nodes.mend_few_huge_pages,
    Reason.MemoryTooSmall: nodes.mend_little_memory,
    Reason.ComputeCapabilityUnknown: gpus.mend_unknown_compute,
    Reason.ComputeCapabilityTooLow: gpus.mend_low_compute,
    Reason.GPUPartitioned: gpus.mend_partitions,
    Reason.GPUOperandNotReady: gpus.mend_operand,
    Reason.KernelUnknown: gpus.mend_unknown_kernel,
    Reason.KernelTooOld: gpus.mend_old_kernel,
    Reason.GPUDirectUnavailable: gpus.mend_gpu_direct,
    Reason.NICModelUnknown: rdma.mend_unknown_adapter,
    Reason.NICModelMismatch: rdma.mend_other_model,
    Reason.NICSpeedUnknown: rdma.mend_unknown_adapter,
    Reason.NICSpeedTooLow: rdma.mend_slow_adapter,
    Reason.NICFirmwareUnknown: rdma.mend_unknown_adapter,
    Reason.NICFirmwareTooOld: rdma.mend_old_firmware,
    Reason.LinkTypeUnknown: rdma.mend_unknown_adapter,
    Reason.LinkTypeMismatch: rdma.mend_other_link,
    Reason.LinkDown: rdma.mend_dead_link,
    Reason.NoSubnetManager: rdma.mend_subnet_manager,
    Reason.NodeNotInFabric: rdma.mend_outside_fabric,
    Reason.RDMAResourceNotAdvertised: rdma.mend_absent_resource,
    Reason.RDMAResourceZero: rdma.mend_empty_resource,
    Reason.RDMAResourceTooFew: rdma.mend_few_devices,
    Reason.RDMAResourceExhausted: rdma.mend_taken_devices,
    Reason.NICDriverNotReady: rdma.mend_driver,
    Reason.NICDriverUpgrading: rdma.mend_driver_upgrade,
    Reason.NICDriverBlockedByModule: rdma.mend_blocking_module,
    Reason.RDMAModulesMissing: rdma.mend_modules,
    Reason.RDMANetnsModeMismatch: rdma.mend_netns_mode,
    Reason.SRIOVNodeDraining: rdma.mend_draining,
    Reason.SRIOVConfigFailed: rdma.mend_failed_sriov,
    Reason.DevicePluginCountMismatch: rdma.mend_plugin_count,
    Reason.VFGuidUnset: rdma.mend_guids,
    Reason.NoDPU: rdma.mend_no_dpu,
    Reason.DPUModeUnknown: rdma.mend_unknown_adapter,
    Reason.DPUModeMismatch: rdma.mend_dpu_mode,
    Reason.DPUNotReady: rdma.mend_dpu,
    Reason.NUMAUnknown: rdma.mend_unknown_numa,
    Reason.NUMAAlignmentImpossible: rdma.mend_numa,
    Reason.ReportStale: rdma.mend_stale_report,
    Reason.DRANoMatchingDevices: networks.mend_no_slices,
}
"""What a single node may miss."""


def mend_no_eligible_nodes(situation: Situation) -> tuple[Fix, ...]:
    """No candidate meets every requirement."""
    planned = plan_placement(situation, candidates_only=True)
    if planned:
        return planned
    fixes = _mend_each(situation, situation.ineligible)
    return (*fixes, *plan_placement(situation)) or (_look_at_nodes(situation),)


def mend_no_candidates(situation: Situation) -> tuple[Fix, ...]:
    """Selector and tolerations leave no node."""
    planned = plan_placement(situation)
    if planned:
        return planned
    selector: dict[str, str] = find_field(situation.spec, ("nodes", "selector")) or {}
    wanted = [f"{key}={value}" for key, value in selector.items()]
    if not wanted:
        return (_look_at_nodes(situation),)
    flags = [word for key in selector for word in ("-L", key)]
    steps = (
        look(situation.target.kubectl_cluster("get", "nodes", *flags)),
        Command(situation.target.kubectl_cluster("label", "node", SOME_NODE, *wanted)),
    )
    return (Fix("No node carries all labels of spec.nodes.selector.", steps),)


def mend_few_rdma_nodes(situation: Situation) -> tuple[Fix, ...]:
    """Too few of the nodes that could run a replica can carry RDMA."""
    fixes = _mend_each(situation, situation.without_rdma[:_MOST_REASONS])
    return (*fixes, *transport.mend_unavailable(situation))


def mend_unread_source(situation: Situation) -> tuple[Fix, ...]:
    """A source of facts about nodes cannot be read."""
    target = situation.target
    roles = Command(target.kubectl_cluster("apply", "--server-side", "-f", _EVIDENCE))
    why = "The kind is served, and the operator may not read it. This file holds one role for each source; those of projects that are not installed do no harm."
    return (Fix(why, (show_matrix(situation), roles)),)


def mend_unenforced_placement(situation: Situation) -> tuple[Fix, ...]:
    """Nobody can write the label that keeps pods away from unfit nodes."""
    target = situation.target
    nfd = "With Node Feature Discovery the operator publishes the label by NodeFeature objects in its own namespace. Install NFD, and give the right to write them."
    direct = (
        "Without it: let the operator write labels of nodes itself. That is a right on every Node, so it is a choice."
    )
    served = look(target.kubectl_cluster("get", "crd", "nodefeatures.nfd.k8s-sigs.io"))
    return (
        Fix(nfd, (served, Command(target.kubectl_cluster("apply", "--server-side", "-f", _FEATURES)))),
        Fix(direct, (Command(target.kubectl_cluster("apply", "--server-side", "-f", _LABELS)),)),
    )


def _mend_each(situation: Situation, counts: Iterable[NodeReasonCount]) -> tuple[Fix, ...]:
    fixes: list[Fix] = []
    for item in counts:
        reason = Reason.__members__.get(item.reason)
        builder = NODE_REMEDIES.get(reason) if reason else None
        # Several reasons may have one remedy, such as a source that tells all that is missing.
        fixes += [fix for fix in (builder(situation) if builder else ()) if fix not in fixes]
    return tuple(fixes)


def _look_at_nodes(situation: Situation) -> Fix:
    why = "No change of the spec alone would make a node eligible. This shows what each node has and misses."
    return Fix(why, (show_matrix(situation),))
