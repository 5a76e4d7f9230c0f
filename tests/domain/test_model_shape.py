"""What a model's config.json says about its KV cache, and what is left unknown."""

from typing import Any, Final

import pytest
from hypothesis import given
from hypothesis import strategies as st

from inference_cache.domain.model_shape import LatentAttention, ModelShape, ShapeUnknown, parse_model_config

Config = dict[str, Any]


def _dense(
    kind: str, layers: int, hidden: int, heads: int, kv_heads: int, width: int, words: int, **more: Any
) -> Config:
    return {
        "model_type": kind,
        "num_hidden_layers": layers,
        "hidden_size": hidden,
        "num_attention_heads": heads,
        "num_key_value_heads": kv_heads,
        "intermediate_size": width,
        "vocab_size": words,
        "torch_dtype": "bfloat16",
        **more,
    }


LLAMA_8B: Final = _dense("llama", 32, 4096, 32, 8, 14336, 128256)
LLAMA_70B: Final = _dense("llama", 80, 8192, 64, 8, 28672, 128256)
QWEN_25_7B: Final = _dense(
    "qwen2",
    28,
    3584,
    28,
    4,
    18944,
    152064,
    use_sliding_window=False,
    sliding_window=131072,
    max_window_layers=28,
    max_position_embeddings=1_010_000,
)
DEEPSEEK_V3: Final = _dense(
    "deepseek_v3",
    61,
    7168,
    128,
    128,
    18432,
    129280,
    moe_intermediate_size=2048,
    n_routed_experts=256,
    n_shared_experts=1,
    num_experts_per_tok=8,
    first_k_dense_replace=3,
    moe_layer_freq=1,
    q_lora_rank=1536,
    kv_lora_rank=512,
    qk_rope_head_dim=64,
    qk_nope_head_dim=128,
    v_head_dim=128,
    num_nextn_predict_layers=1,
    quantization_config={"quant_method": "fp8"},
)
DEEPSEEK_V2_LITE: Final = _dense(
    "deepseek_v2",
    27,
    2048,
    16,
    16,
    10944,
    102400,
    moe_intermediate_size=1408,
    n_routed_experts=64,
    n_shared_experts=2,
    num_experts_per_tok=6,
    first_k_dense_replace=1,
    moe_layer_freq=1,
    q_lora_rank=None,
    kv_lora_rank=512,
    qk_rope_head_dim=64,
    qk_nope_head_dim=128,
    v_head_dim=128,
)
_EXPERTS: Final = {"num_experts": 128, "num_experts_per_tok": 8, "decoder_sparse_step": 1, "mlp_only_layers": []}

# name: config, bytes per token in 16 bits, billions of parameters in all, billions per token
_MODELS: Final[dict[str, tuple[Config, int, float, float]]] = {
    "Llama-3.1-8B": (LLAMA_8B, 131072, 8.030261248, 8.030261248),
    "Llama-3.1-70B": (LLAMA_70B, 327680, 70.553706496, 70.553706496),
    "Llama-3.1-405B": (_dense("llama", 126, 16384, 128, 8, 53248, 128256), 516096, 405.853388800, 405.853388800),
    "Llama-3.2-1B with tied embeddings": (
        _dense("llama", 16, 2048, 32, 8, 8192, 128256, head_dim=64, tie_word_embeddings=True),
        32768,
        1.235814400,
        1.235814400,
    ),
    "Mistral-7B-v0.3": (
        _dense("mistral", 32, 4096, 32, 8, 14336, 32768, sliding_window=None),
        131072,
        7.248023552,
        7.248023552,
    ),
    "Qwen2.5-7B with biases": (QWEN_25_7B, 57344, 7.615616512, 7.615616512),
    "Qwen3-8B": (_dense("qwen3", 36, 4096, 32, 8, 12288, 151936, head_dim=128), 147456, 8.190735360, 8.190735360),
    "Qwen3-32B whose heads are wider than its model": (
        _dense("qwen3", 64, 5120, 64, 8, 25600, 151936, head_dim=128),
        262144,
        32.762123264,
        32.762123264,
    ),
    "Mixtral-8x7B": (
        _dense("mixtral", 32, 4096, 32, 8, 14336, 32000, num_local_experts=8, num_experts_per_tok=2),
        131072,
        46.702792704,
        12.879925248,
    ),
    "Qwen3-30B-A3B": (
        _dense("qwen3_moe", 48, 2048, 32, 4, 6144, 151936, head_dim=128, moe_intermediate_size=768, **_EXPERTS),
        98304,
        30.532122624,
        3.353032704,
    ),
    "Qwen3-235B-A22B": (
        _dense("qwen3_moe", 94, 4096, 64, 4, 12288, 151936, head_dim=128, moe_intermediate_size=1536, **_EXPERTS),
        192512,
        235.093634560,
        22.190763520,
    ),
    "DeepSeek-V3 without its prediction layer": (DEEPSEEK_V3, 70272, 671.026419200, 37.552297472),
    "DeepSeek-V2-Lite without compressed queries": (DEEPSEEK_V2_LITE, 31104, 15.706484224, 2.661150208),
}


