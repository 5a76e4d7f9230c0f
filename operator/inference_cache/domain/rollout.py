"""Which pods of an older revision may be replaced now. Stateless: everything follows from what is observed."""

from collections.abc import Sequence
from dataclasses import dataclass

from .pod_facts import PodFacts


@dataclass(frozen=True)
class ReplacementPlan:
    """Pods to delete now, so that the StatefulSet creates them anew, and how many remain of the older revision."""

    delete: tuple[PodFacts, ...]
    outdated: int


def plan_replacements(
    pods: Sequence[PodFacts], update_revision: str, replicas: int, max_unavailable: int
) -> ReplacementPlan:
    """Return the next pods to replace.

    Outdated pods that are not ready serve no one and go first, whatever the budget. Ready ones go only while no more
    than max_unavailable of the wanted replicas are missing, so new pods that never become ready stop the replacement
    and the rest keeps serving. Higher ordinals go first, as with rolling StatefulSets.
    """
    staying = [pod for pod in pods if not pod.terminating and 0 <= pod.ordinal < replicas]
    outdated = sorted((pod for pod in staying if pod.revision != update_revision), key=lambda pod: -pod.ordinal)
    broken = [pod for pod in outdated if not pod.ready]
    ready = sum(pod.ready for pod in staying)
    budget = max(0, max_unavailable - max(0, replicas - ready))
    serving = [pod for pod in outdated if pod.ready][:budget]
    return ReplacementPlan(tuple(broken + serving), len(outdated))
