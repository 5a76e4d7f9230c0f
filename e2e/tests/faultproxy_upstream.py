"""A small server behind the fault proxy under test: counts writes, and streams the events that a test pushes."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
from aiohttp import web

PODS = "/api/v1/namespaces/team-a/pods"
WATCH = f"{PODS}?watch=true"
DEADLINE_S = 10.0


class Upstream:
    """Counts writes, streams events pushed by the test, and knows how many streams are open."""

    def __init__(self) -> None:
        self.port = 0
        self.writes: list[tuple[str, str, bytes]] = []
        self.uploaded = 0
        self.open_streams: set[asyncio.Queue[dict[str, Any] | None]] = set()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    async def handle(self, request: web.Request) -> web.StreamResponse:
        if request.query.get("watch"):
            return await self._watch(request)
        if request.path == "/slow":
            await asyncio.Event().wait()
        if request.path == "/upload":
            async for chunk in request.content.iter_any():
                self.uploaded += len(chunk)
            return web.json_response({"bytes": self.uploaded})
        if request.method == "GET":
            return web.json_response({"kind": "PodList", "items": ["x" * 1000]}, headers={"X-Kept": "Yes"})
        self.writes.append((request.method, request.path, await request.read()))
        return web.json_response({"kind": "Pod"}, status=201)

    async def _watch(self, request: web.Request) -> web.StreamResponse:
        answer = web.StreamResponse(headers={"Content-Type": "application/json"})
        await answer.prepare(request)
        queue: asyncio.Queue[dict[str, Any] | None] = asyncio.Queue()
        self.open_streams.add(queue)
        try:
            while (event := await queue.get()) is not None:
                await answer.write(json.dumps(event).encode() + b"\n")
        finally:
            self.open_streams.discard(queue)
        return answer

    def push(self, *events: dict[str, Any] | None) -> None:
        for queue in self.open_streams:
            for event in events:
                queue.put_nowait(event)


def event(kind: str, name: str) -> dict[str, Any]:
    return {"type": kind, "object": {"kind": "Pod", "metadata": {"name": name, "namespace": "team-a"}}}


async def until(condition: Callable[[], object]) -> None:
    """Poll until a condition holds; TimeoutError after the deadline."""
    async with asyncio.timeout(DEADLINE_S):
        while not condition():  # noqa: ASYNC110 - the conditions are other sides' connections, which set no event
            await asyncio.sleep(0.005)


@asynccontextmanager
async def serve_upstream() -> AsyncIterator[Upstream]:
    """Serve an upstream for the test that enters this."""
    server = Upstream()
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", server.handle)
    runner = web.AppRunner(app, access_log=None, handler_cancellation=True, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    server.port = runner.addresses[0][1]
    try:
        yield server
    finally:
        await runner.cleanup()


@asynccontextmanager
async def watching(client: aiohttp.ClientSession, upstream: Upstream) -> AsyncIterator[aiohttp.ClientResponse]:
    before = len(upstream.open_streams)
    async with client.get(WATCH) as answer:
        assert answer.status == 200
        await until(lambda: len(upstream.open_streams) > before)
        yield answer


async def next_event(answer: aiohttp.ClientResponse) -> tuple[str, str]:
    parsed = json.loads(await answer.content.readline())
    return parsed["type"], parsed["object"].get("metadata", {}).get("name", "")
