"""Remedies for a node's adapters and RDMA devices: what nobody tells, what is of the wrong kind, what is not there."""

from collections.abc import Callable
from typing import Any, Final

from inference_cache.domain.reasons import Reason

from .fixes import REMOVED, Command, Fix, Path, Situation, Step, find_field, look
from .rdma_facts import (
    edit_fabric,
    find_resource,
    list_pods_on,
    read_log,
    restart_pod,
    run_on_node,
    show_adapters,
    show_matrix,
    show_node_state,
    show_report,
    show_resource,
)

_RDMA: Final[Path] = ("nodes", "requirements", "rdma")
_DPU: Final[Path] = ("nodes", "requirements", "dpu")
_VALIDATOR: Final = "manifests/node-validator"
_VALIDATOR_NAMESPACE: Final = "inference-cache-node-validator"


def _each(situation: Situation, reason: Reason, build: Callable[[Situation, str], Command]) -> tuple[Command, ...]:
    return tuple(build(situation, name) for name in situation.find_nodes(reason))


def mend_unknown_adapter(situation: Situation) -> tuple[Fix, ...]:
    """No source tells the fact."""
    target = situation.target
    probe = "The node validator probes model, link, speed and firmware of adapters on the node itself. Install it, or see why it does not report."
    sources = "Install one of the operators that write such facts down: the NIC configuration operator (NicDevice) or the SR-IOV network operator (SriovNetworkNodeState). This shows which sources were read."
    install = Command(target.kubectl_cluster("apply", "--server-side", "-k", _VALIDATOR))
    return (
        Fix(probe, (look(target.kubectl_cluster("get", "ncr")), install)),
        Fix(sources, (show_matrix(situation),)),
    )


def mend_other_model(situation: Situation) -> tuple[Fix, ...]:
    """The adapters are of another model."""
    path = (*_RDMA, "nicModels")
    known = find_field(situation.spec, path) or []
    why = "The nodes have adapters that the spec does not accept. Accept theirs if the storage fabric runs on them."
    return (Fix(why, (show_matrix(situation), situation.edit(path, [*known, "<MODEL>"]))),)


def mend_slow_adapter(situation: Situation) -> tuple[Fix, ...]:
    """The ports are slower than required."""
    looks = _each(situation, Reason.NICSpeedTooLow, show_report)
    port = "A port that negotiated less than it can do points to cable, transceiver or switch port."
    lower = "Give the requirement up: loading then takes longer, see icd plan --network-gigabits."
    return (Fix(port, looks), Fix(lower, (situation.edit((*_RDMA, "minSpeedGbps"), REMOVED),)))


def mend_old_firmware(situation: Situation) -> tuple[Fix, ...]:
    """The firmware is older than required."""
    update = "Update the firmware of the adapters, for instance by a NicFirmwareTemplate of the NIC configuration operator; nodes reboot for it."
    give_up = "Give the requirement up."
    edit = situation.edit((*_RDMA, "firmwareAtLeast"), REMOVED)
    return (Fix(update, (show_adapters(situation),)), Fix(give_up, (edit,)))


def mend_other_link(situation: Situation) -> tuple[Fix, ...]:
    """The adapters have the other link layer."""
    nodes = situation.find_nodes(Reason.LinkTypeMismatch)
    looks = [show_report(situation, name) for name in nodes]
    firmware = tuple(
        run_on_node(situation, name, "mlxconfig", "-d", "<PCI>", "set", "LINK_TYPE_P1=<ONE_FOR_IB_TWO_FOR_ETHERNET>")
        for name in nodes
    )
    spec = (
        "Adapters run either Ethernet or InfiniBand. If theirs is right, correct the fabric's type or the requirement."
    )
    change = "If theirs is wrong, set it in the firmware and reboot the node (LINK_TYPE_P2 for a second port)."
    own: Step = edit_fabric(situation)
    if find_field(situation.spec, (*_RDMA, "linkType")):
        own = situation.edit((*_RDMA, "linkType"), REMOVED)
    return (Fix(spec, (*looks, own)), Fix(change, firmware))


def mend_dead_link(situation: Situation) -> tuple[Fix, ...]:
    """The port is down."""
    nodes = situation.find_nodes(Reason.LinkDown)
    links = tuple(run_on_node(situation, name, "ip", "-br", "link") for name in nodes)
    why = "The port has no link: cable, transceiver, switch port, or an interface that nobody has set up. This shows the node's interfaces."
    return (Fix(why, (*_each(situation, Reason.LinkDown, show_report), *links)),)


