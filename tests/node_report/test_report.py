"""The bounds of a report, what counts as a change, and when it is written."""

import copy
import json
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import pytest
from pydantic.alias_generators import to_camel

from cache_agent import node_report
from cache_agent.node_facts import DeviceFacts, NodeFacts, PortFacts
from cache_agent.node_report import build_object, build_report, hash_content, needs_write
from e2e.nodetree import Machine, build_host, build_network_function, build_virtual_functions
from inference_cache.api.node_report import (
    REPORT_API_VERSION,
    REPORT_KIND,
    InferenceCacheNodeReport,
    ReportedDevice,
    ReportedPort,
)
from tests.node_report.cases import NODE_UID, PROBED_AT, probe, report_of

_LONG = "x" * 300


def _host() -> Machine:
    physical, virtual = build_virtual_functions(build_network_function(0), 2)
    return build_host(physical, *virtual)


@pytest.fixture
def report(tmp_path: Path) -> dict[str, Any]:
    return report_of(probe(_host(), tmp_path / "tree"))


def _largest_facts() -> NodeFacts:
    """Longest texts and most entries."""
    ports = tuple(PortFacts(255, _LONG, _LONG, _LONG, 99_999, 65_535, 1024, 1024) for _ in range(2))
    numbers = {"mtu": 10**6, "speed_gbps": 10**5, "numa_node": 4096, "total_vfs": 65_535, "current_vfs": 65_535}
    texts = {item.name: _LONG for item in fields(DeviceFacts) if item.name not in {*numbers, "ports", "function"}}
    device = DeviceFacts(**texts, **numbers, function="Physical", ports=ports)  # type: ignore[arg-type]
    big = dict.fromkeys(("memlock_soft", "memlock_hard"), 2**60)
    pages = dict.fromkeys(("huge_pages_total", "huge_pages_free"), 2**40)
    return NodeFacts(
        _LONG, _LONG, (_LONG,) * 64, _LONG, **big, **pages, numa_nodes=4096, gpus=256, devices=(device,) * 64,
        problems=(_LONG,) * 65,
    )  # fmt: skip


def test_largest_report_is_valid_and_small() -> None:
    report = report_of(_largest_facts())
    InferenceCacheNodeReport.model_validate(report)
    assert len(json.dumps(build_object("n" * 253, report))) < 128 * 1024
    assert len(report["problems"]) == 16
    assert report["problems"][-1] == "and 50 more problems"


def test_empty_facts_make_a_valid_report() -> None:
    report = build_report(NodeFacts(), probed_at=0, valid_seconds=60, node_uid=None)
    assert report == {"probedAt": "1970-01-01T00:00:00Z", "validSeconds": 60}
    InferenceCacheNodeReport.model_validate(report)


def test_no_device_is_something_else_than_not_told() -> None:
    assert report_of(NodeFacts(devices=()))["devices"] == []
    assert "devices" not in report_of(NodeFacts())


def test_names_of_files_that_are_no_text_are_cleaned() -> None:
    report = report_of(NodeFacts(kernel="6.8\n\udcff\x1b[31m", problems=("\udc80/sys\tx: no",)))
    assert report["kernel"] == "6.8[31m"
    assert report["problems"] == ["/sysx: no"]


@pytest.mark.parametrize(
    ("facts", "model", "beside"),
    [
        (NodeFacts, InferenceCacheNodeReport, {"probed_at", "valid_seconds", "node_uid"}),
        # The mode of a BlueField is told by other sources alone.
        (DeviceFacts, ReportedDevice, {"dpu_mode"}),
        (PortFacts, ReportedPort, set()),
    ],
)
def test_facts_have_the_fields_of_the_api(facts: Any, model: Any, beside: set[str]) -> None:
    names = {item.name for item in fields(facts)}
    assert names == set(model.model_fields) - beside
    assert {node_report._name(name) for name in names} == {to_camel(name) for name in names}


def test_kind_is_that_of_the_api() -> None:
    assert (node_report.API_VERSION, node_report.KIND) == (REPORT_API_VERSION, REPORT_KIND)


