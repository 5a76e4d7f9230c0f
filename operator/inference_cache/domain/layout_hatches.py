"""Which options and variables from the hatches leave the KV cache's bytes and keys alone; all others enter the fingerprint.

The lists name what is known to be harmless, so an option that nobody thought of costs a cold cache and never a wrong
answer.
"""

from typing import Final

from inference_cache.api.engine import Engine
from inference_cache.api.hatches import split_flag

NEUTRAL_FLAGS: Final = frozenset(
    {
        "--aggregate-engine-logging",
        "--allow-credentials",
        "--allowed-headers",
        "--allowed-local-media-path",
        "--allowed-media-domains",
        "--allowed-methods",
        "--allowed-origins",
        "--async-scheduling",
        "--chat-template-content-format",
        "--collect-detailed-traces",
        "--cudagraph-metrics",
        "--custom-histogram-buckets",
        "--default-chat-template-kwargs",
        "--disable-access-log-for-endpoints",
        "--disable-fastapi-docs",
        "--disable-log-stats",
        "--disable-uvicorn-access-log",
        "--distributed-timeout-seconds",
        "--enable-auto-tool-choice",
        "--enable-force-include-usage",
        "--enable-log-outputs",
        "--enable-mfu-metrics",
        "--enable-per-request-metrics",
        "--enable-request-id-headers",
        "--enable-server-load-tracking",
        "--generation-config",
        "--h11-max-header-count",
        "--h11-max-incomplete-event-size",
        "--kv-cache-metrics",
        "--kv-cache-metrics-sample",
        "--log-error-stack",
        "--long-prefill-token-threshold",
        "--max-log-len",
        "--max-logprobs",
        "--max-num-active-seqs",
        "--max-num-batched-tokens",
        "--max-num-queued-reqs",
        "--max-num-queued-tokens",
        "--max-num-scheduled-tokens",
        "--max-num-seqs",
        "--max-parallel-loading-workers",
        "--no-async-scheduling",
        "--override-generation-config",
        "--reasoning-parser",
        "--response-role",
        "--return-tokens-as-token-ids",
        "--root-path",
        "--safetensors-load-strategy",
        "--scheduling-policy",
        "--show-hidden-metrics-for-version",
        "--sse-keep-alive-interval",
        "--stream-interval",
        "--structured-outputs-config",
        "--tool-call-parser",
        "--use-tqdm-on-load",
        "--watermark",
    }
)
"""Options about serving, scheduling, logs and metrics."""

NEUTRAL_VARIABLES: Final = frozenset(
    {
        "ALL_PROXY",
        "HTTPS_PROXY",
        "HF_ENDPOINT",
        "HTTP_PROXY",
        "LANG",
        "LC_ALL",
        "NO_PROXY",
        "OMP_NUM_THREADS",
        "PYTHONUNBUFFERED",
        "SSL_CERT_DIR",
        "SSL_CERT_FILE",
        "TZ",
        "VLLM_API_KEY",
        "VLLM_ENGINE_ITERATION_TIMEOUT_S",
        "VLLM_HTTP_TIMEOUT_KEEP_ALIVE",
        "VLLM_LOG_STATS_INTERVAL",
        "VLLM_RPC_TIMEOUT",
    }
)
NEUTRAL_VARIABLE_PREFIXES: Final = ("NCCL_", "OTEL_", "UCX_", "GLOO_")


def is_neutral_flag(argument: str) -> bool:
    """Whether an argument is known to leave the KV cache alone; a switch that is turned off is as harmless as on."""
    flag = split_flag(argument)
    return flag in NEUTRAL_FLAGS or f"--{flag.removeprefix('--no-')}" in NEUTRAL_FLAGS


def is_neutral_variable(name: str) -> bool:
    """Whether a variable is known to leave the KV cache alone."""
    return name in NEUTRAL_VARIABLES or name.startswith(NEUTRAL_VARIABLE_PREFIXES)


def list_layout_arguments(engine: Engine | None) -> list[str]:
    """Return the extra arguments that may change the KV cache, sorted."""
    arguments = (engine.extra_args if engine else None) or []
    return sorted({item for item in arguments if not is_neutral_flag(item)})


def list_layout_variables(engine: Engine | None) -> list[str]:
    """Return the extra variables that may change the KV cache, as text, sorted; of a Secret only its name and key."""
    texts = set()
    for item in (engine.extra_env if engine else None) or []:
        if is_neutral_variable(item.name):
            continue
        secret = item.secret_key_ref
        texts.add(f"{item.name}={item.value}" if secret is None else f"{item.name} from {secret.name}/{secret.key}")
    return sorted(texts)
