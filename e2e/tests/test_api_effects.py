"""Fields of the API have the effect that they promise, on a real API server: modes, versions, addressing, sources, hatches."""

from collections.abc import Iterator
from http import HTTPStatus
from typing import Any

import pytest

from e2e.cluster import wait_for
from e2e.rig import NAMESPACE, Operator, Rig, fetch
from e2e.space import BUCKET, SECRET, Space
from e2e.tests.conftest import FAST, forget_lease


@pytest.fixture(scope="module")
def brisk(rig: Rig) -> Iterator[Operator]:
    """An operator that reads the version table again every few seconds."""
    forget_lease(rig)
    operator = rig.start_operator("operator-brisk", environment={**FAST, "INFERENCE_CACHE_RESYNC_SECONDS": "5"})
    yield operator.wait_ready()
    operator.stop()


pytestmark = pytest.mark.usefixtures("brisk")


def _pod(space: Space) -> dict[str, Any]:
    (pod,) = space.pods()
    return pod


def _containers(pod: dict[str, Any]) -> dict[str, dict[str, Any]]:
    return {item["name"]: item for item in [*pod["spec"].get("initContainers", []), *pod["spec"]["containers"]]}


def _complete(space: Space) -> Any:
    pod = _pod(space)
    model = space.get("icd", "small")["spec"]["model"]["name"]
    status, answer = fetch(
        f"http://{pod['status']['podIP']}:8000/v1/completions",
        body={"model": model, "prompt": f"{space.namespace} " * 400, "max_tokens": 4},
        timeout=20,
    )
    assert status == HTTPStatus.OK, answer
    return answer


