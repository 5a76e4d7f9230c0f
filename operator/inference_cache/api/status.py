"""The status of InferenceCacheDeployment v1alpha1: what was observed, bounded in size, readable by kstatus and Argo CD."""

from typing import Annotated, Final

from pydantic import Field

from .base import ApiModel

MAX_EXAMPLES: Final = 10

KEYED_BY_TYPE: Final = {"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["type"]}
KEYED_BY_REASON: Final = {"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["reason"]}

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
    rdma: Count | None = None
    """Eligible nodes that can reach the object store over RDMA; absent where nobody asks for RDMA."""
    without_rdma: (
        Annotated[list[NodeReasonCount], Field(max_length=MAX_EXAMPLES, json_schema_extra=KEYED_BY_REASON)] | None
    ) = None
    """Why the other eligible nodes cannot."""
    ineligible: (
        Annotated[list[NodeReasonCount], Field(max_length=MAX_EXAMPLES, json_schema_extra=KEYED_BY_REASON)] | None
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


class PodsOfTransport(ApiModel):
    """Pods that run over one transport."""

    transport: Annotated[str, Field(json_schema_extra={"enum": ["RDMA", "TCP", "None", "Unknown"]})]
    """RDMA and TCP as the pod's preflight decided; None without the object store tier; Unknown before it told."""
    count: Count
    """How many pods."""
    examples: Annotated[list[Annotated[str, Field(max_length=253)]], Field(max_length=3)]
    """A few of them."""


class PodAttachment(ApiModel):
    """What one pod got, as network-status and its preflight tell."""

    pod: Annotated[str, Field(max_length=253)]
    """Name of the pod."""
    interfaces: Annotated[list[Annotated[str, Field(max_length=128)]], Field(max_length=8)] | None = None
    """Secondary interfaces, each as NAME ADDRESS DEVICE."""
    devices: Annotated[list[Annotated[str, Field(max_length=128)]], Field(max_length=8)] | None = None
    """RDMA devices that the pod could open."""
    cause: Annotated[str, Field(max_length=64)] | None = None
    """Reason why it does not use RDMA."""


class TransportStatus(ApiModel):
    """How the object store is reached."""

    decision: Annotated[str, Field(json_schema_extra={"enum": ["RDMA", "TCP", "None"]})]
    """Which pods are rendered now: RDMA with devices and networks, TCP without, None without an object store tier."""
    effective: Annotated[str, Field(max_length=64)]
    """What runs, such as RDMA, or RDMA 3, TCP 1."""
    evidence: Annotated[str, Field(json_schema_extra={"enum": ["Proven", "Unverified", "None"]})]
    """Proven: every pod on RDMA has moved bytes over it in its preflight. Unverified: devices, links and addresses were checked, and no bytes were moved. None: no pod uses RDMA."""
    pods: (
        Annotated[
            list[PodsOfTransport],
            Field(
                max_length=4,
                json_schema_extra={"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["transport"]},
            ),
        ]
        | None
    ) = None
    """Pods by transport."""
    attachments: (
        Annotated[
            list[PodAttachment],
            Field(
                max_length=MAX_EXAMPLES,
                json_schema_extra={"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["pod"]},
            ),
        ]
        | None
    ) = None
    """What pods got, those with trouble first."""


Amount = Annotated[str, Field(max_length=20)]


class Sizing(ApiModel):
    """What the operator computed from the spec for each pod."""

    memory_tier: Amount
    """DRAM for KV, all GPUs together."""
    memory_tier_per_gpu: Amount
    """Share of one GPU in it."""
    pod_memory: Amount
    """Memory that a pod requests, huge pages not counted."""
    shared_memory: Amount
    """Size of /dev/shm."""
    huge_pages: Amount | None = None
    """Huge pages of 2Mi that a pod requests."""
    locked_memory: Amount
    """Memory that the processes pin; the container runtime's memlock limit must allow it."""
    in_flight_loads: Annotated[int, Field(ge=1, le=64)] | None = None
    """Look-ups that may load from the object store at a time."""
    termination_grace_seconds: Annotated[int, Field(ge=1, le=10_000)]
    """Time that a pod gets to end: deregister, drain, unregister, stop the cache server."""


class PercentRange(ApiModel):
    """A range in per cent: the worse and the better order of turns."""

    low: Annotated[int, Field(ge=0, le=100)]
    """With turns in lock step, where LRU evicts what is needed next."""
    high: Annotated[int, Field(ge=0, le=100)]
    """With turns in random order."""


_Figure = Annotated[str, Field(max_length=32)]
_Names = Annotated[
    list[Annotated[str, Field(max_length=64)]],
    Field(max_length=MAX_EXAMPLES, json_schema_extra={"x-kubernetes-list-type": "set"}),
]


class Capacity(ApiModel):
    """What the capacity plan predicts for spec.workload; a model, not a measurement. Absent figures are unknown. `icd plan` explains each."""

    bytes_per_token: Annotated[int, Field(ge=1)] | None = None
    """KV of one token as stored."""
    working_set: _Figure | None = None
    """KV of all conversations."""
    hbm_sessions: _Figure | None = None
    """Conversations of one replica that fit its HBM, of all that it has."""
    memory_fit_percent: Annotated[int, Field(ge=0, le=1_000_000)] | None = None
    """Configured size of the memory tier against one replica's working set."""
    memory_hit_percent: PercentRange | None = None
    """Tokens that hit in HBM or the memory tier from the second turn on."""
    break_even: _Figure | None = None
    """Rate of the link at which loading takes as long as computing."""
    link: _Figure | None = None
    """Rate that the way from the store can carry."""
    gain_ceiling: _Figure | None = None
    """Request rate with a perfect cache, over that without one."""
    gain: _Figure | None = None
    """Predicted range of the gain with the tiers as they are."""
    limit: _Figure | None = None
    """What to enlarge first."""
    findings: _Names | None = None
    """Reasons of the plan's findings."""
    unknown: _Names | None = None
    """Figures that the plan lacks."""


class CacheSharing(ApiModel):
    """Other deployments with the same layout fingerprint and bucket; they read each other's KV on purpose."""

    deployments: Count
    """How many others, in all namespaces."""
    examples: (
        Annotated[
            list[Annotated[str, Field(max_length=253)]],
            Field(max_length=MAX_EXAMPLES, json_schema_extra={"x-kubernetes-list-type": "set"}),
        ]
        | None
    ) = None
    """Those of the same namespace."""


class InferenceCacheDeploymentStatus(ApiModel):
    """Observed state. Written by the operator alone, and only when it changes."""

    observed_generation: Generation | None = None
    """Generation of the spec that this status speaks of."""
    conditions: Annotated[list[Condition], Field(max_length=16, json_schema_extra=KEYED_BY_TYPE)] | None = None
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
    sizing: Sizing | None = None
    """What was computed for each pod."""
    sharing: CacheSharing | None = None
    """Deployments that share this one's KV."""
    capacity: Capacity | None = None
    """What the capacity plan predicts."""
    nodes: NodeStatus | None = None
    """Which nodes can run a replica."""
    transport: TransportStatus | None = None
    """How the object store is reached."""
