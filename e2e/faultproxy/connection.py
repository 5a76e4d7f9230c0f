"""One client connection: requests one after another, each routed, offered to the rules, forwarded and relayed.

A client connection owns at most one server connection. So a client that goes away takes its server connection with it,
a server that goes away takes the client's, and no pool blurs who is connected to whom.
"""

import asyncio
import socket
import struct
from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import Any

from e2e.faultproxy.faults import DropConnectionError, answer_in_place, before_forwarding, before_relaying
from e2e.faultproxy.http1 import (
    READ_BYTES,
    BadMessageError,
    Body,
    BodyWriter,
    EofSignallingReader,
    Framing,
    Head,
    answer_body,
    read_head,
    request_body,
)
from e2e.faultproxy.journal import Journal, RequestRecord
from e2e.faultproxy.routes import Endpoint, Routed, Routes
from e2e.faultproxy.rulebook import ActiveRule, RuleBook
from e2e.faultproxy.rules import AnswerStatus, Truncate
from e2e.faultproxy.upstream import Upstream
from e2e.faultproxy.watch_stream import WatchStream

# Connection, Transfer-Encoding and Upgrade are left to each place: they decide how the message is framed.
_PROXY_HEADERS = ("Proxy-Connection", "Proxy-Authorization", "Proxy-Authenticate", "Keep-Alive")


@dataclass(frozen=True, kw_only=True)
class Shared:
    """What all connections of one proxy share."""

    routes: Routes
    rules: RuleBook
    journal: Journal
    streams: set[WatchStream] = field(default_factory=set)


class _StaleConnectionError(Exception):
    """An idle server connection was closed just as a request went out; the request can go over a new one."""


