"""Pods that the kubelet refused for good: what is told of them, and which may be deleted now.

A pod that its node cannot admit (NUMA zones, a device plugin that is not ready, a taken device) fails at once, and no
kubelet tries it again. The StatefulSet controller of Kubernetes deletes such a pod within the same second and makes
another one, however often that repeats, and nothing in a StatefulSet slows it down. So the refusals are remembered here for
as long as they matter, and deletion by the operator is for pods that stay, as without that controller.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from .pod_facts import PodFacts
from .reasons import Reason

REMEMBERED: Final = 16
"""Refusals that are kept for one deployment."""
RECENT_SECONDS: Final = 600.0
"""For how long a refusal explains why a pod is missing."""
STAY_SECONDS: Final = 30.0
"""For how long a refused pod is left to the StatefulSet controller."""
_LAST_PAUSE_SECONDS: Final = 600.0
_OFTEN: Final = 3
_EXAMPLES: Final = 3


@dataclass(frozen=True, slots=True)
class Refusal:
    """One pod that was refused.

    Attributes:
        uid: Of that very pod.
        text: The kubelet's reason and message.
        at: When the pod was created, in seconds of the epoch: it is refused as soon as it has a node.
    """

    pod: str
    uid: str
    node: str
    text: str
    at: float


def build_refusal(pod: PodFacts) -> Refusal | None:
    """Return the refusal of a pod, or None where it was not refused."""
    if not pod.refused:
        return None
    text = pod.problem[1].removeprefix(f"Pod {pod.name}: ") if pod.problem else pod.refused
    return Refusal(pod.name, pod.uid, pod.node, text.rstrip("."), pod.created)


def describe_refusals(refusals: Iterable[Refusal], missing: frozenset[str], now: float) -> tuple[Reason, str] | None:
    """Return what to say of pods that are missing because the kubelet refused them.

    The text is the same for the same refusals in whatever order and number they come, as they may come many times a minute.

    Args:
        refusals: Those that are remembered.
        missing: Names of wanted pods that do not serve.
        now: Seconds of the epoch.
    """
    recent = [item for item in refusals if item.pod in missing and now - item.at < RECENT_SECONDS]
    if not recent:
        return None
    first = min(recent, key=lambda item: (item.pod, item.text))
    nodes = sorted({item.node for item in recent if item.pod == first.pod and item.node})
    where = f" by {', '.join(nodes[:_EXAMPLES])}" if nodes else ""
    more = " and others" if len(nodes) > _EXAMPLES else ""
    often = sum(item.pod == first.pod for item in recent) >= _OFTEN
    again = " It keeps happening: Kubernetes makes a new pod at once." if often else ""
    return Reason.PodAdmissionFailed, f"Pod {first.pod} was refused{where}{more}: {first.text}.{again}"


@dataclass(frozen=True, slots=True)
class Removal:
    """Which refused pod to delete.

    Attributes:
        pod: The pod to delete now; None where it is too early or there is none.
        look_again: Seconds until the next deletion may be due; None without such pods.
    """

    pod: PodFacts | None = None
    look_again: float | None = None


@dataclass(frozen=True, slots=True)
class Removed:
    """What the operator remembers of deletions, in seconds of the epoch; losing it costs one early deletion.

    Attributes:
        last: When the last refused pod was deleted.
        times: How many were deleted in a row.
    """

    last: float
    times: int

    @property
    def pause(self) -> float:
        """Seconds until the next one."""
        return min(STAY_SECONDS * 2.0 ** min(self.times - 1, 10), _LAST_PAUSE_SECONDS)

    @property
    def over(self) -> float:
        """When the row has ended, so that the next pause is short again."""
        return self.last + 2 * _LAST_PAUSE_SECONDS


def plan_removal(pods: Sequence[PodFacts], removed: Removed | None, now: float) -> Removal:
    """Return which refused pod may be deleted now: one in 30 s for a deployment, doubling up to 10 min while it repeats."""
    refused = sorted((pod for pod in pods if pod.refused and not pod.terminating), key=lambda pod: pod.created)
    if not refused:
        return Removal()
    due = refused[0].created + STAY_SECONDS
    if removed is not None:
        due = max(due, removed.last + removed.pause)
    return Removal(refused[0]) if now >= due else Removal(None, due - now)


def count_removal(removed: Removed | None, now: float) -> Removed:
    """Return what to remember after a deletion."""
    if removed is None or now >= removed.over:
        return Removed(now, 1)
    return Removed(now, removed.times + 1)
