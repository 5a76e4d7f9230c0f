"""What holds for every capacity plan."""

import math
from dataclasses import fields, is_dataclass, replace
from typing import Any, Final

from hypothesis import given
from hypothesis import strategies as st

from inference_cache.domain.capacity import plan_capacity
from inference_cache.domain.capacity_figures import CapacityPlan, GainBounds
from inference_cache.domain.capacity_inputs import CapacityInputs, Layout, Link, Machine, Tiers, Workload
from inference_cache.domain.gpu_specs import GPU_SPECS
from inference_cache.domain.hit_rate import HitBounds
from inference_cache.domain.model_shape import LatentAttention, ModelShape, ShapeUnknown
from inference_cache.domain.payoff import predict_payoff
from inference_cache.domain.verdict import MAX_MESSAGE, Truth
from tests.support.capacity_inputs import known

_PARTS: Final = st.floats(0.05, 1)
_RATES: Final = st.one_of(st.none(), st.floats(1e3, 1e13))


@st.composite
def _shapes(draw: st.DrawFn) -> ModelShape | ShapeUnknown:
    if draw(st.integers(0, 19)) == 0:
        return ShapeUnknown("config.json: num_hidden_layers is missing")
    kv_heads = draw(st.sampled_from([1, 2, 4, 8, 128]))
    parameters = draw(st.one_of(st.none(), st.integers(1, 10**13)))
    return ModelShape(
        layers=draw(st.integers(1, 200)),
        attention_heads=kv_heads * draw(st.integers(1, 16)),
        kv_heads=kv_heads,
        head_dim=draw(st.integers(1, 1024)),
        latent=draw(st.one_of(st.none(), st.just(LatentAttention(512, 64)))),
        hybrid_cause=draw(st.sampled_from([None, None, None, None, "sliding_window is 128"])),
        weight_dtype=draw(st.sampled_from(["bfloat16", "fp8", "awq", None])),
        parameters=parameters,
        active_parameters=draw(st.one_of(st.none(), st.integers(1, parameters))) if parameters else None,
    )


@st.composite
def _inputs(draw: st.DrawFn) -> CapacityInputs:
    ranks = draw(st.sampled_from([1, 2, 4, 8]))
    low = draw(_PARTS)
    mfu = draw(st.floats(low, 1))
    return CapacityInputs(
        shape=draw(_shapes()),
        workload=Workload(
            conversations=draw(st.integers(1, 10**6)),
            context_tokens=draw(st.integers(1, 10**7)),
            new_tokens=draw(st.integers(0, 10**6)),
            answer_tokens=draw(st.integers(0, 10**6)),
            replicas=draw(st.integers(0, 1000)),
            turns=draw(st.one_of(st.none(), st.integers(1, 10_000))),
            max_model_len=draw(st.one_of(st.none(), st.integers(1, 10**7))),
        ),
        machine=Machine(
            gpu=draw(st.one_of(st.none(), st.sampled_from(list(GPU_SPECS.values())))),
            gpus=ranks,
            hbm_utilization=draw(_PARTS),
            mfu=mfu,
            mfu_low=low,
            mfu_high=draw(st.floats(mfu, 1)),
            mbu=draw(_PARTS),
            prefill_tokens_per_second=draw(st.one_of(st.none(), st.floats(1, 1e7))),
            hbm_kv_bytes=draw(st.one_of(st.none(), st.floats(0, 1e13))),
        ),
        tiers=Tiers(
            dram_bytes=draw(st.one_of(st.just(0.0), st.floats(2**30, 1e14))),
            watermark=draw(_PARTS),
            eviction_ratio=draw(st.floats(0, 1)),
            object_store=draw(st.booleans()),
            max_in_flight_loads=draw(st.integers(0, 256)),
            retention_days=draw(st.one_of(st.none(), st.integers(1, 3650))),
        ),
        layout=Layout(
            tensor_parallel_size=ranks,
            chunk_tokens=draw(st.integers(1, 8192)),
            kv_bytes_per_element=draw(st.sampled_from([1, 2, 2, 2, None])),
        ),
        link=Link(draw(_RATES), draw(_RATES), draw(_RATES), efficiency=draw(_PARTS)),
    )


