"""Everything that is known of the nodes: the Node objects, and what objects of other projects say where those are served.

Kept small: projections only, one map per kind, and the evidence of a node put together when somebody asks for it.
"""

import asyncio
import logging
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import replace
from typing import Any, Final, Generic, Protocol, TypeVar

from inference_cache.domain.evidence_build import NodeObjects, build_evidence
from inference_cache.domain.evidence_dpu import DPUFacts, project_dpu
from inference_cache.domain.evidence_nic_device import NICDeviceFacts, project_nic_device
from inference_cache.domain.evidence_node_state import NodeStateFacts, project_node_state
from inference_cache.domain.evidence_report import ReportFacts, project_report
from inference_cache.domain.evidence_slice import SliceFacts, project_slice
from inference_cache.domain.evidence_topology import TopologyFacts, project_topology
from inference_cache.domain.kinds import (
    DPU,
    NIC_DEVICE,
    NODE,
    NODE_REPORT,
    NODE_TOPOLOGY,
    RESOURCE_SLICE,
    SRIOV_NODE_STATE,
    Kind,
)
from inference_cache.domain.node_evidence import EvidenceSources, NodeEvidence, Source
from inference_cache.domain.node_facts import NodeFacts, project_node

from .connection import Connection
from .discovery import Discovery
from .gateway import Gateway
from .liveness import Feeds
from .reflector import Key, PagedReflector

_log = logging.getLogger(__name__)

_NOTHING: Final[Mapping[str, int]] = {}
# Decisions wait this long at most for the first lists of kinds that may be missing.
_SETTLE_SECONDS: Final = 30.0
# How late it may be noticed that a report has become too old.
_STALE_CHECK_SECONDS: Final = 60.0


class OfNode(Protocol):
    """A projection of an object that is about one node."""

    @property
    def node(self) -> str:
        """Name of the node."""


F = TypeVar("F", bound=OfNode)


class NodeIndex(Generic[F]):
    """The objects of one kind by the node that they are about; a node may have several."""

    def __init__(self, reflector: PagedReflector[F]) -> None:
        self._reflector = reflector
        self._nodes: dict[Key, str] = {}
        self._keys: dict[str, tuple[Key, ...]] = {}

    def find(self, node: str) -> Iterator[F]:
        """Yield what is known of a node, in the order of the objects' names."""
        for key in self._keys.get(node, ()):
            facts = self._reflector.get(*key)
            if facts is not None:
                yield facts

    def take(self, key: Key) -> set[str]:
        """Take in a change of an object; returns the nodes that it concerns."""
        facts = self._reflector.get(*key)
        before, after = self._nodes.get(key), facts.node if facts else None
        if before != after:
            if before is not None:
                self._remove(key, before)
            if after is not None:
                self._nodes[key] = after
                self._keys[after] = tuple(sorted((*self._keys.get(after, ()), key)))
        return {node for node in (before, after) if node is not None}

    def _remove(self, key: Key, node: str) -> None:
        del self._nodes[key]
        left = tuple(known for known in self._keys[node] if known != key)
        if left:
            self._keys[node] = left
        else:
            del self._keys[node]


