"""Every action of the fault proxy, seen from the client, the server behind it, and the record."""

import asyncio
import json
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator
from typing import Literal

import aiohttp
import pytest

from e2e.faultproxy import (
    AnswerStatus,
    Delay,
    DropAfter,
    DropBefore,
    DupEvents,
    ErrorEvent,
    EventFilter,
    FreezeWatch,
    Match,
    ProxyServer,
    ReverseRoute,
    Rule,
    Signal,
    SkipEvents,
    StallHeaders,
    Truncate,
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


async def test_status_answers_in_the_servers_place(
    proxy: ProxyServer, upstream: Upstream, client: aiohttp.ClientSession
) -> None:
    action = AnswerStatus(code=429, reason="TooManyRequests", retry_after=2)
    proxy.put_rule(Rule(id="busy", match=Match(verbs=("write",)), action=action, times=1))
    async with client.post(PODS, data=b"x" * 100_000) as answer:
        assert (answer.status, answer.headers["Retry-After"]) == (429, "2")
        status = await answer.json()
        assert (status["kind"], status["reason"], status["code"]) == ("Status", "TooManyRequests", 429)
    assert upstream.writes == []
    async with client.post(PODS, data=b"again") as answer:
        assert answer.status == 201
    busy = await proxy.wait_fired("busy", timeout_s=DEADLINE_S)
    assert (busy.matched, busy.taken, busy.fired) == (2, 1, 1)
    assert [(record.status, record.rule) for record in proxy.requests()] == [(429, "busy"), (201, None)]


async def test_delay_holds_before_or_after_the_commit(
    proxy: ProxyServer, upstream: Upstream, client: aiohttp.ClientSession
) -> None:
    cases: tuple[tuple[Literal["before", "after"], int], ...] = (("before", 0), ("after", 1))
    for when, written in cases:
        upstream.writes.clear()
        proxy.set_rules([Rule(id="late", action=Delay(seconds=0.3, when=when))])
        started = asyncio.get_running_loop().time()
        asking = asyncio.create_task(_post(client))
        await proxy.wait_fired("late", timeout_s=DEADLINE_S)
        assert len(upstream.writes) == written, when
        assert await asking == 201
        assert asyncio.get_running_loop().time() - started >= 0.3


async def _post(client: aiohttp.ClientSession) -> int:
    async with client.post(PODS, data=b"body") as answer:
        return answer.status


async def test_drop_before_never_reaches_the_server(
    proxy: ProxyServer, upstream: Upstream, client: aiohttp.ClientSession
) -> None:
    for reset in (False, True):
        proxy.set_rules([Rule(id="drop", match=Match(verbs=("CREATE",)), action=DropBefore(reset=reset))])
        with pytest.raises((aiohttp.ClientOSError, aiohttp.ServerDisconnectedError)):
            await _post(client)
    assert upstream.writes == []
    assert all(record.status is None and record.error for record in proxy.requests())


async def test_drop_after_commits_without_an_answer(
    proxy: ProxyServer, upstream: Upstream, client: aiohttp.ClientSession
) -> None:
    proxy.set_rules([Rule(id="drop", match=Match(verbs=("CREATE",)), action=DropAfter(), times=1)])
    with pytest.raises((aiohttp.ClientOSError, aiohttp.ServerDisconnectedError)):
        await _post(client)
    assert len(upstream.writes) == 1
    await proxy.wait_fired("drop", timeout_s=DEADLINE_S)
    record = proxy.requests()[0]
    assert (record.status, record.upstream_status, record.rule) == (None, 201, "drop")


async def test_stalled_headers_come_when_cleared(
    proxy: ProxyServer, upstream: Upstream, client: aiohttp.ClientSession
) -> None:
    proxy.set_rules([Rule(id="stall", action=StallHeaders())])
    asking = asyncio.create_task(_post(client))
    await proxy.wait_fired("stall", timeout_s=DEADLINE_S)
    assert upstream.writes == []
    assert not asking.done()
    proxy.clear_rule("stall")
    assert await asking == 201


async def test_truncated_answers_break_off(proxy: ProxyServer, client: aiohttp.ClientSession) -> None:
    proxy.set_rules([Rule(id="cut", action=Truncate(after_bytes=10))])
    with pytest.raises(aiohttp.ClientPayloadError):
        async with client.get(PODS) as answer:
            await answer.read()
    assert proxy.rules()[0].fired == 1
    assert proxy.requests()[0].bytes_sent == 10


async def test_error_event_ends_a_watch_after_real_events(
    proxy: ProxyServer, upstream: Upstream, client: aiohttp.ClientSession
) -> None:
    proxy.set_rules([Rule(id="gone", match=Match(verbs=("WATCH",)), action=ErrorEvent(after_events=2), times=1)])
    async with watching(client, upstream) as answer:
        upstream.push(event("ADDED", "a"), event("BOOKMARK", ""), event("ADDED", "b"), event("ADDED", "c"))
        lines = [json.loads(line) for line in (await answer.content.read()).splitlines()]
    assert [line["type"] for line in lines] == ["ADDED", "BOOKMARK", "ADDED", "ERROR"]
    assert (lines[-1]["object"]["code"], lines[-1]["object"]["reason"]) == (410, "Expired")
    await until(lambda: not upstream.open_streams)
    async with watching(client, upstream) as answer:
        upstream.push(event("ADDED", "c"))
        assert await next_event(answer) == ("ADDED", "c")


async def test_stream_actions_reach_watches_that_are_already_open(
    proxy: ProxyServer, upstream: Upstream, client: aiohttp.ClientSession
) -> None:
    async with watching(client, upstream) as answer:
        upstream.push(event("ADDED", "a"))
        assert await next_event(answer) == ("ADDED", "a")
        proxy.put_rule(Rule(id="gone", match=Match(resource="pods"), action=ErrorEvent(), open_streams=True))
        assert (await next_event(answer))[0] == "ERROR"
        assert await answer.content.read() == b""
    assert proxy.requests()[0].rule == "gone"


async def test_a_frozen_watch_is_silent_until_cleared_then_closed(
    proxy: ProxyServer, upstream: Upstream, client: aiohttp.ClientSession
) -> None:
    async with watching(client, upstream) as answer:
        upstream.push(event("ADDED", "a"))
        assert await next_event(answer) == ("ADDED", "a")
        proxy.put_rule(Rule(id="freeze", action=FreezeWatch(), open_streams=True))
        await proxy.wait_fired("freeze", timeout_s=DEADLINE_S)
        upstream.push(event("ADDED", "b"))
        reading = asyncio.create_task(answer.content.read())
        done, _ = await asyncio.wait({reading}, timeout=0.2)
        assert not done
        assert len(upstream.open_streams) == 1
        proxy.clear_rule("freeze")
        with pytest.raises(aiohttp.ClientPayloadError):
            await reading
    await until(lambda: not upstream.open_streams)


async def test_skipped_and_doubled_events(
    proxy: ProxyServer, upstream: Upstream, client: aiohttp.ClientSession
) -> None:
    proxy.set_rules(
        [
            Rule(
                id="skip",
                match=Match(user_agent="a"),
                action=SkipEvents(events=EventFilter(types=("DELETED",)), limit=1),
            ),
            Rule(id="dup", match=Match(user_agent="b"), action=DupEvents(events=EventFilter(name="x"))),
        ]
    )
    sent = [event("ADDED", "x"), event("DELETED", "x"), event("DELETED", "y"), None]
    expected = {
        "a": [("ADDED", "x"), ("DELETED", "y")],
        "b": [("ADDED", "x"), ("ADDED", "x"), ("DELETED", "x"), ("DELETED", "x"), ("DELETED", "y")],
    }
    for agent, seen in expected.items():
        async with client.get(WATCH, headers={"User-Agent": agent}) as answer:
            await until(lambda: upstream.open_streams)
            upstream.push(*sent)
            lines = [json.loads(line) for line in (await answer.content.read()).splitlines()]
        assert [(line["type"], line["object"]["metadata"]["name"]) for line in lines] == seen
        await until(lambda: not upstream.open_streams)
    assert [state.fired for state in proxy.rules()] == [1, 2]


async def test_truncated_watch_breaks_off_inside_an_event(
    proxy: ProxyServer, upstream: Upstream, client: aiohttp.ClientSession
) -> None:
    proxy.set_rules([Rule(id="cut", action=Truncate(after_bytes=25))])
    async with watching(client, upstream) as answer:
        upstream.push(event("ADDED", "a"))
        assert len(await answer.content.readexactly(25)) == 25
        with pytest.raises(aiohttp.ClientPayloadError):
            await answer.content.read()


# A program that sends one POST and says whether it saw an answer.
_WRITER = """
import http.client, sys
connection = http.client.HTTPConnection("127.0.0.1", int(sys.argv[1]))
connection.request("POST", "/api/v1/namespaces/team-a/pods", b"body")
print(connection.getresponse().status, flush=True)
"""


@pytest.mark.parametrize(("when", "writes"), [("before", 0), ("after", 1)])
async def test_kill_at_a_write_lands_before_or_after_the_commit(
    proxy: ProxyServer, upstream: Upstream, when: str, writes: int
) -> None:
    # The process waits for its argument on standard input, so that its id is known before it writes.
    program = f"import sys; sys.argv.append(sys.stdin.readline()); exec({_WRITER!r})"
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", program, stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    action = Signal.model_validate({"pid": process.pid, "signal": "SIGKILL", "when": when})
    proxy.set_rules([Rule(id="kill", match=Match(verbs=("write",)), action=action, times=1)])
    port = proxy.url.rpartition(":")[2]
    output, _ = await asyncio.wait_for(process.communicate(f"{port}\n".encode()), DEADLINE_S)
    assert process.returncode == -signal.SIGKILL
    assert output == b""
    assert len(upstream.writes) == writes
    assert proxy.rules()[0].fired == 1


async def test_a_stopped_process_gets_its_answer_after_it_continues(proxy: ProxyServer, upstream: Upstream) -> None:
    program = f"import sys; sys.argv.append(sys.stdin.readline()); exec({_WRITER!r})"
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", program, stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    proxy.set_rules([Rule(id="stop", action=Signal(pid=process.pid, signal="SIGSTOP", when="after"))])
    talking = asyncio.create_task(process.communicate(proxy.url.rpartition(":")[2].encode() + b"\n"))
    await proxy.wait_fired("stop", timeout_s=DEADLINE_S)
    await until(lambda: proxy.requests()[0].status == 201)
    done, _ = await asyncio.wait({talking}, timeout=0.2)
    assert not done
    os.kill(process.pid, signal.SIGCONT)
    output, _ = await asyncio.wait_for(talking, DEADLINE_S)
    assert output.strip() == b"201"
    assert len(upstream.writes) == 1
