"""Removes what the preflight wrote to the bucket: plain S3 requests over TCP, signed with the pod's own keys (SigV4).

LMCache's NIXL client cannot delete, and each client names its objects in its own way, so the objects are found by the
model text that all names begin with.
"""

from __future__ import annotations

import hashlib
import hmac
import http.client
import re
import ssl
import time
import urllib.parse
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final
from xml.etree import ElementTree as ET

from .preflight_config import Store

_SERVICE: Final = "s3"
_TIMEOUT_SECONDS: Final = 5
_REMOVE_SECONDS: Final = 10.0
_LIMIT: Final = 2**20
_EMPTY: Final = hashlib.sha256(b"").hexdigest()


class StoreError(Exception):
    """Why the store did not do what it was asked for; without any part of a request."""


@dataclass(frozen=True)
class Keys:
    """What requests are signed with.

    Attributes:
        session: Token of temporary keys; empty for others.
    """

    access: str
    secret: str
    session: str = ""


def find_keys(environment: Mapping[str, str]) -> Keys | None:
    """Return the keys of the environment; None where there are none."""
    access, secret = environment.get("AWS_ACCESS_KEY_ID", ""), environment.get("AWS_SECRET_ACCESS_KEY", "")
    return Keys(access, secret, environment.get("AWS_SESSION_TOKEN", "")) if access and secret else None


def remove_objects(
    store: Store, keys: Keys, prefix: str, seconds: float = _REMOVE_SECONDS, now: float | None = None
) -> int:
    """Delete the objects whose names begin with a prefix, a thousand at most; returns how many there were.

    No request begins after `seconds`.

    Raises:
        StoreError: The store cannot be reached, refuses, or is too slow.
    """
    deadline = time.monotonic() + seconds
    moment = time.gmtime(now)
    query = {"list-type": "2", "prefix": prefix}
    listed = _request(store, keys, "GET", "", query, moment)
    try:
        # expat loads no external entities, and the answer was cut at a size.
        root = ET.fromstring(listed)  # noqa: S314
    except ET.ParseError as error:
        raise StoreError("the list of objects is no XML") from error
    names = [element.text or "" for element in root.iter() if element.tag.rpartition("}")[2] == "Key"]
    ours = [name for name in names if name.startswith(prefix)]
    for done, name in enumerate(ours):
        if time.monotonic() >= deadline:
            raise StoreError(f"{done} of {len(ours)} objects were deleted within {seconds:.0f} s")
        _request(store, keys, "DELETE", name, {}, moment)
    return len(ours)


def _request(
    store: Store, keys: Keys, method: str, name: str, query: Mapping[str, str], moment: time.struct_time
) -> bytes:
    url = urllib.parse.urlsplit(store.endpoint)
    bucket = f"/{store.bucket}" if store.path_addressing else ""
    host = url.netloc if store.path_addressing else f"{store.bucket}.{url.netloc}"
    path = f"{bucket}/{urllib.parse.quote(name, safe='/-_.~')}"
    text = "&".join(
        f"{urllib.parse.quote(key, safe='-_.~')}={urllib.parse.quote(value, safe='-_.~')}"
        for key, value in sorted(query.items())
    )
    headers = sign(method, path, text, host, store.region, keys, moment)
    try:
        connection = _connect(store, url.scheme, host)
        try:
            connection.request(method, f"{path}?{text}" if text else path, headers=headers)
            answer = connection.getresponse()
            body = answer.read(_LIMIT)
        finally:
            connection.close()
    except (OSError, http.client.HTTPException) as error:
        raise StoreError(f"{host} cannot be reached: {type(error).__name__}") from error
    if answer.status >= 300:
        code = re.search(rb"<Code>([A-Za-z]{1,64})</Code>", body)
        raise StoreError(f"{method} at {host}: HTTP {answer.status} {code[1].decode() if code else ''}".rstrip())
    return body


def _connect(store: Store, scheme: str, host: str) -> http.client.HTTPConnection:
    if scheme != "https":
        return http.client.HTTPConnection(host, timeout=_TIMEOUT_SECONDS)
    context = ssl.create_default_context(cafile=store.authorities or None)
    return http.client.HTTPSConnection(host, timeout=_TIMEOUT_SECONDS, context=context)


def sign(
    method: str, path: str, query: str, host: str, region: str, keys: Keys, moment: time.struct_time
) -> dict[str, str]:
    """Return the headers of a signed request without body (AWS Signature Version 4).

    Args:
        method: GET or DELETE.
        path: Path with each sign encoded.
        query: Sorted and encoded query.
        host: Host header, with the port where it is not the scheme's.
        region: Region of the bucket.
        keys: Keys.
        moment: UTC.
    """
    stamp, day = time.strftime("%Y%m%dT%H%M%SZ", moment), time.strftime("%Y%m%d", moment)
    headers = {"host": host, "x-amz-content-sha256": _EMPTY, "x-amz-date": stamp}
    if keys.session:
        headers["x-amz-security-token"] = keys.session
    signed = ";".join(sorted(headers))
    lines = "".join(f"{name}:{headers[name]}\n" for name in sorted(headers))
    canonical = f"{method}\n{path}\n{query}\n{lines}\n{signed}\n{_EMPTY}"
    scope = f"{day}/{region}/{_SERVICE}/aws4_request"
    digest = hashlib.sha256(canonical.encode()).hexdigest()
    key = f"AWS4{keys.secret}".encode()
    for part in (day, region, _SERVICE, "aws4_request"):
        key = hmac.new(key, part.encode(), hashlib.sha256).digest()
    signature = hmac.new(key, f"AWS4-HMAC-SHA256\n{stamp}\n{scope}\n{digest}".encode(), hashlib.sha256).hexdigest()
    authorization = f"AWS4-HMAC-SHA256 Credential={keys.access}/{scope}, SignedHeaders={signed}, Signature={signature}"
    return {**headers, "Authorization": authorization}
