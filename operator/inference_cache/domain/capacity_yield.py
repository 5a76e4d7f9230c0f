"""What the tiers gain, how many requests they allow and what load that puts on the object store."""

import math
from typing import Final

from .cache_link import EffectiveLink
from .cache_rate import Shares, Supply, compute_gain, compute_gain_ceiling, compute_rate, find_limit
from .capacity_figures import (
    Bounds,
    BreakEven,
    DRAMFit,
    GainBounds,
    Gains,
    HBMPool,
    Hits,
    KVSizes,
    ObjectTraffic,
    Throughput,
)
from .capacity_inputs import CapacityInputs, Tiers
from .request_cost import RequestCost

_SECONDS_PER_DAY: Final = 86_400


def build_supply(
    inputs: CapacityInputs,
    kv: KVSizes | None,
    hbm: HBMPool | None,
    cost: RequestCost,
    read_link: EffectiveLink | None,
    local_link: EffectiveLink,
) -> Supply | None:
    """Return what a replica has and what a request takes of it, or None where a part is not known."""
    if kv is None or hbm is None or not cost.prefill:
        return None
    if cost.suffix is None or cost.decode is None or cost.lone_answer is None:
        return None
    return Supply(
        prefill=cost.prefill,
        suffix=cost.suffix,
        decode=cost.decode,
        lone_answer=cost.lone_answer,
        session_bytes=kv.session_bytes,
        local_rate=local_link.bytes_per_second,
        s3_rate=read_link.bytes_per_second if read_link else None,
        conversations=inputs.workload.conversations_per_replica,
        slots=hbm.sessions,
    )


def _split_shares(hits: Hits, *, s3: bool) -> tuple[Shares, Shares]:
    """Return where hits come from in the worse and in the better order of turns."""
    in_hbm = hits.hbm
    return (
        Shares(in_hbm.cyclic if in_hbm else 0.0, hits.dram.cyclic, s3),
        Shares(in_hbm.random if in_hbm else 0.0, hits.dram.random, s3),
    )


def find_gains(supply: Supply | None, hits: Hits | None, tiers: Tiers) -> Gains | None:
    """Return what DRAM and S3 gain, or None where a part of the cost is not known."""
    if supply is None or hits is None:
        return None
    dram = _bound_gain(supply, hits, s3=False)
    all_tiers = (
        _bound_gain(supply, hits, s3=hits.from_s3) if tiers.object_store and supply.s3_rate is not None else None
    )
    added = None
    if dram is not None and all_tiers is not None:
        added = _bound_quotient(all_tiers, dram)
    return Gains(ceiling=compute_gain_ceiling(supply), dram=dram, all_tiers=all_tiers, added_by_s3=added)


def _bound_gain(supply: Supply, hits: Hits, *, s3: bool) -> GainBounds | None:
    worse, better = (compute_gain(supply, shares) for shares in _split_shares(hits, s3=s3))
    return None if worse is None or better is None else GainBounds(worse, better)


def _bound_quotient(upper: GainBounds, lower: GainBounds) -> Bounds:
    """Return upper over lower as computed, each in any order of turns; equal ones are the same cache."""
    if upper == lower:
        return Bounds(1.0, 1.0)
    uppers, lowers = (upper.cyclic, upper.random), (lower.cyclic, lower.random)
    return Bounds(min(uppers) / max(lowers), max(uppers) / min(lowers))


def find_throughput(
    supply: Supply | None,
    hits: Hits | None,
    break_even: BreakEven | None,
    dram: DRAMFit | None,
    cost: RequestCost,
) -> Throughput | None:
    """Return the request rate and its limit, or None where a part is not known or nothing limits it."""
    if supply is None or hits is None or break_even is None or dram is None:
        return None
    s3 = hits.from_s3
    if s3 and supply.s3_rate is None:
        return None
    worse, better = _split_shares(hits, s3=s3)
    low, high = compute_rate(supply, worse).requests_per_second, compute_rate(supply, better).requests_per_second
    if not math.isfinite(low) or not math.isfinite(high):
        return None
    limit = find_limit(
        supply,
        worse,
        break_even=break_even.bytes_per_second,
        dram_growth=1 / dram.usable_fit.low if dram.usable_fit.low > 0 else math.inf,
    )
    response = None
    if low > 0 and high > 0:
        ends = sorted((supply.conversations / low, supply.conversations / high))
        response = Bounds(*ends)
    answer = cost.answer or 0.0
    ttft = Bounds(max(0.0, response.low - answer), max(0.0, response.high - answer)) if response else None
    return Throughput(low, high, limit, response, ttft)


def find_traffic(
    inputs: CapacityInputs,
    kv: KVSizes | None,
    read_link: EffectiveLink | None,
    throughput: Throughput | None,
) -> ObjectTraffic | None:
    """Return the load on the object store, or None where there is none or the KV sizes are not known."""
    if kv is None or not inputs.tiers.object_store:
        return None
    workload, days = inputs.workload, inputs.tiers.retention_days
    written = None
    if throughput is not None:
        # S3 is taken to hold every context (h = 1), so only what a turn adds is new to it.
        requests = max(throughput.cyclic, throughput.random) * max(1, workload.replicas)
        written = requests * workload.growth_tokens * kv.bytes_per_token
    return ObjectTraffic(
        gets_per_second=read_link.bytes_per_second / kv.object_bytes if read_link else None,
        heads_per_cold_lookup=kv.objects_per_session,
        steady_write_bytes_per_second=written,
        retained_bytes=None if written is None or days is None else written * days * _SECONDS_PER_DAY,
    )
