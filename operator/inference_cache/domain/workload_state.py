"""How the pods are doing, from the StatefulSet's counts and the pods' own words."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final

from .live import Live
from .pod_facts import PodFacts
from .pod_transport import UNMADE, Make, read_make
from .reasons import Reason
from .refused_pods import Refusal, build_refusal, describe_refusals
from .verdict import ConditionType, Verdict, bad, ok

# The first that applies names the reason: what someone must mend comes before what passes.
_SEVERITY: Final = (
    Reason.ImagePullFailing,
    Reason.PodsCrashing,
    Reason.PodAdmissionFailed,
    Reason.PodsUnschedulable,
)
_OTHER_SEVERITY: Final = _SEVERITY.index(Reason.PodsCrashing)


@dataclass(frozen=True)
class WorkloadState:
    """Counts of the pods.

    Attributes:
        exists: Whether there is a StatefulSet.
        settled: Whether its controller has seen its latest specification.
        template: What new pods are made from.
        same: Whether all pods are of the template's specification, transport aside, although its controller has not seen it
            yet.
    """

    exists: bool
    settled: bool
    wanted: int
    replicas: int
    ready: int
    updated: int
    template: Make = UNMADE
    same: bool = False


def observe_workload(
    stateful_set: Live | None, pods: Sequence[PodFacts], wanted: int, *, exact: bool = False
) -> WorkloadState:
    """Return the counts. Pods are counted from the pods themselves, which are never older than the controller's counts.

    Args:
        stateful_set: As it is; None where there is none.
        pods: Its pods.
        wanted: How many there should be.
        exact: Whether pods of the other transport are outdated: where RDMA is required, those on TCP are.
    """
    if stateful_set is None:
        return WorkloadState(exists=False, settled=False, wanted=wanted, replicas=0, ready=0, updated=0)
    status = stateful_set.body.get("status", {})
    settled = status.get("observedGeneration", 0) >= stateful_set.metadata.get("generation", 1)
    template = read_template(stateful_set)
    if exact:
        template = replace(template, workload_hash="")
    alive = [pod for pod in pods if not pod.terminating]
    # Without the new revision's name, pods are told apart by what they were made from.
    known = [pod.make.is_current(template) if settled else pod.make.is_of(template) for pod in alive]
    return WorkloadState(
        exists=True,
        settled=settled,
        wanted=wanted,
        replicas=len(pods),
        ready=sum(pod.ready for pod in alive),
        updated=sum(known),
        template=template,
        same=not settled and bool(known) and all(known),
    )


def read_template(stateful_set: Live) -> Make:
    """Return what new pods of a StatefulSet are made from."""
    body = stateful_set.body
    revision = body.get("status", {}).get("updateRevision", "")
    return replace(read_make(body["spec"]["template"].get("metadata") or {}), revision=revision)


def check_workload(
    state: WorkloadState,
    pods: Sequence[PodFacts],
    blocker: Verdict | None,
    refusals: Sequence[Refusal] = (),
    now: float = 0.0,
) -> Verdict:
    """Return the condition WorkloadAvailable: whether every wanted pod answers as ready.

    Args:
        state: The counts.
        pods: The pods.
        blocker: The check that keeps pods from being created.
        refusals: Pods that the kubelet refused lately; most of them are gone already.
        now: Seconds of the epoch.
    """
    condition = ConditionType.WORKLOAD_AVAILABLE
    if not state.exists:
        if blocker is not None:
            return bad(
                condition,
                Reason.WorkloadHeld,
                f"No pods are created because of {blocker.condition}: {blocker.reason.name}.",
            )
        return bad(condition, Reason.PodsStarting, "The StatefulSet is being created.")
    if state.wanted == 0:
        return ok(condition, Reason.ScaledToZero)
    if state.ready >= state.wanted:
        return ok(condition, Reason.PodsReady, f"{state.ready} of {state.wanted} pods are ready.")
    counts = f"{state.ready} of {state.wanted} pods are ready."
    seen = [refusal for pod in pods if (refusal := build_refusal(pod)) is not None]
    known = {item.uid: item for item in (*refusals, *seen)}.values()
    missing = frozenset(item.pod for item in known) - {pod.name for pod in pods if pod.ready}
    refused = describe_refusals(known, missing, now)
    hidden = missing if refused else frozenset()
    found = [pod.problem for pod in pods if pod.problem and pod.name not in hidden and not pod.terminating]
    found += [refused] if refused else []
    problems = sorted(found, key=lambda problem: (_rank(problem[0]), problem[1]))
    if problems:
        reason, message = problems[0]
        more = f" {len(problems) - 1} more pods have problems." if len(problems) > 1 else ""
        return bad(condition, reason, f"{counts} {message}{more}")
    if state.settled and len(pods) < state.wanted:
        return bad(condition, Reason.PodsNotCreated, f"{counts} {state.wanted - len(pods)} pods do not exist.")
    return bad(condition, Reason.PodsStarting, counts)


def _rank(reason: Reason) -> int:
    return _SEVERITY.index(reason) if reason in _SEVERITY else _OTHER_SEVERITY
