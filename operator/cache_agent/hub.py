"""How the hub is asked: who sees the token, where redirects may lead, what is tried again and for how long."""

from __future__ import annotations

import http.client
import random
import re
import ssl
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from .errors import FetchError, RangeError, TransientError
from .files import RemoteFile, parse_page
from .report import say

ATTEMPTS: Final = 6
"""Failures in a row, none of which brought a new byte, after which a file is given up."""
_TIMEOUT_SECONDS: Final = 60
_LONGEST_PAUSE_SECONDS: Final = 60
_LONGEST_RETRY_AFTER_SECONDS: Final = 300
_PAGES: Final = 1000
_PAGE_BYTES: Final = 32 * 2**20


class _Redirects(urllib.request.HTTPRedirectHandler):
    """Follows redirects with requests that are built anew, so that each host gets only what it may see."""

    # Python 3.10 does not know 308 yet.
    http_error_308 = urllib.request.HTTPRedirectHandler.http_error_302

    def __init__(self, build: Callable[[str, Mapping[str, str]], urllib.request.Request]) -> None:
        self._build = build

    def redirect_request(
        self, req: urllib.request.Request, _fp: Any, _code: int, _msg: str, _headers: Any, newurl: str
    ) -> urllib.request.Request:
        # Among the others may be the proxy's password.
        return self._build(newurl, {name: req.headers[name] for name in ("User-agent", "Range") if name in req.headers})


class Hub:
    """The hub at one endpoint, asked with at most one token.

    Raises:
        FetchError: Endpoint or token cannot be used.
    """

    def __init__(self, endpoint: str, token: str) -> None:
        self.endpoint = endpoint.rstrip("/")
        self._token = token.strip()
        scheme, host, _ = _find_origin(self.endpoint)
        if scheme not in {"http", "https"} or not host:
            raise FetchError(f"HF_ENDPOINT is {endpoint!r}: write a URL such as https://huggingface.co")
        if not re.fullmatch(r"[!-~]*", self._token):
            raise FetchError("HF_TOKEN has characters that no token has: correct the Secret of tokenSecretRef")
        self._opener = urllib.request.build_opener(_Redirects(self._build))

    def open(self, url: str, start: int = 0) -> http.client.HTTPResponse:
        """Return the answer to a GET, from a byte on if start is not 0.

        Raises:
            RangeError: HTTP 416.
            TransientError: No connection, HTTP 408, 429, 5xx, or 403 of another host, whose signed address ran out.
            FetchError: Any other refusal.
        """
        headers = {"User-Agent": "inference-cache-fetch"}
        if start:
            headers["Range"] = f"bytes={start}-"
        try:
            response: http.client.HTTPResponse = self._opener.open(self._build(url, headers), timeout=_TIMEOUT_SECONDS)
        except urllib.error.HTTPError as error:
            with error:
                raise self._judge(error) from error
        except (OSError, ValueError, http.client.HTTPException) as error:
            reason = error.reason if isinstance(error, urllib.error.URLError) else error
            text = f"{_find_origin(url)[1]} is not reachable: {reason}"
            if isinstance(reason, ssl.SSLCertVerificationError):
                raise FetchError(f"{text}; the image must trust the hub's or the proxy's authority") from error
            raise TransientError(text) from error
        return response

    def _build(self, url: str, headers: Mapping[str, str]) -> urllib.request.Request:
        origin, home = _find_origin(url), _find_origin(self.endpoint)
        if origin[0] != "https" and origin[0] != home[0]:
            raise FetchError(f"the hub leads to {origin[0]}://{origin[1]}, which is not followed: check HF_ENDPOINT")
        request = urllib.request.Request(url, headers=dict(headers))  # noqa: S310 - the scheme is checked above
        if self._token and origin == home:
            # Not among the headers that a redirect copies.
            request.add_unredirected_header("Authorization", f"Bearer {self._token}")
        return request

    def _judge(self, error: urllib.error.HTTPError) -> Exception:
        origin = _find_origin(error.url)
        told = " ".join((error.headers.get("X-Error-Message") or str(error.reason)).split())
        # The address itself stays out of the log: that of a CDN holds a signature.
        text = f"HTTP {error.code} of {origin[1]}: {''.join(filter(str.isprintable, told))[:200]}"
        if error.code == 416:
            return RangeError(text)
        if (
            error.code in {408, 429}
            or error.code >= 500
            or (error.code == 403 and origin != _find_origin(self.endpoint))
        ):
            return TransientError(text, _read_retry_after(error.headers.get("Retry-After", "")))
        if error.code in {401, 403} and self._token:
            return FetchError(
                f"{text}; the token is wrong or its account has no access: accept the terms on the model's page, "
                "or correct the Secret of tokenSecretRef"
            )
        if error.code in {401, 403}:
            return FetchError(
                f"{text}; the repository is gated or private, or there is none of this name: "
                "name a Secret with a token in tokenSecretRef, or correct the repository"
            )
        if error.code == 404:
            return FetchError(f"{text}; the hub has no such repository or commit: correct repository and revision")
        return FetchError(f"{text}; the hub refuses the request: check HF_ENDPOINT and proxies")


