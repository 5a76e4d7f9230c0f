"""What should exist for a deployment: golden files, and properties that hold for every spec."""

import random
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from inference_cache.domain.desired import build_desired
from inference_cache.domain.fingerprint import compute_fingerprint
from inference_cache.domain.kinds import CONFIG_MAP, STATEFUL_SET
from inference_cache.domain.versions import DEFAULT_PAIR, VersionPair
from tests.golden.cases import CASES, golden_path, load_scope, render
from tests.support.builders import build_sample_scope, build_scope, build_settled, build_spec, load_sample, settle_spec

_STORE = "cache.tiers.1.objectStore"
_HUB = "model.source.huggingFace"


@pytest.mark.parametrize("case", CASES)
def test_objects_are_those_of_the_golden_file(case: str) -> None:
    remedy = "read the difference, then run python -m tests.golden.regenerate"
    assert golden_path(case).read_text(encoding="utf-8") == render(case), remedy


def test_reference_case_is_the_sample() -> None:
    assert load_scope("reference").settled.spec == settle_spec(load_sample()["spec"]).spec


def test_stateful_set_comes_last_because_it_refers_to_the_others() -> None:
    assert build_desired(build_sample_scope())[-1].kind is STATEFUL_SET


def _shuffle(value: Any, order: random.Random) -> Any:
    if isinstance(value, dict):
        keys = list(value)
        order.shuffle(keys)
        return {key: _shuffle(value[key], order) for key in keys}
    return [_shuffle(item, order) for item in value] if isinstance(value, list) else value


_CHANGES = st.fixed_dictionaries(
    {},
    optional={
        "replicas": st.integers(0, 1000),
        "engine.tensorParallelSize": st.integers(1, 16),
        "engine.kvCacheDtype": st.sampled_from(["Auto", "FP8E4M3", "FP8E5M2"]),
        "engine.gpuMemoryUtilizationPercent": st.integers(10, 95),
        "cache.chunkTokens": st.integers(1, 256).map(lambda blocks: blocks * 16),
        "nodes.selector": st.dictionaries(st.from_regex("[a-z]{1,8}", fullmatch=True), st.just("x"), max_size=8),
        "rollout.drainSeconds": st.integers(1, 3600),
        "rollout.maxUnavailable": st.integers(1, 100),
    },
)


@given(changes=_CHANGES, order=st.randoms(use_true_random=False))
def test_same_spec_in_any_order_of_its_maps_gives_the_same_bytes(changes: dict[str, Any], order: random.Random) -> None:
    spec = build_spec(changes)
    one, other = (build_desired(build_scope(settle_spec(form))) for form in (spec, _shuffle(spec, order)))
    assert repr(one) == repr(other)


@given(st.integers(min_value=1, max_value=4096))
def test_equal_memory_in_other_units_gives_the_same_objects_and_fingerprint(gib: int) -> None:
    texts = (f"{gib}Gi", f"{gib * 1024}Mi", f"{gib * 1024 * 1024}Ki", str(gib * 2**30))
    scopes = [build_sample_scope({"cache.tiers.0.memory.size": text}) for text in texts]
    assert len({scope.fingerprint for scope in scopes}) == 1
    assert len({repr(build_desired(scope)) for scope in scopes}) == 1


def test_memory_of_1200gi_may_be_written_in_mi() -> None:
    one, other = (build_sample_scope({"cache.tiers.0.memory.size": text}) for text in ("1200Gi", "1228800Mi"))
    assert build_desired(one) == build_desired(other)


_CLAIM = {"model.source": {"persistentVolumeClaim": {"claimName": "w", "path": "a", "revision": "1"}}}
_LAYOUT: dict[str, dict[str, Any]] = {
    "repository": {f"{_HUB}.repository": "other/model"},
    "revision": {f"{_HUB}.revision": "f" * 40},
    "tensor parallel size": {"engine.tensorParallelSize": 4},
    "kv cache dtype": {"engine.kvCacheDtype": "FP8E5M2"},
    "chunk size": {"cache.chunkTokens": 512},
    "context length": {"model.maxModelLen": 4096},
    "source is a claim": _CLAIM,
    "claim": _CLAIM | {"model.source.persistentVolumeClaim.claimName": "v"},
    "path in the claim": _CLAIM | {"model.source.persistentVolumeClaim.path": "b"},
    "revision of the claim": _CLAIM | {"model.source.persistentVolumeClaim.revision": "2"},
}
_OTHER: dict[str, dict[str, Any]] = {
    "served name": {"model.name": "other"},
    "hub token": {f"{_HUB}.tokenSecretRef": {"name": "hub"}},
    "replicas": {"replicas": 7},
    "share of GPU memory": {"engine.gpuMemoryUtilizationPercent": 50},
    "image": {"engine.image": "other/engine:vllm-0.32.0-lmcache-0.5.6"},
    "memory size": {"cache.tiers.0.memory.size": "64Gi"},
    "endpoint": {f"{_STORE}.endpoint": "https://other.example"},
    "region": {f"{_STORE}.region": "eu-central-1"},
    "bucket": {f"{_STORE}.bucket.name": "other"},
    "store credentials": {f"{_STORE}.credentials.secretRef.name": "other"},
    "selector": {"nodes.selector": {"pool": "x"}},
    "tolerations": {"nodes.tolerations": []},
    "GPU products": {"nodes.requirements.gpu.products": ["H100"]},
    "budget": {"rollout.maxUnavailable": 3},
    "drain": {"rollout.drainSeconds": 1},
    "kv cache dtype as its default": {"engine.kvCacheDtype": "Auto"},
    "chunk size as its default": {"cache.chunkTokens": 256},
}


