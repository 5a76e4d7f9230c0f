"""The fault proxy as a proxy: relaying, its record, host routes, and the three ways to run it."""

import asyncio
import json
import signal
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest
import yaml

from e2e.faultproxy import (
    AnswerStatus,
    FaultProxy,
    FaultProxyClient,
    ForwardRoutes,
    Match,
    Pass,
    ProxyServer,
    ReverseRoute,
    Rule,
    write_kubeconfig,
)
from e2e.tests.faultproxy_upstream import (
    DEADLINE_S,
    PODS,
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


async def test_requests_pass_with_headers_bodies_and_a_record(
    proxy: ProxyServer, upstream: Upstream, client: aiohttp.ClientSession
) -> None:
    async with client.get(PODS, headers={"User-Agent": "op/1"}) as answer:
        assert (answer.status, answer.headers["X-Kept"]) == (200, "Yes")
        assert len((await answer.json())["items"][0]) == 1000
    async with client.post(PODS, data=b"body", headers={"User-Agent": "op/1"}) as answer:
        assert answer.status == 201
        # A client closes a connection whose answer it left unread.
        await answer.read()
    assert upstream.writes == [("POST", PODS, b"body")]
    await until(lambda: all(record.duration_s is not None for record in proxy.requests()))
    first, second = proxy.requests()
    assert (first.sequence, first.verb, first.resource, first.namespace, first.status) == (
        1,
        "LIST",
        "pods",
        "team-a",
        200,
    )
    assert (second.sequence, second.verb, second.status, second.user_agent) == (2, "CREATE", 201, "op/1")
    assert first.bytes_sent > 1000
    assert [record.sequence for record in proxy.requests(since=1)] == [2]
    assert {(total.verb, total.resource, total.count) for total in proxy.totals()} == {
        ("LIST", "pods", 1),
        ("CREATE", "pods", 1),
    }
    assert proxy.open_connections == 1, "both requests share the client's kept connection"


async def test_the_record_is_a_ring_and_the_totals_go_on(upstream: Upstream) -> None:
    async with (
        ProxyServer(ReverseRoute.to_server(upstream.url), journal_capacity=3) as proxy,
        aiohttp.ClientSession(proxy.url) as client,
    ):
        for _ in range(5):
            async with client.get(PODS) as answer:
                await answer.read()
        assert [record.sequence for record in proxy.requests()] == [3, 4, 5]
        assert proxy.totals()[0].count == 5


async def test_chunked_uploads_stream_both_ways(upstream: Upstream, client: aiohttp.ClientSession) -> None:
    async def pieces() -> AsyncIterator[bytes]:
        for _ in range(64):
            yield b"x" * 65_536

    async with client.put("/upload", data=pieces()) as answer:
        assert (await answer.json())["bytes"] == 64 * 65_536
    async with client.put("/upload", data=b"y", expect100=True) as answer:
        assert answer.status == 200
    assert upstream.uploaded == 64 * 65_536 + 1


async def test_watch_events_pass_one_by_one(upstream: Upstream, client: aiohttp.ClientSession) -> None:
    async with watching(client, upstream) as answer:
        for number in range(3):
            upstream.push(event("ADDED", f"p{number}"))
            assert await next_event(answer) == ("ADDED", f"p{number}")
        upstream.push(None)
        assert await answer.content.read() == b""


async def test_forward_proxy_routes_by_host_and_tunnels(upstream: Upstream) -> None:
    routes = ForwardRoutes.parse([f".s3.internal=127.0.0.1:{upstream.port}"])
    async with ProxyServer(routes) as proxy, aiohttp.ClientSession() as session:
        async with session.get("http://bucket.s3.internal:7070/key", proxy=proxy.url) as answer:
            assert answer.status == 200
        async with session.get("http://other.example/key", proxy=proxy.url) as answer:
            assert answer.status == 502
        action = AnswerStatus(code=503, reason="SlowDown")
        proxy.put_rule(Rule(id="slow", match=Match(host=".s3.internal", verbs=("GET",)), action=action))
        async with session.get("http://bucket.s3.internal:7070/key", proxy=proxy.url) as answer:
            assert answer.status == 503
            assert "<Code>SlowDown</Code>" in await answer.text()
        reader, writer = await asyncio.open_connection("127.0.0.1", int(proxy.url.rpartition(":")[2]))
        writer.write(b"CONNECT bucket.s3.internal:443 HTTP/1.1\r\nHost: bucket.s3.internal:443\r\n\r\n")
        assert (await reader.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 200 ")
        writer.write(b"GET /through HTTP/1.1\r\nHost: bucket.s3.internal\r\nConnection: close\r\n\r\n")
        assert (await reader.read()).startswith(b"HTTP/1.1 200 ")
        writer.close()
        await writer.wait_closed()
    assert [(record.verb, record.status) for record in proxy.requests()] == [
        ("GET", 200),
        ("GET", 502),
        ("GET", 503),
        ("CONNECT", 200),
    ]


async def test_thread_hosted_proxy_is_scripted_without_a_loop(upstream: Upstream) -> None:
    def script() -> list[str]:
        with FaultProxy.start(ReverseRoute.to_server(upstream.url)) as proxy:
            proxy.set_rules([Rule(id="seen", action=Pass())])
            asking = asyncio.run_coroutine_threadsafe(_get(proxy.url + PODS), loop)
            assert asking.result(DEADLINE_S) == 200
            assert proxy.wait_fired("seen", timeout_s=DEADLINE_S).taken == 1
            with pytest.raises(KeyError):
                proxy.clear_rule("unknown")
            proxy.remove_rule("seen")
            assert proxy.rules() == []
            return [record.verb for record in proxy.requests()]

    loop = asyncio.get_running_loop()
    assert await asyncio.to_thread(script) == ["LIST"]


async def _get(url: str) -> int:
    async with aiohttp.ClientSession() as session, session.get(url) as answer:
        await answer.read()
        return answer.status


async def test_process_with_control_api(upstream: Upstream, tmp_path: Path) -> None:
    kubeconfig = tmp_path / "kubeconfig"
    (tmp_path / "ca.pem").touch()
    kubeconfig.write_text(yaml.safe_dump(_kubeconfig(upstream.url)))
    through = tmp_path / "through"
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "e2e.faultproxy", "reverse", "--kubeconfig", str(kubeconfig), "--control-port", "0"),
        *("--write-kubeconfig", str(through)),
        stdout=subprocess.PIPE,
        cwd=Path(__file__).parents[2],
    )
    assert process.stdout is not None
    try:
        addresses = json.loads(await asyncio.wait_for(process.stdout.readline(), DEADLINE_S))
        assert yaml.safe_load(through.read_text())["clusters"][0]["cluster"] == {"server": addresses["url"]}
        control = FaultProxyClient(addresses["control"])

        def rules() -> None:
            control.set_rules([Rule(id="a", action=AnswerStatus(code=500)), Rule(id="b", action=Pass())])
            control.put_rule(Rule(id="c", action=Pass()))
            control.remove_rule("b")
            with pytest.raises(KeyError):
                control.remove_rule("b")
            with pytest.raises(ValueError, match="repeat"):
                control.set_rules([Rule(id="a", action=Pass())] * 2)
            with pytest.raises(TimeoutError):
                control.wait_fired("a", timeout_s=0.01)

        await asyncio.to_thread(rules)
        waiting = asyncio.create_task(asyncio.to_thread(control.wait_fired, "a", timeout_s=DEADLINE_S))
        assert await _get(addresses["url"] + PODS) == 500
        assert (await waiting).fired == 1
        await asyncio.to_thread(control.clear_rule, "a")
        assert await _get(addresses["url"] + PODS) == 200
        states = await asyncio.to_thread(control.rules)
        assert [(state.rule.id, state.taken, state.cleared) for state in states] == [("a", 1, True), ("c", 1, False)]
        assert [record.status for record in await asyncio.to_thread(control.requests)] == [500, 200]
        assert (await asyncio.to_thread(control.totals))[0].count == 2
        await asyncio.to_thread(control.remove_rules)
        assert await asyncio.to_thread(control.rules) == []
    finally:
        process.send_signal(signal.SIGTERM)
        returned = await asyncio.wait_for(process.wait(), DEADLINE_S)
    assert returned == 0