def _find_origin(url: str) -> tuple[str, str, int]:
    parts = urllib.parse.urlsplit(url)
    try:
        port = parts.port or (443 if parts.scheme == "https" else 80)
    except ValueError:
        # No port that a connection could use; opening the address will say so.
        port = -1
    return parts.scheme, parts.hostname or "", port


def _read_retry_after(text: str) -> float | None:
    return min(float(text), _LONGEST_RETRY_AFTER_SECONDS) if re.fullmatch(r"[0-9]{1,9}", text) else None


def read_piece(response: http.client.HTTPResponse, count: int) -> bytes:
    """Return at most count bytes of a body, none at its end.

    Raises:
        TransientError: The connection broke.
    """
    try:
        return response.read(count)
    except (OSError, http.client.HTTPException) as error:
        raise TransientError(f"the connection broke: {error}") from error


@dataclass
class Attempts:
    """How often something failed in a row.

    Attributes:
        subject: What is tried, for the log.
        pause: Seconds before the second attempt; each further pause is twice as long.
    """

    subject: str
    pause: float
    failures: int = 0

    def wait(self, error: TransientError) -> None:
        """Wait before the next attempt, as long as the server asks if it does.

        Raises:
            FetchError: This was the last attempt.
        """
        self.failures += 1
        if self.failures >= ATTEMPTS:
            remedy = "check the hub's state, proxies and network policies"
            raise FetchError(f"{self.subject}: {error}; gave up after {ATTEMPTS} attempts: {remedy}") from error
        doubled = min(self.pause * 2 ** (self.failures - 1), _LONGEST_PAUSE_SECONDS)
        # Replicas that were cut off together do not come back together.
        seconds = random.uniform(doubled / 2, doubled) if error.seconds is None else error.seconds  # noqa: S311 - no secret
        say(f"{self.subject}: {error}; next attempt in {seconds:.1f} s")
        time.sleep(seconds)


def list_files(hub: Hub, repository: str, revision: str, pause: float) -> list[RemoteFile]:
    """Return every file of a commit.

    Raises:
        FetchError: The hub refuses, cannot be reached, or lists what cannot be used.
    """
    url = f"{hub.endpoint}/api/models/{repository}/tree/{revision}?recursive=true"
    files: dict[str, RemoteFile] = {}
    attempts = Attempts("list of files", pause)
    for _ in range(_PAGES):
        try:
            with hub.open(url) as response:
                body, link = read_piece(response, _PAGE_BYTES), response.headers.get("Link", "")
                following = re.search(r'<([^>]+)>\s*;\s*rel="?next"?', link)
            files |= {file.path: file for file in parse_page(body)}
        except TransientError as error:
            attempts.wait(error)
            continue
        if following is None:
            return sorted(files.values(), key=lambda file: file.path)
        attempts.failures = 0
        url = urllib.parse.urljoin(url, following[1])
    raise FetchError(f"the list of files does not end after {_PAGES} pages: check HF_ENDPOINT and proxies")
