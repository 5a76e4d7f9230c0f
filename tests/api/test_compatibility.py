"""Every change of the CRD that breaks something is found, harmless ones are not, and today's CRD breaks nothing unreviewed."""

import copy
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import pytest
import yaml

from inference_cache.api.compatibility import find_breaking_changes
from inference_cache.api.crd import CRD_BUILDERS, build_crd, build_fabric_crd, build_report_crd
from tests.support.builders import REMOVED, change

BASELINE: Final = Path(__file__).resolve().parent / "baseline"
VERSION: Final = "spec.versions.0"
SCHEMA: Final = f"{VERSION}.schema.openAPIV3Schema"

# A CRD of its own, so that rows say all there is to say and stay when the API changes.
SAMPLE: Final[dict[str, Any]] = {
    "spec": {
        "group": "example.org",
        "scope": "Namespaced",
        "names": {"kind": "Thing", "plural": "things", "shortNames": ["th", "thg"]},
        "versions": [
            {
                "name": "v1",
                "served": True,
                "storage": True,
                "schema": {
                    "openAPIV3Schema": {
                        "type": "object",
                        "description": "A thing.",
                        "properties": {
                            "text": {"type": "string", "minLength": 1, "maxLength": 10},
                            "loose": {"type": "string"},
                            "number": {"type": "integer", "format": "int64", "minimum": 1, "maximum": 10},
                            "choice": {"type": "string", "enum": ["One", "Two"]},
                            "labels": {"type": "object", "maxProperties": 4, "additionalProperties": {"type": "string", "maxLength": 5}},
                            "list": {
                                "type": "array",
                                "minItems": 1,
                                "maxItems": 4,
                                "x-kubernetes-list-type": "map",
                                "x-kubernetes-list-map-keys": ["name"],
                                "items": {"type": "object", "properties": {"name": {"type": "string", "maxLength": 5}, "other": {"type": "string", "maxLength": 5}}, "required": ["name"]},
                            },
                        },
                        "required": ["text"],
                        "x-kubernetes-validations": [{"rule": "self.number > 1", "message": "number must be more than 1"}],
                    }
                },
                "subresources": {"status": {}, "scale": {"specReplicasPath": ".spec.replicas", "labelSelectorPath": ".status.selector"}},
                "additionalPrinterColumns": [{"name": "Age", "type": "date", "jsonPath": ".metadata.creationTimestamp"}],
            }
        ],
    }
}  # fmt: skip


@dataclass(frozen=True)
class Row:
    """One change of the sample.

    Attributes:
        id: What the change is.
        path: What is changed, below `spec` of the CRD or below its schema.
        value: What is written there.
        forward: What the change breaks.
        backward: What taking it back breaks.
    """

    id: str
    path: str
    value: Any
    forward: str = ""
    backward: str = ""

    def build(self) -> dict[str, Any]:
        """Return the changed CRD."""
        crd = copy.deepcopy(SAMPLE)
        change(crd, self.path, self.value)
        return crd


def _at(path: str) -> str:
    return f"{SCHEMA}.properties.{path}"


_RULE: Final = {"rule": "self.number < 9", "message": "number must be less than 9"}
_OLD_RULE: Final = {"rule": "self.number > 1", "message": "number must be more than 1"}
_LIST_ITEM: Final = "list.items.properties"

