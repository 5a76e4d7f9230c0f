"""Which transport pods really use, by their own account, and the condition TransportDegraded.

The decision says what is rendered; only the preflight inside a pod says what came of it. A pod that has not told counts as
Unknown, never as RDMA. TransportDegraded is bad when True and keeps no pod from anything.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from inference_cache.api.status import MAX_EXAMPLES, PodAttachment, PodsOfTransport, TransportStatus
from inference_cache.api.transport import Recovery

from .attachment import Attachment, Variant
from .pod_facts import PodFacts
from .preflight_report import Evidence
from .reasons import Reason
from .transport import TransportDecision
from .transport_intent import Finding, Intent
from .verdict import MAX_MESSAGE, ConditionType, Truth, Verdict

_UNKNOWN: Final = "Unknown"
_ORDER: Final = (Variant.RDMA.value, Variant.TCP.value, Variant.NONE.value, _UNKNOWN)
_EXAMPLES: Final = 3
_MAX_LINES: Final = 8
_MAX_LINE: Final = 128
_MAX_CAUSES: Final = 4
_REPLACED: Final = "They are replaced one by one, as transport.recovery is Immediate."
# The scheduler's words about claims of dynamic resource allocation.
_CLAIM_WORDS: Final = ("cannot allocate all claims", "resourceclaim not available")

STARVED_SECONDS: Final = 30.0
"""For how long an RDMA pod must have had no node before that counts as a shortage."""
STUCK_SECONDS: Final = 300.0
"""For how long a pod that has its node must have had no network; images and volumes are slow too."""


@dataclass(frozen=True, slots=True)
class Starvation:
    """RDMA pods that do not get what they need.

    Attributes:
        finding: What to say; None while none has waited for long enough.
        look_again: Seconds until one may have; None where none waits.
    """

    finding: Finding | None = None
    look_again: float | None = None


def find_starvation(pods: Sequence[PodFacts], attachment: Attachment | None, now: float) -> Starvation:
    """Return whether RDMA pods wait for devices or networks that nodes only seem to have.

    What nodes advertise may be taken by pods that the operator does not know, and a network may fail when a pod is attached
    to it; the scheduler and the kubelet tell.
    """
    soonest: float | None = None
    for pod in sorted(pods, key=lambda item: item.name):
        if pod.make.variant is not Variant.RDMA or pod.terminating or pod.waits_since is None:
            continue
        limit = STUCK_SECONDS if pod.node else STARVED_SECONDS
        if not pod.node and not _lacks_devices(pod, attachment):
            continue
        left = pod.waits_since + limit - now
        if left > 0:
            soonest = left if soonest is None else min(soonest, left)
        elif pod.node:
            text = f"Pod {pod.name} has had no network on node {pod.node} for {STUCK_SECONDS:.0f} s; kubectl describe pod names the cause."
            return Starvation((Reason.RDMAUnavailable, text))
        else:
            return Starvation(
                (Reason.RDMAResourceExhausted, pod.problem[1] if pod.problem else f"Pod {pod.name} waits.")
            )
    return Starvation(None, soonest)


def _lacks_devices(pod: PodFacts, attachment: Attachment | None) -> bool:
    """Whether the scheduler names the RDMA devices among the causes."""
    words = pod.problem[1] if pod.problem else ""
    if attachment is None:
        return False
    if attachment.resource_name is None:
        return any(text in words for text in _CLAIM_WORDS)
    return f"Insufficient {attachment.resource_name}" in words


def count_placed(pods: Sequence[PodFacts], replicas: int) -> int:
    """Return how many wanted RDMA pods have their place. One that ends holds it for its successor."""
    return sum(
        pod.make.variant is Variant.RDMA and bool(pod.node) and not pod.refused and 0 <= pod.ordinal < replicas
        for pod in pods
    )


def _list_alive(pods: Sequence[PodFacts]) -> list[PodFacts]:
    return sorted((pod for pod in pods if not pod.terminating and not pod.refused), key=lambda pod: pod.ordinal)


def find_transport(pod: PodFacts, *, asked: bool, has_store: bool) -> str:
    """Return what a pod uses: RDMA, TCP, None without the object store tier, or Unknown."""
    if not has_store:
        return Variant.NONE.value
    if pod.make.variant is Variant.RDMA:
        report = pod.transport.preflight
        if report is None or (report.transport is Variant.NONE and not pod.ready):
            return _UNKNOWN
        return report.transport.value
    return _UNKNOWN if asked and pod.make.variant is None and not pod.ready else Variant.TCP.value


def summarize_transport(
    intent: Intent, decision: TransportDecision, pods: Sequence[PodFacts], *, has_store: bool
) -> TransportStatus:
    """Return what status says of the transport."""
    alive = _list_alive(pods)
    used = {pod.name: find_transport(pod, asked=intent.asked, has_store=has_store) for pod in alive}
    counts = Counter(used.values())
    listed = [
        PodsOfTransport(
            transport=name,
            count=counts[name],
            examples=[pod.name for pod in alive if used[pod.name] == name][:_EXAMPLES],
        )
        for name in _ORDER
        if counts[name]
    ]
    return TransportStatus(
        decision=decision.choice.variant.value if has_store else Variant.NONE.value,
        effective=_describe_counts(counts),
        evidence=_weigh_evidence(alive, used).value,
        pods=listed or None,
        attachments=_list_attachments(alive) or None,
    )


def summarize_plain_transport(*, has_store: bool) -> TransportStatus:
    """Return what status says of the transport where the spec says nothing of it; pods come and go without changing it."""
    used = (Variant.TCP if has_store else Variant.NONE).value
    return TransportStatus(decision=used, effective=used, evidence=Evidence.NONE.value)


def check_degraded(
    intent: Intent,
    decision: TransportDecision,
    pods: Sequence[PodFacts],
    replicas: int,
    blocker: Verdict | None = None,
) -> Verdict | None:
    """Return the condition TransportDegraded, or None where nobody asks for RDMA.

    Args:
        intent: What the spec asks for.
        decision: What was decided.
        pods: Of the deployment.
        replicas: Wanted pods.
        blocker: The check that keeps the first pods from being created; None where none does.
    """
    if not intent.asked:
        return None
    alive = _list_alive(pods)
    if decision.degraded is not None:
        return _describe_decision(decision.degraded, alive)
    causes = [(pod, cause) for pod in alive if (cause := _find_cause(pod)) is not None]
    if causes:
        return _describe_causes(causes, len(alive), intent.recovery)
    condition = ConditionType.TRANSPORT_DEGRADED
    if not alive and blocker is not None:
        text = f"No pod is created because {blocker.condition} is {blocker.status} ({blocker.reason.name})."
        return Verdict(condition, Truth.UNKNOWN, Reason.TransportUnknown, text)
    proven = [pod for pod in alive if pod.make.variant is Variant.RDMA and pod.transport.preflight is not None]
    wanted = max(len(alive), replicas)
    if not wanted or len(proven) < wanted:
        text = f"{len(proven)} of {wanted} pods have told: RDMA." if wanted else "No pod is wanted."
        return Verdict(condition, Truth.UNKNOWN, Reason.TransportUnknown, f"{text} {Reason.TransportUnknown.remedy}")
    unproven = sum(pod.transport.preflight.evidence is not Evidence.PROVEN for pod in proven if pod.transport.preflight)
    caution = f" In {unproven} of them no bytes were moved to prove it." if unproven else ""
    text = f"The preflight of {len(proven)} of {wanted} pods found RDMA.{caution}"
    return Verdict(condition, Truth.FALSE, Reason.TransportAsWanted, text)


def _find_cause(pod: PodFacts) -> Finding | None:
    """Return why a pod does not use RDMA; None where it does, or has not told yet."""
    if pod.make.variant is Variant.TCP:
        return Reason.RDMARecovered, "made for TCP"
    report = pod.transport.preflight
    if report is not None and report.transport is Variant.RDMA:
        return None
    if pod.transport.fault is not None:
        return pod.transport.fault
    return None if report is None else (report.reason or Reason.PreflightFailed, report.detail)


def _describe_decision(cause: Finding, alive: Sequence[PodFacts]) -> Verdict:
    """Return the condition for a deployment that gets TCP pods; those that run RDMA already keep it."""
    reason, text = cause
    reports = [pod.transport.preflight for pod in alive if pod.make.variant is Variant.RDMA]
    kept = sum(report is not None and report.transport is Variant.RDMA for report in reports)
    if kept:
        text = f"{kept} of {len(alive)} pods run RDMA and keep it; new pods get TCP because of {reason.name}: {text}"
    return _degraded(reason, text)


def _describe_causes(causes: Sequence[tuple[PodFacts, Finding]], pods: int, recovery: Recovery) -> Verdict:
    """Return the condition for causes in pods, the most frequent first."""
    by_reason: dict[Reason, list[tuple[PodFacts, str]]] = {}
    for pod, (reason, text) in causes:
        by_reason.setdefault(reason, []).append((pod, text))
    ranked = sorted(by_reason.items(), key=lambda item: (-len(item[1]), item[0].name))
    parts = [
        f"{len(found)} {reason.name} (for instance {found[0][0].name}{f': {found[0][1]}' if found[0][1] else ''})"
        for reason, found in ranked[:_MAX_CAUSES]
    ]
    more = f"; and {len(ranked) - _MAX_CAUSES} more causes" if len(ranked) > _MAX_CAUSES else ""
    reason = ranked[0][0]
    remedy = reason.remedy
    if reason is Reason.RDMARecovered and recovery is Recovery.IMMEDIATE:
        remedy = _REPLACED
    return _degraded(reason, f"{len(causes)} of {pods} pods do not use RDMA: {'; '.join(parts)}{more}.", remedy)


def _degraded(reason: Reason, text: str, remedy: str | None = None) -> Verdict:
    message = f"{text} {reason.remedy if remedy is None else remedy}".strip()
    if len(message) > MAX_MESSAGE:
        message = message[: MAX_MESSAGE - 1] + "…"
    return Verdict(ConditionType.TRANSPORT_DEGRADED, Truth.TRUE, reason, message)


def _describe_counts(counts: Mapping[str, int]) -> str:
    found = [name for name in _ORDER if counts.get(name)]
    if not found:
        return "no pods"
    return found[0] if len(found) == 1 else ", ".join(f"{name} {counts[name]}" for name in found)


def _weigh_evidence(alive: Sequence[PodFacts], used: Mapping[str, str]) -> Evidence:
    """Return the weakest evidence of the pods that use RDMA."""
    reports = [pod.transport.preflight for pod in alive if used[pod.name] == Variant.RDMA.value]
    if not reports:
        return Evidence.NONE
    proven = all(report is not None and report.evidence is Evidence.PROVEN for report in reports)
    return Evidence.PROVEN if proven else Evidence.UNVERIFIED


def _list_attachments(alive: Sequence[PodFacts]) -> list[PodAttachment]:
    """Return what RDMA pods got, those with trouble first."""
    found = []
    for pod in alive:
        if pod.make.variant is not Variant.RDMA:
            continue
        report, cause = pod.transport.preflight, _find_cause(pod)
        found.append(
            PodAttachment(
                pod=pod.name,
                interfaces=_trim(pod.transport.interfaces) or None,
                devices=_trim(report.devices if report else ()) or None,
                cause=cause[0].name if cause else None,
            )
        )
    return sorted(found, key=lambda item: item.cause is None)[:MAX_EXAMPLES]


def _trim(lines: Sequence[str]) -> list[str]:
    return [line[:_MAX_LINE] for line in lines[:_MAX_LINES]]
