"""How a deployment's spec becomes a capacity plan, and how its condition CachePaysOff reads."""

from typing import Any, Final

import pytest

from inference_cache.domain.capacity_figures import CapacityPlan
from inference_cache.domain.deployment_capacity import Overrides, build_capacity_inputs, check_payoff, plan_deployment
from inference_cache.domain.reasons import Reason
from inference_cache.domain.verdict import Truth, Verdict
from tests.support.builders import build_settled
from tests.support.capacity_inputs import known

_70B: Final[dict[str, Any]] = {
    "model.architecture": {
        "layers": 80, "attentionHeads": 64, "kvHeads": 8, "headDim": 128, "weightDtype": "BFloat16",
        "parameters": 70_553_706_496,
    },
    "replicas": 1,
    "workload": {"conversations": 96, "contextTokens": 50_000},
    "nodes.requirements.gpu.products": ["NVIDIA-H200-NVL"],
    "cache.tiers.1.objectStore.link": {"networkGigabits": 200},
}  # fmt: skip
_FEW: Final = {"workload": {"conversations": 20, "contextTokens": 50_000}}
_NARROW: Final = {"cache.tiers.1.objectStore.link": {"networkGigabits": 10}}


def _plan(changes: dict[str, Any] | None = None, overrides: Overrides | None = None) -> CapacityPlan:
    return known(plan_deployment(build_settled(_70B | (changes or {})), overrides))


def _judge(changes: dict[str, Any], overrides: Overrides | None = None) -> Verdict:
    settled = build_settled(_70B | changes)
    return known(check_payoff(settled, plan_deployment(settled, overrides)))


def test_longest_request_of_the_engine_reaches_the_plan() -> None:
    assert _plan({"model.maxModelLen": 40_960}).inputs.workload.max_model_len == 40_960
    overridden = _plan({"model.maxModelLen": 40_960}, Overrides(context_tokens=60_000))
    assert (overridden.inputs.workload.max_model_len, overridden.inputs.workload.context_tokens) == (40_960, 60_000)
    assert "ContextExceedsMaxModelLen" in {item.reason for item in overridden.findings}


def test_no_replicas_stay_no_replicas_and_are_planned_as_one() -> None:
    none, one = (_plan({"replicas": replicas}) for replicas in (0, 1))
    assert known(build_capacity_inputs(build_settled(_70B | {"replicas": 0}))).workload.replicas == 0
    assert (none.working_set, none.gains, none.traffic) == (one.working_set, one.gains, one.traffic)


@pytest.mark.parametrize(
    ("changes", "overrides", "truth", "reason", "end"),
    [
        (_FEW, None, Truth.FALSE, Reason.CacheAddsNothing, "Drop the tiers unless the workload grows."),
        (_NARROW, None, Truth.FALSE, Reason.PredictedBelowBreakEven, "Widen the link, or leave the object store out."),
        ({}, Overrides(dram_bytes=2**30), Truth.FALSE, Reason.CacheAddsNothing, "at the very least."),
        ({}, Overrides(context_tokens=9_900_000), Truth.UNKNOWN, Reason.PayoffUnknown, "fp8 KV, or shorter contexts."),
        ({}, Overrides(gpu_product="NVIDIA-NEXT"), Truth.UNKNOWN, Reason.PayoffUnknown, Reason.PayoffUnknown.remedy),
        ({}, None, Truth.TRUE, Reason.PredictedToPay, "as prefill is slow or fast)."),
    ],
    ids=["HBM holds all", "narrow link", "memory too small for a load", "nothing fits", "unknown GPU", "pays off"],
)
def test_condition_ends_in_one_advice(
    changes: dict[str, Any], overrides: Overrides | None, truth: Truth, reason: Reason, end: str
) -> None:
    verdict = _judge(changes, overrides)
    assert (verdict.status, verdict.reason) == (truth, reason)
    assert verdict.message.endswith(end)
    assert all(verdict.message.count(advice) <= 1 for advice in ("Enlarge", "Widen", "Declare"))
    if end != reason.remedy:
        assert not reason.remedy or reason.remedy not in verdict.message
