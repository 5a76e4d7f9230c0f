"""One operator process: puts the parts together, and ends as a whole when one part that must not end does."""

import asyncio
import logging
import signal
from collections.abc import Hashable
from contextlib import suppress
from typing import Any, Final

from inference_cache.cluster.cache import ObjectCache
from inference_cache.cluster.claim_templates import ClaimTemplateFeed
from inference_cache.cluster.condition_metrics import forget_all_conditions
from inference_cache.cluster.connection import Connection, connect
from inference_cache.cluster.discovery import Discovery
from inference_cache.cluster.eligibility_publisher import EligibilityPublisher
from inference_cache.cluster.events import EventRecorder
from inference_cache.cluster.evidence import EvidenceStore
from inference_cache.cluster.gateway import Gateway
from inference_cache.cluster.label_writer import LabelWriter
from inference_cache.cluster.lease import LeaseStore
from inference_cache.cluster.liveness import Feeds
from inference_cache.cluster.node_reviews import NodeReviewer
from inference_cache.cluster.object_store import BucketProber
from inference_cache.cluster.observation import Observer
from inference_cache.cluster.platform_reader import PlatformReader
from inference_cache.cluster.prerequisites import PrerequisiteReader
from inference_cache.cluster.reconciler import Reconciler
from inference_cache.cluster.reporting import Reporter
from inference_cache.domain.assemble import Platform
from inference_cache.domain.kinds import DEPLOYMENT, Kind

from .churn import ChurnTimer
from .elector import Elector
from .fabrics import Fabrics
from .garbage import settle_heap
from .health import SILENT_SECONDS, STUCK_SECONDS, HealthServer, measure_loop_lag
from .settings import Settings
from .verifier import Verifier
from .watches import Watches
from .work_queue import Lane, WorkQueue

_log = logging.getLogger(__name__)

# Pods and children change in bursts; waiting a moment turns many passes, and status writes, into one.
_SETTLE_SECONDS: Final = 0.25
_DRAIN_SECONDS: Final = 10.0


