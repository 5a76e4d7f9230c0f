"""A fabric in, the objects that the operator writes for it out; both as files, one pair for each type and form."""

import json
from typing import Any

import pytest
import yaml

from inference_cache.cli.generate import dump_yaml
from inference_cache.domain import kinds
from inference_cache.domain.fabric.device_plugin import build_entry, build_shared_policy, merge_entries
from inference_cache.domain.fabric.form import SECTIONS
from inference_cache.domain.fabric.plan import build_desired
from inference_cache.domain.manifest import Manifest

from .fabric_facts import CASES, FOLDER, PLAIN, build_fabric, find_form


def list_manifests(case: str) -> list[Manifest]:
    """Return everything that is written for the fabric of a case, the shared policy last."""
    fabric = build_fabric(case)
    if fabric.spec is None or not fabric.managed:
        return []
    form = find_form(fabric, plain=case.endswith(PLAIN))
    found = build_desired(fabric, form)
    if form.plugin is not kinds.NIC_CLUSTER_POLICY:
        return found
    section, image = SECTIONS[fabric.spec.type], fabric.spec.devices and fabric.spec.devices.plugin_image
    entries = merge_entries({}, section, build_entry(fabric.spec))
    shared = build_shared_policy(entries, None, {section: image} if image else {})
    return [*found, *([shared] if shared else [])]


def render(case: str) -> str:
    """Return the objects as YAML text."""
    return dump_yaml(*(manifest.body for manifest in list_manifests(case)))


@pytest.mark.parametrize("case", CASES)
def test_objects_are_as_recorded(case: str) -> None:
    path = FOLDER / case / "objects.yaml"
    assert render(case) == path.read_text(encoding="utf-8"), (
        "PYTHONPATH=operator python -m tests.domain.fabric.regenerate"
    )


def test_every_type_has_a_pair_and_a_fabric_that_writes_nothing_too() -> None:
    types = {yaml.safe_load((FOLDER / case / "fabric.yaml").read_text())["spec"]["type"] for case in CASES}
    assert types == {"SRIOVEthernet", "SRIOVInfiniBand", "SharedMacvlan", "SharedIPoIB", "HostDevice"}
    assert list_manifests("reference") == []


@pytest.mark.parametrize("case", CASES)
def test_rendering_is_deterministic_and_its_json_is_valid(case: str) -> None:
    assert render(case) == render(case)
    for manifest in list_manifests(case):
        for text in _list_json(manifest.body):
            assert json.dumps(json.loads(text), sort_keys=True, separators=(",", ":")) == text


def _list_json(value: Any) -> list[str]:
    if isinstance(value, dict):
        return [text for item in value.values() for text in _list_json(item)]
    if isinstance(value, list):
        return [text for item in value for text in _list_json(item)]
    return [value] if isinstance(value, str) and value.startswith("{") else []


@pytest.mark.parametrize("case", [case for case in CASES if case != "reference"])
def test_only_the_device_plugin_is_privileged_and_nothing_has_an_owner(case: str) -> None:
    manifests = list_manifests(case)
    assert manifests
    privileged = [item.kind for item in manifests if "privileged" in json.dumps(item.body)]
    assert privileged == ([kinds.DAEMON_SET] if case.startswith("shared") and case.endswith(PLAIN) else [])
    assert not any("ownerReferences" in item.body["metadata"] for item in manifests)
