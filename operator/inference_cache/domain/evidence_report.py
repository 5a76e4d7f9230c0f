"""NodeCapabilityReport of the node validator: what was probed on the node itself, and for how long it counts.

Read field by field and not by the API's model: a report of a newer or older validator still counts for what it says.
"""

import sys
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any, Final

from inference_cache.api.networks import LinkType
from inference_cache.api.node_requirements import DPUMode

from .evidence_fields import (
    read_link_type,
    read_list,
    read_mapping,
    read_number,
    read_pci_address,
    read_pci_id,
    read_state,
    read_text,
)
from .nic_models import find_model
from .node_evidence import NICSighting, ReportState, Source

# A machine has at most as many physical functions worth telling apart.
_MAX_SIGHTINGS: Final = 24
# The API allows no longer time; a clock that runs ahead of the operator's by more than this is wrong.
_MAX_VALID_SECONDS: Final = 86_400
_MAX_AHEAD_SECONDS: Final = 300
# States of a port that has link, the first of them before a subnet manager has come.
_LINKED: Final = frozenset({"INIT", "ARMED", "ACTIVE"})


@dataclass(frozen=True, slots=True)
class ReportFacts:
    """The report of a node, with a sighting per physical function."""

    node: str
    state: ReportState
    sightings: tuple[NICSighting, ...]

    def is_stale(self, now: float) -> bool:
        """Whether the report is too old to count, or from the future, which would count for ever; `now` in seconds of the epoch."""
        age = now - self.state.probed_at
        return not -_MAX_AHEAD_SECONDS <= age <= self.state.valid_seconds

    def says_same(self, other: "ReportFacts") -> bool:
        """Whether another report differs at most in the time of the probe."""
        return self.node == other.node and self.sightings == other.sightings and _timeless(self) == _timeless(other)


def project_report(body: dict[str, Any]) -> ReportFacts | None:
    """Return the facts of a NodeCapabilityReport, which has the name of its node; None where it says nothing.

    Raises:
        ValueError: The time of the probe is none.
    """
    report = read_mapping(body.get("report"))
    probed_at = read_text(report.get("probedAt"))
    if probed_at is None:
        return None
    state = ReportState(
        probed_at=_read_time(probed_at),
        valid_seconds=max(0, min(read_number(report.get("validSeconds")) or 0, _MAX_VALID_SECONDS)),
        node_uid=read_text(report.get("nodeUid")) or "",
        kernel=read_text(report.get("kernel")) or "",
        modules=frozenset(sys.intern(name) for name in report.get("modules") or () if isinstance(name, str)),
        rdma_netns_mode=read_text(report.get("rdmaNetnsMode")) or "",
        memlock_hard=read_number(report.get("memlockHard")),
        huge_pages_total=read_number(report.get("hugePagesTotal")),
        numa_nodes=read_number(report.get("numaNodes")),
    )
    devices = read_list(report.get("devices"))
    # Where only virtual functions were passed into a machine, they are what it has.
    physical = [device for device in devices if device.get("function") != "Virtual"] or devices
    sightings = tuple(
        _read_device(device, pci)
        for device in physical[:_MAX_SIGHTINGS]
        if (pci := read_pci_address(device.get("pciAddress")))
    )
    return ReportFacts(sys.intern(body["metadata"]["name"]), state, sightings)


def _timeless(facts: ReportFacts) -> ReportState:
    return replace(facts.state, probed_at=0.0, valid_seconds=0)


def _read_time(text: str) -> float:
    moment = datetime.fromisoformat(text)
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()


def _read_device(device: Mapping[str, Any], pci: str) -> NICSighting:
    device_id = read_pci_id(device.get("device"))
    ports = read_list(device.get("ports"))
    link_type = next((found for port in ports if (found := read_link_type(port.get("linkLayer")))), None)
    numa_node = read_number(device.get("numaNode"))
    function = device.get("function")
    mode = device.get("dpuMode")
    return NICSighting(
        Source.REPORT,
        pci=pci,
        vendor=read_pci_id(device.get("vendor")),
        device_id=device_id,
        model=find_model(device_id),
        interface=read_text(device.get("interface")),
        rdma_device=read_text(device.get("rdmaDevice")),
        link_type=link_type,
        speed_gbps=_read_rate(ports) or read_number(device.get("speedGbps")) or None,
        link_up=_read_link(device, ports),
        subnet_manager=_read_manager(ports) if link_type is LinkType.INFINIBAND else None,
        firmware=read_text(device.get("firmware")),
        dpu_mode=DPUMode(mode) if mode in {item.value for item in DPUMode} else None,
        virtual={"Virtual": True, "Physical": False}.get(function) if isinstance(function, str) else None,
        numa_node=numa_node if numa_node is not None and numa_node >= 0 else None,
        mtu=read_number(device.get("mtu")),
        total_vfs=read_number(device.get("totalVfs")),
        current_vfs=read_number(device.get("currentVfs")),
    )


def _read_rate(ports: list[Mapping[str, Any]]) -> int | None:
    """Return the rate of the fastest port that is active: ports without link report the slowest rate there is."""
    rates = [read_number(port.get("rateGbps")) or 0 for port in ports if read_state(port.get("state")) is True]
    return max(rates, default=0) or None


def _read_link(device: Mapping[str, Any], ports: list[Mapping[str, Any]]) -> bool | None:
    states = [state for port in ports if (state := read_state(port.get("state"))) is not None]
    return any(states) if states else read_state(device.get("interfaceState"))


def _read_manager(ports: list[Mapping[str, Any]]) -> bool | None:
    """Whether a subnet manager has configured a port; a port without link has none to tell of."""
    lids = [
        (lid, str(port.get("state")).upper() in _LINKED)
        for port in ports
        if (lid := read_number(port.get("subnetManagerLid"))) is not None
    ]
    if any(lid > 0 for lid, _ in lids):
        return True
    return False if any(linked for _, linked in lids) else None