class ClientConnection:
    """Serves one client connection to its end."""

    def __init__(self, reader: EofSignallingReader, writer: asyncio.StreamWriter, shared: Shared) -> None:
        self._reader = reader
        self._writer = writer
        self._shared = shared
        self._upstream: Upstream | None = None

    async def serve(self) -> None:
        """Serve until either side closes or a rule does; never raises for what peers do."""
        gone = asyncio.create_task(self._reader.ended.wait())
        try:
            while (head := await read_head(self._reader)) is not None:
                if not await self._unless_gone(self._exchange(head), gone):
                    break
        except DropConnectionError as exc:
            if exc.reset:
                self._reset()
        except (BadMessageError, OSError):
            pass
        finally:
            gone.cancel()
            # Closing does not wait, so that a cancellation between the two waits leaves neither side open.
            upstream, self._upstream = self._upstream, None
            if upstream is not None:
                upstream.abort()
            self._writer.close()
            if upstream is not None:
                await upstream.closed()
            with suppress(OSError, TimeoutError):
                await self._writer.wait_closed()

    async def _unless_gone(self, exchange: Coroutine[Any, Any, bool], gone: asyncio.Task[bool]) -> bool:
        """Run an exchange, cancelling it when the client goes away."""
        running = asyncio.create_task(exchange)
        try:
            await asyncio.wait({running, gone}, return_when=asyncio.FIRST_COMPLETED)
            if running.done():
                return running.result()
            return False
        finally:
            if not running.done():
                running.cancel()
                await asyncio.wait({running})

    def _reset(self) -> None:
        raw = self._writer.get_extra_info("socket")
        raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self._writer.transport.abort()

    async def _close_upstream(self) -> None:
        upstream, self._upstream = self._upstream, None
        if upstream is not None:
            upstream.abort()
            await upstream.closed()

    async def _exchange(self, head: Head) -> bool:
        """Serve one request; whether the connection can take another."""
        try:
            routed = self._shared.routes.route(head)
        except (BadMessageError, ValueError) as exc:
            return await self._refuse(400, str(exc))
        with self._shared.journal.recording(routed.info) as record:
            active = self._shared.rules.take(routed.info)
            record.rule = active.rule.id if active is not None else None
            try:
                return await self._serve_routed(routed, active, record)
            except asyncio.CancelledError:
                record.error = "the client closed the connection"
                raise
            except (DropConnectionError, BadMessageError, OSError) as exc:
                record.error = str(exc) or type(exc).__name__
                raise

    async def _serve_routed(self, routed: Routed, active: ActiveRule | None, record: RequestRecord) -> bool:
        body = request_body(routed.head, self._reader)
        if active is not None:
            instead = await before_forwarding(active)
            if instead is not None:
                return await self._answer_instead(routed, body, instead, record)
        if routed.endpoint is None:
            record.status = 502
            return await self._refuse(502, f"no route to {routed.info.host!r}")
        if routed.info.method == "CONNECT":
            return await self._tunnel(routed.endpoint, active, record)
        try:
            return await self._forward(routed, routed.endpoint, body, active, record)
        except _StaleConnectionError:
            await self._close_upstream()
            return await self._forward(routed, routed.endpoint, body, active, record)

    async def _refuse(self, code: int, message: str) -> bool:
        body = f"fault proxy: {message}\n".encode()
        head = Head(
            start=("HTTP/1.1", str(code), "Refused"),
            headers=(
                ("Content-Type", "text/plain"),
                ("Content-Length", str(len(body))),
                ("Connection", "close"),
            ),
        )
        self._writer.write(head.encode() + body)
        await self._writer.drain()
        return False

    async def _answer_instead(self, routed: Routed, body: Body, action: AnswerStatus, record: RequestRecord) -> bool:
        # A client that asked for leave to send its body never sends it after a final answer; others are read out,
        # since closing on unread bytes would reset the connection and lose the answer.
        unsent = "100-continue" in routed.head.tokens("Expect")
        while not unsent and await body.read():
            pass
        keep = _keeps_alive(routed.head) and not unsent
        head, content = answer_in_place(action, kubernetes=self._shared.routes.kubernetes)
        if not keep:
            head = head.adding("Connection", "close")
        record.status = action.code
        self._writer.write(head.encode() + (content if routed.info.method != "HEAD" else b""))
        await self._writer.drain()
        return keep

    async def _connected(self, endpoint: Endpoint) -> tuple[Upstream, bool]:
        """Return the server connection and whether it has served before."""
        upstream = self._upstream
        if upstream is not None and upstream.endpoint == endpoint and not upstream.reader.ended.is_set():
            return upstream, True
        await self._close_upstream()
        self._upstream = await Upstream.open(endpoint)
        return self._upstream, False

    async def _forward(
        self, routed: Routed, endpoint: Endpoint, body: Body, active: ActiveRule | None, record: RequestRecord
    ) -> bool:
        """Send the request on and relay the answer; whether the connection can take another request."""
        try:
            upstream, reused = await self._connected(endpoint)
        except OSError as exc:
            if self._shared.routes.kubernetes:
                raise  # without the proxy the client would see a refused connection, not an answer
            record.status = 502
            return await self._refuse(502, f"no connection to {endpoint}: {exc}")
        head = routed.head.without(_PROXY_HEADERS)
        if "upgrade" not in head.tokens("Connection"):
            head = head.without(("Connection",))
        repeatable = reused and body.complete
        upstream.writer.write(head.encode())
        async with _uploading(body, upstream.writer) as upload:
            try:
                answer = await self._final_head(upstream)
            except (BadMessageError, OSError) as exc:
                if repeatable and upstream.reader.ended.is_set():
                    raise _StaleConnectionError from exc
                raise
            record.upstream_status = answer.status
            if active is not None:
                await before_relaying(active)
            record.status = answer.status
            if answer.status == 101:
                self._writer.write(answer.encode())
                await self._pump_both_ways(upstream)
                return False
            whole = await self._relay(routed, answer, upstream, active, record)
            if whole and body.complete and not upload.done():
                # All is read and sent; the task only needs its turn to end. Without it, the connection would be closed
                # although the client was told that it stays.
                await asyncio.wait({upload}, timeout=1.0)
            reusable = whole and upload.done()
        # The two connections live apart: a server that closes after an answer does not end the client's, which was not
        # told of it.
        if not (reusable and _keeps_alive(answer)):
            await self._close_upstream()
        return reusable and _keeps_alive(routed.head)

    async def _final_head(self, upstream: Upstream) -> Head:
        """Wait for the final answer's head, relaying interim answers such as 100 Continue."""
        while True:
            head = await read_head(upstream.reader)
            if head is None:
                raise BadMessageError("the server closed the connection without an answer")
            if head.status >= 200 or head.status == 101:
                return head
            self._writer.write(head.encode())
            await self._writer.drain()

    async def _relay(
        self, routed: Routed, answer: Head, upstream: Upstream, active: ActiveRule | None, record: RequestRecord
    ) -> bool:
        """Relay a final answer; whether its end is marked by its framing, so that the connection can go on."""
        body = answer_body(routed.info.method, answer, upstream.reader)
        framing: Framing = body.framing
        head = answer.without(_PROXY_HEADERS)
        if framing == "chunked" and routed.head.start[2] == "HTTP/1.0":
            framing = "close"
            head = head.without(("Transfer-Encoding",))
        head = head.without(("Connection",))
        if framing == "close" or not _keeps_alive(routed.head):
            head = head.adding("Connection", "close")
        out = BodyWriter(self._writer, framing)
        self._writer.write(head.encode())
        await self._writer.drain()
        if _is_event_stream(routed, answer):
            await self._relay_watch(WatchStream(routed.info, record, body, out), active)
        else:
            await _relay_body(body, out, active, record)
        await out.finish(body.trailers)
        return framing != "close" and body.complete

    async def _relay_watch(self, stream: WatchStream, active: ActiveRule | None) -> None:
        if active is not None:
            stream.bind(active)
        self._shared.streams.add(stream)
        try:
            await stream.relay()
        finally:
            self._shared.streams.discard(stream)

    async def _tunnel(self, endpoint: Endpoint, active: ActiveRule | None, record: RequestRecord) -> bool:
        """Serve CONNECT: after the answer the bytes are opaque."""
        try:
            upstream, _ = await self._connected(endpoint)
        except OSError as exc:
            record.status = 502
            return await self._refuse(502, f"no connection to {endpoint}: {exc}")
        if active is not None:
            await before_relaying(active)
        record.status = 200
        self._writer.write(b"HTTP/1.1 200 Connection established\r\n\r\n")
        await self._pump_both_ways(upstream)
        return False

    async def _pump_both_ways(self, upstream: Upstream) -> None:
        """Copy bytes until either side ends."""
        await self._writer.drain()
        pumps = {
            asyncio.create_task(_pump(self._reader, upstream.writer)),
            asyncio.create_task(_pump(upstream.reader, self._writer)),
        }
        try:
            await asyncio.wait(pumps, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for pump in pumps:
                pump.cancel()
            await asyncio.wait(pumps)


async def _pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with suppress(OSError):
        while data := await reader.read(READ_BYTES):
            writer.write(data)
            await writer.drain()


@asynccontextmanager
async def _uploading(body: Body, writer: asyncio.StreamWriter) -> AsyncIterator[asyncio.Task[None]]:
    """Send a request body beside the wait for the answer: the server may answer, or ask to continue, before its end."""
    upload = asyncio.create_task(_upload(body, writer))
    try:
        yield upload
    finally:
        upload.cancel()
        await asyncio.wait({upload})


async def _upload(body: Body, writer: asyncio.StreamWriter) -> None:
    out = BodyWriter(writer, body.framing)
    # A failure here also shows where the answer is awaited, as the end of one of the two connections.
    with suppress(BadMessageError, OSError):
        await writer.drain()
        while data := await body.read():
            await out.write(data)
        await out.finish(body.trailers)


async def _relay_body(body: Body, out: BodyWriter, active: ActiveRule | None, record: RequestRecord) -> None:
    action = active.rule.action if active is not None else None
    limit = action.after_bytes if isinstance(action, Truncate) else None
    while data := await body.read():
        passed = data if limit is None else data[: limit - record.bytes_sent]
        record.bytes_sent += len(passed)
        await out.write(passed)
        if active is not None and len(passed) < len(data):
            active.fire()
            raise DropConnectionError(f"rule {active.rule.id}: answer cut after {limit} bytes")


def _is_event_stream(routed: Routed, answer: Head) -> bool:
    """Whether a watch comes as JSON lines; binary encodings pass as they are."""
    return (
        routed.info.verb == "WATCH"
        and answer.status == 200
        and answer.get("Content-Encoding") is None
        and (answer.get("Content-Type") or "").split(";", 1)[0].strip().lower() == "application/json"
    )


def _keeps_alive(head: Head) -> bool:
    """Whether the sender of a request or an answer will use the connection again."""
    version = head.start[0] if head.start[0].startswith("HTTP/") else head.start[2]
    tokens = head.tokens("Connection")
    return "close" not in tokens if version == "HTTP/1.1" else "keep-alive" in tokens
