"""Which kinds of other projects the API server serves, looked at again and again, and the reflectors that depend on it.

Projects are installed and removed while the operator runs. One request tells all groups, and the API server answers it
with 304 while nothing changed.
"""

import asyncio
import json
import logging
import random
from collections.abc import Callable, Mapping
from http import HTTPStatus
from typing import Any, Final

import aiohttp
from kubernetes.aio.client.exceptions import ApiException

from inference_cache.domain.kinds import Kind

from .connection import Connection
from .reflector import PagedReflector, supervise

_log = logging.getLogger(__name__)

_RETRY_SECONDS: Final = (1, 2, 5, 10, 30)
# Aggregated discovery is on in every version since Kubernetes 1.27.
_ACCEPT: Final = ",".join(
    f"application/json;g=apidiscovery.k8s.io;v={version};as=APIGroupDiscoveryList" for version in ("v2", "v2beta1")
)

Reflector = PagedReflector[Any]
Served = frozenset[tuple[str, str]]


class Discovery:
    """Knows the served kinds, and runs a reflector for as long as its kind is served.

    Args:
        connection: The way to the API server.
        seconds: Pause between two looks.
    """

    def __init__(self, connection: Connection, seconds: float = 60) -> None:
        self._connection = connection
        self._seconds = seconds
        self._served: Served | None = None
        self._reflectors: list[Reflector] = []
        self._tasks: dict[Reflector, asyncio.Task[None]] = {}
        self._callbacks: list[Callable[[], None]] = []
        self._tag = ""
        self._look = asyncio.Event()
        self.failure = ""

    @property
    def known(self) -> bool:
        """Whether the API server has told once what it serves."""
        return self._served is not None

    @property
    def refused(self) -> Mapping[Kind, str]:
        """The kinds that are served and that the operator may not read, with the API server's words."""
        return {item.kind: item.refused for item in self._reflectors if item.refused}

    def serves(self, kind: Kind) -> bool | None:
        """Whether a kind is served in the version that we know; None before that is known."""
        if not kind.group:
            return True
        return None if self._served is None else (kind.api_version, kind.plural) in self._served

    def is_settled(self, reflector: Reflector) -> bool:
        """Whether all objects of a kind were read, or none can be."""
        served = self.serves(reflector.kind)
        return served is False or bool(served and (reflector.synced or reflector.refused))

    def subscribe(self, callback: Callable[[], None]) -> None:
        """Have a callback called whenever other kinds are served than before."""
        self._callbacks.append(callback)

    def attach(self, reflector: Reflector) -> None:
        """Have a reflector run while its kind is served; call it before `run`."""
        self._reflectors.append(reflector)
        reflector.gone = self.look_soon

    def look_soon(self) -> None:
        """Look now rather than after the pause."""
        self._look.set()

    async def run(self) -> None:
        """Look again and again, until cancelled."""
        failures = 0
        async with asyncio.TaskGroup() as group:
            while True:
                self._look.clear()
                try:
                    served = await self._read()
                    failures, self.failure = 0, ""
                    pause = self._seconds * random.uniform(0.9, 1.1)  # noqa: S311 - jitter
                    if served is not None and served != self._served:
                        self._served = served
                        self._arrange(group)
                        for callback in self._callbacks:
                            callback()
                except (ApiException, aiohttp.ClientError, OSError, ValueError, LookupError, TypeError) as error:
                    self.failure = f"{type(error).__name__}: {error}"[:300]
                    _log.warning("served kinds not read, trying again", extra={"error": self.failure})
                    pause = _RETRY_SECONDS[min(failures, len(_RETRY_SECONDS) - 1)]
                    failures += 1
                try:
                    async with asyncio.timeout(pause):
                        await self._look.wait()
                except TimeoutError:
                    continue

    async def _read(self) -> Served | None:
        """Return what is served, or None where nothing changed."""
        headers = {"Accept": _ACCEPT, **({"If-None-Match": self._tag} if self._tag else {})}
        try:
            response = await self._connection.dynamic.request(
                "get", "/apis", serialize=False, _request_timeout=20, header_params=headers
            )
        except ApiException as error:
            if error.status == HTTPStatus.NOT_MODIFIED:
                return None
            raise
        body = json.loads(await response.read())
        served = parse_discovery(body, self._served or frozenset())
        self._tag = response.headers.get("ETag", "")
        return served

    def _arrange(self, group: asyncio.TaskGroup) -> None:
        """Start and stop reflectors."""
        for reflector in self._reflectors:
            task = self._tasks.get(reflector)
            served = self.serves(reflector.kind)
            if served and task is None:
                _log.info("%s are served and will be read", reflector.kind.plural)
                self._tasks[reflector] = group.create_task(supervise(reflector), name=f"{reflector.kind.plural}")
            elif not served and task is not None:
                _log.info("%s are not served any more", reflector.kind.plural)
                task.cancel()
                del self._tasks[reflector]
                reflector.refused = ""
                reflector.drop()


def parse_discovery(body: dict[str, Any], before: Served) -> Served:
    """Return group version and plural of every resource in an answer of aggregated discovery.

    Args:
        body: The answer.
        before: What was known, for group versions that the API server could not ask for just now.

    Raises:
        ValueError: The API server gave another answer than that.
    """
    if body.get("kind") != "APIGroupDiscoveryList":
        raise ValueError(f"the API server has no aggregated discovery, it answers with {body.get('kind')}")
    found = set()
    for group in body["items"]:
        for version in group.get("versions") or ():
            name = f"{group['metadata']['name']}/{version['version']}"
            if version.get("freshness") == "Stale":
                found |= {item for item in before if item[0] == name}
            found |= {(name, item["resource"]) for item in version.get("resources") or ()}
    return frozenset(found)
