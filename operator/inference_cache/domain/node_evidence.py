"""Everything that is known of one node, each fact with the source that told it, in the order of how far it is trusted.

A source that says nothing about a fact leaves it unknown; only a source that looked and found nothing makes it false.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final, TypeVar

from inference_cache.api.networks import LinkType
from inference_cache.api.node_requirements import DPUMode

from .node_facts import NodeFacts

T = TypeVar("T")


class Source(StrEnum):
    """Who told a fact; the values are as people read them."""

    REPORT = "NodeCapabilityReport"
    NIC_DEVICE = "NicDevice"
    NODE_STATE = "SriovNetworkNodeState"
    RESOURCE_SLICE = "ResourceSlice"
    DPU = "DPU"
    NODE_TOPOLOGY = "NodeResourceTopology"
    LABEL = "node labels"
    NODE = "Node"


# What was probed on the node beats what another operator wrote down, which beats labels.
RANKED: Final = (
    Source.REPORT,
    Source.NIC_DEVICE,
    Source.NODE_STATE,
    Source.RESOURCE_SLICE,
    Source.DPU,
    Source.NODE_TOPOLOGY,
    Source.LABEL,
    Source.NODE,
)


@dataclass(frozen=True, slots=True)
class NICSighting:
    """One function of a network adapter as one source sees it; None where the source does not say.

    Attributes:
        pci: PCI address; empty where the source does not tell single functions apart (labels).
        vendor: PCI vendor id, such as 15b3.
        device_id: PCI device id, such as 1021.
        model: Name such as ConnectX-7, from the device id or the source's own words.
        link_up: Whether the port is active.
        subnet_manager: Whether an InfiniBand port has one.
        virtual: Whether it is a virtual function.
        guids_unset: Virtual functions of it that have no GUID.
    """

    source: Source
    pci: str = ""
    vendor: str | None = None
    device_id: str | None = None
    model: str | None = None
    interface: str | None = None
    rdma_device: str | None = None
    link_type: LinkType | None = None
    speed_gbps: int | None = None
    link_up: bool | None = None
    subnet_manager: bool | None = None
    firmware: str | None = None
    dpu_mode: DPUMode | None = None
    virtual: bool | None = None
    numa_node: int | None = None
    mtu: int | None = None
    total_vfs: int | None = None
    current_vfs: int | None = None
    guids_unset: int | None = None


@dataclass(frozen=True, slots=True)
class NIC:
    """One function of a network adapter: all that sources say of it, the most trusted first."""

    sightings: tuple[NICSighting, ...]

    def find(self, read: Callable[[NICSighting], T | None]) -> tuple[T, Source] | None:
        """Return a fact with its source, or None where nobody tells."""
        for sighting in self.sightings:
            value = read(sighting)
            if value is not None:
                return value, sighting.source
        return None


@dataclass(frozen=True, slots=True)
class SRIOVState:
    """What the SR-IOV network operator says of a node.

    Attributes:
        sync_status: Succeeded, Failed or InProgress; empty where it does not say.
        desired: Annotation desired-state, such as Idle, Drain_Required or Reboot_Required.
        current: Annotation current-state, such as Idle, Draining or DrainComplete.
        rdma_mode: shared or exclusive; empty where it does not say.
        functions: Virtual functions by resource name without prefix.
    """

    sync_status: str = ""
    last_error: str = ""
    desired: str = ""
    current: str = ""
    rdma_mode: str = ""
    functions: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Zone:
    """One NUMA zone of NodeResourceTopology.

    Attributes:
        available: What is free in it, by resource.
        allocatable: What it has in all, by resource; empty where only what is free is known.
    """

    name: str
    available: Mapping[str, int]
    allocatable: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class DPUState:
    """One DPU object of the DOCA Platform Framework."""

    name: str
    phase: str


@dataclass(frozen=True, slots=True)
class ReportState:
    """What the node validator says of a node beside its devices.

    Attributes:
        probed_at: Seconds of the epoch.
        valid_seconds: How long it counts after that.
        node_uid: Uid of the node that it was made for; empty where it does not say.
    """

    probed_at: float
    valid_seconds: int
    node_uid: str = ""
    kernel: str = ""
    modules: frozenset[str] = frozenset()
    rdma_netns_mode: str = ""
    memlock_hard: int | None = None
    huge_pages_total: int | None = None
    numa_nodes: int | None = None


@dataclass(frozen=True, slots=True)
class SliceDevices:
    """Network devices that a DRA driver offers on a node."""

    driver: str
    devices: int
    rdma_devices: int


@dataclass(frozen=True, slots=True)
class NodeEvidence:
    """One node with everything that is known of it.

    Attributes:
        nics: Network adapters; empty where no source lists any.
        sriov: None where the SR-IOV network operator has no state of the node.
        zones: None where NodeResourceTopology says nothing.
        report: None where there is none or it is too old.
        report_stale: Whether there is one that is too old.
        used: Devices, by extended resource, that engine pods of this operator on the node request.
    """

    facts: NodeFacts
    nics: tuple[NIC, ...] = ()
    sriov: SRIOVState | None = None
    zones: tuple[Zone, ...] | None = None
    dpus: tuple[DPUState, ...] = ()
    slices: tuple[SliceDevices, ...] = ()
    report: ReportState | None = None
    report_stale: bool = False
    used: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class EvidenceSources:
    """Which sources there are.

    Attributes:
        available: Those that were read completely at least once.
        unreadable: Those whose kind is served and cannot be read, with the cause.
    """

    available: frozenset[Source] = frozenset()
    unreadable: Mapping[Source, str] = field(default_factory=dict)
