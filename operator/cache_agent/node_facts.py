"""What the node validator can know of a machine. Field names are those of the NodeCapabilityReport; None is: not told."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class PortFacts:
    """One port of an RDMA device, as /sys/class/infiniband/DEVICE/ports/NUMBER shows it.

    Attributes:
        rate_gbps: Rate in Gb/s.
        subnet_manager_lid: 0 means that an InfiniBand port has no subnet manager.
        gids: GIDs that are not zero.
        roce_v2_gids: Those of type RoCE v2; None for a port that is not Ethernet.
    """

    number: int
    link_layer: str | None = None
    state: str | None = None
    physical_state: str | None = None
    rate_gbps: int | None = None
    subnet_manager_lid: int | None = None
    gids: int | None = None
    roce_v2_gids: int | None = None


@dataclass(frozen=True)
class DeviceFacts:
    """One PCI function of a network adapter.

    Attributes:
        speed_gbps: Speed of the interface in Gb/s.
        char_device: Its uverbs device, if that exists in /dev/infiniband.
        numa_node: -1 where the platform does not tell.
        function: Physical or Virtual.
        total_vfs: Virtual functions that the firmware allows.
        current_vfs: Virtual functions that exist.
    """

    pci_address: str
    vendor: str
    device: str
    interface: str | None = None
    interface_state: str | None = None
    mtu: int | None = None
    speed_gbps: int | None = None
    rdma_device: str | None = None
    char_device: str | None = None
    firmware: str | None = None
    numa_node: int | None = None
    function: str | None = None
    total_vfs: int | None = None
    current_vfs: int | None = None
    ports: tuple[PortFacts, ...] | None = None


@dataclass(frozen=True)
class NodeFacts:
    """One machine.

    Attributes:
        memlock_soft: Bytes; -1 is unlimited.
        memlock_hard: Bytes; -1 is unlimited.
        huge_pages_total: Huge pages of 2Mi that the kernel has reserved.
        gpus: PCI functions of NVIDIA GPUs.
        devices: Physical functions first. Empty: there is none; None: nobody could look.
        problems: What could not be read, and why.
    """

    boot_id: str | None = None
    kernel: str | None = None
    modules: tuple[str, ...] | None = None
    rdma_netns_mode: str | None = None
    memlock_soft: int | None = None
    memlock_hard: int | None = None
    huge_pages_total: int | None = None
    huge_pages_free: int | None = None
    numa_nodes: int | None = None
    gpus: int | None = None
    devices: tuple[DeviceFacts, ...] | None = None
    problems: tuple[str, ...] = ()