def _store(body: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = body["spec"]["cache"]["tiers"][1]["objectStore"]
    return found


def test_mode_disabled_runs_engines_without_cache_server(space: Space) -> None:
    space.apply(space.build(cache={"mode": "Disabled"}))
    space.wait_ready()
    assert set(_containers(_pod(space))) == {"weights", "engine"}
    assert space.get("icd", "small")["status"]["rendered"]["tiers"] == "None"
    assert space.condition("small", "CachePaysOff") == {}
    _complete(space)


@pytest.mark.parametrize(("mode", "ready"), [("Required", "False"), ("Opportunistic", "True")])
def test_mode_decides_whether_trouble_of_the_cache_counts(space: Space, mode: str, ready: str) -> None:
    space.apply(space.build(cache={"mode": mode}))
    space.wait_ready()
    pod = _pod(space)["metadata"]["uid"]
    space.cluster.kubectl("delete", "secret", SECRET, "--namespace", space.namespace)
    space.wait_condition("small", "Ready", ready, "CacheDegraded")
    assert _pod(space)["metadata"]["uid"] == pod, "the pod must go on serving"
    _complete(space)
    space.rig.put_keys(space.namespace, SECRET, "tests", "tests-secret-0123456789")
    space.wait_condition("small", "Ready", "True", "Ready", seconds=60)


def test_image_of_unknown_versions_gets_no_pods_until_someone_names_them(space: Space) -> None:
    space.apply(space.build(engine={"image": "registry.example/engine:v1"}))
    found = space.wait_condition("small", "Compatible", "False", "EngineVersionsUnknown")
    assert "engine.versions" in found["message"]
    assert space.pods() == []
    assert space.condition("small", "Stalled")["status"] == "True"
    versions = {"vllm": "0.32.0", "lmcache": "0.5.6"}
    space.apply(space.build(engine={"image": "registry.example/engine:v1", "versions": versions}))
    space.wait_ready()
    assert _containers(_pod(space))["engine"]["image"] == "registry.example/engine:v1"


def test_running_pods_stay_looked_after_when_their_new_versions_are_not_supported(space: Space) -> None:
    space.apply(space.build())
    space.wait_ready()
    pod, status = _pod(space)["metadata"]["uid"], space.get("icd", "small")["status"]
    space.apply(space.build(replicas=2, engine={"versions": {"vllm": "0.31.0", "lmcache": "0.5.5"}}))
    space.wait_condition("small", "Ready", "False", "UnsupportedVersions")
    for kind, name in (("service", "small"), ("service", "small-pods"), ("configmap", "small-agent")):
        space.cluster.kubectl("delete", kind, name, "--namespace", space.namespace)
        wait_for(lambda k=kind, n=name: space.get(k, n), 20, f"{kind} {name} did not come back")  # type: ignore[misc] # defaults bind the loop variables
    wait_for(lambda: len(space.pods()) == 2, 20, "scaling stopped")
    wait_for(lambda: space.get("icd", "small")["status"].get("readyReplicas") == 2, 30, "the status lost its counts")
    now = space.get("icd", "small")["status"]
    assert {key: now[key] for key in ("cacheFingerprint", "rendered", "sizing")} == {
        key: status[key] for key in ("cacheFingerprint", "rendered", "sizing")
    }
    assert pod in {item["metadata"]["uid"] for item in space.pods()}, "no pod may be replaced"


def test_version_table_is_extended_by_a_config_map(space: Space) -> None:
    space.apply(space.build(engine={"versions": {"vllm": "0.32.1", "lmcache": "0.5.6"}}))
    space.wait_condition("small", "Compatible", "False", "UnsupportedVersions")
    text = (
        "pairs:\n- vllm: 0.32.1\n  lmcache: 0.5.6\n  optionsOf: {vllm: 0.32.0, lmcache: 0.5.6}\n  image: engine:mine\n"
    )
    metadata = {"name": "inference-cache-versions", "namespace": NAMESPACE}
    space.cluster.apply(
        {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": {"versions.yaml": text}}
    )
    try:
        space.wait_ready()
        assert _containers(_pod(space))["engine"]["image"] == "engine:mine"
        assert space.get("icd", "small")["status"]["rendered"]["vllm"] == "0.32.1"
    finally:
        space.cluster.kubectl("delete", "configmap", metadata["name"], "--namespace", NAMESPACE)


def test_faulty_extension_is_not_used_and_says_so(space: Space, brisk: Operator) -> None:
    metadata = {"name": "inference-cache-versions", "namespace": NAMESPACE}
    space.cluster.apply(
        {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": {"versions.yaml": "pairs: [{vllm: x}]"}}
    )
    name = "inference_cache_version_table_faults"
    try:
        wait_for(lambda: (brisk.metric(name) or 0) > 0, 20, "the fault does not show in the metrics")
        # No other test's extension lists this pair: a fault leaves in force what was read before.
        space.apply(space.build(engine={"versions": {"vllm": "0.32.9", "lmcache": "0.5.6"}}))
        found = space.wait_condition("small", "Compatible", "False", "UnsupportedVersions")
        assert "extension" in found["message"]
    finally:
        space.cluster.kubectl("delete", "configmap", metadata["name"], "--namespace", NAMESPACE)
    wait_for(lambda: brisk.metric(name) == 0, 20, "the fault stays in the metrics")


def test_path_addressing_reaches_a_store_that_has_only_an_address(space: Space) -> None:
    body = space.build()
    _store(body).update({"endpoint": space.cluster.s3.endpoint_url, "addressing": "Path"})
    space.apply(body)
    space.wait_ready()
    arguments = " ".join(_containers(_pod(space))["cache"]["args"])
    assert '"type":"nixl_native"' in arguments
    assert '"use_virtual_addressing":"false"' in arguments
    _complete(space)
    s3 = space.cluster.s3.client()
    fingerprint = space.get("icd", "small")["status"]["cacheFingerprint"]

    def stored() -> bool:
        pages = s3.get_paginator("list_objects_v2").paginate(Bucket=BUCKET)
        keys = [item["Key"] for page in pages for item in page.get("Contents", [])]
        return any(f"-SEP-kv-{fingerprint}@0x" in key for key in keys)

    wait_for(stored, 20, "no object with NIXL's kind of name reached the bucket")


def test_authorities_that_are_missing_are_named_before_any_pod(space: Space) -> None:
    body = space.build()
    _store(body).update({"endpoint": "https://s3.internal", "tls": {"caRef": {"configMap": "storage-ca"}}})
    space.apply(body)
    space.wait_condition("small", "ObjectStoreReady", "False", "CANotFound")
    metadata = {"name": "storage-ca", "namespace": space.namespace}
    manifest: dict[str, Any] = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": {"other": "x"}}
    space.cluster.apply(manifest)
    space.wait_condition("small", "ObjectStoreReady", "False", "CAKeyMissing", seconds=60)
    space.cluster.apply({**manifest, "data": {"ca.crt": "no certificate"}})
    space.wait_condition("small", "ObjectStoreReady", "False", "CAMalformed", seconds=60)
    assert space.pods() == []


def test_weights_from_an_image_are_mounted_under_the_fingerprint(space: Space) -> None:
    body = space.build()
    reference = f"registry.example/models/m@sha256:{'a' * 64}"
    body["spec"]["model"]["source"] = {"image": {"reference": reference, "path": "model"}}
    space.apply(body)
    space.wait_ready()
    pod = _pod(space)
    fingerprint = space.get("icd", "small")["status"]["cacheFingerprint"]
    volume = next(item for item in pod["spec"]["volumes"] if item["name"] == "weights")
    assert volume["image"] == {"reference": reference, "pullPolicy": "IfNotPresent"}
    engine = _containers(pod)["engine"]
    mount = next(item for item in engine["volumeMounts"] if item["name"] == "weights")
    assert (mount["mountPath"], mount["subPath"]) == (f"/models/kv-{fingerprint}", "model")
    assert engine["args"][0] == mount["mountPath"]


def test_huge_pages_that_no_node_has_are_named(space: Space) -> None:
    body = space.build()
    body["spec"]["cache"]["tiers"][0]["memory"]["pages"] = "Huge2Mi"
    space.apply(body)
    space.wait_condition("small", "NodesEligible", "False", "NoEligibleNodes")
    reasons = {item["reason"] for item in space.get("icd", "small")["status"]["nodes"]["ineligible"]}
    assert "HugePagesTooFew" in reasons


def test_secret_of_an_extra_variable_is_checked_and_its_value_never_copied(space: Space) -> None:
    variable = {"name": "VLLM_API_KEY", "secretKeyRef": {"name": "client-key", "key": "key"}}
    space.apply(space.build(engine={"extraEnv": [variable], "extraArgs": ["--max-num-seqs=64"]}))
    found = space.wait_condition("small", "CredentialsReady", "False", "SecretNotFound")
    assert "client-key" in found["message"]
    canary = "canary-of-the-client-key"
    space.cluster.apply(
        {
            "apiVersion": "v1",
            "kind": "Secret",
            "metadata": {"name": "client-key", "namespace": space.namespace},
            "stringData": {"key": canary},
        }
    )
    space.wait_ready()
    engine = _containers(_pod(space))["engine"]
    assert "--max-num-seqs=64" in engine["args"]
    everything = str([space.get("icd", "small"), space.children(), space.pods(), space.cluster.log("operator-brisk")])
    assert canary not in everything


def test_option_that_the_version_does_not_have_is_refused_by_name(space: Space) -> None:
    space.apply(space.build(engine={"extraArgs": ["--max-num-sequences=64"]}))
    found = space.wait_condition("small", "Compatible", "False", "OptionUnknown")
    assert "--max-num-sequences" in found["message"]
    assert space.pods() == []


def test_memory_tier_that_cannot_hold_its_loads_is_refused_with_the_arithmetic(space: Space) -> None:
    shape = {"layers": 80, "attentionHeads": 64, "kvHeads": 8, "headDim": 128}
    space.apply(space.build(model={"architecture": shape}))
    found = space.wait_condition("small", "SpecValid", "False", "MemoryTierTooSmall")
    assert "61440 tokens x 327680 B" in found["message"]
    assert space.pods() == []


def test_capacity_plan_stands_in_the_status(space: Space) -> None:
    body = space.build(
        model={"architecture": {"layers": 32, "attentionHeads": 32, "kvHeads": 8, "headDim": 128, "parameters": 8030261248}, "maxModelLen": 32768},
        workload={"conversations": 24, "contextTokens": 16384},
        nodes={"requirements": {"gpu": {"products": ["NVIDIA-H200-NVL"]}}},
    )  # fmt: skip
    body["spec"]["cache"]["tiers"][0]["memory"]["size"] = "72Gi"
    _store(body)["link"] = {"readMegabytes": 100}
    space.apply(body)
    space.wait_ready()
    status = space.get("icd", "small")["status"]
    assert status["capacity"]["bytesPerToken"] == 131072
    assert status["capacity"]["link"] == "100 MB/s"
    assert status["sizing"]["memoryTier"] == "72Gi"
    payoff = space.condition("small", "CachePaysOff")
    assert payoff["status"] in {"True", "False"}
    assert payoff["message"].startswith("Predicted: ")
