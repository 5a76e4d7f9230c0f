"""When the processes of a pod start, work, end and start again: the kubelet's rules, without a cluster or a clock.

The machine is moved by `advance(now, behaviour)` and says when it wants to be moved next. Order is the kubelet's:
plain init containers to their end, sidecars until started, then the main containers; everything restarts with the
growing delay of CrashLoopBackOff.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Final

from .arguments import CommandError
from .behaviours import Behaviour, ContainerBehaviour, Crash

_BACK_OFF_SECONDS: Final = 10.0
_BACK_OFF_MAX_SECONDS: Final = 300.0
# A container that ran this long starts again without delay.
_BACK_OFF_RESET_SECONDS: Final = 600.0
# Keeps a crash loop from spinning where time is scaled to nothing.
_BACK_OFF_MIN_SECONDS: Final = 0.05


class Role(StrEnum):
    """What a container is to the simulator."""

    WEIGHTS = "weights"
    PREFLIGHT = "preflight"
    CACHE = "cache"
    ENGINE = "engine"
    OTHER = "other"


class Phase(StrEnum):
    """The keys of a container's state in the API."""

    WAITING = "waiting"
    RUNNING = "running"
    TERMINATED = "terminated"


@dataclass
class Ended:
    """How one run of a container ended; times in seconds of the epoch."""

    exit_code: int
    reason: str
    message: str
    started_at: float
    finished_at: float
    container_id: str


@dataclass
class Container:
    """One container and its current run.

    Attributes:
        once: Runs to its end and is then done (a plain init container).
        build: Makes the state of a new process; raises CommandError where the real process would not start.
        process: That state while the process runs; a new process knows nothing of the old one.
        listening: The process answers.
        config_error: What keeps the kubelet from making the container, such as a missing Secret.
    """

    name: str
    role: Role
    once: bool
    init: bool
    spec: Mapping[str, Any]
    build: Callable[[], Any]
    phase: Phase = Phase.WAITING
    reason: str = "PodInitializing"
    message: str = ""
    started_at: float = 0.0
    due_at: float = 0.0
    listening: bool = False
    ready: bool = False
    restarts: int = 0
    runs: int = 0
    ended: Ended | None = None
    last_ended: Ended | None = None
    retry_at: float = 0.0
    failures_in_row: int = 0
    config_error: str = ""
    process: Any = None
    refused: CommandError | None = None
    crashes: dict[str, int] = field(default_factory=dict)
    container_id: str = ""


