"""The fields of InferenceCacheDeployment v1alpha1 and the rules they obey.

A field is here only if it has an effect. Defaults live in code (`domain/`), not in the schema, so that a stored object
holds exactly what its author wrote and a better default reaches it with the next operator version.
"""

import re
from enum import StrEnum
from typing import Annotated, Final
from urllib.parse import urlsplit

from pydantic import Field

from .base import DNS_LABEL, DNS_SUBDOMAIN, ApiModel, ObjectName, Rule, count_set, ruled
from .quantities import MemorySize

GROUP: Final = "inferencecache.io"
VERSION: Final = "v1alpha1"
API_VERSION: Final = f"{GROUP}/{VERSION}"
KIND: Final = "InferenceCacheDeployment"
PLURAL: Final = "inferencecachedeployments"

NAME_RULE: Final = Rule(
    cel="self.metadata.name.matches('^[a-z]([-a-z0-9]*[a-z0-9])?$') && self.metadata.name.size() <= 45",
    message=(
        "metadata.name becomes Service and StatefulSet names: use at most 45 lower case letters, digits and '-', "
        "and begin with a letter"
    ),
    holds=lambda name: bool(re.fullmatch(r"^[a-z]([-a-z0-9]*[a-z0-9])?$", name)) and len(name) <= 45,
    got_cel="self.metadata.name",
    got=lambda name: name,
)


_DATA_KEY_PATTERN: Final = "^[-._a-zA-Z0-9]+$"
_SECRET_KEY = Rule(
    cel=f"self.matches('{_DATA_KEY_PATTERN}')",
    message="must be a key of a Secret: letters, digits, '-', '_' and '.'; kubectl describe secret lists them",
    holds=lambda text: bool(re.fullmatch(_DATA_KEY_PATTERN, text)),
)


class SecretKeyRef(ApiModel):
    """One key of a Secret in the deployment's own namespace."""

    name: ObjectName
    """Name of the Secret."""
    key: Annotated[str, *ruled(_SECRET_KEY, min_length=1, max_length=253)] = "token"
    """Key within the Secret. Without it: token."""


class SecretRef(ApiModel):
    """A Secret in the deployment's own namespace."""

    name: ObjectName
    """Name of the Secret."""


_COMMIT = Rule(
    cel="self.matches('^[0-9a-f]{40}$')",
    message=(
        "must be a full commit hash: branches and tags move, and two sets of weights would share one cache key; "
        "write the 40 hexadecimal digits that the model page shows under 'Files and versions'"
    ),
    holds=lambda text: bool(re.fullmatch(r"^[0-9a-f]{40}$", text)),
)
_REPOSITORY = Rule(
    cel="self.matches('^[A-Za-z0-9][A-Za-z0-9._-]*/[A-Za-z0-9][A-Za-z0-9._-]*$')",
    message="must be OWNER/NAME as on the model hub, without a URL or a revision",
    holds=lambda text: bool(re.fullmatch(r"^[A-Za-z0-9][A-Za-z0-9._-]*/[A-Za-z0-9][A-Za-z0-9._-]*$", text)),
)
_RELATIVE_PATH = Rule(
    cel="self.matches('^[A-Za-z0-9_.-]+(/[A-Za-z0-9_.-]+)*$') && !self.split('/').exists(part, part == '..')",
    message="must be a relative path without '..', a leading or a trailing '/'; leave it out for the root of the volume",
    holds=lambda text: (
        bool(re.fullmatch(r"^[A-Za-z0-9_.-]+(/[A-Za-z0-9_.-]+)*$", text)) and ".." not in text.split("/")
    ),
)


class HuggingFaceSource(ApiModel):
    """Weights fetched from the Hugging Face hub by an init container, pinned to one commit."""

    repository: Annotated[str, *ruled(_REPOSITORY, min_length=3, max_length=200)]
    """Model repository, OWNER/NAME."""
    revision: Annotated[str, *ruled(_COMMIT, min_length=1, max_length=64)]
    """Commit of the repository. It is part of the layout fingerprint, so another revision never reads foreign KV."""
    token_secret_ref: SecretKeyRef | None = None
    """Secret key that holds an access token, for gated and private repositories."""


_LABEL_VALUE_PATTERN: Final = "^[A-Za-z0-9]([-A-Za-z0-9_.]*[A-Za-z0-9])?$"
_STATE_NAME = Rule(
    cel=f"self.matches('{_LABEL_VALUE_PATTERN}')",
    message=(
        "must be a name of your choice for the files as they are now: letters, digits, '-', '_' and '.', beginning and "
        "ending with a letter or digit, for instance 2026-01-31"
    ),
    holds=lambda text: bool(re.fullmatch(_LABEL_VALUE_PATTERN, text)),
)


