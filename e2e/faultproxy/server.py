"""The listening proxy: accepts connections, applies rule changes to open watches, closes everything it opened."""

import asyncio
import socket
import ssl
from collections.abc import Iterable
from types import TracebackType
from typing import Self

from e2e.faultproxy.connection import ClientConnection, Shared
from e2e.faultproxy.http1 import EofSignallingReader
from e2e.faultproxy.journal import Journal, RequestRecord, RequestTotal
from e2e.faultproxy.routes import Routes
from e2e.faultproxy.rulebook import ActiveRule, RuleBook
from e2e.faultproxy.rules import Rule, RuleState

_BACKLOG = 1024


class ProxyServer:
    """A fault proxy on the running event loop, as an async context manager.

    ``port`` 0 takes a free one. With ``tls`` the proxy speaks https to its clients.
    """

    def __init__(
        self,
        routes: Routes,
        *,
        host: str = "127.0.0.1",
        port: int = 0,
        tls: ssl.SSLContext | None = None,
        journal_capacity: int = 20_000,
    ) -> None:
        self._host = host
        self._port = port
        self._tls = tls
        self._shared = Shared(routes=routes, rules=RuleBook(), journal=Journal(journal_capacity))
        self._listener: socket.socket | None = None
        self._serving: set[asyncio.Task[None]] = set()

    async def __aenter__(self) -> Self:
        self._listener = socket.create_server((self._host, self._port), backlog=_BACKLOG)
        self._listener.setblocking(False)
        self._port = self._listener.getsockname()[1]
        asyncio.get_running_loop().add_reader(self._listener, self._accept, self._listener)
        return self

    async def __aexit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """Stop listening and end every connection."""
        listener, self._listener = self._listener, None
        if listener is None:
            return
        asyncio.get_running_loop().remove_reader(listener)
        listener.close()
        await asyncio.sleep(0)  # a task that has not begun would leave its socket open when cancelled
        while self._serving:
            for task in self._serving:
                task.cancel()
            await asyncio.wait(self._serving)
        await asyncio.sleep(0)  # aborted connections close their sockets in the loop's next round

    def _accept(self, listener: socket.socket) -> None:
        # asyncio's own server loses connections that it accepts just before it is closed.
        try:
            connection, _ = listener.accept()
        except (BlockingIOError, ConnectionAbortedError):
            return
        task = asyncio.create_task(self._serve(connection))
        self._serving.add(task)
        task.add_done_callback(self._serving.discard)

    async def _serve(self, connection: socket.socket) -> None:
        reader = EofSignallingReader()
        protocol = asyncio.StreamReaderProtocol(reader)
        loop = asyncio.get_running_loop()
        try:
            transport, _ = await loop.connect_accepted_socket(lambda: protocol, connection, ssl=self._tls)
        except (OSError, asyncio.CancelledError):
            connection.close()
            return
        try:
            writer = asyncio.StreamWriter(transport, protocol, reader, loop)
            await ClientConnection(reader, writer, self._shared).serve()
        finally:
            transport.abort()

    @property
    def url(self) -> str:
        """Address for clients."""
        return f"{'http' if self._tls is None else 'https'}://{self._host}:{self._port}"

    @property
    def open_connections(self) -> int:
        """Client connections being served now."""
        return len(self._serving)

    @property
    def open_watches(self) -> int:
        """Watch streams passing through now."""
        return len(self._shared.streams)

    def set_rules(self, rules: Iterable[Rule]) -> None:
        """Put these rules, in this order, in the place of all others.

        Raises:
            ValueError: two rules share an id.
        """
        for active in self._shared.rules.replace_all(rules):
            self._bind_to_open_streams(active)

    def put_rule(self, rule: Rule) -> None:
        """Add a rule at the end, or in the place of the one with its id."""
        self._bind_to_open_streams(self._shared.rules.put(rule))

    def remove_rule(self, rule_id: str) -> None:
        """Remove a rule and release what it holds.

        Raises:
            KeyError: there is no such rule.
        """
        self._shared.rules.remove(rule_id)

    def remove_rules(self) -> None:
        """Remove every rule and release what they hold."""
        self._shared.rules.remove_all()

    def clear_rule(self, rule_id: str) -> None:
        """Release what a rule holds and stop it from taking more requests.

        Raises:
            KeyError: there is no such rule.
        """
        self._shared.rules.clear(rule_id)

    def rules(self) -> list[RuleState]:
        """Return the rules in order with their counts."""
        return self._shared.rules.states()

    async def wait_fired(self, rule_id: str, *, count: int = 1, timeout_s: float = 30.0) -> RuleState:
        """Wait until a rule had ``count`` effects.

        Raises:
            KeyError: there is no such rule, or it was removed meanwhile.
            TimeoutError: it did not happen within ``timeout_s`` seconds.
        """
        return await self._shared.rules.wait_fired(rule_id, count=count, timeout_s=timeout_s)

    def requests(self, *, since: int = 0) -> list[RequestRecord]:
        """Return the recorded requests with a sequence number above ``since``, oldest first."""
        return self._shared.journal.since(since)

    def totals(self) -> list[RequestTotal]:
        """Return how many requests of each kind there were since the start."""
        return self._shared.journal.totals()

    def _bind_to_open_streams(self, active: ActiveRule) -> None:
        if not active.rule.open_streams:
            return
        for stream in list(self._shared.streams):
            if active.take(stream.info):
                stream.bind(active)
