"""`icd plan` against a real cluster: a change of one field of each class, and what it says is what then happens."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from e2e.cluster import wait_for
from e2e.space import Space

pytestmark = pytest.mark.usefixtures("operator")


def run_plan(space: Space, body: dict[str, Any], folder: Path, *arguments: str) -> tuple[int, str]:
    """Return exit code and output of `icd plan` for a deployment."""
    file = folder / "deployment.json"
    file.write_text(json.dumps(body))
    environment = {**os.environ, "KUBECONFIG": str(space.cluster.kubeconfig)}
    command = [sys.executable, "-m", "inference_cache.cli.app", "plan", "-f", str(file), *arguments]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60, check=False)
    assert "Traceback" not in done.stderr, done.stderr
    return done.returncode, done.stdout or done.stderr


def read_plan(space: Space, body: dict[str, Any], folder: Path) -> dict[str, Any]:
    """Return the plan as document."""
    code, text = run_plan(space, body, folder, "-o", "json")
    assert code == 0, text
    document: dict[str, Any] = json.loads(text)
    return document


def _observe(space: Space) -> dict[str, Any]:
    status = space.get("icd", "small")["status"]
    objects = {
        f"{item['kind']}/{item['metadata']['name']}": item["metadata"]["annotations"]["inferencecache.io/applied-hash"]
        for item in space.children()
    }
    return {
        "pods": {pod["metadata"]["name"]: pod["metadata"]["uid"] for pod in space.pods()},
        "fingerprint": status["cacheFingerprint"],
        "objects": objects,
    }


def _apply_and_wait(space: Space, body: dict[str, Any], before: dict[str, Any], restarted: int) -> dict[str, Any]:
    space.apply(body)

    def settled() -> bool:
        pods = _observe(space)["pods"]
        changed = sum(uid != before["pods"].get(name) for name, uid in pods.items() if name in before["pods"])
        return bool(changed >= restarted)

    wait_for(settled, 60, f"{restarted} pods were not replaced")
    space.wait_ready(seconds=60)
    return _observe(space)


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"rollout": {"maxUnavailable": 2}}, "Hot"),
        ({"engine": {"gpuMemoryUtilizationPercent": 80}}, "Rolling"),
        ({"engine": {"kvCacheDtype": "FP8E4M3"}}, "CacheBreaking"),
    ],
    ids=["hot", "rolling", "cache breaking"],
)
def test_plan_says_what_then_happens(space: Space, tmp_path: Path, change: dict[str, Any], expected: str) -> None:
    space.apply(space.build(replicas=2))
    space.wait_ready()
    before = _observe(space)
    body = space.build(replicas=2, **change)
    plan = read_plan(space, body, tmp_path)
    assert plan["changeClass"] == expected
    assert len(plan["spec"]) == 1
    after = _apply_and_wait(space, body, before, plan["pods"]["restarted"])
    replaced = [name for name, uid in after["pods"].items() if before["pods"].get(name) != uid]
    assert len(replaced) == plan["pods"]["restarted"] == (0 if expected == "Hot" else 2)
    assert (before["fingerprint"], after["fingerprint"]) == (
        plan["fingerprint"]["before"],
        plan["fingerprint"]["after"],
    )
    assert (before["fingerprint"] != after["fingerprint"]) == (expected == "CacheBreaking")
    updated = {f"{item['kind']}/{item['name']}" for item in plan["objects"] if item["change"] == "Update"}
    really = {key for key, value in after["objects"].items() if before["objects"].get(key) != value}
    assert really == updated


def test_plan_of_what_is_applied_is_empty_and_repeats_byte_for_byte(space: Space, tmp_path: Path) -> None:
    body = space.build()
    space.apply(body)
    space.wait_ready()
    first, second = (run_plan(space, body, tmp_path, "-o", "json") for _ in range(2))
    assert first == second
    plan = json.loads(first[1])
    assert (plan["changeClass"], plan["spec"], plan["warnings"]) == ("None", [], [])
    assert {item["change"] for item in plan["objects"]} == {"Keep"}
    assert [item["status"] for item in plan["checks"]] == ["True"] * 3


def test_plan_of_a_new_deployment_names_what_is_created(space: Space, tmp_path: Path) -> None:
    plan = read_plan(space, space.build(), tmp_path)
    assert (plan["exists"], plan["fingerprint"]["before"]) == (False, None)
    assert {item["change"] for item in plan["objects"]} == {"Create"}
    space.apply(space.build())
    space.wait_ready()
    created = {f"{item['kind']}/{item['metadata']['name']}" for item in space.children()}
    assert created == {f"{item['kind']}/{item['name']}" for item in plan["objects"]}
    assert space.get("icd", "small")["status"]["cacheFingerprint"] == plan["fingerprint"]["after"]


def test_plan_shows_nodes_that_cannot_run_it(space: Space, tmp_path: Path) -> None:
    body = space.build(nodes={"requirements": {"gpu": {"products": ["NVIDIA-B200"]}}})
    code, text = run_plan(space, body, tmp_path, "--fail-on", "Warning")
    assert code == 3, text
    assert "NoEligibleNodes" in text
    assert "NVIDIA-H200-NVL" in text


def test_fail_on_and_markdown_serve_a_pipeline(space: Space, tmp_path: Path) -> None:
    space.apply(space.build())
    space.wait_ready()
    body = space.build(cache={"chunkTokens": 512})
    code, text = run_plan(space, body, tmp_path, "-o", "markdown", "--fail-on", "CacheBreaking")
    assert code == 3
    assert "CacheBreaking" in text
    assert "| `cache.chunkTokens` | `absent` | `512` | CacheBreaking |" in text
    code, _ = run_plan(
        space, space.build(engine={"gpuMemoryUtilizationPercent": 80}), tmp_path, "--fail-on", "CacheBreaking"
    )
    assert code == 0


def test_deployments_that_share_a_cache_are_found_and_shown(space: Space, tmp_path: Path) -> None:
    space.apply(space.build("one"))
    space.wait_ready("one")
    assert read_plan(space, space.build("two"), tmp_path)["sharesCacheWith"] == ["one"]
    space.apply(space.build("two"))
    space.wait_ready("two")
    for name, other in (("one", "two"), ("two", "one")):
        wait_for(
            lambda n=name, o=other: (space.get("icd", n)["status"].get("sharing") or {}).get("examples") == [o],  # type: ignore[misc] # defaults bind the loop variables
            20,
            f"{name} does not say that it shares with {other}",
        )
    space.apply(space.build("two", cache={"chunkTokens": 512}))
    space.wait_ready("two", seconds=60)
    wait_for(lambda: "sharing" not in space.get("icd", "one")["status"], 20, "one still says that it shares")
