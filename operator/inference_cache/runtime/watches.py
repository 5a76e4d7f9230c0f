"""kopf as the watch framework: its streams run in a thread of their own and only tell what they saw.

The thread gives kopf an event loop that it may tear down, as it cancels every task of its loop when one watcher fails;
here it is then simply started again. No handler of kopf's that stores state in objects is used.
"""

import asyncio
import logging
import random
import threading
import time
from collections.abc import Callable, Iterator
from http import HTTPStatus
from pathlib import Path
from types import SimpleNamespace
from typing import Any, Final

import aiohttp
import kopf
from kubernetes.aio.client.exceptions import ApiException

from inference_cache.api.v1alpha1 import GROUP
from inference_cache.cluster.cache import SELECTORS
from inference_cache.cluster.connection import Connection, connect
from inference_cache.cluster.liveness import Feed, Feeds
from inference_cache.domain.kinds import DEPLOYMENT, WATCHED_KINDS, Kind

_log = logging.getLogger(__name__)

_RESTART_SECONDS: Final = (1, 2, 5, 10)
_PULSE_SECONDS: Final = 1.0
_CLEANUP_SECONDS: Final = 2.0
# How long kopf may take until it watches every kind.
_BEGIN_SECONDS: Final = 10.0

Seen = Callable[[Kind, str | None, dict[str, Any]], None]


class EndlessBackoffs:
    """Seconds between attempts of one request, for ever: with kopf's own finite list a watch ends for good."""

    def __iter__(self) -> Iterator[float]:
        """Return the delays of one request."""
        for seconds in (0.5, 1.0, 2.0):
            yield seconds * random.uniform(0.8, 1.2)  # noqa: S311 - jitter
        while True:
            yield 5.0 * random.uniform(0.8, 1.2)  # noqa: S311 - jitter


class Watches:
    """The watches of all kinds but nodes.

    Args:
        kubeconfig: How to connect; None within a cluster.
        feeds: Where success and failure are noted.
        seen: Called in the loop of the caller for every object that a stream told of.
        listed: Called there when a stream of a kind stands after a new list.
    """

    def __init__(self, kubeconfig: Path | None, feeds: Feeds, seen: Seen, listed: Callable[[Kind], None]) -> None:
        self._kubeconfig = kubeconfig
        self._feeds = feeds
        self._seen = seen
        self._listed = listed
        self._stop = threading.Event()
        self._loop = asyncio.get_running_loop()
        self._thread = threading.Thread(target=self._run, name="watches", daemon=True)
        self._pulse = time.monotonic()
        self._relisted: set[Kind] = set()
        self._sessions: list[aiohttp.ClientSession] = []
        self._began = 0.0
        self._grace = 0.0

    def start(self) -> None:
        """Begin to watch."""
        self._thread.start()

    def stop(self, seconds: float) -> None:
        """End the thread."""
        self._stop.set()
        self._thread.join(seconds)

    @property
    def alive(self) -> bool:
        """Whether the thread runs."""
        return self._thread.is_alive()

    def silent_seconds(self) -> float:
        """Return how long the loop of the thread has not turned."""
        return max(0.0, time.monotonic() - self._pulse - _PULSE_SECONDS)

    def _run(self) -> None:
        failures = 0
        while not self._stop.is_set():
            started = time.monotonic()
            try:
                self._run_loop()
            except Exception:  # noqa: BLE001 - whatever ends kopf, the watches must go on
                _log.exception("the watches ended, starting them again")
            failures = 0 if time.monotonic() - started > 60 else failures + 1
            delay = _RESTART_SECONDS[min(failures, len(_RESTART_SECONDS)) - 1] if failures else 0
            pause_ends = time.monotonic() + delay
            while not self._stop.wait(min(_PULSE_SECONDS, max(0.0, pause_ends - time.monotonic()))):
                self._pulse = time.monotonic()
                if self._pulse >= pause_ends:
                    break

    def _run_loop(self) -> None:
        """Run kopf until it ends or until one of its watchers does.

        After the death of one watcher kopf 1.45 waits for ever for the others, which wait for a new login that nobody
        does any more; so its loop is stopped from outside and thrown away.
        """
        loop = asyncio.new_event_loop()
        asyncio.set_event_loop(loop)
        self._sessions = []
        try:
            loop.run_until_complete(self._watch())
        finally:
            tasks = asyncio.all_tasks(loop)
            for task in tasks:
                task.cancel()
            if tasks:
                loop.run_until_complete(asyncio.wait(tasks, timeout=_CLEANUP_SECONDS))
            for session in self._sessions:
                loop.run_until_complete(session.close())
            loop.close()

    async def _watch(self) -> None:
        self._began = 0.0
        pulse = asyncio.create_task(self._beat())
        connection = await connect(self._kubeconfig)
        try:
            if await self._await_definition(connection):
                self._began, self._grace = time.monotonic(), _BEGIN_SECONDS
                await kopf.operator(
                    registry=self._build_registry(connection),
                    settings=_build_settings(),
                    clusterwide=True,
                    standalone=True,
                    stop_flag=self._stop,
                )
        finally:
            pulse.cancel()
            await connection.close()
        if not self._stop.is_set():
            raise RuntimeError("kopf ended without an error")

    async def _beat(self) -> None:
        while True:
            self._pulse = time.monotonic()
            names = [task.get_name() for task in asyncio.all_tasks()]
            watchers = sum(name.startswith("watcher for ") for name in names)
            age = self._pulse - self._began if self._began else 0.0
            if watchers == len(WATCHED_KINDS):
                self._grace = 0.0
            elif self._began and age > self._grace and not self._stop.is_set():
                _log.error("kopf has lost watchers", extra={"watchers": watchers})
                asyncio.get_running_loop().stop()
            await asyncio.sleep(_PULSE_SECONDS)

    async def _await_definition(self, connection: Connection) -> bool:
        """Wait until the API server serves our kind; kopf looks for it only once."""
        feed = self._feeds.get(DEPLOYMENT.plural)
        attempt = 0
        while not self._stop.is_set():
            try:
                answer = await connection.dynamic.request(
                    "get", f"/apis/{GROUP}/{DEPLOYMENT.version}", serialize=False, _request_timeout=10
                )
                body = await answer.json()
                if any(item["name"] == DEPLOYMENT.plural for item in body.get("resources", [])):
                    return True
                feed.failed("the CustomResourceDefinition is not installed")
            except (ApiException, aiohttp.ClientError, OSError, TimeoutError, ValueError) as error:
                missing = isinstance(error, ApiException) and error.status == HTTPStatus.NOT_FOUND
                feed.failed(
                    "the CustomResourceDefinition is not installed" if missing else f"{type(error).__name__}: {error}"
                )
            if attempt % 10 == 0:
                _log.warning("waiting for InferenceCacheDeployment to be served", extra={"error": feed.last_error})
            attempt += 1
            await asyncio.sleep(min(5.0, 0.5 * attempt))
        return False

    def _build_registry(self, connection: Connection) -> kopf.OperatorRegistry:
        registry = kopf.OperatorRegistry()

        @kopf.on.login(registry=registry)
        async def login(**_: Any) -> kopf.AiohttpSession:
            session = await connection.build_session([_build_trace(self._note_request)])
            self._sessions.append(session)
            return kopf.AiohttpSession(server=connection.server, default_namespace="default", aiohttp_session=session)

        for kind in WATCHED_KINDS:
            kopf.on.event(kind.group, kind.version, kind.plural, registry=registry)(self._build_handler(kind))
        return registry

    def _build_handler(self, kind: Kind) -> Any:
        feed = self._feeds.get(kind.plural)

        async def saw(event: Any, **_: Any) -> None:
            feed.succeeded()
            self._call(self._seen, kind, event["type"], event["object"])

        return saw

    def _note_request(self, path: str, *, watch: bool, error: str | None, began: bool) -> None:
        kind = _KIND_BY_PATH.get(path)
        if kind is None:
            return
        feed: Feed = self._feeds.get(kind.plural)
        if began:
            feed.asked()
        elif error is not None:
            feed.failed(error)
        else:
            feed.succeeded()
            if not watch:
                self._relisted.add(kind)
            elif kind in self._relisted:
                self._relisted.discard(kind)
                self._call(self._listed, kind)

    def _call(self, target: Callable[..., None], *arguments: Any) -> None:
        if not self._loop.is_closed():
            self._loop.call_soon_threadsafe(target, *arguments)


