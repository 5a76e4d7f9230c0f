"""The kubelet's loop over all engine pods: watch, step, write status, delete.

Each pod is moved by `_step`, which looks at everything anew: a wake costs nothing but a look. Nothing runs per pod
between wakes; what is due later is a timer.
"""

import asyncio
import logging
import shutil
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import aiohttp

from .addresses import AddressPool
from .api import Api, ApiError
from .attachment import NETWORK_STATUS, build_network_status
from .behaviours import Behaviours, Refusal
from .environment import ConfigError, read_config, read_environment
from .listeners import Listeners
from .machine import Phase, Role
from .pod_status import build_status
from .sandbox import Sandbox

SELECTOR: Final = "app.kubernetes.io/managed-by=inference-cache-operator,app.kubernetes.io/component=engine"
FAKE_NODE: Final = ("kwok.x-k8s.io/node", "fake")
_DRAIN_SECONDS: Final = 0.05
_RETRY_SECONDS: Final = 0.5
_PARALLEL_STEPS: Final = 32
_NODE_SECONDS: Final = 30.0
_logger = logging.getLogger(__name__)


class Kubelet:
    """The kubelet of all fake nodes.

    Args:
        api: The API server.
        pool: Addresses for pods.
        listeners: Sockets of the pods.
        behaviours: What pods do.
        sandboxes: Pods by address, shared with the web applications; filled here.
        default_start_seconds: Time from an engine's start to its first answer.
        time_scale: Factor for the delays of crash loops.
        all_nodes: Serve pods of every node, not only of those marked as fake.
        folder: Where files of pods' volumes go.
    """

    def __init__(
        self,
        api: Api,
        pool: AddressPool,
        listeners: Listeners,
        behaviours: Behaviours,
        sandboxes: dict[str, Sandbox],
        *,
        default_start_seconds: float,
        time_scale: float,
        all_nodes: bool,
        folder: Path,
    ) -> None:
        self.pods: dict[str, Sandbox] = {}
        self._api = api
        self._pool = pool
        self._listeners = listeners
        self._behaviours = behaviours
        self._sandboxes = sandboxes
        self._start_seconds = default_start_seconds
        self._time_scale = time_scale
        self._all_nodes = all_nodes
        self._folder = folder
        self._refused: dict[str, set[str]] = {}
        self._parallel = asyncio.Semaphore(_PARALLEL_STEPS)
        self._nodes: dict[str, tuple[float, bool, str]] = {}
        self._steps: set[asyncio.Task[None]] = set()
        self.listed = asyncio.Event()

    async def run(self) -> None:
        """Follow the pods for ever; trouble with the API server is waited out."""
        while True:
            try:
                await self._list_and_watch()
            except (ApiError, aiohttp.ClientError, TimeoutError) as error:
                if not (isinstance(error, ApiError) and error.code == 410):
                    _logger.warning("lost the watch of pods, listing again: %s", error)
                    await asyncio.sleep(_RETRY_SECONDS)

    def wake_all(self) -> None:
        """Look at every pod again, after a change of behaviours."""
        for sandbox in self.pods.values():
            self._wake(sandbox)

    async def close(self) -> None:
        """Stop all steps; the pods stay as they are."""
        for sandbox in self.pods.values():
            if sandbox.timer is not None:
                sandbox.timer.cancel()
        for task in self._steps:
            task.cancel()
        await asyncio.gather(*self._steps, return_exceptions=True)

    async def _list_and_watch(self) -> None:
        answer = await self._api.get("/api/v1/pods", labelSelector=SELECTOR)
        listed = {item["metadata"]["uid"] for item in answer["items"]}
        # Addresses of running pods are reserved before any new one is given.
        for pod in sorted(answer["items"], key=lambda item: not item.get("status", {}).get("podIP")):
            self._observe(pod)
        for uid in self.pods.keys() - listed:
            self._lose(uid)
        self.listed.set()
        version = answer["metadata"]["resourceVersion"]
        while True:
            async for event in self._api.watch("/api/v1/pods", version, labelSelector=SELECTOR):
                pod = event["object"]
                version = pod["metadata"]["resourceVersion"]
                if event["type"] in {"ADDED", "MODIFIED"}:
                    self._observe(pod)
                elif event["type"] == "DELETED":
                    self._lose(pod["metadata"]["uid"])

    def _observe(self, pod: dict[str, Any]) -> None:
        if not pod["spec"].get("nodeName"):
            return
        sandbox = self.pods.get(pod["metadata"]["uid"])
        if sandbox is None:
            sandbox = Sandbox(pod, self._start_seconds, self._time_scale, self._folder / pod["metadata"]["uid"])
            sandbox.woken = lambda known=sandbox: self._wake(known)  # type: ignore[misc] # default binds the variable
            self.pods[sandbox.uid] = sandbox
            if self._pool.take(address := pod.get("status", {}).get("podIP", "")):
                sandbox.ip = address
        sandbox.pod = pod
        self._wake(sandbox)

    def _lose(self, uid: str) -> None:
        if (sandbox := self.pods.get(uid)) is not None:
            sandbox.gone = True
            self._wake(sandbox)

    def _wake(self, sandbox: Sandbox) -> None:
        if sandbox.busy:
            sandbox.again = True
            return
        sandbox.busy = True
        task = asyncio.create_task(self._steps_of(sandbox))
        self._steps.add(task)
        task.add_done_callback(self._steps.discard)

    async def _steps_of(self, sandbox: Sandbox) -> None:
        while True:
            sandbox.again = False
            async with self._parallel:
                due = await self._guarded_step(sandbox)
            if not sandbox.again:
                break
        sandbox.busy = False
        if sandbox.timer is not None:
            sandbox.timer.cancel()
            sandbox.timer = None
        if due is not None:
            delay = max(due - time.time(), 0.0)
            sandbox.timer = asyncio.get_running_loop().call_later(delay, self._wake, sandbox)

    async def _guarded_step(self, sandbox: Sandbox) -> float | None:
        try:
            return await self._step(sandbox)
        except (ApiError, aiohttp.ClientError, TimeoutError, OSError) as error:
            if isinstance(error, ApiError) and error.code in {404, 409}:
                # Gone, or another pod of this name; the watch tells.
                return time.time() + _RETRY_SECONDS
            _logger.warning("pod %s: %s", sandbox.pod["metadata"]["name"], error)
        except Exception:
            _logger.exception("pod %s: the simulator itself failed", sandbox.pod["metadata"]["name"])
        return time.time() + _RETRY_SECONDS

    async def _step(self, sandbox: Sandbox) -> float | None:
        if sandbox.gone:
            await self._tear_down(sandbox)
            self.pods.pop(sandbox.uid, None)
            shutil.rmtree(sandbox.folder, ignore_errors=True)
            return None
        if sandbox.released or not await self._is_ours(sandbox):
            return None
        if sandbox.deleting:
            return await self._drain(sandbox)
        if sandbox.terminal:
            await self._tear_down(sandbox)
            return None
        sandbox.show(self._behaviours.resolve(sandbox.pod))
        if sandbox.behaviour.refuse is not None and self._refuses(sandbox, sandbox.behaviour.refuse):
            await self._refuse(sandbox, sandbox.behaviour.refuse)
            return None
        retry = await self._read_environments(sandbox)
        if not sandbox.ip:
            sandbox.ip = self._pool.allocate()
        elif sandbox.ip not in self._sandboxes:
            sandbox.adopt()
        self._sandboxes[sandbox.ip] = sandbox
        await self._attach(sandbox)
        due = sandbox.machine.advance(time.time(), sandbox.behaviour)
        await self._listeners.reconcile(sandbox.ip, sandbox.ports())
        await self._write_status(sandbox)
        return min((item for item in (due, retry) if item is not None), default=None)

    async def _read_environments(self, sandbox: Sandbox) -> float | None:
        """Read what containers about to start need; return when to try again for those that lack something."""
        retry = None
        for container in sandbox.machine.containers:
            if container.phase is not Phase.WAITING and container.name in sandbox.environments:
                continue
            try:
                environment = await read_environment(self._api, sandbox.namespace, container.spec)
                if container.role is Role.PREFLIGHT:
                    sandbox.config = await read_config(self._api, sandbox.pod)
            except ConfigError as error:
                container.config_error = str(error)
                retry = time.time() + _RETRY_SECONDS
            else:
                container.config_error = ""
                sandbox.environments[container.name] = environment
        return retry

    def _refuses(self, sandbox: Sandbox, refusal: Refusal) -> bool:
        """Whether the kubelet refuses a pod of which nothing has started."""
        if any(item.runs for item in sandbox.machine.containers):
            return False
        refused = self._refused.setdefault(refusal.source, set())
        if sandbox.uid not in refused and refusal.times is not None and len(refused) >= refusal.times:
            return False
        refused.add(sandbox.uid)
        return True

    async def _refuse(self, sandbox: Sandbox, refusal: Refusal) -> None:
        message = f"Pod was rejected: {refusal.message}"
        status = {"phase": "Failed", "reason": refusal.reason, "message": message}
        sandbox.pod = await self._api.patch_status(sandbox.pod, status)

    async def _attach(self, sandbox: Sandbox) -> None:
        """Write what Multus writes, before anything in the pod starts."""
        annotations = sandbox.pod["metadata"].get("annotations") or {}
        if NETWORK_STATUS in annotations or sandbox.behaviour.multus == "bypassed":
            return
        if (status := build_network_status(sandbox.pod, sandbox.ip)) is not None:
            sandbox.pod = await self._api.annotate(sandbox.pod, {NETWORK_STATUS: status})

    async def _write_status(self, sandbox: Sandbox) -> None:
        status = build_status(sandbox.pod, sandbox.machine, sandbox.host_ip, sandbox.ip, time.time())
        if _without_times(status) == sandbox.sent_status:
            return
        written = await self._api.patch_status(sandbox.pod, status)
        sandbox.sent_status = _without_times(status)
        if not sandbox.deleting:
            sandbox.pod = written

    async def _drain(self, sandbox: Sandbox) -> float | None:
        if sandbox.drain_until is None:
            told = self._behaviours.resolve(sandbox.pod).drain_seconds
            seconds = _DRAIN_SECONDS if told is None else told
            limit = sandbox.pod["metadata"].get("deletionGracePeriodSeconds", 30)
            sandbox.drain_until = time.time() + min(seconds, limit)
            if sandbox.engine is not None:
                sandbox.engine.draining = True
        if time.time() < sandbox.drain_until:
            return sandbox.drain_until
        await self._tear_down(sandbox)
        await self._api.delete_now(sandbox.pod)
        sandbox.released = True
        return None

    async def _tear_down(self, sandbox: Sandbox) -> None:
        if sandbox.ip:
            await self._listeners.reconcile(sandbox.ip, {})
            self._sandboxes.pop(sandbox.ip, None)
            self._pool.release(sandbox.ip)
            sandbox.ip = ""

    async def _is_ours(self, sandbox: Sandbox) -> bool:
        name = sandbox.pod["spec"]["nodeName"]
        until, fake, address = self._nodes.get(name, (0.0, False, ""))
        if until < time.monotonic():
            try:
                node = await self._api.get(f"/api/v1/nodes/{name}")
            except ApiError as error:
                if error.code != 404:
                    raise
                node = {"metadata": {}}
            fake, address = self._all_nodes or _is_fake(node), _address(node)
            self._nodes[name] = time.monotonic() + _NODE_SECONDS, fake, address
        # A pod once taken is kept, also when its node object goes.
        if sandbox.host_ip:
            return True
        if fake:
            sandbox.host_ip = address
        return fake


def _is_fake(node: Mapping[str, Any]) -> bool:
    key, value = FAKE_NODE
    metadata = node["metadata"]
    return value in {metadata.get("annotations", {}).get(key), metadata.get("labels", {}).get(key)}


def _address(node: Mapping[str, Any]) -> str:
    addresses = node.get("status", {}).get("addresses", [])
    return next((item["address"] for item in addresses if item["type"] == "InternalIP"), "127.0.0.1")


def _without_times(status: Mapping[str, Any]) -> dict[str, Any]:
    """Return what makes a status worth writing: times of unchanged conditions do not."""
    conditions = [item | {"lastTransitionTime": None} for item in status["conditions"]]
    return {**status, "conditions": conditions, "startTime": None}
