"""The documents /status and /config of LMCache server 0.5.6, and its page /metrics.

Structure and names are those of recorded answers; values come from the command line and from what the server did.
"""

from collections.abc import Mapping
from typing import Any, Final

from .arguments import Adapter
from .cache_server import L1_TAG, CacheServer
from .tally import Page

_ALIVE: Final = {"is_healthy": True, "thread_alive": True}
_EXTRA_LOGGING: Final = {"extra_logging_enabled": False, "extra_logging_interval": 10.0}


def build_status(server: CacheServer) -> dict[str, Any]:
    """Return /status. Only an open breaker makes it unhealthy: refused requests and failed writes do not show."""
    arguments = server.arguments
    adapters = [
        {
            "is_healthy": not store.disabled,
            "type": "S3L2Adapter",
            "endpoint": store.adapter.endpoint,
            "region": store.adapter.region,
            "connection_failures": store.failures,
            "connection_disabled": store.disabled,
            "current_size_bytes": store.known_objects * server.chunk_bytes,
            "max_capacity_bytes": 0,
        }
        for store in server.stores
    ]
    count = {"num_l2_adapters": len(adapters), "num_active_adapters": len(adapters), "num_draining_adapters": 0}
    memory = _build_memory(server)
    controller = {**_ALIVE, "pending_keys_count": 0, "in_flight_task_count": server.stores_in_flight, **count}
    eviction = {**_ALIVE, **_build_eviction(server)}
    idle = ("submission_queue_size", "pending_queue_size", "in_flight_request_count", "lookup_phase_count")
    prefetch = {
        **_ALIVE,
        "max_in_flight": 8,
        **dict.fromkeys((*idle, "load_phase_count", "completed_results_count"), 0),
    }
    instance = int(server.started_at * 1000)
    engine = server.engine
    meta = {} if engine is None else {str(instance): {**vars(engine), "use_mla": True}}
    return {
        "is_healthy": server.healthy,
        "engine_type": "MPCacheServer",
        "chunk_size": arguments.chunk_size,
        "hash_algorithm": arguments.hash_algorithm,
        "active_sessions": 0,
        "storage_manager": {
            "is_healthy": server.healthy,
            "l1_managers": {L1_TAG: memory},
            "store_controllers": {L1_TAG: controller},
            "l1_eviction_controllers": {L1_TAG: eviction},
            "prefetch_controller": prefetch | count,
            "l2_eviction_controller": {**_ALIVE, "adapters": []},
            "l2_adapters": adapters,
            "num_l2_adapters": len(adapters),
            "l1_usage": [server.used_bytes, arguments.l1_bytes],
            "l1_capacity_bytes_by_backend": {"dram": arguments.l1_bytes},
            "l1_manager": memory,
            "store_controller": controller,
            "l1_eviction_controller": eviction,
        },
        "active_prefetch_jobs": 0,
        "active_p2p_lookup_jobs": 0,
        "p2p_enabled": False,
        "p2p_state": "unregistered",
        "p2p_peer_count": 0,
        "p2p_peers": [],
        "worker_liveness": {
            "enabled": True,
            "reap_timeout_seconds": arguments.worker_reap_seconds,
            "registration_grace_seconds": 3600.0,
            "tracked_instances": len(meta),
        },
        "kv_events": {
            "enabled": True,
            "incarnation": int(server.started_at * 1e9),
            "log_depth": server.events,
            "log_capacity": 32768,
            "next_seq": server.events + 1,
            "lost_markers": 0,
            "unbound_stores": 0,
            "subscribers": 0,
        },
        # The recorded servers had CPU engines; how a GPU engine shows here was not recorded.
        "registered_non_cuda_instance_ids": [instance] if meta else [],
        "non_cuda_context_meta": meta,
    }


