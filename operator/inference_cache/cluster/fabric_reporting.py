"""What a pass over a fabric found out, told: the status, written only where it says something new, and Events."""

import logging
from collections.abc import Callable
from typing import Any

from inference_cache.domain.conditions import summarize_failure
from inference_cache.domain.fabric.facts import FabricFacts
from inference_cache.domain.fabric.summary import FabricOutcome, summarize_fabric
from inference_cache.domain.kinds import FABRIC
from inference_cache.domain.reasons import Reason
from inference_cache.domain.scope import Identity
from inference_cache.domain.verdict import FabricCondition

from .errors import ClusterError, GoneError, RefusedError
from .events import EventRecorder, Notice
from .fabric_execute import describe_refusal
from .fabric_store import FabricStore
from .failures import FailureCount, describe_failure, now_text
from .gateway import Gateway

_log = logging.getLogger(__name__)


class FabricReporter:
    """Tells users and other programs about fabrics.

    Args:
        gateway: For the writes.
        store: Knows what was written.
        events: For Events.
        now: RFC 3339 time.
    """

    def __init__(
        self, gateway: Gateway, store: FabricStore, events: EventRecorder, now: Callable[[], str] = now_text
    ) -> None:
        self._gateway = gateway
        self._store = store
        self._events = events
        self._now = now
        self._failures = FailureCount()

    async def report(self, outcome: FabricOutcome, notices: list[Notice]) -> None:
        """Write status and Events."""
        fabric = outcome.fabric
        self._failures.forget(fabric.name)
        current = self._store.fabric(fabric.name)
        if current is None or current.uid != fabric.uid:
            return
        previous = dict(current.status) or None
        status = summarize_fabric(outcome, previous, self._now())
        if status != previous and not await self._write(fabric, status):
            return
        await self.emit(fabric, [*notices, *_list_transitions(previous, status)])

    async def report_failure(self, fabric: FabricFacts, error: Exception) -> None:
        """Say in the status why passes fail, as far as that can be written; the queue repeats the pass with backoff."""
        if not self._failures.is_lasting(fabric.name, error):
            return
        reason, detail = describe_failure(error)
        if isinstance(error, RefusedError):
            finding = describe_refusal(error)
            reason, detail = finding.reason, finding.message
        current = self._store.fabric(fabric.name) or fabric
        previous = dict(current.status) or None
        status = summarize_failure(previous, current.generation, reason, detail, self._now())
        if status == previous:
            return
        try:
            await self._write(fabric, status)
        except ClusterError as failure:
            _log.warning("failure not reported in the status", extra={"error": str(failure)[:500]})
            return
        await self.emit(fabric, [Notice(reason, f"{reason.meaning} {detail}", warning=True)])

    async def emit(self, fabric: FabricFacts, notices: list[Notice]) -> None:
        """Write Events."""
        await self._events.emit(_identify(fabric), notices, FABRIC)

    def forget(self, name: str) -> None:
        """Forget a fabric that is gone."""
        self._failures.forget(name)

    async def _write(self, fabric: FabricFacts, status: dict[str, Any]) -> bool:
        try:
            self._store.note_fabric(await self._gateway.apply_status(_identify(fabric), status, FABRIC))
        except GoneError:
            return False
        return True


def _identify(fabric: FabricFacts) -> Identity:
    return Identity(fabric.name, "", fabric.uid)


def _list_transitions(previous: dict[str, Any] | None, status: dict[str, Any]) -> list[Notice]:
    def ready(state: dict[str, Any] | None) -> dict[str, Any]:
        items = (state or {}).get("conditions", [])
        return next((item for item in items if item["type"] == FabricCondition.READY.value), {})

    before, after = ready(previous), ready(status)
    if (before.get("status"), before.get("reason")) == (after["status"], after["reason"]):
        return []
    return [Notice(Reason[after["reason"]], after["message"], warning=after["status"] != "True")]
