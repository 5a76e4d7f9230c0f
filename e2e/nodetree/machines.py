"""Ready-made descriptions: the adapters that storage fabrics have, and an eight-GPU host around them.

PCI ids are those of the PCI ID database; the texts of ports are those of the kernel's drivers/infiniband/core/sysfs.c.
None of it was recorded on hardware.
"""

from dataclasses import replace
from typing import Any, Final

from .model import GID, Adapter, Function, Interface, Machine, Port, RDMADevice

CONNECTX_7: Final = Adapter(device="1021", virtual="101e", firmware="28.39.1002")
BLUEFIELD_3: Final = Adapter(device="a2dc", virtual="101e", firmware="32.41.1000")
_ETHERNET: Final = "020000"
_INFINIBAND: Final = "020700"


def build_roce_port(interface: str, host: int = 7, **changes: Any) -> Port:
    """Return an active RoCE port: GIDs of the link-local and of an IPv4 address, each as version 1 and 2."""
    local, routed = f"fe80:0000:0000:0000:0e42:a1ff:fe00:{host:04x}", f"0000:0000:0000:0000:0000:ffff:c0a8:0a{host:02x}"
    gids = {
        2 * place + version: GID(value, kind, interface)
        for place, value in enumerate((local, routed))
        for version, kind in enumerate(("IB/RoCE v1", "RoCE v2"))
    }
    return Port(**{"gids": gids, **changes})


def build_infiniband_port(host: int = 7, **changes: Any) -> Port:
    """Return an active InfiniBand port with a subnet manager."""
    gids = {0: GID(f"fe80:0000:0000:0000:0e42:a103:0000:{host:04x}", "IB/RoCE v1")}
    facts = {"link_layer": "InfiniBand", "rate": "400 Gb/sec (4X NDR)", "subnet_manager_lid": 1, "gids": gids}
    return Port(**{**facts, **changes})


def build_network_function(
    number: int,
    adapter: Adapter = CONNECTX_7,
    *,
    port: Port | None = None,
    interface: Interface | None = None,
    char_device: bool = True,
    **changes: Any,
) -> Function:
    """Return a physical function with interface and RDMA device, all healthy.

    Args:
        number: Which port of the adapter: 0 or 1.
        adapter: Its model.
        port: Its port; an active RoCE port without it.
        interface: Its interface.
        char_device: Whether its uverbs device exists.
        changes: Of the function.
    """
    infiniband = port is not None and port.link_layer == "InfiniBand"
    name = f"ibp{23 + number}s0" if infiniband else f"ens{23 + number}np{number}"
    speed = 400_000 if infiniband else 200_000
    netdev = interface or Interface(
        name, mtu=4092 if infiniband else 9000, speed=speed, port_name="" if infiniband else f"p{number}"
    )
    rdma = RDMADevice(
        name=f"mlx5_{number}",
        firmware=adapter.firmware,
        verbs=f"uverbs{number}",
        char_device=char_device,
        ports=(port or build_roce_port(netdev.name, 7 + number),),
    )
    facts = {
        "address": f"0000:17:00.{number}",
        "device": adapter.device,
        "pci_class": _INFINIBAND if infiniband else _ETHERNET,
        "total_vfs": 16,
        "interfaces": (netdev,),
        "rdma": rdma,
    }
    return Function(**{**facts, **changes})


def build_virtual_functions(
    physical: Function, count: int, *, first: int = 0, populated: int | None = None
) -> tuple[Function, tuple[Function, ...]]:
    """Return a physical function with virtual ones of it.

    Args:
        physical: The physical function.
        count: How many virtual functions it gets.
        first: Number of the first: numbers make names and addresses of all functions of a machine differ.
        populated: How many of them have an interface and an RDMA device, as those have not that are given to a virtual
            machine or a pod; all without it.
    """
    domain, bus, _ = physical.address.split(":")
    functions = []
    for number in range(first, first + count):
        full = populated is None or number < first + populated
        slot = 16 + number
        functions.append(
            Function(
                address=f"{domain}:{int(bus, 16) + slot // 256:02x}:{slot % 256 // 8:02x}.{slot % 8}",
                device="101e",
                pci_class=physical.pci_class,
                numa_node=physical.numa_node,
                physical=physical.address,
                interfaces=(Interface(f"vf{number}", port_name=""),) if full else (),
                rdma=_build_virtual_device(number) if full else None,
            )
        )
    return replace(physical, current_vfs=count, total_vfs=max(count, physical.total_vfs or 0)), tuple(functions)


def build_host(*functions: Function, **changes: Any) -> Machine:
    """Return a host with eight GPUs and two NUMA nodes; without functions it has two ports of a ConnectX-7 with RoCE."""
    chosen = functions or (build_network_function(0), build_network_function(1))
    return Machine(**{"functions": chosen, "gpus": 8, "huge_pages_total": 1024, "huge_pages_free": 1024, **changes})


def _build_virtual_device(number: int) -> RDMADevice:
    port = Port(state="1: DOWN", physical_state="3: Disabled", rate="40 Gb/sec (4X QDR)")
    return RDMADevice(name=f"mlx5_{number + 2}", verbs=f"uverbs{number + 2}", ports=(port,))