def _kubeconfig(server: str, **user: str) -> dict[str, Any]:
    return {
        "current-context": "main",
        "contexts": [{"name": "main", "context": {"cluster": "c", "user": "u", "namespace": "team-a"}}],
        "clusters": [{"name": "c", "cluster": {"server": server, "certificate-authority": "ca.pem"}}],
        "users": [{"name": "u", "user": user or {"token": "secret"}}],
    }


def test_written_kubeconfig_keeps_the_user_and_is_private(tmp_path: Path) -> None:
    source = tmp_path / "source"
    source.write_text(yaml.safe_dump(_kubeconfig("https://127.0.0.1:6443")))
    written = write_kubeconfig(source, tmp_path / "written", "http://127.0.0.1:9000")
    config = yaml.safe_load(written.read_text())
    assert config["clusters"][0]["cluster"] == {"server": "http://127.0.0.1:9000"}
    assert config["users"][0]["user"] == {"token": "secret"}
    assert config["contexts"][0]["context"]["namespace"] == "team-a"
    assert written.stat().st_mode & 0o777 == 0o600
    source.write_text(yaml.safe_dump(_kubeconfig("https://127.0.0.1:6443", **{"client-certificate": "c.pem"})))
    with pytest.raises(ValueError, match="client certificates"):
        write_kubeconfig(source, tmp_path / "other", "http://127.0.0.1:9000")
