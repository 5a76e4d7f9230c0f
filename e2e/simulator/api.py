"""The few calls to the API server that a kubelet makes, as plain JSON.

The session is aiohttp's own with address, trust and identity of the kubeconfig: the generated models would cost more
time per pod than everything else here.
"""

import json
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import Any, Final

import aiohttp
from kubernetes.aio import config
from kubernetes.aio.client import ApiClient, Configuration

_STRATEGIC: Final = "application/strategic-merge-patch+json"
_WATCH_SECONDS: Final = 300


class ApiError(Exception):
    """The API server refused.

    Attributes:
        code: The HTTP status, or the code of a watch's ERROR event.
    """

    def __init__(self, code: int, message: str) -> None:
        super().__init__(f"{code}: {message}")
        self.code = code


class Api:
    """An open connection to the API server."""

    def __init__(self, server: str, session: aiohttp.ClientSession) -> None:
        self._server = server
        self._session = session

    async def close(self) -> None:
        """Close every socket."""
        await self._session.close()

    async def get(self, path: str, **query: str) -> dict[str, Any]:
        """Read an object or a list.

        Raises:
            ApiError: Refused.
            aiohttp.ClientError: Not reachable.
        """
        return await self._request("GET", path, query=query)

    async def patch_status(self, pod: Mapping[str, Any], status: Mapping[str, Any]) -> dict[str, Any]:
        """Write a pod's status; the uid keeps it from a namesake.

        Raises:
            ApiError: 404 when the pod is gone, 409 when it is another one.
            aiohttp.ClientError: Not reachable.
        """
        body = {"metadata": {"uid": pod["metadata"]["uid"]}, "status": status}
        return await self._request("PATCH", f"{pod_path(pod)}/status", body, content_type=_STRATEGIC)

    async def annotate(self, pod: Mapping[str, Any], annotations: Mapping[str, str]) -> dict[str, Any]:
        """Write annotations of a pod; the uid keeps it from a namesake.

        Raises:
            ApiError: 404 when the pod is gone, 409 when it is another one.
            aiohttp.ClientError: Not reachable.
        """
        body = {"metadata": {"uid": pod["metadata"]["uid"], "annotations": dict(annotations)}}
        return await self._request("PATCH", pod_path(pod), body, content_type=_STRATEGIC)

    async def delete_now(self, pod: Mapping[str, Any]) -> None:
        """Remove a pod whose processes have ended.

        Raises:
            ApiError: 404 when the pod is gone, 409 when it is another one.
            aiohttp.ClientError: Not reachable.
        """
        body = {"gracePeriodSeconds": 0, "preconditions": {"uid": pod["metadata"]["uid"]}}
        await self._request("DELETE", pod_path(pod), body)

    async def watch(self, path: str, version: str, **query: str) -> AsyncIterator[dict[str, Any]]:
        """Yield events until the server ends the watch.

        Raises:
            ApiError: Refused; 410 when the version is too old.
            aiohttp.ClientError: Not reachable or cut off.
        """
        query |= {
            "watch": "true",
            "resourceVersion": version,
            "allowWatchBookmarks": "true",
            "timeoutSeconds": str(_WATCH_SECONDS),
        }
        limit = aiohttp.ClientTimeout(total=None, sock_connect=10, sock_read=_WATCH_SECONDS + 30)
        async with self._session.get(self._server + path, params=query, timeout=limit) as response:
            if response.status >= 400:
                raise ApiError(response.status, await response.text())
            rest = b""
            async for block in response.content.iter_any():
                *lines, rest = (rest + block).split(b"\n")
                for line in lines:
                    event = json.loads(line)
                    if event["type"] == "ERROR":
                        raise ApiError(event["object"].get("code", 500), event["object"].get("message", ""))
                    yield event

    async def _request(
        self,
        method: str,
        path: str,
        body: Mapping[str, Any] | None = None,
        *,
        query: Mapping[str, str] | None = None,
        content_type: str = "application/json",
    ) -> dict[str, Any]:
        data = None if body is None else json.dumps(body)
        headers = {"Content-Type": content_type}
        async with self._session.request(method, self._server + path, params=query, data=data, headers=headers) as got:
            answer = await got.text()
        if got.status >= 400:
            raise ApiError(got.status, answer)
        result: dict[str, Any] = json.loads(answer)
        return result


def pod_path(pod: Mapping[str, Any]) -> str:
    """Return the path of a pod."""
    return f"/api/v1/namespaces/{pod['metadata']['namespace']}/pods/{pod['metadata']['name']}"


async def connect(kubeconfig: Path) -> Api:
    """Connect with a kubeconfig.

    Raises:
        ConfigException: The kubeconfig is not usable.
    """
    configuration = Configuration()
    await config.load_kube_config(config_file=str(kubeconfig), client_configuration=configuration, persist_config=False)
    client = ApiClient(configuration)
    settings = await configuration.auth_settings()
    headers = {"User-Agent": "inference-cache-simulator"}
    if "BearerToken" in settings:
        headers["Authorization"] = settings["BearerToken"]["value"]
    session = aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(limit=64, ssl=client.rest_client.ssl_context),
        headers=headers,
        timeout=aiohttp.ClientTimeout(total=30),
    )
    server: str = configuration.host
    await client.close()
    return Api(server, session)
