"""What the operator says about a bad spec: where, what was found, what is expected, and what to do about it."""

import re
from collections.abc import Iterator, Mapping
from datetime import UTC, date, datetime
from typing import Any

import pytest
import yaml

from inference_cache.api.examples import EXAMPLES
from inference_cache.api.fields import OTHER_NAMES, load_schema
from inference_cache.api.parsing import Violation, parse_spec
from inference_cache.api.wording import MAX_MESSAGE
from tests.api.accept_reject import ROWS, Row
from tests.api.messages.domain_mistakes import DOMAIN_MISTAKES, DomainMistake
from tests.api.messages.listing import MISTAKES, PATH, render
from tests.api.messages.mistakes import Mistake
from tests.api.model_rows import LATENT, ON_CLAIM, ON_IMAGE
from tests.api.other_rows import LOAD
from tests.api.store_rows import WITH_CA
from tests.support.builders import build_spec

_EXPECTED = re.compile(r"\b(must|needs|use at most|is no field of)\b")
# What to do follows what is expected.
_ADVICE = re.compile(r"\b(change|correct|lower|remove|set|upgrade|use|write|lists all|must be one of)\b", re.IGNORECASE)
_REMEDY = re.compile(r"[;:?] .*\b(copy|keep|leave|move|name the|put|remove|use|[Ww]rite)\b")


def test_messages_are_those_of_the_listing() -> None:
    remedy = "read the difference, then run python -m tests.api.messages.regenerate"
    assert PATH.read_text(encoding="utf-8") == render(), remedy


def test_mistakes_have_names_of_their_own() -> None:
    names = [*(case.id for case in MISTAKES), *(case.id for case in DOMAIN_MISTAKES)]
    assert sorted(set(names)) == sorted(names)


def _assert_helps(violations: list[Violation]) -> None:
    for item in violations:
        assert _EXPECTED.search(item.message), f"does not say what is expected: {item}"
        assert _REMEDY.search(item.message), f"does not say what to do: {item}"
        assert len(item.message) <= MAX_MESSAGE
        assert not item.message.endswith("…"), f"cut before its end: {item}"


@pytest.mark.parametrize("case", MISTAKES, ids=lambda case: case.id)
def test_message_names_the_field_the_value_and_what_to_do(case: Mistake) -> None:
    violations = case.check()
    found = [item for item in violations if item.field == case.field]
    assert found, [str(item) for item in violations] or "accepted"
    assert case.shows in found[0].message
    assert [str(item) for item in violations if case.hidden and case.hidden in str(item)] == []
    _assert_helps(violations)


_REFUSED = [row for row in ROWS if not row.accepted]


@pytest.mark.parametrize("row", _REFUSED, ids=lambda row: row.id)
def test_message_about_every_refused_row_says_what_to_do(row: Row) -> None:
    body = row.build()
    violations = parse_spec(body["metadata"]["name"], body["spec"])
    assert isinstance(violations, list)
    _assert_helps(violations)


# What must be in the sample for the places to exist that begin so.
_BASES: dict[str, Mapping[str, Any]] = {
    "spec.model.source.persistentVolumeClaim": {"spec.model.source": {}},
    "spec.model.source.persistentVolumeClaim.": ON_CLAIM,
    "spec.model.source.image.": ON_IMAGE,
    "spec.model.architecture.": LATENT,
    "spec.engine.extraEnv[]": {"spec.engine.extraEnv": [{"name": "A", "secretKeyRef": {"name": "b", "key": "c"}}]},
    "spec.engine.versions.": {"spec.engine.versions": {"vllm": "0.1.0", "lmcache": "0.1.0"}},
    "spec.cache.tiers[].objectStore.tls": WITH_CA,
    "spec.workload.": LOAD,
}


@pytest.mark.parametrize("path", EXAMPLES)
def test_examples_that_messages_give_are_accepted_where_they_belong(path: str) -> None:
    written = yaml.safe_load(EXAMPLES[path])
    if isinstance(written, list):
        (value,) = written
    else:
        ((name, value),) = written.items()
        assert name == path.rpartition(".")[2]
    place = path.replace("tiers[].objectStore", "tiers.1.objectStore").replace("[]", ".0")
    base = next((_BASES[head] for head in sorted(_BASES, reverse=True) if path.startswith(head)), {})
    row = Row("", {**base, place: value}, place)
    assert not isinstance(parse_spec("x", row.build()["spec"]), list), parse_spec("x", row.build()["spec"])


def _list_required(schema: Mapping[str, Any], path: str) -> Iterator[str]:
    yield from (f"{path}.{name}" for name in schema.get("required", []))
    for name, child in schema.get("properties", {}).items():
        yield from _list_required(child, f"{path}.{name}")
    if "items" in schema:
        yield from _list_required(schema["items"], f"{path}[]")


def test_every_required_field_has_an_example() -> None:
    assert sorted(set(_list_required(load_schema(), "spec")) - EXAMPLES.keys()) == []


def test_fields_that_other_names_stand_for_exist() -> None:
    known = set(_list_paths(load_schema(), "spec"))
    assert [path for paths in OTHER_NAMES.values() for path in paths if path not in known] == []


def _list_paths(schema: Mapping[str, Any], path: str) -> Iterator[str]:
    for name, child in schema.get("properties", {}).items():
        yield f"{path}.{name}"
        yield from _list_paths(child, f"{path}.{name}")
    if "items" in schema:
        yield from _list_paths(schema["items"], f"{path}[]")


_LOOP: list[Any] = []
_LOOP.append(_LOOP)


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (datetime(2026, 11, 1, 12, tzinfo=UTC), "a date"),
        ({"a"}, "a value of type set"),
        (_LOOP, "nested deeper"),
        ("\ud800", "Unicode"),
        (2**70, "at most 64 bits"),
        ({date(2026, 11, 1): "x"}, "put the key 2026-11-01 in quotes"),
    ],
    ids=["a time", "a set", "a loop", "half a character", "a large number", "a date as key"],
)
def test_what_is_no_json_is_told_instead_of_raised(value: object, text: str) -> None:
    result = parse_spec("x", build_spec({"engine.image": value}))
    assert isinstance(result, list)
    assert text in result[0].message
    assert [item.field for item in result if item.field.startswith("spec.engine.image")]
    _assert_helps(result)


@pytest.mark.parametrize("spec", [None, [], "text", 1])
def test_spec_that_is_no_mapping_is_told(spec: Any) -> None:
    result = parse_spec("x", spec)
    assert isinstance(result, list)
    assert [item.field for item in result] == ["spec"]
    _assert_helps(result)


@pytest.mark.parametrize("case", DOMAIN_MISTAKES, ids=lambda case: case.id)
def test_condition_names_the_reason_the_figures_and_what_to_do(case: DomainMistake) -> None:
    verdicts = case.check()
    found = [verdict for verdict in verdicts if verdict.reason is case.reason]
    assert found, [f"{verdict.reason.name}: {verdict.message}" for verdict in verdicts] or "accepted"
    assert [text for text in case.shows if text not in found[0].message] == []
    assert _ADVICE.search(found[0].message) is not None
