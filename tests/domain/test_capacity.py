"""What the capacity plan says of the published set-up, of its neighbours, and of what it does not know."""

from dataclasses import replace
from typing import Final

import pytest

from inference_cache.domain.cache_link import LinkPart
from inference_cache.domain.cache_rate import Limit, Shares, Supply, find_limit
from inference_cache.domain.capacity import plan_capacity
from inference_cache.domain.capacity_figures import CapacityPlan, FindingLevel, FindingReason, GainBounds
from inference_cache.domain.capacity_inputs import CapacityInputs, Layout, Link, Machine, Tiers
from inference_cache.domain.gpu_specs import GPU_SPECS
from inference_cache.domain.model_shape import LatentAttention, ModelShape, ShapeUnknown
from tests.support.capacity_inputs import GIB, LLAMA_70B, MEASURED, PUBLISHED, build_published, build_supply, known

H200_NVL: Final = GPU_SPECS["NVIDIA-H200-NVL"]


def _reasons(plan: CapacityPlan) -> set[str]:
    return {str(finding.reason) for finding in plan.findings}


def test_published_set_up_stands_at_the_dram_cliff() -> None:
    plan = plan_capacity(PUBLISHED)
    dram, throughput, gains = known(plan.dram), known(plan.throughput), known(plan.gains)
    assert dram.raw_fit == pytest.approx(0.95, abs=0.005)
    assert dram.usable_fit.low == pytest.approx(0.61, abs=0.005)
    assert dram.usable_fit.high == pytest.approx(0.763, abs=0.005)
    assert known(plan.hbm).sessions == 50
    assert throughput.limit is Limit.DRAM_CAPACITY
    cliff = next(finding for finding in plan.findings if finding.reason is FindingReason.CYCLIC_CLIFF_RISK)
    assert cliff.message.startswith("The DRAM cliff limits this deployment. 1.5 TB of DRAM is 0.95 of the working set")
    # 22 needs decode at 0.58 of the HBM bandwidth; with the planned 0.65 the formula gives 24.
    assert gains.ceiling == pytest.approx(22, rel=0.12)
    dram_gain, all_gain = known(gains.dram), known(gains.all_tiers)
    assert dram_gain.low == 1
    assert 3.5 < dram_gain.high < 5.9
    assert dram_gain.high < all_gain.high
    assert 5 < all_gain.low < 20 < all_gain.high <= known(gains.ceiling)
    assert known(plan.read_link).bytes_per_second == pytest.approx(23.25e9)
    assert known(plan.read_link).limited_by is LinkPart.NETWORK
    assert "S3Worthwhile" in _reasons(plan)
    # Published: 5.9 with DRAM, about 20 with S3. The run without S3 did better than the usable band allows.
    assert all_gain.low < 20 < all_gain.high
    assert dram_gain.high < 5.9
    added = known(gains.added_by_s3)
    assert added.low == pytest.approx(all_gain.cyclic / dram_gain.random)
    assert added.high == pytest.approx(all_gain.random / dram_gain.cyclic)
    assert 1.5 < added.low < 20 / 5.9 < added.high


def test_example_of_the_status_columns_counts_all_dram_as_usable() -> None:
    plan = plan_capacity(build_published(all_usable=True))
    hits = known(plan.hits)
    assert hits.dram.cyclic == 0
    assert hits.dram.random == pytest.approx(0.95, abs=0.005)
    gains = known(plan.gains)
    assert known(gains.all_tiers).cyclic / known(gains.dram).cyclic == pytest.approx(7, rel=0.07)
    assert known(plan.throughput).limit is Limit.DRAM_CAPACITY


def test_less_dram_is_deeper_below_the_cliff() -> None:
    published, less = plan_capacity(PUBLISHED), plan_capacity(build_published(dram=1.3e12))
    assert known(less.hits).dram.random < known(published.hits).dram.random
    assert known(known(less.gains).dram).high < known(known(published.gains).dram).high
    assert known(known(less.gains).added_by_s3).low > known(known(published.gains).added_by_s3).low
    assert known(less.throughput).limit is Limit.DRAM_CAPACITY
    assert "WorkingSetExceedsDRAM" in _reasons(less)


def test_dram_that_holds_everything_only_when_full_is_judged_by_what_is_in_use() -> None:
    plan = plan_capacity(build_published(dram=1.8e12))
    dram = known(plan.dram)
    assert dram.raw_fit > 1 > dram.usable_fit.high
    assert known(plan.hits).dram.cyclic == 0
    message = next(item.message for item in plan.findings if item.reason is FindingReason.CYCLIC_CLIFF_RISK)
    assert "1.8 TB of DRAM is 1.14 of the working set" in message
    assert "keeps 1.152 TB to 1.44 TB of it in use (0.73 to 0.92), and that decides" in message


