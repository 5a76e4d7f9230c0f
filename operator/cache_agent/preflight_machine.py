"""What a pod can see of RDMA: devices that it can open, their ports and GIDs, its interfaces, and its limit of locked memory.

/sys shows every device of the machine to every pod, so a device counts only if its character device can be opened, and
only if it is among those that the device plugin named, where it named any.
"""

from __future__ import annotations

import errno
import fcntl
import ipaddress
import os
import re
import socket
import struct
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from .node_facts import PortFacts
from .node_proc import read_memlock
from .node_rdma import read_ports
from .node_tree import Tree

ROCE_V2: Final = "RoCE v2"
ETHERNET: Final = "Ethernet"
INFINIBAND: Final = "InfiniBand"
_RDMA: Final = "sys/class/infiniband"
_VERBS: Final = "sys/class/infiniband_verbs"
_GIDS: Final = 1024
_IPC_LOCK: Final = 14
_SIOCGIFADDR: Final = 0x8915
_ZERO_GUID: Final = "0000:0000:0000:0000"

AddressReader = Callable[[str], str]


@dataclass(frozen=True)
class GID:
    """An entry of a GID table that is set.

    Attributes:
        address: The GID as an IP address: of IPv4 ones without their prefix.
        interface: Its interface; empty where that is in another network namespace or cannot be read.
    """

    index: int
    address: str
    kind: str
    interface: str


@dataclass(frozen=True)
class Port:
    """A port with its GIDs."""

    facts: PortFacts
    gids: tuple[GID, ...]


@dataclass(frozen=True)
class Device:
    """An RDMA device.

    Attributes:
        pci: PCI address of its function.
        guid_unset: Whether it has no GUID, as virtual functions of InfiniBand that nobody has configured.
    """

    name: str
    verbs: str
    pci: str
    guid_unset: bool
    ports: tuple[Port, ...]


@dataclass(frozen=True)
class Interface:
    """An interface of the pod.

    Attributes:
        address: Empty where it has none.
        pci: PCI address of its function; empty for one that lies on another interface, such as macvlan.
        mtu: None where it cannot be read.
    """

    name: str
    address: str
    pci: str
    mtu: int | None


@dataclass(frozen=True)
class Memory:
    """Right to lock memory, in bytes; -1 is unlimited, None is not known.

    Attributes:
        capable: Whether IPC_LOCK is effective, so that limits do not count.
    """

    soft: int | None
    hard: int | None
    capable: bool
    root: bool


@dataclass(frozen=True)
class Sight:
    """All of it.

    Attributes:
        devices: Those that can be opened and are meant for the pod.
        closed: Those that /sys shows and that cannot be opened.
        others: Those that can be opened and that the device plugin did not name.
        named: PCI addresses that the device plugin named; empty where it named none.
        interfaces: By name, of those that were asked for and exist.
        problems: What could not be read.
    """

    devices: tuple[Device, ...]
    closed: tuple[str, ...]
    others: tuple[str, ...]
    named: tuple[str, ...]
    interfaces: Mapping[str, Interface]
    memory: Memory
    problems: tuple[str, ...] = ()


def look(
    root: Path, environment: Mapping[str, str], resource: str, interfaces: tuple[str, ...], read_address: AddressReader
) -> Sight:
    """Return what the pod sees.

    Args:
        root: Folder that holds sys, proc and dev: / but in tests.
        environment: Variables of the process, in which the device plugin names devices.
        resource: Extended resource of the devices; empty for any.
        interfaces: Interfaces of the pod's networks.
        read_address: Gives the address of an interface, or an empty text.
    """
    tree = Tree(root)
    named = list_named(environment, resource)
    usable, closed, others = [], [], []
    for verbs in tree.list(_VERBS) or []:
        name = tree.read(f"{_VERBS}/{verbs}/ibdev") if re.fullmatch("uverbs[0-9]+", verbs) else None
        if not name:
            continue
        device = _read_device(tree, root, name, verbs)
        if not _can_open(root / "dev" / "infiniband" / verbs):
            closed.append(name)
        elif named and device.pci not in named:
            others.append(name)
        else:
            usable.append(device)
    found = {name: _read_interface(tree, root, name, read_address) for name in interfaces}
    memory = _read_memory(tree)
    return Sight(
        devices=tuple(sorted(usable, key=lambda device: device.name)),
        closed=tuple(sorted(closed)),
        others=tuple(sorted(others)),
        named=tuple(sorted(named)),
        interfaces={name: item for name, item in found.items() if item is not None},
        memory=memory,
        problems=tuple(tree.problems),
    )


