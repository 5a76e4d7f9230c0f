"""Each fault of a node, and where it shows in the report."""

import errno
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from cache_agent.node_netlink import ask_netns_mode
from cache_agent.node_probe import probe_node
from cache_agent.node_proc import MODULES
from cache_agent.node_sysfs import DEVICES, MELLANOX
from cache_agent.node_tree import Tree
from e2e.nodetree import (
    BLUEFIELD_3,
    Function,
    Interface,
    Machine,
    Memlock,
    Port,
    build_host,
    build_infiniband_port,
    build_network_function,
    build_roce_port,
    build_tree,
    build_virtual_functions,
)
from tests.node_report.cases import ROOT, probe, report_of

_DOWN = Port(state="1: DOWN", physical_state="3: Disabled", rate="40 Gb/sec (4X QDR)")
_INTERFACE = "ens23np0"
_PORT = "sys/class/infiniband/mlx5_0/ports/1"
_IPV4 = "0000:0000:0000:0000:0000:ffff:c0a8:0a07"
_SYSTEMD_OLD, _SYSTEMD_NEW = Memlock("65536", "65536"), Memlock("8388608", "8388608")
_ABSENT = object()


def _host(port: Port | None = None, interface: Interface | None = None, **changes: Any) -> Machine:
    """One port, and what a situation changes of the function."""
    return build_host(build_network_function(0, port=port, interface=interface, **changes))


def _find(report: dict[str, Any], path: str) -> Any:
    found: Any = report
    for part in path.split("."):
        if part.isdecimal():
            found = found[int(part)]
        elif part in found:
            found = found[part]
        else:
            return _ABSENT
    return found


