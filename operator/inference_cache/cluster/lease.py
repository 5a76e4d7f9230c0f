"""The Lease object as the elector needs it: read, take with a precondition, and watch without polling."""

import asyncio
import json
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

import aiohttp
from kubernetes.aio.client.exceptions import ApiException

from inference_cache.domain import names
from inference_cache.domain.kinds import LEASE

from .connection import Connection
from .errors import AlreadyExistsError, ConflictError, GoneError, UnavailableError
from .gateway import Gateway

_REQUEST_SECONDS: Final = 3
_WATCH_SECONDS: Final = 280


@dataclass(frozen=True)
class LeaseRecord:
    """What the Lease says.

    Attributes:
        holder: Identity of the leader; empty when it was released.
        version: Resource version, which changes with every renewal.
    """

    holder: str
    duration_seconds: int
    transitions: int
    version: str
    acquired: str | None


class LeaseStore:
    """One Lease.

    Args:
        connection: The way to the API server.
        gateway: For plain reads; its fence does not apply to the Lease itself.
        namespace: Where the Lease lives.
    """

    def __init__(self, connection: Connection, gateway: Gateway, namespace: str) -> None:
        self._connection = connection
        self._gateway = gateway
        self._namespace = namespace
        self._path = connection.resource(LEASE).path(name=None, namespace=namespace)

    async def read(self) -> LeaseRecord | None:
        """Return the Lease, or None where there is none."""
        found = await self._gateway.read(LEASE, self._namespace, names.LEASE_NAME)
        return None if found is None else _parse(found)

    async def take(self, identity: str, seconds: int, known: LeaseRecord | None) -> LeaseRecord:
        """Write the Lease as held by `identity`, provided it is still as known.

        Raises:
            ConflictError: Somebody else wrote it meanwhile.
            UnavailableError: The API server did not answer in time.
        """
        now = datetime.now(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")
        mine = known is not None and known.holder == identity
        acquired = known.acquired if known is not None and mine else now
        transitions = (known.transitions + (0 if mine else 1)) if known else 0
        spec = {
            "holderIdentity": identity,
            "leaseDurationSeconds": seconds,
            "renewTime": now,
            "acquireTime": acquired or now,
            "leaseTransitions": transitions,
        }
        return await self._write(spec, known)

    async def release(self, known: LeaseRecord) -> None:
        """Give the Lease up, so that another replica need not wait for its end."""
        now = datetime.now(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")
        spec = {
            "holderIdentity": "",
            "leaseDurationSeconds": 1,
            "renewTime": now,
            "acquireTime": now,
            "leaseTransitions": known.transitions,
        }
        await self._write(spec, known)

    async def watch(self, since: str, seconds: float) -> AsyncIterator[LeaseRecord | None]:
        """Yield every change of the Lease, None for its deletion, for at most `seconds`.

        Raises:
            UnavailableError: The stream failed; read again.
        """
        deadline = time.monotonic() + seconds
        try:
            response = await self._connection.dynamic.request(
                "get",
                self._path,
                serialize=False,
                _request_timeout=aiohttp.ClientTimeout(total=max(0.5, seconds), sock_connect=3),
                query_params=[
                    ("watch", "true"),
                    ("fieldSelector", f"metadata.name={names.LEASE_NAME}"),
                    ("resourceVersion", since),
                    ("timeoutSeconds", str(min(_WATCH_SECONDS, max(1, int(seconds))))),
                ],
            )
            async with response:
                async for line in response.content:
                    event = json.loads(line)
                    if event["type"] == "ERROR":
                        raise UnavailableError(str(event["object"].get("message", "error in the watch of the Lease")))
                    yield None if event["type"] == "DELETED" else _parse(event["object"])
                    if time.monotonic() >= deadline:
                        return
        except TimeoutError:
            return
        except (ApiException, aiohttp.ClientError, OSError, ValueError) as error:
            raise UnavailableError(f"watch of the Lease: {type(error).__name__}: {error}") from error

    async def _write(self, spec: dict[str, Any], known: LeaseRecord | None) -> LeaseRecord:
        metadata: dict[str, Any] = {"name": names.LEASE_NAME, "namespace": self._namespace}
        if known is not None:
            metadata["resourceVersion"] = known.version
        body = {"apiVersion": LEASE.api_version, "kind": LEASE.name, "metadata": metadata, "spec": spec}
        try:
            async with asyncio.timeout(_REQUEST_SECONDS):
                return _parse(await self._gateway.write_lease(body, create=known is None))
        except (AlreadyExistsError, GoneError) as error:
            raise ConflictError(str(error)) from error
        except TimeoutError as error:
            raise UnavailableError("the Lease could not be written in time") from error


def _parse(lease: dict[str, Any]) -> LeaseRecord:
    spec = lease.get("spec", {})
    return LeaseRecord(
        holder=spec.get("holderIdentity") or "",
        duration_seconds=int(spec.get("leaseDurationSeconds") or 1),
        transitions=int(spec.get("leaseTransitions") or 0),
        version=lease["metadata"]["resourceVersion"],
        acquired=spec.get("acquireTime"),
    )