@pytest.mark.parametrize(
    "inputs",
    [build_published(dram=1.8e12, all_usable=True), build_published(dram=2.9e12)],
    ids=["1.8 TB usable", "2.9 TB"],
)
def test_s3_adds_nothing_to_dram_that_holds_everything(inputs: CapacityInputs) -> None:
    plan = plan_capacity(inputs)
    added = known(known(plan.gains).added_by_s3)
    assert (added.low, added.high) == (1, 1)
    assert _reasons(plan) == {"S3NotWorthwhile"}
    assert known(plan.throughput).limit is Limit.DECODE


def test_narrow_link_is_below_break_even_and_the_limit() -> None:
    plan = plan_capacity(build_published(gbits=25))
    assert known(plan.break_even).read_ratio == pytest.approx(0.78, abs=0.01)
    assert known(plan.throughput).limit is Limit.S3_LINK
    assert known(known(plan.gains).all_tiers).low < 1
    assert {"LinkBelowBreakEven", "WriteBelowColdIngest", "S3NotWorthwhile"} <= _reasons(plan)
    message = next(item.message for item in plan.findings if item.reason is FindingReason.LINK_BELOW_BREAK_EVEN)
    assert "at the planned prefill speed, hits from S3 are slower than prefill" in message


def test_link_a_little_above_break_even_is_called_near() -> None:
    assert "LinkNearBreakEven" in _reasons(plan_capacity(build_published(gbits=40)))


_LIMITS: Final = {
    "all prefill anew": (build_supply(suffix=2.0), Shares(1, 1, s3=False), 3e9, 1, Limit.GPU_PREFILL),
    "answers": (build_supply(decode=1.0), Shares(1, 1, s3=False), 3e9, 1, Limit.DECODE),
    "no room for requests": (build_supply(slots=1, lone_answer=9), Shares(0, 1, s3=False), 3e9, 1, Limit.HBM_SLOTS),
    "misses without a lower tier": (build_supply(), Shares(0, 0.5, s3=False), 3e9, 2, Limit.DRAM_CAPACITY),
    "a wide link that DRAM should relieve": (build_supply(s3_rate=20e9), Shares(0, 0, s3=True), 4e9, 1.5, Limit.DRAM_CAPACITY),
    "a wide link that no DRAM can relieve": (build_supply(s3_rate=20e9), Shares(0, 0, s3=True), 4e9, 50, Limit.S3_LINK),
    "a link below break-even": (build_supply(s3_rate=2e9), Shares(0, 0, s3=True), 4e9, 1.5, Limit.S3_LINK),
    "copies into the GPUs": (build_supply(local_rate=5e9), Shares(0, 1, s3=False), 3e9, 1, Limit.PCIE),
    "one conversation with a long answer": (build_supply(conversations=1), Shares(0, 1, s3=False), 3e9, 1, Limit.DECODE),
}  # fmt: skip


@pytest.mark.parametrize(("supply", "shares", "even", "growth", "limit"), _LIMITS.values(), ids=_LIMITS.keys())
def test_limit_is_named_for(supply: Supply, shares: Shares, even: float, growth: float, limit: Limit) -> None:
    assert find_limit(supply, shares, break_even=even, dram_growth=growth) is limit


@pytest.mark.parametrize(
    ("gib", "hit", "gives_nothing"), [(24, 0.156, True), (72, 0.981, False)], ids=["as big as HBM", "holds everything"]
)
def test_dram_as_big_as_hbm_gives_nothing(gib: int, hit: float, gives_nothing: bool) -> None:
    inputs = MEASURED["A 8B 16k"]
    plan = plan_capacity(replace(inputs, tiers=Tiers(gib * GIB), link=Link()))
    assert ("DRAMNotLargerThanHBM" in _reasons(plan)) is gives_nothing
    hits = known(plan.hits)
    assert hits.dram.cyclic <= hit <= hits.dram.random
    assert known(hits.hbm).cyclic <= 0.141 <= known(hits.hbm).random


@pytest.mark.parametrize("dram", [0, 500e9, 834e9], ids=["no DRAM", "less than HBM", "as much as HBM"])
def test_dram_is_not_added_to_hbm(dram: float) -> None:
    hits = known(plan_capacity(replace(PUBLISHED, tiers=Tiers(dram, 1, 0))).hits)
    assert hits.dram == hits.hbm


@pytest.mark.parametrize(
    ("dram", "reasons"),
    [(1.05, {"CyclicCliffRisk", "S3NotWorthwhile"}), (1.15, {"S3NotWorthwhile"})],
    ids=["a little more than the working set", "clearly more"],
)
def test_cliff_is_near_while_growth_could_reach_it(dram: float, reasons: set[str]) -> None:
    assert _reasons(plan_capacity(build_published(dram=dram * 1.572864e12, all_usable=True))) == reasons


