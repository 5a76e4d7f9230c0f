"""When each fabric is looked at, and whom it wakes: the queue of fabrics beside that of deployments.

Fabrics are few and one may wait for another (two that claim one device), so any change of one wakes all, one pass runs at a
time, and what changes in bursts is awaited for a moment.
"""

import asyncio
from collections.abc import Callable, Iterator
from typing import Any, Final

from inference_cache.cluster.cache import NamespacedName, ObjectCache
from inference_cache.cluster.connection import Connection
from inference_cache.cluster.discovery import Discovery
from inference_cache.cluster.events import EventRecorder
from inference_cache.cluster.evidence import EvidenceStore
from inference_cache.cluster.fabric_observer import FabricObserver
from inference_cache.cluster.fabric_reconciler import FabricReconciler
from inference_cache.cluster.fabric_reporting import FabricReporter
from inference_cache.cluster.fabric_store import FabricStore
from inference_cache.cluster.gateway import Gateway
from inference_cache.cluster.liveness import Feeds

from .churn import ChurnTimer
from .work_queue import Lane, WorkQueue

_CONTROLLER: Final = "inferencecachefabric"
_SETTLE_SECONDS: Final = 0.25


class Fabrics:
    """All parts of the process that have to do with fabrics.

    Args:
        connection: The way to the API server.
        gateway: For reads and writes.
        feeds: For the health check.
        discovery: Knows which kinds are served.
        evidence: Knows the nodes.
        events: For Events.
        cache: Knows the deployments.
        wake: Called with each deployment that a change of a fabric or of networks may concern.
    """

    def __init__(
        self,
        *,
        connection: Connection,
        gateway: Gateway,
        feeds: Feeds,
        discovery: Discovery,
        evidence: EvidenceStore,
        events: EventRecorder,
        cache: ObjectCache,
        wake: Callable[[NamespacedName], None],
    ) -> None:
        self._cache = cache
        self._wake = wake
        self.store = FabricStore(connection, gateway, feeds, discovery)
        observer = FabricObserver(gateway, self.store, evidence, self._list_referrers)
        reporter = FabricReporter(gateway, self.store, events)
        reconciler = FabricReconciler(gateway, self.store, observer, reporter)
        self.queue = WorkQueue(reconciler.reconcile, workers=1, name=_CONTROLLER)
        self._churn = ChurnTimer(self.add_all)
        self._timer: asyncio.TimerHandle | None = None
        self.store.subscribe(self._take_change)

    async def run(self) -> None:
        """Watch and work until cancelled."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self.store.run(), name="fabric store")
            group.create_task(self.queue.run(), name="fabric queue")

    def add_all(self) -> None:
        """Ask for a pass over every fabric."""
        self.queue.add_all(("", fabric.name) for fabric in self.store.fabrics())

    def note_churn(self) -> None:
        """Note that nodes or deployments changed, which fabrics count."""
        self._churn.note()

    def _take_change(self, name: str) -> None:
        """Take in a change of one fabric, or of something that may concern any; cheap, as a list brings thousands."""
        if name:
            self.queue.add(("", name), Lane.CHANGE, _SETTLE_SECONDS)
            for key in self._list_referrers(name):
                self._wake(key)
        if self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(_SETTLE_SECONDS, self._spread_change)

    def _spread_change(self) -> None:
        self._timer = None
        self.add_all()
        for key, transport in self._list_transports():
            if "fabricRef" in transport or "rdma" in transport:
                self._wake(key)

    def _list_referrers(self, fabric: str) -> list[NamespacedName]:
        return [
            key
            for key, transport in self._list_transports()
            if (transport.get("fabricRef") or {}).get("name") == fabric
        ]

    def _list_transports(self) -> Iterator[tuple[NamespacedName, dict[str, Any]]]:
        known = self._cache.keys()
        for key in known:
            deployment = self._cache.deployment(key)
            transport = (deployment or {}).get("spec", {}).get("transport")
            if isinstance(transport, dict):
                yield key, transport
