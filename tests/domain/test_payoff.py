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
from tests.support.capacity_inputs import GIB, MEASURED, PUBLISHED, build_published, known

_NVL: Final = GPU_SPECS["NVIDIA-H200-NVL"]
_A: Final = MEASURED["A 8B 16k"]
_CASES: Final[dict[str, tuple[CapacityInputs, Truth, str]]] = {
    "the published set-up": (PUBLISHED, Truth.TRUE, "LinkAboveBreakEven"),
    "a narrow link": (build_published(gbits=25), Truth.FALSE, "LinkBelowBreakEven"),
    "a link that only a slow prefill would justify": (build_published(gbits=40), Truth.UNKNOWN, "LinkNearBreakEven"),
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
    "HBM that holds everything": (
        replace(PUBLISHED, machine=Machine(_NVL, 8, hbm_kv_bytes=1.6e12)),
        Truth.FALSE,
        "HBMHoldsWorkingSet",
    ),
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
        "S3 can deliver 2.91 GB/s per replica, 0.78x the break-even of 3.71 GB/s: hits from S3 are slower than prefill. "
        "Widen the link, or leave the object store out. "
        "While nothing is cached, S3 takes only 0.78 of the KV that prefill produces."
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
