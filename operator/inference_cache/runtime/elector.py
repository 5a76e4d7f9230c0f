"""Who leads: one Lease, renewed seldom, watched instead of polled, judged by this machine's own monotonic clock.

Clocks of different machines are never compared: a Lease has run out when it was not seen to change for its duration.
"""

import asyncio
import logging
import random
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Final

from inference_cache.cluster import metrics
from inference_cache.cluster.errors import ClusterError, ConflictError, NotLeaderError
from inference_cache.cluster.lease import LeaseRecord, LeaseStore
from inference_cache.domain import names

_log = logging.getLogger(__name__)

# Writes stop this share of the Lease before its end, so that a request on its way still arrives within it.
_SAFE_SHARE: Final = 0.9
_RENEW_SHARE: Final = 2 / 3
_RETRY_SECONDS: Final = 0.5


class Elector:
    """Takes part in the election.

    Args:
        store: The Lease.
        identity: Unique name of this process.
        seconds: Duration of the Lease.
        started_leading: Called when this process begins to lead.
        stopped_leading: Called when it no longer does.
        clock: Monotonic seconds.
    """

    def __init__(
        self,
        store: LeaseStore,
        identity: str,
        seconds: int,
        started_leading: Callable[[], None],
        stopped_leading: Callable[[], None],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._store = store
        self._identity = identity
        self._seconds = seconds
        self._started = started_leading
        self._stopped = stopped_leading
        self._clock = clock
        self._held_until = 0.0
        self._record: LeaseRecord | None = None
        self._leading = False

    @property
    def leading(self) -> bool:
        """Whether this process leads now; false as soon as the time runs out, even if nothing noticed it yet."""
        return self._leading and self._clock() < self._held_until

    def fence(self) -> None:
        """Refuse a write by a process that may not lead any more, for instance after it was stopped for a while.

        Raises:
            NotLeaderError: Another replica may lead.
        """
        if not self.leading:
            raise NotLeaderError("this replica does not hold the Lease")

    async def run(self) -> None:
        """Stand by, lead, stand by again, until cancelled."""
        metrics.leader.labels(names.LEASE_NAME).set(0)
        while True:
            try:
                await self._stand_by()
                self._begin()
                await self._lead()
                self._end()
            except ClusterError as error:
                self._end()
                _log.warning("election cannot go on, trying again", extra={"error": str(error)[:500]})
                await asyncio.sleep(_RETRY_SECONDS * random.uniform(1, 2))  # noqa: S311 - jitter

    async def release(self) -> None:
        """Give the Lease up if this process leads, after `run` was cancelled.

        A failure only means that others wait for the Lease to run out.
        """
        record, leading = self._record, self.leading
        self._end()
        if leading and record is not None:
            with suppress(ClusterError):
                await self._store.release(record)
                _log.info("gave up the Lease")

    async def _stand_by(self) -> None:
        seen: LeaseRecord | None = None
        seen_at = 0.0
        while True:
            record = await self._store.read()
            if seen is None or record is None or record.version != seen.version:
                seen, seen_at = record, self._clock()
            while seen is not None and seen.holder:
                left = seen_at + seen.duration_seconds - self._clock()
                if left <= 0:
                    break
                changed = False
                async for record in self._store.watch(seen.version, left):
                    seen, seen_at, changed = record, self._clock(), True
                    break
                if not changed and seen is not None and seen_at + seen.duration_seconds > self._clock():
                    # The stream ended early: read, lest a change was missed.
                    await asyncio.sleep(_RETRY_SECONDS)
                    break
            else:
                if await self._take(seen):
                    return
                continue
            if seen is not None and seen_at + seen.duration_seconds <= self._clock() and await self._take(seen):
                return

    async def _take(self, known: LeaseRecord | None) -> bool:
        asked = self._clock()
        try:
            self._record = await self._store.take(self._identity, self._seconds, known)
        except ConflictError:
            return False
        self._held_until = asked + self._seconds * _SAFE_SHARE
        return True

    async def _lead(self) -> None:
        renew_at = self._clock() + self._seconds * _RENEW_SHARE
        while True:
            await asyncio.sleep(max(0.0, renew_at - self._clock()))
            if self._clock() >= self._held_until:
                _log.error("the Lease could not be renewed in time")
                return
            asked = self._clock()
            try:
                self._record = await self._store.take(self._identity, self._seconds, self._record)
            except ConflictError:
                record = await self._store.read()
                if record is None or record.holder != self._identity:
                    _log.error("another replica took the Lease", extra={"holder": record.holder if record else None})
                    return
                # Our own renewal whose answer was lost.
                self._record = record
                renew_at = self._clock()
                continue
            except ClusterError as error:
                _log.warning("renewal of the Lease failed", extra={"error": str(error)[:300]})
                renew_at = self._clock() + _RETRY_SECONDS
                continue
            self._held_until = asked + self._seconds * _SAFE_SHARE
            renew_at = asked + self._seconds * _RENEW_SHARE

    def _begin(self) -> None:
        self._leading = True
        metrics.leader.labels(names.LEASE_NAME).set(1)
        _log.info("leading", extra={"identity": self._identity})
        self._started()

    def _end(self) -> None:
        if not self._leading:
            return
        self._leading = False
        metrics.leader.labels(names.LEASE_NAME).set(0)
        _log.info("no longer leading", extra={"identity": self._identity})
        self._stopped()
