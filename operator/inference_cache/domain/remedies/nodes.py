"""Remedies for what a node lacks, by what the status alone can tell: state, GPUs, driver, CPU, memory."""

from inference_cache.api.quantities import GIB, format_gib, parse_quantity
from inference_cache.domain import names
from inference_cache.domain.reasons import Reason

from .fixes import REMOVED, Command, Edit, Fix, Situation, find_field, look


def mend_nodes_unknown(situation: Situation) -> tuple[Fix, ...]:
    """The operator has not read the nodes."""
    account = f"system:serviceaccount:{situation.target.account}"
    return (
        Fix(
            "It passes within seconds of the operator's start. If it lasts, the operator lacks the right to list nodes.",
            (
                look(situation.target.kubectl_cluster("auth", "can-i", "list", "nodes", f"--as={account}")),
                *install_rights(situation),
            ),
        ),
    )


def install_rights(situation: Situation) -> tuple[Command, ...]:
    """Return the command that installs the operator's rights."""
    apply = situation.target.kubectl_cluster("apply", "--server-side", "-f", "manifests/base/rbac.yaml")
    return (Command(apply),)


def mend_not_ready(situation: Situation) -> tuple[Fix, ...]:
    """The node is lost."""
    steps = [
        look(situation.target.kubectl_cluster("describe", "node", name))
        for name in situation.find_nodes(Reason.NodeNotReady)
    ]
    return (
        Fix("The kubelet of the node does not report Ready; repair the node. Its conditions say why.", tuple(steps)),
    )


def mend_cordoned(situation: Situation) -> tuple[Fix, ...]:
    """The node is cordoned."""
    nodes = situation.find_nodes(Reason.NodeUnschedulable)
    steps = [Command(situation.target.kubectl_cluster("uncordon", name)) for name in nodes]
    return (Fix("The nodes are cordoned; uncordon them unless they are under maintenance.", tuple(steps)),)


def mend_unknown_product(situation: Situation) -> tuple[Fix, ...]:
    """The product label is missing."""
    return _label_by_hand(situation, Reason.GPUProductUnknown, names.GPU_PRODUCT_LABEL, "<PRODUCT>", "NVIDIA-H200")


def mend_unknown_gpu_memory(situation: Situation) -> tuple[Fix, ...]:
    """The label with the GPUs' memory is missing."""
    return _label_by_hand(situation, Reason.GPUMemoryUnknown, names.GPU_MEMORY_LABEL, "<MIB>", "143771")


def mend_unknown_driver(situation: Situation) -> tuple[Fix, ...]:
    """The label with the driver's version is missing."""
    return _label_by_hand(situation, Reason.DriverUnknown, names.DRIVER_MAJOR_LABEL, "<MAJOR>", "580")


def _label_by_hand(situation: Situation, reason: Reason, key: str, placeholder: str, example: str) -> tuple[Fix, ...]:
    nodes = situation.find_nodes(reason)
    label = f"{key}={placeholder}"
    return (
        Fix(
            f"GPU Feature Discovery writes the label {key}; it does not run there, or fails. "
            f"Until it does, the label can be written by hand, for instance {example}.",
            (
                look(
                    situation.target.kubectl_cluster(
                        "get", "pods", "-A", "-l", "app=gpu-feature-discovery", "-o", "wide"
                    )
                ),
                *(Command(situation.target.kubectl_cluster("label", "node", name, label)) for name in nodes),
            ),
        ),
    )


def mend_other_product(situation: Situation) -> tuple[Fix, ...]:
    """The GPUs are of another model."""
    path = ("nodes", "requirements", "gpu", "products")
    known = find_field(situation.spec, path) or []
    steps = (
        look(situation.target.kubectl_cluster("get", "nodes", "-L", names.GPU_PRODUCT_LABEL)),
        situation.edit(path, [*known, "<PRODUCT>"]),
    )
    return (Fix("The nodes have GPUs that the spec does not accept. Accept theirs if the model fits.", steps),)


