"""The operator's own check of a spec agrees with the table of examples, and the table covers every constraint."""

import json
import typing
from collections.abc import Iterator
from typing import Any

import pytest
from pydantic import AfterValidator, BaseModel
from pydantic.fields import FieldInfo

from inference_cache.api.base import ApiModel, Rule
from inference_cache.api.crd import build_crd
from inference_cache.api.parsing import parse_spec
from inference_cache.api.v1alpha1 import NAME_RULE, InferenceCacheDeploymentSpec
from tests.api.accept_reject import ROWS, Row

_KEYWORDS = {"minimum", "maximum", "minLength", "maxLength", "pattern", "enum", "minItems", "maxItems", "maxProperties"}


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.id)
def test_parse_spec_agrees_with_the_table(row: Row) -> None:
    body = row.build()
    result = parse_spec(body["metadata"]["name"], body["spec"])
    if row.accepted:
        assert not isinstance(result, list), [str(item) for item in result]
        return
    assert isinstance(result, list), "accepted"
    found = [item for item in result if item.field == row.field and row.ours in item.message]
    assert found, [str(item) for item in result]
    if row.hidden:
        assert row.hidden in json.dumps(row.build(), ensure_ascii=False), "the row hides what is not in it"
        assert [str(item) for item in result if row.hidden in str(item)] == []
    elif row.breaks != "required" and isinstance(row.value, str | int):
        assert str(row.value)[:100] in str(found[0]), "the message must show the refused value"


def test_examples_have_names_of_their_own() -> None:
    names = [row.id for row in ROWS]
    assert sorted(set(names)) == sorted(names)


def _walk(annotation: Any, metadata: Any = ()) -> Iterator[Rule]:
    for item in metadata:
        if isinstance(item, AfterValidator) and isinstance(owner := getattr(item.func, "__self__", None), Rule):
            yield owner
        elif isinstance(item, FieldInfo):
            yield from _walk(item.annotation, item.metadata)
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        if issubclass(annotation, ApiModel):
            yield from annotation.rules
        for field in annotation.model_fields.values():
            yield from _walk(field.annotation, field.metadata)
        return
    yield from (found for part in typing.get_args(annotation) for found in _walk(part))
    if inner := getattr(annotation, "__metadata__", ()):
        yield from _walk(None, inner)


def test_every_rule_has_a_row_that_breaks_it() -> None:
    rules = {rule.message: rule for rule in (NAME_RULE, *_walk(InferenceCacheDeploymentSpec))}
    texts = [row.ours for row in ROWS if row.breaks == "rule"]
    assert len(rules) >= 40, "the walk over the models finds too few rules to be right"
    assert [message for message in rules if not any(text in message for text in texts)] == []
    assert [text for text in texts if not any(text in message for message in rules)] == []


def test_every_rule_about_credentials_has_a_row_that_looks_for_one() -> None:
    secret = [rule.message for rule in _walk(InferenceCacheDeploymentSpec) if rule.secret]
    hidden = [row.ours for row in ROWS if row.hidden]
    assert len(secret) >= 4, "the walk over the models finds too few rules to be right"
    assert [message for message in secret if not any(text in message for text in hidden)] == []


def _list_constraints(schema: dict[str, Any], path: str) -> Iterator[tuple[str, str]]:
    yield from ((path, keyword) for keyword in _KEYWORDS & schema.keys())
    if schema["type"] == "integer":
        yield path, "type"
    if schema.get("x-kubernetes-list-type") in {"set", "map"}:
        yield f"{path}.#", "duplicate"
    for name in schema.get("required", []):
        yield f"{path}.{name}", "required"
    for name, child in schema.get("properties", {}).items():
        yield from _list_constraints(child, f"{path}.{name}")
    if "properties" in schema:
        yield f"{path}.*", "unknown"
    if "items" in schema:
        yield from _list_constraints(schema["items"], f"{path}.#")
    if isinstance(values := schema.get("additionalProperties"), dict):
        yield from _list_constraints(values, f"{path}.*")


_MAPS = (
    "spec.nodes.selector",
    *(f"spec.{part}.resources.{name}" for part in ("engine", "cache") for name in ("requests", "limits")),
)


def _normalize(row: Row) -> tuple[str, str]:
    path = ".".join("#" if part.isdigit() else part for part in row.path.split("."))
    if row.breaks == "unknown" or path.rpartition(".")[0] in _MAPS:
        path = f"{path.rpartition('.')[0]}.*"
    return path, row.breaks


def test_every_constraint_of_the_schema_has_a_row_that_breaks_it() -> None:
    versions = build_crd()["spec"]["versions"]
    spec = versions[0]["schema"]["openAPIV3Schema"]["properties"]["spec"]
    expected = set(_list_constraints(spec, "spec"))
    covered = {_normalize(row) for row in ROWS if row.breaks not in {"", "rule"}}
    assert len(expected) > 240
    assert sorted(expected - covered) == []
    assert sorted(covered - expected) == []


def _list_messages(schema: Any) -> Iterator[str]:
    if isinstance(schema, dict):
        yield from (entry["message"] for entry in schema.get("x-kubernetes-validations", []))
        yield from (message for child in schema.values() for message in _list_messages(child))


def test_every_rule_is_in_the_crd() -> None:
    rules = {rule.message for rule in (NAME_RULE, *_walk(InferenceCacheDeploymentSpec))}
    written = set(_list_messages(build_crd()["spec"]["versions"][0]["schema"]["openAPIV3Schema"]))
    assert sorted(rules - written) == []
