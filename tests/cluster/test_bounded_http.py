"""A sick or hostile endpoint costs a probe a bounded time and a bounded amount of memory, and gets its own reason."""

import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any

import pytest

from inference_cache.cluster import bounded_http
from inference_cache.cluster.object_store import S3Keys, probe_bucket
from inference_cache.domain.reasons import Reason
from tests.support.builders import build_settled

_KEYS = S3Keys("access", "TOPSECRET")


@contextmanager
def _serve(answer: Callable[[socket.socket], None]) -> Iterator[str]:
    """Yield the endpoint of a server that refuses HEAD and gives every other request to a function."""
    listener = socket.create_server(("127.0.0.1", 0))

    def run() -> None:
        while True:
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            with connection, suppress(OSError):
                if connection.recv(65536).startswith(b"HEAD"):
                    connection.sendall(b"HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n")
                else:
                    answer(connection)

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    try:
        yield f"http://localhost:{listener.getsockname()[1]}"
    finally:
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()
        thread.join(10)


@pytest.fixture(autouse=True)
def local_names(monkeypatch: pytest.MonkeyPatch) -> None:
    """Lead BUCKET.localhost to this machine, as some resolvers do and some do not; and no proxy may stand in between."""
    resolve = socket.getaddrinfo

    def resolve_local(host: Any, *rest: Any, **more: Any) -> Any:
        return resolve("127.0.0.1" if str(host).endswith(".localhost") else host, *rest, **more)

    monkeypatch.setattr(socket, "getaddrinfo", resolve_local)
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)


def _probe(endpoint: str) -> tuple[Reason, str]:
    tier = build_settled().object_store
    assert tier is not None
    facts = probe_bucket(tier.model_copy(update={"endpoint": endpoint}), _KEYS)
    return facts.reason, facts.detail


def _drip(connection: socket.socket) -> None:
    connection.sendall(b"HTTP/1.1 200 OK\r\nX-Slow: ")
    for _ in range(200):
        connection.sendall(b"a")
        time.sleep(0.05)


def test_answer_that_drips_ends_at_the_deadline(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bounded_http, "_TOTAL_SECONDS", 1)
    with _serve(_drip) as endpoint:
        started = time.monotonic()
        reason, detail = _probe(endpoint)
        assert time.monotonic() - started < 3
    assert reason is Reason.StoreUnreachable
    assert "ReadTimeoutError" in detail


def test_answer_that_never_ends_is_cut_off() -> None:
    sent = 0

    def flood(connection: socket.socket) -> None:
        nonlocal sent
        connection.sendall(b"HTTP/1.1 403 Forbidden\r\nContent-Type: application/xml\r\n\r\n")
        for _ in range(2000):
            connection.sendall(b"<" * 65536)
            sent += 65536

    with _serve(flood) as endpoint:
        reason, detail = _probe(endpoint)
    assert (reason, detail) == (Reason.StoreError, "the answer is too long for an S3 service")
    assert sent < 50 * 2**20


def test_endpoint_that_is_no_http_server_is_unreachable() -> None:
    with _serve(lambda connection: connection.sendall(b"SSH-2.0-OpenSSH\r\n")) as endpoint:
        reason, detail = _probe(endpoint)
    assert reason is Reason.StoreUnreachable
    assert "TOPSECRET" not in detail


def test_refused_connection_is_unreachable_and_names_the_endpoint() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    reason, detail = _probe(f"http://localhost:{port}")
    assert reason is Reason.StoreUnreachable
    assert str(port) in detail


def test_name_that_does_not_resolve_has_its_own_reason() -> None:
    reason, _ = _probe("http://s3.invalid")
    assert reason is Reason.HostNotFound
