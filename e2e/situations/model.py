"""What a situation consists of, and the deployment that is put into it."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from .machines import Machine


@dataclass(frozen=True)
class Expected:
    """What the operator must say.

    Attributes:
        condition: Type of the condition.
        status: Its status.
        reason: Its reason.
        nodes: Reasons with counts in status.nodes.ineligible.
        without_rdma: The same in status.nodes.withoutRdma.
        decision: status.transport.decision, where it matters.
    """

    condition: str
    status: str
    reason: str
    nodes: Mapping[str, int] = field(default_factory=dict)
    without_rdma: Mapping[str, int] = field(default_factory=dict)
    decision: str = ""


@dataclass(frozen=True)
class Situation:
    """One state of nodes, networks and fabric, and a deployment in it.

    Attributes:
        name: What is the matter, in English.
        machines: The nodes.
        transport: spec.transport; None leaves it out.
        requirements: spec.nodes.requirements beside the GPU product.
        engine: Changes of spec.engine.
        store: Changes of the object store tier.
        memory: Size of the memory tier.
        fabric: spec of an InferenceCacheFabric with the situation's slug as name; None for none.
        networks: CNI configuration by name of the NetworkAttachmentDefinition, as text or as object, with the resource's
            annotation where there is one.
        namespace_labels: Labels of the namespace.
        others: Further objects.
    """

    name: str
    expected: Expected
    machines: tuple[Machine, ...] = (Machine(),)
    transport: Mapping[str, Any] | None = None
    requirements: Mapping[str, Any] = field(default_factory=dict)
    engine: Mapping[str, Any] = field(default_factory=dict)
    store: Mapping[str, Any] = field(default_factory=dict)
    memory: str = "2Gi"
    fabric: Mapping[str, Any] | None = None
    networks: Mapping[str, tuple[Any, str]] = field(default_factory=dict)
    namespace_labels: Mapping[str, str] = field(default_factory=dict)
    others: tuple[Mapping[str, Any], ...] = ()

    @property
    def slug(self) -> str:
        """Name that objects of the situation have."""
        return re.sub(r"[^a-z0-9]+", "-", self.name.lower()).strip("-")[:45].strip("-")

    @property
    def fabric_name(self) -> str:
        """Name of its fabric, which may be no longer than 30 characters."""
        return self.slug[:30].strip("-")


PLUGIN = {
    "client": "Plugin",
    "plugin": {"modulePath": "vendor.adapter", "className": "Adapter", "objectNames": "LMCacheS3"},
}
"""A client that can do RDMA with a memory tier of any size."""
