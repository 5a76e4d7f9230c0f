"""How many bytes of KV cache one token of a model takes, and what the model's config.json says for that.

What cannot be known is unknown and never guessed: a wrong layer count makes every figure of the capacity plan wrong.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from .model_config import ConfigError, ModelConfig, find_hybrid_cause, find_language_model
from .model_parameters import LATENT_TYPES, AttentionSizes, count_parameters

# vLLM turns 32-bit weights into 16-bit ones unless it is told otherwise.
_WEIGHT_BYTES: Final = {"bfloat16": 2, "float16": 2, "float32": 2, "fp8": 1}
_FP8_METHODS: Final = frozenset({"fp8", "fbgemm_fp8"})
_MOST_HEADS: Final = 100_000
# Keys that other architectures use for grouped KV heads; without them a missing num_key_value_heads means one per head.
_OTHER_KV_HEAD_KEYS: Final = (
    "multi_query",
    "multi_query_attention",
    "multi_query_group_num",
    "num_attention_groups",
    "num_kv_heads",
    "n_head_kv",
    "attn_config",
    "num_key_value_heads_per_layer",
)


@dataclass(frozen=True)
class LatentAttention:
    """Multi-head latent attention: one compressed vector per token and layer instead of keys and values per head."""

    kv_lora_rank: int
    rope_head_dim: int


@dataclass(frozen=True)
class ModelShape:
    """What decides the size of a model's KV cache and the work of its prefill.

    Attributes:
        head_dim: Width of one head. With latent attention the mean of the query-key and the value width, because that
            is what attention costs.
        hybrid_cause: Why some layers do not keep the KV of every token; None where all of them do.
        weight_dtype: Data type of the weights, or the quantization method; None where it is not known.
        parameters: Parameters of all weights; None where they are not known.
        active_parameters: Parameters that one token passes through in a mixture of experts; None means all of them.
        quantized_kv: The checkpoint brings scales for a quantized KV cache, so type "auto" need not mean 16 bits.
    """

    layers: int
    attention_heads: int
    kv_heads: int
    head_dim: int
    latent: LatentAttention | None = None
    hybrid_cause: str | None = None
    weight_dtype: str | None = None
    parameters: int | None = None
    active_parameters: int | None = None
    quantized_kv: bool = False

    @property
    def hybrid(self) -> bool:
        """Whether some layers do not keep the KV of every token, so that no formula here holds."""
        return self.hybrid_cause is not None

    @property
    def attention_width(self) -> int:
        """Heads times their width, the d_a of the prefill formula."""
        return self.attention_heads * self.head_dim

    @property
    def computing_parameters(self) -> int | None:
        """Parameters that one token passes through."""
        return self.parameters if self.active_parameters is None else self.active_parameters

    @property
    def auto_kv_bytes_per_element(self) -> int | None:
        """Bytes of one KV element under --kv-cache-dtype auto, which follows the 16-bit compute type of the model."""
        return None if self.quantized_kv else 2

    @property
    def weight_bytes(self) -> int | None:
        """Bytes of all weights in HBM; for fp8 without the few per cent that stay in 16 bits."""
        size = _WEIGHT_BYTES.get(self.weight_dtype or "")
        return None if size is None or self.parameters is None else self.parameters * size

    def bytes_per_token(self, kv_bytes_per_element: int) -> int | None:
        """Return the KV bytes of one token, each head once; None for hybrid models."""
        if self.hybrid:
            return None
        if self.latent is not None:
            return self.layers * (self.latent.kv_lora_rank + self.latent.rope_head_dim) * kv_bytes_per_element
        return 2 * self.layers * self.kv_heads * self.head_dim * kv_bytes_per_element

    def stored_bytes_per_token(self, kv_bytes_per_element: int, tensor_parallel_size: int) -> int | None:
        """Return the KV bytes of one token in DRAM and S3; None for hybrid models and splits that vLLM refuses.

        Ranks beyond the number of KV heads store copies of them; latent attention is stored once.
        """
        total = self.bytes_per_token(kv_bytes_per_element)
        copies = self._head_copies(tensor_parallel_size)
        if total is None or copies is None:
            return None
        return total if self.latent is not None else total * copies

    def hbm_bytes_per_token(self, kv_bytes_per_element: int, tensor_parallel_size: int) -> int | None:
        """Return the KV bytes of one token in the HBM of all ranks, where latent attention has a copy per rank."""
        stored = self.stored_bytes_per_token(kv_bytes_per_element, tensor_parallel_size)
        if stored is None:
            return None
        return stored * tensor_parallel_size if self.latent is not None else stored

    def objects_per_chunk(self, tensor_parallel_size: int) -> int:
        """Return how many S3 objects hold one chunk: one per rank, and one in all with latent attention."""
        return 1 if self.latent is not None else tensor_parallel_size

    def object_bytes(self, kv_bytes_per_element: int, tensor_parallel_size: int, chunk_tokens: int) -> int | None:
        """Return the bytes of one S3 object."""
        stored = self.stored_bytes_per_token(kv_bytes_per_element, tensor_parallel_size)
        return None if stored is None else stored * chunk_tokens // self.objects_per_chunk(tensor_parallel_size)

    def _head_copies(self, tensor_parallel_size: int) -> int | None:
        if tensor_parallel_size < 1 or self.attention_heads % tensor_parallel_size:
            return None
        if self.latent is not None or self.kv_heads % tensor_parallel_size == 0:
            return 1
        copies, rest = divmod(tensor_parallel_size, self.kv_heads)
        return None if rest else copies


@dataclass(frozen=True)
class ShapeUnknown:
    """Why the shape of a model is not known; the text names the key or the file."""

    reason: str


def parse_model_config(config: object) -> ModelShape | ShapeUnknown:
    """Return the shape that a parsed Hugging Face config.json describes, or why it cannot be told; raises nothing."""
    if not isinstance(config, Mapping):
        return ShapeUnknown("config.json is no JSON object")
    try:
        top = ModelConfig(config)
        language = find_language_model(top)
        hybrid_cause = find_hybrid_cause(language)
    except ConfigError as error:
        return ShapeUnknown(str(error))
    try:
        return _read_shape(top, language, hybrid_cause)
    except ConfigError as error:
        return ShapeUnknown(f"{hybrid_cause}, so not every layer keeps its KV; {error}" if hybrid_cause else str(error))


def _read_shape(top: ModelConfig, config: ModelConfig, hybrid_cause: str | None) -> ModelShape:
    if config.get_flag("is_encoder_decoder", default=False):
        raise ConfigError("config.json: is_encoder_decoder is true; only decoder-only models are planned")
    if config.has("block_configs"):
        raise ConfigError("config.json: block_configs gives each layer its own heads, which is not read")
    layers = config.get_layers()
    heads = config.need_number("num_attention_heads", most=_MOST_HEADS)
    latent = _read_latent(config)
    head_dim = _read_head_dim(config, heads, latent)
    kv_heads = _read_kv_heads(config, heads)
    # A hybrid model's layers differ, so its configuration does not say what each of them holds.
    count = None if hybrid_cause else count_parameters(config, AttentionSizes(heads, kv_heads, head_dim))
    quantization = top.get_section("quantization_config") or config.get_section("quantization_config")
    return ModelShape(
        layers=layers,
        attention_heads=heads,
        kv_heads=kv_heads,
        head_dim=head_dim,
        latent=latent,
        hybrid_cause=hybrid_cause,
        weight_dtype=_read_weight_dtype(top, config, quantization),
        parameters=count.total if count else None,
        active_parameters=count.active if count and count.active != count.total else None,
        quantized_kv=quantization is not None
        and (quantization.has("kv_cache_scheme") or quantization.has("kv_cache_quant_algo")),
    )


def _read_latent(config: ModelConfig) -> LatentAttention | None:
    rank = config.get_number("kv_lora_rank")
    if rank is None:
        return None
    if config.get_text("model_type") not in LATENT_TYPES:
        # vLLM runs some models with these keys with full keys and values.
        raise ConfigError("config.json: kv_lora_rank is set, but the cache layout of this model_type is not known")
    return LatentAttention(rank, config.need_number("qk_rope_head_dim"))


def _read_head_dim(config: ModelConfig, heads: int, latent: LatentAttention | None) -> int:
    if latent is not None:
        keys = config.need_number("qk_nope_head_dim") + latent.rope_head_dim
        return (keys + config.need_number("v_head_dim")) // 2
    explicit = config.get_number("head_dim")
    if explicit is not None:
        return explicit
    hidden = config.need_number("hidden_size")
    if hidden % heads:
        raise ConfigError("config.json: hidden_size is no multiple of num_attention_heads and head_dim is missing")
    return hidden // heads


def _read_kv_heads(config: ModelConfig, heads: int) -> int:
    kv_heads = config.get_number("num_key_value_heads", most=_MOST_HEADS)
    if kv_heads is None:
        other = next((key for key in _OTHER_KV_HEAD_KEYS if config.has(key)), None)
        if other is not None:
            raise ConfigError(f"config.json: num_key_value_heads is missing, and what {other} means here is not known")
        return heads
    if heads % kv_heads:
        raise ConfigError(
            f"config.json: num_key_value_heads is {kv_heads}, which does not divide {heads} attention heads"
        )
    return kv_heads


def _read_weight_dtype(top: ModelConfig, config: ModelConfig, quantization: ModelConfig | None) -> str | None:
    if quantization is not None:
        method = quantization.get_text("quant_method")
        return "fp8" if method in _FP8_METHODS else (method or "quantized")
    for section in (config, top):
        for key in ("dtype", "torch_dtype"):
            if section.has(key):
                return section.get_text(key)
    return None