def list_named(environment: Mapping[str, str], resource: str) -> frozenset[str]:
    """Return the PCI addresses that the SR-IOV device plugin gives in PCIDEVICE_<RESOURCE>, its name with _ for all signs."""
    wanted = _flatten(f"PCIDEVICE_{resource}")
    values = [value for name, value in environment.items() if _flatten(name) == wanted]
    return frozenset(part.strip() for value in values for part in value.split(",") if part.strip())


def ask_address(name: str) -> str:
    """Return the first IPv4 address of an interface as the kernel tells it, or else the first global IPv6 one.

    It is not read from the routing table: the meta plugin sbr moves routes out of the main one.
    """
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as link:
        try:
            answer = fcntl.ioctl(link, _SIOCGIFADDR, struct.pack("256s", name.encode()[:15]))
            return socket.inet_ntoa(answer[20:24])
        except OSError as error:
            if error.errno not in {errno.EADDRNOTAVAIL, errno.ENODEV}:
                raise
    return _find_ipv6(Tree(Path("/")).read("proc/net/if_inet6") or "", name)


def _find_ipv6(text: str, name: str) -> str:
    for line in text.splitlines():
        fields = line.split()
        # The fourth field is the scope; 00 is global.
        if len(fields) == 6 and fields[5] == name and fields[3] == "00":
            return str(ipaddress.IPv6Address(int(fields[0], 16)))
    return ""


def _flatten(text: str) -> str:
    return re.sub("[^A-Z0-9]", "_", text.upper())


def _can_open(path: Path) -> bool:
    try:
        os.close(os.open(path, os.O_RDWR | os.O_CLOEXEC | os.O_NONBLOCK))
    except OSError:
        return False
    return True


def _find_function(root: Path, path: str) -> str:
    """Return the name of the device that something lies on, such as a PCI address."""
    link = root / path / "device"
    return Path(os.path.realpath(link)).name if link.exists() else ""


def _read_device(tree: Tree, root: Path, name: str, verbs: str) -> Device:
    folder = f"{_RDMA}/{name}"
    ports = tuple(
        Port(facts, tuple(_list_gids(tree, f"{folder}/ports/{facts.number}"))) for facts in read_ports(tree, name)
    )
    unset = tree.read(f"{folder}/node_guid") == _ZERO_GUID
    return Device(name, verbs, _find_function(root, folder), unset, ports)


def _list_gids(tree: Tree, folder: str) -> list[GID]:
    gids = []
    names = [name for name in tree.list(f"{folder}/gids") or [] if re.fullmatch("[0-9]{1,4}", name)]
    for name in names[:_GIDS]:
        # EINVAL and EAGAIN are the kernel's answers for empty entries and while the table changes.
        text = tree.read(f"{folder}/gids/{name}", errno.EINVAL, errno.EAGAIN)
        if not text or not text.strip("0:"):
            continue
        kind, interface = (
            tree.read(f"{folder}/gid_attrs/{part}/{name}", errno.EINVAL, errno.EAGAIN, errno.ENODEV) or ""
            for part in ("types", "ndevs")
        )
        gids.append(GID(int(name), _read_gid(text), kind, interface))
    return sorted(gids, key=lambda gid: gid.index)


def _read_gid(text: str) -> str:
    try:
        value = ipaddress.IPv6Address(text)
    except ValueError:
        return text
    return str(value.ipv4_mapped or value)


def _read_interface(tree: Tree, root: Path, name: str, read_address: AddressReader) -> Interface | None:
    if not tree.exists(f"sys/class/net/{name}"):
        return None
    try:
        address = read_address(name)
    except OSError as error:
        tree.note(name, error.strerror or str(error))
        address = ""
    mtu = tree.read_number(f"sys/class/net/{name}/mtu", 0, 10**6)
    return Interface(name, address, _find_function(root, f"sys/class/net/{name}"), mtu)


def _read_memory(tree: Tree) -> Memory:
    soft, hard = read_memlock(tree)
    text = tree.read("proc/self/status") or ""
    capabilities = re.search(r"^CapEff:\s*([0-9a-f]{1,16})$", text, re.MULTILINE)
    effective = int(capabilities[1], 16) if capabilities else 0
    user = re.search(r"^Uid:\s*[0-9]+\s+([0-9]+)", text, re.MULTILINE)
    return Memory(soft, hard, bool(effective >> _IPC_LOCK & 1), user is not None and user[1] == "0")