_TABLE: dict[str, tuple[Machine, dict[str, Any]]] = {
    "healthy RoCE port": (
        _host(),
        {
            "devices.0.ports.0.linkLayer": "Ethernet",
            "devices.0.ports.0.state": "ACTIVE",
            "devices.0.ports.0.physicalState": "LinkUp",
            "devices.0.ports.0.rateGbps": 200,
            "devices.0.ports.0.gids": 4,
            "devices.0.ports.0.roceV2Gids": 2,
            "problems": _ABSENT,
        },
    ),
    "healthy InfiniBand port": (
        _host(build_infiniband_port()),
        {
            "devices.0.ports.0.linkLayer": "InfiniBand",
            "devices.0.ports.0.subnetManagerLid": 1,
            "devices.0.ports.0.gids": 1,
            "devices.0.ports.0.roceV2Gids": _ABSENT,
        },
    ),
    "port is down": (
        _host(_DOWN, Interface(_INTERFACE, state="down", speed=-1)),
        {
            "devices.0.interfaceState": "down",
            "devices.0.speedGbps": _ABSENT,
            "devices.0.ports.0.state": "DOWN",
            "devices.0.ports.0.physicalState": "Disabled",
            "devices.0.ports.0.gids": 0,
        },
    ),
    "InfiniBand without a subnet manager": (
        _host(build_infiniband_port(subnet_manager_lid=0, state="2: INIT")),
        {"devices.0.ports.0.subnetManagerLid": 0, "devices.0.ports.0.state": "INIT"},
    ),
    "no GID at all": (
        _host(build_roce_port(_INTERFACE, gids={})),
        {"devices.0.ports.0.gids": 0, "devices.0.ports.0.roceV2Gids": 0, "problems": _ABSENT},
    ),
    "GIDs of version 1 alone": (
        _host(build_roce_port(_INTERFACE, gids={0: {"value": _IPV4, "kind": "IB/RoCE v1"}})),
        {"devices.0.ports.0.gids": 1, "devices.0.ports.0.roceV2Gids": 0},
    ),
    "sparse GID table": (
        _host(build_roce_port(_INTERFACE, gids={251: {"value": _IPV4}}, table=256)),
        {"devices.0.ports.0.gids": 1, "devices.0.ports.0.roceV2Gids": 1},
    ),
    "uverbs device is missing": (
        _host(char_device=False),
        {"devices.0.rdmaDevice": "mlx5_0", "devices.0.charDevice": _ABSENT, "problems": _ABSENT},
    ),
    "no RDMA driver": (
        _host(rdma=None),
        {"devices.0.rdmaDevice": _ABSENT, "devices.0.ports": _ABSENT, "devices.0.firmware": _ABSENT},
    ),
    "no network driver": (
        _host(rdma=None, interfaces=()),
        {"devices.0.interface": _ABSENT, "devices.0.mtu": _ABSENT, "devices.0.interfaceState": _ABSENT},
    ),
    "modules are missing": (
        build_host(modules=("mlx5_core", "nvme")),
        {"modules": ["mlx5_core"]},
    ),
    "modules are built in": (
        build_host(modules=("mlx5_core",), built_in=("ib_uverbs",)),
        {"modules": ["ib_uverbs", "mlx5_core"]},
    ),
    "no module at all": (build_host(modules=()), {"modules": []}),
    "memlock 64 KiB": (build_host(memlock=_SYSTEMD_OLD), {"memlockSoft": 65536, "memlockHard": 65536}),
    "memlock 8 MiB": (build_host(memlock=_SYSTEMD_NEW), {"memlockSoft": 8388608, "memlockHard": 8388608}),
    "memlock unlimited": (build_host(), {"memlockSoft": -1, "memlockHard": -1}),
    "memlock with another hard limit": (
        build_host(memlock=Memlock("65536", "unlimited")),
        {"memlockSoft": 65536, "memlockHard": -1},
    ),
    "no huge pages": (
        build_host(huge_pages_total=0, huge_pages_free=0),
        {"hugePagesTotal": 0, "hugePagesFree": 0},
    ),
    "some huge pages": (
        build_host(huge_pages_total=64, huge_pages_free=60),
        {"hugePagesTotal": 64, "hugePagesFree": 60},
    ),
    "huge pages from meminfo": (
        build_host(huge_pages_total=64, huge_pages_free=60, removed=("sys/kernel/mm",)),
        {"hugePagesTotal": 64, "hugePagesFree": 60},
    ),
    "huge pages of 1Gi alone": (
        build_host(
            removed=("sys/kernel/mm",), contents={"proc/meminfo": "HugePages_Total: 4\nHugepagesize: 1048576 kB"}
        ),
        {"hugePagesTotal": _ABSENT, "hugePagesFree": _ABSENT, "problems": _ABSENT},
    ),
    "MTU 1500": (_host(interface=Interface(_INTERFACE, mtu=1500)), {"devices.0.mtu": 1500}),
    "MTU 9000": (_host(), {"devices.0.mtu": 9000}),
    "platform does not tell the NUMA node": (_host(numa_node=-1), {"devices.0.numaNode": -1}),
    "other NUMA node": (_host(numa_node=1), {"devices.0.numaNode": 1}),
    "one NUMA node": (build_host(numa_nodes=1), {"numaNodes": 1}),
    "kernel without NUMA": (build_host(removed=("sys/devices/system/node",)), {"numaNodes": _ABSENT}),
    "no SR-IOV in the firmware": (
        _host(total_vfs=None),
        {"devices.0.totalVfs": _ABSENT, "devices.0.currentVfs": _ABSENT},
    ),
    "SR-IOV allowed, no virtual function made": (_host(), {"devices.0.totalVfs": 16, "devices.0.currentVfs": 0}),
    "BlueField-3": (
        build_host(build_network_function(0, BLUEFIELD_3)),
        {"devices.0.device": "a2dc", "devices.0.firmware": "32.41.1000", "devices.0.dpuMode": _ABSENT},
    ),
    "no adapter of the vendor": (
        build_host(Function("0000:00:03.0", vendor="1af4", device="1041")),
        {"devices": [], "problems": _ABSENT},
    ),
    "no device at all": (Machine(modules=()), {"devices": [], "gpus": 0, "problems": _ABSENT}),
    "machine without PCI": (
        Machine(removed=("sys/bus/pci",)),
        {"devices": [], "gpus": 0, "problems": _ABSENT},
    ),
    "/sys of the host is not mounted": (
        Machine(removed=("sys/bus",)),
        {"devices": _ABSENT, "gpus": _ABSENT, "problems.0": "/sys/bus: there is none: mount /sys of the host"},
    ),
    "state cannot be read": (
        replace(_host(), unreadable=(f"{_PORT}/state",)),
        {
            "devices.0.ports.0.state": _ABSENT,
            "devices.0.ports.0.linkLayer": "Ethernet",
            "problems.0": f"/{_PORT}/state: Is a directory",
        },
    ),
    "rate is none": (
        replace(_host(), contents={f"{_PORT}/rate": "fast"}),
        {"devices.0.ports.0.rateGbps": _ABSENT, "problems.0": f"/{_PORT}/rate: 'fast' is no rate in Gb/sec"},
    ),
    "rate with a fraction": (
        replace(_host(), contents={f"{_PORT}/rate": "2.5 Gb/sec (1X SDR)"}),
        {"devices.0.ports.0.rateGbps": 2},
    ),
    "number out of bounds": (
        replace(_host(), contents={"sys/class/net/ens23np0/mtu": "4294967296"}),
        {
            "devices.0.mtu": _ABSENT,
            "problems.0": "/sys/bus/pci/devices/0000:17:00.0/net/ens23np0/mtu: '4294967296' is no number from 0 to 1000000",
        },
    ),
    "limits without a line of locked memory": (
        build_host(contents={"proc/self/limits": "Limit\n"}),
        {"memlockSoft": _ABSENT, "problems.0": "/proc/self/limits: there is no line of locked memory"},
    ),
    "port names are no numbers": (
        replace(_host(), removed=(f"{_PORT}",)),
        {"devices.0.ports": []},
    ),
    "switchdev mode: representors are not the port's interface": (
        _host(
            interfaces=(
                Interface("ens23f0r0", port_name="pf0vf0", index=3, mtu=1500),
                Interface("ens23f0r1", port_name="c1pf0sf12", index=2, mtu=1500),
                Interface(_INTERFACE, port_name="p0", index=9),
            )
        ),
        {"devices.0.interface": _INTERFACE, "devices.0.mtu": 9000},
    ),
    "InfiniBand partition beside the interface": (
        _host(
            build_infiniband_port(),
            interfaces=(Interface("ib0.8001", port_name="", index=12), Interface("ib0", port_name="", index=5)),
        ),
        {"devices.0.interface": "ib0"},
    ),
}


