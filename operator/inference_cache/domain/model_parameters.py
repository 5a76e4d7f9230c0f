"""How many parameters a model has and how many work on one token, counted from its config.json.

Only architectures whose every weight follows from the configuration are counted; for all others the count is unknown.
The counts are those of the language model without a vision tower and without layers for multi-token prediction.
"""

from dataclasses import dataclass
from typing import Final

from .model_config import ConfigError, ModelConfig

_NORMAL_DENSE: Final = frozenset({"llama", "mistral", "qwen2", "qwen3"})
_NORMAL_EXPERTS: Final = frozenset({"mixtral", "qwen3_moe"})
# Kimi K2 is DeepSeek V3's code with other sizes.
LATENT_TYPES: Final = frozenset({"deepseek_v2", "deepseek_v3", "kimi_k2"})
_HEAD_NORMS: Final = frozenset({"qwen3", "qwen3_moe"})


@dataclass(frozen=True)
class ParameterCount:
    """Parameters of all weights, and of those that one token passes through."""

    total: int
    active: int


@dataclass(frozen=True)
class AttentionSizes:
    """Heads of one attention layer; head_dim is the width of a query, key and value head."""

    heads: int
    kv_heads: int
    head_dim: int


def count_parameters(config: ModelConfig, sizes: AttentionSizes) -> ParameterCount | None:
    """Return the counts, or None where the architecture is not known or the configuration leaves something open.

    Raises:
        ConfigError: A value that enters the count is malformed.
    """
    kind = config.get_text("model_type")
    hidden, vocabulary = config.get_number("hidden_size"), config.get_number("vocab_size")
    if kind is None or hidden is None or vocabulary is None:
        return None
    if kind in LATENT_TYPES:
        attention = _count_latent_attention(config, hidden, sizes.heads)
    elif kind in _NORMAL_DENSE | _NORMAL_EXPERTS:
        attention = _count_attention(config, kind, hidden, sizes)
    else:
        return None
    layers = config.get_layers()
    blocks = _count_blocks(config, kind, hidden, layers)
    if attention is None or blocks is None:
        return None
    # The classes of all counted types keep input and output embeddings apart unless told otherwise.
    embeddings = vocabulary * hidden * (1 if config.get_flag("tie_word_embeddings", default=False) else 2)
    shared = embeddings + hidden + layers * (attention + 2 * hidden)
    return ParameterCount(total=shared + blocks.total, active=shared + blocks.active)


def _count_attention(config: ModelConfig, kind: str, hidden: int, sizes: AttentionSizes) -> int:
    queries, keys = sizes.heads * sizes.head_dim, sizes.kv_heads * sizes.head_dim
    weights = 2 * hidden * queries + 2 * hidden * keys
    if kind == "qwen2":  # its class has biases on queries, keys and values, and no key for them
        weights += queries + 2 * keys
    elif kind in {"llama", "qwen3", "qwen3_moe"} and config.get_flag("attention_bias", default=False):
        weights += queries + 2 * keys + hidden
    return weights + (2 * sizes.head_dim if kind in _HEAD_NORMS else 0)


def _count_latent_attention(config: ModelConfig, hidden: int, heads: int) -> int | None:
    rank, rope = config.get_number("kv_lora_rank"), config.get_number("qk_rope_head_dim")
    nope, width = config.get_number("qk_nope_head_dim"), config.get_number("v_head_dim")
    if rank is None or rope is None or nope is None or width is None:
        return None
    query_rank = config.get_number("q_lora_rank")
    biased = config.get_flag("attention_bias", default=False)
    if query_rank is None:
        queries = hidden * heads * (nope + rope)
    else:
        queries = hidden * query_rank + query_rank + query_rank * heads * (nope + rope)
        queries += query_rank if biased else 0
    latent = hidden * (rank + rope) + rank + rank * heads * (nope + width)
    bias = rank + rope + hidden if biased else 0
    return queries + latent + heads * width * hidden + bias


def _count_blocks(config: ModelConfig, kind: str, hidden: int, layers: int) -> ParameterCount | None:
    """Count the feed-forward part of all layers."""
    if kind in LATENT_TYPES:
        return _count_latent_blocks(config, kind, hidden, layers)
    width = config.get_number("intermediate_size")
    if kind == "mixtral":
        experts, used = _read_experts(config, "num_local_experts")
        if width is None or experts is None or used is None:
            return None
        router, expert = hidden * experts, 3 * hidden * width
        return ParameterCount(layers * (router + experts * expert), layers * (router + used * expert))
    if kind == "qwen3_moe":
        return _count_qwen_blocks(config, hidden, layers)
    if width is None:
        return None
    dense = 3 * hidden * width
    if kind == "llama" and config.get_flag("mlp_bias", default=False):
        dense += 2 * width + hidden
    return ParameterCount(layers * dense, layers * dense)


def _count_qwen_blocks(config: ModelConfig, hidden: int, layers: int) -> ParameterCount | None:
    experts, used = _read_experts(config, "num_experts")
    width = config.get_number("moe_intermediate_size")
    step = config.get_number("decoder_sparse_step") or 1
    # Layers outside the sparse pattern are dense; no published model has any, so they are left uncounted.
    if experts is None or used is None or width is None or step != 1 or config.values.get("mlp_only_layers"):
        return None
    router, expert = hidden * experts, 3 * hidden * width
    return ParameterCount(layers * (router + experts * expert), layers * (router + used * expert))


def _count_latent_blocks(config: ModelConfig, kind: str, hidden: int, layers: int) -> ParameterCount | None:
    experts, used = _read_experts(config, "n_routed_experts")
    width, dense_width = config.get_number("moe_intermediate_size"), config.get_number("intermediate_size")
    dense_layers = config.get_number("first_k_dense_replace", least=0)
    step = config.get_number("moe_layer_freq") or 1
    if experts is None or used is None or width is None or dense_width is None or dense_layers is None or step != 1:
        return None
    dense_layers = min(dense_layers, layers)
    sparse_layers = layers - dense_layers
    # V3's router has one correction per expert, V2's has none.
    router = hidden * experts + (experts if kind != "deepseek_v2" else 0)
    shared = (config.get_number("n_shared_experts", least=0) or 0) * 3 * hidden * width
    expert = 3 * hidden * width
    dense = dense_layers * 3 * hidden * dense_width
    return ParameterCount(
        total=dense + sparse_layers * (router + shared + experts * expert),
        active=dense + sparse_layers * (router + shared + used * expert),
    )


def _read_experts(config: ModelConfig, key: str) -> tuple[int | None, int | None]:
    """Return the number of experts of a layer and of those that a token passes through."""
    experts, used = config.get_number(key), config.get_number("num_experts_per_tok")
    if experts is not None and used is not None and used > experts:
        raise ConfigError(f"config.json: num_experts_per_tok is {used}, more than the {experts} of {key}")
    return experts, used
