"""Every request to the API server passes here: one field manager, bounded time, typed errors, and no write by a standby."""

import asyncio
import json
import re
import time
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from http import HTTPStatus
from typing import Any, Final, NoReturn

import aiohttp
from kubernetes.aio.client.exceptions import ApiException

from inference_cache.domain import names
from inference_cache.domain.field_ownership import adopt_fields
from inference_cache.domain.kinds import DEPLOYMENT, EVENT, LEASE, NODE, Kind
from inference_cache.domain.live import Live, project_live
from inference_cache.domain.manifest import Manifest
from inference_cache.domain.reasons import Reason
from inference_cache.domain.scope import Identity

from . import metrics
from .connection import MAX_CONNECTIONS, Connection
from .errors import (
    AlreadyExistsError,
    ConflictError,
    FieldConflictError,
    GoneError,
    RefusedError,
    UnavailableError,
)

_TIMEOUT_SECONDS: Final = 20
# Parsing a page must not keep the event loop from everything else; objects of these kinds have some 10 KB.
_PAGE: Final = 100
_JSON_PATCH: Final = "application/json-patch+json"
_MERGE_PATCH: Final = "application/merge-patch+json"

Object = dict[str, Any]


class Gateway:
    """Reads and writes objects.

    Args:
        connection: The way to the API server.
        fence: Called before every write; raises NotLeaderError where this replica may not write.
    """

    def __init__(self, connection: Connection, fence: Callable[[], None]) -> None:
        self._connection = connection
        self._fence = fence
        self._slots = asyncio.Semaphore(MAX_CONNECTIONS // 2)
        # Slow writes must not keep the Lease from being renewed.
        self._lease_slots = asyncio.Semaphore(2)

    async def read(self, kind: Kind, namespace: str, name: str) -> Object | None:
        """Return an object as it is now, or None where there is none."""
        try:
            return await self._request("get", kind, namespace, name)
        except GoneError:
            return None

    async def list_pages(
        self, kind: Kind, selector: str = "", *, limit: int = _PAGE, namespace: str | None = None
    ) -> AsyncIterator[Object]:
        """Yield the pages of a list, each as the list object that the API server sent.

        Args:
            kind: What is listed.
            selector: Label selector.
            limit: Most objects of one page.
            namespace: Where; None for the whole cluster.

        Raises:
            GoneError: The list grew too old between two pages; begin again.
        """
        token = ""
        while True:
            query: Object = {"limit": limit, "label_selector": selector or None, "_continue": token or None}
            page = await self._request("get", kind, namespace, None, **query)
            yield page
            token = page["metadata"].get("continue", "")
            if not token:
                return

    async def create(self, manifest: Manifest) -> Live:
        """Create an object.

        Server-side apply would take over an object of the same name that belongs to someone else; create cannot.

        Raises:
            AlreadyExistsError: The name is taken.
        """
        body = await self._write("post", manifest.kind, manifest.namespace, None, manifest.body)
        return project_live(manifest.kind, body)

    async def apply(self, manifest: Manifest, live: Live) -> Live:
        """Apply an object that is known to be ours.

        The uid in the body makes the API server refuse the write if the object was replaced meanwhile, so a deleted
        object is never brought back by accident.
        """
        if live.created_by_update or live.foreign:
            await self._adopt_fields(live)
        metadata = {**manifest.body["metadata"], "uid": live.uid}
        body = await self._server_side_apply(manifest.kind, manifest.namespace, {**manifest.body, "metadata": metadata})
        return project_live(manifest.kind, body)

    async def scale(self, live: Live, replicas: int) -> Live:
        """Set the number of replicas of an object that is known to be ours, and nothing else."""
        metadata = {"uid": live.uid, "resourceVersion": live.resource_version}
        patch = {"metadata": metadata, "spec": {"replicas": replicas}}
        body = await self._write("patch", live.kind, live.namespace, live.name, patch, content_type=_MERGE_PATCH)
        return project_live(live.kind, body)

    async def apply_status(self, identity: Identity, status: Object, kind: Kind = DEPLOYMENT) -> Object:
        """Write the status of a deployment, or of an object of another kind of ours, and return the object."""
        metadata = {"name": identity.name, "uid": identity.uid}
        if kind.namespaced:
            metadata["namespace"] = identity.namespace
        body = {"apiVersion": kind.api_version, "kind": kind.name, "metadata": metadata, "status": status}
        return await self._server_side_apply(kind, identity.namespace, body, subresource="status")

    async def apply_shared(self, kind: Kind, name: str, content: Object, live: Live | None) -> Object:
        """Apply the operator's fields of an object that belongs to many; fields that it applied before and are not among them go.

        Args:
            kind: Cluster-scoped kind of the object.
            name: Its name.
            content: The fields, beside kind and name.
            live: The object as it was seen, whose change meanwhile is a conflict; None where there was none.

        Raises:
            FieldConflictError: Another manager has one of the fields; nothing was changed.
        """
        metadata = {**content.get("metadata", {}), "name": name}
        if live is not None:
            metadata |= {"uid": live.uid, "resourceVersion": live.resource_version}
        body = {**content, "apiVersion": kind.api_version, "kind": kind.name, "metadata": metadata}
        return await self._server_side_apply(kind, "", body, force=False)

    async def set_finalizers(self, kind: Kind, name: str, finalizers: Sequence[str], resource_version: str) -> Object:
        """Replace the finalizers of a cluster-scoped object that has not changed since it was seen.

        Raises:
            ConflictError: It has.
        """
        patch = [
            {"op": "replace", "path": "/metadata/resourceVersion", "value": resource_version},
            {"op": "add", "path": "/metadata/finalizers", "value": list(finalizers)},
        ]
        return await self._write("patch", kind, None, name, patch, content_type=_JSON_PATCH)

    async def apply_own(self, kind: Kind, namespace: str, body: Object) -> Object:
        """Apply an object that nobody but the operator writes; creates it where it is missing."""
        return await self._server_side_apply(kind, namespace, body)

    async def patch_node_labels(self, name: str, uid: str, labels: Mapping[str, str | None]) -> None:
        """Set labels of exactly the node that was seen, and take away those with None; all others stay.

        Raises:
            ConflictError: The node was replaced by another one of its name.
        """
        patch = {"metadata": {"uid": uid, "labels": dict(labels)}}
        await self._write("patch", NODE, None, name, patch, content_type=_MERGE_PATCH)

    async def delete(
        self, kind: Kind, namespace: str, name: str, *, uid: str, resource_version: str | None = None
    ) -> None:
        """Delete exactly the object that was seen; an object that is gone already is fine."""
        preconditions = {"uid": uid, **({"resourceVersion": resource_version} if resource_version else {})}
        body = {
            "apiVersion": "v1",
            "kind": "DeleteOptions",
            "preconditions": preconditions,
            "propagationPolicy": "Background",
        }
        try:
            await self._write("delete", kind, namespace, name, body)
        except GoneError:
            return

    async def write_lease(self, lease: Object, *, create: bool) -> Object:
        """Write the Lease that decides who may write; the only write that the fence does not guard."""
        metadata = lease["metadata"]
        return await self._request(
            "post" if create else "put",
            LEASE,
            metadata["namespace"],
            None if create else metadata["name"],
            body=lease,
            field_manager=names.FIELD_MANAGER,
        )

    async def create_event(self, event: Object) -> None:
        """Store an Event."""
        await self._write("post", EVENT, event["metadata"]["namespace"], None, event)

    async def _adopt_fields(self, live: Live) -> None:
        """Record what we created and what others added as applied by us, so that the apply that follows can remove it."""
        current = await self._request("get", live.kind, live.namespace, live.name)
        metadata = current["metadata"]
        if metadata["uid"] != live.uid:
            raise ConflictError(f"{live.kind} {live.name} was replaced")
        entries = metadata.get("managedFields", [])
        upgraded = adopt_fields(entries)
        if upgraded == entries:
            return
        patch = [
            {"op": "replace", "path": "/metadata/managedFields", "value": upgraded},
            {"op": "replace", "path": "/metadata/resourceVersion", "value": metadata["resourceVersion"]},
        ]
        await self._write("patch", live.kind, live.namespace, live.name, patch, content_type=_JSON_PATCH)

    async def _server_side_apply(
        self, kind: Kind, namespace: str, body: Object, subresource: str = "", *, force: bool = True
    ) -> Object:
        return await self._write(
            "patch",
            kind,
            namespace,
            body["metadata"]["name"],
            body,
            subresource=subresource,
            content_type="application/apply-patch+yaml",
            force_conflicts="true" if force else "false",
        )

    async def _write(
        self, verb: str, kind: Kind, namespace: str | None, name: str | None, body: Any, **options: Any
    ) -> Object:
        self._fence()
        if verb != "delete":
            options["field_manager"] = names.FIELD_MANAGER
        return await self._request(verb, kind, namespace, name, body=body, fenced=True, **options)

    async def _request(
        self,
        verb: str,
        kind: Kind,
        namespace: str | None,
        name: str | None,
        *,
        subresource: str = "",
        fenced: bool = False,
        **options: Any,
    ) -> Object:
        path = self._connection.resource(kind).path(name=name, namespace=namespace)
        if subresource:
            path = f"{path}/{subresource}"
        what = describe_place(namespace, name)
        async with self._lease_slots if kind is LEASE else self._slots:
            if fenced:
                # Leadership may have ended during the wait for a slot.
                self._fence()
            started = time.monotonic()
            code = "<error>"
            try:
                response = await self._connection.dynamic.request(
                    verb, path, serialize=False, _request_timeout=_TIMEOUT_SECONDS, **options
                )
                code = str(response.status)
                found: Object = json.loads(await response.read())
            except ApiException as error:
                code = str(error.status)
                _raise(error, verb, kind, what)
            except (aiohttp.ClientError, TimeoutError, OSError, ValueError) as error:
                raise UnavailableError(f"{verb} {kind} {what}: {type(error).__name__}: {error}") from error
            finally:
                metrics.observe_request(verb.upper(), code, time.monotonic() - started)
        return found


def describe_place(namespace: str | None, name: str | None) -> str:
    """Return what a request is about, as messages show it: an object of a namespace or of the cluster, or a whole list."""
    if not name:
        return f"in {namespace or 'all namespaces'}"
    return f"{namespace}/{name}" if namespace else name


def _raise(error: ApiException, verb: str, kind: Kind, what: str) -> NoReturn:
    status = _read_status(error)
    message = status.get("message") or error.reason or ""
    match error.status:
        case HTTPStatus.NOT_FOUND | HTTPStatus.GONE:
            raise GoneError(message) from error
        case HTTPStatus.CONFLICT if status.get("reason") == "AlreadyExists":
            raise AlreadyExistsError(message) from error
        case HTTPStatus.CONFLICT if conflicts := _list_field_conflicts(status):
            raise FieldConflictError(f"{kind} {what}", conflicts) from error
        case HTTPStatus.CONFLICT:
            raise ConflictError(message) from error
        case HTTPStatus.FORBIDDEN | HTTPStatus.UNAUTHORIZED:
            rights = " cannot " in message or error.status == HTTPStatus.UNAUTHORIZED
            raise RefusedError(
                Reason.Forbidden if rights else Reason.WriteRefused, verb, kind, what, message
            ) from error
        case HTTPStatus.BAD_REQUEST | HTTPStatus.UNPROCESSABLE_ENTITY | HTTPStatus.METHOD_NOT_ALLOWED:
            raise RefusedError(Reason.WriteRefused, verb, kind, what, message) from error
        case _:
            asked = str(status.get("details", {}).get("retryAfterSeconds") or (error.headers or {}).get("Retry-After"))
            seconds = float(asked) if asked.isdigit() else None
            raise UnavailableError(f"{verb} {kind} {what}: {error.status} {message}", seconds) from error


def _list_field_conflicts(status: Object) -> list[tuple[str, str]]:
    """Return the fields that an apply without force would have taken from others, each with its manager."""
    causes = (status.get("details") or {}).get("causes") or []
    return [
        (str(item.get("field", "")).lstrip("."), found[1])
        for item in causes
        if item.get("reason") == "FieldManagerConflict"
        and (found := re.search(r'conflict with "([^"]*)"', str(item.get("message", ""))))
    ]


def _read_status(error: ApiException) -> Object:
    try:
        status = json.loads(error.body or "{}")
    except ValueError:
        return {}
    return status if isinstance(status, dict) else {}
