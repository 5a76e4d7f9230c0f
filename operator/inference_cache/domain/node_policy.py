"""Which nodes can run a replica, decided before any pod exists, and why the others cannot.

Each check is a predicate that names its violation; the first one that fails names the node's reason.
"""

from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Final

from inference_cache.api.nodes import Nodes, TaintEffect, Toleration, TolerationOperator
from inference_cache.api.quantities import format_gib, parse_quantity
from inference_cache.api.status import NodeReasonCount, NodeStatus

from . import names
from .defaults import Settled
from .gpu_products import expand_products
from .gpu_requirements import least_gpu_memory_mib
from .node_facts import NodeFacts, Taint
from .reasons import Reason
from .sizing import Sizes, compute_sizes
from .verdict import ConditionType, Verdict, bad, ok, unknown

_EXAMPLES: Final = 3
_MAX_REASONS: Final = 10

# The node controller sets these for states that have a reason of their own.
_STATE_TAINTS: Final = frozenset(
    {"node.kubernetes.io/not-ready", "node.kubernetes.io/unreachable", "node.kubernetes.io/unschedulable"}
)


@dataclass(frozen=True)
class Need:
    """What one replica needs of a node."""

    nodes: Nodes | None
    products: frozenset[str]
    sizes: Sizes
    memory: int = 0
    gpu_memory_mib: int = 0
    driver_major: int = 0


Check = Callable[[NodeFacts, Need], Reason | None]


def check_ready(node: NodeFacts, _: Need) -> Reason | None:
    """The node must report Ready."""
    return None if node.ready else Reason.NodeNotReady


def check_schedulable(node: NodeFacts, _: Need) -> Reason | None:
    """The node must not be cordoned."""
    return Reason.NodeUnschedulable if node.unschedulable else None


def check_gpu_product(node: NodeFacts, need: Need) -> Reason | None:
    """The GPU model must be accepted; a missing label is unknown, which is not the same as wrong."""
    if not need.products:
        return None
    product = node.labels.get(names.GPU_PRODUCT_LABEL)
    if product is None:
        return Reason.GPUProductUnknown if node.gpus else Reason.GPUNotAdvertised
    return None if product in need.products else Reason.GPUProductMismatch


def check_gpu_count(node: NodeFacts, need: Need) -> Reason | None:
    """The node must have the GPUs of one replica."""
    if node.gpus is None:
        return Reason.GPUNotAdvertised
    return Reason.GPUCountTooLow if node.gpus < need.sizes.gpus else None


def check_gpu_memory(node: NodeFacts, need: Need) -> Reason | None:
    """Each GPU must have the required memory; the label counts MiB."""
    if not need.gpu_memory_mib:
        return None
    found = _read_number(node, names.GPU_MEMORY_LABEL)
    if found is None:
        return Reason.GPUMemoryUnknown
    return Reason.GPUMemoryTooSmall if found < need.gpu_memory_mib else None


def check_driver(node: NodeFacts, need: Need) -> Reason | None:
    """The driver must be new enough."""
    if not need.driver_major:
        return None
    found = _read_number(node, names.DRIVER_MAJOR_LABEL)
    if found is None:
        return Reason.DriverUnknown
    return Reason.DriverTooOld if found < need.driver_major else None


def check_cpus(node: NodeFacts, need: Need) -> Reason | None:
    """The node must have the CPUs of one replica."""
    return Reason.CPUsTooFew if node.milli_cpus < need.sizes.pod_milli_cpus else None


def check_memory(node: NodeFacts, need: Need) -> Reason | None:
    """The node must have the memory of one replica, and what the spec asks for."""
    return Reason.MemoryTooSmall if node.memory < max(need.memory, need.sizes.pod_memory) else None


def check_huge_pages(node: NodeFacts, need: Need) -> Reason | None:
    """The node must have the huge pages of one memory tier."""
    return Reason.HugePagesTooFew if node.huge_pages < need.sizes.huge_pages else None


def _read_number(node: NodeFacts, label: str) -> int | None:
    text = node.labels.get(label, "")
    return int(text) if text.isascii() and text.isdecimal() else None


