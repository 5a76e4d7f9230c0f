"""Which networks and devices pods use, so that nothing is taken away under them."""

import json
from collections.abc import Collection, Iterator, Mapping
from typing import Any, Final

from inference_cache.domain import names

_ENDED: Final = frozenset({"Succeeded", "Failed"})


class Usage:
    """Goes through pods and remembers one for each network and each extended resource."""

    def __init__(self) -> None:
        self._networks: dict[tuple[str, str], str] = {}
        self._resources: dict[str, str] = {}
        self._unclear: dict[str, str] = {}

    def add(self, pod: Mapping[str, Any]) -> None:
        """Take in one Pod; one that has ended uses nothing any more."""
        metadata, spec = pod["metadata"], pod.get("spec") or {}
        if (pod.get("status") or {}).get("phase") in _ENDED:
            return
        shown = f"{metadata['namespace']}/{metadata['name']}"
        annotations = metadata.get("annotations") or {}
        for key in (names.ANNOTATION_NETWORKS, names.ANNOTATION_DEFAULT_NETWORK):
            networks = parse_networks(annotations.get(key, ""), metadata["namespace"])
            if networks is None:
                self._unclear.setdefault(metadata["namespace"], shown)
            for network in networks or ():
                self._networks.setdefault(network, shown)
        for resource in _list_resources(spec):
            self._resources.setdefault(resource, shown)

    def add_requests(self, pod: Mapping[str, Any], wanted: Collection[str]) -> None:
        """Take in of one Pod only whether it requests some of these resources, given with their prefix or without."""
        if (pod.get("status") or {}).get("phase") in _ENDED:
            return
        for resource in _list_resources(pod.get("spec") or {}):
            if resource in wanted or resource.partition("/")[2] in wanted:
                self._resources.setdefault(resource, f"{pod['metadata']['namespace']}/{pod['metadata']['name']}")

    def find_network_user(self, namespace: str, name: str) -> str | None:
        """Return a pod that is attached to a network, or that may be, as nobody can tell what it is attached to."""
        return self._networks.get((namespace, name)) or self._unclear.get(namespace)

    def find_resource_user(self, resource: str) -> str | None:
        """Return a pod that requests a resource, given with its prefix, or without where that is not known."""
        if "/" in resource:
            return self._resources.get(resource)
        return next((pod for key, pod in self._resources.items() if key.partition("/")[2] == resource), None)


def parse_networks(text: str, namespace: str) -> list[tuple[str, str]] | None:
    """Return namespace and name of each network in the annotation of a pod, in either of its two forms.

    Returns None where some of it is not understood: such a pod may be attached to any network of its namespace.
    """
    if not text.strip().startswith("["):
        parts = filter(None, (part.strip() for part in text.split(",")))
        return [_split(item.partition("@")[0], namespace) for item in parts]
    try:
        items = json.loads(text)
    except (ValueError, RecursionError):
        return None
    found: list[tuple[str, str]] = []
    for item in items:
        name = item.get("name") if isinstance(item, dict) else None
        home = (item.get("namespace") or namespace) if isinstance(item, dict) else None
        if not isinstance(name, str) or not isinstance(home, str):
            return None
        found.append(_split(name, home))
    return found


def _list_resources(spec: Mapping[str, Any]) -> Iterator[str]:
    for container in [*(spec.get("initContainers") or []), *(spec.get("containers") or [])]:
        resources = container.get("resources") or {}
        for resource in [*(resources.get("requests") or {}), *(resources.get("limits") or {})]:
            if "/" in resource:
                yield resource


def _split(text: str, namespace: str) -> tuple[str, str]:
    first, slash, rest = text.partition("/")
    return (first, rest) if slash else (namespace, first)
