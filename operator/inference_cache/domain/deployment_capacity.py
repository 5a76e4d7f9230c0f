"""The capacity plan of one deployment: how its spec becomes the planner's inputs, and what status and conditions say of it."""

from dataclasses import dataclass, replace
from typing import Final

from inference_cache.api.engine import KVCacheDtype
from inference_cache.api.status import Capacity, PercentRange
from inference_cache.api.workload import Workload as DeclaredWorkload

from .capacity import plan_capacity
from .capacity_figures import CapacityPlan, GainBounds
from .capacity_inputs import CapacityInputs, Layout, Link, Machine, Tiers, Workload
from .capacity_text import format_bytes, format_factor, format_rate
from .defaults import Settled
from .gpu_products import expand_products
from .gpu_specs import GPUChoice, choose_gpu_spec
from .kv_layout import build_shape, kv_element_bytes
from .model_shape import ModelShape, ShapeUnknown
from .payoff import PayoffReason, predict_payoff
from .reasons import Reason
from .sizing import compute_sizes
from .verdict import ConditionType, Truth, Verdict

NEW_TOKENS: Final = 300
ANSWER_TOKENS: Final = 200
_MEGA: Final = 1e6
_GIGA: Final = 1e9
_MAX_LISTED: Final = 10


@dataclass(frozen=True)
class Overrides:
    """What a person knows beside the spec; each takes the place of what the spec says.

    Attributes:
        shape: From the model's config.json.
        gpu_product: Value of the label nvidia.com/gpu.product.
        dram_bytes: Memory of the node's tier, to try other sizes.
    """

    shape: ModelShape | ShapeUnknown | None = None
    gpu_product: str | None = None
    conversations: int | None = None
    context_tokens: int | None = None
    new_tokens: int | None = None
    answer_tokens: int | None = None
    network_gigabits: float | None = None
    read_megabytes: float | None = None
    write_megabytes: float | None = None
    dram_bytes: int | None = None
    prefill_tokens_per_second: float | None = None
    retention_days: float | None = None


def build_capacity_inputs(settled: Settled, overrides: Overrides | None = None) -> CapacityInputs | None:
    """Return the planner's inputs; None where nobody says what the deployment is for, or it has no cache."""
    known = overrides or Overrides()
    workload = _build_workload(settled, known)
    if workload is None or not settled.cache_enabled:
        return None
    architecture = settled.spec.model.architecture
    shape = known.shape or (
        build_shape(architecture) if architecture else ShapeUnknown("model.architecture is not declared.")
    )
    store = settled.object_store
    sizes = compute_sizes(settled)
    return CapacityInputs(
        shape=shape,
        workload=workload,
        machine=Machine(
            gpu=choose_gpu(settled, known).spec,
            gpus=settled.tensor_parallel_size,
            hbm_utilization=settled.gpu_memory_utilization_percent / 100,
            prefill_tokens_per_second=known.prefill_tokens_per_second,
        ),
        tiers=Tiers(
            dram_bytes=settled.memory_bytes if known.dram_bytes is None else known.dram_bytes,
            watermark=settled.eviction_watermark_percent / 100,
            eviction_ratio=settled.eviction_percent / 100,
            object_store=store is not None,
            max_in_flight_loads=sizes.in_flight_loads,
            retention_days=known.retention_days,
        ),
        layout=Layout(
            tensor_parallel_size=settled.tensor_parallel_size,
            chunk_tokens=settled.chunk_tokens,
            kv_bytes_per_element=_choose_element_bytes(settled, shape),
        ),
        link=_build_link(settled, known),
    )


def choose_gpu(settled: Settled, overrides: Overrides | None = None) -> GPUChoice:
    """Return the GPU to plan with: the one named by hand, else the slowest that the spec accepts."""
    if overrides and overrides.gpu_product:
        return choose_gpu_spec(expand_products([overrides.gpu_product]))
    nodes = settled.spec.nodes
    gpu = nodes.requirements.gpu if nodes and nodes.requirements else None
    return choose_gpu_spec(expand_products(gpu.products) if gpu and gpu.products else [])


def plan_deployment(settled: Settled, overrides: Overrides | None = None) -> CapacityPlan | None:
    """Return the capacity plan; None where there is nothing to plan."""
    inputs = build_capacity_inputs(settled, overrides)
    return None if inputs is None else plan_capacity(inputs)


