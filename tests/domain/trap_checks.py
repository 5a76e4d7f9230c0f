"""What must hold for the rendered objects of a case, one predicate for each trap that the tests name.

Cases that a trap does not concern keep out of it.
"""

import configparser
import re
from collections.abc import Callable, Iterator
from typing import Any

from inference_cache.api.quantities import GIB, parse_quantity
from inference_cache.domain import names
from inference_cache.domain.graces import MQ_TIMEOUT_SECONDS
from inference_cache.domain.versions import Feature
from tests.domain.rendered import Body, Rendered, env, flag


def _every(rendered: Rendered, holds: Callable[[Body], bool]) -> bool:
    return all(map(holds, rendered.containers))


def _texts(value: Any) -> Iterator[str]:
    if isinstance(value, dict):
        yield from (text for key, item in value.items() for text in (key, *_texts(item)))
    elif isinstance(value, list):
        yield from (text for item in value for text in _texts(item))
    elif isinstance(value, str):
        yield value


def _number(rendered: Rendered, key: str) -> float:
    return float(_mp(rendered, key))


def _mp(rendered: Rendered, key: str) -> Any:
    return None if rendered.connector is None else rendered.connector["kv_connector_extra_config"].get(key)


def _isolated(rendered: Rendered) -> bool:
    return Feature.ISOLATED_IPC in rendered.scope.pair.features


def _probes(container: Body) -> list[tuple[str, int]]:
    return [(key, container[key]["httpGet"]["port"]) for key in container if key.endswith("Probe")]


def _s3(rendered: Rendered) -> list[Body]:
    return [adapter for adapter in rendered.choices if adapter["type"] == "s3"]


def holds_bucket(rendered: Rendered) -> bool:
    store = rendered.scope.settled.object_store
    if store is None:
        return True
    expected = f"s3://{store.bucket.name}.{store.endpoint.partition('://')[2]}"
    return all(adapter["s3_endpoint"] == expected for adapter in _s3(rendered)) and not expected.endswith("/")


def matches_scheme(rendered: Rendered) -> bool:
    store = rendered.scope.settled.object_store
    plain = store is not None and store.endpoint.startswith("http://")
    return all((adapter["disable_tls"], adapter["s3_prefer_http2"]) == (plain, not plain) for adapter in _s3(rendered))


def connects_out_of_process(rendered: Rendered) -> bool:
    known = rendered.connector is None or rendered.connector["kv_connector"] == "LMCacheMPConnector"
    return known and _every(rendered, lambda item: "LMCACHE_CONFIG_FILE" not in env(item))


def takes_lmcache_connector(rendered: Rendered) -> bool:
    path = "lmcache.integration.vllm.lmcache_mp_connector"
    known = rendered.connector is None or rendered.connector["kv_connector_module_path"] == path
    return (
        known
        and "LMCACHE_USE_UPSTREAM_MP" not in env(rendered.engine)
        and not _mp(rendered, "lmcache.mp.save_decode_cache")
    )


def keeps_server_under_engine(rendered: Rendered) -> bool:
    cache = rendered.cache
    if cache is None:
        return rendered.connector is None
    started_before = cache in rendered.pod["initContainers"] and cache["restartPolicy"] == "Always"
    return started_before and "startupProbe" in cache and "livenessProbe" not in cache


def notices_soon(rendered: Rendered) -> bool:
    if rendered.connector is None:
        return True
    return (
        2 <= _number(rendered, "lmcache.mp.heartbeat_interval") <= 5
        and 0 < _number(rendered, "lmcache.mp.mq_timeout") <= 10
    )


def reaps_soon(rendered: Rendered) -> bool:
    if rendered.cache is None:
        return True
    seconds = float(flag(rendered.cache, "--worker-reap-timeout-seconds") or 120)
    return 30 <= seconds < 120 and seconds >= 3 * _number(rendered, "lmcache.mp.heartbeat_interval")


def adds_no_pod_beside(rendered: Rendered) -> bool:
    spec = rendered.workload["spec"]
    return bool(spec["updateStrategy"] == {"type": "OnDelete"})


def ends_in_time(rendered: Rendered) -> bool:
    drain = int(flag(rendered.engine, "--shutdown-timeout") or 0)
    before = rendered.engine["lifecycle"]["preStop"]["sleep"]["seconds"]
    return (
        drain > 0
        and before > 0
        and rendered.pod["terminationGracePeriodSeconds"] >= before + drain + MQ_TIMEOUT_SECONDS + 10
    )


