"""One pod as the simulator knows it: its object, its machine, and what its processes are made of."""

import asyncio
import json
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from cache_agent.launch import LaunchError, build_command

from .arguments import CommandError, find_command, parse_cache, parse_engine
from .attachment import build_device_variables, pick_host
from .behaviours import Behaviour
from .cache_server import CacheServer
from .engine_process import EngineProcess
from .machine import Container, Machine, Phase, Role
from .preflight import PodMachine, run_folder, run_preflight


@dataclass
class PreflightRun:
    """The process of a preflight.

    Attributes:
        outcome: Exit code and termination message; None while it runs.
    """

    outcome: tuple[int, str] | None = None
    task: asyncio.Task[None] | None = None


@dataclass
class Sandbox:
    """One pod.

    Attributes:
        ip: Its address, once it has one.
        behaviour: What it does now.
        folder: Files of its volumes.
        woken: Called when something in the pod has ended.
        environments: Environment by container, with values out of Secrets; never shown.
        config: The ConfigMap that the volume config holds.
        drain_until: When its processes end, once it is being deleted.
        answering: Cleared while connections are taken and not answered.
        gone: The API has no such pod any more.
        released: Nothing is left to do; finalizers may keep the object.
        busy, again: One step at a time; a wake during a step asks for another one.
    """

    pod: dict[str, Any]
    default_start_seconds: float
    time_scale: float
    folder: Path = Path()
    woken: Callable[[], None] = lambda: None
    ip: str = ""
    host_ip: str = ""
    behaviour: Behaviour = field(default_factory=Behaviour)
    environments: dict[str, dict[str, str]] = field(default_factory=dict)
    config: Mapping[str, str] = field(default_factory=dict)
    sent_status: dict[str, Any] = field(default_factory=dict)
    drain_until: float | None = None
    answering: asyncio.Event = field(default_factory=asyncio.Event)
    gone: bool = False
    released: bool = False
    busy: bool = False
    again: bool = False
    timer: asyncio.TimerHandle | None = None
    machine: Machine = field(init=False)

    def __post_init__(self) -> None:
        spec = self.pod["spec"]
        containers = [self._container(item, init=True) for item in spec.get("initContainers", [])]
        containers += [self._container(item, init=False) for item in spec["containers"]]
        self.machine = Machine(self.uid, containers, self.default_start_seconds, self.time_scale)

    @property
    def uid(self) -> str:
        """The pod's uid."""
        uid: str = self.pod["metadata"]["uid"]
        return uid

    @property
    def namespace(self) -> str:
        """The pod's namespace."""
        namespace: str = self.pod["metadata"]["namespace"]
        return namespace

    @property
    def deleting(self) -> bool:
        """The pod is being deleted."""
        return bool(self.pod["metadata"].get("deletionTimestamp"))

    @property
    def terminal(self) -> bool:
        """The pod has failed or succeeded, for instance by eviction; nothing runs in it again."""
        return self.pod.get("status", {}).get("phase") in {"Failed", "Succeeded"}

    @property
    def engine(self) -> EngineProcess | None:
        """The engine while it answers."""
        container = self.machine.find(Role.ENGINE)
        return container.process if container is not None and container.listening else None

    @property
    def cache(self) -> CacheServer | None:
        """The cache server while it answers."""
        container = self.machine.find(Role.CACHE)
        return container.process if container is not None and container.listening else None

    def show(self, behaviour: Behaviour) -> None:
        """Take on a behaviour."""
        self.behaviour = behaviour
        if behaviour.hang_http:
            self.answering.clear()
        else:
            self.answering.set()

    def ports(self) -> dict[Role, int]:
        """Return the ports that are to be open now."""
        found: dict[Role, int] = {}
        if (engine := self.engine) is not None:
            found[Role.ENGINE] = engine.arguments.port
        # A server on its own loopback cannot be reached from outside of its pod.
        if (cache := self.cache) is not None and cache.arguments.http_host not in {"127.0.0.1", "localhost"}:
            found[Role.CACHE] = cache.arguments.http_port
        return found

    def adopt(self) -> None:
        """Take over a pod that an earlier simulator had started, as a restarted kubelet would."""
        status = self.pod.get("status", {})
        seen = {
            item["name"]: item
            for item in [*status.get("initContainerStatuses", []), *status.get("containerStatuses", [])]
        }
        for container in self.machine.containers:
            state = seen.get(container.name, {}).get("state", {})
            container.restarts = seen.get(container.name, {}).get("restartCount", 0)
            if "running" not in state and state.get("terminated", {}).get("exitCode") != 0:
                return
            container.container_id = seen[container.name].get("containerID", "")
            container.runs = 1
            container.phase = Phase.TERMINATED if "terminated" in state else Phase.RUNNING
            container.started_at = container.due_at = time.time()
            if container.phase is Phase.RUNNING:
                try:
                    container.process = container.build()
                except CommandError as error:
                    container.refused = error

    def describe(self) -> dict[str, Any]:
        """Return what the control API shows."""
        metadata = self.pod["metadata"]
        engine, cache = self.engine, self.cache
        return {
            "namespace": metadata["namespace"],
            "name": metadata["name"],
            "uid": self.uid,
            "node": self.pod["spec"].get("nodeName"),
            "ip": self.ip,
            "deleting": self.deleting,
            "behaviour": self.behaviour.to_json(),
            "containers": {
                item.name: {
                    "role": item.role,
                    "phase": item.phase,
                    "reason": item.reason,
                    "ready": item.ready,
                    "restarts": item.restarts,
                    "listening": item.listening,
                }
                for item in self.machine.containers
            },
            "engine": None if engine is None else _flat(engine.arguments, engine.tally.totals()),
            "cache": None if cache is None else _flat(cache.arguments, cache.tally.totals()),
        }

    def _container(self, spec: Mapping[str, Any], *, init: bool) -> Container:
        name = spec["name"]
        once = init and spec.get("restartPolicy") != "Always"
        role = Role.WEIGHTS if once else Role.OTHER
        reason = "PodInitializing" if self.pod["spec"].get("initContainers") else "ContainerCreating"
        container = Container(name, role, once=once, init=init, spec=spec, build=lambda: None, reason=reason)
        engine, cache = find_command(spec, "vllm", "serve"), find_command(spec, "lmcache", "server")
        if engine is not None:
            container.role, container.build = Role.ENGINE, partial(self._build_engine, engine)
        elif cache is not None:
            container.role, container.build = Role.CACHE, partial(self._build_cache, spec, cache)
        elif once and name == "preflight":
            container.role, container.build = Role.PREFLIGHT, partial(self._build_preflight, spec)
        return container

    def _build_engine(self, words: list[str]) -> EngineProcess:
        arguments = parse_engine(words, self.behaviour.altered_args)
        return EngineProcess(arguments, lambda: self.cache, lambda: self.behaviour, time.time())

    def _build_cache(self, spec: Mapping[str, Any], words: list[str]) -> CacheServer:
        if any(word.endswith("launch.py") for word in spec.get("command") or []):
            try:
                words = build_command(words, run_folder(self.folder))
            except LaunchError as error:
                raise CommandError(f"launch: {error}", 1) from None
        arguments = parse_cache(words, self.behaviour.altered_args)
        return CacheServer(arguments, self.environments.get(spec["name"], {}), lambda: self.behaviour, time.time())

    def _build_preflight(self, spec: Mapping[str, Any]) -> PreflightRun:
        environment = {**self.environments.get(spec["name"], {}), **build_device_variables(spec)}
        try:
            config = json.loads(self.config["transport.json"])
        except (KeyError, ValueError):
            raise CommandError("the volume config holds no transport.json", 1) from None
        machine = PodMachine(self.folder, config, environment, self.behaviour.rdma, pick_host(self.uid))
        run = PreflightRun()
        run.task = asyncio.create_task(self._run_preflight(run, machine))
        return run

    async def _run_preflight(self, run: PreflightRun, machine: PodMachine) -> None:
        run.outcome = await asyncio.to_thread(run_preflight, machine)
        self.woken()


def _flat(arguments: Any, counters: dict[str, float]) -> dict[str, Any]:
    shown = {name: value for name, value in vars(arguments).items() if name != "adapters"}
    shown["adapters"] = [dict(item.options) for item in getattr(arguments, "adapters", ())]
    return {"arguments": shown, "counters": counters}
