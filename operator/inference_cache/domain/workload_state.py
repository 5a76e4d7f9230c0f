"""How the pods are doing, from the StatefulSet's counts and the pods' own words."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from .live import Live
from .pod_facts import PodFacts
from .reasons import Reason
from .verdict import ConditionType, Verdict, bad, ok

# The first that applies names the reason: what someone must mend comes before what passes.
_SEVERITY: Final = (Reason.ImagePullFailing, Reason.PodsCrashing, Reason.PodsUnschedulable)


@dataclass(frozen=True)
class WorkloadState:
    """Counts of the pods.

    Attributes:
        exists: Whether there is a StatefulSet.
        settled: Whether its controller has seen its latest specification.
        update_revision: Name of the revision that new pods get.
    """

    exists: bool
    settled: bool
    wanted: int
    replicas: int
    ready: int
    updated: int
    update_revision: str


def observe_workload(stateful_set: Live | None, pods: Sequence[PodFacts], wanted: int) -> WorkloadState:
    """Return the counts. Pods are counted from the pods themselves, which are never older than the controller's counts."""
    if stateful_set is None:
        return WorkloadState(
            exists=False, settled=False, wanted=wanted, replicas=0, ready=0, updated=0, update_revision=""
        )
    status = stateful_set.body.get("status", {})
    settled = status.get("observedGeneration", 0) >= stateful_set.metadata.get("generation", 1)
    revision = status.get("updateRevision", "")
    alive = [pod for pod in pods if not pod.terminating]
    return WorkloadState(
        exists=True,
        settled=settled,
        wanted=wanted,
        replicas=len(pods),
        ready=sum(pod.ready for pod in alive),
        updated=sum(pod.revision == revision for pod in alive) if settled else 0,
        update_revision=revision,
    )


def check_workload(state: WorkloadState, pods: Sequence[PodFacts], blocker: Verdict | None) -> Verdict:
    """Return the condition WorkloadAvailable: whether every wanted pod answers as ready."""
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
    problems = sorted(
        (pod.problem for pod in pods if pod.problem is not None and not pod.terminating),
        key=lambda problem: (_SEVERITY.index(problem[0]), problem[1]),
    )
    if problems:
        reason, message = problems[0]
        more = f" {len(problems) - 1} more pods have problems." if len(problems) > 1 else ""
        return bad(condition, reason, f"{counts} {message}{more}")
    if state.settled and len(pods) < state.wanted:
        return bad(condition, Reason.PodsNotCreated, f"{counts} {state.wanted - len(pods)} pods do not exist.")
    return bad(condition, Reason.PodsStarting, counts)
