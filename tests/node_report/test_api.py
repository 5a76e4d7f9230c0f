"""How the validator asks the API server, what it makes of answers, and when it comes back."""

import base64
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from cache_agent.node_agent import find_pause
from cache_agent.node_api import ApiError, find_node_uid
from e2e.cluster.certificates import write_certificates
from tests.node_report.stub import Answer, Stub, serve

_PATH = "/apis/inferencecache.io/v1alpha1/nodecapabilityreports/gpu-1"
_BODY = {"kind": "NodeCapabilityReport"}


def _status(code: int, message: str, **headers: str) -> Answer:
    return Answer(code, {"kind": "Status", "message": message}, headers)


@pytest.fixture(scope="module")
def shared_stub(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stub]:
    with serve(tmp_path_factory.mktemp("credentials")) as stub:
        yield stub


@pytest.fixture
def stub(shared_stub: Stub) -> Stub:
    shared_stub.answers.clear()
    shared_stub.requests.clear()
    shared_stub.write_token("first\n")
    return shared_stub


def test_report_is_read_from_memory_of_the_api_server(stub: Stub) -> None:
    stub.answers = [Answer(200, {"report": {}})]
    assert stub.server.read_report("gpu-1") == {"report": {}}
    ((method, path, headers, body),) = stub.requests
    assert (method, path, body) == ("GET", f"{_PATH}?resourceVersion=0", None)
    assert headers["Authorization"] == "Bearer first"


def test_report_is_applied_under_its_field_manager(stub: Stub) -> None:
    stub.server.apply_report("gpu-1", _BODY)
    ((method, path, headers, body),) = stub.requests
    assert (method, path) == ("PATCH", f"{_PATH}?fieldManager=inference-cache-node-validator&force=true")
    assert headers["Content-Type"] == "application/apply-patch+yaml"
    assert body == _BODY


def test_token_is_read_anew_for_each_request(stub: Stub) -> None:
    stub.server.read_report("gpu-1")
    stub.write_token("second")
    stub.server.read_report("gpu-1")
    assert [headers["Authorization"] for _, _, headers, _ in stub.requests] == ["Bearer first", "Bearer second"]


def test_no_proxy_is_asked(stub: Stub, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTPS_PROXY", "http://127.0.0.1:9")
    stub.server.read_report("gpu-1")
    assert len(stub.requests) == 1


def test_report_that_is_absent_is_nothing(stub: Stub) -> None:
    stub.answers = [_status(404, "not found")]
    assert stub.server.read_report("gpu-1") is None


_REFUSALS = {
    "kind is not served": (_status(404, "the server could not find it"), "is not served: install its CRD", None),
    "token is refused": (_status(401, "Unauthorized"), "HTTP 401: Unauthorized; the token is refused", None),
    "no right": (_status(403, "forbidden: User cannot patch"), "User cannot patch; apply manifests/node-val", None),
    "older CRD": (_status(422, "report.mtu: Invalid"), "report.mtu: Invalid; CRD and validator are of", None),
    "unknown field": (_status(400, "strict decoding error"), "strict decoding error; CRD and validator", None),
    "too many": (_status(429, "slow down", **{"Retry-After": "7"}), "HTTP 429: slow down", 7.0),
    "for a day": (_status(429, "slow down", **{"Retry-After": "86400"}), "HTTP 429", 300.0),
    "at a date": (_status(503, "later", **{"Retry-After": "Wed, 21 Oct 2026 07:28:00 GMT"}), "HTTP 503", None),
    "no JSON": (Answer(502, "<html>bad gateway"), "HTTP 502: <html>bad gateway", None),
    "no object": (Answer(500, "[1]"), "HTTP 500: [1]", None),
}


@pytest.mark.parametrize(("answer", "text", "seconds"), _REFUSALS.values(), ids=_REFUSALS)
def test_refusal(stub: Stub, answer: Answer, text: str, seconds: float | None) -> None:
    stub.answers = [answer]
    with pytest.raises(ApiError) as caught:
        stub.server.apply_report("gpu-1", _BODY)
    assert text in str(caught.value)
    assert caught.value.seconds == seconds


@pytest.mark.parametrize("token", ["", "  \n", "two words", "line\nbreak", "ü"], ids=repr)
def test_file_that_holds_no_token(stub: Stub, token: str) -> None:
    (stub.server.credentials / "token").write_text(token, encoding="utf-8")
    with pytest.raises(ApiError, match="mount the token of the ServiceAccount"):
        stub.server.read_report("gpu-1")
    assert stub.requests == []


def test_message_never_shows_the_token(stub: Stub) -> None:
    stub.write_token("secret token of two words")
    with pytest.raises(ApiError) as caught:
        stub.server.read_report("gpu-1")
    assert "secret" not in str(caught.value)


def test_missing_files_are_said(stub: Stub, tmp_path: Path) -> None:
    server = type(stub.server)("127.0.0.1", stub.server.port, tmp_path)
    with pytest.raises(ApiError, match=r"token cannot be read: .*No such file"):
        server.read_report("gpu-1")
    (tmp_path / "token").write_text("t")
    with pytest.raises(ApiError, match=r"does not answer: .*No such file"):
        server.read_report("gpu-1")


def test_server_of_another_authority_is_refused(stub: Stub, tmp_path: Path) -> None:
    write_certificates(tmp_path)
    (tmp_path / "token").write_text("t")
    server = type(stub.server)("127.0.0.1", stub.server.port, tmp_path)
    with pytest.raises(ApiError, match="certificate verify failed"):
        server.read_report("gpu-1")
    assert stub.requests == []


def test_server_that_is_down(stub: Stub) -> None:
    server = type(stub.server)("127.0.0.1", 9, stub.server.credentials)
    with pytest.raises(ApiError, match=r"the API server 127\.0\.0\.1:9 does not answer: .*refused"):
        server.read_report("gpu-1")


def _token(claims: Any) -> str:
    payload = base64.urlsafe_b64encode(json.dumps(claims).encode()).rstrip(b"=").decode()
    return f"e30.{payload}.c2ln"


_TOKENS = {
    "of a pod on the node": (_token({"kubernetes.io": {"node": {"name": "gpu-1", "uid": "u-1"}}}), "u-1"),
    "of a pod on another node": (_token({"kubernetes.io": {"node": {"name": "gpu-2", "uid": "u-2"}}}), None),
    "without a node": (_token({"kubernetes.io": {"pod": {"name": "p"}}}), None),
    "without claims of Kubernetes": (_token({"sub": "me"}), None),
    "with a uid that is none": (_token({"kubernetes.io": {"node": {"name": "gpu-1", "uid": 7}}}), None),
    "with a list": (_token([1]), None),
    "opaque": ("abcdef", None),
    "payload is no base64": ("a.%%%.c", None),
    "payload is no JSON": ("a.YWJj.c", None),
    "payload is no text": ("a._w.c", None),
}


@pytest.mark.parametrize(("token", "uid"), _TOKENS.values(), ids=_TOKENS)
def test_uid_of_the_node_comes_from_the_token(token: str, uid: str | None) -> None:
    assert find_node_uid(token, "gpu-1") == uid


@pytest.mark.parametrize(
    ("failures", "asked", "seconds"),
    [
        (0, None, 300),
        (1, None, 1),
        (2, None, 2),
        (5, None, 16),
        (9, None, 256),
        (10, None, 300),
        (10**6, None, 300),
        (3, 7.0, 7),
    ],
)
def test_pause_doubles_up_to_the_interval(failures: int, asked: float | None, seconds: float) -> None:
    assert find_pause(failures, 300.0, asked) == seconds
