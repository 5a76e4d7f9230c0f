"""NicDevice of the NIC configuration operator: the one object that tells a BlueField as DPU from one as plain adapter."""

from dataclasses import dataclass
from typing import Any

from inference_cache.api.node_requirements import DPUMode

from .evidence_fields import read_flag, read_list, read_mapping, read_pci_address, read_pci_id, read_text
from .nic_models import MELLANOX, find_model, is_bluefield
from .node_evidence import NICSighting, Source


@dataclass(frozen=True, slots=True)
class NICDeviceFacts:
    """One adapter of a node, with a sighting per port."""

    node: str
    sightings: tuple[NICSighting, ...]


def project_nic_device(body: dict[str, Any]) -> NICDeviceFacts | None:
    """Return the facts of a NicDevice, or None before the operator has filled it in."""
    status = read_mapping(body.get("status"))
    node = read_text(status.get("node"))
    if node is None:
        return None
    device_id = read_pci_id(status.get("type"))
    model = find_model(device_id, status.get("modelName") or "")
    return NICDeviceFacts(
        node,
        tuple(
            NICSighting(
                Source.NIC_DEVICE,
                pci=pci,
                vendor=MELLANOX,
                device_id=device_id,
                model=model,
                interface=read_text(port.get("networkInterface")),
                rdma_device=read_text(port.get("rdmaInterface")),
                firmware=read_text(status.get("firmwareVersion")),
                dpu_mode=_read_mode(status.get("dpu"), model),
                virtual=False,
            )
            for port in read_list(status.get("ports"))
            if (pci := read_pci_address(port.get("pci")))
        ),
    )


def _read_mode(flag: Any, model: str | None) -> DPUMode | None:
    if not is_bluefield(model):
        return None
    dpu = read_flag(flag)
    if dpu is None:
        # Older versions of the operator have no such field.
        return None
    return DPUMode.DPU if dpu else DPUMode.NIC