class OperatorProcess:
    """All parts of one process."""

    def __init__(self, settings: Settings, connection: Connection) -> None:
        self._settings = settings
        self._feeds = Feeds()
        self._cache = ObjectCache(self._wake_sharer, self._occupied)
        self._prober = BucketProber()
        self._gateway = Gateway(connection, self._fence)
        self._elector = Elector(
            LeaseStore(connection, self._gateway, settings.namespace),
            settings.identity,
            settings.lease_seconds,
            self._start_leading,
            self._stop_leading,
        )
        self._discovery = Discovery(connection, settings.discovery_seconds)
        self._evidence = EvidenceStore(
            connection,
            self._gateway,
            self._feeds,
            self._discovery,
            self._evidence_changed,
            used=self._cache.used_devices,
        )
        self._publisher = EligibilityPublisher(
            LabelWriter(self._gateway, self._discovery.serves, settings.namespace),
            self._evidence,
            lambda: self._elector.leading,
            self._placed,
        )
        # Node Feature Discovery may be installed at any time.
        self._discovery.subscribe(self._publisher.note_news)
        self._claims = ClaimTemplateFeed(
            connection, self._gateway, self._feeds, self._discovery, self._cache, self._wake_sharer
        )
        self._platform = PlatformReader(
            connection,
            self._gateway,
            Platform(settings.namespace, settings.engine_image),
            settings.resync_seconds,
            self._platform_changed,
        )
        events = EventRecorder(self._gateway, settings.identity)
        self._fabrics = Fabrics(
            connection=connection,
            gateway=self._gateway,
            feeds=self._feeds,
            discovery=self._discovery,
            evidence=self._evidence,
            events=events,
            cache=self._cache,
            wake=self._wake_sharer,
        )
        reviewer = NodeReviewer(self._evidence, self._cache.devices_version)
        reconciler = Reconciler(
            gateway=self._gateway,
            cache=self._cache,
            observer=Observer(self._evidence, self._fabrics.store, reviewer, self._publisher, self._claims),
            prerequisites=PrerequisiteReader(self._gateway, self._prober, good_seconds=settings.resync_seconds),
            reporter=Reporter(self._gateway, self._cache, events),
            platform=lambda: self._platform.platform,
        )
        self._queue = WorkQueue(reconciler.reconcile, settings.workers)
        self._verifier = Verifier(self._gateway, self._cache, settings.resync_seconds, self._queue.add, self._verified)
        self._watches = Watches(settings.kubeconfig, self._feeds, self._saw, self._verifier.ask)
        self._health = HealthServer(settings.health_address, self.find_problems, self.find_awaited)
        self._synced = False
        self._churn = ChurnTimer(lambda: self._queue.add_all(self._cache.keys()))

    async def run(self, stop: asyncio.Event) -> None:
        """Run until asked to stop.

        Raises:
            ExceptionGroup: A part failed that must not fail.
        """
        settle_heap()
        await self._health.start()
        self._watches.start()
        parts = {
            asyncio.create_task(part, name=name)
            for name, part in (
                ("elector", self._elector.run()),
                ("evidence", self._evidence.run()),
                ("discovery", self._discovery.run()),
                ("fabrics", self._fabrics.run()),
                ("eligibility labels", self._publisher.run()),
                ("platform", self._platform.run()),
                ("verifier", self._verifier.run()),
                ("workers", self._queue.run()),
                ("loop lag", measure_loop_lag()),
            )
        }
        stopping = asyncio.create_task(stop.wait(), name="stop")
        try:
            done, _ = await asyncio.wait({*parts, stopping}, return_when=asyncio.FIRST_COMPLETED)
            for task in done - {stopping}:
                raise RuntimeError(f"{task.get_name()} ended") from task.exception()
        finally:
            await self._shut_down({*parts, stopping})

    def find_problems(self) -> list[str]:
        """Return why this process should be restarted, or why it is of no use."""
        problems = self._feeds.find_blind()
        if not self._watches.alive:
            problems.append("the thread of the watches has ended")
        elif self._watches.silent_seconds() > SILENT_SECONDS:
            problems.append(f"the loop of the watches has not turned for {self._watches.silent_seconds():.0f} s")
        for queue in (self._queue, self._fabrics.queue):
            if queue.oldest_pass_seconds() > STUCK_SECONDS:
                problems.append(f"a pass has taken {queue.oldest_pass_seconds():.0f} s so far")
        return problems

    def find_awaited(self) -> list[str]:
        """Return what the process still waits for before it can work or take over."""
        awaited = [] if self._verifier.synced else ["first lists"]
        if not self._evidence.known:
            awaited.append("first list of nodes")
        if not self._platform.known:
            awaited.append("version of the API server and version table")
        return awaited

    def _fence(self) -> None:
        self._elector.fence()

    def _saw(self, kind: Kind, event_type: str | None, body: dict[str, Any]) -> None:
        metadata = body["metadata"]
        if event_type == "DELETED":
            namespace, version = metadata.get("namespace", ""), metadata["resourceVersion"]
            key = self._cache.remove(kind, namespace, metadata["name"], metadata["uid"], version)
        else:
            key = self._cache.upsert(kind, body)
        if key is not None:
            self._queue.add(key, Lane.CHANGE, 0.0 if kind is DEPLOYMENT else _SETTLE_SECONDS)
        if kind is DEPLOYMENT:
            self._fabrics.note_churn()

    def _verified(self, kind: Kind) -> None:
        self._open_if_ready()
        if kind is DEPLOYMENT:
            self._queue.add_all(self._cache.keys(), spread=min(30.0, self._settings.resync_seconds / 10))
            self._fabrics.add_all()

    def _occupied(self, node: str) -> None:
        self._evidence.note_used(node)

    def _wake_sharer(self, key: tuple[str, str]) -> None:
        self._queue.add(key, Lane.ROUTINE, _SETTLE_SECONDS)

    def _platform_changed(self) -> None:
        self._open_if_ready()
        self._queue.add_all(self._cache.keys(), spread=1.0)

    def _evidence_changed(self) -> None:
        self._open_if_ready()
        self._churn.note()
        self._fabrics.note_churn()
        self._publisher.note_news()

    def _placed(self, key: Hashable) -> None:
        if isinstance(key, tuple):
            self._queue.add(key)

    def _start_leading(self) -> None:
        self._queue.add_all(self._cache.keys())
        self._fabrics.add_all()
        self._publisher.note_news()
        self._open_if_ready()

    def _open_if_ready(self) -> None:
        if self.find_awaited():
            return
        if not self._synced:
            self._synced = True
            settle_heap()
        if self._elector.leading:
            self._queue.open()
            self._fabrics.queue.open()

    def _stop_leading(self) -> None:
        self._queue.close()
        self._fabrics.queue.close()
        self._publisher.reset()
        forget_all_conditions()

    async def _shut_down(self, parts: set[asyncio.Task[Any]]) -> None:
        self._queue.close()
        self._fabrics.queue.close()
        await asyncio.gather(self._queue.drain(_DRAIN_SECONDS), self._fabrics.queue.drain(_DRAIN_SECONDS))
        for task in parts:
            task.cancel()
        await asyncio.wait(parts)
        await self._elector.release()
        await self._health.stop()
        self._prober.close()
        await asyncio.get_running_loop().run_in_executor(None, self._watches.stop, 5.0)


async def run_operator(settings: Settings) -> None:
    """Run one operator process until SIGTERM or SIGINT."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for name in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(name, stop.set)
    connection = await connect(settings.kubeconfig)
    _log.info("starting", extra={"identity": settings.identity, "server": connection.server})
    try:
        await OperatorProcess(settings, connection).run(stop)
    finally:
        with suppress(OSError):
            await connection.close()
    _log.info("stopped")
