"""Conditions as status stores them, of deployments and of fabrics: when they flipped, and how they tell of a failed pass."""

from collections.abc import Mapping
from typing import Any

from inference_cache.api.status import Condition

from .reasons import Reason
from .verdict import MAX_MESSAGE, ConditionType, Truth, Verdict


def build_condition(verdict: Verdict, generation: int, previous: Mapping[str, Any], now: str) -> Condition:
    """Return a condition, with the time of transition kept where its status did not flip.

    Args:
        verdict: What it says.
        generation: Of the spec that it speaks of.
        previous: The stored conditions by type.
        now: RFC 3339 time.
    """
    before = previous.get(verdict.condition.value, {})
    kept = before.get("lastTransitionTime", now) if before.get("status") == verdict.status.value else now
    return Condition(
        type=verdict.condition.value,
        status=verdict.status.value,
        reason=verdict.reason.name,
        message=verdict.message[:MAX_MESSAGE],
        last_transition_time=kept,
        observed_generation=generation,
    )


def summarize_failure(
    previous: Mapping[str, Any] | None, generation: int, reason: Reason, detail: str, now: str
) -> dict[str, Any]:
    """Return the status for a pass that failed before anything new could be found out.

    What is known stays, and so does observedGeneration: the spec was not acted on. Stalled is True unless the failure may
    pass by itself. The conditions that it speaks of have one name for deployments and for fabrics.
    """
    status = dict(previous or {})
    items = {item["type"]: item for item in status.get("conditions") or []}
    message = f"{reason.meaning} {detail.rstrip('.')}. {reason.remedy}".strip()
    stalled = Truth.FALSE if reason is Reason.RequestsFailing else Truth.TRUE
    verdicts = [
        Verdict(ConditionType.PROGRESSING, Truth.FALSE, reason, message),
        Verdict(ConditionType.STALLED, stalled, reason, message),
    ]
    if ConditionType.READY.value not in items:
        verdicts.insert(0, Verdict(ConditionType.READY, Truth.FALSE, reason, message))
    new = {
        verdict.condition.value: build_condition(verdict, generation, items, now).model_dump(mode="json", by_alias=True)
        for verdict in verdicts
    }
    status["conditions"] = [*({**items, **new}).values()]
    return status
