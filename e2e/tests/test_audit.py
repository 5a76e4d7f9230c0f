"""The audit log's reader: parsing, marks through growth and rotation, settling, and a real API server's log."""

import json
import threading
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from e2e.audit import AuditLog, AuditLogError, count_by_kind, describe_counts, parse_call, select_calls
from e2e.rig import Rig


def line(verb: str = "get", *, stage: str = "ResponseComplete", uri: str = "/x", **changes: Any) -> str:
    event = {
        "kind": "Event",
        "apiVersion": "audit.k8s.io/v1",
        "stage": stage,
        "requestURI": uri,
        "verb": verb,
        "user": {"username": "system:serviceaccount:ns:op"},
        "userAgent": "op/1.0",
        "objectRef": {"apiGroup": "apps", "resource": "statefulsets", "namespace": "ns", "name": "a"},
        "responseStatus": {"code": 200},
        "requestReceivedTimestamp": "2026-11-24T09:42:49.287014Z",
        "stageTimestamp": "2026-11-24T09:42:49.287175Z",
    }
    return json.dumps(event | changes) + "\n"


def append(path: Path, *lines: str) -> None:
    with path.open("a") as file:
        file.writelines(lines)


def test_a_call_is_read_with_microseconds() -> None:
    call = parse_call(line("patch", objectRef={"resource": "pods", "subresource": "status"}).encode())
    assert call is not None
    assert call.time_received == datetime(2026, 11, 24, 9, 42, 49, 287014, tzinfo=UTC)
    assert call.seconds == pytest.approx(0.000161)
    assert (call.group, call.resource, call.subresource, call.namespace, call.name) == ("", "pods", "status", "", "")
    assert (call.user, call.user_agent, call.code, call.is_write) == (
        "system:serviceaccount:ns:op",
        "op/1.0",
        200,
        True,
    )


@pytest.mark.parametrize(
    ("verb", "stage", "counts"),
    [
        ("get", "RequestReceived", False),
        ("get", "ResponseStarted", False),
        ("get", "ResponseComplete", True),
        ("get", "Panic", True),
        ("watch", "ResponseStarted", True),
        ("watch", "ResponseComplete", False),
    ],
)
def test_each_call_counts_in_one_stage(verb: str, stage: str, *, counts: bool) -> None:
    assert (parse_call(line(verb, stage=stage).encode()) is not None) == counts


def test_calls_without_an_object_are_read() -> None:
    call = parse_call(line(objectRef=None, responseStatus=None).encode())
    assert call is not None
    assert (call.resource, call.code) == ("", 0)


@pytest.mark.parametrize("text", ["", "{", "[]", "{}", '{"verb": "get", "stage": "ResponseComplete"}'])
def test_other_lines_are_refused(text: str) -> None:
    with pytest.raises(AuditLogError, match="no audit event"):
        parse_call(text.encode())


def test_marks_follow_growth_and_leave_a_half_written_line_for_later(tmp_path: Path) -> None:
    log = AuditLog(tmp_path / "audit.log")
    start = log.mark()
    assert log.since() == []
    append(log.path, line(uri="/1"), line(uri="/2"))
    middle = log.mark()
    whole = line(uri="/3")
    append(log.path, whole[:40])
    assert log.mark() == middle
    assert log.since(middle) == []
    append(log.path, whole[40:])
    assert [call.request_uri for call in log.since(middle)] == ["/3"]
    assert [call.request_uri for call in log.since(start)] == ["/1", "/2", "/3"]
    assert log.since(log.mark()) == []


def test_the_mark_of_a_long_half_line_is_its_beginning(tmp_path: Path) -> None:
    log = AuditLog(tmp_path / "audit.log")
    append(log.path, line(uri="/1"))
    mark = log.mark()
    append(log.path, "x" * 200_000)
    assert log.mark() == mark


