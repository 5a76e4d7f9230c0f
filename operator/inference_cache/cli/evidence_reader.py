"""Reads what is known of the nodes: the Node objects, and of the objects of other projects those that are there to read."""

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Final, TypeVar

from inference_cache.domain import names
from inference_cache.domain.attachment import Variant
from inference_cache.domain.evidence_build import NodeObjects, build_evidence
from inference_cache.domain.evidence_dpu import project_dpu
from inference_cache.domain.evidence_nic_device import project_nic_device
from inference_cache.domain.evidence_node_state import project_node_state
from inference_cache.domain.evidence_report import project_report
from inference_cache.domain.evidence_slice import project_slice
from inference_cache.domain.evidence_topology import project_topology
from inference_cache.domain.kinds import (
    DPU,
    NIC_DEVICE,
    NODE_REPORT,
    NODE_TOPOLOGY,
    POD,
    RESOURCE_SLICE,
    SRIOV_NODE_STATE,
    Kind,
)
from inference_cache.domain.node_evidence import EvidenceSources, NodeEvidence, Source
from inference_cache.domain.pod_facts import project_pod

from .cluster_reader import ClusterReader, ForbiddenError, NotServedError

T = TypeVar("T")
_KINDS: Final[Mapping[Source, Kind]] = {
    Source.REPORT: NODE_REPORT,
    Source.NIC_DEVICE: NIC_DEVICE,
    Source.NODE_STATE: SRIOV_NODE_STATE,
    Source.RESOURCE_SLICE: RESOURCE_SLICE,
    Source.DPU: DPU,
    Source.NODE_TOPOLOGY: NODE_TOPOLOGY,
}


@dataclass(frozen=True)
class NodeReading:
    """The nodes, as far as they can be read.

    Attributes:
        absent: Sources whose kind the API server does not serve.
        used_known: Whether the devices that engine pods hold are counted.
    """

    nodes: tuple[NodeEvidence, ...]
    sources: EvidenceSources
    absent: frozenset[Source] = frozenset()
    used_known: bool = True


@dataclass
class _Sources:
    available: set[Source] = field(default_factory=lambda: {Source.NODE, Source.LABEL})
    unreadable: dict[Source, str] = field(default_factory=dict)
    absent: set[Source] = field(default_factory=set)


async def read_evidence(reader: ClusterReader) -> NodeReading:
    """Return everything that is known of the nodes.

    Raises:
        CommandError: The nodes themselves cannot be read.
    """
    told = _Sources()

    async def read(source: Source, project: Callable[[dict[str, Any]], T | None]) -> dict[str, list[T]]:
        return await _read_source(reader, source, project, told)

    # First and alone: without it nothing else is of use.
    nodes = await reader.read_nodes()
    (reports, devices, states), (topologies, dpus, slices, used) = await asyncio.gather(
        asyncio.gather(
            read(Source.REPORT, project_report),
            read(Source.NIC_DEVICE, project_nic_device),
            read(Source.NODE_STATE, project_node_state),
        ),
        asyncio.gather(
            read(Source.NODE_TOPOLOGY, project_topology),
            read(Source.DPU, project_dpu),
            read(Source.RESOURCE_SLICE, project_slice),
            _read_used(reader),
        ),
    )
    now = datetime.now(UTC).timestamp()
    found = []
    for facts in nodes:
        report = next(iter(reports.get(facts.name, ())), None)
        objects = NodeObjects(
            report=report,
            report_stale=report is not None and report.is_stale(now),
            nic_devices=tuple(devices.get(facts.name, ())),
            node_state=next(iter(states.get(facts.name, ())), None),
            topology=next(iter(topologies.get(facts.name, ())), None),
            dpus=tuple(dpus.get(facts.name, ())),
            slices=tuple(slices.get(facts.name, ())),
        )
        found.append(build_evidence(facts, objects, (used or {}).get(facts.name, {})))
    sources = EvidenceSources(frozenset(told.available), dict(told.unreadable))
    return NodeReading(tuple(found), sources, frozenset(told.absent), used_known=used is not None)


async def _read_source(
    reader: ClusterReader, source: Source, project: Callable[[dict[str, Any]], T | None], told: _Sources
) -> dict[str, list[T]]:
    """Return what a source says, by node; a source that is not there or may not be read says nothing."""
    found: dict[str, list[T]] = {}
    try:
        async for item in reader.list_items(_KINDS[source]):
            try:
                facts = project(item)
            except (KeyError, ValueError, TypeError, AttributeError):
                # The operator leaves such an object out too: others write them, and no schema is ours.
                continue
            if facts is not None:
                found.setdefault(facts.node, []).append(facts)  # type: ignore[attr-defined] # each projection has its node
    except NotServedError:
        told.absent.add(source)
    except ForbiddenError as error:
        told.unreadable[source] = error.problem
    else:
        told.available.add(source)
    return found


async def _read_used(reader: ClusterReader) -> dict[str, dict[str, int]] | None:
    """Return the devices that RDMA pods hold on each node, as the operator counts them; None where pods may not be read."""
    used: dict[str, dict[str, int]] = {}
    try:
        async for item in reader.list_items(POD, labelSelector=names.ENGINE_SELECTOR):
            pod = project_pod(item)
            if not pod.node or pod.ended or pod.make.variant is not Variant.RDMA:
                continue
            counts = used.setdefault(pod.node, {})
            for name, count in pod.transport.devices:
                counts[name] = counts.get(name, 0) + count
    except ForbiddenError:
        return None
    return used
