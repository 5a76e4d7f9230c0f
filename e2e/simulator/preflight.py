"""The init container preflight: the operator's own program, on a made-up machine in place of the node's.

Everything is real but the machine's files and the client that moves bytes: what it sees, decides, writes for the launcher
and says in its termination message comes from the program.
"""

import contextlib
import json
import shutil
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final, Literal

from cache_agent import preflight_proof
from cache_agent.preflight import Preflight
from cache_agent.preflight_proof import OBJECT_BYTES, OBJECTS, Run, TransferProcess
from e2e.nodetree import GID, Function, Interface, Machine, Port, RDMADevice, build_tree

RDMAState = Literal["proven", "unproven", "silent-tcp", "no-device", "link-down", "no-address"]
"""What the pod meets: everything and a client that moves bytes, the same without a client, a client that moves them over
TCP, or one thing that is wrong."""

_TOTAL: Final = OBJECTS * OBJECT_BYTES
_WORD: Final = 4
_NETWORK_LINE: Final = "  eth0: {0} 1 0 0 0 0 0 0 {0} 1 0 0 0 0 0 0"
# Nobody else uses a made-up port, so it need not be watched for long.
preflight_proof._WATCH_SECONDS = 0.02  # type: ignore[misc] # noqa: SLF001 - a constant of the program under test


@dataclass(frozen=True)
class PodMachine:
    """What one pod is given.

    Attributes:
        folder: Folder of the pod; holds tree, configuration, and the volume that preflight and launcher share.
        config: Content of transport.json.
        environment: Of the container.
        state: What it meets.
        host: Last part of its addresses on the networks, 1 to 254.
    """

    folder: Path
    config: Mapping[str, Any]
    environment: Mapping[str, str]
    state: RDMAState
    host: int

    @property
    def interfaces(self) -> list[str]:
        """Its secondary interfaces."""
        return [str(item["interface"]) for item in self.config.get("networks", [])]

    def find_address(self, interface: str) -> str:
        """Return the address of an interface; empty where it has none."""
        if interface not in self.interfaces or self.state == "no-address":
            return ""
        return f"192.168.{10 + self.interfaces.index(interface)}.{self.host}"


def run_folder(folder: Path) -> Path:
    """Return the volume that preflight and launcher of a pod share."""
    return folder / "run"


def run_preflight(machine: PodMachine) -> tuple[int, str]:
    """Run the program to its end; returns its exit code and termination message. Blocks for a moment."""
    folder = machine.folder
    root, run = folder / "root", run_folder(folder)
    shutil.rmtree(root, ignore_errors=True)
    run.mkdir(parents=True, exist_ok=True)
    build_tree(_describe(machine), root)
    (root / "proc/net").mkdir(parents=True, exist_ok=True)
    (root / "proc/net/dev").write_text(_NETWORK_LINE.format(0), encoding="utf-8")
    config, message = folder / "transport.json", folder / "termination-log"
    config.write_text(json.dumps(machine.config), encoding="utf-8")
    message.unlink(missing_ok=True)
    # Its keys are for objects that a real client would have left in the bucket.
    environment = {name: value for name, value in machine.environment.items() if not name.startswith("AWS_")}
    program = Preflight(config, run, root, message, environment=environment, read_address=machine.find_address)
    program.process = _Client(run, root, machine.state)
    program.run()
    code = program.finish()
    with contextlib.suppress(OSError):
        return code, message.read_text(encoding="utf-8")
    return code, ""


class _Client(TransferProcess):
    """Stands for the client of the store: moves nothing, and lets the counters say that it did."""

    def __init__(self, folder: Path, root: Path, state: RDMAState) -> None:
        super().__init__(folder)
        self._root = root
        self._state = state

    def run(self, adapter: dict[str, Any], model: str, environment: Mapping[str, str], seconds: float) -> Run:  # noqa: ARG002 - of the program's form
        if self._state == "unproven":
            return Run({"stage": "import", "error": "ModuleNotFoundError: No module named 'lmcache'"}, "")
        if self._state == "silent-tcp":
            (self._root / "proc/net/dev").write_text(_NETWORK_LINE.format(_TOTAL), encoding="utf-8")
        else:
            for name in ("port_xmit_data", "port_rcv_data"):
                for path in (self._root / "sys/class/infiniband").glob(f"*/ports/1/counters/{name}"):
                    path.write_text(f"{_TOTAL // _WORD}\n", encoding="utf-8")
        return Run({"stage": "done", "error": ""}, "")


def _describe(machine: PodMachine) -> Machine:
    """Return the machine as the pod sees it: a virtual function for each network, or one without any."""
    names = machine.interfaces or [""]
    functions = tuple(_build_function(machine, number, name) for number, name in enumerate(names))
    return Machine(functions=functions, capabilities=1 << 14)


def _build_function(machine: PodMachine, number: int, interface: str) -> Function:
    infiniband = machine.config.get("linkType") == "InfiniBand"
    address = machine.find_address(interface) if interface else f"192.168.10.{machine.host}"
    port = Port(
        link_layer="InfiniBand" if infiniband else "Ethernet",
        subnet_manager_lid=1 if infiniband else 0,
        gids={0: GID(_write_gid(address or "169.254.0.1"), "IB/RoCE v1" if infiniband else "RoCE v2", interface)},
        counters={"port_xmit_data": 0, "port_rcv_data": 0},
    )
    if machine.state == "link-down":
        port = replace(port, state="1: DOWN", physical_state="3: Disabled")
    device = RDMADevice(
        name=f"mlx5_{number + 2}",
        verbs=f"uverbs{number + 2}",
        char_device=machine.state != "no-device",
        ports=(port,),
    )
    interfaces = (Interface(interface, port_name=""),) if interface else ()
    return Function(address=name_function(number), device="101e", interfaces=interfaces, rdma=device)


def name_function(number: int) -> str:
    """Return the PCI address of the pod's function with a number."""
    return f"0000:17:00.{number + 2}"


def _write_gid(address: str) -> str:
    first, second, third, fourth = (int(part) for part in address.split("."))
    return f"0000:0000:0000:0000:0000:ffff:{first:02x}{second:02x}:{third:02x}{fourth:02x}"