@dataclass
class Machine:
    """The containers of one pod, init containers first.

    Attributes:
        uid: The pod's, for container ids that differ between pods.
        initialized: All init containers have done their part once; a sidecar that ends later does not take it back.
    """

    uid: str
    containers: list[Container]
    default_start_seconds: float
    time_scale: float
    initialized: bool = False
    _wakes: list[float] = field(default_factory=list)

    def find(self, role: Role) -> Container | None:
        """Return the container of a role."""
        return next((item for item in self.containers if item.role is role), None)

    def advance(self, now: float, behaviour: Behaviour) -> float | None:
        """Bring every container to where it is at `now`; return when the next change is due."""
        self._wakes = []
        held = False
        for container in self.containers:
            if held and not self.initialized:
                break
            if not container.init and not held:
                self.initialized = True
            self._step(container, now, behaviour)
            held = held or (container.init and not self._done(container))
        return min(self._wakes, default=None)

    @staticmethod
    def _done(container: Container) -> bool:
        if container.once:
            return container.phase is Phase.TERMINATED
        return container.listening

    def _step(self, container: Container, now: float, behaviour: Behaviour) -> None:
        rules = _rules(container.role, behaviour)
        while True:
            if container.phase is Phase.TERMINATED:
                return
            if container.phase is Phase.WAITING:
                if not self._may_start(container, now, rules):
                    return
                self._start(container, now, behaviour, rules)
            container.listening = not container.once and now >= container.due_at
            container.ready = container.listening and _is_ready(container.role, behaviour)
            failure = self._failure(container, now, rules.crash)
            if failure is None:
                if container.once and now >= container.due_at and not _works(container):
                    self._end(container, now, 0, "Completed", _read_message(container))
                    container.phase = Phase.TERMINATED
                elif now < container.due_at:
                    self._wakes.append(container.due_at)
                return
            self._end(container, now, *failure)
            self._back_off(container, now)

    def _may_start(self, container: Container, now: float, rules: ContainerBehaviour) -> bool:
        if rules.waiting:
            container.reason, container.message = rules.waiting, "the simulator was told to wait"
            return False
        if container.config_error:
            container.reason, container.message = "CreateContainerConfigError", container.config_error
            return False
        if now < container.retry_at:
            self._wakes.append(container.retry_at)
            return False
        return True

    def _start(self, container: Container, now: float, behaviour: Behaviour, rules: ContainerBehaviour) -> None:
        container.phase = Phase.RUNNING
        container.reason = container.message = ""
        container.restarts += container.runs > 0
        container.runs += 1
        container.container_id = f"simulated://{self.uid}-{container.name}-{container.restarts}"
        container.started_at = now
        container.due_at = now + self._start_seconds(container.role, behaviour, rules)
        container.process = container.refused = None
        try:
            container.process = container.build()
        except CommandError as error:
            container.refused = error

    def _start_seconds(self, role: Role, behaviour: Behaviour, rules: ContainerBehaviour) -> float:
        if rules.start_seconds is not None:
            return rules.start_seconds
        if role is Role.ENGINE:
            return self.default_start_seconds if behaviour.start_seconds is None else behaviour.start_seconds
        if role is Role.WEIGHTS:
            return behaviour.init_seconds or 0.0
        return 0.0

    def _failure(self, container: Container, now: float, crash: Crash | None) -> tuple[int, str, str] | None:
        if container.refused is not None:
            return container.refused.exit_code, "Error", str(container.refused)
        if container.role is Role.PREFLIGHT and container.process.outcome is not None:
            code, message = container.process.outcome
            if code:
                return code, "Error", message
        if crash is not None and (crash.times is None or container.crashes.get(crash.source, 0) < crash.times):
            if now >= container.started_at + crash.after_seconds:
                container.crashes[crash.source] = container.crashes.get(crash.source, 0) + 1
                return crash.exit_code, crash.reason, ""
            self._wakes.append(container.started_at + crash.after_seconds)
        # Only a start needs the cache server: a serving engine goes on without it.
        if container.role is Role.ENGINE and container.listening and not container.process.connected:
            cache = self.find(Role.CACHE)
            if cache is not None and not cache.listening:
                return 1, "Error", "Cannot reach the LMCache MP server"
            container.process.connected = True
        return None

    def _end(self, container: Container, now: float, exit_code: int, reason: str, message: str) -> None:
        container.ended = Ended(exit_code, reason, message, container.started_at, now, container.container_id)
        container.listening = container.ready = False
        container.process = None

    def _back_off(self, container: Container, now: float) -> None:
        if now - container.started_at > _BACK_OFF_RESET_SECONDS * self.time_scale:
            container.failures_in_row = 0
        container.failures_in_row += 1
        container.last_ended, container.ended = container.ended, None
        container.phase = Phase.WAITING
        container.retry_at = now
        if container.failures_in_row > 1:
            delay = min(_BACK_OFF_SECONDS * 2 ** (container.failures_in_row - 2), _BACK_OFF_MAX_SECONDS)
            container.retry_at = now + max(delay * self.time_scale, _BACK_OFF_MIN_SECONDS)
            container.reason = "CrashLoopBackOff"
            container.message = f"back-off {delay:.0f}s restarting failed container={container.name}"


def _works(container: Container) -> bool:
    """Whether a program that runs for real has not ended; whoever runs it tells when it has."""
    return container.role is Role.PREFLIGHT and container.process.outcome is None


def _read_message(container: Container) -> str:
    return container.process.outcome[1] if container.role is Role.PREFLIGHT else ""


def _rules(role: Role, behaviour: Behaviour) -> ContainerBehaviour:
    by_role = {Role.ENGINE: behaviour.engine, Role.CACHE: behaviour.cache, Role.WEIGHTS: behaviour.weights}
    return by_role.get(role, ContainerBehaviour())


def _is_ready(role: Role, behaviour: Behaviour) -> bool:
    if role is not Role.ENGINE:
        return True
    return behaviour.health_status == 200 and not behaviour.never_ready and not behaviour.hang_http