def asks_engine_about_engine(rendered: Rendered) -> bool:
    engine = [port == names.ENGINE_PORT for _, port in _probes(rendered.engine)]
    cache = [key for key, _ in _probes(rendered.cache)] if rendered.cache else ["startupProbe"]
    return len(engine) == 3 and all(engine) and cache == ["startupProbe"]


def has_room_for_tier(rendered: Rendered) -> bool:
    """`--l1-size-gb` is the size of the whole server, whatever the number of GPUs."""
    if rendered.cache is None:
        return True
    tier = round(float(flag(rendered.cache, "--l1-size-gb") or 0) * GIB)
    requests = rendered.cache["resources"]["requests"]
    room = parse_quantity(requests["memory"]) + parse_quantity(requests.get(names.HUGE_PAGES_RESOURCE, "0"))
    return tier == rendered.scope.settled.memory_bytes // 2**20 * 2**20 and room >= tier + 2 * GIB


def pins_lazily(rendered: Rendered) -> bool:
    return rendered.cache is None or flag(rendered.cache, "--no-l1-use-lazy") is None


def takes_huge_pages_alone(rendered: Rendered) -> bool:
    cache = rendered.cache
    if cache is None or flag(cache, "--l1-use-hugepages") is None:
        return True
    requests, limits = (cache["resources"][side].get(names.HUGE_PAGES_RESOURCE) for side in ("requests", "limits"))
    others = ("--shm-name", "--l1-use-lazy", "--gds-l1-path")
    return requests is not None and requests == limits and not any(flag(cache, other) is not None for other in others)


def hashes_alike(rendered: Rendered) -> bool:
    if rendered.cache is not None and flag(rendered.cache, "--hash-algorithm") != "blake3":
        return False
    return _mp(rendered, "lmcache.mp.hash_algorithm") in {None, "blake3"} and _every(
        rendered, lambda item: env(item).get("PYTHONHASHSEED") == "0"
    )


def sets_nothing_else_of_lmcache(rendered: Rendered) -> bool:
    known = {"LMCACHE_TRACK_USAGE", "LMCACHE_LOG_LEVEL"}
    return _every(rendered, lambda item: {name for name in env(item) if name.startswith("LMCACHE_")} <= known)


def recomputes(rendered: Rendered) -> bool:
    return rendered.connector is None or rendered.connector["kv_load_failure_policy"] == "recompute"


def asks_for_rdma_after_a_preflight(rendered: Rendered) -> bool:
    """No server is told RDMA by its template, and devices go to those alone that try them first."""
    params = (rendered.adapter or {}).get("backend_params", {})
    plain = {"cpu", "memory", "ephemeral-storage", names.GPU_RESOURCE, names.HUGE_PAGES_RESOURCE}
    holders = [
        item["name"]
        for item in rendered.containers
        if item["resources"].get("claims") or item["resources"]["limits"].keys() - plain
    ]
    told = {"accelerated", "type"} & params.keys()
    return not told and holders in ([], [names.PREFLIGHT_CONTAINER, names.CACHE_CONTAINER])


def serves_metrics_where_they_are(rendered: Rendered) -> bool:
    if rendered.cache is None:
        return True
    http = flag(rendered.cache, "--http-port")
    ports = [str(port["port"]) for service in rendered.find("Service") for port in service["spec"]["ports"]]
    return http in ports and all(
        flag(rendered.cache, item) is None for item in ("--prometheus-port", "--disable-prometheus")
    )


def reports_nothing(rendered: Rendered) -> bool:
    wanted = {"LMCACHE_TRACK_USAGE": "false", "DO_NOT_TRACK": "1", "VLLM_NO_USAGE_STATS": "1"}
    return _every(rendered, lambda item: wanted.items() <= env(item).items())


def shows_no_keys(rendered: Rendered) -> bool:
    signing = {
        name: value for item in rendered.containers for name, value in env(item).items() if name.startswith("AWS_")
    }
    literal = {name for name, value in signing.items() if value is not None}
    contents = [item["data"] for item in rendered.find("ConfigMap")]
    # The programs of the agent read keys, and hold none.
    shown = [{key: text for key, text in data.items() if not key.endswith(".py")} for data in contents]
    texts = " ".join(_texts([shown, [item["args"] for item in rendered.containers]]))
    return literal <= {"AWS_CONFIG_FILE"} and not re.search("(?i)access_key|secret_key|session_token", texts)


