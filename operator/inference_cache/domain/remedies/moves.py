"""The single changes by which a node comes closer to running a replica, each with a price for choosing among them."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from difflib import get_close_matches
from typing import Any, Final

from inference_cache.api.quantities import GIB, format_gib, parse_quantity
from inference_cache.domain import names
from inference_cache.domain.gpu_products import GPU_FAMILIES
from inference_cache.domain.node_facts import NodeFacts, Taint
from inference_cache.domain.node_matrix import Judgement, Matrix, format_taint
from inference_cache.domain.reasons import Reason

from .fixes import REMOVED, Change, Path, Situation, Spec, apply_change, find_field

_GPU_COUNTS: Final = (16, 8, 4, 2, 1)


@dataclass(frozen=True)
class Move:
    """One change on the way: of the spec, or of the node by a kubectl command on it."""

    why: str
    cost: int
    change: Change | None = None
    words: tuple[str, ...] = ()
    node: NodeFacts | None = None


def find_move(matrix: Matrix, situation: Situation, spec: Spec, judged: Judgement, *, label_node: bool) -> Move | None:
    """Return the change against the first thing that keeps the node from running a replica, None where no edit helps.

    Args:
        matrix: Judges by changed specs.
        situation: The facts.
        spec: As changed so far.
        judged: How the node stands towards it.
        label_node: Whether a missing label is written to the node rather than taken from the selector.
    """
    node = judged.node
    for key, value in judged.missing_labels.items():
        return _move_for_label(situation, node, key, value, label_node=label_node)
    for taint in judged.untolerated:
        return _tolerate(spec, taint)
    build = _MOVES.get(judged.violations[0])
    return build(matrix, spec, node) if build else None


def _move_for_label(situation: Situation, node: NodeFacts, key: str, value: str, *, label_node: bool) -> Move:
    path: Path = ("nodes", "selector", key)
    known = {item.facts.labels[key] for item in situation.nodes or () if key in item.facts.labels}
    found = node.labels.get(key)
    typo = found is not None and found in get_close_matches(value, known, n=1)
    if label_node:
        words = ("label", "node", node.name, f"{key}={value}", *(("--overwrite",) if found is not None else ()))
        # A label that is nearly the same was mistyped, and where some nodes carry it, these were meant.
        why = f"spec.nodes.selector wants the label {key}={value}; the node has {found or 'none'}."
        return Move(
            why, 4 if typo or value in known else 2, words=words, node=replace(node, labels={**node.labels, key: value})
        )
    if found is not None:
        why = f"spec.nodes.selector wants {key}={value}, and nodes carry {key}={found}."
        return Move(why, 1 if typo else 3, Change(path, found))
    return Move(f"spec.nodes.selector wants {key}={value}, which nodes do not carry.", 4, Change(path, REMOVED))


def _tolerate(spec: Spec, taint: Taint) -> Move:
    toleration = {"key": taint.key, "operator": "Equal", "value": taint.value, "effect": taint.effect}
    if not taint.value:
        toleration = {"key": taint.key, "operator": "Exists", "effect": taint.effect}
    path: Path = ("nodes", "tolerations")
    known = find_field(spec, path) or []
    why = f"The taint {format_taint(taint)} is not tolerated; it may be there to keep others away, so ask its owner."
    return Move(why, 2, Change(path, [*known, toleration]))


def _accept_product(_: Matrix, spec: Spec, node: NodeFacts) -> Move:
    product = node.labels[names.GPU_PRODUCT_LABEL]
    family = next((name for name, values in GPU_FAMILIES.items() if product in values), product)
    path: Path = ("nodes", "requirements", "gpu", "products")
    known = find_field(spec, path) or []
    why = f"The GPUs are {product}, which the spec does not accept; see that the model fits their memory."
    return Move(why, 2, Change(path, [*known, family]))


def _lower_gpus(_: Matrix, _spec: Spec, node: NodeFacts) -> Move | None:
    count = next((count for count in _GPU_COUNTS if count <= (node.gpus or 0)), None)
    if count is None:
        return None
    why = (
        f"The node has {node.gpus} GPUs, fewer than one replica needs; see that the model fits into {count}. "
        "The cache begins cold, as its layout changes."
    )
    return Move(why, 3, Change(("engine", "tensorParallelSize"), count))


def _make_memory_do(matrix: Matrix, spec: Spec, node: NodeFacts) -> Move | None:
    return _drop_memory_requirement(spec, node) or _shrink_memory(matrix, spec, node)


def _shrink_memory(matrix: Matrix, spec: Spec, node: NodeFacts) -> Move | None:
    """Return the change to the largest memory tier with which the node passes, with room for what else runs there."""
    index = _find_memory_tier(spec)
    if index is None:
        return None
    path: Path = ("cache", "tiers", index, "memory", "size")
    roomy = replace(node, memory=node.memory - node.memory // 50)

    def fits(gib: int) -> bool:
        judged = matrix.judge(apply_change(spec, Change(path, f"{gib}Gi")), roomy)
        return judged is not None and Reason.MemoryTooSmall not in judged.violations

    low, high = 0, parse_quantity(str(find_field(spec, path))) // GIB
    while low < high:
        middle = (low + high + 1) // 2
        low, high = (middle, high) if fits(middle) else (low, middle - 1)
    if low == 0:
        return None
    why = f"The node has {format_gib(node.memory)} of memory, less than one replica requests."
    return Move(why, 2, Change(path, f"{low}Gi"))


def _relax_gpu_memory(_: Matrix, _spec: Spec, node: NodeFacts) -> Move:
    found = node.labels[names.GPU_MEMORY_LABEL]
    why = f"The GPUs have {found} MiB, less than required; see that the model fits."
    return Move(why, 2, Change(("nodes", "requirements", "gpu", "minMemoryPerGPU"), f"{found}Mi"))


def _relax_driver(_: Matrix, _spec: Spec, node: NodeFacts) -> Move:
    found = int(node.labels[names.DRIVER_MAJOR_LABEL])
    why = f"The node's driver is of version {found}, older than required; upgrade it, or see that the engine runs with it."
    return Move(why, 3, Change(("nodes", "requirements", "gpu", "driverMajorAtLeast"), found))


def _lower_cpus(matrix: Matrix, spec: Spec, node: NodeFacts) -> Move | None:
    path: Path = ("engine", "resources", "requests", "cpu")
    for count in range(node.milli_cpus // 1000, 0, -1):
        judged = matrix.judge(apply_change(spec, Change(path, str(count))), node)
        if judged is not None and Reason.CPUsTooFew not in judged.violations:
            why = f"The node has {node.milli_cpus // 1000} CPUs, fewer than one replica requests."
            return Move(why, 2, Change(path, str(count)))
    return None


def _use_standard_pages(_: Matrix, spec: Spec, _node: NodeFacts) -> Move | None:
    index = _find_memory_tier(spec)
    if index is None:
        return None
    why = "The node has reserved fewer huge pages than the memory tier needs; standard pages need no reservation."
    return Move(why, 2, Change(("cache", "tiers", index, "memory", "pages"), REMOVED))


def _drop_memory_requirement(spec: Spec, node: NodeFacts) -> Move | None:
    path: Path = ("nodes", "requirements", "memory")
    wanted = find_field(spec, path)
    if wanted is None or parse_quantity(str(wanted)) <= node.memory:
        return None
    why = f"The node has {format_gib(node.memory)} of memory, less than nodes.requirements.memory; without that, what a replica requests counts."
    return Move(why, 2, Change(path, REMOVED))


def _uncordon(_: Matrix, _spec: Spec, node: NodeFacts) -> Move:
    why = "The node is cordoned; uncordon it unless it is under maintenance."
    return Move(why, 1, words=("uncordon", node.name), node=replace(node, unschedulable=False))


def _find_memory_tier(spec: Spec) -> int | None:
    tiers = find_field(spec, ("cache", "tiers")) or []
    return next((number for number, tier in enumerate(tiers) if "memory" in tier), None)


def _give_up(path: Path, why: str, value: Any = REMOVED) -> Callable[[Matrix, Spec, NodeFacts], Move]:
    """A requirement that the node misses; whether the deployment can do without it, only a person knows."""
    return lambda _matrix, _spec, _node: Move(why, 4, Change(path, value))


_REQUIREMENTS: Final[Path] = ("nodes", "requirements")
_MOVES: Final[Mapping[Reason, Callable[[Matrix, Spec, NodeFacts], Move | None]]] = {
    Reason.NodeUnschedulable: _uncordon,
    Reason.GPUProductMismatch: _accept_product,
    Reason.GPUMemoryTooSmall: _relax_gpu_memory,
    Reason.DriverTooOld: _relax_driver,
    Reason.GPUCountTooLow: _lower_gpus,
    Reason.CPUsTooFew: _lower_cpus,
    Reason.HugePagesTooFew: _use_standard_pages,
    Reason.MemoryTooSmall: _make_memory_do,
    Reason.KernelTooOld: _give_up(
        (*_REQUIREMENTS, "kernelAtLeast"), "The node's kernel is older than required; upgrade it, or give that up."
    ),
    Reason.ComputeCapabilityTooLow: _give_up(
        (*_REQUIREMENTS, "gpu", "computeCapabilityAtLeast"),
        "The node's GPUs are of an older generation than required; see that the engine runs on them.",
    ),
    Reason.GPUPartitioned: _give_up(
        (*_REQUIREMENTS, "gpu", "partitioning"),
        "The node's GPUs are cut or shared; see that pieces of GPUs do for the engine.",
        "Accept",
    ),
    Reason.NICSpeedTooLow: _give_up(
        (*_REQUIREMENTS, "rdma", "minSpeedGbps"),
        "The node's adapter is slower than required; see what icd plan --network-gigabits says of its speed.",
    ),
    Reason.NICFirmwareTooOld: _give_up(
        (*_REQUIREMENTS, "rdma", "firmwareAtLeast"),
        "The firmware of the node's adapter is older than required; update it, or give that up.",
    ),
    Reason.GPUDirectUnavailable: _give_up(
        (*_REQUIREMENTS, "rdma", "gpuDirect"),
        "The node cannot share GPU memory with its adapter; LMCache moves KV between DRAM and the store without.",
        "Ignore",
    ),
}
