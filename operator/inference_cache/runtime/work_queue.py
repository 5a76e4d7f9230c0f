"""Which deployment is looked at when: one worker per key, coalescing, two lanes, delays and backoff per key."""

import asyncio
import heapq
import logging
import random
import time
from collections import deque
from collections.abc import Awaitable, Callable, Iterable
from contextlib import suppress
from enum import IntEnum
from typing import Final

from inference_cache.cluster import metrics
from inference_cache.cluster.cache import NamespacedName
from inference_cache.cluster.errors import ClusterError, NotLeaderError, UnavailableError

_log = logging.getLogger(__name__)

_FIRST_BACKOFF_SECONDS: Final = 1.0
_LAST_BACKOFF_SECONDS: Final = 300.0

Handler = Callable[[NamespacedName], Awaitable[float | None]]


class Lane(IntEnum):
    """Changes go before routine, so that a resync of thousands never delays a user."""

    CHANGE = 0
    ROUTINE = 1


def compute_backoff(failures: int, jitter: float) -> float:
    """Return the seconds to wait after so many failures in a row; jitter is a factor near 1."""
    return min(_LAST_BACKOFF_SECONDS, _FIRST_BACKOFF_SECONDS * 2.0 ** min(failures - 1, 20) * jitter)


class WorkQueue:
    """Keys that wait for a pass, and the workers that do the passes.

    Args:
        handler: Does one pass; returns the seconds until the next one, or None.
        workers: Most passes at a time.
        name: The queue's name in metrics.
    """

    def __init__(self, handler: Handler, workers: int, name: str = metrics.CONTROLLER) -> None:
        self._handler = handler
        self._name = name
        self._workers = workers
        self._open = asyncio.Event()
        self._work = asyncio.Event()
        self._lanes: tuple[deque[NamespacedName], ...] = (deque(), deque())
        self._waiting: dict[NamespacedName, tuple[Lane, float]] = {}
        self._due: dict[NamespacedName, tuple[float, Lane]] = {}
        self._timers: list[tuple[float, NamespacedName]] = []
        self._timer: asyncio.TimerHandle | None = None
        self._running: dict[NamespacedName, float] = {}
        self._idle = asyncio.Event()
        self._idle.set()
        self._again: dict[NamespacedName, Lane] = {}
        self._failures: dict[NamespacedName, int] = {}
        metrics.max_workers.labels(self._name).set(workers)

    def add(self, key: NamespacedName, lane: Lane = Lane.CHANGE, delay: float = 0.0) -> None:
        """Ask for a pass over a key, no later than in `delay` seconds; asking again before it begins changes nothing."""
        if delay > 0:
            self._add_later(key, lane, delay)
            return
        self._due.pop(key, None)
        if key in self._running:
            self._again[key] = min(lane, self._again.get(key, lane))
            return
        self._make_ready(key, lane)

    def add_all(self, keys: Iterable[NamespacedName], spread: float = 0.0) -> None:
        """Ask for a routine pass over many keys, spread over some seconds."""
        for key in keys:
            self.add(key, Lane.ROUTINE, random.uniform(0.001, spread) if spread else 0.0)  # noqa: S311 - jitter

    def open(self) -> None:
        """Let passes begin; this replica leads."""
        self._open.set()

    def close(self) -> None:
        """Let no pass begin."""
        self._open.clear()

    def oldest_pass_seconds(self) -> float:
        """Return for how long the longest pass has been under way."""
        return time.monotonic() - min(self._running.values()) if self._running else 0.0

    async def run(self) -> None:
        """Work until cancelled."""
        async with asyncio.TaskGroup() as group:
            for number in range(self._workers):
                group.create_task(self._worker(), name=f"worker {number}")

    async def drain(self, seconds: float) -> None:
        """Wait for the passes under way."""
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._idle.wait()

    def _make_ready(self, key: NamespacedName, lane: Lane) -> None:
        known = self._waiting.get(key)
        if known is not None and known[0] <= lane:
            return
        self._waiting[key] = (lane, known[1] if known else time.monotonic())
        self._lanes[lane].append(key)
        metrics.queue_adds.labels(self._name).inc()
        metrics.queue_depth.labels(self._name).set(len(self._waiting))
        self._work.set()

    def _add_later(self, key: NamespacedName, lane: Lane, delay: float) -> None:
        when = time.monotonic() + delay
        known = self._due.get(key)
        if known is not None and known[0] <= when:
            return
        self._due[key] = (when, lane)
        heapq.heappush(self._timers, (when, key))
        self._arm()

    def _arm(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        # Entries whose key was asked for at another time are dropped here, so the heap stays as small as the keys.
        while self._timers and self._due.get(self._timers[0][1], (None,))[0] != self._timers[0][0]:
            heapq.heappop(self._timers)
        if self._timers:
            delay = max(0.0, self._timers[0][0] - time.monotonic())
            self._timer = asyncio.get_running_loop().call_later(delay, self._release_due)

    def _release_due(self) -> None:
        now = time.monotonic()
        while self._timers and self._timers[0][0] <= now:
            when, key = heapq.heappop(self._timers)
            due = self._due.get(key)
            if due is not None and due[0] == when:
                self.add(key, due[1])
        self._arm()

    def _take(self) -> NamespacedName | None:
        for lane, keys in zip(Lane, self._lanes, strict=True):
            while keys:
                key = keys.popleft()
                waiting = self._waiting.get(key)
                if waiting is None or waiting[0] != lane:
                    continue
                del self._waiting[key]
                metrics.queue_depth.labels(self._name).set(len(self._waiting))
                metrics.queue_seconds.labels(self._name).observe(time.monotonic() - waiting[1])
                return key
        return None

    async def _worker(self) -> None:
        while True:
            await self._open.wait()
            key = self._take()
            if key is None:
                self._work.clear()
                await self._work.wait()
                continue
            await self._pass(key)

    async def _pass(self, key: NamespacedName) -> None:
        started = time.monotonic()
        self._running[key] = started
        self._idle.clear()
        self._due.pop(key, None)
        metrics.active_workers.labels(self._name).inc()
        delay: float | None = None
        result = "success"
        try:
            delay = await self._handler(key)
            self._failures.pop(key, None)
            result = "requeue_after" if delay is not None else "success"
        except NotLeaderError:
            # Whoever leads next looks at every key.
            result = "not_leader"
        except ClusterError as error:
            result, delay = "error", self._count_failure(key, error)
            _log.warning("pass failed, trying again", extra={"key": "/".join(key), "error": str(error)[:500]})
        except Exception as error:  # noqa: BLE001 - one deployment must not end the work on all others
            result, delay = "error", self._count_failure(key, error)
            _log.exception("pass failed for an unforeseen reason, trying again", extra={"key": "/".join(key)})
        finally:
            del self._running[key]
            if not self._running:
                self._idle.set()
            metrics.active_workers.labels(self._name).dec()
            metrics.reconcile_total.labels(self._name, result).inc()
            metrics.reconcile_seconds.labels(self._name).observe(time.monotonic() - started)
            metrics.work_seconds.labels(self._name).observe(time.monotonic() - started)
        again = self._again.pop(key, None)
        if again is not None and result != "error":
            self._make_ready(key, again)
        elif again is not None and delay is not None:
            # News may be what mends the failure.
            self._add_later(key, again, min(delay, _FIRST_BACKOFF_SECONDS))
        elif delay is not None:
            self._add_later(key, Lane.ROUTINE if result != "error" else Lane.CHANGE, max(delay, 0.001))

    def _count_failure(self, key: NamespacedName, error: Exception) -> float:
        failures = self._failures[key] = self._failures.get(key, 0) + 1
        metrics.reconcile_errors.labels(self._name).inc()
        metrics.queue_retries.labels(self._name).inc()
        asked = error.retry_after if isinstance(error, UnavailableError) else None
        return max(asked or 0.0, compute_backoff(failures, random.uniform(0.8, 1.2)))  # noqa: S311 - jitter