ROWS: Final = [
    Row("another group", "spec.group", "example.net", "group: example.org became example.net", "group: example.net became example.org"),
    Row("another scope", "spec.scope", "Cluster", "scope: Namespaced became Cluster", "scope: Cluster became Namespaced"),
    Row("another kind", "spec.names.kind", "Item", "kind: Thing became Item", "kind: Item became Thing"),
    Row("another plural", "spec.names.plural", "items", "plural: things became items", "plural: items became things"),
    Row("one short name less", "spec.names.shortNames", ["thg"], "short name removed: th"),
    Row("another version", f"{VERSION}.name", "v2", "version removed: v1", "version removed: v2"),
    Row("a version that is not served", f"{VERSION}.served", False, "version no longer served: v1"),
    Row("no status subresource", f"{VERSION}.subresources.status", REMOVED, "v1: subresource removed: status"),
    Row("no scale subresource", f"{VERSION}.subresources.scale", REMOVED, "v1: subresource removed: scale"),
    Row("no subresource", f"{VERSION}.subresources", {"scale": SAMPLE["spec"]["versions"][0]["subresources"]["scale"]}, "v1: subresource removed: status"),
    Row("another scale path", f"{VERSION}.subresources.scale.specReplicasPath", ".spec.size", "v1: specReplicasPath of scale: .spec.replicas became .spec.size", "v1: specReplicasPath of scale: .spec.size became .spec.replicas"),
    Row("no selector for scale", f"{VERSION}.subresources.scale.labelSelectorPath", REMOVED, "v1: labelSelectorPath of scale: .status.selector became None"),
    Row("no column", f"{VERSION}.additionalPrinterColumns", REMOVED),
    Row("one field less", _at("loose"), REMOVED, "v1.loose: field removed"),
    Row("one field of an item less", _at(f"{_LIST_ITEM}.other"), REMOVED, "v1.list[].other: field removed"),
    Row("another type", _at("number.type"), "string", "v1.number: type integer became string", "v1.number: type string became integer"),
    Row("another type of items", _at("list.items.type"), "string", "v1.list[]: type object became string", "v1.list[]: type string became object"),
    Row("another type of values", _at("labels.additionalProperties.type"), "integer", "v1.labels{}: type string became integer", "v1.labels{}: type integer became string"),
    Row("another format", _at("number.format"), "int32", "v1.number: format: int64 became int32", "v1.number: format: int32 became int64"),
    Row("no map", _at("labels.additionalProperties"), REMOVED, "v1.labels: additionalProperties removed"),
    Row("one required field more", f"{SCHEMA}.required", ["text", "number"], "v1.number: field required"),
    Row("one required field of an item more", _at("list.items.required"), ["name", "other"], "v1.list[].other: field required"),
    Row("a higher minimum", _at("number.minimum"), 2, "v1.number: minimum 1 became 2"),
    Row("no minimum", _at("number.minimum"), REMOVED, backward="v1.number: minimum 1 added"),
    Row("a minimum of zero", _at("number.minimum"), 0, backward="v1.number: minimum 0 became 1"),
    Row("a lower maximum", _at("number.maximum"), 9, "v1.number: maximum 10 became 9"),
    Row("no maximum", _at("number.maximum"), REMOVED, backward="v1.number: maximum 10 added"),
    Row("a higher minLength", _at("text.minLength"), 2, "v1.text: minLength 1 became 2"),
    Row("a minLength of zero", _at("loose.minLength"), 0),
    Row("a lower maxLength", _at("text.maxLength"), 9, "v1.text: maxLength 10 became 9"),
    Row("a maxLength where there was none", _at("loose.maxLength"), 10, "v1.loose: maxLength 10 added"),
    Row("a lower maxLength of map values", _at("labels.additionalProperties.maxLength"), 4, "v1.labels{}: maxLength 5 became 4"),
    Row("a higher minItems", _at("list.minItems"), 2, "v1.list: minItems 1 became 2"),
    Row("a lower maxItems", _at("list.maxItems"), 3, "v1.list: maxItems 4 became 3"),
    Row("a minProperties", _at("labels.minProperties"), 1, "v1.labels: minProperties 0 became 1"),
    Row("a lower maxProperties", _at("labels.maxProperties"), 3, "v1.labels: maxProperties 4 became 3"),
    Row("one enum value less", _at("choice.enum"), ["One"], "v1.choice: enum value removed: Two"),
    Row("no enum", _at("choice.enum"), REMOVED, backward="v1.choice: enum added: One, Two"),
    Row("a pattern", _at("text.pattern"), "^a", "v1.text: pattern added: ^a"),
    Row("another list type", _at("list.x-kubernetes-list-type"), "atomic", "v1.list: x-kubernetes-list-type: map became atomic", "v1.list: x-kubernetes-list-type: atomic became map"),
    Row("other list keys", _at("list.x-kubernetes-list-map-keys"), ["other"], "v1.list: x-kubernetes-list-map-keys: ['name'] became ['other']", "v1.list: x-kubernetes-list-map-keys: ['other'] became ['name']"),
    Row("one rule more", f"{SCHEMA}.x-kubernetes-validations", [_OLD_RULE, _RULE], "v1: rule added: number must be less than 9 (CEL 0f154320)"),
    Row("another rule with the same message", f"{SCHEMA}.x-kubernetes-validations", [_OLD_RULE | {"rule": "self.number > 2"}], "v1: rule added: number must be more than 1 (CEL 9e1a2400)", "v1: rule added: number must be more than 1 (CEL 23d5a472)"),
    Row("another message", f"{SCHEMA}.x-kubernetes-validations", [_OLD_RULE | {"message": "write more than 1"}]),
    Row("another description", f"{SCHEMA}.description", "One thing."),
    Row("a keyword that is not known", _at("number.multipleOf"), 2, "v1.number: multipleOf: None became 2", "v1.number: multipleOf: 2 became None"),
]  # fmt: skip


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.id)
def test_find_breaking_changes_in_both_directions(row: Row) -> None:
    new = row.build()
    assert find_breaking_changes(SAMPLE, new) == [row.forward] * bool(row.forward)
    assert find_breaking_changes(new, SAMPLE) == [row.backward] * bool(row.backward)


