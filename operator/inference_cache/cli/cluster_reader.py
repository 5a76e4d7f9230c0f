"""Reads what commands show from a cluster: GET requests alone, bounded in time and size, every failure in one clear line."""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, Final, NoReturn, TypeVar

import aiohttp
from kubernetes.aio.client.exceptions import ApiException
from kubernetes.aio.config import ConfigException

from inference_cache.cluster.connection import Connection, connect
from inference_cache.domain.kinds import DEPLOYMENT, FABRIC, NODE, Kind
from inference_cache.domain.node_facts import NodeFacts, project_node

from .failure import CommandError
from .kubeconfig import Access

_REQUEST_SECONDS: Final = 10
_TOTAL_SECONDS: Final = 60
_PAGE: Final = 500

Object = dict[str, Any]
T = TypeVar("T")


class ForbiddenError(CommandError):
    """The user may not read something."""


class NotServedError(CommandError):
    """The API server does not know a kind."""


@dataclass(frozen=True)
class ClusterReader:
    """Reads objects; it has no way to write."""

    connection: Connection
    access: Access

    async def read(self, kind: Kind, namespace: str | None, name: str) -> Object | None:
        """Return an object, or None where there is none."""
        path = self.connection.resource(kind).path(name=name, namespace=namespace)
        return await self._get(path, f"get {kind.plural} {name}", kind)

    async def list_items(self, kind: Kind, namespace: str | None = None, **query: str) -> AsyncIterator[Object]:
        """Yield the objects of a list, page by page."""
        path = self.connection.resource(kind).path(namespace=namespace)
        token = ""
        while True:
            params = {"limit": str(_PAGE), **query, **({"continue": token} if token else {})}
            page = await self._get(path, f"list {kind.plural}", kind, list(params.items()))
            if page is None:
                # A list of nothing is found; only a kind that is not served is not.
                self._raise_unknown(kind)
            for item in page.get("items", []):
                yield item
            token = page.get("metadata", {}).get("continue", "")
            if not token:
                return

    async def read_deployment(self, namespace: str, name: str) -> Object:
        """Return a deployment.

        Raises:
            CommandError: There is none of that name.
        """
        found = await self.read(DEPLOYMENT, namespace, name)
        if found is None:
            raise CommandError(
                f"there is no deployment {name} in namespace {namespace}",
                "kubectl get icd -A lists those of every namespace.",
            )
        return found

    async def read_nodes(self) -> tuple[NodeFacts, ...]:
        """Return the facts of all nodes; of each page only these are kept."""
        return tuple([project_node(node) async for node in self.list_items(NODE)])

    async def read_fabric(self, spec: Mapping[str, Any]) -> Object | None:
        """Return the InferenceCacheFabric that a spec names; None where it names none or there is none of that name."""
        name = ((spec.get("transport") or {}).get("fabricRef") or {}).get("name")
        return await self.read(FABRIC, None, name) if name else None

    async def _get(
        self, path: str, what: str, kind: Kind, params: list[tuple[str, str]] | None = None
    ) -> Object | None:
        try:
            response = await self.connection.dynamic.request(
                "get", path, serialize=False, query_params=params or [], _request_timeout=_REQUEST_SECONDS
            )
            found: Object = json.loads(await response.read())
        except ApiException as error:
            if error.status == 404 and _is_status(error):
                return None
            self._raise(error, what, kind)
        except TimeoutError as error:
            raise CommandError(
                f"the API server {self.connection.server} did not answer within {_REQUEST_SECONDS} s ({what})",
                "Try again.",
            ) from error
        except json.JSONDecodeError as error:
            raise CommandError(
                f"{self.connection.server} answers, but not as an API server does ({what})",
                f"Check the address in context {self.access.context}; a proxy or a login page may stand before it.",
            ) from error
        except (aiohttp.ClientError, OSError, ValueError) as error:
            raise CommandError(
                f"the API server {self.connection.server} cannot be reached: {error}",
                f"Check the network and context {self.access.context}; kubectl get nodes must work.",
            ) from error
        return found

    def _raise_unknown(self, kind: Kind) -> NoReturn:
        raise NotServedError(
            f"the cluster does not know {kind.plural}.{kind.group or 'v1'}",
            "Install the operator's CRDs (kubectl apply --server-side -k manifests/base), or check the context.",
        )

    def _raise(self, error: ApiException, what: str, kind: Kind) -> NoReturn:
        message = _read_message(error)
        if error.status == 404:
            self._raise_unknown(kind)
        if error.status == 401:
            raise CommandError(
                f"the API server does not accept the credentials of context {self.access.context}", "Log in again."
            ) from error
        if error.status == 403:
            raise ForbiddenError(f"you may not {what}: {message}", "Ask for that right, which is read-only.") from error
        raise CommandError(f"the API server fails ({what}): {error.status} {message}", "Try again.") from error


@asynccontextmanager
async def open_reader(access: Access) -> AsyncIterator[ClusterReader]:
    """Connect, and close the connection at the end.

    Raises:
        CommandError: The kubeconfig is of no use.
    """
    with access.open_kubeconfig() as path:
        try:
            connection = await connect(path)
        except (ConfigException, OSError, ValueError, KeyError) as error:
            raise CommandError(
                f"context {access.context} is not usable: {' '.join(str(error).split())}",
                "kubectl get nodes must work with it.",
            ) from error
    try:
        yield ClusterReader(connection, access)
    finally:
        await connection.close()


def read_cluster(access: Access, work: Callable[[ClusterReader], Awaitable[T]]) -> T:
    """Run an asynchronous reading to its end.

    Raises:
        CommandError: Something that is needed could not be read.
    """

    async def run() -> T:
        async with asyncio.timeout(_TOTAL_SECONDS), open_reader(access) as reader:
            return await work(reader)

    try:
        return asyncio.run(run())
    except TimeoutError as error:
        raise CommandError(f"the cluster did not answer within {_TOTAL_SECONDS} s", "Try again.") from error


def _is_status(error: ApiException) -> bool:
    """Whether the answer is about an object; an unknown kind is answered with a bare text."""
    try:
        return bool(json.loads(error.body or "").get("kind") == "Status")
    except (ValueError, AttributeError):
        return False


def _read_message(error: ApiException) -> str:
    try:
        message: str = json.loads(error.body or "{}").get("message", "")
    except (ValueError, AttributeError):
        message = ""
    return message or error.reason or ""
