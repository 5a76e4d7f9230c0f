"""What the watches have told so far, projected, and never older than what this process itself has read or written.

kopf's own indices keep objects whose deletion fell into a gap of the watch, so the cache is ours: writes go through it,
resource versions order what arrives, and a periodic list finds what the watches missed.
"""

from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from typing import Any, Final

from inference_cache.domain import names
from inference_cache.domain.kinds import CHILD_KINDS, DEPLOYMENT, POD, Kind
from inference_cache.domain.live import Live, project_live
from inference_cache.domain.pod_facts import PodFacts, project_pod
from inference_cache.domain.refused_pods import Refusal
from inference_cache.domain.sharing import Sharer

from .pod_index import DeviceIndex, RefusalIndex
from .sharing_index import SharingIndex

Object = dict[str, Any]
NamespacedName = tuple[str, str]

# Deleted objects are remembered for as long as late events about them may arrive; bounded.
_GRAVEYARD: Final = 4096


def is_newer(version: str, than: str) -> bool:
    """Whether a resource version is later than another one of the same object.

    Resource versions are whole numbers that grow (declared comparable in Kubernetes 1.35).
    """
    return int(version) > int(than)


def _find_deployment(metadata: Object) -> str | None:
    """Return the deployment that an object belongs to: its owner, which nobody edits by mistake, before its label."""
    for owner in metadata.get("ownerReferences", []):
        if owner.get("controller") and owner.get("kind") == DEPLOYMENT.name:
            name: str = owner["name"]
            return name
    label: str | None = metadata.get("labels", {}).get(names.LABEL_DEPLOYMENT)
    return label