def _parse(config: Config) -> ModelShape:
    shape = parse_model_config(config)
    assert isinstance(shape, ModelShape), shape
    return shape


@pytest.mark.parametrize(("config", "per_token", "total", "active"), _MODELS.values(), ids=_MODELS.keys())
def test_published_model_has_its_known_size(config: Config, per_token: int, total: float, active: float) -> None:
    shape = _parse(config)
    assert shape.bytes_per_token(2) == per_token
    assert shape.parameters == round(total * 1e9)
    assert shape.computing_parameters == round(active * 1e9)


@pytest.mark.parametrize(
    ("name", "nominal_total", "nominal_active"),
    [
        ("Llama-3.1-70B", 70.55, 70.55),
        ("Llama-3.1-8B", 8.03, 8.03),
        ("Qwen2.5-7B with biases", 7.62, 7.62),
        ("Mixtral-8x7B", 46.7, 12.9),
        ("Qwen3-30B-A3B", 30.5, 3.3),
        ("DeepSeek-V3 without its prediction layer", 671, 37),
    ],
)
def test_count_agrees_with_the_figure_on_the_model_card(name: str, nominal_total: float, nominal_active: float) -> None:
    shape = _parse(_MODELS[name][0])
    assert (shape.parameters or 0) / 1e9 == pytest.approx(nominal_total, rel=0.002)
    assert (shape.computing_parameters or 0) / 1e9 == pytest.approx(nominal_active, rel=0.02)


# LMCache's arithmetic as observed: 256 tokens per chunk, object sizes in MiB.
@pytest.mark.parametrize(
    ("config", "element", "ranks", "mib"),
    [
        (LLAMA_8B, 2, 8, 4),
        (LLAMA_8B, 2, 4, 8),
        (LLAMA_70B, 2, 8, 10),
        (LLAMA_70B, 2, 4, 20),
        (LLAMA_70B, 1, 8, 5),
        (LLAMA_70B, 1, 4, 10),
        (_MODELS["Llama-3.1-405B"][0], 2, 8, 15.75),
        (_MODELS["Llama-3.1-405B"][0], 2, 4, 31.5),
        (DEEPSEEK_V3, 2, 8, 70272 * 256 / 2**20),
        (DEEPSEEK_V3, 2, 1, 70272 * 256 / 2**20),
    ],
)
def test_object_is_one_rank_of_one_chunk(config: Config, element: int, ranks: int, mib: float) -> None:
    assert _parse(config).object_bytes(element, ranks, 256) == mib * 2**20


def test_objects_of_a_tiny_llama_have_the_size_that_was_observed() -> None:
    assert ModelShape(4, 4, 4, 32).object_bytes(2, 1, 256) == 524288


def test_ranks_beyond_the_kv_heads_store_copies() -> None:
    shape = _parse(_MODELS["Qwen3-30B-A3B"][0])
    assert [shape.stored_bytes_per_token(2, ranks) for ranks in (1, 4, 8, 16)] == [98304, 98304, 196608, 393216]
    assert shape.object_bytes(2, 8, 256) == shape.object_bytes(2, 4, 256)


def test_latent_attention_is_stored_once_and_held_by_every_rank() -> None:
    shape = _parse(DEEPSEEK_V3)
    assert shape.latent == LatentAttention(512, 64)
    assert shape.stored_bytes_per_token(2, 8) == 70272
    assert shape.hbm_bytes_per_token(2, 8) == 8 * 70272
    assert shape.objects_per_chunk(8) == 1


def test_width_of_latent_attention_costs_the_mean_of_queries_and_values() -> None:
    assert _parse(DEEPSEEK_V3).attention_width == 128 * (128 + 64 + 128) // 2


@pytest.mark.parametrize("ranks", [3, 5, 16, 0])
def test_split_that_vllm_refuses_has_no_size(ranks: int) -> None:
    shape = ModelShape(32, 24, 8, 128)
    assert shape.stored_bytes_per_token(2, ranks) is None
    assert shape.object_bytes(2, ranks, 256) is None


