"""How the API server is asked: with the pod's own token, read anew each time, and never through a proxy."""

from __future__ import annotations

import base64
import binascii
import http.client
import json
import re
import ssl
import urllib.parse
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from .node_report import API_VERSION

FIELD_MANAGER: Final = "inference-cache-node-validator"
_PLURAL: Final = "nodecapabilityreports"
_TIMEOUT_SECONDS: Final = 15
_ANSWER_BYTES: Final = 2**20
_LONGEST_RETRY_AFTER_SECONDS: Final = 300


class ApiError(Exception):
    """The API server cannot be asked or refuses; the text says what to do.

    Attributes:
        seconds: When it asks to come back, if it says so.
    """

    def __init__(self, text: str, seconds: float | None = None) -> None:
        super().__init__(text)
        self.seconds = seconds


@dataclass(frozen=True)
class ApiServer:
    """The API server.

    Attributes:
        host: Address.
        credentials: Folder with the files token and ca.crt, which may change at any time.
    """

    host: str
    port: int
    credentials: Path

    def read_report(self, node: str) -> dict[str, Any] | None:
        """Return the report of a node, which may be some seconds old; None where there is none.

        Raises:
            ApiError: It cannot be read.
        """
        # Version 0: from the API server's memory, so that thousands of validators do not wear out etcd.
        status, answer = self._ask("GET", f"{_path(node)}?resourceVersion=0")
        return None if status == 404 else answer

    def apply_report(self, node: str, body: dict[str, Any]) -> None:
        """Write the report of a node.

        Raises:
            ApiError: It cannot be written.
        """
        query = f"fieldManager={FIELD_MANAGER}&force=true"
        status, _ = self._ask("PATCH", f"{_path(node)}?{query}", body)
        if status == 404:
            raise ApiError("the kind NodeCapabilityReport is not served: install its CRD from crds/")

    def find_node_uid(self, node: str) -> str | None:
        """Return the uid of the pod's node, which the API server writes into the token; None where it does not.

        Raises:
            ApiError: There is no token.
        """
        return find_node_uid(self._read_token(), node)

    def _ask(self, method: str, path: str, body: dict[str, Any] | None = None) -> tuple[int, dict[str, Any]]:
        headers = {"Authorization": f"Bearer {self._read_token()}", "User-Agent": FIELD_MANAGER}
        headers["Accept"] = "application/json"
        if body is not None:
            headers["Content-Type"] = "application/apply-patch+yaml"
        try:
            context = ssl.create_default_context(cafile=str(self.credentials / "ca.crt"))
            connection = http.client.HTTPSConnection(self.host, self.port, timeout=_TIMEOUT_SECONDS, context=context)
            try:
                connection.request(method, path, None if body is None else json.dumps(body), headers)
                response = connection.getresponse()
                content = response.read(_ANSWER_BYTES)
            finally:
                connection.close()
        except (OSError, http.client.HTTPException) as error:
            raise ApiError(f"the API server {self.host}:{self.port} does not answer: {error}") from error
        return _judge(response, content)

    def _read_token(self) -> str:
        path = self.credentials / "token"
        try:
            token = path.read_text(encoding="ascii").strip()
        except (OSError, ValueError) as error:
            raise ApiError(f"{path} cannot be read: {error}: mount the token of the ServiceAccount") from error
        # Anything else in a header would end it.
        if not re.fullmatch(r"[!-~]+", token):
            raise ApiError(f"{path} holds no token: mount the token of the ServiceAccount")
        return token


def find_node_uid(token: str, node: str) -> str | None:
    """Return the uid of a node from the claims of a pod's token; None where it has none of a node of that name.

    API servers of version 1.30 and later write the claim. Its signature is not checked: nobody but the API server, which
    does check it, relies on it.
    """
    try:
        payload = token.split(".")[1]
        claims = json.loads(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))
        found = claims["kubernetes.io"]["node"]
        uid = found["uid"] if found["name"] == node else None
    except (IndexError, KeyError, TypeError, ValueError, binascii.Error):
        return None
    return uid if isinstance(uid, str) else None


def _path(node: str) -> str:
    return f"/apis/{API_VERSION}/{_PLURAL}/{urllib.parse.quote(node, safe='')}"


def _judge(response: http.client.HTTPResponse, content: bytes) -> tuple[int, dict[str, Any]]:
    try:
        answer = json.loads(content)
    except ValueError:
        answer = None
    if not isinstance(answer, dict):
        answer = {"message": content[:200].decode("utf-8", "replace")}
    if response.status in {200, 201, 404}:
        return response.status, answer
    told = " ".join(str(answer.get("message", "")).split())[:500]
    remedies = {
        400: "; CRD and validator are of different versions: install the CRDs of this version",
        401: "; the token is refused: look at the ServiceAccount",
        403: "; apply manifests/node-validator, which holds the rights and the policy",
        422: "; CRD and validator are of different versions: install the CRDs of this version",
    }
    raise ApiError(
        f"the API server answers HTTP {response.status}: {told}{remedies.get(response.status, '')}",
        _read_retry_after(response.headers.get("Retry-After", "")),
    )


def _read_retry_after(text: str) -> float | None:
    return min(float(text), _LONGEST_RETRY_AFTER_SECONDS) if re.fullmatch(r"[0-9]{1,9}", text) else None
