"""The status of a fabric from what was checked, planned and written; same facts, same status."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any, Final

from inference_cache.api.fabric import FabricMode, FabricType, InferenceCacheFabricSpec
from inference_cache.api.fabric_status import FabricNodes, FabricObject, InferenceCacheFabricStatus
from inference_cache.api.networks import LinkType
from inference_cache.domain.conditions import build_condition
from inference_cache.domain.reasons import Reason
from inference_cache.domain.verdict import MAX_MESSAGE, FabricCondition, Truth, Verdict

from .facts import LINK_TYPES, SHARED, FabricFacts
from .findings import Finding, ObjectState, order_objects
from .nodes import Survey, describe_nodes

ROLLOUT_SECONDS: Final = 20 * 60.0
"""For how long nodes that do not advertise the resource of a managed fabric yet count as being on their way: drivers and
plugins take 3 to 7 minutes per node, and up to 19 on a slow one (NVIDIA/aicr#1862)."""
_MAX_OBJECTS: Final = 64
_MAX_TEXT: Final = 253
_ROOM_FOR_COUNT: Final = len(" And 999 more.")


@dataclass(frozen=True, slots=True)
class FabricOutcome:
    """Everything that one pass over a fabric found out.

    Attributes:
        spec_findings: What is wrong with the spec itself.
        object_findings: What is wrong with objects, the gravest first.
        survey: What the nodes tell; None where they are not known yet.
        objects: State of each object.
        deployments: Deployments that refer to the fabric.
    """

    fabric: FabricFacts
    spec_findings: Sequence[Finding] = ()
    object_findings: Sequence[Finding] = ()
    survey: Survey | None = None
    objects: Sequence[ObjectState] = field(default_factory=tuple)
    deployments: int = 0


def summarize_fabric(outcome: FabricOutcome, previous: Mapping[str, Any] | None, now: str) -> dict[str, Any]:
    """Return the status object as the API stores it.

    Args:
        outcome: What the pass found out.
        previous: The status that is stored, whose transition times are kept where nothing flipped.
        now: RFC 3339 time for conditions that flip.
    """
    fabric = outcome.fabric
    spec = _judge(FabricCondition.SPEC_VALID, outcome.spec_findings, Reason.SpecAccepted)
    causes = [spec]
    if fabric.spec is not None:
        causes.append(_judge(FabricCondition.OBJECTS_READY, outcome.object_findings, Reason.FabricObjectsPresent))
        nodes = _recall_nodes(previous) if fabric.deleting and outcome.survey is None else _judge_nodes(outcome.survey)
        causes.append(_grant_time(nodes, fabric, previous, now))
    ready = _judge_ready(fabric, causes)
    verdicts = [ready, _judge_progress(ready), _judge_stalled(fabric, causes), *causes]
    times = {item["type"]: item for item in (previous or {}).get("conditions") or []}
    status = InferenceCacheFabricStatus(
        observed_generation=fabric.generation,
        conditions=[build_condition(verdict, fabric.generation, times, now) for verdict in verdicts],
        nodes=_count_nodes(outcome, previous),
        objects=[_build_object(item) for item in order_objects(outcome.objects)[:_MAX_OBJECTS]] or None,
        deployments=outcome.deployments,
        unverified=list_unverified(fabric.spec) if fabric.spec else None,
    )
    return status.model_dump(mode="json", by_alias=True, exclude_none=True)


def list_unverified(spec: InferenceCacheFabricSpec) -> list[str]:
    """Return what the operator cannot prove about a fabric from outside a pod with RDMA hardware."""
    found = ["That bytes go over RDMA: the preflight of each pod tells"]
    link = LINK_TYPES.get(spec.type)
    if link is not LinkType.INFINIBAND:
        found.append("MTU, PFC and ECN of the switches")
    if link is not LinkType.ETHERNET:
        found.append("Subnet manager and partition keys of the InfiniBand fabric")
    if spec.networks:
        found.append("That Multus attaches pods: network-status of each pod tells")
        found.append("That the address ranges are free and routed to the object store")
    if spec.type in SHARED:
        found.append("That pods which share an adapter do not disturb each other")
    if spec.type is FabricType.HOST_DEVICE:
        found.append("That the function is not in use by the node itself")
    if spec.mode is FabricMode.MANAGE:
        found.append("That policies and plugins take effect on real adapters")
    return found


def _judge(condition: FabricCondition, findings: Sequence[Finding], good: Reason) -> Verdict:
    hard = [item for item in findings if not item.advisory and not item.unknown]
    unknown = [item for item in findings if item.unknown]
    advice = [item for item in findings if item.advisory]
    if not hard and not unknown:
        text = " ".join([good.meaning, *(f"Note: {item.message}" for item in advice)])
        return Verdict(condition, Truth.TRUE, good, text)
    # What someone must mend is told before what may pass.
    ordered = [*sorted(hard, key=lambda item: item.passing), *unknown]
    first = ordered[0]
    status = Truth.FALSE if hard else Truth.UNKNOWN
    return Verdict(condition, status, first.reason, _tell(ordered), first.passing)


def _tell(findings: Sequence[Finding]) -> str:
    """Return as many findings as fit, the first one in any case, each remedy once; the others are counted."""
    first, *others = dict.fromkeys(findings)
    remedy = f" {first.remedy or first.reason.remedy}"
    text = first.message or first.reason.meaning
    room = MAX_MESSAGE - len(remedy) - (_ROOM_FOR_COUNT if others else 0)
    text = (text if len(text) <= room else f"{text[: room - 1]}…") + remedy
    left = len(others)
    for item in others:
        also = item.message or item.reason.meaning
        remedy = item.remedy or item.reason.remedy
        longer = f"{text.rstrip()} Also: {also}" + (f" {remedy}" if remedy not in text else "")
        if len(longer) <= MAX_MESSAGE - (_ROOM_FOR_COUNT if left > 1 else 0):
            text, left = longer, left - 1
    return f"{text.rstrip()} And {left} more." if left else text.strip()


def _recall_nodes(previous: Mapping[str, Any] | None) -> Verdict:
    """Return the verdict on the nodes of a fabric that is being deleted, which are not looked at any more."""
    condition = FabricCondition.NODES_READY
    items = (previous or {}).get("conditions") or []
    before: Mapping[str, Any] = next((item for item in items if item["type"] == condition.value), {})
    reason = Reason.__members__.get(before.get("reason") or "")
    if reason is None or reason is Reason.NodesUnknown:
        reason, message = _explain(Reason.FabricDeleting)
        return Verdict(condition, Truth.UNKNOWN, reason, message, passing=True)
    return Verdict(condition, Truth(before["status"]), reason, before.get("message") or reason.meaning, passing=True)


def _count_nodes(outcome: FabricOutcome, previous: Mapping[str, Any] | None) -> FabricNodes | None:
    if outcome.survey is not None:
        return outcome.survey.counts
    known = (previous or {}).get("nodes") if outcome.fabric.deleting else None
    return FabricNodes.model_validate(known) if known else None


def _judge_nodes(survey: Survey | None) -> Verdict:
    condition = FabricCondition.NODES_READY
    if survey is None:
        reason = Reason.NodesUnknown
        return Verdict(condition, Truth.UNKNOWN, reason, f"{reason.meaning} {reason.remedy}", passing=True)
    counts = survey.counts
    if counts.selected == 0:
        reason = Reason.FabricNoNodes
        return Verdict(condition, Truth.FALSE, reason, f"{reason.meaning} {reason.remedy}")
    text = describe_nodes(counts)
    if counts.ready:
        return Verdict(condition, Truth.TRUE, Reason.FabricNodesReady, text)
    reason = Reason[counts.faulty[0].reason] if counts.faulty else Reason.NodesUnknown
    return Verdict(condition, Truth.FALSE, reason, f"{text} {reason.remedy}", passing=survey.converging)


_ROLLED_OUT: Final = frozenset({Reason.RDMAResourceNotAdvertised, Reason.RDMAResourceZero})


def _grant_time(verdict: Verdict, fabric: FabricFacts, previous: Mapping[str, Any] | None, now: str) -> Verdict:
    """Return the verdict on nodes, which is no fault yet while what the operator wrote is being rolled out to them."""
    if not fabric.managed or verdict.status is not Truth.FALSE or verdict.reason not in _ROLLED_OUT:
        return verdict
    items = (previous or {}).get("conditions") or []
    before: Mapping[str, Any] = next((item for item in items if item["type"] == verdict.condition.value), {})
    since = before["lastTransitionTime"] if before.get("status") == verdict.status.value else now
    lasted = datetime.fromisoformat(now) - datetime.fromisoformat(since)
    return replace(verdict, passing=lasted.total_seconds() < ROLLOUT_SECONDS)


def _judge_ready(fabric: FabricFacts, causes: Sequence[Verdict]) -> Verdict:
    condition = FabricCondition.READY
    if fabric.deleting:
        held = next((item for item in causes if item.status is not Truth.TRUE and item.reason in _HOLDING), None)
        reason, message = (held.reason, held.message) if held else _explain(Reason.FabricDeleting)
        return Verdict(condition, Truth.FALSE, reason, message, passing=held is None or held.passing)
    bad = [item for item in causes if item.status is not Truth.TRUE]
    first = next((item for item in bad if item.status is Truth.FALSE), next(iter(bad), None))
    if first is None:
        return Verdict(condition, Truth.TRUE, Reason.FabricReady, f"{Reason.FabricReady.meaning} {causes[-1].message}")
    return Verdict(condition, first.status, first.reason, first.message, first.passing)


_HOLDING: Final = frozenset(
    {Reason.FabricInUse, Reason.NodeDrainNotAcknowledged, Reason.Forbidden, Reason.WriteRefused}
)


def _judge_progress(ready: Verdict) -> Verdict:
    condition = FabricCondition.PROGRESSING
    if ready.status is Truth.TRUE:
        return Verdict(condition, Truth.FALSE, Reason.Complete, Reason.Complete.meaning)
    return Verdict(condition, Truth.TRUE if ready.passing else Truth.FALSE, ready.reason, ready.message)


def _judge_stalled(fabric: FabricFacts, causes: Sequence[Verdict]) -> Verdict:
    condition = FabricCondition.STALLED
    lasting = [item for item in causes if item.status is not Truth.TRUE and not item.passing]
    if fabric.deleting:
        lasting = [item for item in lasting if item.reason in _HOLDING]
    if not lasting:
        return Verdict(condition, Truth.FALSE, Reason.NotStalled, Reason.NotStalled.meaning)
    return Verdict(condition, Truth.TRUE, lasting[0].reason, lasting[0].message)


def _explain(reason: Reason) -> tuple[Reason, str]:
    return reason, f"{reason.meaning} {reason.remedy}".strip()


def _build_object(item: ObjectState) -> FabricObject:
    return FabricObject(
        kind=item.kind,
        namespace=item.namespace or None,
        name=item.name[:_MAX_TEXT],
        state=item.state,
        reason=item.reason.name if item.reason else None,
    )