@pytest.mark.parametrize(("machine", "expected"), _TABLE.values(), ids=_TABLE)
def test_fault_shows(tmp_path: Path, machine: Machine, expected: dict[str, Any]) -> None:
    report = report_of(probe(machine, tmp_path / "tree"))
    assert {path: _find(report, path) for path in expected} == expected


def test_half_of_the_virtual_functions_are_in_use(tmp_path: Path) -> None:
    physical, virtual = build_virtual_functions(build_network_function(0), 8, populated=4)
    devices = report_of(probe(build_host(physical, *virtual), tmp_path / "tree"))["devices"]
    assert [item["function"] for item in devices] == ["Physical"] + 8 * ["Virtual"]
    assert devices[0]["currentVfs"] == 8
    assert [item.get("rdmaDevice") for item in devices[1:]] == [f"mlx5_{number}" for number in range(2, 6)] + 4 * [None]


def test_of_200_virtual_functions_the_last_are_left_out_and_no_physical_one(tmp_path: Path) -> None:
    first, one = build_virtual_functions(build_network_function(0), 100)
    second, other = build_virtual_functions(build_network_function(1), 100, first=100)
    facts = probe(build_host(*one, *other, first, second), tmp_path / "tree")
    devices = report_of(facts)["devices"]
    assert len(devices) == DEVICES
    assert [item["pciAddress"] for item in devices[:2]] == ["0000:17:00.0", "0000:17:00.1"]
    assert [item["currentVfs"] for item in devices[:2]] == [100, 100]
    assert facts.problems == (
        "/sys/bus/pci/devices: 202 functions of network adapters, of which the last 138 are left out",
    )


def test_other_vendors_are_listed_on_demand(tmp_path: Path) -> None:
    machine = build_host(Function("0000:31:00.0", vendor="14e4", device="1750"))
    command = [
        sys.executable,
        "-m",
        "cache_agent.node_agent",
        "--once",
        f"--root={build_tree(machine, tmp_path / 't')}",
    ]
    environment = {"PYTHONPATH": str(ROOT / "operator")}
    for options, count in ([], 0), (["--vendor=14e4"], 1), (["--vendor=15b3", "--vendor=14e4"], 1):
        text = subprocess.run([*command, *options], env=environment, capture_output=True, text=True, check=True).stdout
        assert text.count('"vendor": "14e4"') == count


@contextmanager
def _another_user() -> Iterator[None]:
    """Root may read every file, so read as somebody else."""
    if os.geteuid() != 0:
        yield
        return
    os.seteuid(65534)
    try:
        yield
    finally:
        os.seteuid(0)


def test_file_without_permission_is_a_problem(tmp_path: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    root = build_tree(_host(), tmp_path / "tree")
    (root / _PORT / "state").chmod(0)
    # The folders of pytest are closed to others, and there are more of them where processes share the work.
    base = tmp_path_factory.getbasetemp()
    above = base.parents[1] if os.environ.get("PYTEST_XDIST_WORKER") else base.parent
    for folder in (tmp_path, *(item for item in tmp_path.parents if item.is_relative_to(above))):
        folder.chmod(0o755)
    with _another_user():
        report = report_of(probe_node(Tree(root), [MELLANOX], lambda: None))
    assert report["problems"] == [f"/{_PORT}/state: Permission denied"]
    assert _find(report, "devices.0.ports.0.linkLayer") == "Ethernet"


def test_value_that_is_unset_is_no_problem() -> None:
    # The loopback interface has no speed, which the kernel says with EINVAL.
    quiet, loud = Tree(Path("/")), Tree(Path("/"))
    assert quiet.read("sys/class/net/lo/speed", errno.EINVAL) is None
    assert quiet.problems == []
    assert loud.read("sys/class/net/lo/speed") is None
    assert loud.problems == ["/sys/class/net/lo/speed: Invalid argument"]


def test_kernel_that_does_not_answer_is_a_problem(tmp_path: Path) -> None:
    def refuse() -> str | None:
        raise OSError(errno.EPERM, "Operation not permitted")

    facts = probe(_host(), tmp_path / "tree", ask=refuse)
    assert facts.rdma_netns_mode is None
    assert facts.problems == ("RDMA netlink: Operation not permitted",)


def test_this_kernel_can_be_asked() -> None:
    assert ask_netns_mode() in {None, "shared", "exclusive"}


def test_modules_fit_into_a_report() -> None:
    assert len(set(MODULES)) == len(MODULES) <= 64
