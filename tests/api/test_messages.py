"""What the operator says about a bad spec: where, what was found, what is expected, and what to do about it."""

import re
from collections.abc import Iterator, Mapping
from datetime import UTC, date, datetime
from typing import Any

import pytest
import yaml

from inference_cache.api.fabric import FABRIC_KIND
from inference_cache.api.fields import Form
from inference_cache.api.forms import DEPLOYMENT_FORM, FABRIC_FORM
from inference_cache.api.parsing import Violation, parse_fabric, parse_report, parse_spec
from inference_cache.api.v1alpha1 import KIND
from inference_cache.api.wording import MAX_MESSAGE
from tests.api.accept_reject import ROWS, Row
from tests.api.fabric_rows import REFERENCE, SRIOV
from tests.api.messages.domain_mistakes import DOMAIN_MISTAKES, DomainMistake
from tests.api.messages.listing import MISTAKES, PATH, render
from tests.api.messages.mistakes import Mistake
from tests.api.model_rows import LATENT, ON_CLAIM, ON_IMAGE
from tests.api.nodes_rows import ON_FABRIC
from tests.api.other_rows import LOAD
from tests.api.rows import STORE
from tests.api.store_rows import WITH_CA
from tests.api.transport_rows import INLINE, PLUGIN
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
    violations = row.check()
    assert violations
    _assert_helps(violations)


_GENERAL_STORE = "spec.cache.tiers[].objectStore"
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
    "spec.transport.rdma.": INLINE,
    "spec.nodes.requirements.rdma": ON_FABRIC,
    "spec.nodes.requirements.rdma.nicModels[]": {**ON_FABRIC, "spec.nodes.requirements.rdma.nicModels": ["1021"]},
    "spec.nodes.requirements.dpu": ON_FABRIC,
    "spec.nodes.requirements.dpu.models[]": {**ON_FABRIC, "spec.nodes.requirements.dpu.models": ["a2dc"]},
    f"{_GENERAL_STORE}.plugin": {f"{STORE}.client": "Plugin"},
    f"{_GENERAL_STORE}.plugin.": PLUGIN,
    f"{_GENERAL_STORE}.plugin.parameters[]": {**PLUGIN, f"{STORE}.plugin.parameters": [{"name": "x", "value": "1"}]},
    f"{_GENERAL_STORE}.plugin.tcpParameters": {**PLUGIN, f"{STORE}.plugin.objectNames": "Own"},
    f"{_GENERAL_STORE}.plugin.tcpParameters[]": {
        **PLUGIN,
        f"{STORE}.plugin.objectNames": "Own",
        f"{STORE}.plugin.tcpParameters": [{"name": "x", "value": "1"}],
    },
}
_FABRIC_BASES: dict[str, Mapping[str, Any]] = {
    "spec.mode": REFERENCE,
    "spec.type": SRIOV,
    "spec.networks": REFERENCE,
    "spec.networks[].interface": {},
    "spec.networks[].ipam": {},
    "spec.networks[].ipam.range": {"spec.networks.0.ipam": {"type": "Whereabouts"}},
    "spec.devices": {"spec.networks": [{"name": "a", "interface": "ens3f0np0", "ipam": {"type": "DHCP"}}]},
    "spec.devices.deviceIds[]": {"spec.devices.deviceIds": ["1023"]},
}
_FORMS = [(KIND, DEPLOYMENT_FORM, _BASES), (FABRIC_KIND, FABRIC_FORM, _FABRIC_BASES)]


@pytest.mark.parametrize(
    ("kind", "form", "bases", "path"),
    [(kind, form, bases, path) for kind, form, bases in _FORMS for path in form.examples],
)
def test_examples_that_messages_give_are_accepted_where_they_belong(
    kind: str, form: Form, bases: Mapping[str, Mapping[str, Any]], path: str
) -> None:
    written = yaml.safe_load(form.examples[path])
    if isinstance(written, list):
        (value,) = written
    else:
        ((name, value),) = written.items()
        assert name == path.rpartition(".")[2]
    place = path.replace("tiers[].objectStore", "tiers.1.objectStore").replace("[]", ".0")
    base = next((bases[head] for head in sorted(bases, reverse=True) if path.startswith(head)), {})
    row = Row("", {**base, place: value}, place, kind=kind)
    assert [str(item) for item in row.check()] == []


def _list_required(schema: Mapping[str, Any], path: str) -> Iterator[str]:
    yield from (f"{path}.{name}" for name in schema.get("required", []))
    for name, child in schema.get("properties", {}).items():
        yield from _list_required(child, f"{path}.{name}")
    if "items" in schema:
        yield from _list_required(schema["items"], f"{path}[]")


each_form = pytest.mark.parametrize("form", [DEPLOYMENT_FORM, FABRIC_FORM], ids=lambda form: form.model.__name__)


@each_form
def test_every_required_field_has_an_example(form: Form) -> None:
    assert sorted(set(_list_required(form.schema, form.root)) - form.examples.keys()) == []


@each_form
def test_places_that_messages_speak_of_exist(form: Form) -> None:
    known = set(_list_paths(form.schema, form.root))
    others = [path for paths in form.other_names.values() for path in paths]
    assert [path for path in (*others, *form.images, *form.hatches) if path not in known] == []
    examples = {path.removesuffix("[]") for path in form.examples}
    assert sorted(examples - known) == []


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
    for result in (parse_spec("x", spec), parse_fabric("x", spec)):
        assert isinstance(result, list)
        assert [item.field for item in result] == ["spec"]
        _assert_helps(result)


def test_report_without_content_is_told() -> None:
    result = parse_report({"metadata": {"name": "node-1"}})
    assert isinstance(result, list)
    assert [item.field for item in result] == ["report"]
    _assert_helps(result)


@pytest.mark.parametrize("case", DOMAIN_MISTAKES, ids=lambda case: case.id)
def test_condition_names_the_reason_the_figures_and_what_to_do(case: DomainMistake) -> None:
    verdicts = case.check()
    found = [verdict for verdict in verdicts if verdict.reason is case.reason]
    assert found, [f"{verdict.reason.name}: {verdict.message}" for verdict in verdicts] or "accepted"
    assert [text for text in case.shows if text not in found[0].message] == []
    assert _ADVICE.search(found[0].message) is not None