class ObjectCache:
    """Deployments, their children and their pods, by namespace and deployment name.

    Args:
        touched: Called with a deployment whose sharing of KV changed because of another one.
        occupied: Called with a node that RDMA pods came to or left.
    """

    def __init__(
        self,
        touched: Callable[[NamespacedName], None] = lambda _: None,
        occupied: Callable[[str], None] = lambda _: None,
    ) -> None:
        self._touched = touched
        self._sharing = SharingIndex()
        self._devices = DeviceIndex(occupied)
        self._refusals = RefusalIndex()
        self._deployments: dict[NamespacedName, Object] = {}
        self._children: dict[NamespacedName, dict[tuple[Kind, str], Live]] = defaultdict(dict)
        self._pods: dict[NamespacedName, dict[str, PodFacts]] = defaultdict(dict)
        self._owners: dict[tuple[Kind, str, str], NamespacedName] = {}
        self._buried: dict[str, str] = {}

    def deployment(self, key: NamespacedName) -> Object | None:
        """Return a deployment as last seen, without managedFields."""
        return self._deployments.get(key)

    def children(self, key: NamespacedName) -> list[Live]:
        """Return the objects that carry the deployment's label."""
        return list(self._children.get(key, {}).values())

    def pods(self, key: NamespacedName) -> list[PodFacts]:
        """Return the deployment's engine pods."""
        return list(self._pods.get(key, {}).values())

    def sharers(self, key: NamespacedName) -> list[Sharer]:
        """Return the deployments that share KV with this one, itself included; empty where it shares with none."""
        return self._sharing.sharers(key)

    def used_devices(self, node: str) -> Mapping[str, int]:
        """Return the devices and GPUs of a node that RDMA pods hold, by extended resource."""
        return self._devices.used(node)

    def devices_version(self) -> int:
        """Return a number that grows whenever RDMA pods come to a node or leave it."""
        return self._devices.version

    def refusals(self, key: NamespacedName) -> tuple[Refusal, ...]:
        """Return the deployment's pods that the kubelet refused lately; most of them are gone."""
        return self._refusals.of(key)

    def keys(self) -> list[NamespacedName]:
        """Return every deployment."""
        return list(self._deployments)

    def upsert(self, kind: Kind, body: Object) -> NamespacedName | None:
        """Take in an object that was seen or written; returns the deployment that it concerns, None if it is no news."""
        metadata = body["metadata"]
        uid, version = metadata["uid"], metadata["resourceVersion"]
        if uid in self._buried:
            if not is_newer(version, self._buried[uid]):
                return None
            # It was not deleted: it had only lost the label that the watch selects by.
            del self._buried[uid]
        known = self._find(kind, metadata.get("namespace", ""), metadata["name"])
        if known is not None and not is_newer(version, known[1]):
            return None
        return self._store(kind, body)

    def remove(self, kind: Kind, namespace: str, name: str, uid: str, version: str = "") -> NamespacedName | None:
        """Forget a deleted object; returns the deployment that it concerned, None if it was not known.

        Args:
            kind: Its kind.
            namespace: Its namespace.
            name: Its name.
            uid: Its uid; a successor of the same name stays.
            version: Resource version of the deletion, empty where nobody told. A watch also reports objects as deleted
                that no longer match its selector, so what is known to be newer than that stays.
        """
        known = self._find(kind, namespace, name)
        known_version = known[1] if known is not None and known[0] == uid else ""
        if version and known_version and is_newer(known_version, version):
            return None
        self._bury(uid, version or known_version or "0")
        if not known_version:
            return None
        return self._drop(kind, namespace, name)

    def take_list(
        self, kind: Kind, bodies: Collection[Object], known_before: Collection[str]
    ) -> Iterator[NamespacedName]:
        """Compare with a complete list; yields the deployments whose objects turned out stale.

        Args:
            kind: Kind of the list.
            bodies: Every object of the list.
            known_before: Uids that the cache held when the list began; only those may be missed by it.
        """
        seen = {body["metadata"]["uid"] for body in bodies}
        for body in bodies:
            key = self.upsert(kind, body)
            if key is not None:
                yield key
        for namespace, name, uid in list(self._entries(kind)):
            if uid in known_before and uid not in seen:
                key = self.remove(kind, namespace, name, uid)
                if key is not None:
                    yield key

    def uids(self, kind: Kind) -> set[str]:
        """Return the uids of all known objects of a kind."""
        return {uid for _, _, uid in self._entries(kind)}

    def _find(self, kind: Kind, namespace: str, name: str) -> tuple[str, str] | None:
        if kind is DEPLOYMENT:
            found = self._deployments.get((namespace, name))
            return (found["metadata"]["uid"], found["metadata"]["resourceVersion"]) if found else None
        key = self._owners.get((kind, namespace, name))
        if key is None:
            return None
        item = self._pods[key][name] if kind is POD else self._children[key][kind, name]
        return item.uid, item.resource_version

    def _store(self, kind: Kind, body: Object) -> NamespacedName | None:
        metadata = body["metadata"]
        namespace, name = metadata.get("namespace", ""), metadata["name"]
        if kind is DEPLOYMENT:
            slim = {field: value for field, value in metadata.items() if field != "managedFields"}
            self._deployments[namespace, name] = {**body, "metadata": slim}
            self._touch(self._sharing.put(body))
            return namespace, name
        before = self._drop(kind, namespace, name, replaced=True)
        deployment = _find_deployment(metadata)
        if not deployment:
            if kind is POD:
                self._devices.drop((namespace, name))
            return before
        key = (namespace, deployment)
        self._owners[kind, namespace, name] = key
        if kind is POD:
            pod = self._pods[key][name] = project_pod(body)
            self._devices.put(pod)
            self._refusals.put(key, pod)
        else:
            self._children[key][kind, name] = project_live(kind, body)
        return key

    def _drop(self, kind: Kind, namespace: str, name: str, *, replaced: bool = False) -> NamespacedName | None:
        if kind is DEPLOYMENT:
            self._touch(self._sharing.drop((namespace, name)))
            self._refusals.drop((namespace, name))
            return (namespace, name) if self._deployments.pop((namespace, name), None) else None
        key = self._owners.pop((kind, namespace, name), None)
        if key is None:
            return None
        if kind is POD:
            self._pods[key].pop(name, None)
            # A pod that is only seen anew goes on holding what it holds.
            if not replaced:
                self._devices.drop((namespace, name))
            if not self._pods[key]:
                del self._pods[key]
        else:
            self._children[key].pop((kind, name), None)
            if not self._children[key]:
                del self._children[key]
        return key

    def _touch(self, keys: Iterable[NamespacedName]) -> None:
        for key in keys:
            self._touched(key)

    def _bury(self, uid: str, version: str) -> None:
        self._buried[uid] = version
        while len(self._buried) > _GRAVEYARD:
            del self._buried[next(iter(self._buried))]

    def _entries(self, kind: Kind) -> Iterator[tuple[str, str, str]]:
        if kind is DEPLOYMENT:
            for (namespace, name), body in self._deployments.items():
                yield namespace, name, body["metadata"]["uid"]
            return
        for found, namespace, name in self._owners:
            if found is kind:
                known = self._find(kind, namespace, name)
                if known is not None:
                    yield namespace, name, known[0]


Listener = Callable[[Kind, NamespacedName], None]
SELECTORS: Final[dict[Kind, str]] = {
    **dict.fromkeys(CHILD_KINDS, names.MANAGED_SELECTOR),
    POD: names.ENGINE_SELECTOR,
}