def guards_http_port(rendered: Rendered) -> bool:
    if rendered.cache is None:
        return True
    (policy,) = rendered.find("NetworkPolicy")
    port = int(flag(rendered.cache, "--http-port") or 0)
    guarded = [rule for rule in policy["spec"]["ingress"] if port in [item["port"] for item in rule["ports"]]]
    everywhere = {"--host": "127.0.0.1", "--http-host": "0.0.0.0"}  # noqa: S104
    hosts = {name: flag(rendered.cache, name) for name in everywhere}
    return bool(guarded) and all(rule.get("from") for rule in guarded) and hosts == everywhere


def runs_no_scripts(rendered: Rendered) -> bool:
    return rendered.cache is None or flag(rendered.cache, "--run-script-api-enabled") is None


def puts_fingerprint_into_keys(rendered: Rendered) -> bool:
    model: str = rendered.engine["args"][0]
    return model == f"/models/kv-{rendered.scope.fingerprint}" and flag(rendered.engine, "--served-model-name") not in {
        None,
        model,
    }


def keeps_key_prefix(rendered: Rendered) -> bool:
    return env(rendered.engine).get("HF_HUB_OFFLINE") == "1"


def shares_memory_alike(rendered: Rendered) -> bool:
    """Isolated on both sides; without isolation one /dev/shm for both, and process ids that differ."""
    cache = rendered.cache
    if cache is None:
        return True
    both = (flag(cache, "--isolated-ipc") is not None, bool(_mp(rendered, "lmcache.mp.isolated_ipc")))
    if _isolated(rendered):
        return both == (True, True)
    volumes = [
        {mount["name"] for mount in item["volumeMounts"] if mount["mountPath"] == "/dev/shm"}  # noqa: S108
        for item in (cache, rendered.engine)
    ]
    return (
        both == (False, False)
        and volumes[0] == volumes[1] != set()
        and rendered.pod.get("shareProcessNamespace") is True
    )


def borrows_nothing_of_the_host(rendered: Rendered) -> bool:
    host = any(rendered.pod.get(key) for key in ("hostIPC", "hostPID", "hostNetwork"))
    return not host and not any("hostPath" in volume for volume in rendered.pod["volumes"])


def keeps_tier_out_of_shm(rendered: Rendered) -> bool:
    return rendered.cache is None or _isolated(rendered) or flag(rendered.cache, "--shm-name") == ""


def copies_between_gpu_and_tier(rendered: Rendered) -> bool:
    return rendered.cache is None or flag(rendered.cache, "--supported-transfer-mode") == "lmcache_driven"


def fits_adapter(rendered: Rendered) -> bool:
    """NIXL takes texts alone, and no eviction, as it cannot delete; no tier may be GDS, which excludes the store."""
    texts = all(
        isinstance(value, str) for item in rendered.choices for value in item.get("backend_params", {}).values()
    )
    return (
        texts
        and not any({"eviction", "serde"} & item.keys() for item in rendered.choices)
        and not any("--gds-l1" in arg for arg in (rendered.cache or {"args": []})["args"])
    )


def sends_no_newer_checksums(rendered: Rendered) -> bool:
    if rendered.scope.settled.object_store is None:
        return True
    parser = configparser.ConfigParser()
    for item in rendered.find("ConfigMap"):
        parser.read_string(item["data"].get("aws-config", ""))
    keys = ("request_checksum_calculation", "response_checksum_validation")
    return all(parser.get("default", key, fallback="") == "when_required" for key in keys)


def names_region(rendered: Rendered) -> bool:
    return all(
        item["type"] == "plugin" or (item.get("backend_params") or {}).get("region") or item.get("s3_region")
        for item in rendered.choices
    )


def divides_chunks(rendered: Rendered) -> bool:
    chunk = int(flag(rendered.cache, "--chunk-size") or 0) if rendered.cache else 256
    return chunk > 0 and chunk % int(flag(rendered.engine, "--block-size") or 16) == 0


def leaves_gpu_memory(rendered: Rendered) -> bool:
    asked = rendered.scope.settled.spec.engine
    chosen = asked is not None and asked.gpu_memory_utilization_percent is not None
    return chosen or float(flag(rendered.engine, "--gpu-memory-utilization") or 1) <= 0.88


def allocates_gpus_once(rendered: Rendered) -> bool:
    if rendered.cache is None:
        return True
    side = [names.GPU_RESOURCE in _texts(item["resources"]) for item in (rendered.cache, rendered.engine)]
    return side == [False, True] and env(rendered.cache)["NVIDIA_VISIBLE_DEVICES"] == "all"


def ignores_service_links(rendered: Rendered) -> bool:
    return rendered.pod["enableServiceLinks"] is False
