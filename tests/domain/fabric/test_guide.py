"""The examples of the user guide are valid, one for each type, and make what the guide says."""

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from inference_cache.domain.fabric.facts import project_fabric
from inference_cache.domain.fabric.plan import build_desired
from inference_cache.domain.fabric.rules import check_rules

from .fabric_facts import find_form, read_spec

_GUIDE = (Path(__file__).resolve().parents[3] / "docs" / "fabric.md").read_text(encoding="utf-8")
_SECTIONS = {
    part.partition("\n")[0]: part
    for part in re.split("^### ", _GUIDE, flags=re.MULTILINE)
    if "kind: InferenceCacheFabric" in part
}


def load(section: str) -> dict[str, Any]:
    found = re.search(r"```yaml\n(.*?)```", _SECTIONS[section], flags=re.DOTALL)
    assert found is not None
    body: dict[str, Any] = yaml.safe_load(found[1])
    body["metadata"] |= {"uid": "u", "resourceVersion": "1"}
    return body


@pytest.mark.parametrize("section", _SECTIONS)
def test_example_is_valid_and_makes_what_the_guide_says(section: str) -> None:
    fabric = project_fabric(load(section))
    assert fabric.violations == ()
    if not fabric.managed:
        return
    form = find_form(fabric)
    assert check_rules(read_spec(fabric), form) == []
    made = _SECTIONS[section].partition("Made:")[2]
    for manifest in build_desired(fabric, form):
        assert f"`{manifest.name}`" in made or "policy with" in made
    assert ("NicClusterPolicy" in made or "entry of the plugin" in made) == (
        form.plugin is not None and not form.plugin.namespaced
    )


def test_there_is_an_example_of_every_type_and_mode() -> None:
    specs = [load(section)["spec"] for section in _SECTIONS]
    assert {spec["type"] for spec in specs if spec["mode"] == "Manage"} == {
        "SRIOVEthernet",
        "SRIOVInfiniBand",
        "SharedMacvlan",
        "SharedIPoIB",
        "HostDevice",
    }
    assert [spec["mode"] for spec in specs].count("Reference") == 1
