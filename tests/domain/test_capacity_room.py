"""What a plan says where weights, conversations or requests do not fit."""

from dataclasses import replace
from typing import Final

import pytest

from inference_cache.domain.cache_rate import Limit
from inference_cache.domain.capacity import plan_capacity
from inference_cache.domain.capacity_figures import Bounds, CapacityPlan, FindingLevel
from inference_cache.domain.capacity_inputs import CapacityInputs, Machine, Tiers
from inference_cache.domain.gpu_specs import GPU_SPECS
from inference_cache.domain.model_shape import LatentAttention, ModelShape
from tests.support.capacity_inputs import GIB, LLAMA_70B, PUBLISHED, build_published, known

_NVL: Final = GPU_SPECS["NVIDIA-H200-NVL"]
_BYTES_PER_TOKEN: Final = 327_680


def _say(plan: CapacityPlan, reason: str) -> str | None:
    """Return the warning with this reason, or None."""
    return next(
        (item.message for item in plan.findings if item.reason == reason and item.level is FindingLevel.WARNING), None
    )


def _limit(length: int | None, *, pool: float | None = None, context: int = 50_000) -> CapacityInputs:
    return replace(
        PUBLISHED,
        workload=replace(PUBLISHED.workload, max_model_len=length, context_tokens=context),
        machine=Machine(_NVL, 8, hbm_kv_bytes=pool),
    )


def test_weights_that_do_not_fit_are_told_from_a_conversation_that_does_not() -> None:
    heavy = plan_capacity(replace(PUBLISHED, shape=replace(LLAMA_70B, parameters=10**14)))
    long = plan_capacity(replace(PUBLISHED, workload=replace(PUBLISHED.workload, context_tokens=9_900_000)))
    for plan in (heavy, long):
        assert known(plan.hbm).sessions == 0
        assert (plan.gains, known(plan.throughput).limit) == (None, Limit.HBM_SLOTS)
    weights, conversation = known(_say(heavy, "HBMTooSmall")), known(_say(long, "HBMTooSmall"))
    assert "the weights do not fit. Use more GPUs per replica, GPUs with more memory" in weights
    assert "takes 3.244 TB: not one conversation fits. Use more GPUs per replica, fp8 KV" in conversation
    assert "weights" not in conversation


def test_pool_that_the_engine_reports_as_empty_blames_no_estimate_of_the_weights() -> None:
    message = known(_say(plan_capacity(_limit(None, pool=0)), "HBMTooSmall"))
    assert message.startswith("HBM has 0 B for KV")


@pytest.mark.parametrize(
    ("length", "pool", "largest"),
    [
        (61_440, 61_440 * _BYTES_PER_TOKEN, None),
        (61_440, 61_439 * _BYTES_PER_TOKEN, 61_424),
        (3_000_000, None, 2_545_440),
        (None, 61_439 * _BYTES_PER_TOKEN, None),
    ],
    ids=["just fits", "one token too many", "estimated pool", "not known"],
)
def test_longest_request_must_fit_into_hbm(length: int | None, pool: float | None, largest: int | None) -> None:
    message = _say(plan_capacity(_limit(length, pool=pool)), "MaxModelLenExceedsHBM")
    if largest is None:
        assert message is None
        return
    text = known(message)
    assert f"One request of maxModelLen {length} tokens" in text
    assert f"The largest maxModelLen that fits is {largest}" in text
    assert ("is estimated at" in text) is (pool is None)
    smaller = plan_capacity(_limit(largest, pool=pool))
    assert _say(smaller, "MaxModelLenExceedsHBM") is None
    assert _say(plan_capacity(_limit(largest + 16, pool=pool)), "MaxModelLenExceedsHBM") is not None


def test_weights_that_do_not_fit_leave_no_length_to_advise() -> None:
    inputs = replace(_limit(61_440), shape=replace(LLAMA_70B, parameters=10**14))
    assert _say(plan_capacity(inputs), "MaxModelLenExceedsHBM") is None


def test_request_of_the_last_turn_must_fit_into_the_model() -> None:
    assert _say(plan_capacity(_limit(50_500)), "ContextExceedsMaxModelLen") is None
    message = known(_say(plan_capacity(_limit(50_499)), "ContextExceedsMaxModelLen"))
    assert "makes 50500, more than maxModelLen 50499" in message
    assert "at least 50500" in message
    grown = _limit(50_500)
    grown = replace(grown, workload=replace(grown.workload, turns=3))
    assert "makes 51500" in known(_say(plan_capacity(grown), "ContextExceedsMaxModelLen"))


@pytest.mark.parametrize("dram", [GIB, 25.59e9], ids=["1 GiB", "a little too small"])
def test_dram_smaller_than_a_conversation_takes_no_hits_from_s3(dram: float) -> None:
    plan = plan_capacity(build_published(dram=dram))
    hits, gains = known(plan.hits), known(plan.gains)
    assert not hits.from_s3
    assert hits.all_tiers == hits.dram
    assert (gains.all_tiers, gains.added_by_s3) == (gains.dram, Bounds(1, 1))
    message = known(_say(plan, "InFlightLoadsExceedDRAM"))
    assert "S3 gives no hits. Enlarge the memory tier to 25.6 GB at the very least." in message
    # What to do is to enlarge DRAM; advice to leave S3 out would contradict it.
    assert {item.reason for item in plan.findings}.isdisjoint({"S3NotWorthwhile", "S3Worthwhile"})


def test_dram_that_holds_a_conversation_after_every_eviction_takes_hits_from_s3() -> None:
    plan = plan_capacity(build_published(dram=25.61e9))
    assert known(plan.hits).from_s3
    assert known(plan.hits).all_tiers.cyclic == 1
    assert "8 loads from S3 at once" in known(_say(plan, "InFlightLoadsExceedDRAM"))


@pytest.mark.parametrize(
    ("tiers", "advice"),
    [
        (Tiers(0, object_store=True), "Add a memory tier."),
        (Tiers(1e12, eviction_ratio=1, object_store=True), "Lower the eviction ratio, which empties the tier."),
    ],
    ids=["no DRAM", "emptied by every eviction"],
)
def test_advice_where_no_size_helps(tiers: Tiers, advice: str) -> None:
    message = known(_say(plan_capacity(replace(PUBLISHED, tiers=tiers)), "InFlightLoadsExceedDRAM"))
    assert message.endswith(advice)


def test_latent_attention_in_a_small_pool_is_said_to_be_copied() -> None:
    shape = ModelShape(61, 128, 128, 160, LatentAttention(512, 64), parameters=671 * 10**9, weight_dtype="fp8")
    plan = plan_capacity(replace(PUBLISHED, shape=shape, machine=Machine(_NVL, 8, hbm_kv_bytes=1e9)))
    assert "with a copy on every GPU: not one conversation fits" in known(_say(plan, "HBMTooSmall"))
