"""What a pod requests, from the one size that the user states, merged with the user's overrides; and when that cannot work.

The values are starting points on the safe side; they are requests that the scheduler and the node check both use.
"""

from dataclasses import dataclass
from typing import Final

from inference_cache.api.cache import Pages
from inference_cache.api.quantities import GIB, format_amount, format_gib, format_mib, parse_milli, parse_quantity
from inference_cache.api.resources import ResourceOverrides

from .defaults import MAX_IN_FLIGHT_LOADS, Settled
from .kv_layout import build_kv_layout
from .reasons import Reason

MIB: Final = 2**20
HUGE_PAGE: Final = 2 * MIB
# LMCache's resident size was L1 + 1.4 GiB with one GPU; each further rank adds a context. LMCache's own operator adds 5.
_CACHE_OVERHEAD: Final = 8 * GIB
_CACHE_LEAST_OVERHEAD: Final = 2 * GIB
_ENGINE_BASE: Final = 16 * GIB
_ENGINE_PER_GPU: Final = 6 * GIB
# Python, CUDA context and sampler of an engine whose weights are on the GPU; below that it is killed while it loads.
_ENGINE_LEAST: Final = 4 * GIB
_SHM_PER_GPU: Final = 2 * GIB
_SHM_MINIMUM: Final = 4 * GIB
_CACHE_CPUS: Final = 4

Amounts = dict[str, str]
Problem = tuple[Reason, str]


@dataclass(frozen=True)
class ContainerSizes:
    """Requests and limits of one container, as they are rendered."""

    requests: Amounts
    limits: Amounts

    @property
    def memory(self) -> int:
        """Requested memory in bytes."""
        return parse_quantity(self.requests["memory"])

    @property
    def milli_cpus(self) -> int:
        """Requested CPU in thousandths."""
        return parse_milli(self.requests["cpu"])


WEIGHTS: Final = ContainerSizes({"cpu": "2", "memory": "1Gi"}, {"memory": "1Gi"})
"""The container that downloads the weights; it runs before all others."""

PREFLIGHT: Final = ContainerSizes({"cpu": "1", "memory": "4Gi"}, {"memory": "4Gi"})
"""The container that tries RDMA before the cache server starts, with the client that the server loads. It asks for less
than the containers after it, so it changes nothing of what a pod needs."""


@dataclass(frozen=True)
class Sizes:
    """Sizes of one pod; memory in bytes.

    Attributes:
        cache: The cache server's container; None without one.
        weights: The container that downloads the weights; None where they are there already.
        huge_pages: Memory in huge pages of 2Mi, beside the containers' memory.
        in_flight_loads: Look-ups that may load from the store at a time.
        context_bytes: KV of one context of maxModelLen; None where the model's shape is unknown.
        locked_memory: Memory that the pod's processes pin, which the runtime's memlock limit must allow.
    """

    engine: ContainerSizes
    cache: ContainerSizes | None
    weights: ContainerSizes | None
    shm: int
    gpus: int
    memory_tier: int
    huge_pages: int
    in_flight_loads: int
    context_bytes: int | None
    locked_memory: int

    @property
    def pod_memory(self) -> int:
        """Memory that a node must have free for one pod, huge pages not counted."""
        running = self.engine.memory + (self.cache.memory if self.cache else 0)
        return max(running, self.weights.memory if self.weights else 0)

    @property
    def pod_milli_cpus(self) -> int:
        """CPU that a node must have free for one pod, in thousandths."""
        running = self.engine.milli_cpus + (self.cache.milli_cpus if self.cache else 0)
        return max(running, self.weights.milli_cpus if self.weights else 0)


def compute_sizes(settled: Settled) -> Sizes:
    """Return the sizes of one pod."""
    gpus = settled.tensor_parallel_size
    shm = max(_SHM_MINIMUM, gpus * _SHM_PER_GPU)
    # /dev/shm is memory-backed and counts towards the container that writes to it.
    engine_memory = _ENGINE_BASE + gpus * _ENGINE_PER_GPU + shm
    overrides = settled.spec.engine.resources if settled.spec.engine else None
    layout = build_kv_layout(settled)
    context = layout.context_bytes(settled.spec.model.max_model_len) if layout else None
    huge = _round_up(settled.memory_bytes, HUGE_PAGE) if settled.pages is Pages.HUGE_2MI else 0
    return Sizes(
        engine=_merge(str(max(4, 2 * gpus)), engine_memory, overrides),
        cache=_size_cache(settled) if settled.cache_enabled else None,
        weights=WEIGHTS if settled.spec.model.source.hugging_face is not None else None,
        shm=shm,
        gpus=gpus,
        memory_tier=settled.memory_bytes,
        huge_pages=huge,
        in_flight_loads=_choose_loads(settled, context),
        context_bytes=context,
        # The tier is pinned for copies to and from the GPUs; each GPU adds a staging buffer.
        locked_memory=settled.memory_bytes + gpus * GIB if settled.cache_enabled else 0,
    )


def list_size_problems(settled: Settled) -> list[Problem]:
    """Return why the sizes cannot work, each with its arithmetic and what to write; nodes are not looked at here."""
    sizes = compute_sizes(settled)
    engine = settled.spec.engine
    problems = [
        *_list_override_problems("engine.resources", engine.resources if engine else None, sizes.engine),
        *_list_override_problems("cache.resources", settled.spec.cache.resources, sizes.cache),
    ]
    least = sizes.shm + _ENGINE_LEAST
    if sizes.engine.memory < least:
        need = f"{_show(least)}: {_show(sizes.shm)} for /dev/shm and {_show(_ENGINE_LEAST)} for the process"
        problems.append(_too_small("engine", engine.resources if engine else None, sizes.engine, need, least))
    if sizes.cache is not None:
        problems += _list_cache_problems(settled, sizes, sizes.cache)
    return problems


