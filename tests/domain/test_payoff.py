"""Whether the cache is predicted to pay off."""

from dataclasses import replace
from typing import Final

import pytest

from inference_cache.domain.capacity import plan_capacity
from inference_cache.domain.capacity_inputs import CapacityInputs, Link, Machine, Tiers
from inference_cache.domain.gpu_specs import GPU_SPECS
from inference_cache.domain.model_shape import ShapeUnknown
from inference_cache.domain.payoff import predict_payoff
from inference_cache.domain.verdict import Truth
from tests.support.capacity_inputs import GIB, LLAMA_70B, MEASURED, PUBLISHED, build_published, known

_NVL: Final = GPU_SPECS["NVIDIA-H200-NVL"]
_A: Final = MEASURED["A 8B 16k"]
_HEAVY: Final = replace(PUBLISHED, shape=replace(LLAMA_70B, parameters=10**14))
_LONG: Final = replace(PUBLISHED, workload=replace(PUBLISHED.workload, context_tokens=9_900_000))
_ROOMY: Final = replace(PUBLISHED, machine=Machine(_NVL, 8, hbm_kv_bytes=1.9e12))
_CASES: Final[dict[str, tuple[CapacityInputs, Truth, str]]] = {
    "the published set-up": (PUBLISHED, Truth.TRUE, "LinkAboveBreakEven"),
    # Break-even is planned at 3.71 GB/s, and lies between 2.12 and 5.3 GB/s as prefill is slow or fast.
    "a link below every plausible break-even, 2.09 GB/s": (
        build_published(gbits=18),
        Truth.FALSE,
        "LinkBelowBreakEven",
    ),
    "a link between the lowest and the planned, 2.91 GB/s": (
        build_published(gbits=25),
        Truth.UNKNOWN,
        "LinkNearBreakEven",
    ),
    "a link between the planned and the highest, 4.65 GB/s": (
        build_published(gbits=40),
        Truth.UNKNOWN,
        "LinkNearBreakEven",
    ),
    "a link above every plausible break-even, 5.35 GB/s": (build_published(gbits=46), Truth.TRUE, "LinkAboveBreakEven"),
    "a narrow link with a measured prefill rate": (
        replace(build_published(gbits=25), machine=replace(PUBLISHED.machine, prefill_tokens_per_second=10_000)),
        Truth.FALSE,
        "LinkBelowBreakEven",
    ),
    "a narrow link with a slow measured prefill rate": (
        replace(build_published(gbits=25), machine=replace(PUBLISHED.machine, prefill_tokens_per_second=8_000)),
        Truth.TRUE,
        "LinkAboveBreakEven",
    ),
    "weights that do not fit": (_HEAVY, Truth.UNKNOWN, "NothingFits"),
    "a conversation that does not fit": (_LONG, Truth.UNKNOWN, "NothingFits"),
    "DRAM smaller than one conversation": (build_published(dram=GIB), Truth.FALSE, "LoadsExceedDRAM"),
    "DRAM that holds one conversation only before it evicts": (
        build_published(dram=20e9),
        Truth.UNKNOWN,
        "LoadsExceedDRAM",
    ),
    "A, which was measured at 0.76": (_A, Truth.FALSE, "LinkBelowBreakEven"),
    "B, which was measured at 1.07": (MEASURED["B 8B 48k"], Truth.TRUE, "LinkAboveBreakEven"),
    "C, which was measured at 1.40": (MEASURED["C 7B 16k"], Truth.TRUE, "LinkAboveBreakEven"),
    "A with DRAM as big as HBM, measured at 0.98": (
        replace(_A, tiers=Tiers(24 * GIB)),
        Truth.FALSE,
        "DRAMNotLargerThanHBM",
    ),
    "DRAM that holds everything in a good order only": (
        replace(_A, tiers=Tiers(72 * GIB)),
        Truth.UNKNOWN,
        "DependsOnOrder",
    ),
    "DRAM that always holds everything": (replace(_A, tiers=Tiers(96 * GIB)), Truth.TRUE, "DRAMHoldsWorkingSet"),
    "DRAM that always holds everything over a narrow link": (
        build_published(dram=2.9e12, gbits=25),
        Truth.TRUE,
        "DRAMHoldsWorkingSet",
    ),
    "HBM a little smaller than everything": (
        replace(PUBLISHED, machine=Machine(_NVL, 8, hbm_kv_bytes=1.57e12)),
        Truth.TRUE,
        "LinkAboveBreakEven",
    ),
    "HBM that barely holds everything": (
        replace(PUBLISHED, machine=Machine(_NVL, 8, hbm_kv_bytes=1.58e12)),
        Truth.UNKNOWN,
        "HBMBarelyHoldsWorkingSet",
    ),
    "HBM that holds everything but for the margin": (
        replace(PUBLISHED, machine=Machine(_NVL, 8, hbm_kv_bytes=1.88e12)),
        Truth.UNKNOWN,
        "HBMBarelyHoldsWorkingSet",
    ),
    "HBM that holds everything with a margin": (_ROOMY, Truth.FALSE, "HBMHoldsWorkingSet"),
    "an unknown link": (replace(PUBLISHED, link=Link()), Truth.UNKNOWN, "LinkUnknown"),
    "an unknown model": (replace(PUBLISHED, shape=ShapeUnknown("no config.json")), Truth.UNKNOWN, "BreakEvenUnknown"),
    "an unknown GPU": (replace(PUBLISHED, machine=Machine(None, 8)), Truth.UNKNOWN, "BreakEvenUnknown"),
    "an unknown HBM pool without S3": (
        replace(PUBLISHED, machine=Machine(None, 8), tiers=Tiers(1.5e12)),
        Truth.UNKNOWN,
        "HitsUnknown",
    ),
}