NODE_CHECKS: Final[tuple[Check, ...]] = (
    check_ready,  # first: the other facts of a lost node are old
    check_schedulable,
    check_gpu_product,  # before the count: a wrong model is not mended by more of it
    check_gpu_memory,
    check_driver,
    check_gpu_count,
    check_cpus,
    check_huge_pages,
    check_memory,
)


def check_nodes(settled: Settled, nodes: Iterable[NodeFacts] | None) -> tuple[Verdict, NodeStatus | None]:
    """Return the condition NodesEligible and the counts for status; None as nodes means that they were not read yet."""
    if nodes is None:
        return unknown(ConditionType.NODES_ELIGIBLE, Reason.NodesUnknown), None
    need = _build_need(settled)
    candidates = 0
    eligible = 0
    violations: Counter[Reason] = Counter()
    examples: dict[Reason, list[str]] = {}
    seen: set[str] = set()
    for node in nodes:
        if not is_candidate(node, need.nodes):
            continue
        candidates += 1
        reason = find_violation(node, need)
        if reason is None:
            eligible += 1
            continue
        violations[reason] += 1
        if reason is Reason.GPUProductMismatch:
            seen.add(node.labels[names.GPU_PRODUCT_LABEL])
        kept = [*examples.get(reason, []), node.name]
        examples[reason] = sorted(kept)[:_EXAMPLES]
    ranked = sorted(violations.items(), key=lambda item: (-item[1], item[0].name))[:_MAX_REASONS]
    listed = [NodeReasonCount(reason=reason.name, count=count, examples=examples[reason]) for reason, count in ranked]
    status = NodeStatus(candidates=candidates, eligible=eligible, ineligible=listed or None)
    return _summarize(settled, need, status, sorted(seen)), status


def find_violation(node: NodeFacts, need: Need) -> Reason | None:
    """Return why the node cannot run a replica, or None where it can."""
    return next((reason for check in NODE_CHECKS if (reason := check(node, need)) is not None), None)


def is_candidate(node: NodeFacts, nodes: Nodes | None) -> bool:
    """Whether the spec speaks of this node at all: its labels match and its taints are tolerated."""
    selector = (nodes.selector if nodes else None) or {}
    if any(node.labels.get(key) != value for key, value in selector.items()):
        return False
    tolerations = (nodes.tolerations if nodes else None) or []
    return all(
        taint.key in _STATE_TAINTS or any(_tolerates(item, taint) for item in tolerations) for taint in node.taints
    )


def _tolerates(toleration: Toleration, taint: Taint) -> bool:
    if toleration.effect is not None and toleration.effect != TaintEffect(taint.effect):
        return False
    if toleration.key is not None and toleration.key != taint.key:
        return False
    return toleration.operator is TolerationOperator.EXISTS or (toleration.value or "") == taint.value


def _build_need(settled: Settled) -> Need:
    nodes = settled.spec.nodes
    wanted = nodes.requirements if nodes else None
    gpu = wanted.gpu if wanted else None
    return Need(
        nodes,
        frozenset(expand_products(gpu.products)) if gpu and gpu.products else frozenset(),
        compute_sizes(settled),
        memory=parse_quantity(wanted.memory) if wanted and wanted.memory else 0,
        gpu_memory_mib=least_gpu_memory_mib(gpu),
        driver_major=(gpu.driver_major_at_least if gpu else None) or 0,
    )


def _summarize(settled: Settled, need: Need, status: NodeStatus, other_products: list[str]) -> Verdict:
    condition = ConditionType.NODES_ELIGIBLE
    if status.candidates == 0:
        return bad(condition, Reason.NoCandidateNodes)
    if status.eligible == 0 and settled.replicas > 0:
        wanted = f"{need.sizes.gpus} GPU" + (f" of {', '.join(sorted(need.products))}" if need.products else "")
        causes = "; ".join(
            f"{item.count} {item.reason} (for instance {', '.join(item.examples)})" for item in status.ineligible or []
        )
        message = f"None of {status.candidates} candidate nodes has {wanted} and {format_gib(need.sizes.pod_memory)} memory: {causes}."
        if other_products:
            message += f" They have {', '.join(other_products[:_MAX_REASONS])}."
        return bad(condition, Reason.NoEligibleNodes, message)
    return ok(
        condition,
        Reason.NodesAvailable,
        f"{status.eligible} of {status.candidates} candidate nodes meet every requirement.",
    )
