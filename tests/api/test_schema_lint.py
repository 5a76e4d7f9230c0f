"""The CRD obeys the API rules, and each rule notices when it does not."""

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest

from inference_cache.api.crd import CRD_BUILDERS, build_crd
from inference_cache.api.schema_lint import KNOWN_NAMES, check_schema


@dataclass(frozen=True)
class Row:
    """One change of the CRD and what is found then.

    Attributes:
        id: What the change is.
        path: The place, as messages write it.
        changes: Keywords that are set; None takes a keyword away.
        found: Text of the only message.
    """

    id: str
    path: str
    changes: dict[str, Any]
    found: str


def _find_root(crd: dict[str, Any]) -> dict[str, Any]:
    root: dict[str, Any] = crd["spec"]["versions"][0]["schema"]["openAPIV3Schema"]
    return root


def _locate(crd: dict[str, Any], path: str) -> dict[str, Any]:
    """Return the schema at a path; a field that is missing is made, with a description and nothing else."""
    node = _find_root(crd)
    for part in re.findall(r"\w[\w-]*|\[\]|\{\}", path):
        if part in {"[]", "{}"}:
            node = node["items" if part == "[]" else "additionalProperties"]
        else:
            node = node["properties"].setdefault(part, {"description": "New."})
    return node


def _change(crd: dict[str, Any], path: str, changes: dict[str, Any]) -> None:
    node = _locate(crd, path)
    for keyword, value in changes.items():
        if value is None:
            del node[keyword]
        else:
            node[keyword] = value


_TEXT = {"type": "string", "maxLength": 10}
_NUMBER = {"type": "integer", "format": "int64", "minimum": 0, "maximum": 10}

ROWS = [
    Row("a float", "spec.surprise", {"type": "number"}, "floats are rounded differently by clients; use an integer in a named unit, or a quantity"),
    Row("a field of any type", "spec.surprise", {"x-kubernetes-int-or-string": True}, "type missing; use one of array, boolean, integer, object, string"),
    Row("a boolean in spec", "spec.rollout.surprise", {"type": "boolean"}, "a boolean leaves no room for a third state; use an enum"),
    Row("null", "spec.engine", {"nullable": True}, "null and absent would mean two things; leave nullable out and make the field optional"),
    Row("a default", "spec.replicas", {"default": 1}, "a default is frozen into stored objects; apply it in code"),
    Row("a default that is false", "status.replicas", {"default": 0}, "a default is frozen into stored objects; apply it in code"),
    Row("unknown fields kept", "spec.engine", {"x-kubernetes-preserve-unknown-fields": True}, "unknown fields would be kept without being checked; name the fields"),
    Row("text without bound", "spec.model.name", {"maxLength": None}, "string without maxLength"),
    Row("text without bound in status", "status.selector", {"maxLength": None}, "string without maxLength"),
    Row("text without bound in a map", "spec.nodes.selector{}", {"maxLength": None}, "string without maxLength"),
    Row("text without bound in a list", "spec.nodes.requirements.gpu.products[]", {"maxLength": None}, "string without maxLength"),
    Row("a list without bound", "spec.cache.tiers", {"maxItems": None}, "list without maxItems"),
    Row("a list without bound in status", "status.conditions", {"maxItems": None}, "list without maxItems"),
    Row("a map without bound", "spec.nodes.selector", {"maxProperties": None}, "map without maxProperties"),
    Row("a number without least", "spec.replicas", {"minimum": None}, "integer without minimum"),
    Row("a count without least", "status.replicas", {"minimum": None}, "integer without minimum"),
    Row("a number without most", "spec.replicas", {"maximum": None}, "integer without maximum"),
    Row("a number of 32 bits", "spec.replicas", {"format": "int32"}, "integer without format int64, so clients may cut it to 32 bits"),
    Row("a number without format", "status.observedGeneration", {"format": None}, "integer without format int64, so clients may cut it to 32 bits"),
    Row("an object without fields", "spec.surprise", {"type": "object"}, "object without fields, so everything in it would be pruned; name its fields"),
    Row("an object whose fields are gone", "spec.rollout", {"properties": {}}, "object without fields, so everything in it would be pruned; name its fields"),
    Row("a list of no type", "spec.cache.tiers", {"x-kubernetes-list-type": None}, "list without x-kubernetes-list-type, so it is unclear how writers share it; use map, set or atomic"),
    Row("a keyed list without keys", "status.conditions", {"x-kubernetes-list-map-keys": None}, "list of type map without x-kubernetes-list-map-keys"),
    Row("a key that is optional", "status.conditions", {"x-kubernetes-list-map-keys": ["type", "other"]}, "key other of the list is not required in its items"),
    Row("a field without description", "spec.model.name", {"description": None}, "no description"),
    Row("an item without description", "spec.cache.tiers[]", {"description": None}, "no description"),
    Row("a name with an underscore", "spec.max_length", _NUMBER, "name is not lowerCamelCase"),
    Row("a name with a capital", "spec.Length", _NUMBER, "name is not lowerCamelCase"),
    Row("a duration as text", "spec.drainTimeout", _TEXT, "duration without a unit; use an integer and name it drainTimeoutSeconds"),
    Row("a duration as number of something", "spec.interval", _NUMBER, "duration without a unit; use an integer and name it intervalSeconds"),
    Row("a rule without message", "spec.model.name", {"x-kubernetes-validations": [{"rule": "self != 'a'"}]}, "rule self != 'a' has no message"),
    Row("a message without remedy", "spec", {"x-kubernetes-validations": [{"rule": "true", "message": "invalid model"}]}, "message does not say what to do: invalid model"),
    Row("an enum value in lower case", "spec.engine.kvCacheDtype", {"enum": ["Auto", "fp8"]}, "enum value fp8 is neither PascalCase nor a known name"),
    Row("an enum value that shouts", "spec.engine.kvCacheDtype", {"enum": ["ALWAYS"]}, "enum value ALWAYS is neither PascalCase nor a known name"),
    Row("an enum value with a hyphen", "spec.engine.kvCacheDtype", {"enum": ["Auto-Detect"]}, "enum value Auto-Detect is neither PascalCase nor a known name"),
]  # fmt: skip


