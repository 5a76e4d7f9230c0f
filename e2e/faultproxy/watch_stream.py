"""One watch passing through: complete JSON lines at once as they come, with the faults of the rules bound to it.

Rules can be bound while the stream runs, so "freeze every watch now" works on connections that exist already.
"""

import asyncio
import json
from contextlib import suppress
from dataclasses import dataclass

from e2e.faultproxy.faults import DropConnectionError, status_failure
from e2e.faultproxy.http1 import BadMessageError, Body, BodyWriter
from e2e.faultproxy.journal import RequestRecord
from e2e.faultproxy.request_info import RequestInfo
from e2e.faultproxy.rulebook import ActiveRule
from e2e.faultproxy.rules import DupEvents, ErrorEvent, FreezeWatch, SkipEvents, StreamAction, Truncate


class _StreamEndedError(Exception):
    """An ERROR event went out: the stream ends in good order."""


@dataclass(slots=True)
class _Binding:
    active: ActiveRule
    action: StreamAction
    events: int = 0
    bytes_passed: int = 0
    hits: int = 0

    def due(self) -> bool:
        """Whether the rule ends or freezes the stream now, without a further event."""
        match self.action:
            case ErrorEvent(after_events=after) | FreezeWatch(after_events=after):
                return self.events >= after
            case Truncate(after_bytes=after):
                return self.bytes_passed >= after
            case _:
                return False


@dataclass(frozen=True, slots=True)
class _Event:
    type: str
    name: str
    namespace: str

    @classmethod
    def parse(cls, line: bytes) -> "_Event":
        try:
            event = json.loads(line)
            metadata = event["object"].get("metadata") or {}
            return cls(event["type"], metadata.get("name", ""), metadata.get("namespace", ""))
        except (ValueError, KeyError, TypeError, AttributeError) as exc:
            raise BadMessageError(f"watch line {line[:200]!r}") from exc


class WatchStream:
    """Relays one watch answer."""

    def __init__(self, info: RequestInfo, record: RequestRecord, body: Body, out: BodyWriter) -> None:
        self.info = info
        self._record = record
        self._body = body
        self._out = out
        self._partial = b""
        self._bindings: list[_Binding] = []
        self._changed = asyncio.Event()
        self._reading: asyncio.Task[list[bytes]] | None = None

    def bind(self, active: ActiveRule) -> None:
        """Apply a rule's stream action from here on; other actions have no meaning here."""
        if isinstance(active.rule.action, StreamAction):
            self._bindings.append(_Binding(active, active.rule.action))
            self._record.rule = active.rule.id
            self._changed.set()

    async def relay(self) -> None:
        """Relay until the server or a rule ends the stream.

        Raises:
            DropConnectionError: a rule closes the connection.
            BadMessageError: the server's stream broke off.
        """
        try:
            while True:
                self._changed.clear()
                await self._act()
                lines = await self._lines_or_change()
                if lines is None:
                    continue
                if not lines:
                    return
                await self._deliver(lines)
        except _StreamEndedError:
            return
        finally:
            await self._stop_reading()

    async def _lines_or_change(self) -> list[bytes] | None:
        """Return the next lines, none at the end of the stream; None where a rule was bound first."""
        if self._reading is None:
            self._reading = asyncio.create_task(self._read_lines())
        change = asyncio.create_task(self._changed.wait())
        try:
            await asyncio.wait({self._reading, change}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            change.cancel()
        if not self._reading.done():
            return None
        lines = self._reading.result()
        self._reading = None
        return lines

    async def _read_lines(self) -> list[bytes]:
        while data := await self._body.read():
            self._partial += data
            complete, newline, rest = self._partial.rpartition(b"\n")
            if newline:
                self._partial = rest
                return [line + b"\n" for line in complete.split(b"\n")]
        rest, self._partial = self._partial, b""
        return [rest] if rest else []

    async def _stop_reading(self) -> None:
        if self._reading is not None:
            self._reading.cancel()
            with suppress(asyncio.CancelledError, BadMessageError, OSError):
                await self._reading
            self._reading = None

    def _bound(self) -> list[_Binding]:
        return [binding for binding in self._bindings if not binding.active.cleared.is_set()]

    async def _act(self) -> None:
        """Carry out the rules whose moment has come."""
        for binding in self._bound():
            if not binding.due():
                continue
            binding.active.fire()
            match binding.action:
                case ErrorEvent(code=code, reason=reason, message=message):
                    error = {"type": "ERROR", "object": status_failure(code=code, reason=reason, message=message)}
                    await self._write(json.dumps(error).encode() + b"\n")
                    raise _StreamEndedError
                case FreezeWatch():
                    await self._stay_silent(binding.active)
                case _:
                    pass
            raise DropConnectionError(f"rule {binding.active.rule.id}: watch closed")

    async def _stay_silent(self, active: ActiveRule) -> None:
        """Read on and drop what comes, so that the server sees a live client, until the rule is cleared."""
        await self._stop_reading()
        discarding = asyncio.create_task(self._discard())
        try:
            await active.cleared.wait()
        finally:
            discarding.cancel()
            with suppress(asyncio.CancelledError):
                await discarding

    async def _discard(self) -> None:
        with suppress(BadMessageError, OSError):
            while await self._body.read():
                pass

    async def _deliver(self, lines: list[bytes]) -> None:
        if not self._bound():
            await self._write(b"".join(lines))
            return
        for line in lines:
            await self._act()
            await self._deliver_one(line)

    async def _deliver_one(self, line: bytes) -> None:
        bindings = self._bound()
        event = _Event.parse(line)
        data = line
        for binding in bindings:
            action = binding.action
            if isinstance(action, SkipEvents | DupEvents) and self._hits(binding, action, event):
                data = b"" if isinstance(action, SkipEvents) else data * 2
        for binding in bindings:
            if isinstance(binding.action, Truncate):
                data = data[: binding.action.after_bytes - binding.bytes_passed]
        await self._write(data)
        for binding in bindings:
            binding.bytes_passed += len(data)
            binding.events += event.type != "BOOKMARK"

    @staticmethod
    def _hits(binding: _Binding, action: SkipEvents | DupEvents, event: _Event) -> bool:
        if binding.hits == action.limit or not action.events.covers(
            event.type, name=event.name, namespace=event.namespace
        ):
            return False
        binding.hits += 1
        binding.active.fire()
        return True

    async def _write(self, data: bytes) -> None:
        self._record.bytes_sent += len(data)
        await self._out.write(data)
