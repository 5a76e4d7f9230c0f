"""The capacity plan: what the tiers of a deployment can hold, what a hit saves and what limits it, before anything runs.

Every figure that the inputs do not determine is None and listed as unknown with its cause. The model is a closed form;
simulated closed loops came out up to a fifth lower, so gains are given as a range from 0.8 of the computed value.
"""

from dataclasses import replace

from .cache_link import EffectiveLink, find_local_link, find_read_link, find_write_link
from .cache_rate import Limit
from .capacity_figures import Bounds, BreakEven, CapacityPlan, HBMPool, KVSizes, Throughput
from .capacity_findings import list_findings
from .capacity_fit import bound_all_hits, find_weight_bytes, fit_dram, fit_hbm, measure_kv, measure_working_set
from .capacity_inputs import CapacityInputs
from .capacity_unknowns import list_unknowns
from .capacity_yield import build_supply, find_gains, find_throughput, find_traffic
from .model_shape import ShapeUnknown
from .request_cost import RequestCost, build_request_cost


def plan_capacity(inputs: CapacityInputs) -> CapacityPlan:
    """Return every figure that the inputs determine, what is unknown, and what a user should know.

    Raises nothing for inputs within the bounds that their classes state.
    """
    workload, machine, tiers, link = inputs.workload, inputs.machine, inputs.tiers, inputs.link
    kv = measure_kv(inputs)
    weight_bytes = find_weight_bytes(inputs)
    hbm = fit_hbm(kv, workload, machine, weight_bytes)
    working_set = measure_working_set(kv, workload)
    dram = fit_dram(tiers, working_set)
    hits = bound_all_hits(inputs, kv, hbm, working_set)
    cost = _cost_request(inputs, kv, hbm, weight_bytes)
    copies = kv.hbm_bytes_per_token / kv.bytes_per_token if kv else 1.0
    read_link = find_read_link(link, machine, copies) if tiers.object_store else None
    write_link = find_write_link(link) if tiers.object_store else None
    local_link = find_local_link(machine, copies)
    load = (
        kv.session_bytes / read_link.bytes_per_second if kv and read_link and read_link.bytes_per_second > 0 else None
    )
    break_even = _find_break_even(kv, cost, read_link, write_link)
    supply = build_supply(inputs, kv, hbm, cost, read_link, local_link)
    throughput = find_throughput(supply, hits, break_even, dram, cost)
    if throughput is None and hbm is not None and hbm.sessions == 0:
        throughput = Throughput(0.0, 0.0, Limit.HBM_SLOTS)
    plan = CapacityPlan(
        inputs=inputs,
        kv=kv,
        working_set=working_set,
        weight_bytes=weight_bytes,
        hbm=hbm,
        dram=dram,
        hits=hits,
        cost=cost,
        read_link=read_link,
        local_link=local_link,
        write_link=write_link,
        load_seconds=load,
        hit_ttft_seconds=None if load is None or cost.suffix is None else load + cost.suffix,
        break_even=break_even,
        gains=find_gains(supply, hits, tiers),
        throughput=throughput,
        traffic=find_traffic(inputs, kv, read_link, throughput),
    )
    plan = replace(plan, unknowns=list_unknowns(plan))
    return replace(plan, findings=list_findings(plan))


def _cost_request(
    inputs: CapacityInputs, kv: KVSizes | None, hbm: HBMPool | None, weight_bytes: float | None
) -> RequestCost:
    if isinstance(inputs.shape, ShapeUnknown):
        # A measured prefill rate says nothing without the bytes that it would save, so nothing is computed from it.
        return RequestCost()
    batch = min(inputs.workload.conversations_per_replica, hbm.sessions) if hbm else None
    return build_request_cost(
        inputs.shape,
        inputs.workload,
        inputs.machine,
        weight_bytes=weight_bytes,
        session_bytes=kv.hbm_session_bytes if kv else None,
        batch=batch,
    )


def _find_break_even(
    kv: KVSizes | None, cost: RequestCost, read_link: EffectiveLink | None, write_link: EffectiveLink | None
) -> BreakEven | None:
    if kv is None or not cost.prefill or not cost.prefill_slowest or not cost.prefill_fastest:
        return None
    rate = kv.session_bytes / cost.prefill
    return BreakEven(
        bytes_per_second=rate,
        range=Bounds(kv.session_bytes / cost.prefill_slowest, kv.session_bytes / cost.prefill_fastest),
        read_ratio=read_link.bytes_per_second / rate if read_link else None,
        write_ratio=write_link.bytes_per_second / rate if write_link else None,
    )
