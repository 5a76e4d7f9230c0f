"""The Node reflector: paged lists, then a watch, keeping only the facts that checks need.

Nodes are 28 KB each and there may be thousands, so they never pass through kopf, which lists and keeps whole objects.
"""

import asyncio
import json
import logging
import random
import time
from collections.abc import Callable
from typing import Any, Final

import aiohttp
from kubernetes.aio.client.exceptions import ApiException

from inference_cache.domain.kinds import NODE
from inference_cache.domain.node_facts import NodeFacts, project_node

from .connection import Connection
from .errors import ClusterError, GoneError
from .gateway import Gateway
from .liveness import Feed

_log = logging.getLogger(__name__)

_WATCH_SECONDS: Final = 290
# The API server sends a bookmark every minute; a stream that is silent for longer is dead.
_SILENCE_SECONDS: Final = 75
_BACKOFF: Final = (0.5, 1, 2, 5, 10)
# A stream that lives for this long ends the series of failures; lists in between do not, as they cost the most.
_STEADY_SECONDS: Final = 5


class NodeReflector:
    """Keeps the facts of all nodes current.

    Args:
        connection: The way to the API server.
        gateway: For the lists.
        feed: Where success and failure are noted for the health check.
        changed: Called when facts changed, at most once per page or event.
    """

    def __init__(self, connection: Connection, gateway: Gateway, feed: Feed, changed: Callable[[], None]) -> None:
        self._connection = connection
        self._gateway = gateway
        self._feed = feed
        self._changed = changed
        self._nodes: dict[str, NodeFacts] | None = None

    def snapshot(self) -> list[NodeFacts] | None:
        """Return the facts of all nodes, or None before the first complete list."""
        return None if self._nodes is None else list(self._nodes.values())

    async def run(self) -> None:
        """List and watch until cancelled."""
        failures = 0
        while True:
            try:
                version = await self._list()
                while True:
                    started = time.monotonic()
                    version = await self._watch(version)
                    if time.monotonic() - started > _STEADY_SECONDS:
                        failures = 0
            except GoneError as error:
                _log.info("node watch begins anew", extra={"error": str(error)[:500]})
            except (ClusterError, ApiException, aiohttp.ClientError, OSError, TimeoutError, ValueError) as error:
                self._feed.failed(f"{type(error).__name__}: {error}")
                _log.warning("node watch failed, retrying", extra={"error": str(error)[:500]})
            delay = _BACKOFF[min(failures, len(_BACKOFF) - 1)]
            failures += 1
            await asyncio.sleep(delay * random.uniform(0.8, 1.2))  # noqa: S311 - jitter, not a secret

    async def _list(self) -> str:
        found: dict[str, NodeFacts] = {}
        version = ""
        async for page in self._gateway.list_pages(NODE):
            for node in page.get("items", []):
                facts = project_node(node)
                found[facts.name] = facts
            version = page["metadata"]["resourceVersion"]
        self._feed.succeeded()
        if found != self._nodes:
            self._nodes = found
            self._changed()
        return version

    async def _watch(self, version: str) -> str:
        self._feed.asked()
        response = await self._connection.dynamic.request(
            "get",
            "/api/v1/nodes",
            serialize=False,
            _request_timeout=aiohttp.ClientTimeout(total=None, sock_connect=5, sock_read=_SILENCE_SECONDS),
            query_params=[
                ("watch", "true"),
                ("allowWatchBookmarks", "true"),
                ("resourceVersion", version),
                ("timeoutSeconds", str(_WATCH_SECONDS)),
            ],
        )
        self._feed.succeeded()
        started = time.monotonic()
        async with response:
            try:
                async for line in response.content:
                    version = self._take(json.loads(line)) or version
            except TimeoutError:
                # Quiet clusters may stay silent for longer than that; whether the stream was dead shows at the next one.
                _log.debug("node watch was silent, opening another one")
        if time.monotonic() - started < 1:
            # A server that ends streams at once must not be asked in a tight loop.
            await asyncio.sleep(1)
        return version

    def _take(self, event: dict[str, Any]) -> str | None:
        body = event["object"]
        if event["type"] == "ERROR":
            if body.get("code") == 410:
                raise GoneError(body.get("message", ""))
            raise OSError(f"error in the watch stream: {body.get('code')} {body.get('message')}")
        self._feed.succeeded()
        version: str = body["metadata"]["resourceVersion"]
        if event["type"] == "BOOKMARK" or self._nodes is None:
            return version
        name = body["metadata"]["name"]
        facts = None if event["type"] == "DELETED" else project_node(body)
        if facts != self._nodes.get(name):
            if facts is None:
                del self._nodes[name]
            else:
                self._nodes[name] = facts
            self._changed()
        return version