def test_marks_survive_rotation(tmp_path: Path) -> None:
    log = AuditLog(tmp_path / "audit.log")
    append(log.path, line(uri="/1"))
    mark = log.mark()
    append(log.path, line(uri="/2"))
    log.path.rename(tmp_path / "audit-2026-11-24T09-42-49.287.log")
    append(log.path, line(uri="/3"))
    assert [call.request_uri for call in log.since(mark)] == ["/2", "/3"]
    assert [call.request_uri for call in log.since()] == ["/1", "/2", "/3"]
    (tmp_path / "audit-2026-11-24T09-42-49.287.log").unlink()
    with pytest.raises(AuditLogError, match="removed"):
        log.since(mark)


def test_settle_waits_for_the_probe_to_be_written(tmp_path: Path) -> None:
    log = AuditLog(tmp_path / "audit.log")
    append(log.path, line(uri="/1"))
    writers: list[threading.Timer] = []

    def probe(word: str) -> None:
        writer = threading.Timer(0.2, append, (log.path, line(uri="/2"), line(uri=f"/version?{word}")))
        writers.append(writer)
        writer.start()

    before = log.mark()
    mark = log.settle(probe, timeout_s=10)
    writers[0].join()
    assert next(call.request_uri for call in log.since(before)) == "/2"
    assert log.since(mark) == []


def test_settle_says_when_the_probe_never_arrives(tmp_path: Path) -> None:
    log = AuditLog(tmp_path / "audit.log")
    with pytest.raises(AuditLogError, match="did not arrive"):
        log.settle(lambda _word: None, timeout_s=0.1)


def test_settle_without_a_probe_waits_for_quiet(tmp_path: Path) -> None:
    log = AuditLog(tmp_path / "audit.log")
    writer = threading.Timer(0.3, append, (log.path, line(uri="/late")))
    writer.start()
    mark = log.settle(timeout_s=10)
    writer.join()
    assert mark == log.mark()
    assert [call.request_uri for call in log.since()] == ["/late"]


def test_selection_and_counts(tmp_path: Path) -> None:
    log = AuditLog(tmp_path / "audit.log")
    append(
        log.path,
        line("list"),
        line("patch", objectRef={"resource": "pods", "subresource": "status", "name": "p"}),
        line("patch", objectRef={"resource": "pods", "subresource": "status", "name": "q"}),
        line("create", user={"username": "other"}),
    )
    calls = log.since()
    assert len(select_calls(calls, writes=True)) == 3
    assert len(select_calls(calls, writes=False)) == 1
    assert len(select_calls(calls, user="other", verbs=("create",))) == 1
    assert len(select_calls(calls, resource="pods", subresource="status", name="q", user_agent="op/")) == 1
    assert select_calls(calls, group="batch") == []
    assert count_by_kind(calls) == {
        ("list", "statefulsets"): 1,
        ("patch", "pods/status"): 2,
        ("create", "statefulsets"): 1,
    }
    assert describe_counts(calls).splitlines()[0].split() == ["2", "patch", "pods/status"]


def test_a_real_log_holds_every_call_once_it_has_settled(rig: Rig) -> None:
    cluster = rig.cluster
    log = AuditLog(cluster.audit_log)

    def settle() -> Any:
        return log.settle(lambda word: cluster.kubectl("get", "--raw", f"/version?{word}"), timeout_s=20)

    start = settle()
    cluster.kubectl("create", "configmap", "audit-witness", "--namespace=default", "--from-literal=a=1")
    cluster.kubectl("patch", "configmap", "audit-witness", "--namespace=default", "--patch", '{"data":{"a":"2"}}')
    cluster.kubectl("delete", "configmap", "audit-witness", "--namespace=default")
    end = settle()
    ours = select_calls(log.since(start), resource="configmaps", name="audit-witness", writes=True)
    assert [(call.verb, call.code) for call in ours] == [("create", 201), ("patch", 200), ("delete", 200)]
    assert all(call.namespace == "default" and call.user and call.seconds > 0 for call in ours)
    assert not select_calls(log.since(end), resource="configmaps", name="audit-witness")
