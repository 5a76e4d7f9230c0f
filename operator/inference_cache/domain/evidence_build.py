"""Puts together what all sources say of one node: which of several answers counts, and which report counts no more."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from .evidence_dpu import DPUFacts
from .evidence_labels import see_labels
from .evidence_merge import merge_nics
from .evidence_nic_device import NICDeviceFacts
from .evidence_node_state import NodeStateFacts
from .evidence_report import ReportFacts
from .evidence_slice import SliceFacts, select_current, sum_devices
from .evidence_topology import TopologyFacts
from .node_evidence import NICSighting, NodeEvidence
from .node_facts import NodeFacts


@dataclass(frozen=True, slots=True)
class NodeObjects:
    """What objects of other projects, and of the node validator, say of one node.

    Attributes:
        report_stale: Whether the report is too old to count.
    """

    report: ReportFacts | None = None
    report_stale: bool = False
    nic_devices: tuple[NICDeviceFacts, ...] = ()
    node_state: NodeStateFacts | None = None
    topology: TopologyFacts | None = None
    dpus: tuple[DPUFacts, ...] = ()
    slices: tuple[SliceFacts, ...] = ()


def build_evidence(facts: NodeFacts, objects: NodeObjects, used: Mapping[str, int]) -> NodeEvidence:
    """Return the evidence of a node.

    Args:
        facts: Of the Node object.
        objects: What others say of it.
        used: Devices that engine pods of this operator on it request, by extended resource.
    """
    report = objects.report
    # A node of the same name may be another machine by now.
    if report is not None and report.state.node_uid and facts.uid and report.state.node_uid != facts.uid:
        report = None
    stale = report is not None and objects.report_stale
    fresh = None if stale else report
    slices = select_current(objects.slices)
    state, topology = objects.node_state, objects.topology
    return NodeEvidence(
        facts=facts,
        nics=merge_nics(_list_sightings(facts, fresh, objects, slices)),
        sriov=state.sriov if state else None,
        zones=topology.zones if topology else None,
        dpus=tuple(dpu.state for dpu in objects.dpus),
        slices=sum_devices(slices),
        report=fresh.state if fresh else None,
        report_stale=stale,
        used=used,
    )


def _list_sightings(
    facts: NodeFacts, report: ReportFacts | None, objects: NodeObjects, slices: Iterable[SliceFacts]
) -> list[NICSighting]:
    return [
        *(report.sightings if report else ()),
        *(sighting for device in objects.nic_devices for sighting in device.sightings),
        *(objects.node_state.sightings if objects.node_state else ()),
        *(sighting for item in slices for sighting in item.sightings),
        *see_labels(facts.labels),
    ]