def mend_subnet_manager(situation: Situation) -> tuple[Fix, ...]:
    """Nobody configures the InfiniBand subnet."""
    steps = tuple(run_on_node(situation, name, "sminfo") for name in situation.find_nodes(Reason.NoSubnetManager))
    why = "Start one subnet manager for the fabric: on a switch, in UFM, or opensm on a host. sminfo then names it."
    return (Fix(why, steps),)


def mend_absent_resource(situation: Situation) -> tuple[Fix, ...]:
    """No device plugin advertises the resource."""
    resource = find_resource(situation)
    pods = _each(situation, Reason.RDMAResourceNotAdvertised, list_pods_on)
    plugin = f"No device plugin of the node advertises {resource}. If nodes advertise another name, prefix included, correct the name; this shows what there is."
    fabric = "If there is none: install the RDMA shared device plugin or the SR-IOV network operator with a policy that selects the node, or have the fabric do it (spec.mode Manage)."
    return (
        Fix(plugin, (show_resource(situation), *pods)),
        Fix(fabric, (edit_fabric(situation),)),
    )


def mend_empty_resource(situation: Situation) -> tuple[Fix, ...]:
    """The device plugin runs and finds nothing."""
    pods = _each(situation, Reason.RDMAResourceZero, list_pods_on)
    log = f"The device plugin advertises {find_resource(situation)} with no device. Its log names the devices that it passed over: wrong vendor or interface names in its selectors, the other link type, or missing character devices."
    restart = "After a restart of the kubelet some plugins stay silent: let their DaemonSet make a new pod."
    return (Fix(log, (*pods, read_log(situation))), Fix(restart, (restart_pod(situation),)))


def mend_few_devices(situation: Situation) -> tuple[Fix, ...]:
    """A pod needs more devices than a node has."""
    more = "Make more devices: spec.devices.virtualFunctions or spec.devices.slots of the fabric, or numVfs and rdmaHcaMax where others made them."
    fewer = "Let a pod use fewer networks."
    steps: tuple[Step, ...] = (edit_fabric(situation),)
    if find_field(situation.spec, ("transport", "rdma")):
        steps = (situation.edit(("transport", "rdma", "count"), REMOVED),)
    return (Fix(more, (show_resource(situation), edit_fabric(situation))), Fix(fewer, steps))


def mend_taken_devices(situation: Situation) -> tuple[Fix, ...]:
    """Other pods hold every device."""
    names = situation.find_nodes(Reason.RDMAResourceExhausted)
    nodes = tuple(look(situation.target.kubectl_cluster("describe", "node", name)) for name in names)
    free = f"Pods hold every {find_resource(situation)} of the node; 'Allocated resources' tells how many. Move some away, or add nodes."
    more = "Make more of them: spec.devices.virtualFunctions or spec.devices.slots of the fabric."
    return (Fix(free, nodes), Fix(more, (edit_fabric(situation),)))


def mend_driver(situation: Situation) -> tuple[Fix, ...]:
    """The NIC driver's pod is not ready."""
    target = situation.target
    pods = _each(situation, Reason.NICDriverNotReady, list_pods_on)
    policy = look(target.kubectl_cluster("get", "nicclusterpolicies", "-o", "yaml"))
    why = "The NVIDIA network operator holds device plugins back until its driver (pod mofed-...) is ready, which takes minutes per node. If it lasts, the pod's log says why."
    return (Fix(why, (*pods, policy, read_log(situation))),)


def mend_driver_upgrade(situation: Situation) -> tuple[Fix, ...]:
    """The NIC driver is being upgraded."""
    states = situation.target.kubectl_cluster("get", "nodes", "-L", "nvidia.com/ofed-driver-upgrade-state")
    why = "It passes when the state is upgrade-done. upgrade-failed needs a look at the driver's pod on that node."
    return (Fix(why, (look(states),)),)


def mend_blocking_module(situation: Situation) -> tuple[Fix, ...]:
    """A kernel module keeps the driver from being loaded."""
    modules = tuple(
        run_on_node(situation, name, "lsmod") for name in situation.find_nodes(Reason.NICDriverBlockedByModule)
    )
    policy = Command(situation.target.kubectl_cluster("edit", "nicclusterpolicy", "nic-cluster-policy"))
    why = "A module that uses the RDMA stack (irdma, NVMe-oF, NFS over RDMA) is in use. Unload it on the node, or let the driver's container do so: UNLOAD_STORAGE_MODULES=true in spec.ofedDriver.env. Whatever mounts storage through it loses that storage."
    return (Fix(why, (*modules, policy)),)


def mend_modules(situation: Situation) -> tuple[Fix, ...]:
    """Kernel modules are not loaded."""
    modules = ("ib_uverbs", "rdma_ucm", "mlx5_ib")
    nodes = situation.find_nodes(Reason.RDMAModulesMissing)
    steps = tuple(run_on_node(situation, name, "modprobe", "-a", *modules) for name in nodes)
    why = "Load the modules; a file in /etc/modules-load.d keeps them over a reboot. If modprobe does not know them, install the NIC driver."
    return (Fix(why, steps),)


