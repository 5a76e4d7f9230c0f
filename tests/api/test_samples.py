"""Every sample obeys the API, and there is one of each kind and mode that people write."""

from pathlib import Path
from typing import Any

import pytest
import yaml

from inference_cache.api.fabric import FABRIC_API_VERSION, FABRIC_KIND
from inference_cache.api.parsing import parse_fabric, parse_spec
from inference_cache.api.v1alpha1 import API_VERSION, KIND
from tests.support.builders import ROOT

SAMPLES = sorted((ROOT / "manifests" / "samples").glob("*.yaml"))


def _load(path: Path) -> list[dict[str, Any]]:
    return [body for body in yaml.safe_load_all(path.read_text(encoding="utf-8")) if body]


@pytest.mark.parametrize("path", SAMPLES, ids=lambda path: path.stem)
def test_sample_obeys_the_api(path: Path) -> None:
    for body in _load(path):
        parse = {(API_VERSION, KIND): parse_spec, (FABRIC_API_VERSION, FABRIC_KIND): parse_fabric}
        result = parse[body["apiVersion"], body["kind"]](body["metadata"]["name"], body["spec"])
        assert not isinstance(result, list), [str(item) for item in result]


def test_there_is_a_sample_of_each_kind_and_mode() -> None:
    bodies = [body for path in SAMPLES for body in _load(path)]
    assert {(body["kind"], body["spec"].get("mode")) for body in bodies} == {
        (KIND, None),
        (FABRIC_KIND, "Reference"),
        (FABRIC_KIND, "Manage"),
    }
