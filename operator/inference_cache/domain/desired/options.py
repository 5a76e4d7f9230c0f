"""The command lines of vLLM and of the LMCache server, and the connector between them.

Every flag here is checked in the tests against the list of options of the versions that it is rendered for.
"""

import json
from typing import Any, Final

from inference_cache.api.cache import AfterLoad, Pages
from inference_cache.api.engine import Dtype, KVCacheDtype
from inference_cache.domain import names
from inference_cache.domain.defaults import HASH_ALGORITHM
from inference_cache.domain.fingerprint import weights_path
from inference_cache.domain.graces import HEARTBEAT_SECONDS, MQ_TIMEOUT_SECONDS, WORKER_REAP_SECONDS, compute_graces
from inference_cache.domain.scope import Scope
from inference_cache.domain.sizing import compute_sizes
from inference_cache.domain.versions import Feature, VersionPair

from .adapters import build_tcp_adapter
from .attached import find_attachment

_WEIGHT_DTYPES: Final = {Dtype.AUTO: "auto", Dtype.BFLOAT16: "bfloat16", Dtype.FLOAT16: "float16"}
_DTYPES: Final = {KVCacheDtype.AUTO: "auto", KVCacheDtype.FP8_E4M3: "fp8_e4m3", KVCacheDtype.FP8_E5M2: "fp8_e5m2"}


def build_transfer_config(pair: VersionPair) -> dict[str, Any]:
    """Return vLLM's KV transfer configuration.

    The policy is `recompute`, as vLLM's default fails the request when a load fails (vllm#34896). The module path keeps
    vLLM from its vendored connector, which stores decoded tokens too (LMCache#5230). The server is in the same pod, so
    it is reached on loopback; isolated IPC spares host IPC and a shared /dev/shm, and must agree with the server.
    """
    extra: dict[str, Any] = {
        "lmcache.mp.host": "tcp://127.0.0.1",
        "lmcache.mp.port": names.CACHE_REQUEST_PORT,
        "lmcache.mp.mq_timeout": MQ_TIMEOUT_SECONDS,
        "lmcache.mp.heartbeat_interval": HEARTBEAT_SECONDS,
    }
    if Feature.ISOLATED_IPC in pair.features:
        extra |= {"lmcache.mp.hash_algorithm": HASH_ALGORITHM, "lmcache.mp.isolated_ipc": True}
    return {
        "kv_connector": "LMCacheMPConnector",
        "kv_connector_module_path": "lmcache.integration.vllm.lmcache_mp_connector",
        "kv_role": "kv_both",
        "kv_load_failure_policy": "recompute",
        "kv_connector_extra_config": extra,
    }


def build_engine_args(scope: Scope) -> list[str]:
    """Return the arguments of `vllm serve`.

    `--shutdown-timeout` is always positive: with 0 the client of a running request hangs until its own time-out.
    """
    settled = scope.settled
    seen = settled.spec.observability
    args = [
        weights_path(scope.fingerprint),
        f"--served-model-name={settled.spec.model.name}",
        "--host=0.0.0.0",
        f"--port={names.ENGINE_PORT}",
        f"--tensor-parallel-size={settled.tensor_parallel_size}",
        f"--max-model-len={settled.spec.model.max_model_len}",
        f"--gpu-memory-utilization={_fraction(settled.gpu_memory_utilization_percent)}",
        f"--dtype={_WEIGHT_DTYPES[settled.dtype]}",
        f"--kv-cache-dtype={_DTYPES[settled.kv_cache_dtype]}",
        "--enable-prefix-caching",
        "--enable-prompt-tokens-details",
        f"--shutdown-timeout={compute_graces(settled.drain_seconds).drain}",
    ]
    if settled.block_tokens is not None:
        args.append(f"--block-size={settled.block_tokens}")
    if settled.request_logs:
        args.append("--enable-log-requests")
    if seen is not None and seen.traces_endpoint is not None:
        args.append(f"--otlp-traces-endpoint={seen.traces_endpoint}")
    if settled.cache_enabled:
        args.append(f"--kv-transfer-config={_compact(build_transfer_config(scope.pair))}")
    return [*args, *map(escape_references, settled.extra_args)]


def build_cache_args(scope: Scope) -> list[str]:
    """Return the arguments of `lmcache server`.

    The request port stays on loopback; the HTTP port has no authentication, so a NetworkPolicy guards it. Eviction and
    prefetch are always written out, so that what runs does not hang on a version's defaults. The adapter to the store is
    left out for RDMA pods: their launcher adds the one that the pod's preflight has chosen.
    """
    settled = scope.settled
    launched = find_attachment(scope) is not None
    adapter = None if launched else build_tcp_adapter(settled)
    args = [
        "--host=127.0.0.1",
        f"--port={names.CACHE_REQUEST_PORT}",
        "--http-host=0.0.0.0",
        f"--http-port={names.CACHE_HTTP_PORT}",
        f"--l1-size-gb={_gib(settled.memory_bytes)}",
        f"--eviction-policy={settled.eviction_policy}",
        f"--eviction-trigger-watermark={_fraction(settled.eviction_watermark_percent)}",
        f"--eviction-ratio={_fraction(settled.eviction_percent)}",
        f"--chunk-size={settled.chunk_tokens}",
        f"--hash-algorithm={HASH_ALGORITHM}",
        "--max-gpu-workers=1",
        "--supported-transfer-mode=lmcache_driven",
        f"--metrics-sample-rate={_fraction(settled.metrics_sample_percent)}",
        f"--worker-reap-timeout-seconds={WORKER_REAP_SECONDS}",
    ]
    # Without a name of its own, LMCache 0.5.3 may put the whole tier into /dev/shm.
    args.append("--isolated-ipc" if Feature.ISOLATED_IPC in scope.pair.features else "--shm-name=")
    if settled.pages is Pages.HUGE_2MI:
        args.append("--l1-use-hugepages")
    if launched or adapter is not None:
        keep = settled.after_load is AfterLoad.KEEP_IN_MEMORY
        args += [
            f"--l2-prefetch-max-in-flight={compute_sizes(settled).in_flight_loads}",
            f"--l2-prefetch-policy={'retain' if keep else 'default'}",
        ]
    if adapter is not None:
        args.append(f"--l2-adapter={escape_references(_compact(adapter))}")
    return args


def escape_references(text: str) -> str:
    """Return a text from a hatch as the kubelet must get it, which puts a variable in the place of $(NAME).

    What is checked, and what the layout fingerprint holds, is the text as it is written.
    """
    return text.replace("$", "$$")


def _fraction(percent: int) -> str:
    return f"{percent // 100}.{percent % 100:02d}"


def _gib(size: int) -> str:
    # LMCache's GB are GiB. Whole MiB, written exactly: NIXL registers the tier and refuses one that is not aligned.
    whole, mib = divmod(size // 2**20, 1024)
    # n/1024 ends after ten digits.
    return f"{whole}.{mib * 10**10 // 1024:010d}".rstrip("0").rstrip(".")


def _compact(value: dict[str, Any]) -> str:
    return json.dumps(value, sort_keys=True, separators=(",", ":"))
