"""What is known of the operator's surroundings: the API server's version, and the extension of the version table.

Both are read at start and again in every resync period; the ConfigMap is one of the operator's namespace, so a watch on
it would cost more than the few reads do.
"""

import asyncio
import logging
import random
import re
from collections.abc import Callable
from dataclasses import replace
from typing import Final

from kubernetes.aio.client import VersionApi
from kubernetes.aio.client.exceptions import ApiException

from inference_cache.domain.assemble import Platform
from inference_cache.domain.compatibility import KubernetesVersion
from inference_cache.domain.kinds import CONFIG_MAP
from inference_cache.domain.version_extension import CONFIG_MAP_KEY, CONFIG_MAP_NAME, extend_table
from inference_cache.domain.versions import BUILT_IN_TABLE, VersionTable

from . import metrics
from .connection import Connection
from .errors import ClusterError, RefusedError
from .gateway import Gateway

_log = logging.getLogger(__name__)

_RETRY_SECONDS: Final = 5.0


class PlatformReader:
    """Keeps the platform's facts.

    Args:
        connection: For the version of the API server.
        gateway: For the ConfigMap.
        platform: What the settings say.
        period: Seconds between two looks.
        changed: Called when a look found something else than the one before.
    """

    def __init__(
        self,
        connection: Connection,
        gateway: Gateway,
        platform: Platform,
        period: float,
        changed: Callable[[], None],
    ) -> None:
        self._connection = connection
        self._gateway = gateway
        self._platform = platform
        self._period = period
        self._changed = changed
        self.known = False

    @property
    def platform(self) -> Platform:
        """What is known now."""
        return self._platform

    async def run(self) -> None:
        """Look again and again, until cancelled."""
        while True:
            try:
                await self._look()
                delay = self._period * random.uniform(0.9, 1.1)  # noqa: S311 - jitter
            except (ClusterError, ApiException, OSError, TimeoutError) as error:
                _log.warning("version table or server version not read", extra={"error": str(error)[:300]})
                delay = _RETRY_SECONDS
            await asyncio.sleep(delay)

    async def _look(self) -> None:
        # Read each time, as clusters are upgraded while the operator runs.
        kubernetes = await self._read_version() or self._platform.kubernetes
        text = await self._read_extension()
        # Deployments on a pair of the extension must not lose it because someone mistyped, or lost a right.
        before = self._platform.versions
        table, faults = (
            (before, list(self._platform.version_faults)) if text is None else extend_table(BUILT_IN_TABLE, text)
        )
        if faults and text is not None:
            table = VersionTable(before.pairs, tuple(dict.fromkeys((*table.known_bad, *before.known_bad))))
        if faults and tuple(faults) != self._platform.version_faults:
            _log.error(
                "ConfigMap %s has faults, and what was read before stays in force: %s",
                CONFIG_MAP_NAME,
                "; ".join(faults)[:1000],
            )
        metrics.version_table_faults.set(len(faults))
        platform = replace(self._platform, kubernetes=kubernetes, versions=table, version_faults=tuple(faults))
        if platform == self._platform and self.known:
            return
        self._platform = platform
        self.known = True
        self._changed()

    async def _read_extension(self) -> str | None:
        """Return the text, empty where there is no ConfigMap; None where it may not be read."""
        try:
            found = await self._gateway.read(CONFIG_MAP, self._platform.namespace, CONFIG_MAP_NAME)
        except RefusedError as error:
            _log.warning("ConfigMap %s may not be read: %s", CONFIG_MAP_NAME, str(error)[:300])
            return None
        text: str = ((found or {}).get("data") or {}).get(CONFIG_MAP_KEY, "")
        return text

    async def _read_version(self) -> KubernetesVersion | None:
        answer = await VersionApi(self._connection.api).get_code(_request_timeout=10)
        return parse_server_version(str(answer.major), str(answer.minor))


def parse_server_version(major: str, minor: str) -> KubernetesVersion | None:
    """Return the version as numbers; some providers write the minor as 33+."""
    found = re.match(r"^([0-9]+)$", major), re.match(r"^([0-9]+)", minor)
    return (int(found[0][1]), int(found[1][1])) if found[0] and found[1] else None
