"""NodeResourceTopology: what each NUMA zone of a node has, and has left; the one object that tells where devices lie."""

import sys
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from inference_cache.api.quantities import parse_allocatable

from .evidence_fields import read_list, read_text
from .node_evidence import Zone


@dataclass(frozen=True, slots=True)
class TopologyFacts:
    """The NUMA zones of a node."""

    node: str
    zones: tuple[Zone, ...]


def project_topology(body: dict[str, Any]) -> TopologyFacts:
    """Return the facts of a NodeResourceTopology, which has the name of its node.

    CPU and memory are left out: they change with every pod, and zones are asked for devices only.
    """
    zones = tuple(
        Zone(sys.intern(zone["name"]), _read(zone, "available"), _read(zone, "allocatable"))
        for zone in read_list(body.get("zones"))
        if zone.get("type") == "Node"
    )
    return TopologyFacts(sys.intern(body["metadata"]["name"]), zones)


def _read(zone: Mapping[str, Any], quantity: str) -> Mapping[str, int]:
    return {
        name: parse_allocatable(str(resource[quantity]))
        for resource in read_list(zone.get("resources"))
        if (name := read_text(resource.get("name"))) and "/" in name and quantity in resource
    }
