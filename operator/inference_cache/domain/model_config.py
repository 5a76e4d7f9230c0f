"""What a value in a model's config.json may be, and which keys say that not every layer keeps all of its KV.

The file comes from outside, so every value is checked before it enters arithmetic; a missing value is never replaced by
a usual one.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

_LARGEST: Final = 10_000_000
_MOST_LAYERS: Final = 10_000
_FULL_ATTENTION: Final = frozenset({"full_attention", "attention"})
# Where multimodal models keep the configuration of their language model.
_NESTED: Final = ("text_config", "llm_config", "language_config")

# Keys that only models with state-space, linear, convolution or recurrent layers have.
_STATE_KEY_PREFIXES: Final = ("mamba_", "ssm_", "linear_attn", "linear_conv_kernel", "linear_num_", "linear_key_head")
_STATE_KEYS: Final = (
    "hybrid_override_pattern",
    "hybrid_layer_ids",
    "layers_block_type",
    "block_types",
    "attn_layer_period",
    "conv_L_cache",
    "state_size",
    "lru_width",
    "rescale_every",
)
# Keys of models whose attention layers keep less than every token, share KV between layers, or add an index to it.
_PARTIAL_KEYS: Final = (
    "attention_chunk_size",
    "sliding_window_pattern",
    "interleaved_sliding_window",
    "full_attention_interval",
    "num_kv_shared_layers",
    "index_topk",
)


class ConfigError(ValueError):
    """A value of config.json cannot be used; the text names its key."""


@dataclass(frozen=True)
class ModelConfig:
    """The language model's part of a config.json, read with checks."""

    values: Mapping[str, Any]

    def has(self, key: str) -> bool:
        """Whether the key has a value that is not null."""
        return self.values.get(key) is not None

    def get_number(self, key: str, *, least: int = 1, most: int = _LARGEST) -> int | None:
        """Return a whole number, or None where the key is missing or null.

        Raises:
            ConfigError: The value is no whole number from least to most.
        """
        value = self.values.get(key)
        if value is None:
            return None
        if isinstance(value, bool) or not isinstance(value, int) or not least <= value <= most:
            raise ConfigError(
                f"config.json: {key} is {_describe(value)}; a whole number from {least} to {most} is needed"
            )
        return value

    def need_number(self, key: str, *, most: int = _LARGEST) -> int:
        """Return a positive whole number.

        Raises:
            ConfigError: The key is missing, null, or no whole number from 1 to most.
        """
        value = self.get_number(key, most=most)
        if value is None:
            raise ConfigError(f"config.json: {key} is missing")
        return value

    def get_flag(self, key: str, *, default: bool) -> bool:
        """Return a flag, or the default of the model's class where the key is missing.

        Raises:
            ConfigError: The value is neither true nor false.
        """
        value = self.values.get(key)
        if value is None:
            return default
        if not isinstance(value, bool):
            raise ConfigError(f"config.json: {key} is {_describe(value)}; true or false is needed")
        return value

    def get_text(self, key: str) -> str | None:
        """Return a text, or None where the key is missing or null.

        Raises:
            ConfigError: The value is no text of 1 to 64 characters.
        """
        value = self.values.get(key)
        if value is None:
            return None
        if not isinstance(value, str) or not 1 <= len(value) <= 64:
            raise ConfigError(f"config.json: {key} is {_describe(value)}; a short text is needed")
        return value

    def get_section(self, key: str) -> "ModelConfig | None":
        """Return a nested object, or None where the key is missing or null.

        Raises:
            ConfigError: The value is no object.
        """
        value = self.values.get(key)
        if value is None:
            return None
        if not isinstance(value, Mapping):
            raise ConfigError(f"config.json: {key} is {_describe(value)}; an object is needed")
        return ModelConfig(value)

    def get_layers(self) -> int:
        """Return the number of layers.

        Raises:
            ConfigError: There is no usable number.
        """
        return self.need_number("num_hidden_layers", most=_MOST_LAYERS)


def find_language_model(top: ModelConfig) -> ModelConfig:
    """Return the configuration of the language model, which multimodal models nest.

    Raises:
        ConfigError: A nested section is no object.
    """
    for key in _NESTED:
        section = top.get_section(key)
        if section is not None and section.has("num_hidden_layers"):
            return section
    return top


def find_hybrid_cause(config: ModelConfig) -> str | None:
    """Return which key says that some layers do not keep the KV of every token, or None where all of them do.

    Raises:
        ConfigError: A key that decides this has an unusable value.
    """
    for key, value in config.values.items():
        if (key.startswith(_STATE_KEY_PREFIXES) or key in _STATE_KEYS or key in _PARTIAL_KEYS) and value:
            return f"{key} is set"
    types = config.values.get("attn_type_list")
    if types is not None and (not isinstance(types, list) or any(kind != 1 for kind in types)):
        return "attn_type_list names layers without full attention"
    return _find_window(config)


def _find_window(config: ModelConfig) -> str | None:
    kinds = config.values.get("layer_types")
    if kinds is not None:
        if not isinstance(kinds, list) or not all(isinstance(kind, str) for kind in kinds):
            raise ConfigError(f"config.json: layer_types is {_describe(kinds)}; a list of texts is needed")
        others = sorted(set(kinds) - _FULL_ATTENTION)
        return f"layer_types names {others[0][:40]}" if others else None
    window = config.get_number("sliding_window")
    # Qwen writes a window into every configuration and switches it off beside it.
    if window is None or not config.get_flag("use_sliding_window", default=True):
        return None
    longest = config.get_number("max_position_embeddings")
    if longest is not None and window >= longest:
        return None
    first = config.get_number("max_window_layers", least=0)
    if config.has("use_sliding_window") and first is not None and first >= config.get_layers():
        return None
    return f"sliding_window is {window}"


def _describe(value: object) -> str:
    if isinstance(value, str):
        return f'the text "{value[:40]}"'
    if isinstance(value, bool) or value is None:
        return str(value).lower()
    if isinstance(value, int):
        # Python refuses to print integers of thousands of digits.
        return str(value) if abs(value) < 10**15 else "far out of range"
    return f"of type {type(value).__name__}"
