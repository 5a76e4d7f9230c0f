"""Finds the deployments that share cached KV without looking at all of them, and says whose status that touches."""

import heapq
from collections import defaultdict
from typing import Any

from inference_cache.domain.sharing import EXAMPLES, MOST_COUNTED, Sharer, SharingKey, build_sharer, build_sharing_key

NamespacedName = tuple[str, str]


class SharingIndex:
    """Deployments by what they share; follows the object cache."""

    def __init__(self) -> None:
        self._keys: dict[NamespacedName, SharingKey] = {}
        self._groups: dict[SharingKey, dict[NamespacedName, Sharer]] = defaultdict(dict)

    def put(self, deployment: dict[str, Any]) -> set[NamespacedName]:
        """Take in a deployment; returns the others whose sharing changed with it."""
        sharer = build_sharer(deployment)
        name = (sharer.namespace, sharer.name)
        new = build_sharing_key(deployment)
        if self._keys.get(name) == new:
            return set()
        touched = self.drop(name)
        if new is not None:
            self._keys[name] = new
            self._groups[new][name] = sharer
            touched |= self._list_touched(name)
        return touched

    def drop(self, name: NamespacedName) -> set[NamespacedName]:
        """Forget a deployment; returns the others whose sharing changed with it."""
        touched = self._list_touched(name)
        key = self._keys.pop(name, None)
        if key is not None:
            del self._groups[key][name]
            if not self._groups[key]:
                del self._groups[key]
        return touched

    def sharers(self, name: NamespacedName) -> list[Sharer]:
        """Return everyone who shares with a deployment, itself included."""
        key = self._keys.get(name)
        return [] if key is None else list(self._groups[key].values())

    def _list_touched(self, name: NamespacedName) -> set[NamespacedName]:
        """Return the others that show a deployment in their status: in the count, or as an example."""
        key = self._keys.get(name)
        if key is None:
            return set()
        group = self._groups[key]
        if len(group) <= MOST_COUNTED + 1:
            return {other for other in group if other != name}
        neighbours = [item for item in group.values() if item.namespace == name[0]]
        # One more than the examples, as nobody is an example to itself.
        if group[name] not in heapq.nsmallest(EXAMPLES + 1, neighbours):
            return set()
        return {(item.namespace, item.name) for item in neighbours if (item.namespace, item.name) != name}
