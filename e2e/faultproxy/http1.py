"""HTTP/1.1 on raw streams: message heads and body framing, and nothing above them.

Raw streams rather than a web framework, because the faults need what frameworks hide: header names and order as
sent (S3 signatures), interim answers (``100 Continue``), an answer cut inside a chunk, a connection closed unanswered.
"""

import asyncio
import re
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Literal

MAX_HEAD_BYTES = 256 * 1024
"""Longest head accepted; also the stream buffer limit, so a slow peer is read no further ahead than twice this."""

READ_BYTES = 64 * 1024
_HEX = re.compile(rb"[0-9A-Fa-f]+")

Framing = Literal["none", "length", "chunked", "close"]


class BadMessageError(Exception):
    """The peer sent bytes that are not HTTP/1.1, or ended inside a message."""


class EofSignallingReader(asyncio.StreamReader):
    """Stream reader that tells of the peer's end of stream without anybody reading.

    A peer that closes only its sending half counts as gone: no HTTP client of this project does that.
    """

    def __init__(self) -> None:
        super().__init__(limit=MAX_HEAD_BYTES, loop=asyncio.get_running_loop())
        self.ended = asyncio.Event()

    def feed_eof(self) -> None:
        """Record the end of the stream (called by the protocol)."""
        super().feed_eof()
        self.ended.set()

    def set_exception(self, exc: BaseException) -> None:
        """Record the loss of the connection (called by the protocol)."""
        super().set_exception(exc)  # type: ignore[arg-type]  # typeshed says Exception in some versions, BaseException in others
        self.ended.set()


@dataclass(frozen=True, kw_only=True, slots=True)
class Head:
    """Start line and headers of a request or an answer; header names keep their case and order."""

    start: tuple[str, str, str]
    headers: tuple[tuple[str, str], ...] = ()

    def get(self, name: str) -> str | None:
        """Return the first value of a header, None where it is absent."""
        wanted = name.lower()
        return next((value for key, value in self.headers if key.lower() == wanted), None)

    def tokens(self, name: str) -> set[str]:
        """Return the comma-separated tokens of all values of a header, in lower case."""
        wanted = name.lower()
        return {
            token.strip().lower()
            for key, value in self.headers
            if key.lower() == wanted
            for token in value.split(",")
            if token.strip()
        }

    def without(self, names: Iterable[str]) -> "Head":
        """Return the head without the named headers."""
        dropped = {name.lower() for name in names}
        return replace(self, headers=tuple(pair for pair in self.headers if pair[0].lower() not in dropped))

    def adding(self, name: str, value: str) -> "Head":
        """Return the head with one more header."""
        return replace(self, headers=(*self.headers, (name, value)))

    @property
    def status(self) -> int:
        """Status code of an answer."""
        try:
            return int(self.start[1])
        except ValueError:
            raise BadMessageError(f"status line {self.start!r}") from None

    def encode(self) -> bytes:
        """Return the head as it goes over the wire, with the empty line."""
        lines = [" ".join(part for part in self.start if part), *(f"{key}: {value}" for key, value in self.headers)]
        return ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1")


async def read_head(reader: asyncio.StreamReader) -> Head | None:
    """Read one head; None where the peer ended the connection between messages.

    Raises:
        BadMessageError: the bytes are no head, or the connection ended within it.
    """
    try:
        raw = await reader.readuntil(b"\r\n\r\n")
    except asyncio.IncompleteReadError as exc:
        if not exc.partial.strip():
            return None
        raise BadMessageError("connection ended inside a head") from exc
    except asyncio.LimitOverrunError as exc:
        raise BadMessageError(f"head is longer than {MAX_HEAD_BYTES} bytes") from exc
    lines = raw.decode("latin-1").lstrip("\r\n").split("\r\n")
    start = lines[0].split(" ", 2)
    if len(start) < 2:
        raise BadMessageError(f"start line {lines[0]!r}")
    headers = []
    for line in lines[1:]:
        if not line:
            break
        key, colon, value = line.partition(":")
        if not colon or not key or key != key.strip():
            raise BadMessageError(f"header line {line!r}")
        headers.append((key, value.strip()))
    return Head(start=(start[0], start[1], start[2] if len(start) == 3 else ""), headers=tuple(headers))


