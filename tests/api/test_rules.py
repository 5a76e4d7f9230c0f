"""The operator's own check of a spec agrees with the table of examples, and the table covers every constraint."""

import json
import typing
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import pytest
from pydantic import AfterValidator, BaseModel
from pydantic.fields import FieldInfo

from inference_cache.api.base import ApiModel, Rule
from inference_cache.api.crd import build_crd, build_fabric_crd, build_report_crd
from inference_cache.api.fabric import FABRIC_KIND, FABRIC_NAME_RULE
from inference_cache.api.fields import Form
from inference_cache.api.forms import DEPLOYMENT_FORM, FABRIC_FORM, REPORT_FORM
from inference_cache.api.node_report import REPORT_KIND
from inference_cache.api.v1alpha1 import KIND, NAME_RULE
from tests.api.accept_reject import ROWS, Row

_KEYWORDS = {"minimum", "maximum", "minLength", "maxLength", "pattern", "enum", "minItems", "maxItems", "maxProperties"}


@dataclass(frozen=True)
class Kind:
    """A kind, and how many rules and constraints a walk over it must find at least to be right.

    Attributes:
        name_rules: Rules on the object's name.
        maps: Paths of maps, whose keys stand for any key.
    """

    name: str
    form: Form
    build: Callable[[], dict[str, Any]]
    name_rules: tuple[Rule, ...]
    rules: int
    constraints: int
    maps: tuple[str, ...] = ()


_MAPS = (
    "spec.nodes.selector",
    *(f"spec.{part}.resources.{name}" for part in ("engine", "cache") for name in ("requests", "limits")),
)
KINDS = [
    Kind(KIND, DEPLOYMENT_FORM, build_crd, (NAME_RULE,), 60, 320, _MAPS),
    Kind(FABRIC_KIND, FABRIC_FORM, build_fabric_crd, (FABRIC_NAME_RULE,), 25, 60, ("spec.nodeSelector",)),
    Kind(REPORT_KIND, REPORT_FORM, build_report_crd, (), 1, 80),
]
each_kind = pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.name)


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.id)
def test_own_check_agrees_with_the_table(row: Row) -> None:
    result = row.check()
    if row.accepted:
        assert [str(item) for item in result] == []
        return
    assert result, "accepted"
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


def _list_rules(kind: Kind) -> list[Rule]:
    return [*kind.name_rules, *_walk(kind.form.model)]


@each_kind
def test_every_rule_has_a_row_that_breaks_it(kind: Kind) -> None:
    rules = {rule.message: rule for rule in _list_rules(kind) if not rule.transition}
    texts = [row.ours for row in ROWS if row.kind == kind.name and row.breaks == "rule"]
    assert len(rules) >= kind.rules, "the walk over the models finds too few rules to be right"
    assert [message for message in rules if not any(text in message for text in texts)] == []
    assert [text for text in texts if not any(text in message for message in rules)] == []


@each_kind
def test_rules_about_changes_are_those_that_look_at_the_old_object(kind: Kind) -> None:
    assert [rule.message for rule in _list_rules(kind) if rule.transition != ("oldSelf" in rule.cel)] == []


def test_every_rule_about_credentials_has_a_row_that_looks_for_one() -> None:
    secret = [rule.message for rule in _walk(DEPLOYMENT_FORM.model) if rule.secret]
    hidden = [row.ours for row in ROWS if row.hidden]
    assert len(secret) >= 5, "the walk over the models finds too few rules to be right"
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


def _normalize(row: Row, kind: Kind) -> tuple[str, str]:
    path = ".".join("#" if part.isdigit() else part for part in row.path.split("."))
    if row.breaks == "unknown" or path.rpartition(".")[0] in kind.maps:
        path = f"{path.rpartition('.')[0]}.*"
    return path, row.breaks


def _find_root(kind: Kind) -> dict[str, Any]:
    root: dict[str, Any] = kind.build()["spec"]["versions"][0]["schema"]["openAPIV3Schema"]
    return root


@each_kind
def test_every_constraint_of_the_schema_has_a_row_that_breaks_it(kind: Kind) -> None:
    root = kind.form.root
    expected = set(_list_constraints(_find_root(kind)["properties"][root], root))
    covered = {_normalize(row, kind) for row in ROWS if row.kind == kind.name and row.breaks not in {"", "rule"}}
    assert len(expected) > kind.constraints
    assert sorted(expected - covered) == []
    assert sorted(covered - expected) == []


def _list_messages(schema: Any) -> Iterator[str]:
    if isinstance(schema, dict):
        yield from (entry["message"] for entry in schema.get("x-kubernetes-validations", []))
        yield from (message for child in schema.values() for message in _list_messages(child))


@each_kind
def test_every_rule_is_in_the_crd(kind: Kind) -> None:
    rules = {rule.message for rule in _list_rules(kind)}
    assert sorted(rules - set(_list_messages(_find_root(kind)))) == []
