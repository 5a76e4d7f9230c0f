"""What is known of a node: a projection of the Node object that is small enough to keep thousands of.

All labels are kept, as a spec may select by any of them; annotations, images, conditions and heartbeats are not.
"""

import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from inference_cache.api.quantities import parse_allocatable, parse_allocatable_milli

from . import names

# Node Feature Discovery notes here which labels it owns.
_NFD_ANNOTATION: Final = "nfd.node.kubernetes.io/feature-labels"


@dataclass(frozen=True, slots=True)
class Taint:
    """A taint that keeps pods away."""

    key: str
    value: str
    effect: str


@dataclass(frozen=True, slots=True)
class NodeFacts:
    """One node.

    Attributes:
        gpus: Allocatable GPUs, or None where the resource is not advertised at all: those are different faults.
        memory: Allocatable memory in bytes.
        milli_cpus: Allocatable CPU in thousandths.
        huge_pages: Allocatable huge pages of 2Mi in bytes.
        kernel: Kernel version; empty where the node does not tell.
        resources: Allocatable extended resources beside GPUs, by name. One that is not advertised is absent, which is
            another fault than 0.
        features_published: Whether Node Feature Discovery has run on the node, so that a feature label that is missing
            means that the node has not got the feature.
    """

    name: str
    ready: bool
    unschedulable: bool
    labels: dict[str, str]
    taints: tuple[Taint, ...]
    gpus: int | None
    memory: int
    milli_cpus: int = 0
    huge_pages: int = 0
    uid: str = ""
    kernel: str = ""
    resources: Mapping[str, int] = field(default_factory=dict)
    features_published: bool = False


def project_node(node: dict[str, Any]) -> NodeFacts:
    """Return the facts of a Node object."""
    metadata, spec, status = node["metadata"], node.get("spec", {}), node.get("status", {})
    allocatable = status.get("allocatable", {})
    gpus = allocatable.get(names.GPU_RESOURCE)
    conditions = {item["type"]: item["status"] for item in status.get("conditions", [])}
    return NodeFacts(
        name=sys.intern(metadata["name"]),
        ready=conditions.get("Ready") == "True",
        unschedulable=bool(spec.get("unschedulable")),
        labels={sys.intern(key): sys.intern(value) for key, value in metadata.get("labels", {}).items()},
        taints=tuple(
            Taint(sys.intern(taint["key"]), sys.intern(taint.get("value", "")), sys.intern(taint["effect"]))
            for taint in spec.get("taints", [])
            if taint["effect"] in {"NoSchedule", "NoExecute"}
        ),
        gpus=None if gpus is None else parse_allocatable(gpus),
        memory=parse_allocatable(allocatable.get("memory", "0")),
        milli_cpus=parse_allocatable_milli(allocatable.get("cpu", "0")),
        huge_pages=parse_allocatable(allocatable.get(names.HUGE_PAGES_RESOURCE, "0")),
        uid=metadata.get("uid", ""),
        kernel=sys.intern(status.get("nodeInfo", {}).get("kernelVersion", "")),
        resources={
            sys.intern(name): parse_allocatable(amount)
            for name, amount in allocatable.items()
            if "/" in name and name != names.GPU_RESOURCE
        },
        features_published=_NFD_ANNOTATION in metadata.get("annotations", {}),
    )
