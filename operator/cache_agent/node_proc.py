"""What /proc tells: kernel, boot, modules, huge pages, and the limit of locked memory that containers of this node get."""

from __future__ import annotations

import re
from typing import Final

from .node_tree import Tree

MODULES: Final = (
    # The RDMA stack, and what the shared device plugin needs of it: ib_uverbs, ib_umad, rdma_ucm.
    *("ib_core", "ib_cm", "ib_umad", "ib_uverbs", "ib_ipoib", "iw_cm", "rdma_cm", "rdma_ucm"),
    *("mlx4_core", "mlx4_ib", "mlx5_core", "mlx5_ib", "mlx5_vdpa", "mlx_compat", "mlxfw"),
    *("bnxt_re", "efa", "irdma", "siw", "rdma_rxe"),
    # GPUDirect.
    *("nvidia", "nvidia_uvm", "nvidia_peermem", "nv_peer_mem", "nvidia_fs", "gdrdrv"),
    # Those that keep a NIC driver from being replaced (openshift-docs PR 91003), and those that networks need.
    *("ib_iser", "ib_isert", "ib_srp", "ib_srpt", "nvme_rdma", "nvmet_rdma", "rpcrdma", "xprtrdma", "svcrdma"),
    *("macvlan", "ipvlan", "vfio_pci"),
)
"""The modules that a report lists, if they are there; at most 64."""
_PAGES: Final = "sys/kernel/mm/hugepages/hugepages-2048kB"
_MOST_PAGES: Final = 2**40
_MOST_BYTES: Final = 2**60


def read_modules(tree: Tree) -> tuple[str, ...] | None:
    """Return those of MODULES that are loaded or built into the kernel; None where nobody tells.

    What is built in shows in /sys/module, unless it has no parameters.
    """
    text = tree.read("proc/modules")
    present = tree.list("sys/module")
    if text is None and not present:
        return None
    loaded = {line.partition(" ")[0] for line in (text or "").splitlines()} | set(present or [])
    return tuple(sorted(loaded & set(MODULES)))


def read_memlock(tree: Tree) -> tuple[int | None, int | None]:
    """Return the soft and the hard limit of locked memory of this process in bytes, -1 for unlimited.

    A container inherits it from the container runtime, so containers of the same runtime and user have the same, unless
    they have the capability IPC_LOCK.
    """
    text = tree.read("proc/self/limits")
    if text is None:
        return None, None
    found = re.search(r"^Max locked memory +(unlimited|[0-9]{1,20}) +(unlimited|[0-9]{1,20})\b", text, re.MULTILINE)
    if found is None:
        tree.note("/proc/self/limits", "there is no line of locked memory")
        return None, None
    soft, hard = (-1 if word == "unlimited" else min(int(word), _MOST_BYTES) for word in found.groups())
    return soft, hard


def read_huge_pages(tree: Tree) -> tuple[int | None, int | None]:
    """Return how many huge pages of 2Mi the kernel has reserved, and how many of them are free."""
    total, free = (tree.read_number(f"{_PAGES}/{name}_hugepages", 0, _MOST_PAGES) for name in ("nr", "free"))
    if total is not None:
        return total, free
    text = tree.read("proc/meminfo") or ""
    fields = dict(re.findall(r"^(HugePages_Total|HugePages_Free|Hugepagesize): +([0-9]{1,12})", text, re.MULTILINE))
    # The counts are of the default size alone.
    if fields.get("Hugepagesize") != "2048":
        return None, None
    known = (int(fields[name]) if name in fields else None for name in ("HugePages_Total", "HugePages_Free"))
    return next(known), next(known)
