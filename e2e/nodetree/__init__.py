"""Trees of /sys, /proc and /dev as the kernel shows them, built from the description of a machine.

For programs that take the folder of such a tree instead of /: the node validator and the preflight of engine pods.
"""

from .machines import (
    BLUEFIELD_3,
    CONNECTX_7,
    build_host,
    build_infiniband_port,
    build_network_function,
    build_roce_port,
    build_virtual_functions,
)
from .model import GID, Function, Interface, Machine, Memlock, Port, RDMADevice, parse_machine
from .tree import build_tree

__all__ = [
    "BLUEFIELD_3",
    "CONNECTX_7",
    "GID",
    "Function",
    "Interface",
    "Machine",
    "Memlock",
    "Port",
    "RDMADevice",
    "build_host",
    "build_infiniband_port",
    "build_network_function",
    "build_roce_port",
    "build_tree",
    "build_virtual_functions",
    "parse_machine",
]
