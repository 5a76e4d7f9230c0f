"""What a test holds on to: one synchronous interface to a proxy in a thread or in another process."""

import asyncio
import http.client
import ssl
import threading
from collections.abc import Callable, Coroutine, Iterable
from types import TracebackType
from typing import Any, Protocol, Self, TypeVar
from urllib.parse import quote, urlencode, urlsplit

from pydantic import TypeAdapter

from e2e.faultproxy.journal import RequestRecord, RequestTotal
from e2e.faultproxy.routes import Routes
from e2e.faultproxy.rules import Rule, RuleState
from e2e.faultproxy.server import ProxyServer

_T = TypeVar("_T")
_STATES: TypeAdapter[list[RuleState]] = TypeAdapter(list[RuleState])
_RULES: TypeAdapter[list[Rule]] = TypeAdapter(list[Rule])
_RECORDS: TypeAdapter[list[RequestRecord]] = TypeAdapter(list[RequestRecord])
_TOTALS: TypeAdapter[list[RequestTotal]] = TypeAdapter(list[RequestTotal])
_CALL_TIMEOUT_S = 10.0


class FaultControl(Protocol):
    """Rules and record of a proxy, wherever it runs.

    Every method raises KeyError for an unknown rule and ValueError for rules that do not fit together.
    """

    def set_rules(self, rules: Iterable[Rule]) -> None:
        """Put these rules, in this order, in the place of all others."""

    def put_rule(self, rule: Rule) -> None:
        """Add a rule at the end, or in the place of the one with its id."""

    def remove_rule(self, rule_id: str) -> None:
        """Remove a rule and release what it holds."""

    def remove_rules(self) -> None:
        """Remove every rule and release what they hold."""

    def clear_rule(self, rule_id: str) -> None:
        """Release what a rule holds and stop it from taking more requests."""

    def rules(self) -> list[RuleState]:
        """Return the rules in order with their counts."""

    def wait_fired(self, rule_id: str, *, count: int = 1, timeout_s: float = 30.0) -> RuleState:
        """Wait until a rule had ``count`` effects; TimeoutError after ``timeout_s`` seconds without."""

    def requests(self, *, since: int = 0) -> list[RequestRecord]:
        """Return the recorded requests with a sequence number above ``since``, oldest first."""

    def totals(self) -> list[RequestTotal]:
        """Return how many requests of each kind there were since the start."""


class FaultProxy:
    """A proxy hosted by a thread of this process, with the methods of :class:`FaultControl`; a context manager too."""

    def __init__(self, server: ProxyServer) -> None:
        self._server = server
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="faultproxy", daemon=True)

    @classmethod
    def start(
        cls, routes: Routes, *, host: str = "127.0.0.1", port: int = 0, tls: ssl.SSLContext | None = None
    ) -> Self:
        """Start a proxy; it listens when this returns.

        Raises:
            OSError: the port is taken.
        """
        proxy = cls(ProxyServer(routes, host=host, port=port, tls=tls))
        proxy._thread.start()
        try:
            proxy._run(proxy._server.__aenter__(), timeout_s=_CALL_TIMEOUT_S)
        except BaseException:
            proxy.stop()
            raise
        return proxy

    def stop(self) -> None:
        """End every connection and the thread; a second call does nothing."""
        if self._loop.is_closed():
            return
        self._run(self._server.close(), timeout_s=_CALL_TIMEOUT_S)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.stop()

    @property
    def url(self) -> str:
        """Address for clients."""
        return self._server.url

    def set_rules(self, rules: Iterable[Rule]) -> None:
        """See :class:`FaultControl`."""
        self._call(lambda: self._server.set_rules(rules))

    def put_rule(self, rule: Rule) -> None:
        """See :class:`FaultControl`."""
        self._call(lambda: self._server.put_rule(rule))

    def remove_rule(self, rule_id: str) -> None:
        """See :class:`FaultControl`."""
        self._call(lambda: self._server.remove_rule(rule_id))

    def remove_rules(self) -> None:
        """See :class:`FaultControl`."""
        self._call(self._server.remove_rules)

    def clear_rule(self, rule_id: str) -> None:
        """See :class:`FaultControl`."""
        self._call(lambda: self._server.clear_rule(rule_id))

    def rules(self) -> list[RuleState]:
        """See :class:`FaultControl`."""
        return self._call(self._server.rules)

    def wait_fired(self, rule_id: str, *, count: int = 1, timeout_s: float = 30.0) -> RuleState:
        """See :class:`FaultControl`."""
        waiting = self._server.wait_fired(rule_id, count=count, timeout_s=timeout_s)
        return self._run(waiting, timeout_s=timeout_s + _CALL_TIMEOUT_S)

    def requests(self, *, since: int = 0) -> list[RequestRecord]:
        """See :class:`FaultControl`."""
        return self._call(lambda: self._server.requests(since=since))

    def totals(self) -> list[RequestTotal]:
        """See :class:`FaultControl`."""
        return self._call(self._server.totals)

    @property
    def open_watches(self) -> int:
        """Watch streams passing through now."""
        return self._call(lambda: self._server.open_watches)

    def _call(self, function: Callable[[], _T]) -> _T:
        async def on_loop() -> _T:
            return function()

        return self._run(on_loop(), timeout_s=_CALL_TIMEOUT_S)

    def _run(self, coroutine: Coroutine[Any, Any, _T], *, timeout_s: float) -> _T:
        return asyncio.run_coroutine_threadsafe(coroutine, self._loop).result(timeout_s)


