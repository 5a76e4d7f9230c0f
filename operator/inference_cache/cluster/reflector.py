"""The reflector: paged lists, then a watch, keeping of each object only what checks need.

Nodes are 28 KB each and there may be thousands, so such kinds never pass through kopf, which hands on whole objects.
"""

import asyncio
import json
import logging
import random
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from http import HTTPStatus
from typing import Any, Final, Generic, TypeVar

import aiohttp
from kubernetes.aio.client.exceptions import ApiException

from inference_cache.domain.kinds import Kind

from . import metrics
from .connection import Connection
from .errors import ClusterError, GoneError, RefusedError
from .gateway import Gateway
from .liveness import Feed

_log = logging.getLogger(__name__)

T = TypeVar("T")
Key = tuple[str, str]

# A page of this many objects of 28 KB is parsed in about 10 ms; the event loop serves everything else between pages.
_PAGE: Final = 50
_SLICE_SECONDS: Final = 0.01
_WATCH_SECONDS: Final = 290
# The API server sends a bookmark every minute; a stream that is silent for longer is dead.
_SILENCE_SECONDS: Final = 75
_BACKOFF: Final = (0.5, 1, 2, 5, 10)
# Rights change when a person changes them.
_REFUSED_SECONDS: Final = 180
# A stream that lives for this long ends the series of failures; lists in between do not, as they cost the most.
_STEADY_SECONDS: Final = 5
_RESTART_SECONDS: Final = 10.0


