"""What is known of fabrics and of everything that they consist of: fabrics, networks, policies, namespaces.

Fabrics are always watched where they are served. Everything else is watched from the moment that somebody needs it, and no
longer: a cluster without fabrics pays for none of it. What a pass has written counts as seen at once, so that the next pass
does not decide from what was there before.
"""

import asyncio
import logging
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any, Final

from inference_cache.domain import kinds, names
from inference_cache.domain.fabric.facts import FabricFacts, project_fabric
from inference_cache.domain.fabric.form import list_kinds
from inference_cache.domain.fabric.networks import NetworkFacts, project_network
from inference_cache.domain.fabric.ownership import is_own
from inference_cache.domain.kinds import Kind
from inference_cache.domain.live import Live, project_live

from .cache import is_newer
from .connection import Connection
from .discovery import Discovery
from .errors import ClusterError, RefusedError
from .gateway import Gateway
from .liveness import Feeds
from .reflector import PagedReflector, supervise

_log = logging.getLogger(__name__)

_ENFORCE: Final = "pod-security.kubernetes.io/enforce"
# A write is remembered until the watch tells of it, and no longer than that.
_WRITTEN_SECONDS: Final = 10.0
_CLASS_SECONDS: Final = 60.0
_MAX_CLASSES: Final = 256

# Objects that only the operator makes are selected by its label; of the others, those of everybody matter.
_OWN: Final = (
    kinds.SRIOV_NETWORK,
    kinds.SRIOV_IB_NETWORK,
    kinds.HOST_DEVICE_NETWORK,
    kinds.MACVLAN_NETWORK,
    kinds.IPOIB_NETWORK,
    kinds.DAEMON_SET,
    kinds.CONFIG_MAP,
)
_COMMON: Final = (kinds.SRIOV_POLICY, kinds.SRIOV_POOL_CONFIG, kinds.NIC_CLUSTER_POLICY)
WRITTEN_KINDS: Final = (kinds.NETWORK_ATTACHMENT, kinds.SRIOV_POLICY, *_OWN)
"""Kinds of the objects that belong to one fabric alone."""

Key = tuple[Kind, str, str]


@dataclass(frozen=True, slots=True)
class NetworkRecord:
    """A NetworkAttachmentDefinition; the whole object is kept only of those that the operator made."""

    facts: NetworkFacts
    live: Live | None