def mend_netns_mode(situation: Situation) -> tuple[Fix, ...]:
    """The RDMA subsystem is in exclusive mode."""
    target = situation.target
    configs = look(target.kubectl_cluster("get", "sriovnetworkpoolconfigs", "-A", "-o", "yaml"))
    patch = ("patch", "sriovnetworkpoolconfig", "<POOL>", "--type=merge", "-p", '{"spec":{"rdmaMode":"shared"}}')
    pool = Command(target.kubectl_cluster("-n", "<NAMESPACE>", *patch))
    names = situation.find_nodes(Reason.RDMANetnsModeMismatch)
    host = tuple(run_on_node(situation, name, "rdma", "system", "set", "netns", "shared") for name in names)
    policy = "A SriovNetworkPoolConfig has set exclusive mode. Set it to shared; the nodes reboot for it."
    own = "Without such an object: set it on the node, where no container may use RDMA meanwhile. It lasts until the next boot; options ib_core netns_mode=1 in /etc/modprobe.d keeps it."
    other = "Use a fabric of type SRIOVEthernet or SRIOVInfiniBand, which works in exclusive mode."
    return (Fix(policy, (configs, pool)), Fix(own, host), Fix(other, (edit_fabric(situation),)))


def mend_draining(situation: Situation) -> tuple[Fix, ...]:
    """The SR-IOV network operator works on the node."""
    states = look(situation.target.kubectl_cluster("get", "sriovnetworknodestates", "-A"))
    budgets = look(situation.target.kubectl_cluster("get", "poddisruptionbudgets", "-A"))
    why = "It passes when the operator is done with the node. If it lasts, a PodDisruptionBudget with ALLOWED DISRUPTIONS 0 blocks the drain."
    return (Fix(why, (states, budgets)),)


def mend_failed_sriov(situation: Situation) -> tuple[Fix, ...]:
    """The SR-IOV network operator failed on the node."""
    nodes = situation.find_nodes(Reason.SRIOVConfigFailed)
    states = tuple(show_node_state(situation, name) for name in nodes)
    firmware = tuple(
        run_on_node(situation, name, "mlxconfig", "-d", "<PCI>", "set", "SRIOV_EN=1", "NUM_OF_VFS=<COUNT>")
        for name in nodes
    )
    read = "status.lastSyncError says what failed, and status.interfaces what the adapters allow."
    switch_on = "If totalvfs is 0, SR-IOV is off in the firmware. Switch it on and reboot the node; where secure boot blocks the tool, in the machine's set-up."
    return (Fix(read, states), Fix(switch_on, firmware))


def mend_plugin_count(situation: Situation) -> tuple[Fix, ...]:
    """The SR-IOV device plugin counts otherwise than its operator."""
    names = situation.find_nodes(Reason.DevicePluginCountMismatch)
    looks = tuple(
        command for name in names for command in (show_node_state(situation, name), list_pods_on(situation, name))
    )
    why = "The device plugin read its configuration before all virtual functions were there. Let its DaemonSet make a new pod (sriov-device-plugin-...)."
    return (Fix(why, (*looks, restart_pod(situation))),)


def mend_guids(situation: Situation) -> tuple[Fix, ...]:
    """Virtual functions have no GUID."""
    states = _each(situation, Reason.VFGuidUnset, show_node_state)
    policy = Command(situation.target.kubectl_cluster("edit", "nicclusterpolicy", "nic-cluster-policy"))
    why = "Somebody must give GUIDs to virtual functions: ib-kubernetes (spec.ibKubernetes of the NicClusterPolicy), or virtualisation in the subnet manager (virt_enabled 2 for opensm)."
    return (Fix(why, (*states, policy)),)


def mend_no_dpu(situation: Situation) -> tuple[Fix, ...]:
    """The node has no accepted DPU."""
    known: list[Any] | None = find_field(situation.spec, (*_DPU, "models"))
    drop = Fix("Do without a DPU.", (situation.edit(_DPU, REMOVED),))
    if known is None:
        return (Fix("Use nodes with a BlueField. This shows what each node has.", (show_matrix(situation),)), drop)
    accept = "The nodes have no DPU that the spec accepts. Accept theirs if the storage fabric runs on it."
    edit = situation.edit((*_DPU, "models"), [*known, "<BLUEFIELD>"])
    return (Fix(accept, (show_matrix(situation), edit)), drop)


