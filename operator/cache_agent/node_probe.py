"""Looks at the whole machine once; whatever fails is a problem in the result."""

from __future__ import annotations

from collections.abc import Callable, Collection

from .node_facts import NodeFacts
from .node_proc import read_huge_pages, read_memlock, read_modules
from .node_sysfs import count_numa_nodes, read_pci
from .node_tree import Tree


def probe_node(tree: Tree, vendors: Collection[str], ask_netns_mode: Callable[[], str | None]) -> NodeFacts:
    """Return what the machine shows.

    Args:
        tree: Its files, without problems so far.
        vendors: PCI vendor ids of the network adapters that are listed.
        ask_netns_mode: Asks the kernel for the network namespace mode of RDMA devices; may raise OSError.
    """
    gpus, devices = read_pci(tree, vendors)
    soft, hard = read_memlock(tree)
    total, free = read_huge_pages(tree)
    return NodeFacts(
        boot_id=tree.read("proc/sys/kernel/random/boot_id") or None,
        kernel=tree.read("proc/sys/kernel/osrelease") or None,
        modules=read_modules(tree),
        rdma_netns_mode=_ask(tree, ask_netns_mode),
        memlock_soft=soft,
        memlock_hard=hard,
        huge_pages_total=total,
        huge_pages_free=free,
        numa_nodes=count_numa_nodes(tree),
        gpus=gpus,
        devices=devices,
        problems=(*tree.problems, *([f"and {tree.dropped} more problems"] if tree.dropped else [])),
    )


def _ask(tree: Tree, ask_netns_mode: Callable[[], str | None]) -> str | None:
    try:
        return ask_netns_mode()
    except OSError as error:
        tree.note("RDMA netlink", error.strerror or str(error))
    return None
