"""Puts together what sources say of the network adapters of one node: by PCI address, the most trusted source first."""

from collections.abc import Iterable
from functools import lru_cache
from typing import Final

from .node_evidence import NIC, RANKED, NICSighting

_RANK: Final = {source: rank for rank, source in enumerate(RANKED)}


def merge_nics(sightings: Iterable[NICSighting]) -> tuple[NIC, ...]:
    """Return the adapters of a node, ordered by PCI address.

    Sightings without address (labels) are adapters of their own that come last: nobody knows which port they mean, so
    they complete no other adapter, and whoever takes the first answer takes theirs only where no other source has one.
    """
    ranked = sorted(sightings, key=lambda sighting: _RANK[sighting.source])
    by_address: dict[str, list[NICSighting]] = {}
    loose = []
    for sighting in ranked:
        if sighting.pci:
            by_address.setdefault(sighting.pci, []).append(sighting)
        else:
            loose.append(_stand_alone(sighting))
    return (*(NIC(tuple(by_address[pci])) for pci in sorted(by_address)), *loose)


# Thousands of nodes have the same labels.
@lru_cache(maxsize=128)
def _stand_alone(sighting: NICSighting) -> NIC:
    return NIC((sighting,))
