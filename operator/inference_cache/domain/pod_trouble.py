"""What keeps the containers of a pod from running, and what Kubernetes noted about it; for people who look for a cause."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class ContainerTrouble:
    """A container that waits or keeps ending.

    Attributes:
        waiting: The kubelet's reason, such as CrashLoopBackOff.
        ended: Why it ended the last time, such as OOMKilled; empty where it never did.
        message: The kubelet's words.
    """

    pod: str
    container: str
    image: str
    waiting: str
    restarts: int
    exit_code: int | None = None
    ended: str = ""
    message: str = ""

    def __str__(self) -> str:
        text = f"Pod {self.pod}, container {self.container}: {self.waiting or self.ended}"
        if self.exit_code is not None:
            text += f", last exit code {self.exit_code}" + (f" ({self.ended})" if self.ended else "")
        if self.restarts:
            text += f", {self.restarts} restarts"
        return text + (f": {self.message}" if self.message else "")


@dataclass(frozen=True, slots=True)
class EventFacts:
    """A warning that Kubernetes or the operator noted."""

    about: str
    reason: str
    message: str
    count: int
    last: str

    def __str__(self) -> str:
        often = f", {self.count} times" if self.count > 1 else ""
        return f"Event {self.reason} of {self.about}{often}, last {self.last or 'at an unknown time'}: {self.message}"


# A container that is created or initialises waits too, without any trouble.
_HARMLESS = frozenset({"", "ContainerCreating", "PodInitializing"})


def project_troubles(pod: Mapping[str, Any]) -> tuple[ContainerTrouble, ...]:
    """Return the containers of a Pod object that have trouble, in the order in which they start."""
    status = pod.get("status", {})
    found = []
    for container in [*status.get("initContainerStatuses", []), *status.get("containerStatuses", [])]:
        state = container.get("state", {})
        waiting = state.get("waiting", {})
        ended = state.get("terminated") or container.get("lastState", {}).get("terminated") or {}
        failed = "terminated" in state and ended.get("exitCode", 0) != 0
        if waiting.get("reason", "") in _HARMLESS and not failed:
            continue
        found.append(
            ContainerTrouble(
                pod=pod["metadata"]["name"],
                container=container["name"],
                image=container.get("image", ""),
                waiting=waiting.get("reason", ""),
                restarts=container.get("restartCount", 0),
                exit_code=ended.get("exitCode"),
                ended=ended.get("reason", ""),
                message=(waiting.get("message") or ended.get("message") or "").strip()[:300],
            )
        )
    return tuple(found)


def project_event(event: Mapping[str, Any]) -> EventFacts:
    """Return the facts of a core Event object."""
    about = event.get("involvedObject", {})
    series = event.get("series") or {}
    return EventFacts(
        about=f"{about.get('kind', '')}/{about.get('name', '')}",
        reason=event.get("reason", ""),
        message=" ".join(event.get("message", "").split())[:1024],
        count=series.get("count") or event.get("count") or 1,
        last=series.get("lastObservedTime") or event.get("lastTimestamp") or event.get("eventTime") or "",
    )
