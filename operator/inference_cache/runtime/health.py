"""What the kubelet and Prometheus ask: /healthz is 200 only while the operator sees the cluster and gets its work done."""

import asyncio
import time
from collections.abc import Callable
from typing import Final

from aiohttp import web
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest

from inference_cache.cluster import metrics

_LAG_PERIOD_SECONDS: Final = 0.5
STUCK_SECONDS: Final = 120.0
SILENT_SECONDS: Final = 15.0

Check = Callable[[], list[str]]


class HealthServer:
    """Serves /healthz, /readyz and /metrics.

    Args:
        address: Host and port.
        health: Returns a sentence for everything that only a restart or a person can mend.
        readiness: Returns a sentence for everything that is still awaited.
    """

    def __init__(self, address: tuple[str, int], health: Check, readiness: Check) -> None:
        self._address = address
        self._health = health
        self._readiness = readiness
        self._runner: web.AppRunner | None = None

    async def start(self) -> None:
        """Begin to serve.

        Raises:
            OSError: The address cannot be used.
        """
        app = web.Application()
        app.router.add_get("/healthz", self._serve_health)
        app.router.add_get("/readyz", self._serve_readiness)
        app.router.add_get("/metrics", self._serve_metrics)
        self._runner = web.AppRunner(app, access_log=None)
        await self._runner.setup()
        await web.TCPSite(self._runner, *self._address).start()

    async def stop(self) -> None:
        """End serving."""
        if self._runner is not None:
            await self._runner.cleanup()

    async def _serve_health(self, _: web.Request) -> web.Response:
        return _answer(self._health())

    async def _serve_readiness(self, _: web.Request) -> web.Response:
        return _answer(self._readiness())

    async def _serve_metrics(self, _: web.Request) -> web.Response:
        return web.Response(body=generate_latest(), headers={"Content-Type": CONTENT_TYPE_LATEST})


def _answer(problems: list[str]) -> web.Response:
    return web.json_response({"ok": not problems, "problems": problems}, status=503 if problems else 200)


async def measure_loop_lag() -> None:
    """Publish how late the event loop is, until cancelled."""
    while True:
        expected = time.monotonic() + _LAG_PERIOD_SECONDS
        await asyncio.sleep(_LAG_PERIOD_SECONDS)
        metrics.loop_lag_seconds.set(max(0.0, time.monotonic() - expected))