@pytest.mark.parametrize("build", CRD_BUILDERS)
def test_crd_obeys_the_rules(build: Callable[[], dict[str, Any]]) -> None:
    assert check_schema(build()) == []


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.id)
def test_check_schema_finds(row: Row) -> None:
    crd = build_crd()
    _change(crd, row.path, row.changes)
    assert check_schema(crd) == [f"v1alpha1.{row.path}: {row.found}"]


def test_check_schema_finds_a_version_without_description() -> None:
    crd = build_crd()
    del _find_root(crd)["description"]
    assert check_schema(crd) == ["v1alpha1: no description"]


def test_check_schema_reads_every_version() -> None:
    crd = build_crd()
    other = build_crd()["spec"]["versions"][0] | {"name": "v1beta1"}
    crd["spec"]["versions"].append(other)
    del other["schema"]["openAPIV3Schema"]["properties"]["spec"]["description"]
    assert check_schema(crd) == ["v1beta1.spec: no description"]


@pytest.mark.parametrize(
    ("path", "changes"),
    [
        ("status.replicas", {"maximum": None}),
        ("status.conditions[].lastTransitionTime", {"maxLength": None}),
        ("status.surprise", {"type": "boolean"}),
        ("spec.timeoutSeconds", _NUMBER),
        ("spec.interval", {"type": "string", "enum": ["Short", "Long"]}),
        ("spec.engine.kvCacheDtype", {"enum": list(KNOWN_NAMES)}),
        ("spec.engine.kvCacheDtype", {"enum": ["RequireRDMA", "LMCacheS3", "FP8E4M3", "PreferNoSchedule"]}),
    ],
    ids=[
        "a count without most",
        "a time without length",
        "a boolean in status",
        "a duration in seconds",
        "a duration as choice",
        "known names",
        "known names among words",
    ],
)
def test_check_schema_accepts(path: str, changes: dict[str, Any]) -> None:
    crd = build_crd()
    _change(crd, path, changes)
    assert check_schema(crd) == []


def test_every_known_name_says_why() -> None:
    assert [name for name, reason in KNOWN_NAMES.items() if not reason] == []
