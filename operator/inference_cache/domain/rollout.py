"""Which pods may be replaced now. Stateless: everything follows from what is observed.

Pods of an older specification go; so do, with recovery Immediate, pods on TCP once the fabric can carry RDMA again. A pod of
the other transport that starts or serves is up to date and stays.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

from inference_cache.api.transport import Recovery

from .attachment import Variant
from .pod_facts import PodFacts
from .pod_transport import Make

RETRY_RDMA_SECONDS: Final = 600.0
"""Age from which a pod whose own preflight fell back to TCP may be replaced, so that RDMA is tried once more."""


@dataclass(frozen=True)
class ReplacementPlan:
    """Pods to delete now, so that the StatefulSet creates them anew.

    Attributes:
        delete: Pods of an older specification.
        lost: Pods of the other transport that do not come up as they are.
        retry: Pods that serve over TCP and take up RDMA now.
        outdated: How many remain of an older specification.
        look_again: Seconds until a pod is old enough to be tried with RDMA once more; None where none is.
    """

    delete: tuple[PodFacts, ...] = ()
    lost: tuple[PodFacts, ...] = ()
    retry: tuple[PodFacts, ...] = ()
    outdated: int = 0
    look_again: float | None = None


@dataclass(frozen=True, slots=True)
class Retry:
    """When pods on TCP are replaced for RDMA's sake.

    Attributes:
        recovery: What the spec says.
        node_is_fine: Whether a node has what RDMA needs, as far as the operator can see.
        now: Seconds of the epoch.
    """

    recovery: Recovery
    node_is_fine: Callable[[str], bool]
    now: float


def plan_replacements(
    pods: Sequence[PodFacts], template: Make, replicas: int, max_unavailable: int, retry: Retry | None = None
) -> ReplacementPlan:
    """Return the next pods to replace.

    Outdated pods that are not ready serve no one and go first, whatever the budget. Ready ones go only while no more
    than max_unavailable of the wanted replicas are missing, so new pods that never become ready stop the replacement
    and the rest keeps serving. Higher ordinals go first, as with rolling StatefulSets.
    """
    staying = sorted(
        (pod for pod in pods if not pod.terminating and not pod.refused and 0 <= pod.ordinal < replicas),
        key=lambda pod: -pod.ordinal,
    )
    outdated = [pod for pod in staying if not pod.make.is_current(template)]
    current = [pod for pod in staying if pod.make.is_current(template)]
    broken = [pod for pod in outdated if not pod.ready]
    lost = tuple(pod for pod in current if _is_lost(pod, template))
    ready = sum(pod.ready for pod in staying)
    budget = max(0, max_unavailable - max(0, replicas - ready))
    serving = [pod for pod in outdated if pod.ready][:budget]
    again, look_again = _plan_retry(current, template, budget - len(serving), whole=ready >= replicas, retry=retry)
    return ReplacementPlan(tuple(broken + serving), lost, again, len(outdated), look_again)


def _is_lost(pod: PodFacts, template: Make) -> bool:
    """Whether a pod of the other transport gets nowhere as it is: no node, no network, or a container that fails."""
    other = pod.make.variant is not template.variant
    return other and not pod.ready and (not pod.node or pod.problem is not None or pod.waits_since is not None)


def _plan_retry(
    current: Sequence[PodFacts], template: Make, budget: int, *, whole: bool, retry: Retry | None
) -> tuple[tuple[PodFacts, ...], float | None]:
    if retry is None or retry.recovery is not Recovery.IMMEDIATE or template.variant is not Variant.RDMA:
        return (), None
    left_behind = [pod for pod in current if pod.ready and pod.make.variant is Variant.TCP]
    if left_behind:
        return tuple(left_behind[: max(0, budget)]), None
    fallen = [pod for pod in current if pod.ready and fell_back(pod) and retry.node_is_fine(pod.node)]
    old = [pod for pod in fallen if retry.now - pod.created >= RETRY_RDMA_SECONDS]
    if old:
        # One at a time, as the next one may fall back just the same.
        return (tuple(old[:1]) if whole and budget > 0 else ()), None
    return (), min((RETRY_RDMA_SECONDS - (retry.now - pod.created) for pod in fallen), default=None)


def fell_back(pod: PodFacts) -> bool:
    """Whether a pod that was made for RDMA decided against it."""
    report = pod.transport.preflight
    return pod.make.variant is Variant.RDMA and report is not None and report.transport is not Variant.RDMA
