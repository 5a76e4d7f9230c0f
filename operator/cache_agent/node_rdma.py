"""RDMA devices as /sys/class/infiniband shows them: ports, their state, and what is in their GID tables.

Text forms are those of the kernel's drivers/infiniband/core/sysfs.c: state is `4: ACTIVE`, rate `200 Gb/sec (4X HDR)`,
sm_lid hexadecimal. A GID table has an entry for each index; the type of an empty entry cannot be read (EINVAL).
"""

from __future__ import annotations

import errno
import re
from typing import Final

from .node_facts import PortFacts
from .node_tree import Tree

_CLASS: Final = "sys/class/infiniband"
# Adapters have one port or two for an RDMA device; in switchdev mode there is one more for each virtual function.
_PORTS: Final = 2
_GIDS: Final = 1024
_ETHERNET: Final = "Ethernet"
_ROCE_V2: Final = "RoCE v2"


def read_firmware(tree: Tree, device: str) -> str | None:
    """Return the firmware version of an RDMA device."""
    return tree.read(f"{_CLASS}/{device}/fw_ver") or None


def read_ports(tree: Tree, device: str) -> tuple[PortFacts, ...]:
    """Return the ports of an RDMA device, the first two at most."""
    names = tree.list(f"{_CLASS}/{device}/ports") or []
    numbers = sorted(int(name) for name in names if re.fullmatch("[1-9][0-9]{0,2}", name) and int(name) < 256)
    return tuple(_read_port(tree, f"{_CLASS}/{device}/ports/{number}", number) for number in numbers[:_PORTS])


def _read_port(tree: Tree, folder: str, number: int) -> PortFacts:
    link_layer = tree.read(f"{folder}/link_layer") or None
    gids, versions = _count_gids(tree, folder, typed=link_layer == _ETHERNET)
    return PortFacts(
        number=number,
        link_layer=link_layer,
        state=_read_state(tree, f"{folder}/state"),
        physical_state=_read_state(tree, f"{folder}/phys_state"),
        rate_gbps=_read_rate(tree, f"{folder}/rate"),
        subnet_manager_lid=tree.read_number(f"{folder}/sm_lid", 0, 65535),
        gids=gids,
        roce_v2_gids=versions,
    )


def _read_state(tree: Tree, path: str) -> str | None:
    text = tree.read(path)
    return None if text is None else text.partition(":")[2].strip() or text or None


def _read_rate(tree: Tree, path: str) -> int | None:
    text = tree.read(path)
    if text is None:
        return None
    found = re.match(r"([0-9]{1,5})(?:[.][0-9]+)? Gb/sec", text)
    if found is None:
        tree.note(f"/{path}", f"{text[:32]!r} is no rate in Gb/sec")
        return None
    return int(found[1])


def _count_gids(tree: Tree, folder: str, *, typed: bool) -> tuple[int | None, int | None]:
    """Return how many GIDs are set, and how many of them are of type RoCE v2 where types matter."""
    names = tree.list(f"{folder}/gids")
    if names is None:
        return None, None
    indices = [name for name in names if re.fullmatch("[0-9]{1,4}", name)][:_GIDS]
    # The kernel shows an empty entry as zeros; EINVAL and EAGAIN are its answers while the table changes.
    texts = {name: tree.read(f"{folder}/gids/{name}", errno.EINVAL, errno.EAGAIN) for name in indices}
    used = [name for name, text in texts.items() if text is not None and text.strip("0:")]
    if not typed:
        return len(used), None
    kinds = [tree.read(f"{folder}/gid_attrs/types/{name}", errno.EINVAL, errno.EAGAIN) for name in used]
    return len(used), kinds.count(_ROCE_V2)