class PagedReflector(Generic[T]):
    """Keeps a projection of every object of a kind current.

    Args:
        connection: The way to the API server.
        gateway: For the lists.
        kind: What is listed and watched, in all namespaces.
        project: Returns what is kept of an object, to be compared by value; None for an object that nobody asks for.
        feed: Where success and failure are noted for the health check. Of a kind that is not vital, a refusal is
            remembered in `refused` and tried again after minutes.
        changed: Called with namespace and name of each object whose projection changed, appeared or went; must be cheap.
        selector: Label selector.
        listed: Called after each complete list, and when what was known is dropped.

    Attributes:
        refused: Why the kind may not be read; empty where nobody refused.
        synced: Whether a complete list was read.
        gone: Called when the API server has not got what was asked for: an old version, or the kind as a whole.
    """

    def __init__(
        self,
        connection: Connection,
        gateway: Gateway,
        kind: Kind,
        project: Callable[[dict[str, Any]], T | None],
        feed: Feed,
        changed: Callable[[str, str], None],
        selector: str = "",
        *,
        listed: Callable[[], None] = lambda: None,
    ) -> None:
        self.kind = kind
        self.refused = ""
        self.synced = False
        self.gone: Callable[[], None] = lambda: None
        self._connection = connection
        self._gateway = gateway
        self._project = project
        self._feed = feed
        self._changed = changed
        self._selector = selector
        self._listed = listed
        self._items: dict[Key, T] = {}
        self._unreadable: set[Key] = set()

    def snapshot(self) -> Mapping[Key, T] | None:
        """Return everything by namespace and name, or None before the first complete list; not a copy."""
        return self._items if self.synced else None

    def get(self, namespace: str, name: str) -> T | None:
        """Return one projection; namespace is empty for kinds without."""
        return self._items.get((namespace, name))

    async def run(self) -> None:
        """List and watch until cancelled."""
        failures = 0
        while True:
            refused = False
            try:
                version = await self._list()
                while True:
                    started = time.monotonic()
                    version = await self._watch(version)
                    if time.monotonic() - started > _STEADY_SECONDS:
                        failures = 0
            except GoneError as error:
                _log.info("watch begins anew", extra={"kind": self.kind.plural, "error": str(error)[:500]})
                self.gone()
            except (ClusterError, ApiException, aiohttp.ClientError, OSError, TimeoutError, ValueError) as error:
                refused = not self._feed.vital and _is_refusal(error)
                if refused:
                    self._refuse(_describe(error))
                else:
                    self._feed.failed(_describe(error))
                    _log.warning(
                        "watch failed, retrying", extra={"kind": self.kind.plural, "error": _describe(error)[:500]}
                    )
            delay = _REFUSED_SECONDS if refused else _BACKOFF[min(failures, len(_BACKOFF) - 1)]
            failures += 1
            await asyncio.sleep(delay * random.uniform(0.8, 1.2))  # noqa: S311 - jitter, not a secret

    def drop(self) -> None:
        """Forget everything, as the kind is not served any more or may not be read any more."""
        known, self._items = self._items, {}
        self._unreadable.clear()
        self.synced = False
        self._feed.succeeded()
        with suppress(KeyError):
            metrics.kind_readable.remove(self.kind.plural)
        for namespace, name in known:
            self._changed(namespace, name)
        self._listed()

    def _refuse(self, message: str) -> None:
        if not self.refused:
            _log.warning("%s may not be read: %s", self.kind.plural, message[:300])
        self.refused = message[:300]
        self.drop()
        metrics.kind_readable.labels(self.kind.plural).set(0)

    async def _list(self) -> str:
        seen: set[Key] = set()
        version = ""
        async for page in self._gateway.list_pages(self.kind, self._selector, limit=_PAGE):
            for body in page.get("items", []):
                key = _key(body)
                seen.add(key)
                self._put(key, self._read(body))
            version = page["metadata"]["resourceVersion"]
            # A long list that goes on is no blindness.
            self._feed.succeeded()
            # The next page replaces this one; both at a time would double the peak.
            del page
        self._unreadable &= seen
        for key in [key for key in self._items if key not in seen]:
            self._put(key, None)
        if not self.synced:
            _log.info("%s: first list is complete", self.kind.plural, extra={"objects": len(self._items)})
        self.refused = ""
        self.synced = True
        if not self._feed.vital:
            metrics.kind_readable.labels(self.kind.plural).set(1)
        self._listed()
        return version

    async def _watch(self, version: str) -> str:
        self._feed.asked()
        query = [
            ("watch", "true"),
            ("allowWatchBookmarks", "true"),
            ("resourceVersion", version),
            ("timeoutSeconds", str(_WATCH_SECONDS)),
        ]
        response = await self._connection.dynamic.request(
            "get",
            self._connection.resource(self.kind).path(),
            serialize=False,
            _request_timeout=aiohttp.ClientTimeout(total=None, sock_connect=5, sock_read=_SILENCE_SECONDS),
            query_params=[*query, *([("labelSelector", self._selector)] if self._selector else [])],
        )
        self._feed.succeeded()
        started = busy_since = time.monotonic()
        async with response:
            try:
                async for line in response.content:
                    version = self._take(json.loads(line)) or version
                    # What has arrived is read without giving way, and a storm of events fills megabytes.
                    if time.monotonic() - busy_since > _SLICE_SECONDS:
                        await asyncio.sleep(0)
                        busy_since = time.monotonic()
            except TimeoutError:
                # Quiet clusters may stay silent for longer than that; whether the stream was dead shows at the next one.
                _log.debug("watch of %s was silent, opening another one", self.kind.plural)
        if time.monotonic() - started < 1:
            # A server that ends streams at once must not be asked in a tight loop.
            await asyncio.sleep(1)
        return version

    def _take(self, event: dict[str, Any]) -> str | None:
        body = event["object"]
        if event["type"] == "ERROR":
            if body.get("code") == HTTPStatus.GONE:
                raise GoneError(body.get("message", ""))
            raise OSError(f"error in the watch stream: {body.get('code')} {body.get('message')}")
        self._feed.succeeded()
        version: str = body["metadata"]["resourceVersion"]
        if event["type"] != "BOOKMARK":
            if event["type"] == "DELETED":
                self._unreadable.discard(_key(body))
                self._put(_key(body), None)
            else:
                self._put(_key(body), self._read(body))
        return version

    def _read(self, body: dict[str, Any]) -> T | None:
        key = _key(body)
        try:
            value = self._project(body)
        except Exception as error:  # noqa: BLE001 - projections are pure, so whatever fails is the object's fault
            # One object that somebody wrote in another shape must not blind the operator to all others.
            if key not in self._unreadable:
                self._unreadable.add(key)
                _log.warning(
                    "object is not understood and left out",
                    extra={"kind": self.kind.plural, "object": "/".join(key), "error": f"{error!r}"[:200]},
                )
            return None
        self._unreadable.discard(key)
        return value

    def _put(self, key: Key, value: T | None) -> None:
        if value == self._items.get(key):
            return
        if value is None:
            del self._items[key]
        else:
            self._items[key] = value
        self._changed(*key)


def _key(body: dict[str, Any]) -> Key:
    metadata = body["metadata"]
    return metadata.get("namespace", ""), metadata["name"]


def _is_refusal(error: Exception) -> bool:
    if isinstance(error, ApiException):
        return bool(error.status == HTTPStatus.FORBIDDEN)
    return isinstance(error, RefusedError)


def _describe(error: Exception) -> str:
    if isinstance(error, ApiException):
        return f"{error.status} {error.reason}"
    return str(error) if isinstance(error, ClusterError) else f"{type(error).__name__}: {error}"


async def supervise(reflector: PagedReflector[Any]) -> None:
    """Run a reflector; whatever ends it, nothing that is optional ends the process."""
    while True:
        try:
            await reflector.run()
        except Exception:  # noqa: BLE001 - see above
            _log.exception("reading %s ended, starting again", reflector.kind.plural)
        await asyncio.sleep(_RESTART_SECONDS)