class EvidenceStore:
    """The evidence of all nodes.

    Args:
        connection: The way to the API server.
        gateway: For the lists.
        feeds: For the health check; only the Node objects are vital.
        discovery: Runs what reads kinds that may be missing.
        changed: Called when evidence changed, sources came or went, or `settled` became true; must be cheap.
        clock: Seconds of the epoch, for the age of reports.
        used: Returns the devices that engine pods of this operator on a node request, by extended resource.
    """

    def __init__(
        self,
        connection: Connection,
        gateway: Gateway,
        feeds: Feeds,
        discovery: Discovery,
        changed: Callable[[], None],
        clock: Callable[[], float] = time.time,
        used: Callable[[str], Mapping[str, int]] = lambda _: {},
    ) -> None:
        self._discovery = discovery
        self._changed = changed
        self._clock = clock
        self._used = used
        self._built: dict[str, NodeEvidence] = {}
        self._reports: dict[str, ReportFacts] = {}
        self._stale: set[str] = set()
        self._sources = EvidenceSources()
        self.version = 0
        self.settled = False
        self._nodes = PagedReflector(
            connection,
            gateway,
            NODE,
            project_node,
            feeds.get(NODE.plural),
            self._take_node,
            listed=self._review_sources,
        )
        self._optional: dict[Source, PagedReflector[Any]] = {}

        def read(source: Source, kind: Kind, project: Callable[[dict[str, Any]], F | None]) -> NodeIndex[F]:
            def take(namespace: str, name: str) -> None:
                for node in index.take((namespace, name)):
                    self._take_object(source, node)

            feed = feeds.get(kind.plural, vital=False)
            reflector = PagedReflector(connection, gateway, kind, project, feed, take, listed=self._review_sources)
            index = NodeIndex(reflector)
            self._optional[source] = reflector
            discovery.attach(reflector)
            return index

        self._report_index: NodeIndex[ReportFacts] = read(Source.REPORT, NODE_REPORT, project_report)
        self._nic_devices: NodeIndex[NICDeviceFacts] = read(Source.NIC_DEVICE, NIC_DEVICE, project_nic_device)
        self._node_states: NodeIndex[NodeStateFacts] = read(Source.NODE_STATE, SRIOV_NODE_STATE, project_node_state)
        self._slices: NodeIndex[SliceFacts] = read(Source.RESOURCE_SLICE, RESOURCE_SLICE, project_slice)
        self._dpus: NodeIndex[DPUFacts] = read(Source.DPU, DPU, project_dpu)
        self._topologies: NodeIndex[TopologyFacts] = read(Source.NODE_TOPOLOGY, NODE_TOPOLOGY, project_topology)
        discovery.subscribe(self._review_sources)

    @property
    def known(self) -> bool:
        """Whether all nodes were listed once."""
        return self._nodes.synced

    @property
    def sources(self) -> EvidenceSources:
        """Which sources there are."""
        return self._sources

    def snapshot(self) -> list[NodeFacts] | None:
        """Return the facts of all nodes, or None before the first complete list."""
        known = self._nodes.snapshot()
        return None if known is None else list(known.values())

    def nodes(self) -> Iterable[NodeEvidence] | None:
        """Return the evidence of all nodes, or None before the first complete list of nodes.

        The loop may turn during the iteration: nodes that have gone meanwhile are left out.
        """
        known = self._nodes.snapshot()
        if known is None:
            return None
        return (found for _, name in tuple(known) if (found := self.find(name)) is not None)

    def find(self, node_name: str) -> NodeEvidence | None:
        """Return the evidence of a node, or None where there is no such node."""
        facts = self._nodes.get("", node_name)
        if facts is None:
            return None
        used = self._used(node_name) or _NOTHING
        built = self._built.get(node_name)
        if built is None:
            built = self._built[node_name] = self._build(facts, used)
        elif built.used != used:
            built = self._built[node_name] = replace(built, used=used)
        return built

    def note_used(self, node_name: str) -> None:
        """Note that engine pods came to a node or left it; wakes nobody, as their deployment is awake already."""
        if self._nodes.get("", node_name) is not None:
            self.version += 1

    async def run(self) -> None:
        """Read the nodes, and notice what becomes too old, until cancelled."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._nodes.run(), name="nodes")
            group.create_task(self._watch_age(), name="age of reports")
            await asyncio.sleep(_SETTLE_SECONDS)
            self._review_sources()
            if not self.settled:
                _log.warning("going on without sources that were not read in time")
                self._settle()

    async def _watch_age(self) -> None:
        while True:
            await asyncio.sleep(_STALE_CHECK_SECONDS)
            self.check_age()

    def check_age(self) -> None:
        """Compare the age of all reports with the clock."""
        now = self._clock()
        for node, report in self._reports.items():
            if report.is_stale(now) != (node in self._stale):
                self._stale ^= {node}
                self._note(node)

    def _build(self, facts: NodeFacts, used: Mapping[str, int]) -> NodeEvidence:
        name = facts.name
        objects = NodeObjects(
            report=self._reports.get(name),
            report_stale=name in self._stale,
            nic_devices=tuple(self._nic_devices.find(name)),
            node_state=next(self._node_states.find(name), None),
            topology=next(self._topologies.find(name), None),
            dpus=tuple(self._dpus.find(name)),
            slices=tuple(self._slices.find(name)),
        )
        return build_evidence(facts, objects, used)

    def _take_node(self, _: str, name: str) -> None:
        self._note(name)

    def _take_object(self, source: Source, node: str) -> None:
        if source is Source.REPORT:
            self._take_report(node)
        else:
            self._note(node)

    def _take_report(self, node: str) -> None:
        before, report = self._reports.get(node), next(self._report_index.find(node), None)
        was_stale = node in self._stale
        if report is None:
            self._reports.pop(node, None)
            self._stale.discard(node)
            self._note(node)
            return
        self._reports[node] = report
        stale = report.is_stale(self._clock())
        (self._stale.add if stale else self._stale.discard)(node)
        if before is not None and before.says_same(report) and was_stale == stale:
            # Validators confirm their reports every few minutes, which is no news to anybody.
            self._built.pop(node, None)
        else:
            self._note(node)

    def _note(self, node: str) -> None:
        self._built.pop(node, None)
        self.version += 1
        self._changed()

    def _review_sources(self) -> None:
        """Find out which sources there are, after a list, a refusal, or a change of what is served."""
        available = {source for source, reflector in self._optional.items() if reflector.synced}
        if self._nodes.synced:
            available |= {Source.NODE, Source.LABEL}
        unreadable = {source: reflector.refused for source, reflector in self._optional.items() if reflector.refused}
        if not self._discovery.known and self._discovery.failure:
            unreadable = dict.fromkeys(self._optional, f"served kinds are not known: {self._discovery.failure}")
        sources = EvidenceSources(frozenset(available), unreadable)
        if sources != self._sources:
            self._sources = sources
            self.version += 1
            self._changed()
        if not self.settled and self._nodes.synced and self._discovery.known:
            awaited = [
                reflector
                for reflector in self._optional.values()
                if self._discovery.serves(reflector.kind) and not reflector.synced and not reflector.refused
            ]
            if not awaited:
                self._settle()

    def _settle(self) -> None:
        self.settled = True
        self.version += 1
        self._changed()
