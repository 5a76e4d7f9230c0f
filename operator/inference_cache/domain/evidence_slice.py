"""ResourceSlice of network drivers (DRANET, SR-IOV): RDMA devices, their NUMA zone, and the adapters behind them."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from .evidence_fields import (
    read_flag,
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
from .node_evidence import NICSighting, SliceDevices, Source

DRANET: Final = "dra.net"
SRIOV: Final = "sriovnetwork.k8snetworkplumbingwg.io"
_STANDARD: Final = "resource.kubernetes.io"
# How a device of each driver says that RDMA works on it.
_RDMA_ATTRIBUTE: Final = {DRANET: "rdma", SRIOV: "rdmaCapable"}


@dataclass(frozen=True, slots=True)
class SliceFacts:
    """One slice of a driver's pool on a node.

    Attributes:
        generation: Slices of an older generation of the same pool do not count any more.
    """

    node: str
    pool: str
    generation: int
    devices: SliceDevices
    sightings: tuple[NICSighting, ...]


def project_slice(body: dict[str, Any]) -> SliceFacts | None:
    """Return the facts of a ResourceSlice, or None for other drivers than those of networks and for devices of no node."""
    spec = read_mapping(body.get("spec"))
    driver, node = spec.get("driver"), read_text(spec.get("nodeName"))
    if driver not in _RDMA_ATTRIBUTE or node is None:
        return None
    pool = read_mapping(spec.get("pool"))
    devices = [_Attributes(driver, device) for device in read_list(spec.get("devices"))]
    rdma = sum(device.find(_RDMA_ATTRIBUTE[driver], read_flag) is True for device in devices)
    sightings = _see_ports(devices) if driver == DRANET else _see_parents(devices)
    return SliceFacts(
        node,
        read_text(pool.get("name")) or "",
        read_number(pool.get("generation")) or 0,
        SliceDevices(read_text(driver) or "", len(devices), rdma),
        sightings,
    )


def select_current(slices: Iterable[SliceFacts]) -> list[SliceFacts]:
    """Return the slices of the newest generation of each pool."""
    known = list(slices)
    newest: dict[tuple[str, str], int] = {}
    for item in known:
        pool = (item.devices.driver, item.pool)
        newest[pool] = max(newest.get(pool, 0), item.generation)
    return [item for item in known if item.generation == newest[item.devices.driver, item.pool]]


def sum_devices(slices: Iterable[SliceFacts]) -> tuple[SliceDevices, ...]:
    """Return the devices of each driver."""
    found: dict[str, SliceDevices] = {}
    for item in slices:
        before = found.get(item.devices.driver, SliceDevices(item.devices.driver, 0, 0))
        found[before.driver] = SliceDevices(
            before.driver,
            before.devices + item.devices.devices,
            before.rdma_devices + item.devices.rdma_devices,
        )
    return tuple(found.values())


class _Attributes:
    """The attributes of one device; a name without domain is in the domain of the driver."""

    def __init__(self, driver: str, device: Mapping[str, Any]) -> None:
        self._driver = driver
        # Before resource.k8s.io/v1 they were one level deeper.
        self._values = read_mapping(device.get("attributes") or read_mapping(device.get("basic")).get("attributes"))

    def find(self, name: str, read: Any) -> Any:
        for domain in (self._driver, "", DRANET, _STANDARD):
            value = read_mapping(self._values.get(f"{domain}/{name}" if domain else name))
            for item in value.values():
                return read(item)
        return None


def _see_ports(devices: Iterable[_Attributes]) -> tuple[NICSighting, ...]:
    """DRANET offers every interface, physical and virtual functions alike; single virtual ones are not kept."""
    found = []
    for device in devices:
        pci = read_pci_address(device.find("pciAddress", read_text) or device.find("pciBusID", read_text))
        if not pci or device.find("isSriovVf", read_flag) or device.find("virtual", read_flag):
            continue
        # DRANET writes names of the PCI data base, older versions ids.
        vendor, product = device.find("pciVendor", read_text) or "", device.find("pciDevice", read_text) or ""
        device_id = read_pci_id(product)
        found.append(
            NICSighting(
                Source.RESOURCE_SLICE,
                pci=pci,
                vendor=read_pci_id(vendor),
                device_id=device_id,
                model=find_model(device_id, product),
                interface=device.find("ifName", read_text),
                rdma_device=device.find("rdmaDevice", read_text),
                link_type=device.find("linkType", read_link_type) or device.find("encapsulation", read_link_type),
                link_up=device.find("state", read_state),
                virtual=False,
                numa_node=_at_least_zero(device.find("numaNode", read_number)),
                mtu=device.find("mtu", read_number),
                total_vfs=device.find("sriovVfs", read_number),
            )
        )
    return tuple(found)


def _see_parents(devices: Iterable[_Attributes]) -> tuple[NICSighting, ...]:
    """The SR-IOV driver offers virtual functions, and says of each what its physical function is."""
    found: dict[str, NICSighting] = {}
    for device in devices:
        pci = read_pci_address(device.find("pfPciAddress", read_text))
        if not pci or pci in found:
            continue
        device_id = device.find("pfDeviceID", read_pci_id)
        found[pci] = NICSighting(
            Source.RESOURCE_SLICE,
            pci=pci,
            vendor=device.find("vendor", read_pci_id),
            device_id=device_id,
            model=find_model(device_id),
            interface=device.find("PFName", read_text),
            link_type=device.find("linkType", read_link_type),
            virtual=False,
            numa_node=_at_least_zero(device.find("numaNode", read_number)),
        )
    return tuple(found.values())


def _at_least_zero(number: int | None) -> int | None:
    return number if number is not None and number >= 0 else None