@pytest.mark.parametrize(
    ("cyclic", "random", "low", "high"),
    [(5, 24, 4, 24), (1.1, 3, 1, 3), (0.8, 3, 0.8, 3), (1, 1, 1, 1), (2, 1.5, 1.2, 2)],
    ids=[
        "a fifth off",
        "never below none",
        "a loss stays as computed",
        "nothing gained",
        "S3 slower in the better order",
    ],
)
def test_range_of_gains(cyclic: float, random: float, low: float, high: float) -> None:
    bounds = GainBounds(cyclic, random)
    assert bounds.low == pytest.approx(low)
    assert bounds.high == high


def test_conversations_wait_as_long_as_the_rate_says() -> None:
    plan = plan_capacity(PUBLISHED)
    throughput = known(plan.throughput)
    response, ttft = known(throughput.response), known(throughput.ttft)
    assert response.low * throughput.random == pytest.approx(96)
    assert response.high * throughput.cyclic == pytest.approx(96)
    assert response.low - ttft.low == pytest.approx(known(plan.cost.answer))
    assert response.high - ttft.high == pytest.approx(known(plan.cost.answer))


def test_replicas_write_to_one_bucket() -> None:
    one, two = (
        plan_capacity(
            replace(PUBLISHED, workload=replace(PUBLISHED.workload, conversations=96 * replicas, replicas=replicas))
        )
        for replicas in (1, 2)
    )
    assert known(two.throughput) == known(one.throughput)
    written = known(known(one.traffic).steady_write_bytes_per_second)
    assert known(two.traffic).steady_write_bytes_per_second == pytest.approx(2 * written)


def test_loads_in_flight_need_room_in_dram() -> None:
    small = replace(PUBLISHED, tiers=Tiers(150e9, object_store=True))
    message = next(
        item.message
        for item in plan_capacity(small).findings
        if item.reason is FindingReason.IN_FLIGHT_LOADS_EXCEED_DRAM
    )
    assert "131.1 GB" in message
    assert "InFlightLoadsExceedDRAM" not in _reasons(plan_capacity(PUBLISHED))


def test_last_tier_that_hits_less_than_half_is_too_small() -> None:
    plan = plan_capacity(replace(PUBLISHED, tiers=Tiers(600e9), machine=Machine(H200_NVL, 8, hbm_kv_bytes=300e9)))
    assert "TierTooSmall" in _reasons(plan)
    assert known(plan.throughput).limit is Limit.DRAM_CAPACITY
    below = plan_capacity(replace(PUBLISHED, tiers=Tiers(600e9, object_store=True)))
    assert "TierTooSmall" not in _reasons(below)


def test_long_answers_leave_little_to_gain() -> None:
    plan = plan_capacity(replace(PUBLISHED, workload=replace(PUBLISHED.workload, answer_tokens=4000)))
    assert known(known(plan.gains).ceiling) < 3
    assert "DecodeBound" in _reasons(plan)
    assert "DecodeBound" not in _reasons(plan_capacity(PUBLISHED))


def test_conversation_that_does_not_fit_hbm_cannot_be_served() -> None:
    plan = plan_capacity(replace(PUBLISHED, machine=Machine(H200_NVL, 8, hbm_kv_bytes=10e9)))
    assert "HBMTooSmall" in _reasons(plan)
    throughput = known(plan.throughput)
    assert (throughput.random, throughput.limit) == (0, Limit.HBM_SLOTS)


def test_replicas_share_the_conversations_and_the_fullest_one_counts() -> None:
    plan = plan_capacity(replace(PUBLISHED, workload=replace(PUBLISHED.workload, conversations=97, replicas=2)))
    assert known(plan.working_set).replica_bytes == 49 * 16.384e9
    assert known(plan.working_set).mean_bytes == 97 * 16.384e9


def test_working_set_of_growing_conversations() -> None:
    workload = replace(PUBLISHED.workload, new_tokens=600, turns=8)
    plan = plan_capacity(replace(PUBLISHED, workload=workload))
    sizes = known(plan.working_set)
    per_token = 96 * 327_680
    assert (sizes.start_bytes, sizes.mean_bytes, sizes.max_bytes) == (
        50_000 * per_token,
        52_800 * per_token,
        55_600 * per_token,
    )
    # Turn t + 1 can reuse the prompt of turn t: 7 of 8 prompts, and the first is never there.
    assert known(plan.hits).over_turns == pytest.approx(1 - 55_600 / (8 * 52_800))