def _list_cache_problems(settled: Settled, sizes: Sizes, cache: ContainerSizes) -> list[Problem]:
    problems: list[Problem] = []
    paged = sizes.huge_pages > 0
    least = (0 if paged else sizes.memory_tier) + _CACHE_LEAST_OVERHEAD
    if cache.memory < least:
        need = (
            f"{_show(least)} for the process (the memory tier's huge pages are counted apart)"
            if paged
            else f"{_show(least)}: {_show(sizes.memory_tier)} for the memory tier and {_show(_CACHE_LEAST_OVERHEAD)} for the process"
        )
        problems.append(_too_small("cache", settled.spec.cache.resources, cache, need, least))
    context = sizes.context_bytes
    if settled.object_store is not None and context is not None and context * sizes.in_flight_loads > _usable(settled):
        problems.append((Reason.MemoryTierTooSmall, _describe_starving_loads(settled, sizes, context)))
    return problems


def _describe_starving_loads(settled: Settled, sizes: Sizes, context: int) -> str:
    usable, loads = _usable(settled), sizes.in_flight_loads
    fit = usable // context
    size = -(-context * loads * 100 // settled.eviction_watermark_percent)
    layout = build_kv_layout(settled)
    one = f"{settled.spec.model.max_model_len} tokens x {layout.bytes_per_token if layout else 0} B = {_show(context)}"
    need = (
        f"One load needs one context: {one}."
        if loads == 1
        else f"objectStore.maxInFlightLoads is {loads}, and each load needs one context: {one}; together {_show(context * loads)}."
    )
    remedies = [f"a memory.size of at least {format_gib(size)}"]
    remedies += [f"a maxInFlightLoads of at most {fit}"] if fit and loads > 1 else []
    return (
        f"cache.tiers[0].memory.size is {_show(sizes.memory_tier)}, of which {settled.eviction_watermark_percent} % = "
        f"{_show(usable)} is used before eviction. {need} Write {', '.join(remedies)}, or a smaller model.maxModelLen."
    )


def _too_small(part: str, overrides: ResourceOverrides | None, sizes: ContainerSizes, need: str, least: int) -> Problem:
    """Say which of request and limit is too small; the other one follows it."""
    kind = "requests" if overrides and "memory" in (overrides.requests or {}) else "limits"
    who = "the engine" if part == "engine" else "the cache server"
    return (
        Reason.ResourcesTooSmall,
        (
            f"{part}.resources.{kind}.memory is {_show(sizes.memory)}, but {who} needs at least {need}. "
            f"Write at least {format_gib(least)}, or remove it for the computed value."
        ),
    )


def _list_override_problems(
    path: str, overrides: ResourceOverrides | None, sizes: ContainerSizes | None
) -> list[Problem]:
    if overrides is None or sizes is None:
        return []
    requests, limits = overrides.requests or {}, overrides.limits or {}
    return [
        (
            Reason.ResourcesTooSmall,
            f"{path}.requests.{key} is {requests[key]}, more than {path}.limits.{key} of {limits[key]}. Lower the request or raise the limit.",
        )
        for key in sorted(requests.keys() & limits.keys())
        if parse_milli(requests[key]) > parse_milli(limits[key])
    ]


def _size_cache(settled: Settled) -> ContainerSizes:
    paged = settled.pages is Pages.HUGE_2MI
    memory = _CACHE_OVERHEAD + (0 if paged else settled.memory_bytes)
    sizes = _merge(str(_CACHE_CPUS), memory, settled.spec.cache.resources)
    if not paged:
        return sizes
    # Requests must equal limits for huge pages.
    pages = {"hugepages-2Mi": format_mib(_round_up(settled.memory_bytes, HUGE_PAGE))}
    return ContainerSizes(sizes.requests | pages, sizes.limits | pages)


def _merge(cpu: str, memory: int, overrides: ResourceOverrides | None) -> ContainerSizes:
    """Return computed values with the overrides in their place, key by key.

    Where only one of request and limit is given, the computed other one follows, as the API server refuses a request
    above its limit.
    """
    requests = _canonical(overrides.requests) if overrides else {}
    limits = _canonical(overrides.limits) if overrides else {}
    merged_requests: Amounts = {"cpu": cpu, "memory": format_gib(memory)} | requests
    merged_limits: Amounts = {"memory": format_gib(memory)} | limits
    for key in merged_requests.keys() & merged_limits.keys():
        if parse_milli(merged_requests[key]) <= parse_milli(merged_limits[key]):
            continue
        if key in requests and key in limits:
            continue
        if key in requests:
            merged_limits[key] = merged_requests[key]
        else:
            merged_requests[key] = merged_limits[key]
    return ContainerSizes(dict(sorted(merged_requests.items())), dict(sorted(merged_limits.items())))


def _canonical(amounts: Amounts | None) -> Amounts:
    return {key: format_amount(value) for key, value in (amounts or {}).items()}


def _usable(settled: Settled) -> int:
    return settled.memory_bytes * settled.eviction_watermark_percent // 100


def _choose_loads(settled: Settled, context: int | None) -> int:
    if settled.max_in_flight_loads is not None:
        return settled.max_in_flight_loads
    if context is None:
        return MAX_IN_FLIGHT_LOADS
    return max(1, min(MAX_IN_FLIGHT_LOADS, _usable(settled) // context))


def _round_up(size: int, unit: int) -> int:
    return -(-size // unit) * unit


def _show(size: int) -> str:
    return f"{size / GIB:.2f} GiB".replace(".00 GiB", " GiB")
