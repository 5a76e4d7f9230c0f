"""Kubernetes Events: stable reasons, no flood, and never the cause of a failed pass."""

import hashlib
import logging
from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

from inference_cache.domain import names
from inference_cache.domain.kinds import DEPLOYMENT, EVENT, Kind
from inference_cache.domain.reasons import Reason
from inference_cache.domain.scope import Identity

from .errors import ClusterError
from .gateway import Gateway

_log = logging.getLogger(__name__)

_REPEAT_SECONDS: Final = 600
_REMEMBERED: Final = 4096
_MAX_NOTE: Final = 1024  # bytes


@dataclass(frozen=True)
class Notice:
    """Something worth an Event."""

    reason: Reason
    note: str
    warning: bool = False


class EventRecorder:
    """Writes Events about deployments and fabrics.

    The same notice about the same object is written once in ten minutes.
    """

    def __init__(
        self, gateway: Gateway, instance: str, now: Callable[[], datetime] = lambda: datetime.now(UTC)
    ) -> None:
        self._gateway = gateway
        self._instance = instance
        self._now = now
        self._recent: OrderedDict[tuple[str, Reason, str], datetime] = OrderedDict()

    async def emit(self, identity: Identity, notices: Sequence[Notice], kind: Kind = DEPLOYMENT) -> None:
        """Write the notices that are news; failures are logged only, as an Event is never worth a retry."""
        for notice in notices:
            now = self._now()
            if not self._is_news(identity, notice, now):
                continue
            try:
                await self._gateway.create_event(_build_event(identity, notice, self._instance, now, kind))
            except ClusterError as error:
                _log.warning("event not written", extra={"error": str(error)[:500]})

    def _is_news(self, identity: Identity, notice: Notice, now: datetime) -> bool:
        key = (identity.uid, notice.reason, notice.note)
        last = self._recent.get(key)
        if last is not None and (now - last).total_seconds() < _REPEAT_SECONDS:
            return False
        self._recent[key] = now
        self._recent.move_to_end(key)
        while len(self._recent) > _REMEMBERED:
            self._recent.popitem(last=False)
        return True


def _build_event(identity: Identity, notice: Notice, instance: str, now: datetime, kind: Kind) -> dict[str, Any]:
    time = now.isoformat(timespec="microseconds").replace("+00:00", "Z")
    seed = f"{identity.uid}/{notice.reason.name}/{notice.note}/{time}"
    return {
        "apiVersion": EVENT.api_version,
        "kind": EVENT.name,
        "metadata": {
            "name": f"{identity.name}.{hashlib.sha256(seed.encode()).hexdigest()[:16]}",
            # Events about objects without a namespace are kept there.
            "namespace": identity.namespace or "default",
        },
        "eventTime": time,
        "reportingController": names.FIELD_MANAGER,
        "reportingInstance": instance,
        "action": "Reconcile",
        "reason": notice.reason.name,
        "note": notice.note.encode()[:_MAX_NOTE].decode(errors="ignore"),
        "type": "Warning" if notice.warning else "Normal",
        "regarding": {
            "apiVersion": kind.api_version,
            "kind": kind.name,
            "name": identity.name,
            **({"namespace": identity.namespace} if identity.namespace else {}),
            "uid": identity.uid,
        },
    }
