"""SriovNetworkNodeState: link type, speed and virtual functions of every port, and what the SR-IOV operator is doing.

Single virtual functions are not kept: a node has up to 256 of them, and checks ask for counts only.
"""

import re
import sys
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from inference_cache.api.networks import LinkType

from .evidence_fields import (
    read_link_type,
    read_list,
    read_mapping,
    read_number,
    read_pci_address,
    read_pci_id,
    read_speed,
    read_state,
    read_text,
)
from .nic_models import find_model, is_virtual_id
from .node_evidence import NICSighting, Source, SRIOVState

_DESIRED: Final = "sriovnetwork.openshift.io/desired-state"
_CURRENT: Final = "sriovnetwork.openshift.io/current-state"
_RANGE: Final = re.compile(r"(?:^|#|,)([0-9]{1,4})-([0-9]{1,4})$")
_ZERO_GUID: Final = re.compile(r"^[0:]+$")
_MAX_ERROR: Final = 300


@dataclass(frozen=True, slots=True)
class NodeStateFacts:
    """The SR-IOV operator's view of a node, with a sighting per port."""

    node: str
    sriov: SRIOVState
    sightings: tuple[NICSighting, ...]


def project_node_state(body: dict[str, Any]) -> NodeStateFacts:
    """Return the facts of a SriovNetworkNodeState, which has the name of its node."""
    metadata, spec, status = body["metadata"], read_mapping(body.get("spec")), read_mapping(body.get("status"))
    annotations = read_mapping(metadata.get("annotations"))
    sriov = SRIOVState(
        sync_status=read_text(status.get("syncStatus")) or "",
        last_error=(read_text(status.get("lastSyncError")) or "")[:_MAX_ERROR],
        desired=read_text(annotations.get(_DESIRED)) or "",
        current=read_text(annotations.get(_CURRENT)) or "",
        rdma_mode=read_text(read_mapping(status.get("system")).get("rdmaMode")) or "",
        functions=_count_functions(read_list(spec.get("interfaces"))),
    )
    sightings = tuple(
        _read_interface(item, pci)
        for item in read_list(status.get("interfaces"))
        if (pci := read_pci_address(item.get("pciAddress")))
    )
    return NodeStateFacts(sys.intern(metadata["name"]), sriov, sightings)


def _count_functions(interfaces: list[Mapping[str, Any]]) -> Mapping[str, int]:
    counts: Counter[str] = Counter()
    for interface in interfaces:
        for group in read_list(interface.get("vfGroups")):
            resource = read_text(group.get("resourceName"))
            if resource:
                counts[resource] += _count_range(group.get("vfRange"), interface.get("numVfs"))
    return dict(counts)


def _count_range(text: Any, number: Any) -> int:
    """Return the functions of a range such as 0-7; without one, a policy takes all functions of the port."""
    found = _RANGE.search(text) if isinstance(text, str) else None
    if found:
        return max(0, int(found[2]) - int(found[1]) + 1)
    return read_number(number) or 0


def _read_interface(item: Mapping[str, Any], pci: str) -> NICSighting:
    device_id = read_pci_id(item.get("deviceID"))
    link_type = read_link_type(item.get("linkType"))
    return NICSighting(
        Source.NODE_STATE,
        pci=pci,
        vendor=read_pci_id(item.get("vendor")),
        device_id=device_id,
        model=find_model(device_id),
        interface=read_text(item.get("name")),
        link_type=link_type,
        speed_gbps=read_speed(item.get("linkSpeed")),
        link_up=_read_link(item),
        virtual=is_virtual_id(device_id),
        mtu=read_number(item.get("mtu")) or None,
        total_vfs=read_number(item.get("totalvfs")),
        current_vfs=read_number(item.get("numVfs")),
        guids_unset=_count_zero_guids(item) if link_type is LinkType.INFINIBAND else None,
    )


def _read_link(item: Mapping[str, Any]) -> bool | None:
    """Whether the port has link: the administrator can only take it down, and the kernel says -1 as speed without carrier."""
    if read_state(item.get("linkAdminState")) is False:
        return False
    text = item.get("linkSpeed")
    if not isinstance(text, str) or not text.strip():
        return None
    if read_speed(text):
        return True
    return False if text.strip().startswith("-1") else None


def _count_zero_guids(item: Mapping[str, Any]) -> int | None:
    guids = [guid for function in read_list(item.get("Vfs")) if isinstance(guid := function.get("guid"), str) and guid]
    return sum(bool(_ZERO_GUID.match(guid)) for guid in guids) if guids else None
