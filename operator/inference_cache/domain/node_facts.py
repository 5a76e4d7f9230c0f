"""What is known of a node: a projection of the Node object that is small enough to keep thousands of."""

from dataclasses import dataclass
from typing import Any

from inference_cache.api.quantities import parse_allocatable, parse_allocatable_milli

from . import names


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


def project_node(node: dict[str, Any]) -> NodeFacts:
    """Return the facts of a Node object."""
    metadata, spec, status = node["metadata"], node.get("spec", {}), node.get("status", {})
    allocatable = status.get("allocatable", {})
    gpus = allocatable.get(names.GPU_RESOURCE)
    conditions = {item["type"]: item["status"] for item in status.get("conditions", [])}
    return NodeFacts(
        name=metadata["name"],
        ready=conditions.get("Ready") == "True",
        unschedulable=bool(spec.get("unschedulable")),
        labels=dict(metadata.get("labels", {})),
        taints=tuple(
            Taint(taint["key"], taint.get("value", ""), taint["effect"])
            for taint in spec.get("taints", [])
            if taint["effect"] in {"NoSchedule", "NoExecute"}
        ),
        gpus=None if gpus is None else parse_allocatable(gpus),
        memory=parse_allocatable(allocatable.get("memory", "0")),
        milli_cpus=parse_allocatable_milli(allocatable.get("cpu", "0")),
        huge_pages=parse_allocatable(allocatable.get(names.HUGE_PAGES_RESOURCE, "0")),
    )
