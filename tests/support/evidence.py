"""Evidence of nodes for tests: a machine that can carry RDMA, with other facts by name, and what RDMA pods ask for."""

from dataclasses import fields, replace
from typing import Any, Final

from inference_cache.api.networks import LinkType
from inference_cache.domain import names
from inference_cache.domain.attachment import Attachment, Network
from inference_cache.domain.node_evidence import (
    NIC,
    NICSighting,
    NodeEvidence,
    ReportState,
    Source,
    SRIOVState,
    Zone,
)
from inference_cache.domain.node_need import Need, RDMANeed, TransportWish

from .builders import build_node

VF: Final = "nvidia.com/storage_vf"
SHARED: Final = "rdma/storage"
_EVIDENCE_FIELDS: Final = frozenset(item.name for item in fields(NodeEvidence)) - {"facts"}
GPU_LABELS: Final = {
    names.GPU_PRODUCT_LABEL: "NVIDIA-H200",
    names.DRIVER_MAJOR_LABEL: "580",
    names.COMPUTE_MAJOR_LABEL: "9",
    names.COMPUTE_MINOR_LABEL: "0",
}


def see(source: Source = Source.NODE_STATE, pci: str = "0000:17:00.0", **facts: Any) -> NICSighting:
    """Return what a source says of a port of a ConnectX-7, with other facts by name."""
    known: dict[str, Any] = {
        "vendor": "15b3",
        "device_id": "1021",
        "model": "ConnectX-7",
        "interface": "ens3f0np0",
        "link_type": LinkType.ETHERNET,
        "speed_gbps": 200,
        "link_up": True,
        "firmware": "28.39.1002",
        "virtual": False,
    }
    return NICSighting(source, pci=pci, **(known | facts))


def port(source: Source = Source.NODE_STATE, pci: str = "0000:17:00.0", **facts: Any) -> NIC:
    """Return a port of which one source tells."""
    return NIC((see(source, pci, **facts),))


def build_evidence(name: str = "node-1", **facts: Any) -> NodeEvidence:
    """Return a node that can carry RDMA; facts of its Node object and of its evidence go by name."""
    told = {key: facts.pop(key) for key in tuple(facts) if key in _EVIDENCE_FIELDS}
    node = {"labels": GPU_LABELS, "kernel": "6.8.0-60-generic", "resources": {VF: 16, SHARED: 63}, "uid": f"uid-{name}"}
    return NodeEvidence(build_node(name, **(node | facts)), **({"nics": (port(),)} | told))


def build_report(**facts: Any) -> ReportState:
    """Return what the validator of a healthy node says."""
    known: dict[str, Any] = {
        "probed_at": 0.0,
        "valid_seconds": 3600,
        "kernel": "6.8.0-60-generic",
        "modules": frozenset({"ib_uverbs", "mlx5_ib", "rdma_ucm"}),
    }
    return ReportState(**(known | facts))


def build_sriov(**facts: Any) -> SRIOVState:
    """Return what the SR-IOV operator says of a node that it is done with."""
    known: dict[str, Any] = {"sync_status": "Succeeded", "desired": "Idle", "current": "Idle", "rdma_mode": "shared"}
    return SRIOVState(**(known | facts))


def zones(*each: dict[str, int]) -> tuple[Zone, ...]:
    """Return NUMA zones by what they have; nothing is free in them."""
    return tuple(Zone(f"node-{number}", dict.fromkeys(zone, 0), zone) for number, zone in enumerate(each))


def need_rdma(**wanted: Any) -> Need:
    """Return the need of an RDMA pod with 8 GPUs and one virtual function; fields of need and RDMA need go by name."""
    of_need = {key: wanted.pop(key) for key in tuple(wanted) if key in {"gpus", "single_zone"}}
    rdma = RDMANeed(VF, None, 1)
    return Need(**({"gpus": 8} | of_need), rdma=replace(rdma, **wanted))


def build_attachment(**facts: Any) -> Attachment:
    """Return what an RDMA pod gets: one virtual function on one network."""
    known: dict[str, Any] = {
        "fabric": "storage",
        "resource_name": VF,
        "device_class": None,
        "count": 1,
        "networks": (Network("storage", "inference", "net1"),),
        "per_network": True,
        "link_type": LinkType.ETHERNET,
    }
    return Attachment(**(known | facts))


def wish(*, required: bool = False, **facts: Any) -> TransportWish:
    """Return the wish for an attachment."""
    return TransportWish(build_attachment(**facts), required)
