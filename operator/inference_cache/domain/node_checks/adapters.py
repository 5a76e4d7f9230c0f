"""Which network adapters of a node count for RDMA, and how people recognize one."""

from inference_cache.domain.nic_models import MELLANOX
from inference_cache.domain.node_evidence import NIC, NodeEvidence, Source


def list_adapters(evidence: NodeEvidence) -> list[NIC]:
    """Return the adapters that may carry RDMA.

    Virtual functions are left out, as they tell model and firmware badly, unless a virtual machine has nothing else.
    Adapters without address, of which labels speak, count only where no source lists real ones. Where some adapters are
    known to do RDMA, management ports of other vendors are left out.
    """
    placed = [nic for nic in evidence.nics if nic.sightings[0].pci]
    found = placed or list(evidence.nics)
    physical = [nic for nic in found if not is_virtual(nic)] or found
    return [nic for nic in physical if _does_rdma(nic)] or physical


def find_witness(evidence: NodeEvidence) -> Source | None:
    """Return who looked for adapters on a node that has none; None where nobody has looked."""
    if evidence.nics:
        return None
    if evidence.report is not None:
        return Source.REPORT
    if evidence.sriov is not None and evidence.sriov.sync_status == "Succeeded":
        return Source.NODE_STATE
    return None


def is_virtual(nic: NIC) -> bool:
    """Whether an adapter is known to be a virtual function."""
    for sighting in nic.sightings:
        if sighting.virtual is not None:
            return sighting.virtual
    return False


def name_adapter(nic: NIC) -> str:
    """Return model and place, such as "ConnectX-7 at 0000:17:00.0"."""
    model = nic.find(lambda sighting: sighting.model)
    device = nic.find(lambda sighting: sighting.device_id)
    vendor = nic.find(lambda sighting: sighting.vendor)
    interface = nic.find(lambda sighting: sighting.interface)
    if model:
        what = model[0]
    elif device:
        what = f"device {vendor[0] if vendor else '?'}:{device[0]}"
    else:
        what = f"adapter of vendor {vendor[0]}" if vendor else "an adapter"
    where = nic.sightings[0].pci or (interface[0] if interface else "")
    return f"{what} at {where}" if where else what


def _does_rdma(nic: NIC) -> bool:
    return any(sighting.vendor == MELLANOX or sighting.rdma_device for sighting in nic.sightings)
