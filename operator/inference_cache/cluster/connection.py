"""One way into the API server for every part of the process: address, trust, identity and the dynamic client."""

import os
from asyncio import sslproto
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import aiohttp
from kubernetes.aio import config
from kubernetes.aio.client import ApiClient, Configuration
from kubernetes.aio.config.incluster_config import SERVICE_HOST_ENV_NAME
from kubernetes.aio.dynamic import DynamicClient
from kubernetes.aio.dynamic.resource import Resource

from inference_cache import __version__
from inference_cache.domain.kinds import Kind

USER_AGENT: Final = f"inference-cache-operator/{__version__}"
# Bounds the requests that one process has in flight; the API server's own fairness does the rest.
MAX_CONNECTIONS: Final = 64
# Each watch holds a connection for as long as it lives.
_MAX_WATCHES: Final = 32
# asyncio keeps a buffer of 256 KiB for each TLS connection, and each watch has one: with 40 of them that is 10 MiB.
_TLS_BUFFER: Final = 2**16


class _NoDiscovery:
    """The kinds are known at build time, so the dynamic client need not ask the API server for them at start."""

    def __init__(self, client: DynamicClient, cache_file: str | None) -> None:
        del client, cache_file

    def __await__(self) -> Any:
        async def _itself() -> "_NoDiscovery":
            return self

        return _itself().__await__()


@dataclass
class Connection:
    """An open connection."""

    api: ApiClient
    dynamic: DynamicClient

    def resource(self, kind: Kind) -> Resource:
        """Return the address of a kind as the dynamic client wants it."""
        return Resource(
            prefix="apis" if kind.group else "api",
            group=kind.group,
            api_version=kind.version,
            kind=kind.name,
            name=kind.plural,
            namespaced=kind.namespaced,
            verbs=[],
            client=self.dynamic,
        )

    @property
    def server(self) -> str:
        """Base URL of the API server."""
        host: str = self.api.configuration.host
        return host

    async def build_session(self, trace_configs: Sequence[aiohttp.TraceConfig]) -> aiohttp.ClientSession:
        """Return a session with the same address, trust and identity, for the watches.

        The token is the one of this moment; whoever gets 401 with it asks for a new session.
        """
        settings = await self.api.configuration.auth_settings()
        headers = {"User-Agent": f"{USER_AGENT} watch"}
        if "BearerToken" in settings:
            headers["Authorization"] = settings["BearerToken"]["value"]
        return aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=0, ssl=self.api.rest_client.ssl_context),
            headers=headers,
            proxy=self.api.configuration.proxy,
            trust_env=True,
            trace_configs=list(trace_configs),
            # Watch events of large objects exceed the default buffer.
            read_bufsize=2**21,
        )

    async def close(self) -> None:
        """Close every socket."""
        await self.api.close()


async def connect(kubeconfig: Path | None = None) -> Connection:
    """Connect with a kubeconfig, or from within a cluster with the pod's ServiceAccount.

    Raises:
        ConfigException: Neither is there, or the kubeconfig is not usable.
    """
    sslproto.SSLProtocol.max_size = _TLS_BUFFER
    configuration = Configuration()
    if kubeconfig is None and SERVICE_HOST_ENV_NAME in os.environ:
        config.load_incluster_config(client_configuration=configuration)
    else:
        path = str(kubeconfig) if kubeconfig else None
        await config.load_kube_config(config_file=path, client_configuration=configuration, persist_config=False)
    configuration.connection_pool_maxsize = MAX_CONNECTIONS + _MAX_WATCHES
    api = ApiClient(configuration)
    api.user_agent = USER_AGENT
    dynamic = await DynamicClient(api, discoverer=_NoDiscovery)
    return Connection(api, dynamic)
