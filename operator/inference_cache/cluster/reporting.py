"""What a pass found out, told: the status, written only where it says something new, then Events, and metrics of conditions.

Counts of nodes that change while no condition does are written at most every 30 s for a deployment.
"""

import logging
import time
from collections.abc import Callable
from typing import Any, Final

from inference_cache.domain.conditions import summarize_failure
from inference_cache.domain.kinds import DEPLOYMENT
from inference_cache.domain.reasons import Reason
from inference_cache.domain.scope import Identity
from inference_cache.domain.status_changes import is_count_alone
from inference_cache.domain.summary import Outcome, summarize
from inference_cache.domain.verdict import ConditionType

from .cache import NamespacedName, ObjectCache
from .condition_metrics import forget_conditions, publish_conditions
from .errors import ClusterError, GoneError
from .events import EventRecorder, Notice
from .failures import FailureCount, describe_failure, now_text
from .gateway import Gateway

_log = logging.getLogger(__name__)

COUNT_SECONDS: Final = 30.0
"""Least time between two writes of a status in which nothing but counts of nodes has changed."""


class Reporter:
    """Tells users and other programs about deployments.

    Args:
        gateway: For the writes.
        cache: Knows what was written.
        events: For Events.
        now: RFC 3339 time.
        clock: Monotonic seconds.
    """

    def __init__(
        self,
        gateway: Gateway,
        cache: ObjectCache,
        events: EventRecorder,
        now: Callable[[], str] = now_text,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._gateway = gateway
        self._cache = cache
        self._events = events
        self._now = now
        self._clock = clock
        self._failures = FailureCount()
        self._counted: dict[NamespacedName, float] = {}

    async def report(
        self, identity: Identity, deployment: dict[str, Any], outcome: Outcome, notices: list[Notice]
    ) -> float | None:
        """Write status and Events; returns the seconds after which counts that were kept back are due, or None."""
        key = (identity.namespace, identity.name)
        self._failures.forget(key)
        previous = deployment.get("status")
        status = summarize(outcome, previous, self._now())
        publish_conditions(identity, status)
        waits = self._keep_back(key) if is_count_alone(previous, status) else None
        if status != previous and waits is None:
            try:
                self._cache_status(await self._gateway.apply_status(identity, status))
            except GoneError:
                return None
        await self._events.emit(identity, [*notices, *_list_transitions(previous, status)])
        return waits

    async def report_failure(self, identity: Identity, deployment: dict[str, Any], error: Exception) -> None:
        """Say in the status why passes fail, as far as that can be written; the queue repeats the pass with backoff."""
        key = (identity.namespace, identity.name)
        if not self._failures.is_lasting(key, error):
            return
        reason, detail = describe_failure(error)
        current = self._cache.deployment(key) or deployment
        previous = current.get("status")
        status = summarize_failure(previous, current["metadata"]["generation"], reason, detail, self._now())
        if status == previous:
            return
        try:
            self._cache_status(await self._gateway.apply_status(identity, status))
            await self._events.emit(identity, [Notice(reason, f"{reason.meaning} {detail}", warning=True)])
        except ClusterError as failure:
            _log.warning("failure not reported in the status", extra={"error": str(failure)[:500]})

    def forget(self, key: NamespacedName) -> None:
        """Drop what is known of a deleted deployment."""
        self._failures.forget(key)
        self._counted.pop(key, None)
        forget_conditions(key)

    def _keep_back(self, key: NamespacedName) -> float | None:
        """Return the seconds for which counts must wait; None where they may be written now."""
        now = self._clock()
        left = self._counted.get(key, now - COUNT_SECONDS) + COUNT_SECONDS - now
        if left > 0:
            return left
        self._counted[key] = now
        return None

    def _cache_status(self, deployment: dict[str, Any]) -> None:
        self._cache.upsert(DEPLOYMENT, deployment)


def _find_condition(status: dict[str, Any] | None, kind: ConditionType) -> dict[str, Any]:
    items = (status or {}).get("conditions", [])
    return next((item for item in items if item["type"] == kind.value), {})


def _list_transitions(previous: dict[str, Any] | None, status: dict[str, Any]) -> list[Notice]:
    return [*_tell_ready(previous, status), *_tell_transport(previous, status)]


def _tell_ready(previous: dict[str, Any] | None, status: dict[str, Any]) -> list[Notice]:
    before, after = (_find_condition(item, ConditionType.READY) for item in (previous, status))
    if (before.get("status"), before.get("reason")) == (after["status"], after["reason"]):
        return []
    reason = Reason[after["reason"]]
    waiting = {Reason.PodsStarting, Reason.Scaling, Reason.ReplacingPods}
    if after["status"] != "True" and reason in waiting:
        return []
    return [Notice(reason, after["message"], warning=after["status"] != "True" or reason is Reason.CacheDegraded)]


def _tell_transport(previous: dict[str, Any] | None, status: dict[str, Any]) -> list[Notice]:
    """Tell of every fall back to TCP, and of its end; a pod that has not told yet is no news."""
    before, after = (_find_condition(item, ConditionType.TRANSPORT_DEGRADED) for item in (previous, status))
    if not after or (before.get("status"), before.get("reason")) == (after["status"], after["reason"]):
        return []
    degraded = after["status"] == "True"
    if not degraded and (before.get("status") != "True" or after["status"] != "False"):
        return []
    reason = Reason[after["reason"]]
    better = {Reason.RDMARecovered, Reason.RDMAReturning}
    return [Notice(reason, after["message"], warning=degraded and reason not in better)]