class FaultProxyClient:
    """The methods of :class:`FaultControl` over the control API of a proxy in another process."""

    def __init__(self, url: str) -> None:
        parts = urlsplit(url)
        if parts.hostname is None or parts.port is None:
            raise ValueError(f"control address {url!r} is not http://host:port")
        self._host, self._port = parts.hostname, parts.port

    def set_rules(self, rules: Iterable[Rule]) -> None:
        """See :class:`FaultControl`."""
        self._ask("PUT", "/rules", _RULES.dump_json(list(rules)))

    def put_rule(self, rule: Rule) -> None:
        """See :class:`FaultControl`."""
        self._ask("PUT", f"/rules/{quote(rule.id)}", rule.model_dump_json().encode())

    def remove_rule(self, rule_id: str) -> None:
        """See :class:`FaultControl`."""
        self._ask("DELETE", f"/rules/{quote(rule_id)}")

    def remove_rules(self) -> None:
        """See :class:`FaultControl`."""
        self._ask("DELETE", "/rules")

    def clear_rule(self, rule_id: str) -> None:
        """See :class:`FaultControl`."""
        self._ask("POST", f"/rules/{quote(rule_id)}/clear")

    def rules(self) -> list[RuleState]:
        """See :class:`FaultControl`."""
        return _STATES.validate_json(self._ask("GET", "/rules"))

    def wait_fired(self, rule_id: str, *, count: int = 1, timeout_s: float = 30.0) -> RuleState:
        """See :class:`FaultControl`."""
        query = urlencode({"count": count, "timeout_s": timeout_s})
        answer = self._ask("GET", f"/rules/{quote(rule_id)}/fired?{query}", timeout_s=timeout_s + _CALL_TIMEOUT_S)
        return RuleState.model_validate_json(answer)

    def requests(self, *, since: int = 0) -> list[RequestRecord]:
        """See :class:`FaultControl`."""
        return _RECORDS.validate_json(self._ask("GET", f"/requests?since={since}"))

    def totals(self) -> list[RequestTotal]:
        """See :class:`FaultControl`."""
        return _TOTALS.validate_json(self._ask("GET", "/totals"))

    def _ask(self, method: str, path: str, body: bytes | None = None, *, timeout_s: float = _CALL_TIMEOUT_S) -> bytes:
        # http.client rather than urllib: a process under test may have HTTP_PROXY set, this call must not follow it.
        connection = http.client.HTTPConnection(self._host, self._port, timeout=timeout_s)
        try:
            connection.request(method, path, body)
            answer = connection.getresponse()
            content = answer.read()
        finally:
            connection.close()
        if answer.status == 200:
            return content
        message = f"{method} {path}: {answer.status} {content.decode(errors='replace')}"
        raise {404: KeyError, 408: TimeoutError, 400: ValueError}.get(answer.status, RuntimeError)(message)
