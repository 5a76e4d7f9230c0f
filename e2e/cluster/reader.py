"""Reads of objects over one open connection, for tests that poll: each kubectl costs 60 ms of CPU before it asks anything.

It understands what tests ask by `kubectl get` (a kind or several, a name, a namespace, a label selector) and leaves the
rest, and every error, to kubectl, whose words people know.
"""

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path
from typing import Any, Final

_SECONDS: Final = 30
_DISCOVERY: Final = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList"


class NotUnderstoodError(Exception):
    """The question is one for kubectl."""


@dataclass(frozen=True)
class _Resource:
    path: str
    plural: str
    namespaced: bool


@dataclass(frozen=True)
class _Question:
    kinds: tuple[str, ...]
    name: str | None
    namespace: str | None
    everywhere: bool
    selector: str | None


class Reader:
    """One connection to an API server, opened with the first question.

    Args:
        kubeconfig: Of the administrator.
    """

    def __init__(self, kubeconfig: Path) -> None:
        self._kubeconfig = kubeconfig
        self._client: Any = None
        self._resources: dict[str, _Resource] = {}

    def get(self, arguments: Sequence[str]) -> Any:
        """Return what `kubectl get` with these arguments and `-o json --ignore-not-found` prints, None where it is nothing.

        Raises:
            NotUnderstoodError: Ask kubectl.
        """
        question = _parse(arguments)
        found = [self._resolve(kind) for kind in question.kinds]
        if question.name is not None:
            return self._read(self._locate(found[0], question, question.name))
        items: list[Any] = []
        for resource in found:
            answer = self._read(self._locate(resource, question), question.selector)
            if answer is None:
                raise NotUnderstoodError
            # The members of a list do not say what they are; kubectl adds it.
            kind = {"apiVersion": answer["apiVersion"], "kind": answer["kind"].removesuffix("List")}
            items += [{**kind, **item} for item in answer["items"]]
        # kubectl counts an empty list as not found.
        return (
            {"apiVersion": "v1", "items": items, "kind": "List", "metadata": {"resourceVersion": ""}} if items else None
        )

    def close(self) -> None:
        """Close the connection."""
        if self._client is not None:
            self._client.close()
            self._client = None

    def _locate(self, resource: _Resource, question: _Question, name: str = "") -> str:
        scope = ""
        if resource.namespaced and not question.everywhere:
            scope = f"/namespaces/{question.namespace or 'default'}"
        return f"{resource.path}{scope}/{resource.plural}" + (f"/{name}" if name else "")

    def _resolve(self, kind: str) -> _Resource:
        if kind not in self._resources:
            # A CRD may have come since.
            self._resources = {}
            for path in ("/api", "/apis"):
                for name, resource in _list_resources(path, self._read(path, accept=_DISCOVERY)):
                    self._resources.setdefault(name, resource)
        if kind not in self._resources:
            raise NotUnderstoodError
        return self._resources[kind]

    def _read(self, path: str, selector: str | None = None, accept: str = "application/json") -> Any:
        # Imported late, as it takes half a second, and clusters are used without any question too.
        from kubernetes import client, config  # noqa: PLC0415
        from urllib3.exceptions import HTTPError  # noqa: PLC0415

        if self._client is None:
            settings = client.Configuration()
            config.load_kube_config(config_file=str(self._kubeconfig), client_configuration=settings)
            self._client = client.ApiClient(settings)
        query = [("labelSelector", selector)] if selector else []
        request = self._client.param_serialize(
            method="GET",
            resource_path=path,
            query_params=query,
            header_params={"Accept": accept},
            auth_settings=["BearerToken"],
        )
        try:
            response = self._client.call_api(*request, _request_timeout=_SECONDS)
            body = response.read()
        except (HTTPError, OSError):
            raise NotUnderstoodError from None
        if response.status == HTTPStatus.NOT_FOUND:
            return None
        if response.status != HTTPStatus.OK:
            raise NotUnderstoodError
        return json.loads(body)


def _list_resources(path: str, answer: Any) -> Iterator[tuple[str, _Resource]]:
    """Yield every name of every resource, in the order in which kubectl prefers one of two."""
    for group in (answer or {}).get("items", []):
        name = group["metadata"].get("name", "")
        for version in group["versions"][:1]:
            where = f"{path}/{name}/{version['version']}" if name else f"{path}/{version['version']}"
            for item in version.get("resources", []):
                resource = _Resource(where, item["resource"], item["scope"] == "Namespaced")
                singular = item.get("singularResource") or item["responseKind"]["kind"].lower()
                for word in (item["resource"], singular, *item.get("shortNames", [])):
                    yield word, resource
                    yield f"{word}.{name}", resource


def _parse(arguments: Sequence[str]) -> _Question:
    words: list[str] = []
    options: dict[str, str] = {}
    everywhere = False
    rest = iter(arguments)
    for word in rest:
        match word:
            case "--namespace" | "-n":
                options["namespace"] = next(rest)
            case "-l" | "--selector":
                options["selector"] = next(rest)
            case "--all-namespaces" | "-A":
                everywhere = True
            case _ if word.startswith("-") or "/" in word:
                raise NotUnderstoodError
            case _:
                words.append(word)
    kinds = tuple(words[0].split(",")) if words else ()
    if not kinds or len(words) > 2 or (len(words) == 2 and len(kinds) > 1):
        raise NotUnderstoodError
    name = words[1] if len(words) > 1 else None
    return _Question(kinds, name, options.get("namespace"), everywhere, options.get("selector"))
