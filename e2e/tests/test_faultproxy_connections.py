"""Connections through the fault proxy: who leaves takes the other side along, load and slow readers are borne."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import suppress
from pathlib import Path

import aiohttp
import pytest

from e2e.faultproxy import (
    ProxyServer,
    ReverseRoute,
)
from e2e.tests.faultproxy_upstream import (
    DEADLINE_S,
    PODS,
    WATCH,
    Upstream,
    event,
    next_event,
    serve_upstream,
    until,
    watching,
)


@pytest.fixture
async def upstream() -> AsyncIterator[Upstream]:
    async with serve_upstream() as server:
        yield server


@pytest.fixture
async def proxy(upstream: Upstream) -> AsyncIterator[ProxyServer]:
    async with ProxyServer(ReverseRoute.to_server(upstream.url)) as server:
        yield server


@pytest.fixture
async def client(proxy: ProxyServer) -> AsyncIterator[aiohttp.ClientSession]:
    timeout = aiohttp.ClientTimeout(total=DEADLINE_S)
    connector = aiohttp.TCPConnector(limit=0)
    async with aiohttp.ClientSession(proxy.url, connector=connector, timeout=timeout) as session:
        yield session


async def test_a_client_that_leaves_ends_its_server_connection(
    proxy: ProxyServer, upstream: Upstream, client: aiohttp.ClientSession
) -> None:
    async with watching(client, upstream):
        assert proxy.open_watches == 1
    await until(lambda: not upstream.open_streams)
    await until(lambda: proxy.open_watches == 0)
    with pytest.raises(TimeoutError):
        await client.get("/slow", timeout=aiohttp.ClientTimeout(total=0.1))
    await until(lambda: proxy.open_connections == 0)
    assert all(record.error == "the client closed the connection" for record in proxy.requests())


async def test_a_server_that_leaves_ends_its_client_connections() -> None:
    async def cut_off(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{}")
        writer.close()
        await writer.wait_closed()

    server = await asyncio.start_server(cut_off, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    async with (
        server,
        ProxyServer(ReverseRoute.to_server(f"http://127.0.0.1:{port}")) as proxy,
        aiohttp.ClientSession(proxy.url) as session,
        session.get(WATCH) as answer,
    ):
        with pytest.raises(aiohttp.ClientPayloadError):
            await answer.read()


async def test_an_unreachable_server_looks_like_a_closed_connection(unused_port: int) -> None:
    async with ProxyServer(ReverseRoute.to_server(f"http://127.0.0.1:{unused_port}")) as proxy:
        async with aiohttp.ClientSession(proxy.url) as session:
            with pytest.raises(aiohttp.ClientConnectionError):
                await session.get(PODS)
        assert proxy.requests()[0].error


@pytest.fixture
async def unused_port() -> int:
    server = await asyncio.start_server(lambda _reader, _writer: None, "127.0.0.1", 0)
    port: int = server.sockets[0].getsockname()[1]
    server.close()
    await server.wait_closed()
    return port


async def test_a_kept_connection_survives_the_server_closing_it_while_idle(unused_port: int) -> None:
    served = 0

    async def once(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal served
        await reader.readuntil(b"\r\n\r\n")
        served += 1
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
        writer.close()
        await writer.wait_closed()

    server = await asyncio.start_server(once, "127.0.0.1", unused_port)
    async with (
        server,
        ProxyServer(ReverseRoute.to_server(f"http://127.0.0.1:{unused_port}")) as proxy,
        aiohttp.ClientSession(proxy.url) as session,
    ):
        for _ in range(5):
            async with session.get(PODS) as answer:
                assert await answer.text() == "ok"
        assert proxy.open_connections == 1
    assert served == 5


async def test_a_slow_reader_holds_the_server_back(unused_port: int) -> None:
    written = 0
    left = asyncio.Event()

    async def flood(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal written
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 1000000000\r\n\r\n")
        try:
            while True:
                writer.write(b"x" * 65_536)
                await writer.drain()
                written += 65_536
        except ConnectionError:
            writer.close()
            with suppress(ConnectionError):
                await writer.wait_closed()
            left.set()

    server = await asyncio.start_server(flood, "127.0.0.1", unused_port)
    async with server, ProxyServer(ReverseRoute.to_server(f"http://127.0.0.1:{unused_port}")) as proxy:
        port = int(proxy.url.rpartition(":")[2])
        _, writer = await asyncio.open_connection("127.0.0.1", port, limit=1024)
        writer.write(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        before = -1
        async with asyncio.timeout(DEADLINE_S):
            while written == 0 or written != before:
                before = written
                await asyncio.sleep(0.3)
        assert written < 50_000_000, "socket buffers only, not the whole answer"
        writer.transport.abort()
        await asyncio.wait_for(left.wait(), DEADLINE_S)
        await until(lambda: proxy.open_connections == 0)


async def test_hundreds_of_watches_at_once_leave_nothing_behind(upstream: Upstream) -> None:
    count = 600
    tasks_before = len(asyncio.all_tasks())
    sockets_before = _open_sockets()
    async with ProxyServer(ReverseRoute.to_server(upstream.url)) as proxy:
        connector = aiohttp.TCPConnector(limit=0)
        async with aiohttp.ClientSession(proxy.url, connector=connector) as session:

            async def first_event() -> tuple[str, str]:
                async with session.get(WATCH) as answer:
                    return await next_event(answer)

            watchers = [asyncio.create_task(first_event()) for _ in range(count)]
            await until(lambda: proxy.open_watches == count == len(upstream.open_streams))
            upstream.push(event("ADDED", "a"))
            assert set(await asyncio.gather(*watchers)) == {("ADDED", "a")}
            still_open = [asyncio.create_task(first_event()) for _ in range(20)]
            await until(lambda: proxy.open_watches == 20)
            await proxy.close()
            ended = await asyncio.gather(*still_open, return_exceptions=True)
            assert all(isinstance(end, aiohttp.ClientError) for end in ended)
    await until(lambda: not upstream.open_streams)
    await until(lambda: len(asyncio.all_tasks()) <= tasks_before)
    await until(lambda: _open_sockets() <= sockets_before)


def _open_sockets() -> int:
    count = 0
    for entry in Path("/proc/self/fd").iterdir():
        try:
            count += str(entry.readlink()).startswith("socket:")
        except FileNotFoundError:
            continue
    return count