class PersistentVolumeClaimSource(ApiModel):
    """Weights that are on a volume already; mounted read-only."""

    claim_name: ObjectName
    """Name of a PersistentVolumeClaim in the deployment's namespace that all replicas can mount."""
    path: Annotated[str, *ruled(_RELATIVE_PATH, min_length=1, max_length=512)] | None = None
    """Folder of the weights within the volume. Without it: the root of the volume."""
    revision: Annotated[str, *ruled(_STATE_NAME, min_length=1, max_length=63)]
    """Name for this state of the files. It is part of the layout fingerprint: change it whenever the files change, or engines will read KV that other weights wrote."""


class ModelSource(ApiModel):
    """Where the weights come from; exactly one of the fields."""

    rules = (
        Rule(
            cel="(has(self.huggingFace) ? 1 : 0) + (has(self.persistentVolumeClaim) ? 1 : 0) == 1",
            message="needs exactly one of huggingFace, persistentVolumeClaim; keep one and remove the other",
            holds=lambda m: count_set(m, "hugging_face", "persistent_volume_claim") == 1,
            got_cel="has(self.huggingFace) ? 'both' : 'none'",
            got=lambda m: "both" if m.hugging_face is not None else "none",
        ),
    )

    hugging_face: HuggingFaceSource | None = None
    """Weights from the Hugging Face hub."""
    persistent_volume_claim: PersistentVolumeClaimSource | None = None
    """Weights from a volume."""


_SERVED_NAME = Rule(
    cel="self.matches('^[A-Za-z0-9]([A-Za-z0-9._/-]*[A-Za-z0-9])?$')",
    message="must consist of letters, digits, '.', '_', '-' and '/', and begin and end with a letter or digit",
    holds=lambda text: bool(re.fullmatch(r"^[A-Za-z0-9]([A-Za-z0-9._/-]*[A-Za-z0-9])?$", text)),
)


class Model(ApiModel):
    """The model to serve."""

    name: Annotated[str, *ruled(_SERVED_NAME, min_length=1, max_length=128)]
    """Name under which clients ask for the model (--served-model-name). Changing it restarts pods and keeps the cache."""
    source: ModelSource
    """Where the weights come from."""
    max_model_len: Annotated[int, Field(ge=256, le=10_000_000)]
    """Longest context in tokens, prompt and answer together (--max-model-len)."""


class KVCacheDtype(StrEnum):
    """Data type of the KV cache in HBM and in every tier below."""

    AUTO = "Auto"
    FP8_E4M3 = "FP8E4M3"
    FP8_E5M2 = "FP8E5M2"


_IMAGE = Rule(
    cel="self.matches('^[a-z0-9][a-zA-Z0-9._:/@-]*$') && (self.contains('@sha256:') || self.matches(':[A-Za-z0-9_][A-Za-z0-9_.-]*$')) && !self.endsWith(':latest')",
    message="must name a fixed version: NAME:TAG (not latest) or NAME@sha256:DIGEST",
    holds=lambda text: (
        bool(re.fullmatch(r"^[a-z0-9][a-zA-Z0-9._:/@-]*$", text))
        and ("@sha256:" in text or bool(re.search(r":[A-Za-z0-9_][A-Za-z0-9_.-]*$", text)))
        and not text.endswith(":latest")
    ),
)


class Engine(ApiModel):
    """The vLLM process of each replica."""

    tensor_parallel_size: Annotated[int, Field(ge=1, le=16)] | None = None
    """GPUs per replica (--tensor-parallel-size); a replica is one pod on one node. Without it: 1. Part of the layout fingerprint."""
    gpu_memory_utilization_percent: Annotated[int, Field(ge=10, le=95)] | None = None
    """Share of each GPU's memory that the engine takes (--gpu-memory-utilization). Without it: 88, which leaves room for the cache server's own GPU context."""
    kv_cache_dtype: KVCacheDtype | None = None
    """KV cache data type (--kv-cache-dtype). Without it: Auto, the type of the weights. Part of the layout fingerprint."""
    image: Annotated[str, *ruled(_IMAGE, min_length=1, max_length=512)] | None = None
    """Image with vLLM, LMCache and boto3, used for the engine and the cache server. Without it: the operator's default for its version pair."""


