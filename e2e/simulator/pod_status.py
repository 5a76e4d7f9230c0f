"""The status that a kubelet would write for a pod, from the state of its machine."""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from .machine import Container, Ended, Machine, Phase


def build_status(pod: Mapping[str, Any], machine: Machine, host_ip: str, pod_ip: str, now: float) -> dict[str, Any]:
    """Return the status for a strategic merge patch: conditions merge by type, so those of others stay.

    Args:
        pod: The pod as read; times of conditions that did not change are taken from it.
        machine: Where the pod's containers are.
        host_ip: Address of the node.
        pod_ip: Address of the pod.
        now: Seconds of the epoch.
    """
    mains = [item for item in machine.containers if not item.init]
    inits = [item for item in machine.containers if item.init]
    running = any(item.phase is Phase.RUNNING or item.last_ended for item in mains)
    unready = [item.name for item in machine.containers if not item.once and not item.ready]
    incomplete = [item.name for item in inits if (item.phase is not Phase.TERMINATED if item.once else not item.ready)]
    all_ready = not unready and machine.initialized
    not_ready = {"reason": "ContainersNotReady", "message": f"containers with unready status: {_list(unready)}"}
    not_initialized = {
        "reason": "ContainersNotInitialized",
        "message": f"containers with incomplete status: {_list(incomplete)}",
    }
    old = {item["type"]: item for item in pod.get("status", {}).get("conditions", [])}
    generation = pod["metadata"].get("generation")

    def condition(kind: str, holds: bool, otherwise: Mapping[str, str]) -> dict[str, Any]:
        state = "True" if holds else "False"
        before = old.get(kind, {})
        since = before["lastTransitionTime"] if before.get("status") == state else _time(now)
        detail = {"reason": None, "message": None} if holds else dict(otherwise)
        stamp = {} if generation is None else {"observedGeneration": generation}
        return {"type": kind, "status": state, "lastProbeTime": None, "lastTransitionTime": since} | detail | stamp

    return {
        "observedGeneration": generation,
        "phase": "Running" if running else "Pending",
        "startTime": pod.get("status", {}).get("startTime") or _time(now),
        "hostIP": host_ip,
        "hostIPs": [{"ip": host_ip}],
        "podIP": pod_ip,
        "podIPs": [{"ip": pod_ip}],
        "conditions": [
            condition("PodReadyToStartContainers", True, {}),
            condition("Initialized", machine.initialized, not_initialized),
            condition("ContainersReady", all_ready, not_ready),
            condition("Ready", all_ready, not_ready),
        ],
        "initContainerStatuses": [_container(item) for item in inits],
        "containerStatuses": [_container(item) for item in mains],
    }


def _container(container: Container) -> dict[str, Any]:
    image = container.spec.get("image", "")
    finished = container.once and container.phase is Phase.TERMINATED
    return {
        "name": container.name,
        "image": image,
        "imageID": f"simulated://{image}" if container.runs else "",
        "containerID": container.container_id,
        "ready": container.ready or finished,
        "started": container.phase is Phase.RUNNING and (container.listening or container.once),
        "restartCount": container.restarts,
        "state": _state(container),
        "lastState": {"terminated": _ended(container.last_ended)} if container.last_ended else {},
    }


def _state(container: Container) -> dict[str, Any]:
    match container.phase:
        case Phase.RUNNING:
            return {"running": {"startedAt": _time(container.started_at)}}
        case Phase.TERMINATED if container.ended is not None:
            return {"terminated": _ended(container.ended)}
        case _:
            waiting = {"reason": container.reason} | ({"message": container.message} if container.message else {})
            return {"waiting": waiting}


def _ended(ended: Ended) -> dict[str, Any]:
    return {
        "exitCode": ended.exit_code,
        "reason": ended.reason,
        "startedAt": _time(ended.started_at),
        "finishedAt": _time(ended.finished_at),
        "containerID": ended.container_id,
    } | ({"message": ended.message} if ended.message else {})


def _list(items: list[str]) -> str:
    return f"[{' '.join(items)}]"


def _time(seconds: float) -> str:
    return datetime.fromtimestamp(int(seconds), UTC).isoformat().replace("+00:00", "Z")
