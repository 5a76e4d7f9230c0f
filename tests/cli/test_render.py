"""`icd render`: the golden objects, from the command line."""

import json
from pathlib import Path

import pytest
import yaml
from typer.testing import CliRunner, Result

from inference_cache.cli.app import build_app
from inference_cache.cli.render import OWNER_UID
from inference_cache.domain import names
from tests.golden.cases import CASES, FOLDER, ON_TCP, golden_path, shorten
from tests.support.builders import SAMPLE, load_sample


def _render(*words: str) -> Result:
    return CliRunner().invoke(build_app(), ["render", *words])


@pytest.mark.parametrize("case", CASES)
def test_objects_are_those_of_the_operator_but_for_the_owner(case: str) -> None:
    transport = ("--transport", "TCP") if case.endswith(ON_TCP) else ()
    out = _render("-f", str(FOLDER / case / "deployment.yaml"), *transport)
    assert out.exit_code == 0, out.stderr
    found = [shorten(item) for item in yaml.safe_load_all(out.stdout)]
    wanted = list(yaml.safe_load_all(golden_path(case).read_text()))
    for item in found:
        assert item["metadata"]["ownerReferences"][0]["uid"] == OWNER_UID
    for item in (*found, *wanted):
        # The hash covers the owner.
        del item["metadata"]["annotations"][names.ANNOTATION_APPLIED_HASH]
        del item["metadata"]["ownerReferences"]
    assert found == wanted


def test_json_is_a_list_that_can_be_read_as_one() -> None:
    found = json.loads(_render("-f", str(SAMPLE), "-o", "json").stdout)
    assert found["kind"] == "List"
    assert found["items"] == list(yaml.safe_load_all(_render("-f", str(SAMPLE)).stdout))


def test_options_stand_for_what_only_a_cluster_knows() -> None:
    image = "registry.example/engine:vllm-0.32.0-lmcache-0.5.6"
    words = ("-f", str(SAMPLE), "-n", "team", "--image", image, "--operator-namespace", "operators")
    items = {item["kind"]: item for item in yaml.safe_load_all(_render(*words).stdout)}
    assert {item["metadata"]["namespace"] for item in items.values()} == {"team"}
    assert items["StatefulSet"]["spec"]["template"]["spec"]["containers"][0]["image"] == image
    assert "operators" in json.dumps(items["NetworkPolicy"])


def test_namespace_of_the_deployment_comes_first(tmp_path: Path) -> None:
    body = load_sample()
    body["metadata"]["namespace"] = "own"
    path = tmp_path / "x.yaml"
    path.write_text(yaml.safe_dump(body))
    assert {
        item["metadata"]["namespace"] for item in yaml.safe_load_all(_render("-f", str(path), "-n", "team").stdout)
    } == {"own"}


def test_refused_deployment_renders_nothing(tmp_path: Path) -> None:
    body = load_sample()
    body["spec"]["replicas"] = -1
    path = tmp_path / "x.yaml"
    path.write_text(yaml.safe_dump(body))
    out = _render("-f", str(path))
    assert (out.exit_code, out.stdout) == (1, "")
    assert "spec.replicas" in out.stderr
    assert "icd lint -f" in out.stderr


def test_what_the_operator_would_hold_back_is_noted(tmp_path: Path) -> None:
    body = load_sample()
    body["spec"]["engine"]["extraArgs"] = ["--no-such-option=1"]
    path = tmp_path / "x.yaml"
    path.write_text(yaml.safe_dump(body))
    out = _render("-f", str(path))
    assert out.exit_code == 0
    assert "Compatible is False" in out.stderr