@pytest.mark.parametrize(("inputs", "verdict", "reason"), _CASES.values(), ids=_CASES.keys())
def test_payoff_of(inputs: CapacityInputs, verdict: Truth, reason: str) -> None:
    payoff = predict_payoff(plan_capacity(inputs))
    assert (payoff.verdict, str(payoff.reason)) == (verdict, reason)
    assert payoff.message


def test_message_has_the_figures_of_reading_and_writing() -> None:
    payoff = predict_payoff(plan_capacity(build_published(gbits=25)))
    assert payoff.message == (
        "S3 can deliver 2.91 GB/s per replica, 0.78x the planned break-even of 3.71 GB/s (between 2.12 GB/s and 5.3 GB/s, "
        "as prefill is slow or fast). While nothing is cached, S3 takes only 0.78 of the KV that prefill produces. "
        "A measured prefill rate decides: measure it, and plan with --prefill-tokens-per-second."
    )


@pytest.mark.parametrize(
    ("case", "read", "write"), [("A 8B 16k", 0.75, 0.69), ("B 8B 48k", 1.07, 0.98), ("C 7B 16k", 1.37, 1.33)]
)
def test_ratios_of_the_measured_runs(case: str, read: float, write: float) -> None:
    payoff = predict_payoff(plan_capacity(MEASURED[case]))
    assert known(payoff.read_ratio) == pytest.approx(read, abs=0.005)
    assert known(payoff.write_ratio) == pytest.approx(write, abs=0.005)


def test_unknown_says_which_fact_is_missing() -> None:
    assert "no config.json" in predict_payoff(plan_capacity(_CASES["an unknown model"][0])).message
    assert "GPU product" in predict_payoff(plan_capacity(_CASES["an unknown HBM pool without S3"][0])).message


def test_cure_tells_weights_from_conversations() -> None:
    heavy, long = predict_payoff(plan_capacity(_HEAVY)), predict_payoff(plan_capacity(_LONG))
    assert "The weights take 200 TB" in heavy.facts
    assert "the weights do not fit" in heavy.facts
    assert "quantized weights" in heavy.advice
    assert "one conversation of 9900500 tokens" in long.facts
    assert "shorter contexts" in long.advice
    assert plan_capacity(_HEAVY).gains is plan_capacity(_LONG).gains is None


def test_hbm_that_holds_everything_says_whose_gain_it_is() -> None:
    payoff = predict_payoff(plan_capacity(_ROOMY))
    assert "1.21x the working set of 1.573 TB" in payoff.facts
    assert "Gains over no prefix cache at all come from HBM." in payoff.facts
    assert "Enlarge" not in payoff.message