_HYBRID: Final[dict[str, Config]] = {
    "gpt-oss": {"layer_types": ["sliding_attention", "full_attention"], "sliding_window": 128},
    "Gemma 3": {"sliding_window": 1024, "sliding_window_pattern": 6},
    "Gemma 2": {"sliding_window": 4096, "max_position_embeddings": 8192},
    "Mistral 7B v0.1": {"sliding_window": 4096, "max_position_embeddings": 32768},
    "Qwen2 with its window on": {"use_sliding_window": True, "sliding_window": 4096, "max_window_layers": 21},
    "Llama 4": {"attention_chunk_size": 8192},
    "Qwen3-Next": {"linear_num_key_heads": 16, "full_attention_interval": 4},
    "Jamba": {"mamba_d_state": 16, "attn_layer_period": 8},
    "Granite 4": {"layer_types": ["mamba", "attention"]},
    "Nemotron-H": {"hybrid_override_pattern": "M-M*"},
    "MiniMax-01": {"attn_type_list": [0, 1]},
    "Kimi Linear": {"linear_attn_config": {"head_dim": 128}},
    "DeepSeek V3.2 with an index": {"index_topk": 2048},
    "Gemma 3n sharing KV between layers": {"num_kv_shared_layers": 15},
}


@pytest.mark.parametrize("keys", _HYBRID.values(), ids=_HYBRID.keys())
def test_model_whose_layers_differ_has_no_bytes_per_token(keys: Config) -> None:
    shape = _parse(LLAMA_8B | keys)
    assert shape.hybrid
    assert shape.bytes_per_token(2) is None
    assert shape.stored_bytes_per_token(2, 1) is None
    assert shape.parameters is None


_FULL: Final[dict[str, Config]] = {
    "no window": {"sliding_window": None},
    "Qwen writes a window and switches it off": {"use_sliding_window": False, "sliding_window": 4096},
    "Qwen2 whose window starts after the last layer": {
        "use_sliding_window": True,
        "sliding_window": 4096,
        "max_window_layers": 32,
    },
    "a window as long as the longest context": {"sliding_window": 262144, "max_position_embeddings": 131072},
    "layer types say full attention": {"layer_types": ["full_attention"] * 32, "sliding_window": 4096},
    "MiniMax-M2": {"attn_type_list": [1, 1]},
    "switched-off keys": {"mamba_d_state": None, "num_kv_shared_layers": 0},
}


@pytest.mark.parametrize("keys", _FULL.values(), ids=_FULL.keys())
def test_model_is_not_hybrid_with(keys: Config) -> None:
    assert _parse(LLAMA_8B | keys).bytes_per_token(2) == 131072


@pytest.mark.parametrize("section", ["text_config", "llm_config", "language_config"])
def test_language_model_of_a_multimodal_config_is_read(section: str) -> None:
    nested = {key: value for key, value in LLAMA_8B.items() if key != "torch_dtype"}
    shape = _parse({"model_type": "llava", "hidden_size": 1, "dtype": "float16", section: nested})
    assert (shape.bytes_per_token(2), shape.parameters, shape.weight_dtype) == (131072, 8_030_261_248, "float16")


def test_missing_kv_heads_mean_one_per_attention_head() -> None:
    config = {key: value for key, value in LLAMA_8B.items() if key != "num_key_value_heads"}
    assert _parse(config).kv_heads == 32


def test_architecture_that_is_not_known_has_a_cache_size_but_no_parameter_count() -> None:
    shape = _parse(LLAMA_8B | {"model_type": "someone_elses"})
    assert (shape.bytes_per_token(2), shape.parameters) == (131072, None)


@pytest.mark.parametrize("key", ["vocab_size", "intermediate_size", "model_type"])
def test_parameters_are_unknown_without(key: str) -> None:
    assert _parse({name: value for name, value in LLAMA_8B.items() if name != key}).parameters is None


@pytest.mark.parametrize(
    ("keys", "dtype", "size"),
    [
        ({}, "bfloat16", 2 * 8_030_261_248),
        ({"torch_dtype": "float32"}, "float32", 2 * 8_030_261_248),
        ({"torch_dtype": None, "dtype": "float16"}, "float16", 2 * 8_030_261_248),
        ({"quantization_config": {"quant_method": "fp8"}}, "fp8", 8_030_261_248),
        ({"quantization_config": {"quant_method": "awq"}}, "awq", None),
        ({"torch_dtype": None}, None, None),
    ],
    ids=["bf16", "fp32 is loaded in 16 bits", "new key", "fp8", "other quantization", "unknown"],
)
def test_weight_bytes_follow_from_the_data_type(keys: Config, dtype: str | None, size: int | None) -> None:
    shape = _parse(LLAMA_8B | keys)
    assert (shape.weight_dtype, shape.weight_bytes) == (dtype, size)


