"""The known traps of LMCache and vLLM, one row each, with the upstream issue: what is rendered keeps out of them.

Each row has a check of the rendered objects of every golden case, and a way to break them that the check must notice.
What the operator refuses instead of rendering it is in test_trap_refusals.py.

Rows of the list of known problems that need more than a spec, and what is left of them for later parts:

- LMCache PR#3064 (the breaker's counter, which opens for good), 503s and slow stores that cost seconds for each cold
  look-up: read from a running server, so a matter of read-back and alerts.
- LMCache#3376, DNS of the virtual host and MINIO_DOMAIN: the bucket probe. Here: the endpoint's form.
- LMCache#4642, a cache server that the kubelet restarts within one heartbeat: replacing the pod, so the rollout
  planner. Here: nothing of ours restarts the server alone, and the engine notices in seconds.
- LMCache#4631, LMCache#5265, order of replacement: the rollout planner. Here: no surge, short reap time, orderly ends.
- LMCache#1063 and its kin, memlock of the container runtime: the preflight in the pod. Here: lazy pinning.
- "MP S3 load has no length check", comparing a stored object's size: the bucket probe. Here: no two layouts share keys.
- Lifecycle rules, rights and rotation of keys: the bucket probe and the credentials helper.
- Whether RDMA works: the preflight in the pod. Here: no server is told RDMA before one has tried it.
"""

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import pytest

from inference_cache.domain import names
from tests.domain import trap_checks as checks
from tests.domain.rendered import ALL, Body, Rendered, render_case, set_adapter, set_connector, set_env, set_flag


@dataclass(frozen=True)
class Trap:
    """A trap.

    Attributes:
        check: Whether the rendered objects of a case keep out of it; cases that it does not concern do.
        breaking: Leads the case into it.
        case: The case that is broken.
    """

    check: Callable[[Rendered], bool]
    breaking: Callable[[Rendered], object]
    case: str = "reference"


def _set_probe(container: Body | None, name: str, port: int) -> None:
    assert container is not None
    container[name] = {"httpGet": {"path": "/healthcheck", "port": port}}


def _store_in(config_map: Body) -> None:
    config_map["data"]["l2-adapters.json"] = json.dumps([{"aws_access_key_id": "x"}])