def mend_dpu_mode(situation: Situation) -> tuple[Fix, ...]:
    """The BlueField works in the other mode."""
    wanted = find_field(situation.spec, (*_DPU, "mode")) or "DPU"
    engine = "INTERNAL_CPU_OFFLOAD_ENGINE=" + ("0" if wanted == "DPU" else "1")
    other = "NIC" if wanted == "DPU" else "DPU"
    nodes = situation.find_nodes(Reason.DPUModeMismatch)
    firmware = tuple(run_on_node(situation, name, "mlxconfig", "-d", "<PCI>", "set", engine) for name in nodes)
    accept = f"The BlueFields of these nodes work in mode {other}. Accept that if the store is reached through the host's side all the same."
    switch = f"Switch them to mode {wanted} in the firmware, and power-cycle the node; a reboot is not enough."
    return (Fix(accept, (situation.edit((*_DPU, "mode"), other),)), Fix(switch, firmware))


def mend_dpu(situation: Situation) -> tuple[Fix, ...]:
    """The DOCA Platform Framework has not finished."""
    target = situation.target
    kind = "dpus.provisioning.dpu.nvidia.com"
    steps = (
        look(target.kubectl_cluster("get", kind, "-A")),
        look(target.kubectl_cluster("-n", "<NAMESPACE>", "describe", kind, "<DPU>")),
    )
    return (Fix("Its phase and conditions say how far it is; phase Error needs the platform's own remedy.", steps),)


def mend_unknown_numa(situation: Situation) -> tuple[Fix, ...]:
    """No object tells the NUMA zones."""
    target = situation.target
    install = "Install the topology updater of Node Feature Discovery (Helm value topologyUpdater.enable); it writes NodeResourceTopology objects."
    give_up = "Give the requirement up."
    looks = (look(target.kubectl_cluster("get", "noderesourcetopologies")),)
    return (Fix(install, looks), Fix(give_up, (situation.edit(("nodes", "requirements", "numa"), REMOVED),)))


def mend_numa(situation: Situation) -> tuple[Fix, ...]:
    """No zone has all devices of a pod."""
    target = situation.target
    zones = tuple(
        look(target.kubectl_cluster("get", "noderesourcetopologies", name, "-o", "yaml"))
        for name in situation.find_nodes(Reason.NUMAAlignmentImpossible)
    )
    spread = "Let a pod's devices lie in several zones: set excludeTopology: true in the SriovNetworkNodePolicy where the kubelet's policy is single-numa-node, and give the requirement up."
    fewer = "Use fewer GPUs per pod; this shows what each zone has."
    policies = Command(target.kubectl_cluster("-n", "<NAMESPACE>", "edit", "sriovnetworknodepolicy", "<POLICY>"))
    numa = situation.edit(("nodes", "requirements", "numa"), {"alignment": "None"})
    return (Fix(spread, (policies, numa)), Fix(fewer, zones))


def mend_outside_fabric(situation: Situation) -> tuple[Fix, ...]:
    """The node does not belong to the fabric."""
    selector: dict[str, str] = find_field(situation.fabric or {}, ("spec", "nodeSelector")) or {"<LABEL>": "<VALUE>"}
    flags = [word for key in selector for word in ("-L", key)]
    shown = look(situation.target.kubectl_cluster("get", "nodes", *flags))
    wanted = [f"{key}={value}" for key, value in selector.items()]
    nodes = situation.find_nodes(Reason.NodeNotInFabric)
    labels = tuple(Command(situation.target.kubectl_cluster("label", "node", name, *wanted)) for name in nodes)
    join = "If the node is connected to the fabric, give it the labels that spec.nodeSelector of the fabric names."
    widen = "If spec.nodeSelector of the fabric is wrong, correct it."
    return (Fix(join, (shown, *labels)), Fix(widen, (edit_fabric(situation),)))


def wait_for_rollout(situation: Situation) -> tuple[Fix, ...]:
    """Drivers are being rolled out."""
    labels = ("-L", "network.nvidia.com/operator.mofed.wait", "-L", "nvidia.com/ofed-driver-upgrade-state")
    steps = (show_resource(situation), look(situation.target.kubectl_cluster("get", "nodes", *labels)))
    return (Fix("It passes as the drivers of the other nodes get ready, which takes minutes per node.", steps),)


def mend_stale_report(situation: Situation) -> tuple[Fix, ...]:
    """The validator does not report any more."""
    target = situation.target
    steps = (
        look(target.kubectl_cluster("get", "ncr")),
        look(target.kubectl_cluster("-n", _VALIDATOR_NAMESPACE, "get", "pods", "-o", "wide")),
        look(target.kubectl_cluster("-n", _VALIDATOR_NAMESPACE, "logs", "<POD>", "--tail=100")),
    )
    why = "The node validator's pod on the node does not run, or cannot write its report. Its log says why."
    return (Fix(why, steps),)
