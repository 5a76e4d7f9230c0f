"""Remedies for what a node's GPUs and kernel cannot do: compute capability, partitions, virtual machines, GPUDirect."""

from typing import Final

from inference_cache.domain.reasons import Reason

from .fixes import REMOVED, Command, Fix, Path, Situation, look

_GPU: Final[Path] = ("nodes", "requirements", "gpu")


def mend_unknown_compute(situation: Situation) -> tuple[Fix, ...]:
    """The labels with the compute capability are missing."""
    target = situation.target
    discovery = ("get", "pods", "-A", "-l", "app=gpu-feature-discovery", "-o", "wide")
    labels = ("nvidia.com/gpu.compute.major=<MAJOR>", "nvidia.com/gpu.compute.minor=<MINOR>")
    why = (
        "GPU Feature Discovery writes the labels nvidia.com/gpu.compute.major and minor; it does not run there, or fails. "
        "Until it does, they can be written by hand: 9 and 0 for Hopper, 10 and 0 for Blackwell."
    )
    nodes = situation.find_nodes(Reason.ComputeCapabilityUnknown)
    steps = (Command(target.kubectl_cluster("label", "node", name, *labels)) for name in nodes)
    return (Fix(why, (look(target.kubectl_cluster(*discovery)), *steps)),)


def mend_low_compute(situation: Situation) -> tuple[Fix, ...]:
    """The GPUs are of an older generation."""
    labels = (
        "-L",
        "nvidia.com/gpu.product",
        "-L",
        "nvidia.com/gpu.compute.major",
        "-L",
        "nvidia.com/gpu.compute.minor",
    )
    steps = (
        look(situation.target.kubectl_cluster("get", "nodes", *labels)),
        situation.edit((*_GPU, "computeCapabilityAtLeast"), REMOVED),
    )
    return (Fix("The GPUs are of an older generation. Use other nodes, or give the requirement up if they do.", steps),)


def mend_partitions(situation: Situation) -> tuple[Fix, ...]:
    """GPUs are cut by MIG or shared."""
    target = situation.target
    labels = ("-L", "nvidia.com/gpu.sharing-strategy", "-L", "nvidia.com/mig.config", "-L", "nvidia.com/mig.strategy")
    whole = tuple(
        Command(target.kubectl_cluster("label", "node", name, "nvidia.com/mig.config=all-disabled", "--overwrite"))
        for name in situation.find_nodes(Reason.GPUPartitioned)
    )
    mig = "MIG or sharing gives pods pieces of GPUs. With MIG: the GPU operator's MIG manager makes them whole by this label, for which the node must run no GPU pods. With time slicing or MPS: take the node out of the device plugin's sharing configuration."
    accept = "Accept pieces, if one is enough for an engine of this model."
    return (
        Fix(mig, (look(target.kubectl_cluster("get", "nodes", *labels)), *whole)),
        Fix(accept, (situation.edit((*_GPU, "partitioning"), "Accept"),)),
    )


def mend_operand(situation: Situation) -> tuple[Fix, ...]:
    """The node is set up for virtual machines."""
    steps = tuple(
        Command(
            situation.target.kubectl_cluster(
                "label", "node", name, "nvidia.com/gpu.workload.config=container", "--overwrite"
            )
        )
        for name in situation.find_nodes(Reason.GPUOperandNotReady)
    )
    why = "The GPU operator prepares these nodes for virtual machines. With this label it prepares them for containers; virtual machines there must be gone."
    return (Fix(why, steps),)


def mend_unknown_kernel(situation: Situation) -> tuple[Fix, ...]:
    """The kubelet does not tell the kernel."""
    nodes = situation.find_nodes(Reason.KernelUnknown)
    steps = tuple(look(situation.target.kubectl_cluster("describe", "node", name)) for name in nodes)
    return (Fix("The kubelet reports the kernel as it registers; repair it, or restart it.", steps),)


def mend_old_kernel(situation: Situation) -> tuple[Fix, ...]:
    """The kernel is too old."""
    columns = "custom-columns=NODE:.metadata.name,KERNEL:.status.nodeInfo.kernelVersion"
    steps = (
        look(situation.target.kubectl_cluster("get", "nodes", "-o", columns)),
        situation.edit(("nodes", "requirements", "kernelAtLeast"), REMOVED),
    )
    return (Fix("Upgrade the kernel of the nodes, or give the requirement up.", steps),)


def mend_gpu_direct(situation: Situation) -> tuple[Fix, ...]:
    """The NIC cannot reach GPU memory."""
    columns = "custom-columns=NODE:.metadata.name,KERNEL:.status.nodeInfo.kernelVersion"
    driver = ("-L", "nvidia.com/cuda.driver-version.major", "-L", "nvidia.com/gpu.family")
    ignore = "LMCache moves KV between DRAM and the store, for which GPUDirect is not needed. Do without it."
    upgrade = "Upgrade what is too old: DMA-BUF needs kernel 5.12, driver 515 with open kernel modules, and a Turing GPU or newer."
    path = ("nodes", "requirements", "rdma", "gpuDirect")
    looks = (
        look(situation.target.kubectl_cluster("get", "nodes", "-o", columns)),
        look(situation.target.kubectl_cluster("get", "nodes", *driver)),
    )
    return (Fix(ignore, (situation.edit(path, "Ignore"),)), Fix(upgrade, looks))
