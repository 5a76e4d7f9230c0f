"""Network adapters of a node: model, link layer, link, subnet manager, speed, firmware, GUIDs.

A node often has several adapters, and nobody tells which one carries the fabric. A requirement holds if one adapter meets
all of it together; otherwise the adapter that comes closest is named, model first.
"""

import re
from collections.abc import Callable
from typing import Final

from inference_cache.api.networks import LinkType
from inference_cache.domain.node_evidence import NIC, NodeEvidence
from inference_cache.domain.node_need import Need, RDMANeed, Version, read_version
from inference_cache.domain.reasons import Reason

from .adapters import find_witness, is_virtual, list_adapters, name_adapter
from .finding import Finding, fault, gap

_FIRMWARE: Final = re.compile(r"^\s*([0-9]{1,6}(?:[.][0-9]{1,6})+)")
_PCI_ID: Final = re.compile(r"^[0-9a-f]{4}$")

_Criterion = Callable[[NIC, RDMANeed], Finding | None]


def check_adapter(evidence: NodeEvidence, need: Need) -> Finding | None:
    """One adapter must have model, link layer, link, speed and firmware together."""
    rdma = need.rdma
    if rdma is None:
        return None
    adapters = list_adapters(evidence)
    if not adapters:
        return _judge_none(evidence, rdma)
    closest: Finding | None = None
    best: tuple[int, ...] = ()
    for nic in adapters:
        findings = [criterion(nic, rdma) for criterion in _CRITERIA]
        grades = tuple(2 if item is None else int(item.unknown) for item in findings)
        if min(grades) == 2:
            return None
        # An adapter of which something is unknown may be the right one; one with a fault is not.
        rank = (min(grades), *grades)
        if rank > best:
            best = rank
            closest = findings[grades.index(min(grades))]
    return closest


def _judge_none(evidence: NodeEvidence, rdma: RDMANeed) -> Finding | None:
    witness = find_witness(evidence)
    asked = [
        (bool(rdma.models), Reason.NICModelUnknown),
        (rdma.link_required, Reason.LinkTypeUnknown),
        (bool(rdma.min_speed_gbps), Reason.NICSpeedUnknown),
        (bool(rdma.firmware), Reason.NICFirmwareUnknown),
    ]
    reason = next((reason for wanted, reason in asked if wanted), None)
    if reason is None:
        # That the node has no RDMA device shows at its resource.
        return None
    if witness is not None:
        return fault(Reason.NICModelMismatch, f"no adapter at all by {witness}", witness)
    return gap(reason, "no source lists adapters of the node")


def _check_model(nic: NIC, rdma: RDMANeed) -> Finding | None:
    if not rdma.models:
        return None
    model, device = nic.find(lambda sighting: sighting.model), nic.find(lambda sighting: sighting.device_id)
    if (model and model[0] in rdma.models) or (device and device[0] in rdma.models):
        return None
    by_id = any(_PCI_ID.match(item) for item in rdma.models)
    source = (model or device or (None, None))[1]
    # The id of a virtual function is that of several models, and a name alone does not tell the id.
    if source is None or (model is None and is_virtual(nic)) or (device is None and by_id):
        return gap(Reason.NICModelUnknown, name_adapter(nic), source)
    return fault(Reason.NICModelMismatch, f"{name_adapter(nic)} by {source}", source)


def _check_link_type(nic: NIC, rdma: RDMANeed) -> Finding | None:
    if rdma.link_type is None:
        return None
    found = nic.find(lambda sighting: sighting.link_type)
    if found is None:
        return gap(Reason.LinkTypeUnknown, name_adapter(nic)) if rdma.link_required else None
    if found[0] is rdma.link_type:
        return None
    detail = f"{found[0]} on {name_adapter(nic)} by {found[1]}, {rdma.link_type} wanted"
    return fault(Reason.LinkTypeMismatch, detail, found[1])


def _check_subnet_manager(nic: NIC, rdma: RDMANeed) -> Finding | None:
    del rdma
    found = nic.find(lambda sighting: sighting.subnet_manager)
    if found is None or found[0] or _link_type(nic) is not LinkType.INFINIBAND:
        return None
    return fault(Reason.NoSubnetManager, f"{name_adapter(nic)} by {found[1]}", found[1])


def _check_link(nic: NIC, rdma: RDMANeed) -> Finding | None:
    del rdma
    found = nic.find(lambda sighting: sighting.link_up)
    if found is None or found[0]:
        # Few sources tell, and a port that is down shows at the resource too.
        return None
    return fault(Reason.LinkDown, f"{name_adapter(nic)} by {found[1]}", found[1])


def _check_speed(nic: NIC, rdma: RDMANeed) -> Finding | None:
    if not rdma.min_speed_gbps:
        return None
    found = nic.find(lambda sighting: sighting.speed_gbps)
    if found is None:
        return gap(Reason.NICSpeedUnknown, name_adapter(nic))
    if found[0] >= rdma.min_speed_gbps:
        return None
    detail = f"{found[0]} Gb/s on {name_adapter(nic)} by {found[1]}, {rdma.min_speed_gbps} wanted"
    return fault(Reason.NICSpeedTooLow, detail, found[1])


def _check_firmware(nic: NIC, rdma: RDMANeed) -> Finding | None:
    if not rdma.firmware:
        return None
    found = nic.find(lambda sighting: sighting.firmware)
    if found is None:
        return gap(Reason.NICFirmwareUnknown, name_adapter(nic))
    text, source = found
    match = _FIRMWARE.match(text)
    if match is None:
        return gap(Reason.NICFirmwareUnknown, f"{text} on {name_adapter(nic)} by {source}", source)
    if is_at_least(read_version(match[1]), rdma.firmware):
        return None
    detail = f"{match[1]} on {name_adapter(nic)} by {source}, {rdma.firmware_text} wanted"
    return fault(Reason.NICFirmwareTooOld, detail, source)


def _check_guids(nic: NIC, rdma: RDMANeed) -> Finding | None:
    if rdma.shared or _link_type(nic) is not LinkType.INFINIBAND:
        return None
    found = nic.find(lambda sighting: sighting.guids_unset)
    if found is None or not found[0]:
        return None
    detail = f"{found[0]} virtual functions of {name_adapter(nic)} by {found[1]}"
    return fault(Reason.VFGuidUnset, detail, found[1])


_CRITERIA: Final[tuple[_Criterion, ...]] = (
    _check_model,
    _check_link_type,
    # A port without subnet manager stays in INIT, which counts as down; a port that is down tells no manager.
    _check_subnet_manager,
    _check_link,
    _check_speed,
    _check_firmware,
    _check_guids,
)


def is_at_least(found: Version, wanted: Version) -> bool:
    """Whether a version is as new as another one; numbers that are left out are 0."""
    length = max(len(found), len(wanted))
    return found + (0,) * (length - len(found)) >= wanted + (0,) * (length - len(wanted))


def describe_ports(evidence: NodeEvidence, rdma: RDMANeed) -> list[str]:
    """Return what is wrong with the links of a node, as possible causes of missing devices."""
    causes = []
    for nic in list_adapters(evidence):
        for criterion in (_check_link_type, _check_subnet_manager, _check_link):
            finding = criterion(nic, rdma)
            if finding is not None and not finding.unknown:
                causes.append(str(finding))
                break
    return causes


def _link_type(nic: NIC) -> LinkType | None:
    found = nic.find(lambda sighting: sighting.link_type)
    return found[0] if found else None
