"""The model of a deployment: its name, where the weights come from, and what may be declared about its shape."""

import re
from enum import StrEnum
from typing import Annotated, Final

from pydantic import Field
from pydantic.alias_generators import to_camel

from .base import LABEL_VALUE, ApiModel, ObjectName, Rule, count_set, match_rule, ruled
from .references import SecretKeyRef

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
    message="must be OWNER/NAME as on the model hub; write it without URL and revision",
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


_STATE_NAME = match_rule(
    LABEL_VALUE,
    (
        "must be a name of your choice for the files as they are now: letters, digits, '-', '_' and '.', beginning and "
        "ending with a letter or digit; write for instance weights-2026-01-31"
    ),
)


class PersistentVolumeClaimSource(ApiModel):
    """Weights that are on a volume already; mounted read-only."""

    claim_name: ObjectName
    """Name of a PersistentVolumeClaim in the deployment's namespace that all replicas can mount."""
    path: Annotated[str, *ruled(_RELATIVE_PATH, min_length=1, max_length=512)] | None = None
    """Folder of the weights within the volume. Without it: the root of the volume."""
    revision: Annotated[str, *ruled(_STATE_NAME, min_length=1, max_length=63)]
    """Name for this state of the files. It is part of the layout fingerprint: change it whenever the files change, or engines will read KV that other weights wrote."""


_IMAGE_REFERENCE_PATTERN: Final = "^[a-z0-9][a-zA-Z0-9._:/-]*@sha256:[0-9a-f]{64}$"
_DIGEST = match_rule(
    _IMAGE_REFERENCE_PATTERN,
    (
        "must name the image by digest, NAME@sha256:DIGEST: tags move, and two sets of weights would share one cache key; "
        "write the digest that crane digest or skopeo inspect prints"
    ),
)


class PullPolicy(StrEnum):
    """When the image of the weights is pulled."""

    IF_NOT_PRESENT = "IfNotPresent"
    ALWAYS = "Always"
    NEVER = "Never"


class ImageSource(ApiModel):
    """Weights in an OCI image or artifact, mounted read-only as image volume (Kubernetes 1.33 or later)."""

    reference: Annotated[str, *ruled(_DIGEST, min_length=1, max_length=512)]
    """Image by digest. The digest is part of the layout fingerprint."""
    path: Annotated[str, *ruled(_RELATIVE_PATH, min_length=1, max_length=512)] | None = None
    """Folder of the weights within the image. Without it: the root of the image."""
    pull_policy: PullPolicy | None = None
    """Without it: IfNotPresent."""


_SOURCES: Final = ("hugging_face", "persistent_volume_claim", "image")


class ModelSource(ApiModel):
    """Where the weights come from; exactly one of the fields."""

    rules = (
        Rule(
            cel="(has(self.huggingFace) ? 1 : 0) + (has(self.persistentVolumeClaim) ? 1 : 0) + (has(self.image) ? 1 : 0) == 1",
            message="needs exactly one of huggingFace, persistentVolumeClaim, image; keep one and remove the others",
            holds=lambda m: count_set(m, *_SOURCES) == 1,
            got_cel="has(self.huggingFace) || has(self.persistentVolumeClaim) || has(self.image) ? 'several' : 'none'",
            got=lambda m: " and ".join(to_camel(name) for name in _SOURCES if getattr(m, name) is not None) or "none",
        ),
    )

    hugging_face: HuggingFaceSource | None = None
    """Weights from the Hugging Face hub."""
    persistent_volume_claim: PersistentVolumeClaimSource | None = None
    """Weights from a volume."""
    image: ImageSource | None = None
    """Weights from an OCI image."""


class WeightDtype(StrEnum):
    """Data type of the weights, and so of the KV cache under kvCacheDtype Auto."""

    BFLOAT16 = "BFloat16"
    FLOAT16 = "Float16"
    FLOAT32 = "Float32"


class LatentAttention(ApiModel):
    """Multi-head latent attention (DeepSeek V2 and later), whose KV cache holds one compressed vector per token."""

    kv_lora_rank: Annotated[int, Field(ge=1, le=65536)]
    """kv_lora_rank of config.json."""
    rope_head_dim: Annotated[int, Field(ge=1, le=4096)]
    """qk_rope_head_dim of config.json."""


class AttentionLayers(StrEnum):
    """Whether every layer keeps keys and values of the whole context."""

    FULL = "Full"
    HYBRID = "Hybrid"


class Architecture(ApiModel):
    """What config.json says about the model's shape. It describes the weights and does not change them: sizes and the capacity plan use it, the layout fingerprint does not."""

    layers: Annotated[int, Field(ge=1, le=1000)]
    """num_hidden_layers."""
    attention_heads: Annotated[int, Field(ge=1, le=1024)]
    """num_attention_heads."""
    kv_heads: Annotated[int, Field(ge=1, le=1024)]
    """num_key_value_heads; the number of attention heads where config.json has none."""
    head_dim: Annotated[int, Field(ge=1, le=4096)]
    """head_dim, or hidden_size / num_attention_heads."""
    latent_attention: LatentAttention | None = None
    """Set for models with multi-head latent attention."""
    attention_layers: AttentionLayers | None = None
    """Hybrid for models with sliding-window, linear or state-space layers: their KV size is not derived, and they get no object store tier (LMCache#4492). Without it: Full."""
    weight_dtype: WeightDtype | None = None
    """torch_dtype. Without it: BFloat16."""
    parameters: Annotated[int, Field(ge=1_000_000, le=100_000_000_000_000)] | None = None
    """Number of parameters. Without it, prefill speed is Unknown in the capacity plan."""
    active_parameters: Annotated[int, Field(ge=1_000_000, le=100_000_000_000_000)] | None = None
    """Parameters that one token uses, for mixtures of experts. Without it: parameters."""


_SERVED_NAME = Rule(
    cel="self.matches('^[A-Za-z0-9]([A-Za-z0-9._/-]*[A-Za-z0-9])?$')",
    message="must consist of letters, digits, '.', '_', '-' and '/', and begin and end with a letter or digit; write for instance llama-3.1-70b",
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
    architecture: Architecture | None = None
    """Shape of the model, from its config.json. Without it, sizes that depend on it are Unknown, never guessed."""