def build_config(server: CacheServer) -> dict[str, Any]:
    """Return /config."""
    arguments = server.arguments
    instance = f"simulated-{int(server.started_at * 1000)}"
    memory = {
        "size_in_bytes": arguments.l1_bytes,
        "use_lazy": False,
        "init_size_in_bytes": arguments.l1_bytes,
        "align_bytes": 4096,
        "shm_name": "",
        "use_hugepages": False,
        "devdax_path": None,
        "devdax_size_in_bytes": 0,
    }
    eviction = _build_eviction(server) | _EXTRA_LOGGING
    manager = {
        "memory_config": memory,
        "gds_l1_config": None,
        "write_ttl_seconds": 600,
        "read_ttl_seconds": 300,
        "tag": L1_TAG,
        "eviction": eviction,
    }
    return {
        "mp": _build_mp(server, instance),
        "storage_manager": {
            "l1_manager_config": manager,
            "eviction_config": eviction,
            "l2_adapter_config": {"adapters": [_build_adapter(item) for item in arguments.adapters]},
            "store_policy": "default",
            "prefetch_policy": "retain" if arguments.keep_loaded else "default",
            "prefetch_max_in_flight": 8,
            "periodic_notifier_interval_ms": 5,
            "l1_manager_configs": [manager],
        },
        "observability": {
            "enabled": True,
            "max_queue_size": 10000,
            "metrics_enabled": True,
            "grpc_metrics_enabled": False,
            "logging_enabled": True,
            "tracing_enabled": False,
            "otlp_endpoint": None,
            "prometheus_port": 9090,
            "metrics_sample_rate": 0.01,
            "lookup_hash_log": {
                "output_dir": "",
                "rotation_interval_sec": 21600,
                "rotation_max_size": 104857600,
                "max_files": 100,
            },
            "gc_monitor": {"enabled": False, "min_pause_ms": 1.0, "top_objects": 0},
            **_EXTRA_LOGGING,
            "trace_level": None,
            "trace_output": None,
            "service_instance_id": instance,
        },
        "http": {"http_host": arguments.http_host, "http_port": arguments.http_port},
        "coordinator": {
            "url": "",
            "advertise_ip": "",
            "heartbeat_interval": 5.0,
            "event_reporting": False,
            "event_flush_interval": 1.0,
            "event_sink_config": {},
            "blend_timeout": 1.0,
            "blend_match_concurrency": 8,
        },
    }


def write_metrics(server: CacheServer) -> str:
    """Return /metrics. The counters of requests appear with the first request, as in the real server."""
    page = Page()
    tag = {"backend": "dram", "l1_tag": L1_TAG}
    page.gauge("process_start_time_seconds", server.started_at)
    page.gauge("target_info", 1, service_name="unknown_service", telemetry_sdk_language="python")
    page.family("lmcache_mp_l1_eviction_loop_ticks_total", "counter", [((), 1)])
    page.gauge("lmcache_mp_event_bus_queue_depth", 0)
    page.gauge("lmcache_mp_event_bus_drain_lag_seconds", 0)
    page.family("lmcache_mp_event_bus_dropped_events_total", "counter", [((), 0)])
    page.gauge("lmcache_mp_l1_memory_usage_bytes", server.used_bytes, **tag)
    page.gauge("lmcache_mp_l1_usage_ratio", _ratio(server), **tag)
    page.gauge("lmcache_mp_l1_staging_bytes", 0, **tag)
    active = len(server.stores)
    states = ((("l1_tag", L1_TAG), ("state", "active")), (("l1_tag", L1_TAG), ("state", "draining")))
    page.family("lmcache_mp_l2_store_adapters", "gauge", zip(states, (active, 0), strict=True))
    prefetch = [((("state", "active"),), float(active)), ((("state", "draining"),), 0.0)]
    page.family("lmcache_mp_l2_prefetch_adapters", "gauge", prefetch)
    if server.stores:
        stored = sum(store.known_objects for store in server.stores) * server.chunk_bytes
        page.gauge("lmcache_mp_l2_usage_bytes", stored, l2_name="s3")
    page.gauge("lmcache_mp_active_prefetch_jobs", 0)
    page.gauge("lmcache_mp_active_p2p_lookup_jobs", 0)
    page.gauge("lmcache_mp_kv_events_log_depth", server.events)
    server.tally.write(page)
    return page.text()


