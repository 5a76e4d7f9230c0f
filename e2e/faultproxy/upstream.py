"""The server side of a client connection."""

import asyncio
from contextlib import suppress
from dataclasses import dataclass

from e2e.faultproxy.http1 import EofSignallingReader
from e2e.faultproxy.routes import Endpoint

_CONNECT_TIMEOUT_S = 10.0


@dataclass(frozen=True, kw_only=True)
class Upstream:
    """An open connection to a server."""

    endpoint: Endpoint
    reader: EofSignallingReader
    writer: asyncio.StreamWriter

    @classmethod
    async def open(cls, endpoint: Endpoint) -> "Upstream":
        """Connect.

        Raises:
            OSError: nothing listens there, or not within ten seconds, or its certificate is not trusted.
        """
        reader = EofSignallingReader()
        protocol = asyncio.StreamReaderProtocol(reader)
        loop = asyncio.get_running_loop()
        async with asyncio.timeout(_CONNECT_TIMEOUT_S):
            transport, _ = await loop.create_connection(
                lambda: protocol, endpoint.host, endpoint.port, ssl=endpoint.tls
            )
        return cls(endpoint=endpoint, reader=reader, writer=asyncio.StreamWriter(transport, protocol, reader, loop))

    def abort(self) -> None:
        """Close without waiting."""
        self.writer.transport.abort()

    async def closed(self) -> None:
        """Wait until the connection is closed."""
        with suppress(OSError):
            await self.writer.wait_closed()