def test_object_belongs_to_its_node(report: dict[str, Any]) -> None:
    metadata = build_object("gpu-1", report)["metadata"]
    assert metadata["ownerReferences"] == [{"apiVersion": "v1", "kind": "Node", "name": "gpu-1", "uid": NODE_UID}]
    del report["nodeUid"]
    assert "ownerReferences" not in build_object("gpu-1", report)["metadata"]


_CHANGES: dict[str, tuple[str, Any, bool]] = {
    "port of a physical function goes down": ("devices.0.ports.0.state", "DOWN", True),
    "MTU of a physical function": ("devices.0.mtu", 1500, True),
    "virtual functions are made": ("devices.0.currentVfs", 4, True),
    "firmware": ("devices.0.firmware", "28.43.1014", True),
    "locked memory": ("memlockHard", 65536, True),
    "huge pages reserved": ("hugePagesTotal", 0, True),
    "other boot": ("bootId", "another", True),
    "other node of the same name": ("nodeUid", "another", True),
    "validity": ("validSeconds", 7200, True),
    "problem": ("problems", ["something"], True),
    "virtual function appears with another id": ("devices.1.device", "101c", True),
    "time": ("probedAt", "2031-01-01T00:00:00Z", False),
    "huge pages in use": ("hugePagesFree", 1, False),
    "interface of a virtual function moved into a pod": ("devices.1.interface", None, False),
    "port of a virtual function comes up in a pod": ("devices.1.ports", [{"number": 1, "state": "ACTIVE"}], False),
}


@pytest.mark.parametrize(("path", "value", "changed"), _CHANGES.values(), ids=_CHANGES)
def test_change_of_content(report: dict[str, Any], path: str, value: Any, changed: bool) -> None:
    other = copy.deepcopy(report)
    target: Any = other
    *parents, last = path.split(".")
    for part in parents:
        target = target[int(part)] if part.isdecimal() else target[part]
    if value is None:
        del target[last]
    else:
        target[last] = value
    assert other != report
    assert (hash_content(other) != hash_content(report)) is changed
    assert needs_write(build_object("n", report), build_object("n", other), PROBED_AT + 1) is changed


def test_virtual_function_that_is_new_is_a_change(report: dict[str, Any]) -> None:
    before = hash_content(report)
    report["devices"].pop()
    assert hash_content(report) != before


@pytest.mark.parametrize(
    ("age", "needed"), [(0, False), (1799, False), (1800, True), (90_000, True), (-1, True)], ids=str
)
def test_report_is_confirmed_when_half_of_its_validity_is_over(report: dict[str, Any], age: int, needed: bool) -> None:
    stored = build_object("n", report)
    now = {**report, "probedAt": "2039-01-01T00:00:00Z"}
    assert needs_write(stored, build_object("n", now), PROBED_AT + age) is needed


@pytest.mark.parametrize(
    "stored",
    [
        None,
        {},
        {"metadata": {"annotations": None}},
        {"report": {"probedAt": "yesterday"}},
        {"report": None},
        {"report": {"probedAt": 5}},
    ],
    ids=str,
)
def test_report_that_is_absent_or_no_report_is_written(report: dict[str, Any], stored: Any) -> None:
    wanted = build_object("n", report)
    if stored and "report" in stored:
        stored = {"metadata": wanted["metadata"], **stored}
    assert needs_write(stored, wanted, PROBED_AT)


def test_fields_that_an_older_crd_pruned_are_no_change(report: dict[str, Any]) -> None:
    wanted = build_object("n", report)
    pruned = {**wanted, "report": {key: report[key] for key in ("probedAt", "validSeconds")}}
    assert not needs_write(pruned, wanted, PROBED_AT + 1)


def test_same_machine_has_the_same_content(tmp_path: Path) -> None:
    one, other = (probe(_host(), tmp_path / name) for name in ("one", "other"))
    assert one == other
    assert hash_content(report_of(one)) == hash_content(report_of(replace(other, huge_pages_free=3)))