def mend_little_gpu_memory(situation: Situation) -> tuple[Fix, ...]:
    """The GPUs have too little memory."""
    path = ("nodes", "requirements", "gpu", "minMemoryPerGPU")
    steps = (
        look(situation.target.kubectl_cluster("get", "nodes", "-L", names.GPU_MEMORY_LABEL)),
        situation.edit(path, "<SIZE>"),
    )
    return (Fix("The GPUs have less memory than required. Lower the requirement if the model fits.", steps),)


def mend_old_driver(situation: Situation) -> tuple[Fix, ...]:
    """The driver is too old."""
    path = ("nodes", "requirements", "gpu", "driverMajorAtLeast")
    steps = (
        look(situation.target.kubectl_cluster("get", "nodes", "-L", names.DRIVER_MAJOR_LABEL)),
        situation.edit(path, REMOVED),
    )
    return (Fix("Upgrade the NVIDIA driver of the nodes, or give the requirement up.", steps),)


def mend_few_cpus(situation: Situation) -> tuple[Fix, ...]:
    """The nodes have too few CPUs."""
    columns = "custom-columns=NODE:.metadata.name,CPU:.status.allocatable.cpu"
    steps = (
        look(situation.target.kubectl_cluster("get", "nodes", "-o", columns)),
        situation.edit(("engine", "resources", "requests", "cpu"), "<CPUS>"),
    )
    return (Fix("One replica requests more CPUs than a node has. Lower the request, or use larger nodes.", steps),)


def mend_few_huge_pages(situation: Situation) -> tuple[Fix, ...]:
    """The nodes have reserved too few huge pages."""
    tiers = find_field(situation.spec, ("cache", "tiers")) or []
    steps = tuple(
        situation.edit(("cache", "tiers", i, "memory", "pages"), REMOVED)
        for i, tier in enumerate(tiers)
        if "memory" in tier
    )
    why = "The nodes have reserved fewer huge pages than the memory tier needs. Reserve them (vm.nr_hugepages, then restart the kubelet), or use standard pages."
    return (Fix(why, steps),)


def mend_no_gpus(situation: Situation) -> tuple[Fix, ...]:
    """The device plugin does not advertise GPUs."""
    get = ("get", "pods", "-A", "-l", "app.kubernetes.io/name=nvidia-device-plugin", "-o", "wide")
    nodes = situation.find_nodes(Reason.GPUNotAdvertised)
    return (
        Fix(
            "The nodes have no resource nvidia.com/gpu: the NVIDIA device plugin does not run there, or they have no GPU. "
            "Install or repair the plugin, or keep such nodes out by spec.nodes.selector.",
            (
                look(situation.target.kubectl_cluster(*get)),
                *(look(situation.target.kubectl_cluster("describe", "node", name)) for name in nodes),
            ),
        ),
    )


def mend_few_gpus(situation: Situation) -> tuple[Fix, ...]:
    """The nodes have too few GPUs."""
    path = ("engine", "tensorParallelSize")
    count = find_field(situation.spec, path) or 1
    why = "One replica needs more GPUs than a node has. See that the model fits into fewer; the cache begins cold then."
    columns = (
        f"custom-columns=NODE:.metadata.name,GPUS:.status.allocatable.{names.GPU_RESOURCE.replace('.', chr(92) + '.')}"
    )
    steps = (
        look(situation.target.kubectl_cluster("get", "nodes", "-o", columns)),
        situation.edit(path, max(1, count // 2)),
    )
    return (Fix(why, steps if count > 1 else steps[:1]),)


def mend_little_memory(situation: Situation) -> tuple[Fix, ...]:
    """The nodes have too little memory."""
    columns = "custom-columns=NODE:.metadata.name,MEMORY:.status.allocatable.memory"
    steps: list[Command | Edit] = [look(situation.target.kubectl_cluster("get", "nodes", "-o", columns))]
    for index, tier in enumerate(find_field(situation.spec, ("cache", "tiers")) or []):
        size = parse_quantity(str(tier["memory"]["size"])) if "memory" in tier else 0
        if size >= 2 * GIB:
            half = format_gib(size // 2 // GIB * GIB)
            steps.append(situation.edit(("cache", "tiers", index, "memory", "size"), half))
    why = "The memory tier and what the processes need exceed a node's memory. Halve the tier, or use larger nodes."
    return (Fix(why, tuple(steps)),)
