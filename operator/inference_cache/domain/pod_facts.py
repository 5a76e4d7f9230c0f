"""What is known of an engine pod: readiness, revision and, if it does not start, why."""

from dataclasses import dataclass
from typing import Any, Final

from . import names
from .reasons import Reason

_PULL_REASONS: Final = frozenset({"ImagePullBackOff", "ErrImagePull", "InvalidImageName", "ErrImageNeverPull"})
_CRASH_REASONS: Final = frozenset(
    {"CrashLoopBackOff", "RunContainerError", "CreateContainerError", "CreateContainerConfigError"}
)


@dataclass(frozen=True, slots=True)
class PodFacts:
    """One engine pod.

    Attributes:
        revision: The StatefulSet revision that it was created from.
        problem: Why it does not become ready, with a sentence; None where it just starts or runs.
        config_maps: ConfigMaps that it mounts.
        controller_uid: Uid of the object that controls it; None for a pod that somebody made by hand.
    """

    namespace: str
    name: str
    uid: str
    resource_version: str
    deployment: str
    revision: str
    ready: bool
    terminating: bool
    problem: tuple[Reason, str] | None
    config_maps: tuple[str, ...]
    controller_uid: str | None = None

    @property
    def ordinal(self) -> int:
        """Number of the replica; -1 where the name has none, so the pod is of no StatefulSet."""
        number = self.name.rpartition("-")[2]
        return int(number) if number.isdecimal() else -1


def project_pod(pod: dict[str, Any]) -> PodFacts:
    """Return the facts of a Pod object."""
    metadata, spec, status = pod["metadata"], pod.get("spec", {}), pod.get("status", {})
    conditions = {item["type"]: item for item in status.get("conditions", [])}
    labels = metadata.get("labels", {})
    return PodFacts(
        namespace=metadata["namespace"],
        name=metadata["name"],
        uid=metadata["uid"],
        resource_version=metadata["resourceVersion"],
        deployment=labels.get(names.LABEL_DEPLOYMENT, ""),
        revision=labels.get(names.LABEL_REVISION, ""),
        ready=conditions.get("Ready", {}).get("status") == "True",
        terminating="deletionTimestamp" in metadata,
        problem=_find_problem(metadata["name"], status, conditions),
        config_maps=tuple(
            volume["configMap"]["name"] for volume in spec.get("volumes", []) if "name" in volume.get("configMap", {})
        ),
        controller_uid=next(
            (item["uid"] for item in metadata.get("ownerReferences", []) if item.get("controller")), None
        ),
    )


def _find_problem(pod: str, status: dict[str, Any], conditions: dict[str, Any]) -> tuple[Reason, str] | None:
    scheduled = conditions.get("PodScheduled", {})
    if scheduled.get("status") == "False":
        return Reason.PodsUnschedulable, f"Pod {pod}: {scheduled.get('message', 'not scheduled').rstrip('.')}."
    if status.get("phase") == "Failed":
        return (
            Reason.PodsCrashing,
            f"Pod {pod} failed: {status.get('reason', '')} {status.get('message', '')}".strip() + ".",
        )
    for container in [*status.get("initContainerStatuses", []), *status.get("containerStatuses", [])]:
        waiting = container.get("state", {}).get("waiting", {})
        reason = waiting.get("reason", "")
        if reason in _PULL_REASONS:
            return (
                Reason.ImagePullFailing,
                f"Pod {pod}, container {container['name']}: {reason} of {container.get('image', '')}.",
            )
        if reason in _CRASH_REASONS:
            ended = container.get("lastState", {}).get("terminated", {})
            code = f", last exit code {ended['exitCode']}" if "exitCode" in ended else ""
            restarts = container.get("restartCount", 0)
            return (
                Reason.PodsCrashing,
                f"Pod {pod}, container {container['name']}: {reason}, {restarts} restarts{code}.",
            )
    return None
