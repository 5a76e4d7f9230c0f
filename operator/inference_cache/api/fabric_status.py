"""The status of InferenceCacheFabric: what exists of the fabric, on how many nodes, and who uses it."""

from typing import Annotated

from pydantic import Field

from .base import ApiModel
from .status import KEYED_BY_REASON, KEYED_BY_TYPE, MAX_EXAMPLES, Condition, Count, Generation, NodeReasonCount

_Text = Annotated[str, Field(max_length=253)]


class FabricNodes(ApiModel):
    """Nodes of the fabric."""

    selected: Count
    """Nodes that match spec.nodeSelector."""
    ready: Count
    """Selected nodes that advertise the resource and of which nothing speaks against RDMA."""
    faulty: (
        Annotated[list[NodeReasonCount], Field(max_length=MAX_EXAMPLES, json_schema_extra=KEYED_BY_REASON)] | None
    ) = None
    """Why the others are not."""


class FabricObject(ApiModel):
    """One object that the fabric consists of."""

    kind: Annotated[str, Field(max_length=63)]
    """Its kind."""
    namespace: Annotated[str, Field(max_length=63)] | None = None
    """Its namespace, if it has one."""
    name: _Text
    """Its name."""
    state: Annotated[str, Field(json_schema_extra={"enum": ["Present", "Missing", "Applied", "Conflict", "Faulty"]})]
    """Present: someone else has made it. Applied: the operator has. Missing: nobody has. Conflict: it belongs to someone else in part. Faulty: it is not as the fabric needs it."""
    reason: Annotated[str, Field(max_length=64)] | None = None
    """Reason where it is not as it should be."""


class InferenceCacheFabricStatus(ApiModel):
    """Observed state. Written by the operator alone, and only when it changes."""

    observed_generation: Generation | None = None
    """Generation of the spec that this status speaks of."""
    conditions: Annotated[list[Condition], Field(max_length=16, json_schema_extra=KEYED_BY_TYPE)] | None = None
    """Ready is the summary, Stalled says that someone must act, the rest name one cause each; readable by kstatus."""
    nodes: FabricNodes | None = None
    """Nodes of the fabric."""
    objects: (
        Annotated[list[FabricObject], Field(max_length=64, json_schema_extra={"x-kubernetes-list-type": "atomic"})]
        | None
    ) = None
    """Objects of the fabric, at most 64, those with trouble first."""
    deployments: Count | None = None
    """Deployments that refer to the fabric."""
    unverified: (
        Annotated[
            list[Annotated[str, Field(max_length=128)]],
            Field(max_length=16, json_schema_extra={"x-kubernetes-list-type": "atomic"}),
        ]
        | None
    ) = None
    """What cannot be proven from outside a pod with RDMA hardware."""