def _fingerprint(changes: dict[str, Any], pair: VersionPair = DEFAULT_PAIR) -> str:
    return compute_fingerprint(build_settled(changes), pair, "inference")


def test_every_layout_fact_gives_a_fingerprint_of_its_own() -> None:
    prints = {"sample": _fingerprint({})} | {name: _fingerprint(changes) for name, changes in _LAYOUT.items()}
    assert len(set(prints.values())) == len(prints), prints


@pytest.mark.parametrize("changes", _OTHER.values(), ids=_OTHER.keys())
def test_fingerprint_ignores_what_does_not_change_the_bytes(changes: dict[str, Any]) -> None:
    assert _fingerprint(changes) == _fingerprint({})


def test_fingerprint_follows_the_key_format_and_not_the_version_number() -> None:
    newer = replace(DEFAULT_PAIR, vllm="9.0.0", lmcache="9.0.0")
    assert _fingerprint({}, newer) == _fingerprint({})
    assert _fingerprint({}, replace(DEFAULT_PAIR, key_format="another format")) != _fingerprint({})


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ({"requests": {"memory": "98304Mi"}}, {"requests": {"memory": "96Gi"}}),
        ({"limits": {"memory": "1024Gi"}}, {"limits": {"memory": "1Ti"}}),
        ({"requests": {"cpu": "32000m"}}, {"requests": {"cpu": "32"}}),
        ({"limits": {"ephemeral-storage": "2000G"}}, {"limits": {"ephemeral-storage": "2T"}}),
    ],
)
def test_equal_amounts_in_other_units_give_the_same_objects(one: dict[str, Any], other: dict[str, Any]) -> None:
    """The API server keeps one form of each amount; any other one would be written again in every pass."""
    scopes = [build_sample_scope({"engine.resources": resources}) for resources in (one, other)]
    assert build_desired(scopes[0]) == build_desired(scopes[1])


@pytest.mark.parametrize("case", CASES)
def test_every_mount_has_a_volume_and_every_volume_a_mount(case: str) -> None:
    pod = _pod(case)
    mounted = {mount["name"] for item in _containers(pod) for mount in item["volumeMounts"]}
    volumes = [volume["name"] for volume in pod["volumes"]]
    assert sorted(mounted) == sorted(volumes)


@pytest.mark.parametrize("case", CASES)
def test_configuration_of_the_pods_is_one_of_the_objects(case: str) -> None:
    scope = load_scope(case)
    store = scope.settled.object_store
    authorities = {store.tls.ca_ref.config_map} if store and store.tls else set()
    ours = {item.name for item in build_desired(scope) if item.kind is CONFIG_MAP}
    used = {volume["configMap"]["name"] for volume in _pod(case)["volumes"] if "configMap" in volume}
    assert used == ours | authorities


@pytest.mark.parametrize("case", CASES)
def test_no_container_may_do_more_than_it_must(case: str) -> None:
    pod = _pod(case)
    assert pod["automountServiceAccountToken"] is False
    for item in _containers(pod):
        context = item["securityContext"]
        assert context["allowPrivilegeEscalation"] is False
        assert context["capabilities"]["drop"] == ["ALL"]
        # What locks memory for RDMA; test_attached.py says where.
        assert set(context["capabilities"].get("add", [])) <= {"IPC_LOCK"}
        assert "privileged" not in context


def test_disabled_cache_leaves_no_trace_of_its_server() -> None:
    scope = build_sample_scope({"cache.mode": "Disabled"})
    text = repr([item.body for item in build_desired(scope) if item.kind is STATEFUL_SET])
    for word in ("lmcache server", "cache-http", "kv-transfer-config", "l1-size-gb", "AWS_"):
        assert word not in text


@pytest.mark.parametrize("level", ["Debug", "Info", "Warning", "Error"])
def test_log_level_reaches_engine_and_cache_server(level: str) -> None:
    (workload,) = (
        item
        for item in build_desired(build_sample_scope({"observability.logLevel": level}))
        if item.kind is STATEFUL_SET
    )
    found = {
        (item["name"], variable["name"]): variable["value"]
        for item in _containers(workload.body["spec"]["template"]["spec"])
        for variable in item["env"]
        if "LOG" in variable["name"]
    }
    assert found == dict.fromkeys(
        [("cache", "LMCACHE_LOG_LEVEL"), ("engine", "VLLM_LOGGING_LEVEL"), ("engine", "LMCACHE_LOG_LEVEL")],
        level.upper(),
    )


def _pod(case: str) -> dict[str, Any]:
    (workload,) = (item for item in build_desired(load_scope(case)) if item.kind is STATEFUL_SET)
    spec: dict[str, Any] = workload.body["spec"]["template"]["spec"]
    return spec


def _containers(pod: dict[str, Any]) -> list[dict[str, Any]]:
    return [*pod["initContainers"], *pod["containers"]]
