"""The status of InferenceCacheDeployment v1alpha1: what was observed, bounded in size, readable by kstatus and Argo CD."""

from typing import Annotated, Final

from pydantic import Field

from .base import ApiModel

MAX_EXAMPLES: Final = 10

_KEYED_BY_TYPE: Final = {"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["type"]}
_KEYED_BY_REASON: Final = {"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["reason"]}

Count = Annotated[int, Field(ge=0, le=1_000_000)]
Generation = Annotated[int, Field(ge=0)]


class Condition(ApiModel):
    """One aspect of the deployment's state, as in metav1.Condition."""

    type: Annotated[str, Field(min_length=1, max_length=64)]
    """Name of the condition."""
    status: Annotated[str, Field(json_schema_extra={"enum": ["True", "False", "Unknown"]})]
    """True, False or Unknown."""
    reason: Annotated[str, Field(min_length=1, max_length=64, pattern="^[A-Z][A-Za-z0-9]*$")]
    """Stable identifier of the cause; docs/reference/reasons.md lists all with meaning and remedy."""
    message: Annotated[str, Field(max_length=1024)]
    """What is the case, where, and what to do next."""
    last_transition_time: Annotated[str, Field(max_length=40, json_schema_extra={"format": "date-time"})]
    """When status last changed."""
    observed_generation: Generation
    """Generation of the spec that the condition speaks of."""


class NodeReasonCount(ApiModel):
    """How many candidate nodes one reason rules out."""

    reason: Annotated[str, Field(min_length=1, max_length=64)]
    """Why the nodes are not eligible."""
    count: Count
    """How many nodes."""
    examples: Annotated[list[Annotated[str, Field(max_length=253)]], Field(max_length=3)]
    """A few of them."""


class NodeStatus(ApiModel):
    """Which nodes can run a replica."""

    candidates: Count
    """Nodes that match spec.nodes.selector and whose taints are tolerated."""
    eligible: Count
    """Candidates that meet every requirement."""
    ineligible: (
        Annotated[list[NodeReasonCount], Field(max_length=MAX_EXAMPLES, json_schema_extra=_KEYED_BY_REASON)] | None
    ) = None
    """Why the other candidates do not."""


class Rendered(ApiModel):
    """What the operator rendered for the engine pods. It is the decision, not a reading back from running processes."""

    engine_image: Annotated[str, Field(max_length=512)]
    """Image of engine and cache server."""
    vllm: Annotated[str, Field(max_length=32)]
    """vLLM version whose options were rendered."""
    lmcache: Annotated[str, Field(max_length=32)]
    """LMCache version whose options were rendered."""
    transport: Annotated[str, Field(max_length=16)]
    """How the object store is reached: TCP, or None without an object store tier."""
    tiers: Annotated[str, Field(max_length=64)]
    """Tiers from fast to slow, for instance 1200Gi+S3."""


class InferenceCacheDeploymentStatus(ApiModel):
    """Observed state. Written by the operator alone, and only when it changes."""

    observed_generation: Generation | None = None
    """Generation of the spec that this status speaks of."""
    conditions: Annotated[list[Condition], Field(max_length=16, json_schema_extra=_KEYED_BY_TYPE)] | None = None
    """Ready is the summary, Stalled says that someone must act, the rest name one cause each; readable by kstatus."""
    replicas: Count | None = None
    """Pods that exist."""
    ready_replicas: Count | None = None
    """Pods that answer as ready."""
    updated_replicas: Count | None = None
    """Pods that run the current specification."""
    selector: Annotated[str, Field(max_length=512)] | None = None
    """Label selector of the pods, for autoscalers."""
    cache_fingerprint: Annotated[str, Field(max_length=64)] | None = None
    """Layout fingerprint of the current specification; deployments with the same one share cached KV in a common bucket."""
    rendered: Rendered | None = None
    """What the operator rendered."""
    nodes: NodeStatus | None = None
    """Which nodes can run a replica."""