def check_payoff(settled: Settled, plan: CapacityPlan | None) -> Verdict | None:
    """Return the condition CachePaysOff as predicted; None without a cache. It informs and blocks nothing."""
    if not settled.cache_enabled:
        return None
    condition = ConditionType.CACHE_PAYS_OFF
    if plan is None:
        return _say(condition, Truth.UNKNOWN, Reason.PayoffUnknown, "spec.workload is not declared.")
    payoff = predict_payoff(plan)
    reason = {
        Truth.TRUE: Reason.PredictedToPay,
        Truth.UNKNOWN: Reason.PayoffUnknown,
        Truth.FALSE: Reason.PredictedBelowBreakEven
        if payoff.reason is PayoffReason.LINK_BELOW_BREAK_EVEN
        else Reason.CacheAddsNothing,
    }[payoff.verdict]
    text = f"Predicted: {payoff.message}"
    # A message that ends in its own advice needs no general one, which could contradict it.
    return (
        Verdict(condition, payoff.verdict, reason, text)
        if payoff.advice
        else _say(condition, payoff.verdict, reason, text)
    )


def summarize_capacity(plan: CapacityPlan | None) -> Capacity | None:
    """Return what the status says of the plan."""
    if plan is None:
        return None
    conversations = plan.inputs.workload.conversations_per_replica
    gains, even, link = plan.gains, plan.break_even, plan.read_link
    hits = plan.hits
    best = (gains.all_tiers or gains.dram) if gains else None
    return Capacity(
        bytes_per_token=plan.kv.bytes_per_token if plan.kv else None,
        working_set=format_bytes(plan.working_set.mean_bytes) if plan.working_set else None,
        hbm_sessions=f"{min(plan.hbm.sessions, conversations)}/{conversations}" if plan.hbm else None,
        memory_fit_percent=min(round(plan.dram.raw_fit * 100), 1_000_000) if plan.dram else None,
        memory_hit_percent=PercentRange(low=_percent(hits.dram.cyclic), high=_percent(hits.dram.random))
        if hits
        else None,
        break_even=format_rate(even.bytes_per_second) if even else None,
        link=format_rate(link.bytes_per_second) if link else None,
        gain_ceiling=format_factor(gains.ceiling) if gains and gains.ceiling else None,
        gain=_range(best) if best else None,
        limit=plan.throughput.limit.value if plan.throughput else None,
        findings=[item.reason.value for item in plan.findings][:_MAX_LISTED] or None,
        unknown=[item.what for item in plan.unknowns][:_MAX_LISTED] or None,
    )


def _choose_element_bytes(settled: Settled, shape: ModelShape | ShapeUnknown) -> int | None:
    """Return the bytes of one KV element; under Auto a checkpoint with scales for quantized KV decides, not we."""
    if settled.kv_cache_dtype is KVCacheDtype.AUTO and isinstance(shape, ModelShape):
        return shape.auto_kv_bytes_per_element
    return kv_element_bytes(settled)


def _range(bounds: GainBounds) -> str:
    return f"{format_factor(bounds.low)} to {format_factor(bounds.high)}"


def _percent(share: float) -> int:
    return max(0, min(100, round(share * 100)))


def _say(condition: ConditionType, truth: Truth, reason: Reason, text: str) -> Verdict:
    return Verdict(condition, truth, reason, f"{text} {reason.remedy}".strip() if truth is not Truth.TRUE else text)


def _build_workload(settled: Settled, known: Overrides) -> Workload | None:
    declared = settled.spec.workload
    if declared is None and (known.conversations is None or known.context_tokens is None):
        return None
    base = declared or DeclaredWorkload(
        conversations=known.conversations or 1, context_tokens=known.context_tokens or 1
    )
    workload = Workload(
        conversations=base.conversations,
        context_tokens=base.context_tokens,
        new_tokens=base.new_tokens or NEW_TOKENS,
        answer_tokens=base.answer_tokens or ANSWER_TOKENS,
        replicas=settled.replicas,
        max_model_len=settled.spec.model.max_model_len,
    )
    given = {
        name: value
        for name in ("conversations", "context_tokens", "new_tokens", "answer_tokens")
        if (value := getattr(known, name)) is not None
    }
    return replace(workload, **given)


def _build_link(settled: Settled, known: Overrides) -> Link:
    declared = settled.object_store.link if settled.object_store else None
    network = known.network_gigabits or (declared.network_gigabits if declared else None)
    read = known.read_megabytes or (declared.read_megabytes if declared else None)
    write = known.write_megabytes or (declared.write_megabytes if declared else None) or read
    return Link(
        network_bits_per_second=network * _GIGA if network else None,
        read_bytes_per_second=read * _MEGA if read else None,
        write_bytes_per_second=write * _MEGA if write else None,
    )
