"""What RDMA pods get: devices, networks, the right to lock memory. Decided from spec and fabric, never from single nodes."""

from dataclasses import dataclass
from enum import StrEnum

from inference_cache.api.networks import LinkType
from inference_cache.api.transport import LockedMemory


class Variant(StrEnum):
    """Which kind of pods is rendered."""

    RDMA = "RDMA"
    TCP = "TCP"
    NONE = "None"


@dataclass(frozen=True, slots=True)
class Network:
    """One secondary network of a pod.

    Attributes:
        interface: Its interface in the pod, net1, net2, ...
    """

    name: str
    namespace: str
    interface: str


@dataclass(frozen=True, slots=True)
class Attachment:
    """What one RDMA pod gets.

    Attributes:
        fabric: Name of the InferenceCacheFabric; None where the deployment names devices itself.
        resource_name: Extended resource; None with DRA.
        device_class: DeviceClass; None with the device plugin.
        count: Devices.
        per_network: Whether each network takes one device of the resource (SR-IOV, host device).
        link_type: Link layer that the devices should have; None where nobody says.
        node_selector: Labels of the nodes that belong to the fabric; empty for all nodes.
    """

    fabric: str | None
    resource_name: str | None
    device_class: str | None
    count: int
    networks: tuple[Network, ...]
    per_network: bool
    link_type: LinkType | None
    locked_memory: LockedMemory = LockedMemory.IPC_LOCK
    node_selector: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True)
class TransportChoice:
    """How the pods of a deployment are rendered.

    Attributes:
        variant: RDMA pods get devices and decide by preflight; TCP pods get nothing; None has no object store tier.
        attachment: Set with variant RDMA.
        required: Whether an engine may start without proof of RDMA.
    """

    variant: Variant
    attachment: Attachment | None = None
    required: bool = False


TCP_ONLY = TransportChoice(Variant.TCP)
