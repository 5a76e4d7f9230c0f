"""The description of a machine, or of what a container on it sees."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from pydantic import ConfigDict, TypeAdapter
from pydantic.dataclasses import dataclass as checked_dataclass

_STRICT: Final = ConfigDict(extra="forbid")
UNLIMITED: Final = "unlimited"


@checked_dataclass(frozen=True, config=_STRICT)
class GID:
    """One entry of a GID table.

    Attributes:
        value: Eight groups of four hexadecimal digits.
        kind: What gid_attrs/types shows: RoCE v2, or IB/RoCE v1, also for InfiniBand.
        interface: What gid_attrs/ndevs shows; empty where it cannot be read.
    """

    value: str
    kind: str = "RoCE v2"
    interface: str = ""


@checked_dataclass(frozen=True, config=_STRICT)
class Port:
    """One port of an RDMA device.

    Attributes:
        gids: Entries that are set, by index.
        table: Length of the GID table; 256 on real adapters.
        counters: Files in counters, such as port_xmit_data.
    """

    number: int = 1
    link_layer: str = "Ethernet"
    state: str = "4: ACTIVE"
    physical_state: str = "5: LinkUp"
    rate: str = "200 Gb/sec (4X HDR)"
    subnet_manager_lid: int = 0
    gids: Mapping[int, GID] = field(default_factory=dict)
    table: int = 8
    counters: Mapping[str, int] = field(default_factory=dict)


@checked_dataclass(frozen=True, config=_STRICT)
class RDMADevice:
    """The RDMA device of a function.

    Attributes:
        verbs: Name of its uverbs device.
        char_device: Whether that exists in /dev/infiniband.
    """

    name: str = "mlx5_0"
    firmware: str = "28.39.1002"
    verbs: str = "uverbs0"
    char_device: bool = True
    ports: tuple[Port, ...] = (Port(),)


@checked_dataclass(frozen=True, config=_STRICT)
class Interface:
    """A network interface on a function.

    Attributes:
        speed: Mb/s; -1 as of one that is down.
        port_name: phys_port_name, such as p0, or pf0vf3 of a representor; empty where there is none.
    """

    name: str
    state: str = "up"
    mtu: int = 9000
    speed: int = 200_000
    port_name: str = "p0"
    index: int = 4


@checked_dataclass(frozen=True, config=_STRICT)
class Function:
    """One PCI function.

    Attributes:
        pci_class: Six hexadecimal digits: 020000 is Ethernet, 020700 InfiniBand.
        physical: PCI address of the physical function that this virtual function belongs to; empty for others.
        total_vfs: None where the function has no SR-IOV.
    """

    address: str
    device: str = "1021"
    vendor: str = "15b3"
    pci_class: str = "020000"
    numa_node: int = 0
    physical: str = ""
    total_vfs: int | None = None
    current_vfs: int = 0
    interfaces: tuple[Interface, ...] = ()
    rdma: RDMADevice | None = None


@checked_dataclass(frozen=True, config=_STRICT)
class Memlock:
    """Limit of locked memory as /proc/self/limits writes it: bytes, or unlimited."""

    soft: str = UNLIMITED
    hard: str = UNLIMITED


@checked_dataclass(frozen=True, config=_STRICT)
class Machine:
    """A machine.

    Attributes:
        gpus: NVIDIA GPUs.
        modules: Loaded kernel modules.
        built_in: Modules that are part of the kernel: in /sys/module alone.
        capabilities: Effective capabilities of the process, as a number.
        numa_nodes: NUMA nodes.
        contents: Files that have another content than the description says, by path such as sys/class/net.
        removed: Files and folders that are not there.
        unreadable: Files that cannot be read.
    """

    functions: tuple[Function, ...] = ()
    gpus: int = 0
    kernel: str = "6.8.0-60-generic"
    boot_id: str = "0e1b6ab0-2f0a-4d0c-9f51-0f0d8f3c7a11"
    modules: tuple[str, ...] = ("ib_core", "ib_umad", "ib_uverbs", "mlx5_core", "mlx5_ib", "rdma_cm", "rdma_ucm")
    built_in: tuple[str, ...] = ()
    memlock: Memlock = Memlock()
    capabilities: int = 0
    huge_pages_total: int = 0
    huge_pages_free: int = 0
    numa_nodes: int = 2
    contents: Mapping[str, str] = field(default_factory=dict)
    removed: tuple[str, ...] = ()
    unreadable: tuple[str, ...] = ()


def parse_machine(description: Any) -> Machine:
    """Return a machine from plain data, as a YAML file has it; unknown fields are refused."""
    return TypeAdapter(Machine).validate_python(description)


@dataclass(frozen=True)
class Adapter:
    """A model of network adapter.

    Attributes:
        device: PCI device id of its physical functions.
        virtual: That of its virtual functions.
    """

    device: str
    virtual: str
    firmware: str