def test_narrowest_part_of_the_link_is_named() -> None:
    links = {
        LinkPart.NETWORK: (Link(200e9, 40e9), PUBLISHED.machine),
        LinkPart.STORAGE_READ: (Link(200e9, 10e9), PUBLISHED.machine),
        LinkPart.PCIE: (Link(8000e9), Machine(H200_NVL, 7)),
        LinkPart.DRAM_COPY: (Link(8000e9), Machine(H200_NVL, 8, dram_copy_bytes_per_second=100e9)),
    }
    for part, (link, machine) in links.items():
        plan = plan_capacity(replace(PUBLISHED, link=link, machine=machine))
        assert known(plan.read_link).limited_by is part


def test_every_rank_copies_latent_attention_over_its_own_slot() -> None:
    shape = ModelShape(61, 128, 128, 160, LatentAttention(512, 64), parameters=671 * 10**9, weight_dtype="fp8")
    plan = plan_capacity(replace(PUBLISHED, shape=shape))
    assert plan.local_link.bytes_per_second == pytest.approx(50e9)
    assert known(plan.kv).objects_per_session == 195
    # 96 conversations of 3.5 GB are 0.34 TB in DRAM and eight times that in HBM.
    assert known(plan.working_set).mean_bytes == pytest.approx(0.337e12, rel=1e-3)
    assert known(plan.kv).copied_per_gpu
    hbm = known(plan.hbm).kv_bytes
    assert known(known(plan.hits).hbm).random == pytest.approx(hbm / 8 / known(plan.working_set).mean_bytes)


_UNKNOWN: Final = {
    "a shape that could not be read": (replace(PUBLISHED, shape=ShapeUnknown("config.json: no answer")), "bytes per token", "no answer"),
    "a hybrid model": (replace(PUBLISHED, shape=replace(LLAMA_70B, hybrid_cause="sliding_window is 128")), "bytes per token", "sliding_window"),
    "a split that vLLM refuses": (replace(PUBLISHED, layout=Layout(6)), "bytes per token", "vLLM refuses"),
    "KV in an unknown type": (replace(PUBLISHED, layout=Layout(8, kv_bytes_per_element=None)), "bytes per token", "kvCacheDtype"),
    "an unknown GPU": (replace(PUBLISHED, machine=Machine(None, 8)), "prefill time", "GPU product"),
    "unknown parameters": (replace(PUBLISHED, shape=replace(LLAMA_70B, parameters=None)), "prefill time", "parameters"),
    "unknown weights": (replace(PUBLISHED, shape=replace(LLAMA_70B, weight_dtype="awq")), "KV pool in HBM", "weights"),
    "a measured pool without weights": (
        replace(PUBLISHED, shape=replace(LLAMA_70B, weight_dtype="awq"), machine=Machine(H200_NVL, 8, hbm_kv_bytes=8e11)),
        "decode time",
        "weights",
    ),
    "a measured rate without parameters": (
        replace(PUBLISHED, shape=replace(LLAMA_70B, parameters=None), machine=Machine(H200_NVL, 8, prefill_tokens_per_second=1e4)),
        "prefill time of new tokens",
        "parameters",
    ),
    "an unknown link": (replace(PUBLISHED, link=Link()), "read link", "GET rate"),
    "an unknown write rate": (replace(PUBLISHED, link=Link(read_bytes_per_second=1e9)), "write link", "PUT rate"),
    "no expiry": (replace(PUBLISHED, tiers=Tiers(1.5e12, object_store=True)), "bytes kept in the bucket", "expire"),
}  # fmt: skip


@pytest.mark.parametrize(("inputs", "what", "why"), _UNKNOWN.values(), ids=_UNKNOWN.keys())
def test_unknown_is_listed_with_its_cause_for(inputs: CapacityInputs, what: str, why: str) -> None:
    plan = plan_capacity(inputs)
    assert why in {item.what: item.why for item in plan.unknowns}[what]
    assert all(item.why.endswith(".") for item in plan.unknowns)
    if plan.kv is None:
        assert [(item.level, str(item.reason)) for item in plan.findings] == [(FindingLevel.WARNING, "MetadataUnknown")]
        assert why in plan.findings[0].message
        assert ". State spec.model.architecture" in plan.findings[0].message
        assert (plan.gains, plan.throughput, plan.break_even, plan.hits) == (None, None, None, None)


def test_nothing_is_unknown_in_the_published_set_up() -> None:
    assert plan_capacity(PUBLISHED).unknowns == ()


def test_measured_prefill_rate_replaces_the_model() -> None:
    plan = plan_capacity(replace(PUBLISHED, machine=replace(PUBLISHED.machine, prefill_tokens_per_second=10_000)))
    even = known(plan.break_even)
    assert even.bytes_per_second == pytest.approx(3.2768e9)
    assert even.range.low == even.range.high == even.bytes_per_second
    unmeasured = known(plan_capacity(PUBLISHED).break_even)
    assert unmeasured.range.low < unmeasured.bytes_per_second < unmeasured.range.high
