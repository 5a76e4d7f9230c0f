"""How fast KV can reach the GPUs, and which part of the way sets that."""

from dataclasses import dataclass
from enum import StrEnum

from .capacity_inputs import Link, Machine


class LinkPart(StrEnum):
    """A part of the way between the object store and the GPUs."""

    NETWORK = "network"
    STORAGE_READ = "storage-read"
    STORAGE_WRITE = "storage-write"
    PCIE = "pcie"
    DRAM_COPY = "dram-copy"


@dataclass(frozen=True)
class EffectiveLink:
    """Bytes per second of one replica, and the part that allows no more."""

    bytes_per_second: float
    limited_by: LinkPart


def find_read_link(link: Link, machine: Machine, pcie_copies: float) -> EffectiveLink | None:
    """Return the way from the object store into HBM, or None where neither network nor a measurement is known.

    Args:
        link: Network and measured rates.
        machine: The GPUs, through whose slots every byte passes.
        pcie_copies: How often a stored byte goes to HBM: once, or to every rank with latent attention.
    """
    parts = _network_parts(link)
    if link.read_bytes_per_second is not None:
        parts[LinkPart.STORAGE_READ] = link.read_bytes_per_second
    if not parts:
        return None
    return _narrowest(parts | _local_parts(machine, pcie_copies))


def find_local_link(machine: Machine, pcie_copies: float) -> EffectiveLink:
    """Return the way from DRAM into HBM."""
    return _narrowest(_local_parts(machine, pcie_copies))


def find_write_link(link: Link) -> EffectiveLink | None:
    """Return the way to the object store, or None where neither network nor a measurement is known."""
    parts = _network_parts(link)
    if link.write_bytes_per_second is not None:
        parts[LinkPart.STORAGE_WRITE] = link.write_bytes_per_second
    return _narrowest(parts) if parts else None


def _network_parts(link: Link) -> dict[LinkPart, float]:
    bits = link.network_bits_per_second
    return {} if bits is None else {LinkPart.NETWORK: link.efficiency * bits / 8}


def _local_parts(machine: Machine, pcie_copies: float) -> dict[LinkPart, float]:
    parts = {LinkPart.DRAM_COPY: machine.dram_copy_bytes_per_second}
    if machine.gpu is not None:
        parts[LinkPart.PCIE] = machine.gpus * machine.gpu.pcie_bytes_per_second / max(1.0, pcie_copies)
    return parts


def _narrowest(parts: dict[LinkPart, float]) -> EffectiveLink:
    part = min(parts, key=lambda name: parts[name])
    return EffectiveLink(parts[part], part)
