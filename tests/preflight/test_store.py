"""What the preflight removes from the bucket: signed as AWS does it, found by name, and nothing else."""

import threading
import time
import urllib.parse
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Final

import pytest
from botocore.auth import S3SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

from cache_agent.preflight_config import Store
from cache_agent.preflight_store import Keys, StoreError, find_keys, remove_objects, sign

_KEYS: Final = Keys("AKIAEXAMPLE", "secret/with+signs")
_PREFIX: Final = "inference-cache-preflight-0011"


class Bucket:
    """A bucket behind HTTP that keeps what it was asked."""

    def __init__(self, names: list[str], status: int = 200) -> None:
        self.names, self.status, self.asked = names, status, []  # type: list[str], int, list[tuple[str, str, str]]

    @contextmanager
    def serve(self) -> Iterator[str]:
        bucket = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                bucket.asked.append(("GET", self.path, self.headers["Host"]))
                listed = "".join(f"<Contents><Key>{name}</Key><Size>1</Size></Contents>" for name in bucket.names)
                self._answer(bucket.status, f'<ListBucketResult xmlns="http://s3/">{listed}</ListBucketResult>')

            def do_DELETE(self) -> None:
                bucket.asked.append(("DELETE", self.path, self.headers["Host"]))
                self._answer(204, "")

            def _answer(self, status: int, body: str) -> None:
                text = body if status < 300 else "<Error><Code>AccessDenied</Code><Message>secret</Message></Error>"
                self.send_response(status)
                self.send_header("Content-Length", str(len(text)))
                self.end_headers()
                self.wfile.write(text.encode())

            def log_message(self, *_: object) -> None:
                pass

        server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield f"127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
            thread.join()
            server.server_close()


def _store(host: str, *, path: bool = True) -> Store:
    return Store(f"http://{host}", "us-east-1", "kv", path, "")


def test_only_what_has_the_name_is_deleted() -> None:
    mine = [f"{_PREFIX}@01000100@0@aa", f"{_PREFIX}@0x01000100@0@bb.data"]
    bucket = Bucket([*mine, "/models/kv-1@01000100@0@cc"])
    with bucket.serve() as host:
        assert remove_objects(_store(host), _KEYS, _PREFIX) == 2
    listed, *deleted = bucket.asked
    assert listed[:2] == ("GET", f"/kv/?list-type=2&prefix={_PREFIX}")
    assert [(method, urllib.parse.unquote(path)) for method, path, _ in deleted] == [
        ("DELETE", f"/kv/{name}") for name in mine
    ]


def test_bucket_in_the_host_name() -> None:
    headers = sign("GET", "/", "list-type=2", "kv.store.example:9000", "us-east-1", _KEYS, time.gmtime(0))
    assert headers["host"] == "kv.store.example:9000"


def test_empty_bucket() -> None:
    bucket = Bucket([])
    with bucket.serve() as host:
        assert remove_objects(_store(host), _KEYS, _PREFIX) == 0
    assert len(bucket.asked) == 1


def test_refusal_is_told_with_its_code_and_without_its_words() -> None:
    with Bucket([], status=403).serve() as host, pytest.raises(StoreError, match=r"HTTP 403 AccessDenied$") as caught:
        remove_objects(_store(host), _KEYS, _PREFIX)
    assert "secret" not in str(caught.value)


def test_store_that_is_not_there() -> None:
    with Bucket([]).serve() as host:
        pass
    with pytest.raises(StoreError, match="cannot be reached: ConnectionRefusedError"):
        remove_objects(_store(host), _KEYS, _PREFIX)


def test_no_deletion_begins_past_the_time() -> None:
    bucket = Bucket([f"{_PREFIX}@a", f"{_PREFIX}@b"])
    with bucket.serve() as host, pytest.raises(StoreError, match=r"^0 of 2 objects were deleted within 0 s$"):
        remove_objects(_store(host), _KEYS, _PREFIX, seconds=0)
    assert [method for method, *_ in bucket.asked] == ["GET"]


@pytest.mark.parametrize("session", ["", "token=="])
@pytest.mark.parametrize(
    ("method", "path", "query"),
    [
        ("GET", "/", f"list-type=2&prefix={_PREFIX}"),
        ("GET", "/kv/", "list-type=2&prefix=a%20b"),
        ("DELETE", f"/kv/{_PREFIX}%4001000100%400%40aa", ""),
        ("DELETE", "/a%24b/c~d", ""),
    ],
)
def test_signature_is_that_of_botocore(
    method: str, path: str, query: str, session: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    moment = datetime(2026, 11, 25, 1, 2, 3)  # noqa: DTZ001 - as botocore takes it
    monkeypatch.setattr("botocore.auth.get_current_datetime", lambda **_: moment)
    url = f"https://kv.store.example:9000{path}{f'?{query}' if query else ''}"
    request = AWSRequest(method=method, url=url)
    request.context["payload_signing_enabled"] = True
    S3SigV4Auth(Credentials(_KEYS.access, _KEYS.secret, session or None), "s3", "eu-1").add_auth(request)
    keys = Keys(_KEYS.access, _KEYS.secret, session)
    found = sign(method, path, query, "kv.store.example:9000", "eu-1", keys, moment.timetuple())
    assert found["Authorization"] == request.headers["Authorization"]


@pytest.mark.parametrize(
    ("environment", "expected"),
    [
        ({"AWS_ACCESS_KEY_ID": "a", "AWS_SECRET_ACCESS_KEY": "b"}, Keys("a", "b")),
        ({"AWS_ACCESS_KEY_ID": "a", "AWS_SECRET_ACCESS_KEY": "b", "AWS_SESSION_TOKEN": "c"}, Keys("a", "b", "c")),
        ({"AWS_ACCESS_KEY_ID": "a"}, None),
        ({}, None),
    ],
)
def test_keys_come_from_the_environment(environment: dict[str, str], expected: Keys | None) -> None:
    assert find_keys(environment) == expected
