"""How many bytes the KV cache of this deployment takes per token, from the declared architecture; unknown stays unknown."""

from dataclasses import dataclass
from typing import Final

from inference_cache.api.engine import KVCacheDtype
from inference_cache.api.model import Architecture, AttentionLayers, WeightDtype

from .defaults import Settled
from .model_shape import LatentAttention, ModelShape

_DTYPE_NAMES: Final = {
    WeightDtype.BFLOAT16: "bfloat16",
    WeightDtype.FLOAT16: "float16",
    WeightDtype.FLOAT32: "float32",
}
_DECLARED: Final = "model.architecture.attentionLayers is Hybrid"


@dataclass(frozen=True)
class KVLayout:
    """The KV cache of one replica.

    Attributes:
        bytes_per_token: Stored bytes of one token, over all GPUs.
        chunk_tokens: Tokens of one chunk, the unit in which KV is stored.
    """

    bytes_per_token: int
    chunk_tokens: int

    def context_bytes(self, tokens: int) -> int:
        """Return the bytes of a context, whole chunks."""
        return -(-tokens // self.chunk_tokens) * self.chunk_tokens * self.bytes_per_token


def build_shape(architecture: Architecture) -> ModelShape:
    """Return the declared architecture in the form that the formulas take."""
    latent = architecture.latent_attention
    return ModelShape(
        layers=architecture.layers,
        attention_heads=architecture.attention_heads,
        kv_heads=architecture.kv_heads,
        head_dim=architecture.head_dim,
        latent=LatentAttention(latent.kv_lora_rank, latent.rope_head_dim) if latent else None,
        hybrid_cause=_DECLARED if architecture.attention_layers is AttentionLayers.HYBRID else None,
        weight_dtype=_DTYPE_NAMES[architecture.weight_dtype or WeightDtype.BFLOAT16],
        parameters=architecture.parameters,
        active_parameters=architecture.active_parameters,
    )


def kv_element_bytes(settled: Settled) -> int:
    """Return the bytes of one element of the KV cache; under Auto vLLM computes in 16 bits, also with 32-bit weights."""
    return 2 if settled.kv_cache_dtype is KVCacheDtype.AUTO else 1


def build_kv_layout(settled: Settled) -> KVLayout | None:
    """Return the layout, or None where no architecture is declared or its KV cannot be derived (hybrid models)."""
    architecture = settled.spec.model.architecture
    if architecture is None:
        return None
    shape = build_shape(architecture)
    size = shape.stored_bytes_per_token(kv_element_bytes(settled), settled.tensor_parallel_size)
    return None if size is None else KVLayout(size, settled.chunk_tokens)
