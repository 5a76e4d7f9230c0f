"""What pods see of RDMA, as trees of /sys, /proc and /dev: those that work, and those with one thing wrong."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Final

from e2e.nodetree import GID, Function, Interface, Machine, Memlock, Port, RDMADevice, build_tree

IPC_LOCK: Final = 1 << 14
MEMLOCK: Final = 64 * 2**30
ADDRESSES: Final = {"net1": "192.168.10.7", "net2": "192.168.20.7"}
PCI: Final = {"net1": "0000:17:00.2", "net2": "0000:17:00.3"}
RESOURCE: Final = "nvidia.com/storage_vf"
RDMA_ADAPTER: Final = {
    "type": "nixl_native",
    "backend": "OBJ",
    "backend_params": {"accelerated": "true", "type": "dell"},
}
TCP_ADAPTER: Final = {"type": "nixl_native", "backend": "OBJ", "backend_params": {}}


@dataclass(frozen=True)
class Pod:
    """One pod.

    Attributes:
        machine: What it sees.
        extra: Files beside that, by path.
        environment: Its variables.
        addresses: Of its interfaces.
        config: Fields of transport.json that differ from the usual ones.
    """

    machine: Machine
    extra: Mapping[str, str] = field(default_factory=dict)
    environment: Mapping[str, str] = field(default_factory=dict)
    addresses: Mapping[str, str] = field(default_factory=lambda: ADDRESSES)
    config: Mapping[str, Any] = field(default_factory=dict)

    def build(self, root: Path) -> Path:
        """Write the tree and return its folder."""
        build_tree(self.machine, root)
        for path, text in self.extra.items():
            (root / path).parent.mkdir(parents=True, exist_ok=True)
            (root / path).write_text(f"{text}\n", encoding="utf-8")
        return root

    def changed(self, **facts: Any) -> "Pod":
        """Return the pod with other facts; those of the machine by their names there."""
        own = {name: facts.pop(name) for name in ("extra", "environment", "addresses", "config") if name in facts}
        merged = {name: {**getattr(self, name), **value} for name, value in own.items()}
        return replace(self, machine=replace(self.machine, **facts), **merged)


def build_gids(address: str, interface: str) -> dict[int, GID]:
    """Return the table of a RoCE port: link-local and IPv4, each as version 1 and 2."""
    high, low = (
        f"{int(a):02x}{int(b):02x}" for a, b in zip(address.split(".")[::2], address.split(".")[1::2], strict=True)
    )
    values = ("fe80:0000:0000:0000:0e42:a1ff:fe00:0007", f"0000:0000:0000:0000:0000:ffff:{high}:{low}")
    kinds = ("IB/RoCE v1", "RoCE v2")
    return {
        2 * place + number: GID(value, kind, interface)
        for place, value in enumerate(values)
        for number, kind in enumerate(kinds)
    }


def build_config(changes: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """Return a transport.json for one network with NIXL."""
    return {
        "version": 1,
        "required": False,
        "networks": [{"interface": "net1"}],
        "linkType": "Ethernet",
        "resource": RESOURCE,
        "lockedMemory": "IPCLock",
        "memlockBytes": MEMLOCK,
        "client": "NIXL",
        "dialect": "Dell",
        "store": None,
        "candidates": {"rdma": RDMA_ADAPTER, "tcp": TCP_ADAPTER},
        **(changes or {}),
    }


def build_virtual_function(number: int, network: str, **port: Any) -> Function:
    """Return a virtual function that SR-IOV gave to the pod, with the interface of a network."""
    facts = {
        "gids": build_gids(ADDRESSES[network], network),
        "counters": {"port_xmit_data": 1000, "port_rcv_data": 1000},
    }
    rdma = RDMADevice(f"mlx5_{number}", verbs=f"uverbs{number}", ports=(Port(**{**facts, **port}),))
    return Function(PCI[network], device="101e", interfaces=(Interface(network, port_name=""),), rdma=rdma)


def build_foreign(number: int = 0, *, char_device: bool = False) -> Function:
    """Return a function of the machine that is not the pod's, which /sys shows all the same."""
    gids = build_gids("10.0.0.1", "")
    port = Port(gids=gids, counters={"port_xmit_data": 5, "port_rcv_data": 5})
    rdma = RDMADevice(f"mlx5_{number}", verbs=f"uverbs{number}", char_device=char_device, ports=(port,))
    return Function(f"0000:17:00.{number}", rdma=rdma)


SRIOV: Final = Pod(
    Machine(functions=(build_foreign(), build_virtual_function(2, "net1")), capabilities=IPC_LOCK),
    environment={"PCIDEVICE_NVIDIA_COM_STORAGE_VF": PCI["net1"]},
)
"""SR-IOV Ethernet: the pod's own function, that of the host closed to it."""
TWO_RAILS: Final = SRIOV.changed(
    functions=(build_foreign(), build_virtual_function(2, "net1"), build_virtual_function(3, "net2")),
    environment={"PCIDEVICE_NVIDIA_COM_STORAGE_VF": ",".join(PCI.values())},
    config={"networks": [{"interface": "net1"}, {"interface": "net2"}]},
)


def build_shared(*, others: int = 1, address: str = ADDRESSES["net1"]) -> Pod:
    """Return a pod with the shared device plugin and macvlan: the interface lies on no function, its GID is on the shared one.

    Args:
        others: Further devices that the pod can open.
        address: Address for which the shared device has a GID.
    """
    port = Port(
        gids=build_gids("10.0.0.1", "") | {index + 4: gid for index, gid in build_gids(address, "net1").items()},
        table=16,
    )
    shared = Function("0000:17:00.0", rdma=RDMADevice("mlx5_0", verbs="uverbs0", ports=(port,)))
    return Pod(
        Machine(
            functions=(
                shared,
                *(build_foreign(number, char_device=True) for number in range(1, 1 + others)),
            ),
            capabilities=IPC_LOCK,
        ),
        extra={"sys/class/net/net1/mtu": "9000"},
        config={"resource": "rdma/storage"},
    )


def build_infiniband(**port: Any) -> Pod:
    """Return a pod with a virtual function of InfiniBand."""
    gid = GID("fe80:0000:0000:0000:0e42:a103:0000:0007", "IB/RoCE v1")
    facts = {"link_layer": "InfiniBand", "rate": "400 Gb/sec (4X NDR)", "subnet_manager_lid": 1, "gids": {0: gid}}
    rdma = RDMADevice("mlx5_2", verbs="uverbs2", ports=(Port(**{**facts, **port}),))
    function = Function(
        PCI["net1"], pci_class="020700", interfaces=(Interface("net1", mtu=4092, port_name=""),), rdma=rdma
    )
    return Pod(Machine(functions=(function,), capabilities=IPC_LOCK), config={"linkType": "InfiniBand"})


SHARED: Final = build_shared()
INFINIBAND: Final = build_infiniband()
NO_NETWORK: Final = SRIOV.changed(config={"networks": [], "resource": "rdma/hca"}, environment={})
LOW: Final = Memlock("8388608", "8388608")
ROOT_STATUS: Final = "Name:\tpython3\nUid:\t0\t0\t0\t0\nCapEff:\t0000000000000000"