class FabricStore:
    """Fabrics and their surroundings.

    Args:
        connection: The way to the API server.
        gateway: For lists, and for DeviceClasses.
        feeds: For the health check; nothing here is vital.
        discovery: Knows which kinds are served.
    """

    def __init__(self, connection: Connection, gateway: Gateway, feeds: Feeds, discovery: Discovery) -> None:
        self._gateway = gateway
        self._discovery = discovery
        self._callbacks: list[Callable[[str], None]] = []
        self._wake = asyncio.Event()
        self._asked: set[Kind] = set()
        self._tasks: dict[Kind, asyncio.Task[None]] = {}
        self._written: dict[Key, tuple[Live, float]] = {}
        self._reported: dict[str, FabricFacts] = {}
        self._classes: dict[str, tuple[bool | None, float]] = {}

        def read(kind: Kind, project: Callable[[dict[str, Any]], Any], selector: str = "") -> PagedReflector[Any]:
            # The operator watches some of these kinds for other reasons too, with another selector.
            feed = feeds.get(f"{kind.plural} of fabrics", vital=False)
            return PagedReflector(
                connection, gateway, kind, project, feed, partial(self._take, kind), selector, listed=self._changed_all
            )

        self._fabrics: PagedReflector[FabricFacts] = PagedReflector(
            connection,
            gateway,
            kinds.FABRIC,
            project_fabric,
            feeds.get(kinds.FABRIC.plural, vital=False),
            self._take_fabric,
            listed=self._changed_all,
        )
        discovery.attach(self._fabrics)
        self._parts: dict[Kind, PagedReflector[Any]] = {
            **{kind: read(kind, _Projection(kind), names.LABEL_FABRIC) for kind in _OWN},
            **{kind: read(kind, _Projection(kind)) for kind in _COMMON},
            kinds.NETWORK_ATTACHMENT: read(kinds.NETWORK_ATTACHMENT, _project_record),
            kinds.NAMESPACE: read(kinds.NAMESPACE, _project_namespace),
            kinds.NV_IP_POOL: read(kinds.NV_IP_POOL, _project_pool),
        }
        for reflector in self._parts.values():
            reflector.gone = discovery.look_soon
        discovery.subscribe(self._changed_all)

    def subscribe(self, callback: Callable[[str], None]) -> None:
        """Have a callback called with the name of a fabric that changed, or with an empty name where it may be any."""
        self._callbacks.append(callback)

    @property
    def known(self) -> bool:
        """Whether all fabrics were read, or none can be."""
        return self._discovery.is_settled(self._fabrics)

    def fabric(self, name: str) -> FabricFacts | None:
        """Return a fabric."""
        found = self._fabrics.get("", name)
        reported = self._reported.get(name)
        if reported is None:
            return found
        if (
            found is None
            or found.uid != reported.uid
            or not is_newer(reported.resource_version, found.resource_version)
        ):
            del self._reported[name]
            return found
        return reported

    def fabrics(self) -> list[FabricFacts]:
        """Return all fabrics."""
        known = tuple(self._fabrics.snapshot() or ())
        return [found for _, name in known if (found := self.fabric(name)) is not None]

    @property
    def networks_served(self) -> bool | None:
        """Whether NetworkAttachmentDefinition is served; None before that is known."""
        return self.serves(kinds.NETWORK_ATTACHMENT)

    def network(self, namespace: str, name: str) -> NetworkFacts | None:
        """Return a NetworkAttachmentDefinition; from the first question on they are watched."""
        self._need(kinds.NETWORK_ATTACHMENT)
        record = self._parts[kinds.NETWORK_ATTACHMENT].get(namespace, name)
        return None if record is None else record.facts

    def networks(self) -> Mapping[tuple[str, str], NetworkFacts] | None:
        """Return all NetworkAttachmentDefinitions, or None before they were read."""
        self._need(kinds.NETWORK_ATTACHMENT)
        known = self._parts[kinds.NETWORK_ATTACHMENT].snapshot()
        return None if known is None else {key: record.facts for key, record in known.items()}

    def pod_security(self, namespace: str) -> str | None:
        """Return the level that Pod Security enforces, empty without the label; None where that is not known.

        From the first question on namespaces are watched.
        """
        self._need(kinds.NAMESPACE)
        found: str | None = self._parts[kinds.NAMESPACE].get("", namespace)
        return found

    def namespaces(self) -> frozenset[str] | None:
        """Return the names of all namespaces, or None where they were not read."""
        known = self._parts[kinds.NAMESPACE].snapshot()
        return None if known is None else frozenset(name for _, name in known)

    def pool_blocks(self, wanted: frozenset[str]) -> dict[str, frozenset[str]]:
        """Return, for each address pool of nv-ipam that gives blocks, the nodes that have one."""
        known = self._parts[kinds.NV_IP_POOL].snapshot() or {}
        return {name: nodes for (_, name), nodes in known.items() if name in wanted and nodes}

    async def device_class(self, name: str) -> bool | None:
        """Return whether a DeviceClass exists; None where nobody tells. Answers are good for a minute."""
        known = self._classes.get(name)
        if known is not None and known[1] > time.monotonic():
            return known[0]
        found: bool | None
        try:
            found = await self._gateway.read(kinds.DEVICE_CLASS, "", name) is not None
        except RefusedError:
            found = None
        except ClusterError:
            return known[0] if known else None
        while len(self._classes) >= _MAX_CLASSES:
            del self._classes[next(iter(self._classes))]
        self._classes[name] = (found, time.monotonic() + _CLASS_SECONDS)
        return found

    def serves(self, kind: Kind) -> bool | None:
        """Whether a kind is served; None before that is known."""
        return self._discovery.serves(kind)

    @property
    def refused(self) -> dict[Kind, str]:
        """The kinds that are needed and may not be read, with the API server's words."""
        return {kind: item.refused for kind, item in self._parts.items() if item.refused and kind in self._tasks}

    def find_unread(self, wanted: frozenset[Kind]) -> list[Kind]:
        """Return the kinds of these that are served and not read yet."""
        found = [kind for kind in sorted(wanted, key=str) if not self._discovery.is_settled(self._parts[kind])]
        if found:
            self._arrange_soon()
        return found

    def live(self, kind: Kind) -> list[Live]:
        """Return the objects of a kind as the watch and our own writes have told."""
        known: Mapping[tuple[str, str], Any] = self._parts[kind].snapshot() or {}
        found = {key: _get_live(item) for key, item in known.items()}
        now = time.monotonic()
        for (written_kind, namespace, name), (live, until) in list(self._written.items()):
            if written_kind is not kind:
                continue
            seen = found.get((namespace, name))
            if now > until or (seen is not None and not is_newer(live.resource_version, seen.resource_version)):
                del self._written[written_kind, namespace, name]
            else:
                found[namespace, name] = live
        return [item for item in found.values() if item is not None]

    def own(self, fabric: FabricFacts) -> list[Live]:
        """Return the objects that were made for a fabric."""
        return [item for kind in WRITTEN_KINDS for item in self.live(kind) if is_own(item, fabric)]

    def note_written(self, live: Live) -> None:
        """Take in an object that was just written."""
        key = (live.kind, live.namespace, live.name)
        self._written[key] = (live, time.monotonic() + _WRITTEN_SECONDS)
        asyncio.get_running_loop().call_later(_WRITTEN_SECONDS, self._expire, key, live)

    def note_deleted(self, live: Live) -> None:
        """Forget what was written of an object that was just deleted."""
        self._written.pop((live.kind, live.namespace, live.name), None)

    def note_fabric(self, body: dict[str, Any]) -> None:
        """Take in a fabric whose status or finalizers were just written."""
        facts = project_fabric(body)
        self._reported[facts.name] = facts

    async def run(self) -> None:
        """Watch what is needed, until cancelled."""
        async with asyncio.TaskGroup() as group:
            while True:
                self._wake.clear()
                self._arrange(group)
                await self._wake.wait()

    def _arrange(self, group: asyncio.TaskGroup) -> None:
        needed = set(self._asked)
        for fabric in self.fabrics():
            if fabric.spec is not None:
                needed |= list_kinds(fabric.spec)
            elif fabric.guarded:
                needed |= {*WRITTEN_KINDS, kinds.NIC_CLUSTER_POLICY}
        for kind, reflector in self._parts.items():
            task, wanted = self._tasks.get(kind), kind in needed and bool(self.serves(kind))
            if wanted and task is None:
                self._tasks[kind] = group.create_task(supervise(reflector), name=f"{kind.plural} of fabrics")
            elif task is not None and not wanted:
                task.cancel()
                del self._tasks[kind]
                reflector.refused = ""
                reflector.drop()

    def _need(self, kind: Kind) -> None:
        if kind not in self._asked:
            self._asked.add(kind)
            self._arrange_soon()

    def _arrange_soon(self) -> None:
        self._wake.set()

    def _take(self, kind: Kind, namespace: str, name: str) -> None:
        key = (kind, namespace, name)
        written, part = self._written.get(key), self._parts.get(kind)
        seen = _get_live(part.get(namespace, name)) if part is not None else None
        # A watch that tells of a deletion has told of what was written before it.
        if written is not None and (seen is None or not is_newer(written[0].resource_version, seen.resource_version)):
            del self._written[key]
        self._notify("")

    def _expire(self, key: Key, live: Live) -> None:
        """Look again where the watch has not told of a write: it may have been undone before its answer came."""
        written = self._written.get(key)
        if written is not None and written[0] is live:
            del self._written[key]
            self._notify("")

    def _take_fabric(self, _: str, name: str) -> None:
        self._arrange_soon()
        self._notify(name)

    def _changed_all(self) -> None:
        self._arrange_soon()
        self._notify("")

    def _notify(self, name: str) -> None:
        for callback in self._callbacks:
            callback(name)


@dataclass(frozen=True, slots=True)
class _Projection:
    kind: Kind

    def __call__(self, body: dict[str, Any]) -> Live:
        return project_live(self.kind, body)


def _project_record(body: dict[str, Any]) -> NetworkRecord:
    labels = body["metadata"].get("labels") or {}
    live = project_live(kinds.NETWORK_ATTACHMENT, body) if names.LABEL_FABRIC in labels else None
    return NetworkRecord(project_network(body), live)


def _project_namespace(body: dict[str, Any]) -> str:
    found: str = (body["metadata"].get("labels") or {}).get(_ENFORCE, "")
    return found


def _project_pool(body: dict[str, Any]) -> frozenset[str]:
    allocations = (body.get("status") or {}).get("allocations") or []
    return frozenset(item["nodeName"] for item in allocations if "nodeName" in item)


def _get_live(item: Any) -> Live | None:
    return item.live if isinstance(item, NetworkRecord) else item if isinstance(item, Live) else None
