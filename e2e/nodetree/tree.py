"""From a description to files.

Devices lie below sys/devices and are linked from bus and class folders, as the kernel does it. Character devices would
need root to be made, so they are plain files, and a file that cannot be read is a folder in its place (EISDIR).
"""

import os
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from .model import Function, Interface, Machine, Port, RDMADevice

_ZERO: Final = "0000:0000:0000:0000:0000:0000:0000:0000"
_GPU: Final = {"vendor": "0x10de", "device": "0x233b", "class": "0x030200", "numa_node": "0"}


def build_tree(machine: Machine, root: Path) -> Path:
    """Write the tree of a machine and return its folder, which holds sys, proc and dev."""
    for folder in (
        "sys/bus/pci/devices",
        "sys/class/net",
        "sys/class/infiniband",
        "sys/devices/system/node",
        "sys/module",
    ):
        (root / folder).mkdir(parents=True)
    for number in range(machine.gpus):
        _build_pci(root, f"0000:{0xA0 + number:02x}:00.0", _GPU)
    for function in machine.functions:
        _build_function(root, function)
    for function in machine.functions:
        _link_physical(root, function)
    for number in range(machine.numa_nodes):
        (root / f"sys/devices/system/node/node{number}").mkdir()
    for name in (*machine.modules, *machine.built_in):
        (root / "sys/module" / name).mkdir(exist_ok=True)
    _build_proc(root, machine)
    _damage(root, machine)
    return root


def _build_function(root: Path, function: Function) -> None:
    files = {
        "vendor": f"0x{function.vendor}",
        "device": f"0x{function.device}",
        "class": f"0x{function.pci_class}",
        "numa_node": str(function.numa_node),
    }
    if function.total_vfs is not None:
        files |= {"sriov_totalvfs": str(function.total_vfs), "sriov_numvfs": str(function.current_vfs)}
    folder = _build_pci(root, function.address, files)
    for interface in function.interfaces:
        _build_interface(root, folder, interface)
    if function.rdma is not None:
        _build_rdma(root, folder, function.rdma)


def _build_pci(root: Path, address: str, files: Mapping[str, str]) -> Path:
    folder = root / "sys/devices" / f"pci{address[:7]}" / address
    _write(folder, files)
    _link(root / "sys/bus/pci/devices" / address, folder)
    return folder


def _link_physical(root: Path, function: Function) -> None:
    if not function.physical:
        return
    devices = root / "sys/bus/pci/devices"
    physical, own = (devices / address for address in (function.physical, function.address))
    number = len(list(physical.glob("virtfn*")))
    _link(own.resolve() / "physfn", physical.resolve())
    _link(physical.resolve() / f"virtfn{number}", own.resolve())


def _build_interface(root: Path, device: Path, interface: Interface) -> None:
    folder = device / "net" / interface.name
    files = {
        "operstate": interface.state,
        "mtu": str(interface.mtu),
        "speed": str(interface.speed),
        "ifindex": str(interface.index),
    }
    _write(folder, files | ({"phys_port_name": interface.port_name} if interface.port_name else {}))
    _link(folder / "device", device)
    _link(root / "sys/class/net" / interface.name, folder)


def _build_rdma(root: Path, device: Path, rdma: RDMADevice) -> None:
    folder = device / "infiniband" / rdma.name
    _write(folder, {"fw_ver": rdma.firmware, "node_type": "1: CA"})
    _link(folder / "device", device)
    _link(root / "sys/class/infiniband" / rdma.name, folder)
    for port in rdma.ports:
        _build_port(folder / "ports" / str(port.number), port)
    verbs = device / "infiniband_verbs" / rdma.verbs
    _write(verbs, {"ibdev": rdma.name})
    _link(root / "sys/class/infiniband_verbs" / rdma.verbs, verbs)
    if rdma.char_device:
        # The communication manager's device is one for all.
        _write(root / "dev/infiniband", {rdma.verbs: "", "rdma_cm": ""})


def _build_port(folder: Path, port: Port) -> None:
    files = {
        "link_layer": port.link_layer,
        "state": port.state,
        "phys_state": port.physical_state,
        "rate": port.rate,
        "sm_lid": hex(port.subnet_manager_lid),
    }
    _write(folder, files)
    _write(folder / "counters", {name: str(value) for name, value in port.counters.items()})
    known = {str(index): gid for index, gid in port.gids.items()}
    _write(
        folder / "gids", {str(index): _ZERO for index in range(port.table)} | {i: gid.value for i, gid in known.items()}
    )
    # The kernel has these files for every index, and refuses to read those of an empty one.
    _write(folder / "gid_attrs/types", {index: gid.kind for index, gid in known.items()})
    _write(folder / "gid_attrs/ndevs", {index: gid.interface for index, gid in known.items() if gid.interface})


def _build_proc(root: Path, machine: Machine) -> None:
    pages = {"nr_hugepages": str(machine.huge_pages_total), "free_hugepages": str(machine.huge_pages_free)}
    _write(root / "sys/kernel/mm/hugepages/hugepages-2048kB", pages)
    limits = "\n".join(
        (
            "Limit                     Soft Limit           Hard Limit           Units     ",
            "Max processes             1030442              1030442              processes ",
            f"Max locked memory         {machine.memlock.soft:<20} {machine.memlock.hard:<20} bytes     ",
            "Max address space         unlimited            unlimited            bytes     ",
        )
    )
    status = f"Name:\tpython3\nUid:\t65532\t65532\t65532\t65532\nCapEff:\t{machine.capabilities:016x}\n"
    meminfo = (
        f"MemTotal:       2113401234 kB\nHugePages_Total: {machine.huge_pages_total:>7}\n"
        f"HugePages_Free:  {machine.huge_pages_free:>7}\nHugepagesize:       2048 kB"
    )
    modules = "\n".join(f"{name} 16384 0 - Live 0x0000000000000000" for name in machine.modules)
    _write(root / "proc", {"modules": modules, "meminfo": meminfo})
    _write(root / "proc/self", {"limits": limits, "status": status.rstrip()})
    _write(root / "proc/sys/kernel", {"osrelease": machine.kernel})
    _write(root / "proc/sys/kernel/random", {"boot_id": machine.boot_id})


def _damage(root: Path, machine: Machine) -> None:
    for path, text in machine.contents.items():
        (root / path).write_text(text, encoding="utf-8")
    for path in (*machine.removed, *machine.unreadable):
        found = root / path
        if found.is_dir() and not found.is_symlink():
            shutil.rmtree(found)
        else:
            found.unlink()
    for path in machine.unreadable:
        (root / path).mkdir()


def _write(folder: Path, files: Mapping[str, str]) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in files.items():
        (folder / name).write_text(f"{text}\n", encoding="utf-8")


def _link(path: Path, target: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    # Relative, so that a tree can be moved and mounted elsewhere.
    path.symlink_to(os.path.relpath(target, path.parent))
