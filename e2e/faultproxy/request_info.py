"""What a request asks for: the Kubernetes verb and resource, or the plain HTTP method elsewhere.

Follows ``k8s.io/apiserver/pkg/endpoints/request/requestinfo.go``; two verbs are finer than there: APPLY is a PATCH with
an apply content type, and DELETECOLLECTION keeps its own name as in RBAC and in the audit log.
"""

from dataclasses import dataclass
from typing import Literal, get_args
from urllib.parse import parse_qs, unquote, urlsplit

Verb = Literal[
    "GET",
    "LIST",
    "WATCH",
    "CREATE",
    "PATCH",
    "APPLY",
    "UPDATE",
    "DELETE",
    "DELETECOLLECTION",
    "HEAD",
    "POST",
    "PUT",
    "OPTIONS",
    "CONNECT",
]
"""Kubernetes verbs in front of an API server; the HTTP methods for every other path and in the forward proxy."""

VERBS: frozenset[str] = frozenset(get_args(Verb))
_READS = frozenset({"GET", "LIST", "WATCH", "HEAD", "OPTIONS", "CONNECT"})
_NAMESPACE_SUBRESOURCES = frozenset({"status", "finalize"})
_APPLY_TYPES = frozenset({"application/apply-patch+yaml", "application/apply-patch+cbor"})


@dataclass(frozen=True, kw_only=True, slots=True)
class RequestInfo:
    """One request as the rules and the record see it; empty strings where something does not apply."""

    method: str
    verb: str
    host: str
    path: str
    query: str = ""
    group: str = ""
    resource: str = ""
    subresource: str = ""
    namespace: str = ""
    name: str = ""
    user_agent: str = ""

    @property
    def is_write(self) -> bool:
        """Whether the request may change something."""
        return self.verb not in _READS


def plain_request(*, method: str, host: str, target: str, user_agent: str) -> RequestInfo:
    """Describe a request that is not for a Kubernetes API server: the verb is the method."""
    parts = urlsplit(target) if method != "CONNECT" else urlsplit("")
    return RequestInfo(method=method, verb=method, host=host, path=parts.path, query=parts.query, user_agent=user_agent)


def kubernetes_request(
    *, method: str, host: str, target: str, user_agent: str, content_type: str | None = None
) -> RequestInfo:
    """Describe a request to a Kubernetes API server.

    A list or watch narrowed by ``fieldSelector=metadata.name=X`` carries that name, as in the API server.
    """
    parts = urlsplit(target)
    plain = plain_request(method=method, host=host, target=target, user_agent=user_agent)
    segments = [unquote(segment) for segment in parts.path.split("/") if segment]
    if len(segments) >= 3 and segments[0] == "api":
        group, rest = "", segments[2:]
    elif len(segments) >= 4 and segments[0] == "apis":
        group, rest = segments[1], segments[3:]
    else:
        return plain
    query = parse_qs(parts.query, keep_blank_values=True)
    old_watch_path = rest[0] == "watch" and len(rest) > 1
    if old_watch_path:
        rest = rest[1:]
    namespace = ""
    if rest[0] == "namespaces" and len(rest) > 1:
        namespace = rest[1]
        if len(rest) > 2 and rest[2] not in _NAMESPACE_SUBRESOURCES:
            rest = rest[2:]
    resource = rest[0]
    named = rest[1] if len(rest) > 1 else ""
    watching = old_watch_path or (method == "GET" and query.get("watch", ["0"])[0].lower() in {"", "1", "t", "true"})
    return RequestInfo(
        method=method,
        verb=_kubernetes_verb(method, named=bool(named), watching=watching, content_type=content_type or ""),
        host=host,
        path=parts.path,
        query=parts.query,
        group=group,
        resource=resource,
        subresource="/".join(rest[2:]),
        namespace=namespace,
        name=named or _name_of_selector(query),
        user_agent=user_agent,
    )


def _kubernetes_verb(method: str, *, named: bool, watching: bool, content_type: str) -> str:
    if watching:
        return "WATCH"
    if method == "GET":
        return "GET" if named else "LIST"
    if method == "DELETE":
        return "DELETE" if named else "DELETECOLLECTION"
    if method == "PATCH":
        return "APPLY" if content_type.split(";", 1)[0].strip().lower() in _APPLY_TYPES else "PATCH"
    return {"POST": "CREATE", "PUT": "UPDATE"}.get(method, method)


def _name_of_selector(query: dict[str, list[str]]) -> str:
    for selector in query.get("fieldSelector", []):
        for term in selector.split(","):
            key, _, value = term.partition("=")
            if key == "metadata.name":
                return value.removeprefix("=")
    return ""
