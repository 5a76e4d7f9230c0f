"""Lists everything from time to time and compares: what the watches missed is found here, within one resync period."""

import asyncio
import logging
import random
from collections.abc import Callable
from typing import Final

from inference_cache.cluster import metrics
from inference_cache.cluster.cache import SELECTORS, NamespacedName, ObjectCache
from inference_cache.cluster.errors import ClusterError
from inference_cache.cluster.gateway import Gateway
from inference_cache.domain.kinds import WATCHED_KINDS, Kind

_log = logging.getLogger(__name__)

_PORTION: Final = 50
_RETRY_SECONDS: Final = (1, 2, 5, 10, 30)


class Verifier:
    """Keeps the cache honest.

    Args:
        gateway: For the lists.
        cache: What is compared.
        period: Seconds between two lists of a kind.
        stale: Called for each deployment of which something was stale.
        verified: Called after each complete list.
    """

    def __init__(
        self,
        gateway: Gateway,
        cache: ObjectCache,
        period: float,
        stale: Callable[[NamespacedName], None],
        verified: Callable[[Kind], None],
    ) -> None:
        self._gateway = gateway
        self._cache = cache
        self._period = period
        self._stale = stale
        self._verified = verified
        self._asked = {kind: asyncio.Event() for kind in WATCHED_KINDS}
        self._complete: set[Kind] = set()

    @property
    def synced(self) -> bool:
        """Whether every kind was listed at least once after its watch stood."""
        return len(self._complete) == len(WATCHED_KINDS)

    def ask(self, kind: Kind) -> None:
        """Ask for a list of a kind soon."""
        self._asked[kind].set()

    async def run(self) -> None:
        """Verify until cancelled."""
        async with asyncio.TaskGroup() as group:
            for kind in WATCHED_KINDS:
                group.create_task(self._run_kind(kind), name=f"verifier of {kind.plural}")

    async def _run_kind(self, kind: Kind) -> None:
        asked = self._asked[kind]
        # The first list waits for the watch: only then does nothing fall between the two.
        await asked.wait()
        failures = 0
        while True:
            asked.clear()
            try:
                await self._verify(kind)
                failures = 0
                pause = self._period * random.uniform(0.9, 1.1)  # noqa: S311 - jitter
            except ClusterError as error:
                _log.warning("list failed, trying again", extra={"kind": kind.plural, "error": str(error)[:300]})
                pause = _RETRY_SECONDS[min(failures, len(_RETRY_SECONDS) - 1)]
                failures += 1
            try:
                async with asyncio.timeout(pause):
                    await asked.wait()
            except TimeoutError:
                continue

    async def _verify(self, kind: Kind) -> None:
        known_before = self._cache.uids(kind)
        bodies = []
        async for page in self._gateway.list_pages(kind, SELECTORS.get(kind, "")):
            for item in page.get("items", []):
                # Items of a list lack these two.
                item.setdefault("apiVersion", kind.api_version)
                item.setdefault("kind", kind.name)
                bodies.append(item)
        first = kind not in self._complete
        for number, key in enumerate(self._cache.take_list(kind, bodies, known_before)):
            if number % _PORTION == _PORTION - 1:
                # A first list brings everything at once.
                await asyncio.sleep(0)
            if not first:
                metrics.cache_repairs.labels(kind.plural).inc()
            self._stale(key)
        if not first:
            metrics.relists.labels(kind.plural).inc()
        self._complete.add(kind)
        self._verified(kind)
