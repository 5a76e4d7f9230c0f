"""The command lines of vLLM and of the LMCache server, and the connector between them.

Every flag here is checked in the tests against the list of options of the versions that it is rendered for.
"""

import json
from typing import Any, Final
from urllib.parse import urlsplit

from inference_cache.api.quantities import GIB
from inference_cache.api.v1alpha1 import KVCacheDtype, ObjectStoreTier
from inference_cache.domain import names
from inference_cache.domain.defaults import HASH_ALGORITHM
from inference_cache.domain.fingerprint import weights_path
from inference_cache.domain.graces import HEARTBEAT_SECONDS, MQ_TIMEOUT_SECONDS, WORKER_REAP_SECONDS, compute_graces
from inference_cache.domain.scope import Scope

_DTYPES: Final = {KVCacheDtype.AUTO: "auto", KVCacheDtype.FP8_E4M3: "fp8_e4m3", KVCacheDtype.FP8_E5M2: "fp8_e5m2"}


def build_transfer_config() -> dict[str, Any]:
    """Return vLLM's KV transfer configuration.

    The policy is `recompute`, as vLLM's default fails the request when a load fails (vllm#34896). The module path keeps
    vLLM from its vendored connector, which stores decoded tokens too (LMCache#5230). The server is in the same pod, so
    it is reached on loopback; isolated IPC spares host IPC and a shared /dev/shm, and must agree with the server.
    """
    return {
        "kv_connector": "LMCacheMPConnector",
        "kv_connector_module_path": "lmcache.integration.vllm.lmcache_mp_connector",
        "kv_role": "kv_both",
        "kv_load_failure_policy": "recompute",
        "kv_connector_extra_config": {
            "lmcache.mp.host": "tcp://127.0.0.1",
            "lmcache.mp.port": names.CACHE_REQUEST_PORT,
            "lmcache.mp.mq_timeout": MQ_TIMEOUT_SECONDS,
            "lmcache.mp.heartbeat_interval": HEARTBEAT_SECONDS,
            "lmcache.mp.hash_algorithm": HASH_ALGORITHM,
            "lmcache.mp.isolated_ipc": True,
        },
    }


def build_engine_args(scope: Scope) -> list[str]:
    """Return the arguments of `vllm serve`.

    `--shutdown-timeout` is always positive: with 0 the client of a running request hangs until its own time-out.
    """
    settled = scope.settled
    percent = settled.gpu_memory_utilization_percent
    return [
        weights_path(scope.fingerprint),
        f"--served-model-name={settled.spec.model.name}",
        "--host=0.0.0.0",
        f"--port={names.ENGINE_PORT}",
        f"--tensor-parallel-size={settled.tensor_parallel_size}",
        f"--max-model-len={settled.spec.model.max_model_len}",
        f"--gpu-memory-utilization={percent // 100}.{percent % 100:02d}",
        f"--kv-cache-dtype={_DTYPES[settled.kv_cache_dtype]}",
        "--enable-prefix-caching",
        "--enable-prompt-tokens-details",
        f"--shutdown-timeout={compute_graces(settled.drain_seconds).drain}",
        f"--kv-transfer-config={_compact(build_transfer_config())}",
    ]


def build_cache_args(scope: Scope) -> list[str]:
    """Return the arguments of `lmcache server`.

    The request port stays on loopback; the HTTP port has no authentication, so a NetworkPolicy guards it.
    """
    settled = scope.settled
    args = [
        "--host=127.0.0.1",
        f"--port={names.CACHE_REQUEST_PORT}",
        "--http-host=0.0.0.0",
        f"--http-port={names.CACHE_HTTP_PORT}",
        f"--l1-size-gb={_gib(settled.memory_bytes)}",
        "--eviction-policy=LRU",
        f"--chunk-size={settled.chunk_tokens}",
        f"--hash-algorithm={HASH_ALGORITHM}",
        "--max-gpu-workers=1",
        "--isolated-ipc",
        f"--worker-reap-timeout-seconds={WORKER_REAP_SECONDS}",
    ]
    if settled.object_store is not None:
        args.append(f"--l2-adapter={_compact(build_s3_adapter(settled.object_store))}")
    return args


def build_s3_adapter(store: ObjectStoreTier) -> dict[str, Any]:
    """Return the configuration of LMCache's S3 adapter (TCP).

    The endpoint must hold the bucket as first label of the host, as the adapter knows no other addressing and no prefix
    (LMCache#3376). Plain HTTP needs HTTP/2 off. Credentials come from the environment, never from here: the server
    prints its configuration.
    """
    url = urlsplit(store.endpoint)
    plain = url.scheme == "http"
    return {
        "type": "s3",
        "s3_endpoint": f"s3://{store.bucket.name}.{url.netloc}",
        "s3_region": store.region,
        "s3_prefer_http2": not plain,
        "disable_tls": plain,
        "shared": True,
    }


def _gib(size: int) -> str:
    # LMCache's GB are GiB; fractions are exact to three digits and never above what the pod requests.
    whole, rest = divmod(size, GIB)
    thousandths = rest * 1000 // GIB
    return f"{whole}.{thousandths:03d}".rstrip("0").rstrip(".") if thousandths else str(whole)


def _compact(value: dict[str, Any]) -> str:
    return json.dumps(value, sort_keys=True, separators=(",", ":"))