class MemoryTier(ApiModel):
    """KV cache in the DRAM of each pod's node."""

    size: MemorySize
    """DRAM for KV per pod (--l1-size-gb). The pod requests this much memory and a little more."""


_BUCKET = Rule(
    cel="self.matches('^[a-z0-9]([-a-z0-9]*[a-z0-9])?$') && self.size() >= 3",
    message=(
        "must be a bucket name of 3 to 63 lower case letters, digits and '-': it becomes one label of the host name, "
        "so dots would break DNS and TLS wildcards"
    ),
    holds=lambda text: bool(re.fullmatch(r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$", text)) and len(text) >= 3,
)
_ENDPOINT_PATTERN: Final = "^https?://[a-z0-9]([-a-z0-9]*[a-z0-9])?([.][a-z0-9]([-a-z0-9]*[a-z0-9])?)*(:[1-9][0-9]{0,3}|:[1-5][0-9]{4}|:6[0-4][0-9]{3}|:65[0-4][0-9]{2}|:655[0-2][0-9]|:6553[0-5])?$"
_ENDPOINT = Rule(
    cel=f"self.matches('{_ENDPOINT_PATTERN}')",
    message=(
        "must be http://HOST[:PORT] or https://HOST[:PORT] without bucket, path or trailing '/': "
        "the cache server accepts other forms at start and then fails every request"
    ),
    holds=lambda text: bool(re.fullmatch(_ENDPOINT_PATTERN, text)),
)
_NOT_AN_ADDRESS = Rule(
    # CEL's own url() and isIP() exceed the cost that the API server grants to a rule on a list item.
    cel="!self.matches('^https?://[0-9.]+(:[0-9]+)?$')",
    message="must have a host name, not an IP address: the bucket name becomes part of the host name",
    holds=lambda text: not re.fullmatch(r"^[0-9.]+$", urlsplit(text).hostname or ""),
)


class Bucket(ApiModel):
    """An existing bucket."""

    name: Annotated[str, *ruled(_BUCKET, min_length=1, max_length=63)]
    """Name of the bucket."""


class ObjectStoreCredentials(ApiModel):
    """How pods and the operator sign requests."""

    secret_ref: SecretRef
    """Secret with the keys AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, in the deployment's namespace."""


_REGION_PATTERN: Final = "^[a-z]([-a-z0-9]*[a-z0-9])?$"
_REGION = Rule(
    cel=f"self.matches('{_REGION_PATTERN}')",
    message="must be a region's name such as us-east-1, which most stores without regions accept: lower case letters, digits and '-'",
    holds=lambda text: bool(re.fullmatch(_REGION_PATTERN, text)),
)


class ObjectStoreTier(ApiModel):
    """KV cache in an S3 bucket that all replicas share, addressed as BUCKET.HOST (virtual-hosted style)."""

    rules = (
        Rule(
            cel="!self.endpoint.matches('^https?://' + self.bucket.name + '[.]')",
            message="endpoint must not contain the bucket: the operator puts it in front of the host name; write only the host",
            holds=lambda m: not re.match(f"^https?://{re.escape(m.bucket.name)}[.]", m.endpoint),
            got_cel="self.endpoint + ' with bucket ' + self.bucket.name",
            got=lambda m: f"{m.endpoint} with bucket {m.bucket.name}",
            path=".endpoint",
        ),
    )

    endpoint: Annotated[str, *ruled(_ENDPOINT, _NOT_AN_ADDRESS, min_length=1, max_length=253)]
    """URL of the S3 service. http:// turns TLS off."""
    region: Annotated[str, *ruled(_REGION, min_length=1, max_length=63)]
    """Region that requests are signed for; us-east-1 for most stores that have none."""
    bucket: Bucket
    """The bucket."""
    credentials: ObjectStoreCredentials
    """Credentials for the bucket."""


class CacheTier(ApiModel):
    """One tier; exactly one of the fields."""

    rules = (
        Rule(
            cel="(has(self.memory) ? 1 : 0) + (has(self.objectStore) ? 1 : 0) == 1",
            message="a tier needs exactly one of memory, objectStore; write one list entry for each tier",
            holds=lambda m: count_set(m, "memory", "object_store") == 1,
            got_cel="has(self.memory) ? 'both' : 'none'",
            got=lambda m: "both" if m.memory is not None else "none",
        ),
    )

    memory: MemoryTier | None = None
    """KV cache in DRAM."""
    object_store: ObjectStoreTier | None = None
    """KV cache in an S3 bucket."""


_CHUNK = Rule(
    cel="self % 16 == 0",
    message="must be a multiple of 16, the engine's block size; 256 suits most models",
    holds=lambda tokens: tokens % 16 == 0,
)


def _count_memory(tiers: list[CacheTier]) -> int:
    return sum(tier.memory is not None for tier in tiers)


_MEMORY_FIRST = Rule(
    cel="has(self[0].memory) && self.filter(t, has(t.memory)).size() == 1",
    message=(
        "must begin with the one memory tier, through which every KV chunk passes on its way to lower tiers; "
        "move memory to the first place and keep a single one"
    ),
    holds=lambda tiers: tiers[0].memory is not None and _count_memory(tiers) == 1,
    got_cel="self.exists(t, has(t.memory)) ? (self.all(t, has(t.memory)) ? 'only memory' : 'memory after objectStore') : 'no memory'",
    got=lambda tiers: (
        ("only memory" if _count_memory(tiers) == len(tiers) else "memory after objectStore")
        if _count_memory(tiers)
        else "no memory"
    ),
)


class Cache(ApiModel):
    """The KV cache below HBM."""

    chunk_tokens: Annotated[int, *ruled(_CHUNK, ge=16, le=4096)] | None = None
    """Tokens per cached chunk (--chunk-size). Without it: 256. Part of the layout fingerprint."""
    tiers: Annotated[list[CacheTier], *ruled(_MEMORY_FIRST, min_length=1, max_length=2)]
    """Tiers from fast to slow: memory, then optionally objectStore."""


class TolerationOperator(StrEnum):
    """How a toleration matches a taint."""

    EQUAL = "Equal"
    EXISTS = "Exists"


class TaintEffect(StrEnum):
    """Effect of the taint that is tolerated."""

    NO_SCHEDULE = "NoSchedule"
    PREFER_NO_SCHEDULE = "PreferNoSchedule"
    NO_EXECUTE = "NoExecute"


_LABEL_KEY_PATTERN: Final = "^([a-z0-9]([-a-z0-9]*[a-z0-9])?([.][a-z0-9]([-a-z0-9]*[a-z0-9])?)*/)?[A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?$"
_LABEL_KEY = Rule(
    cel=f"self.matches('{_LABEL_KEY_PATTERN}') && self.indexOf('/') <= 253",
    message="must be a key as labels and taints have it, [DOMAIN/]NAME, with letters, digits, '-', '_' and '.' in NAME",
    holds=lambda text: bool(re.fullmatch(_LABEL_KEY_PATTERN, text)) and text.find("/") <= 253,
)
_LABEL_VALUE = Rule(
    cel=f"self == '' || self.matches('{_LABEL_VALUE_PATTERN}')",
    message="must be a value as labels and taints have it: letters, digits, '-', '_' and '.', beginning and ending with a letter or digit",
    holds=lambda text: text == "" or bool(re.fullmatch(_LABEL_VALUE_PATTERN, text)),
)


class Toleration(ApiModel):
    """A toleration of the engine pods, as in a PodSpec."""

    rules = (
        Rule(
            cel="!(has(self.value) && has(self.operator) && self.operator == 'Exists')",
            message="value must be left out with operator Exists; remove value, or write operator Equal",
            holds=lambda m: not (m.value is not None and m.operator is TolerationOperator.EXISTS),
            got_cel="'value ' + self.value",
            got=lambda m: f"value {m.value}",
        ),
        Rule(
            cel="has(self.key) || (has(self.operator) && self.operator == 'Exists')",
            message="a toleration without key must have operator Exists; name the taint's key",
            holds=lambda m: m.key is not None or m.operator is TolerationOperator.EXISTS,
            got_cel="has(self.operator) ? self.operator : 'no operator'",
            got=lambda m: m.operator or "no operator",
        ),
    )

    key: Annotated[str, *ruled(_LABEL_KEY, min_length=1, max_length=317)] | None = None
    """Key of the taint. Without it, with operator Exists: every taint."""
    operator: TolerationOperator | None = None
    """Without it: Equal."""
    value: Annotated[str, *ruled(_LABEL_VALUE, max_length=63)] | None = None
    """Value of the taint, with operator Equal."""
    effect: TaintEffect | None = None
    """Effect of the taint. Without it: every effect."""


_GPU_PRODUCT = Rule(
    cel=f"self.matches('{_LABEL_VALUE_PATTERN}')",
    message=(
        "must be a GPU family such as H200, or a value of the label nvidia.com/gpu.product, which has no blanks, such as "
        "NVIDIA-H200; kubectl get nodes -L nvidia.com/gpu.product shows them"
    ),
    holds=lambda text: bool(re.fullmatch(_LABEL_VALUE_PATTERN, text)),
)
GPUProduct = Annotated[str, *ruled(_GPU_PRODUCT, min_length=1, max_length=63)]


class GPURequirements(ApiModel):
    """What the GPUs of a node must be."""

    products: Annotated[
        list[GPUProduct], Field(min_length=1, max_length=16, json_schema_extra={"x-kubernetes-list-type": "set"})
    ]
    """Accepted GPU models: a family that the operator knows (H100, H200, B200, ...; docs/reference/gpu-products.md) or an exact value of the label nvidia.com/gpu.product."""


class NodeRequirements(ApiModel):
    """What a node must have to be eligible."""

    gpu: GPURequirements | None = None
    """GPU requirements. The count comes from engine.tensorParallelSize."""


def _list_bad_keys(labels: dict[str, str]) -> list[str]:
    return [key for key in labels if not re.fullmatch(_LABEL_KEY_PATTERN, key) or key.find("/") > 253]


def _list_bad_values(labels: dict[str, str]) -> list[str]:
    return [value for value in labels.values() if value and not re.fullmatch(_LABEL_VALUE_PATTERN, value)]


_LABEL_KEYS = Rule(
    cel=f"self.all(key, key.matches('{_LABEL_KEY_PATTERN}') && key.indexOf('/') <= 253)",
    message="must have keys as labels have them, [DOMAIN/]NAME, with letters, digits, '-', '_' and '.' in NAME",
    holds=lambda labels: not _list_bad_keys(labels),
    got_cel=f"self.filter(key, !(key.matches('{_LABEL_KEY_PATTERN}') && key.indexOf('/') <= 253))[0]",
    got=lambda labels: _list_bad_keys(labels)[0],
)
_LABEL_VALUES = Rule(
    cel=f"self.all(key, self[key] == '' || self[key].matches('{_LABEL_VALUE_PATTERN}'))",
    message="must have values as labels have them: letters, digits, '-', '_' and '.', beginning and ending with a letter or digit",
    holds=lambda labels: not _list_bad_values(labels),
    got_cel=f"self[self.filter(key, self[key] != '' && !self[key].matches('{_LABEL_VALUE_PATTERN}'))[0]]",
    got=lambda labels: _list_bad_values(labels)[0],
)
LabelValue = Annotated[str, Field(max_length=63)]


class Nodes(ApiModel):
    """On which nodes engine pods may run."""

    selector: Annotated[dict[str, LabelValue], *ruled(_LABEL_KEYS, _LABEL_VALUES, max_length=16)] | None = None
    """Labels that a node must carry."""
    tolerations: (
        Annotated[list[Toleration], Field(max_length=16, json_schema_extra={"x-kubernetes-list-type": "atomic"})] | None
    ) = None
    """Taints that engine pods tolerate."""
    requirements: NodeRequirements | None = None
    """Requirements that are checked before any pod is created."""


class Rollout(ApiModel):
    """How pods are replaced when their specification changes."""

    max_unavailable: Annotated[int, Field(ge=1, le=100)] | None = None
    """Replicas that may be unavailable at a time, for rollouts and for voluntary evictions. Without it: 1."""
    drain_seconds: Annotated[int, Field(ge=1, le=3600)] | None = None
    """Seconds that a stopping engine may spend on requests in flight (--shutdown-timeout). Without it: 120."""


class InferenceCacheDeploymentSpec(ApiModel):
    """One model served by a number of engine pods with a tiered KV cache."""

    model: Model
    """The model to serve."""
    replicas: Annotated[int, Field(ge=0, le=1000)] | None = None
    """Engine pods. Without it: 1. Leave it out where an autoscaler owns the scale subresource."""
    engine: Engine | None = None
    """The vLLM process."""
    cache: Cache
    """The KV cache below HBM."""
    nodes: Nodes | None = None
    """Placement."""
    rollout: Rollout | None = None
    """Replacement of pods."""


__all__ = [
    "API_VERSION",
    "DNS_LABEL",
    "DNS_SUBDOMAIN",
    "GROUP",
    "KIND",
    "NAME_RULE",
    "PLURAL",
    "VERSION",
    "InferenceCacheDeploymentSpec",
]