def _numbers(value: Any) -> list[float]:
    if isinstance(value, bool | str) or value is None:
        return []
    if isinstance(value, int | float):
        return [value]
    if is_dataclass(value):
        return [number for field in fields(value) for number in _numbers(getattr(value, field.name))]
    return []


def _hits(plan: CapacityPlan) -> list[HitBounds]:
    hits = plan.hits
    return [] if hits is None else [bounds for bounds in (hits.hbm, hits.dram, hits.all_tiers) if bounds is not None]


def _gains(plan: CapacityPlan) -> list[GainBounds]:
    gains = plan.gains
    return [] if gains is None else [bounds for bounds in (gains.dram, gains.all_tiers) if bounds is not None]


@given(_inputs())
def test_every_plan_has_finite_figures_in_their_ranges(inputs: CapacityInputs) -> None:
    plan = plan_capacity(inputs)
    payoff = predict_payoff(plan)
    figures = [
        number for field in fields(plan) if field.name != "inputs" for number in _numbers(getattr(plan, field.name))
    ]
    assert all(math.isfinite(number) and number >= 0 for number in figures)
    assert all(0 <= bounds.cyclic <= bounds.random <= 1 for bounds in _hits(plan))
    for bounds in _gains(plan):
        assert 0 < bounds.low <= bounds.high
        ceiling = plan.gains.ceiling if plan.gains else None
        assert ceiling is None or bounds.high <= ceiling * (1 + 1e-9)
    assert all(len(finding.message) <= MAX_MESSAGE for finding in plan.findings)
    assert len({finding.reason for finding in plan.findings}) == len(plan.findings)
    assert len(payoff.message) <= MAX_MESSAGE
    added = plan.gains.added_by_s3 if plan.gains else None
    assert added is None or added.low <= added.high
    if plan.hbm is not None and plan.hbm.sessions == 0:
        assert (plan.gains, payoff.verdict) == (None, Truth.UNKNOWN)


@given(_inputs())
def test_what_is_missing_has_a_cause(inputs: CapacityInputs) -> None:
    plan = plan_capacity(inputs)
    needed: list[object] = [plan.kv, plan.hbm, plan.cost.prefill, plan.cost.suffix]
    if inputs.tiers.object_store:
        needed += [plan.read_link, plan.write_link]
    assert all(figure is not None for figure in needed) or plan.unknowns
    assert all(item.what and item.why for item in plan.unknowns)
    if predict_payoff(plan).verdict is not Truth.UNKNOWN:
        assert plan.kv is not None


@given(_inputs(), st.floats(1, 100))
def test_more_dram_never_lowers_hits_or_gains(inputs: CapacityInputs, factor: float) -> None:
    more = replace(inputs, tiers=replace(inputs.tiers, dram_bytes=inputs.tiers.dram_bytes * factor))
    for one, other in zip(_hits(plan_capacity(inputs)), _hits(plan_capacity(more)), strict=True):
        assert one.cyclic <= other.cyclic
        assert one.random <= other.random


@given(_inputs(), st.floats(1e3, 1e13), st.floats(1, 100))
def test_more_link_never_lowers_its_rate_or_the_gain(inputs: CapacityInputs, bits: float, factor: float) -> None:
    inputs = replace(inputs, tiers=replace(inputs.tiers, object_store=True))
    slow, fast = (
        plan_capacity(replace(inputs, link=replace(inputs.link, network_bits_per_second=rate)))
        for rate in (bits, bits * factor)
    )
    assert known(slow.read_link).bytes_per_second <= known(fast.read_link).bytes_per_second
    assert known(slow.write_link).bytes_per_second <= known(fast.write_link).bytes_per_second
    for one, other in zip(_gains(slow), _gains(fast), strict=True):
        assert one.cyclic <= other.cyclic * (1 + 1e-9)
        assert one.random <= other.random * (1 + 1e-9)


@given(_inputs(), st.integers(1, 100))
def test_one_conversation_per_replica_is_the_least_that_a_replica_holds(inputs: CapacityInputs, replicas: int) -> None:
    workload = replace(inputs.workload, conversations=replicas, replicas=replicas)
    plan = plan_capacity(replace(inputs, workload=workload))
    if plan.kv is not None:
        assert known(plan.working_set).replica_bytes == plan.kv.session_bytes