_OLD: Final = "older-pair"
_NIXL: Final = "path-style-private-ca"
TRAPS: Final[dict[str, Trap]] = {
    "LMCache#3376 the S3 client reaches a bucket as host name alone": Trap(checks.holds_bucket, lambda r: set_adapter(r, "s3_endpoint", "s3://s3.internal")),
    "LMCache S3 adapter fails every request of an endpoint with a trailing slash": Trap(checks.holds_bucket, lambda r: set_adapter(r, "s3_endpoint", "s3://kv-nemotron.s3.internal/")),
    "LMCache S3 adapter speaks HTTP/2 over plain HTTP by default": Trap(checks.matches_scheme, lambda r: set_adapter(r, "s3_prefer_http2", True)),
    "LMCache PR#4745 in-process hits of objects that were removed": Trap(checks.connects_out_of_process, lambda r: set_connector(r, "kv_connector", "LMCacheConnectorV1")),
    "LMCache#5230 vendored connector stores decode KV": Trap(checks.takes_lmcache_connector, lambda r: set_connector(r, "kv_connector_module_path", "")),
    "LMCache#5230 variable that forces the vendored connector": Trap(checks.takes_lmcache_connector, lambda r: set_env(r.engine, "LMCACHE_USE_UPSTREAM_MP", "1")),
    "LMCache#4642 server that restarts alone under its engine": Trap(checks.keeps_server_under_engine, lambda r: _set_probe(r.cache, "livenessProbe", 8080)),
    "LMCache#4642 dead server is noticed late and freezes requests for mq_timeout": Trap(checks.notices_soon, lambda r: set_connector(r, "lmcache.mp.mq_timeout", 300)),
    "vLLM does not start where its cache server does not answer yet": Trap(checks.keeps_server_under_engine, lambda r: (r.cache or {}).pop("startupProbe")),
    "LMCache#4631 LMCache#5265 server keeps GPU memory of dead engines": Trap(checks.reaps_soon, lambda r: set_flag(r.cache, "--worker-reap-timeout-seconds", None)),
    "LMCache#4631 LMCache#5265 new pod beside the one it replaces": Trap(checks.adds_no_pod_beside, lambda r: r.workload["spec"].update(updateStrategy={"type": "RollingUpdate"})),
    "vLLM with shutdown-timeout 0 leaves its client hanging": Trap(checks.ends_in_time, lambda r: set_flag(r.engine, "--shutdown-timeout", "0")),
    "vLLM answers requests that arrive while it drains with abort": Trap(checks.ends_in_time, lambda r: r.pod.update(terminationGracePeriodSeconds=120)),
    "LMCache#5164 healthcheck proves little and must not kill engines": Trap(checks.asks_engine_about_engine, lambda r: _set_probe(r.engine, "readinessProbe", 8080)),
    "LMCache#2901 LMCache PR#5127 LMCache#949 LMCache#792 pod without room for its tier": Trap(checks.has_room_for_tier, lambda r: (r.cache or {})["resources"].update(requests={"memory": "150Gi"})),
    "LMCache#2901 tier multiplied by the number of GPUs": Trap(checks.has_room_for_tier, lambda r: set_flag(r.cache, "--l1-size-gb", "9600")),
    "LMCache#1063 LMCache-Ascend#5 LMCache#242 one large pin at start": Trap(checks.pins_lazily, lambda r: set_flag(r.cache, "--no-l1-use-lazy", "")),
    "LMCache PR#2643 huge pages exclude shared memory": Trap(checks.takes_huge_pages_alone, lambda r: set_flag(r.cache, "--shm-name", "x"), "huge-pages"),
    "LMCache PR#2643 huge pages are limited like they are requested": Trap(checks.takes_huge_pages_alone, lambda r: (r.cache or {})["resources"]["limits"].pop("hugepages-2Mi"), "huge-pages"),
    "LMCache#1139 LMCache#1095 LMCache#2136 LMCache#2979 vllm#42625 hashes of each process": Trap(checks.hashes_alike, lambda r: set_env(r.engine, "PYTHONHASHSEED", None)),
    "LMCache#1139 connector and server hash differently": Trap(checks.hashes_alike, lambda r: set_flag(r.cache, "--hash-algorithm", "builtin")),
    "LMCache#3381 asynchronous loading fails with S3": Trap(checks.sets_nothing_else_of_lmcache, lambda r: set_env(r.engine, "LMCACHE_ENABLE_ASYNC_LOADING", "true")),
    "vllm#34896 vllm#32200 failed load fails the request": Trap(checks.recomputes, lambda r: set_connector(r, "kv_load_failure_policy", "fail")),
    "vllm#49250 vllm PR#49252 vllm PR#53298 recompute after a rejected synchronous load": Trap(checks.connects_out_of_process, lambda r: set_env(r.engine, "LMCACHE_CONFIG_FILE", "/x")),
    "nixl PR#2016 nixl#1763 RDMA that is silently off": Trap(checks.asks_for_rdma_after_a_preflight, lambda r: set_adapter(r, "backend_params", {"accelerated": "true"}), _NIXL),
    "aicr#2276 devices that only a part of the processes gets": Trap(checks.asks_for_rdma_after_a_preflight, lambda r: (r.cache or {})["resources"].update(limits={"memory": "1Gi"}), "rdma-sriov-required"),
    "LMCache documents a prometheus-port that nothing serves": Trap(checks.serves_metrics_where_they_are, lambda r: set_flag(r.cache, "--prometheus-port", "9090")),
    "LMCache's own operator writes disable-prometheus, which does not exist": Trap(checks.serves_metrics_where_they_are, lambda r: set_flag(r.cache, "--disable-prometheus", "")),
    "LMCache reports usage unless LMCACHE_TRACK_USAGE is false in lower case": Trap(checks.reports_nothing, lambda r: set_env(r.cache, "LMCACHE_TRACK_USAGE", "False")),
    "vLLM reports usage unless told otherwise": Trap(checks.reports_nothing, lambda r: set_env(r.engine, "VLLM_NO_USAGE_STATS", None)),
    "LMCache config and env routes show keys: in the adapter": Trap(checks.shows_no_keys, lambda r: set_adapter(r, "aws_access_key_id", "x")),
    "LMCache config and env routes show keys: in the ConfigMap": Trap(checks.shows_no_keys, lambda r: _store_in(r.find("ConfigMap")[0])),
    "LMCache config and env routes show keys: as literal variable": Trap(checks.shows_no_keys, lambda r: set_env(r.cache, "AWS_ACCESS_KEY_ID", "x")),
    "LMCache HTTP port has no authentication": Trap(checks.guards_http_port, lambda r: r.find("NetworkPolicy")[0]["spec"]["ingress"][1].pop("from")),
    "LMCache 0.5.3 and 0.5.6 listen on other hosts by default": Trap(checks.guards_http_port, lambda r: set_flag(r.cache, "--http-host", None)),
    "LMCache run_script route executes what it is sent": Trap(checks.runs_no_scripts, lambda r: set_flag(r.cache, "--run-script-api-enabled", "")),
    "LMCache keys hold neither type nor revision, and loads from S3 check no length": Trap(checks.puts_fingerprint_into_keys, lambda r: r.engine["args"].__setitem__(0, "/models/nemotron")),
    "LMCache keys hold the model text, so the public name stays out of it": Trap(checks.puts_fingerprint_into_keys, lambda r: set_flag(r.engine, "--served-model-name", None)),
    "vLLM replaces the model text by a snapshot path with HF_HUB_OFFLINE on some replicas": Trap(checks.keeps_key_prefix, lambda r: set_env(r.engine, "HF_HUB_OFFLINE", None)),
    "LMCache isolated IPC on one side": Trap(checks.shares_memory_alike, lambda r: set_connector(r, "lmcache.mp.isolated_ipc", False)),
    "LMCache 0.5.3 needs one /dev/shm in both containers": Trap(checks.shares_memory_alike, lambda r: (r.cache or {})["volumeMounts"].pop(), _OLD),
    "LMCache 0.5.3 fails where both processes have one process id": Trap(checks.shares_memory_alike, lambda r: r.pod.pop("shareProcessNamespace"), _OLD),
    "LMCache 0.5.3 does not know isolated IPC and ends": Trap(checks.shares_memory_alike, lambda r: set_flag(r.cache, "--isolated-ipc", ""), _OLD),
    "LMCache examples take hostIPC and /dev/shm of the host": Trap(checks.borrows_nothing_of_the_host, lambda r: r.pod.update(hostIPC=True)),
    "LMCache 0.5.3 puts the tier into /dev/shm without a name": Trap(checks.keeps_tier_out_of_shm, lambda r: set_flag(r.cache, "--shm-name", None), _OLD),
    "LMCache 0.5.3 and 0.5.6 transfer in other modes by default": Trap(checks.copies_between_gpu_and_tier, lambda r: set_flag(r.cache, "--supported-transfer-mode", None), _OLD),
    "LMCache nixl_native refuses numbers": Trap(checks.fits_adapter, lambda r: set_adapter(r, "backend_params", {"num_threads": 8}), _NIXL),
    "LMCache nixl_native cannot delete and refuses eviction": Trap(checks.fits_adapter, lambda r: set_adapter(r, "eviction", {"eviction_policy": "LRU"}), _NIXL),
    "LMCache GDS tier disables the store": Trap(checks.fits_adapter, lambda r: set_flag(r.cache, "--gds-l1-path", "/x")),
    "boto3#4392 checksums that other stores refuse": Trap(checks.sends_no_newer_checksums, lambda r: r.find("ConfigMap")[0]["data"].pop("aws-config")),
    "LMCache S3 adapter needs a region": Trap(checks.names_region, lambda r: set_adapter(r, "s3_region", "")),
    "LMCache accepts a chunk size of 0": Trap(checks.divides_chunks, lambda r: set_flag(r.cache, "--chunk-size", "0")),
    "LMCache chunks must be whole blocks": Trap(checks.divides_chunks, lambda r: set_flag(r.engine, "--block-size", "48"), "oci-image"),
    "LMCache server needs GPU memory beside vLLM's 92 percent": Trap(checks.leaves_gpu_memory, lambda r: set_flag(r.engine, "--gpu-memory-utilization", None)),
    "LMCache server must see GPUs that it does not allocate": Trap(checks.allocates_gpus_once, lambda r: (r.cache or {})["resources"]["limits"].update({names.GPU_RESOURCE: "8"})),
    "vLLM reads VLLM_PORT, which a Service named vllm sets in every pod": Trap(checks.ignores_service_links, lambda r: r.pod.update(enableServiceLinks=True)),
}  # fmt: skip


@pytest.mark.parametrize("trap", TRAPS.values(), ids=TRAPS.keys())
def test_rendered_pods_keep_out_of(trap: Trap) -> None:
    assert [rendered.case for rendered in ALL if not trap.check(rendered)] == []


@pytest.mark.parametrize("trap", TRAPS.values(), ids=TRAPS.keys())
def test_check_would_notice(trap: Trap) -> None:
    rendered = render_case(trap.case)
    assert trap.check(rendered)
    trap.breaking(rendered)
    assert not trap.check(rendered)