class Body:
    """Decoded body of one message: framing is taken off, content encoding is not touched.

    ``read`` may be cancelled and called again without loss.
    """

    def __init__(self, reader: asyncio.StreamReader, framing: Framing, length: int = 0) -> None:
        self._reader = reader
        self.framing: Framing = framing
        self._left = length
        self._expecting: Literal["size", "end of chunk", "trailers"] = "size"
        self.complete = framing == "none" or (framing == "length" and length == 0)
        self.trailers = b""

    async def read(self) -> bytes:
        """Return the next bytes as soon as any are there; empty once, and only when, the body is complete.

        Raises:
            BadMessageError: the connection ended inside the body, or the chunk framing is broken.
        """
        if self.complete:
            return b""
        if self.framing == "chunked" and not await self._enter_chunk():
            return b""
        limit = READ_BYTES if self.framing == "close" else min(self._left, READ_BYTES)
        data = await self._reader.read(limit)
        if not data:
            if self.framing == "close":
                self.complete = True
                return b""
            raise BadMessageError("connection ended inside a body")
        if self.framing != "close":
            self._left -= len(data)
            self.complete = self.framing == "length" and self._left == 0
        return data

    async def _enter_chunk(self) -> bool:
        """Read chunk framing; whether chunk bytes follow, rather than the end of the body."""
        try:
            while not self._left and not self.complete:
                self._take_line(await self._reader.readuntil(b"\r\n"))
        except (asyncio.IncompleteReadError, asyncio.LimitOverrunError) as exc:
            raise BadMessageError("connection ended inside chunk framing") from exc
        return not self.complete

    def _take_line(self, line: bytes) -> None:
        if self._expecting == "size":
            size = line.split(b";", 1)[0].strip()
            if not _HEX.fullmatch(size):
                raise BadMessageError(f"chunk size line {line!r}")
            self._left = int(size, 16)
            self._expecting = "end of chunk" if self._left else "trailers"
        elif self._expecting == "end of chunk":
            if line != b"\r\n":
                raise BadMessageError("chunk longer than its size")
            self._expecting = "size"
        elif line == b"\r\n":
            self.complete = True
        else:
            self.trailers += line


def _framed(head: Head, reader: asyncio.StreamReader, unframed: Framing) -> Body:
    if "chunked" in head.tokens("Transfer-Encoding"):
        return Body(reader, "chunked")
    length = head.get("Content-Length")
    if length is None:
        return Body(reader, unframed)
    if not length.isascii() or not length.isdigit():
        raise BadMessageError(f"Content-Length {length!r}")
    return Body(reader, "length", int(length))


def request_body(head: Head, reader: asyncio.StreamReader) -> Body:
    """Return the body that follows a request head."""
    return _framed(head, reader, "none")


def answer_body(method: str, head: Head, reader: asyncio.StreamReader) -> Body:
    """Return the body that follows an answer's head; it depends on the method asked with."""
    if method == "HEAD" or head.status in {204, 304} or head.status < 200:
        return Body(reader, "none")
    return _framed(head, reader, "close")


class BodyWriter:
    """Writes a body in the framing its head announced, waiting for the peer where it is slow."""

    def __init__(self, writer: asyncio.StreamWriter, framing: Framing) -> None:
        self._writer = writer
        self._chunked = framing == "chunked"

    async def write(self, data: bytes) -> None:
        """Write some bytes of the body."""
        if not data:
            return
        self._writer.write(b"%x\r\n%s\r\n" % (len(data), data) if self._chunked else data)
        await self._writer.drain()

    async def finish(self, trailers: bytes = b"") -> None:
        """End the body."""
        if self._chunked:
            self._writer.write(b"0\r\n" + trailers + b"\r\n")
            await self._writer.drain()