@pytest.mark.parametrize("scheme", [{"kv_cache_scheme": {"num_bits": 8}}, {"kv_cache_quant_algo": "FP8"}])
def test_element_size_is_unknown_if_the_checkpoint_quantizes_kv(scheme: Config) -> None:
    shape = _parse(LLAMA_8B | {"quantization_config": {"quant_method": "modelopt", **scheme}})
    assert shape.auto_kv_bytes_per_element is None
    assert _parse(LLAMA_8B).auto_kv_bytes_per_element == 2


_REFUSED: Final[dict[str, tuple[Config, str]]] = {
    "a text for a number": ({"num_hidden_layers": "80"}, "num_hidden_layers"),
    "zero layers": ({"num_hidden_layers": 0}, "num_hidden_layers"),
    "negative heads": ({"num_attention_heads": -64}, "num_attention_heads"),
    "absurdly many layers": ({"num_hidden_layers": 10**9}, "num_hidden_layers"),
    "a number that Python will not print": ({"hidden_size": 10**5000}, "hidden_size"),
    "a fraction": ({"head_dim": 127.5}, "head_dim"),
    "true for a number": ({"num_key_value_heads": True}, "num_key_value_heads"),
    "a list per layer": ({"num_key_value_heads": [8, 8]}, "num_key_value_heads"),
    "a missing key": ({"num_hidden_layers": None}, "num_hidden_layers"),
    "KV heads that do not divide the heads": ({"num_key_value_heads": 7}, "num_key_value_heads"),
    "heads that do not divide the width": ({"num_attention_heads": 48}, "hidden_size"),
    "another key for KV heads": ({"num_key_value_heads": None, "multi_query": True}, "multi_query"),
    "layers with heads of their own": ({"block_configs": [{}]}, "block_configs"),
    "an encoder": ({"is_encoder_decoder": True}, "is_encoder_decoder"),
    "latent attention of an unknown model": ({"kv_lora_rank": 256}, "kv_lora_rank"),
    "layer types that are no list": ({"layer_types": "full_attention"}, "layer_types"),
    "a text for a window": ({"sliding_window": "4096"}, "sliding_window"),
    "a text for a flag": ({"tie_word_embeddings": "false"}, "tie_word_embeddings"),
    "a text for a section": ({"text_config": "llama"}, "text_config"),
    "a number for a type": ({"torch_dtype": 16}, "torch_dtype"),
    "a malformed vocabulary": ({"vocab_size": -1}, "vocab_size"),
    "more experts per token than there are": (
        {"model_type": "mixtral", "num_local_experts": 8, "num_experts_per_tok": 9},
        "num_experts_per_tok",
    ),
    "a hybrid model without heads": ({"mamba_d_state": 16, "num_attention_heads": None}, "mamba_d_state"),
}


@pytest.mark.parametrize(("keys", "named"), _REFUSED.values(), ids=_REFUSED.keys())
def test_config_is_refused_with_the_key_named_for(keys: Config, named: str) -> None:
    shape = parse_model_config(LLAMA_8B | keys)
    assert isinstance(shape, ShapeUnknown)
    assert named in shape.reason


@pytest.mark.parametrize("content", [[], None, "text", 3], ids=["list", "null", "text", "number"])
def test_content_that_is_no_object_is_unknown(content: object) -> None:
    assert isinstance(parse_model_config(content), ShapeUnknown)


_VALUES: Final = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(),
    st.text(max_size=80),
    st.lists(st.one_of(st.text(max_size=5), st.integers(), st.none()), max_size=3),
    st.dictionaries(st.text(max_size=5), st.integers(), max_size=2),
)
_KEYS: Final = sorted(
    {*LLAMA_8B, *DEEPSEEK_V3, *QWEN_25_7B, *(key for keys in _HYBRID.values() for key in keys), "text_config"}
)


@given(
    st.sampled_from([config for config, *_ in _MODELS.values()]),
    st.dictionaries(st.sampled_from(_KEYS), _VALUES, max_size=4),
)
def test_no_value_makes_reading_fail_or_sizes_wrong(config: Config, changed: Config) -> None:
    shape = parse_model_config(config | changed)
    if isinstance(shape, ShapeUnknown):
        assert 0 < len(shape.reason) < 400
    else:
        size = shape.bytes_per_token(2)
        assert (size is None) == shape.hybrid
        assert size is None or size > 0
        assert shape.parameters is None or shape.parameters >= (shape.computing_parameters or 0) > 0
