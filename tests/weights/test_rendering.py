"""Who mounts what: the fetcher comes with a ConfigMap, writes where the engine reads, and the engine cannot write there."""

from typing import Any

import pytest

from inference_cache.domain import names
from inference_cache.domain.desired import agent as agent_builder
from inference_cache.domain.desired import build_desired
from inference_cache.domain.desired.agent import AGENT_MOUNT, FETCH_FILES
from inference_cache.domain.fingerprint import MODELS_ROOT, weights_path
from inference_cache.domain.kinds import CONFIG_MAP
from inference_cache.domain.manifest import Manifest
from inference_cache.domain.scope import Scope
from tests.support.builders import REMOVED, ROOT, build_sample_scope
from tests.weights.pod import WITH_TOKEN, find_container, find_pod_spec

_CLAIM = {"model.source": {"persistentVolumeClaim": {"claimName": "w", "revision": "1"}}}
_NO_CACHE = {"cache.mode": "Disabled", "cache.tiers": REMOVED}


def _find_config_maps(scope: Scope) -> dict[str, Manifest]:
    return {item.name: item for item in build_desired(scope) if item.kind is CONFIG_MAP}


def _find_volumes(scope: Scope) -> dict[str, dict[str, Any]]:
    return {item["name"]: item for item in find_pod_spec(scope)["volumes"]}


def test_engine_reads_what_was_fetched_and_cannot_write_it() -> None:
    scope = build_sample_scope()
    fetch, engine = (find_container(scope, name) for name in (names.WEIGHTS_CONTAINER, names.ENGINE_CONTAINER))
    folder = weights_path(scope.fingerprint)
    assert f"--directory={folder}" in fetch["args"]
    assert engine["args"][0] == folder
    (written,) = (mount for mount in fetch["volumeMounts"] if mount["name"] == "weights")
    (read,) = (mount for mount in engine["volumeMounts"] if mount["name"] == "weights")
    assert written == {"name": "weights", "mountPath": MODELS_ROOT}
    assert read == written | {"readOnly": True}


def test_hub_source_and_pinned_revision_are_passed_on() -> None:
    scope = build_sample_scope()
    source = scope.settled.spec.model.source.hugging_face
    assert source is not None
    assert find_container(scope, names.WEIGHTS_CONTAINER)["args"][:2] == [
        f"--repository={source.repository}",
        f"--revision={source.revision}",
    ]


@pytest.mark.parametrize("changes", [{}, _NO_CACHE], ids=["with a cache server", "without a cache server"])
def test_fetcher_comes_with_a_config_map_of_a_fixed_name(changes: dict[str, object]) -> None:
    scope = build_sample_scope(changes)
    agent = _find_config_maps(scope)["nemotron-70b-agent"]
    folder = ROOT / "operator" / "cache_agent"
    assert agent.body["data"] == {name: (folder / name).read_text(encoding="utf-8") for name in FETCH_FILES}
    assert "immutable" not in agent.body, "another version's programs take their place without a new template"
    container = find_container(scope, names.WEIGHTS_CONTAINER)
    assert container["command"] == ["python3", "-m", "cache_agent.fetch"]
    assert {"name": "PYTHONPATH", "value": AGENT_MOUNT} in container["env"]
    mount = {"name": "agent", "mountPath": f"{AGENT_MOUNT}/cache_agent", "readOnly": True}
    assert mount in container["volumeMounts"]
    assert _find_volumes(scope)["agent"]["configMap"] == {"name": agent.name, "defaultMode": 0o444}


def test_other_programs_leave_the_template_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    scope = build_sample_scope()
    before = build_desired(scope)
    monkeypatch.setattr(agent_builder, "read_agent_files", lambda: {"fetch.py": "another program"})
    after = build_desired(scope)
    changed = [one.name for one, other in zip(before, after, strict=True) if one.body != other.body]
    assert changed == ["nemotron-70b-agent"]


def test_weights_that_are_there_need_no_fetcher() -> None:
    scope = build_sample_scope(_CLAIM)
    assert [name for name in _find_config_maps(scope) if name.endswith("-agent")] == []
    assert "agent" not in _find_volumes(scope)
    assert names.WEIGHTS_CONTAINER not in [item["name"] for item in find_pod_spec(scope)["initContainers"]]


def test_pods_that_read_no_config_map_get_none() -> None:
    scope = build_sample_scope(_CLAIM | _NO_CACHE)
    assert _find_config_maps(scope) == {}
    assert {"agent", "config"} & _find_volumes(scope).keys() == set()


def test_token_is_taken_from_its_secret_and_only_where_one_is_named() -> None:
    env = {
        item["name"]: item for item in find_container(build_sample_scope(WITH_TOKEN), names.WEIGHTS_CONTAINER)["env"]
    }
    assert env["HF_TOKEN"] == {"name": "HF_TOKEN", "valueFrom": {"secretKeyRef": {"name": "hub", "key": "token"}}}
    assert "HF_TOKEN" not in [
        item["name"] for item in find_container(build_sample_scope(), names.WEIGHTS_CONTAINER)["env"]
    ]


def test_fetcher_runs_confined() -> None:
    context = find_container(build_sample_scope(), names.WEIGHTS_CONTAINER)["securityContext"]
    assert context["allowPrivilegeEscalation"] is False
    assert context["capabilities"] == {"drop": ["ALL"]}