def _path(kind: Kind) -> str:
    return f"/{'apis' if kind.group else 'api'}/{kind.api_version}/{kind.plural}"


_KIND_BY_PATH: Final = {_path(kind): kind for kind in WATCHED_KINDS}


def _build_trace(note: Callable[..., None]) -> aiohttp.TraceConfig:
    async def start(_: Any, __: SimpleNamespace, request: aiohttp.TraceRequestStartParams) -> None:
        note(request.url.path, watch=_is_watch(request.url), error=None, began=True)

    async def end(_: Any, __: SimpleNamespace, request: aiohttp.TraceRequestEndParams) -> None:
        status = request.response.status
        error = f"HTTP {status}" if status >= HTTPStatus.BAD_REQUEST else None
        note(request.url.path, watch=_is_watch(request.url), error=error, began=False)

    async def fail(_: Any, __: SimpleNamespace, request: aiohttp.TraceRequestExceptionParams) -> None:
        error = f"{type(request.exception).__name__}: {request.exception}"
        note(request.url.path, watch=_is_watch(request.url), error=error, began=False)

    trace = aiohttp.TraceConfig()
    trace.on_request_start.append(start)
    trace.on_request_end.append(end)
    trace.on_request_exception.append(fail)
    return trace


def _is_watch(url: Any) -> bool:
    return bool(url.query.get("watch") == "true")


def _build_settings() -> kopf.OperatorSettings:
    settings = kopf.OperatorSettings()
    settings.posting.enabled = False
    # kopf would otherwise kill the process some minutes after its own end.
    settings.process.ultimate_exiting_timeout = None
    settings.persistence.finalizer = f"{GROUP}/finalizer"
    settings.scanning.disabled = True
    settings.execution.max_workers = 2
    settings.networking.request_timeout = 30
    settings.networking.connect_timeout = 5
    settings.networking.error_backoffs = EndlessBackoffs()
    settings.watching.server_timeout = 240
    settings.watching.client_timeout = 300
    settings.watching.connect_timeout = 10
    settings.watching.inactivity_timeout = 70
    # A page is parsed without giving way to the other thread.
    settings.watching.chunk_size = 100
    settings.queueing.idle_timeout = 1
    for kind, selector in SELECTORS.items():
        settings.watching.label_selectors[_selector_key(kind)] = selector
    return settings


def _selector_key(kind: Kind) -> Any:
    return (kind.group, kind.version, kind.plural)
