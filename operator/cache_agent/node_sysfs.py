"""PCI functions of network adapters and GPUs as /sys/bus/pci shows them, with the interfaces and RDMA devices on them.

Decided here: what counts as a network adapter, which functions are left out where there are too many, and which of
several interfaces on one function is the one of its port. The documented way to tell whether a BlueField works as DPU or
as NIC needs firmware access, the BMC or rshim, none of which this program has: it says nothing of the mode.
"""

from __future__ import annotations

import errno
import re
from collections.abc import Collection
from dataclasses import dataclass
from typing import Final

from .node_facts import DeviceFacts
from .node_rdma import read_firmware, read_ports
from .node_tree import Tree

MELLANOX: Final = "15b3"
DEVICES: Final = 64
"""Functions that a report lists."""
_NVIDIA: Final = "10de"
_PCI: Final = "sys/bus/pci/devices"
_ADDRESS: Final = "[0-9a-f]{4,8}:[0-9a-f]{2}:[0-9a-f]{2}[.][0-7]"
# Ethernet controller and InfiniBand controller: the personality of the firmware, not the state of the link.
_NETWORK_CLASSES: Final = ("0200", "0207")
_DISPLAY_CLASS: Final = "03"
# In switchdev mode the interfaces that stand for functions lie on the physical function too.
_REPRESENTOR: Final = r"(c[0-9]+)?pf[0-9]+(vf|sf)[0-9]+"


@dataclass(frozen=True)
class _Function:
    address: str
    vendor: str
    kind: str
    virtual: bool


def read_pci(tree: Tree, vendors: Collection[str]) -> tuple[int | None, tuple[DeviceFacts, ...] | None]:
    """Return the number of GPUs, and the network adapters of some vendors, physical functions first.

    Both are None where /sys cannot be read: that is something else than a machine without such devices.

    Args:
        tree: The machine.
        vendors: PCI vendor ids, such as 15b3.
    """
    addresses = tree.list(_PCI)
    if not addresses and addresses is not None and not tree.exists("sys/bus"):
        tree.note("/sys/bus", "there is none: mount /sys of the host")
        return None, None
    if addresses is None:
        return None, None
    functions = [_read_function(tree, address) for address in addresses if re.fullmatch(_ADDRESS, address)]
    gpus = sum(item.vendor == _NVIDIA and item.kind.startswith(_DISPLAY_CLASS) for item in functions)
    adapters = [item for item in functions if item.vendor in vendors and item.kind[:4] in _NETWORK_CLASSES]
    adapters.sort(key=lambda item: (item.virtual, item.address))
    left = len(adapters) - DEVICES
    if left > 0:
        tree.note(f"/{_PCI}", f"{len(adapters)} functions of network adapters, of which the last {left} are left out")
    return min(gpus, 256), tuple(_read_device(tree, item) for item in adapters[:DEVICES])


def count_numa_nodes(tree: Tree) -> int | None:
    """Return the number of NUMA nodes; None where the kernel does not tell."""
    names = tree.list("sys/devices/system/node")
    return sum(bool(re.fullmatch("node[0-9]+", name)) for name in names[:4096]) if names else None


def _read_function(tree: Tree, address: str) -> _Function:
    vendor, kind = (tree.read(f"{_PCI}/{address}/{name}") or "" for name in ("vendor", "class"))
    virtual = tree.exists(f"{_PCI}/{address}/physfn")
    return _Function(address, vendor.removeprefix("0x"), kind.removeprefix("0x"), virtual)


def _read_device(tree: Tree, function: _Function) -> DeviceFacts:
    folder = f"{_PCI}/{function.address}"
    interface = _find_interface(tree, folder)
    network = f"{folder}/net/{interface}"
    rdma = _find_first(tree, f"{folder}/infiniband")
    verbs = _find_first(tree, f"{folder}/infiniband_verbs")
    # An interface that is down, or in another network namespace, has no speed: -1 or EINVAL.
    speed = tree.read_number(f"{network}/speed", -1, 10**8, errno.EINVAL, errno.EOPNOTSUPP) if interface else None
    return DeviceFacts(
        pci_address=function.address,
        vendor=function.vendor,
        device=(tree.read(f"{folder}/device") or "").removeprefix("0x"),
        interface=interface,
        interface_state=tree.read(f"{network}/operstate") or None if interface else None,
        mtu=tree.read_number(f"{network}/mtu", 0, 10**6) if interface else None,
        speed_gbps=speed // 1000 if speed is not None and speed >= 0 else None,
        rdma_device=rdma,
        char_device=verbs if verbs and tree.exists(f"dev/infiniband/{verbs}") else None,
        firmware=read_firmware(tree, rdma) if rdma else None,
        numa_node=tree.read_number(f"{folder}/numa_node", -1, 4096),
        function="Virtual" if function.virtual else "Physical",
        total_vfs=tree.read_number(f"{folder}/sriov_totalvfs", 0, 65535),
        current_vfs=tree.read_number(f"{folder}/sriov_numvfs", 0, 65535),
        ports=read_ports(tree, rdma) if rdma else None,
    )


def _find_first(tree: Tree, folder: str) -> str | None:
    return next(iter(tree.list(folder) or []), None)


def _find_interface(tree: Tree, folder: str) -> str | None:
    found = []
    for name in tree.list(f"{folder}/net") or []:
        # The kernel answers EOPNOTSUPP where an interface has no such name.
        port = tree.read(f"{folder}/net/{name}/phys_port_name", errno.EOPNOTSUPP) or ""
        if not re.fullmatch(_REPRESENTOR, port):
            # Further ones, such as InfiniBand partitions, were made later.
            found.append((tree.read_number(f"{folder}/net/{name}/ifindex", 0, 2**31) or 0, name))
    return min(found)[1] if found else None
