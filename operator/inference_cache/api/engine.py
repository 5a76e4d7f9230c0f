"""The vLLM process of each replica: parallelism, precision, versions, resources and the hatches."""

import re
from enum import StrEnum
from typing import Annotated, Final

from pydantic import Field

from .base import ApiModel, Rule, match_rule, ruled
from .hatches import ExtraArguments, ExtraEnvironment
from .resources import ResourceOverrides


class KVCacheDtype(StrEnum):
    """Data type of the KV cache in HBM and in every tier below."""

    AUTO = "Auto"
    FP8_E4M3 = "FP8E4M3"
    FP8_E5M2 = "FP8E5M2"


_IMAGE_PATTERN: Final = "^[a-z0-9][a-zA-Z0-9._:/-]*(:[A-Za-z0-9_][A-Za-z0-9_.-]*|@sha256:[0-9a-f]{64})$"
_IMAGE = Rule(
    cel=f"self.matches('{_IMAGE_PATTERN}') && !self.endsWith(':latest')",
    message="must name a fixed version, as latest moves; write NAME:TAG or NAME@sha256:DIGEST with the digest's 64 digits",
    holds=lambda text: bool(re.fullmatch(_IMAGE_PATTERN, text)) and not text.endswith(":latest"),
)


EngineImage = Annotated[str, *ruled(_IMAGE, min_length=1, max_length=512)]

# Without leading zeros, or 00.32.0 would be another version than 0.32.0 and not stand in the table of bad ones.
_NUMBER: Final = "(0|[1-9][0-9]*)"
VERSION_PATTERN: Final = f"^{_NUMBER}[.]{_NUMBER}[.]{_NUMBER}$"
_VERSION = match_rule(
    VERSION_PATTERN,
    "must be a release, MAJOR.MINOR.PATCH without a leading 'v', leading zeros or a suffix; write for instance 0.32.0",
)
Version = Annotated[str, *ruled(_VERSION, min_length=1, max_length=32)]


class EngineVersions(ApiModel):
    """The versions that an image holds. They choose options and image, and enter the layout fingerprint by their key format."""

    vllm: Version
    """vLLM version."""
    lmcache: Version
    """LMCache version."""


class Dtype(StrEnum):
    """Data type of weights and activations, and of the KV cache under kvCacheDtype Auto."""

    AUTO = "Auto"
    BFLOAT16 = "BFloat16"
    FLOAT16 = "Float16"


_BLOCK = Rule(
    cel="self in [16, 32, 64, 128]",
    message="must be 16, 32, 64 or 128; leave it out for the engine's own choice",
    holds=lambda tokens: tokens in {16, 32, 64, 128},
)


class Engine(ApiModel):
    """The vLLM process of each replica."""

    tensor_parallel_size: Annotated[int, Field(ge=1, le=16)] | None = None
    """GPUs per replica (--tensor-parallel-size); a replica is one pod on one node. Without it: 1. Part of the layout fingerprint."""
    gpu_memory_utilization_percent: Annotated[int, Field(ge=10, le=95)] | None = None
    """Share of each GPU's memory that the engine takes (--gpu-memory-utilization). Without it: 88, which leaves room for the cache server's own GPU context."""
    dtype: Dtype | None = None
    """Data type of weights and activations (--dtype). Without it: Auto, that of the weights. Part of the layout fingerprint: object keys of LMCache hold no type, and an engine with another one would read foreign bytes."""
    kv_cache_dtype: KVCacheDtype | None = None
    """KV cache data type (--kv-cache-dtype). Without it: Auto, the type of the weights. Part of the layout fingerprint."""
    block_tokens: Annotated[int, *ruled(_BLOCK, ge=16, le=128)] | None = None
    """Tokens per block of the KV cache in HBM (--block-size). Without it: the engine's own choice. Part of the layout fingerprint; cache.chunkTokens must be a multiple of it."""
    image: EngineImage | None = None
    """Image with vLLM, LMCache and boto3, used for the engine and the cache server. Without it: that of the operator or of the version pair. Its versions are read from a tag such as vllm-0.32.0-lmcache-0.5.6, or declared in versions."""
    versions: EngineVersions | None = None
    """Versions of vLLM and LMCache. Without it: those of the image's tag, or the newest supported pair where no image is named."""
    resources: ResourceOverrides | None = None
    """Resources of the engine container. GPUs come from tensorParallelSize."""
    extra_args: ExtraArguments | None = None
    """More options of vllm serve, each --option or --option=value. An option that is not known to leave the KV cache alone is part of the layout fingerprint."""
    extra_env: ExtraEnvironment | None = None
    """More environment variables of the engine container. One that is not known to leave the KV cache alone is part of the layout fingerprint."""