def alter(document: dict[str, Any], changes: Mapping[str, Any]) -> dict[str, Any]:
    """Replace values by dotted path (a number is an index of a list); paths that the document lacks are left out."""
    for path, value in changes.items():
        *parents, leaf = path.split(".")
        place: Any = document
        for step in parents:
            place = _descend(place, step)
        if isinstance(place, dict) and leaf in place:
            place[leaf] = value
        elif isinstance(place, list) and leaf.isdecimal() and int(leaf) < len(place):
            place[int(leaf)] = value
    return document


def _descend(place: Any, step: str) -> Any:
    if isinstance(place, dict):
        return place.get(step)
    if isinstance(place, list) and step.isdecimal() and int(step) < len(place):
        return place[int(step)]
    return None


def _ratio(server: CacheServer) -> float:
    return server.used_bytes / server.arguments.l1_bytes if server.arguments.l1_bytes else 0.0


def _build_eviction(server: CacheServer) -> dict[str, Any]:
    arguments = server.arguments
    return {
        "eviction_policy": arguments.eviction_policy,
        "trigger_watermark": arguments.eviction_watermark,
        "eviction_ratio": arguments.eviction_ratio,
    }


def _build_memory(server: CacheServer) -> dict[str, Any]:
    total = server.arguments.l1_bytes
    none = ("write_locked_count", "read_locked_count", "temporary_count", "staging_object_count", "staging_bytes")
    return {
        "is_healthy": True,
        "total_object_count": server.objects,
        **dict.fromkeys(none, 0),
        "memory_used_bytes": server.used_bytes,
        "memory_total_bytes": total,
        "memory_configured_bytes": total,
        "capacity_bytes_by_backend": {"dram": total},
        "memory_usage_ratio": _ratio(server),
        "write_ttl_seconds": 600,
        "read_ttl_seconds": 300,
    }


def _build_mp(server: CacheServer, instance: str) -> dict[str, Any]:
    arguments = server.arguments
    return {
        "transport": "zmq",
        "host": arguments.request_host,
        "port": arguments.request_port,
        "chunk_size": arguments.chunk_size,
        "max_workers": 1,
        "max_gpu_workers": arguments.max_gpu_workers,
        "max_cpu_workers": 1,
        "grpc_server_workers": 32,
        "hash_algorithm": arguments.hash_algorithm,
        "engine_type": "default",
        "separate_object_groups": False,
        "enable_segmented_prefix": False,
        "enable_dedup_content": False,
        "enable_blend_reorder": False,
        "supported_transfer_mode": "lmcache_driven",
        "isolated_ipc": arguments.isolated_ipc,
        "runtime_plugin_config": {"locations": [], "extra_config": {}},
        "p2p_config": {
            "advertise_url": "",
            "listen_url": "",
            "lookup_timeout": 30.0,
            "load_timeout": 30.0,
            "transfer_engine": "nixl",
        },
        "shm_name": "",
        "script_allowed_imports": [],
        "run_script_api_enabled": False,
        "instance_id": instance,
        "worker_reap_timeout_seconds": arguments.worker_reap_seconds,
        "session_ttl_seconds": 600.0,
        "worker_registration_grace_seconds": 3600.0,
        "enable": [],
        "kv_event_log_size": 32768,
        "null_block_id": 0,
        "server_modules": [],
    }


def _build_adapter(adapter: Adapter) -> dict[str, Any]:
    given = adapter.options
    return {
        "s3_endpoint": given.get("s3_endpoint"),
        "s3_region": adapter.region,
        "s3_num_io_threads": given.get("s3_num_io_threads", 4),
        "s3_prefer_http2": given.get("s3_prefer_http2", True),
        "s3_enable_s3express": False,
        "disable_tls": not adapter.tls,
        "aws_access_key_id": None,
        "aws_secret_access_key": None,
        "max_capacity_gb": 0.0,
        "eviction_config": None,
        "affinity_tag": L1_TAG,
        "shared": given.get("shared", False),
        "persist_config": "PersistConfig(persist_enabled=True)",
        "serde_config": None,
    }
