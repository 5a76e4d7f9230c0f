"""The page /metrics of vLLM 0.32.0."""

from typing import Final

from .engine_process import BLOCK_SIZE, EngineProcess
from .tally import Page

_KV_TOKENS: Final = 524_288
# Settings that vLLM reports with their defaults; those that depend on arguments are set in the builder.
_CACHE_CONFIG: Final = {
    "_block_size_resolved": "True",
    "cache_hit_alignment_tokens": "None",
    "enable_mamba_shared_prefix_checkpoint": "False",
    "hash_block_size": "None",
    "is_attention_free": "False",
    "kv_cache_dtype_skip_layers": "[]",
    "kv_cache_layout": "None",
    "kv_offloading_backend": "native",
    "kv_offloading_size": "None",
    "kv_sharing_fast_prefill": "False",
    "mamba_block_size": "None",
    "mamba_cache_dtype": "auto",
    "mamba_cache_mode": "none",
    "mamba_page_size_padded": "None",
    "mamba_ssm_cache_dtype": "auto",
    "num_cpu_blocks": "None",
    "num_gpu_blocks_override": "None",
    "prefix_cache_retention_interval": "0",
    "prefix_caching_hash_algo": "sha256",
    "prefix_match_unit": "None",
    "replayssm_buffer_len": "16",
    "skip_page_size_padded": "None",
    "sliding_window": "None",
    "swa_bounded_replay": "True",
    "use_kda_recoverssm": "False",
    "use_replayssm": "False",
    "user_specified_block_size": "False",
}


def write_metrics(engine: EngineProcess) -> str:
    """Return the page of one engine."""
    arguments = engine.arguments
    labels = {"engine": "0", "model_name": arguments.served_name}
    page = Page()
    page.gauge("process_start_time_seconds", engine.started_at)
    page.gauge("vllm:num_requests_running", engine.running, **labels)
    page.gauge("vllm:num_requests_waiting", 0, **labels)
    page.gauge("vllm:kv_cache_usage_perc", 0, **labels)
    for name, label, values in (
        ("num_requests_waiting_by_reason", "reason", ("capacity", "deferred")),
        ("num_requests_kv_fetch_by_stage", "stage", ("waiting_to_start", "in_progress", "completed_waiting")),
        ("engine_sleep_state", "sleep_state", ("awake", "weights_offloaded", "discard_all")),
    ):
        series = [(tuple(sorted((labels | {label: item}).items())), float(item == "awake")) for item in values]
        page.family(f"vllm:{name}", "gauge", series)
    page.gauge(
        "vllm:cache_config_info",
        1,
        **_CACHE_CONFIG,
        block_size=str(BLOCK_SIZE),
        cache_dtype=arguments.kv_cache_dtype,
        effective_attention_block_size=str(BLOCK_SIZE),
        enable_prefix_caching=str(arguments.prefix_caching),
        engine="0",
        gpu_memory_utilization=str(arguments.gpu_memory_utilization),
        kv_cache_max_concurrency=str(_KV_TOKENS / arguments.max_model_len),
        kv_cache_memory_bytes=str(_KV_TOKENS * 2048),
        kv_cache_size_tokens=str(_KV_TOKENS),
        num_gpu_blocks=str(_KV_TOKENS // BLOCK_SIZE),
    )
    engine.tally.write(page)
    return page.text()
