"""What is known of an engine pod: readiness, what it was made from, its transport and, if it does not start, why."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from . import names
from .pod_transport import UNTOLD, Make, PodTransport, project_pod_transport, read_make
from .reasons import Reason

_PULL_REASONS: Final = frozenset({"ImagePullBackOff", "ErrImagePull", "InvalidImageName", "ErrImageNeverPull"})
_CRASH_REASONS: Final = frozenset(
    {"CrashLoopBackOff", "RunContainerError", "CreateContainerError", "CreateContainerConfigError"}
)


@dataclass(frozen=True, slots=True)
class PodFacts:
    """One engine pod. Times are seconds of the epoch.

    Attributes:
        make: What it was made from.
        problem: Why it does not become ready, with a sentence; None where it just starts or runs.
        config_maps: ConfigMaps that it mounts.
        claim_templates: ResourceClaimTemplates of its claims.
        controller_uid: Uid of the object that controls it; None for a pod that somebody made by hand.
        node: Name of its node; empty until it is scheduled.
        created: When it was created.
        waits_since: Since when the scheduler finds no node for it, or its node gives it no network; None where neither is so.
        ended: Whether it has failed or succeeded, so that nothing runs in it again.
        refused: The kubelet's reason for having refused it for good, such as TopologyAffinityError; empty otherwise.
        transport: Its way to the object store.
    """

    namespace: str
    name: str
    uid: str
    resource_version: str
    deployment: str
    make: Make
    ready: bool
    terminating: bool
    problem: tuple[Reason, str] | None
    config_maps: tuple[str, ...]
    controller_uid: str | None = None
    node: str = ""
    created: float = 0.0
    waits_since: float | None = None
    ended: bool = False
    refused: str = ""
    claim_templates: tuple[str, ...] = ()
    transport: PodTransport = UNTOLD

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
    node = spec.get("nodeName", "")
    transport = project_pod_transport(pod)
    return PodFacts(
        namespace=metadata["namespace"],
        name=metadata["name"],
        uid=metadata["uid"],
        resource_version=metadata["resourceVersion"],
        deployment=labels.get(names.LABEL_DEPLOYMENT, ""),
        make=read_make(metadata),
        ready=conditions.get("Ready", {}).get("status") == "True",
        terminating="deletionTimestamp" in metadata,
        problem=_find_problem(metadata["name"], status, conditions, transport),
        config_maps=tuple(
            volume["configMap"]["name"] for volume in spec.get("volumes", []) if "name" in volume.get("configMap", {})
        ),
        controller_uid=next(
            (item["uid"] for item in metadata.get("ownerReferences", []) if item.get("controller")), None
        ),
        node=node,
        created=_read_time(metadata.get("creationTimestamp")) or 0.0,
        waits_since=_find_wait(status, conditions, node),
        ended=status.get("phase") in {"Failed", "Succeeded"},
        refused=_find_refusal(status, conditions),
        claim_templates=tuple(
            item["resourceClaimTemplateName"]
            for item in spec.get("resourceClaims", [])
            if "resourceClaimTemplateName" in item
        ),
        transport=transport,
    )


def _read_time(text: str | None) -> float | None:
    if not text:
        return None
    try:
        return datetime.fromisoformat(text).timestamp()
    except ValueError:
        return None


def _find_wait(status: dict[str, Any], conditions: dict[str, Any], node: str) -> float | None:
    """Return since when a pod has no place or no network.

    PodReadyToStartContainers is False until the pod's sandbox with its networks exists, for which its volumes must be there.
    """
    if status.get("phase", "Pending") != "Pending":
        return None
    condition = conditions.get("PodReadyToStartContainers" if node else "PodScheduled", {})
    return _read_time(condition.get("lastTransitionTime")) if condition.get("status") == "False" else None


def _find_refusal(status: dict[str, Any], conditions: dict[str, Any]) -> str:
    """Return the kubelet's reason for refusing a pod: it has failed, and no container of it was ever made.

    Evicted, preempted and crashed pods have run; those are other matters.
    """
    if status.get("phase") != "Failed" or "DisruptionTarget" in conditions:
        return ""
    made = [*status.get("initContainerStatuses", []), *status.get("containerStatuses", [])]
    if any(item.get("containerID") for item in made):
        return ""
    reason: str = status.get("reason", "")
    return reason


def _find_problem(
    pod: str, status: dict[str, Any], conditions: dict[str, Any], transport: PodTransport
) -> tuple[Reason, str] | None:
    scheduled = conditions.get("PodScheduled", {})
    if scheduled.get("status") == "False":
        return Reason.PodsUnschedulable, f"Pod {pod}: {scheduled.get('message', 'not scheduled').rstrip('.')}."
    if status.get("phase") == "Failed":
        refused = _find_refusal(status, conditions)
        text = f"{status.get('reason', '')} {status.get('message', '')}".strip().rstrip(".")
        if refused:
            return Reason.PodAdmissionFailed, f"Pod {pod}: {text}."
        return Reason.PodsCrashing, f"Pod {pod} failed: {text}."
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
            text = f"Pod {pod}, container {container['name']}: {reason}, {restarts} restarts{code}"
            report = transport.preflight
            if container["name"] == names.PREFLIGHT_CONTAINER and report is not None and report.reason is not None:
                return report.reason, f"{text}: {report.detail.rstrip('.')}."
            return Reason.PodsCrashing, f"{text}."
    return None
