"""Where a request goes: one API server for the reverse proxy, host-name routes for the forward proxy."""

import base64
import ssl
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import yaml

from e2e.faultproxy.http1 import BadMessageError, Head
from e2e.faultproxy.request_info import RequestInfo, kubernetes_request, plain_request


@dataclass(frozen=True, kw_only=True)
class Endpoint:
    """Something to connect to; with a TLS context the connection is encrypted."""

    host: str
    port: int
    tls: ssl.SSLContext | None = None

    @classmethod
    def parse(cls, text: str) -> "Endpoint":
        """Read ``host:port``.

        Raises:
            ValueError: the text has another form.
        """
        host, colon, port = text.rpartition(":")
        if not colon or not host or not port.isdigit():
            raise ValueError(f"{text!r} is not host:port")
        return cls(host=host.strip("[]"), port=int(port))

    def __str__(self) -> str:
        return f"{self.host}:{self.port}"


@dataclass(frozen=True, kw_only=True)
class Routed:
    """A request with its destination; ``endpoint`` None means no route leads there."""

    info: RequestInfo
    head: Head
    endpoint: Endpoint | None


class ReverseRoute:
    """Every request goes to one Kubernetes API server."""

    kubernetes = True

    def __init__(self, endpoint: Endpoint) -> None:
        self.endpoint = endpoint

    @classmethod
    def to_server(cls, server: str, *, ca_pem: str | None = None, verify: bool = True) -> "ReverseRoute":
        """Route to the server of a URL, checked against a CA bundle in PEM form (the system's where None).

        Raises:
            ValueError: the URL is neither http nor https.
        """
        parts = urlsplit(server)
        if parts.scheme not in {"http", "https"} or parts.hostname is None:
            raise ValueError(f"API server {server!r} is not an http or https URL")
        tls = None
        if parts.scheme == "https":
            tls = ssl.create_default_context(cadata=ca_pem)
            if not verify:
                tls.check_hostname = False
                tls.verify_mode = ssl.CERT_NONE
        port = parts.port or (443 if parts.scheme == "https" else 80)
        return cls(Endpoint(host=parts.hostname, port=port, tls=tls))

    @classmethod
    def to_kubeconfig(cls, path: Path) -> "ReverseRoute":
        """Route to the API server that a kubeconfig's current context names."""
        cluster = current_cluster(yaml.safe_load(path.read_text()))
        ca_pem = None
        if "certificate-authority-data" in cluster:
            ca_pem = base64.b64decode(cluster["certificate-authority-data"]).decode()
        elif "certificate-authority" in cluster:
            ca_pem = (path.parent / cluster["certificate-authority"]).read_text()
        verify = not cluster.get("insecure-skip-tls-verify", False)
        return cls.to_server(cluster["server"], ca_pem=ca_pem, verify=verify)

    def route(self, head: Head) -> Routed:
        """Describe a request and send it to the API server."""
        method, target, _ = head.start
        info = kubernetes_request(
            method=method,
            host=_host_name(head.get("Host") or ""),
            target=target,
            user_agent=head.get("User-Agent") or "",
            content_type=head.get("Content-Type"),
        )
        return Routed(info=info, head=head, endpoint=self.endpoint)


class ForwardRoutes:
    """Host names to servers, for clients that have this proxy in ``HTTP_PROXY``.

    A suffix with a leading dot takes the domain itself and every name below it; without a dot it takes that name only.
    The longest match wins. A request in origin form is routed by its Host header.
    """

    kubernetes = False

    def __init__(self, routes: Mapping[str, Endpoint]) -> None:
        self.routes = {suffix.lower(): endpoint for suffix, endpoint in routes.items()}

    @classmethod
    def parse(cls, texts: list[str]) -> "ForwardRoutes":
        """Read routes of the form ``suffix=host:port``.

        Raises:
            ValueError: a text has another form.
        """
        routes = {}
        for text in texts:
            suffix, equals, destination = text.partition("=")
            if not equals or not suffix:
                raise ValueError(f"{text!r} is not suffix=host:port")
            routes[suffix] = Endpoint.parse(destination)
        return cls(routes)

    def find(self, host: str) -> Endpoint | None:
        """Return the server behind a host name, None where no route leads there."""
        name = host.lower().rstrip(".")
        matches = [
            suffix
            for suffix in self.routes
            if name == suffix.removeprefix(".") or (suffix.startswith(".") and name.endswith(suffix))
        ]
        return self.routes[max(matches, key=len)] if matches else None

    def route(self, head: Head) -> Routed:
        """Describe a request and find the server of its host name; the Host header stays as the client signed it."""
        method, target, version = head.start
        if method == "CONNECT":
            authority = target
        elif target.startswith("/") or target == "*":
            authority = head.get("Host") or ""
        else:
            parts = urlsplit(target)
            if parts.scheme != "http" or not parts.netloc:
                raise BadMessageError(f"request target {target!r}")
            authority = parts.netloc
            # Cut rather than rebuild: the signature covers the path and query byte for byte.
            rest = target[len("http://") + len(parts.netloc) :]
            target = rest if rest.startswith("/") else "/" + rest
        host = _host_name(authority)
        info = plain_request(method=method, host=host, target=target, user_agent=head.get("User-Agent") or "")
        return Routed(info=info, head=replace(head, start=(method, target, version)), endpoint=self.find(host))


Routes = ReverseRoute | ForwardRoutes


def _host_name(authority: str) -> str:
    return urlsplit(f"//{authority}").hostname or ""


def current_context(config: Mapping[str, Any]) -> dict[str, Any]:
    """Return the current context of a kubeconfig document.

    Raises:
        ValueError: the document has no such context.
    """
    name = config.get("current-context")
    for entry in config.get("contexts") or []:
        if entry["name"] == name:
            return dict(entry["context"])
    raise ValueError(f"kubeconfig has no context {name!r}")


def current_cluster(config: Mapping[str, Any]) -> dict[str, Any]:
    """Return the cluster of a kubeconfig document's current context.

    Raises:
        ValueError: the document has no such cluster.
    """
    name = current_context(config)["cluster"]
    for entry in config.get("clusters") or []:
        if entry["name"] == name:
            return dict(entry["cluster"])
    raise ValueError(f"kubeconfig has no cluster {name!r}")
