"""The status of a deployment from what was checked, planned and observed; same facts, same status."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from inference_cache.api.cache import CacheMode
from inference_cache.api.quantities import format_gib, format_mib
from inference_cache.api.status import (
    CacheSharing,
    Capacity,
    InferenceCacheDeploymentStatus,
    NodeStatus,
    Rendered,
    Sizing,
    TransportStatus,
)

from . import names
from .conditions import build_condition
from .graces import compute_graces
from .plan import Obstacle
from .reasons import Reason
from .scope import Scope
from .sizing import compute_sizes
from .verdict import ConditionType, Truth, Verdict, bad, ok
from .workload_state import WorkloadState

_KEPT = ("cacheFingerprint", "rendered", "sizing", "transport")
_CACHE_CONDITIONS = (ConditionType.CREDENTIALS_READY, ConditionType.OBJECT_STORE_READY)


@dataclass(frozen=True)
class Outcome:
    """Everything that one pass found out.

    Attributes:
        scope: None where the spec is not valid, so nothing could be computed.
        checks: Verdicts about spec, nodes, credentials and store, in order.
        workload: Verdict about the pods; None where it was not reached.
        held: Whether a change waits for a check.
        outdated: Pods of an older specification.
        notes: Conditions that hold nothing back: TransportDegraded, which is bad when True, and NetworkReady where RDMA is
            not required.
        transport: What status says of the transport; None where the spec says nothing of it.
    """

    name: str
    generation: int
    scope: Scope | None
    checks: tuple[Verdict, ...]
    workload: Verdict | None = None
    state: WorkloadState | None = None
    nodes: NodeStatus | None = None
    sharing: CacheSharing | None = None
    payoff: Verdict | None = None
    capacity: Capacity | None = None
    obstacles: tuple[Obstacle, ...] = ()
    held: bool = False
    outdated: int = 0
    notes: tuple[Verdict, ...] = ()
    transport: TransportStatus | None = None


def find_blocker(checks: Sequence[Verdict]) -> Verdict | None:
    """Return the first check that keeps pods from being created."""
    return next((verdict for verdict in checks if verdict.blocks), None)


def summarize(outcome: Outcome, previous: Mapping[str, Any] | None, now: str) -> dict[str, Any]:
    """Return the status object as the API stores it.

    Args:
        outcome: What the pass found out.
        previous: The status that is stored, whose transition times are kept where nothing flipped.
        now: RFC 3339 time for conditions that flip.
    """
    ready = _check_ready(outcome)
    verdicts = [
        ready,
        _check_progress(outcome, ready),
        _check_stalled(outcome),
        *outcome.checks,
        *outcome.notes,
        *([outcome.workload] if outcome.workload else []),
        *([outcome.payoff] if outcome.payoff else []),
    ]
    times = {item["type"]: item for item in (previous or {}).get("conditions", [])}
    state = outcome.state
    status = InferenceCacheDeploymentStatus(
        observed_generation=outcome.generation,
        conditions=[build_condition(verdict, outcome.generation, times, now) for verdict in verdicts],
        replicas=state.replicas if state else None,
        ready_replicas=state.ready if state else None,
        updated_replicas=state.updated if state else None,
        selector=names.selector_text(outcome.name),
        cache_fingerprint=outcome.scope.fingerprint if outcome.scope else None,
        rendered=_summarize_rendered(outcome.scope) if outcome.scope else None,
        sizing=_summarize_sizing(outcome.scope) if outcome.scope else None,
        sharing=outcome.sharing,
        capacity=outcome.capacity,
        nodes=outcome.nodes,
        transport=outcome.transport,
    )
    written = status.model_dump(mode="json", by_alias=True, exclude_none=True)
    if outcome.scope is None and state is not None and state.exists:
        # Nothing new could be rendered, so what was rendered last is what runs.
        written |= {key: previous[key] for key in _KEPT if previous and key in previous}
    return written


def _check_ready(outcome: Outcome) -> Verdict:
    condition = ConditionType.READY
    blocker, workload, state = find_blocker(outcome.checks), outcome.workload, outcome.state
    if outcome.obstacles:
        first = outcome.obstacles[0]
        return bad(condition, first.reason, first.message)
    if blocker is not None and (outcome.held or workload is None or state is None):
        return Verdict(condition, Truth.FALSE, blocker.reason, blocker.message)
    if workload is None or state is None or workload.status is not Truth.TRUE:
        cause = workload or bad(condition, Reason.PodsStarting)
        return Verdict(condition, Truth.FALSE, cause.reason, cause.message)
    if not (state.settled or state.same) or outcome.outdated or state.replicas > state.wanted:
        reason = Reason.ReplacingPods if outcome.outdated else Reason.Scaling
        return bad(condition, reason, f"{state.updated} of {state.wanted} pods run the current specification.")
    if state.wanted == 0:
        return ok(condition, Reason.ScaledToZero)
    trouble = next((v for v in outcome.checks if v.condition in _CACHE_CONDITIONS and v.blocks), None)
    if trouble is not None:
        message = f"{state.ready} of {state.wanted} pods serve, but {trouble.condition} is {trouble.status}: {trouble.message}"
        status = Truth.FALSE if _needs_cache(outcome) else Truth.TRUE
        return Verdict(condition, status, Reason.CacheDegraded, message)
    return ok(
        condition, Reason.Ready, f"{state.ready} of {state.wanted} pods run the current specification and are ready."
    )


def _needs_cache(outcome: Outcome) -> bool:
    return outcome.scope is not None and outcome.scope.settled.cache_mode is CacheMode.REQUIRED


def _waits_for_blocker(outcome: Outcome) -> bool:
    """Whether nothing goes on until the blocker is mended: no pods yet, a change held, or a cache that is required."""
    return outcome.held or outcome.workload is None or _needs_cache(outcome)


def _check_progress(outcome: Outcome, ready: Verdict) -> Verdict:
    condition = ConditionType.PROGRESSING
    if ready.status is Truth.TRUE:
        return Verdict(condition, Truth.FALSE, Reason.Complete, Reason.Complete.meaning)
    blocker = find_blocker(outcome.checks)
    if outcome.obstacles or (blocker is not None and _waits_for_blocker(outcome)):
        stalled = _check_stalled(outcome)
        reason = Reason.ChangeHeld if outcome.state and outcome.state.exists else Reason.Waiting
        cause = outcome.obstacles[0].reason if outcome.obstacles else blocker.reason if blocker else Reason.Waiting
        if stalled.status is Truth.TRUE:
            cause = stalled.reason
            if reason is Reason.Waiting:
                # Waiting is for what may pass.
                text = f"{cause.meaning} Nothing goes on until that is mended."
                return Verdict(condition, Truth.FALSE, cause, text)
        return Verdict(condition, Truth.FALSE, reason, f"{reason.meaning} Cause: {cause.name}.")
    return Verdict(condition, Truth.TRUE, ready.reason, ready.message)


def _check_stalled(outcome: Outcome) -> Verdict:
    condition = ConditionType.STALLED
    lasting = next((item for item in outcome.obstacles if item.reason is not Reason.ChildTerminating), None)
    if lasting is not None:
        return Verdict(condition, Truth.TRUE, lasting.reason, f"{lasting.message} {lasting.reason.remedy}".strip())
    blocker = find_blocker(outcome.checks)
    if blocker is not None and not blocker.passing and _waits_for_blocker(outcome):
        return Verdict(condition, Truth.TRUE, blocker.reason, blocker.message)
    return Verdict(condition, Truth.FALSE, Reason.NotStalled, Reason.NotStalled.meaning)


def _summarize_rendered(scope: Scope) -> Rendered:
    settled = scope.settled
    store = settled.object_store
    tiers = [format_gib(settled.memory_bytes)] if settled.cache_enabled else ["None"]
    return Rendered(
        engine_image=scope.image,
        vllm=scope.pair.vllm,
        lmcache=scope.pair.lmcache,
        transport="None" if store is None else scope.transport.variant.value,
        tiers="+".join(tiers if store is None else [*tiers, "S3"]),
    )


def _summarize_sizing(scope: Scope) -> Sizing | None:
    settled = scope.settled
    if not settled.cache_enabled:
        return None
    sizes = compute_sizes(settled)
    return Sizing(
        memory_tier=format_mib(sizes.memory_tier),
        memory_tier_per_gpu=format_mib(sizes.memory_tier // sizes.gpus),
        pod_memory=format_gib(sizes.pod_memory),
        shared_memory=format_gib(sizes.shm),
        huge_pages=format_mib(sizes.huge_pages) if sizes.huge_pages else None,
        locked_memory=format_gib(sizes.locked_memory),
        in_flight_loads=sizes.in_flight_loads if settled.object_store else None,
        termination_grace_seconds=compute_graces(settled.drain_seconds).termination,
    )