ADDITIONS: Final[dict[str, Callable[[dict[str, Any]], object]]] = {
    "an optional field": lambda crd: change(crd, _at("fresh"), {"type": "string", "maxLength": 5}),
    "a version": lambda crd: crd["spec"]["versions"].append(copy.deepcopy(crd["spec"]["versions"][0]) | {"name": "v2"}),
    "a short name": lambda crd: crd["spec"]["names"]["shortNames"].append("thing"),
    "an enum value": lambda crd: change(crd, _at("choice.enum"), ["One", "Two", "Three"]),
}


@pytest.mark.parametrize("add", ADDITIONS.values(), ids=ADDITIONS)
def test_addition_breaks_nothing_and_its_removal_does(add: Callable[[dict[str, Any]], object]) -> None:
    new = copy.deepcopy(SAMPLE)
    add(new)
    assert find_breaking_changes(SAMPLE, new) == []
    assert len(find_breaking_changes(new, SAMPLE)) == 1


def test_new_required_field_is_found_although_the_field_is_new() -> None:
    new = copy.deepcopy(SAMPLE)
    change(new, _at("fresh"), {"type": "string"})
    change(new, f"{SCHEMA}.required", ["text", "fresh"])
    assert find_breaking_changes(SAMPLE, new) == ["v1.fresh: field required"]


def test_reviewed_changes_pass_word_for_word() -> None:
    new = copy.deepcopy(SAMPLE)
    change(new, f"{SCHEMA}.x-kubernetes-validations", [_OLD_RULE, _RULE])
    change(new, _at("loose"), REMOVED)
    found = find_breaking_changes(SAMPLE, new)
    assert len(found) == 2
    assert find_breaking_changes(SAMPLE, new, reviewed=found[:1]) == found[1:]
    assert find_breaking_changes(SAMPLE, new, reviewed=[found[0].upper()]) == found


def _load(name: str) -> Any:
    return yaml.safe_load((BASELINE / name).read_text(encoding="utf-8"))


KINDS: Final[Mapping[str, Callable[[], dict[str, Any]]]] = {
    "inferencecachedeployments.yaml": build_crd,
    "inferencecachefabrics.yaml": build_fabric_crd,
    "nodecapabilityreports.yaml": build_report_crd,
}


def test_every_crd_has_a_baseline() -> None:
    built = {f"{build()['spec']['names']['plural']}.yaml" for build in CRD_BUILDERS}
    assert built == set(KINDS) == {path.name for path in BASELINE.glob("*.yaml")} - {"reviewed.yaml"}


@pytest.mark.parametrize("name", KINDS)
def test_crd_breaks_nothing_against_the_baseline_that_was_not_reviewed(name: str) -> None:
    reviewed = [entry["change"] for entry in _load("reviewed.yaml")]
    found = find_breaking_changes(_load(name), KINDS[name](), reviewed)
    assert found == [], (
        "keep the old form, or add each line to tests/api/baseline/reviewed.yaml with the reason why it may break"
    )


def test_reviewed_changes_are_in_effect_and_have_reasons() -> None:
    entries = _load("reviewed.yaml")
    found = [change for name, build in KINDS.items() for change in find_breaking_changes(_load(name), build())]
    assert [entry["change"] for entry in entries if entry["change"] not in found] == [], "take stale entries out"
    assert [entry["change"] for entry in entries if not entry["reason"].strip()] == []
