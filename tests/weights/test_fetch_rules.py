"""The rules of the fetcher that need no hub: what is read, what is refused, what a line of progress says."""

import json
import shutil
import time
import urllib.request
from email.message import Message
from io import BytesIO
from pathlib import Path
from typing import Any
from urllib.error import HTTPError

import pytest

from cache_agent import fetch, files
from cache_agent import folder as folders
from cache_agent import hub as hubs
from cache_agent.errors import FetchError, TransientError
from cache_agent.files import RemoteFile
from tests.weights.pod import TOTAL, build_pod

_SHA = "0123456789abcdef" * 4


def _file(path: str, size: int = 1) -> RemoteFile:
    return RemoteFile(path, size, _SHA, large=True)


def _select(*paths: str) -> tuple[list[str], list[str]]:
    wanted, unread = files.select_files(map(_file, paths))
    return [file.path for file in wanted], [file.path for file in unread]


_USEFUL = ["model.safetensors", "config.json", "tokenizer.model", "README.md", "sub/original/x.json", "chat.jinja"]
_USELESS = ["original/consolidated.safetensors", "pytorch_model.bin", "a.pt", "a.pth", "a.gguf", "onnx/model.onnx"]
_USELESS += ["flax_model.msgpack", "tf_model.H5", "rust_model.ot", "a.tflite"]


def test_other_formats_are_left_out_where_there_are_safetensors() -> None:
    assert _select(*_USEFUL, *_USELESS) == (_USEFUL, _USELESS)


def test_nothing_is_left_out_where_vllm_finds_no_safetensors() -> None:
    # It looks for them in the folder of the model only.
    paths = [*_USELESS, "sub/model.safetensors", "config.json"]
    assert _select(*paths) == (paths, [])


_UNSAFE = ["/etc/passwd", "../a", "a/../../b", "a/..", "a\\..\\b", "a//b", "a/", "./a", "", "a\nb", "a\0b"]
_RESERVED = [".partial", ".partial/a", ".fetched.json"]


@pytest.mark.parametrize("path", [*_UNSAFE, *_RESERVED, 7, None])
def test_unsafe_path_is_refused(path: object) -> None:
    with pytest.raises(FetchError, match="do not use this repository"):
        files.check_path(path)


@pytest.mark.parametrize("path", ["a", "a/b.c", "..a", "a..b/c", ".gitattributes", "a b", "ä", "a/.partial/b"])
def test_ordinary_path_is_accepted(path: str) -> None:
    files.check_path(path)


_ENTRY = {"type": "file", "path": "a", "size": 3, "oid": "ab" * 20}
_LFS = {"oid": _SHA, "size": 5}


def test_entry_of_the_list_gives_size_and_hash_of_the_content_and_not_of_the_pointer() -> None:
    body = json.dumps([_ENTRY, {"type": "directory"}, _ENTRY | {"path": "b", "lfs": _LFS}]).encode()
    assert files.parse_page(body) == [RemoteFile("a", 3, "ab" * 20, large=False), RemoteFile("b", 5, _SHA, large=True)]


@pytest.mark.parametrize(
    "entry",
    [
        {},
        {"type": "file"},
        _ENTRY | {"size": -1},
        _ENTRY | {"size": None},
        _ENTRY | {"oid": None},
        _ENTRY | {"oid": "../" * 13 + "x"},
        _ENTRY | {"oid": _SHA},
        _ENTRY | {"lfs": {"oid": "ab" * 20, "size": 5}},
        _ENTRY | {"lfs": "x"},
        "text",
        7,
    ],
    ids=str,
)
def test_entry_that_cannot_be_verified_or_named_is_no_list(entry: object) -> None:
    with pytest.raises(TransientError, match="no list of files"):
        files.parse_page(json.dumps([entry]).encode())


def test_too_small_disk_is_told_before_anything_is_fetched(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda _: shutil._ntuple_diskusage(10**12, 10**12 - 99, 99))
    with pytest.raises(FetchError) as caught:
        folders.check_space(tmp_path, 141_200_000_000)
    assert "141200000000 bytes (141.2 GB) are needed, 99 bytes (99 B) are free: use nodes with more" in str(
        caught.value
    )
    folders.check_space(tmp_path, 99)


def test_nothing_is_fetched_onto_a_disk_that_is_too_small(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda _: shutil._ntuple_diskusage(9, 9, TOTAL - 1))
    pod = build_pod(tmp_path)
    with pod.hub:
        monkeypatch.setenv("HF_ENDPOINT", pod.hub.environment["HF_ENDPOINT"])
        monkeypatch.setenv("no_proxy", "*")
        with pytest.raises(FetchError, match=f"{TOTAL} bytes .* are needed, {TOTAL - 1} bytes"):
            fetch.fetch(pod.hub.repository, pod.hub.revision, tmp_path, pause=0, interval=15)
    assert ["/tree/" in item.path for item in pod.hub.requests] == [True]


def test_line_of_progress_has_share_bytes_rate_and_time_left() -> None:
    done = {"a": 10 * 10**9, "b": 0}
    progress = fetch.Progress(141_200_000_000, done, now=100.0)
    done["b"] = 3 * 10**9
    assert progress.describe(115.0) == "9 %, 13.0 GB of 141.2 GB, 200.0 MB/s, 10 min 41 s left"
    assert progress.describe(130.0) == "9 %, 13.0 GB of 141.2 GB, 0 B/s, time left unknown"
    done["b"] = 4 * 10**9
    assert progress.describe(145.0) == "9 %, 14.0 GB of 141.2 GB, 66.7 MB/s, 31 min 48 s left"
    # A file that begins anew, or whose partial file was of no use.
    done["b"] = 0
    assert progress.describe(160.0) == "7 %, 10.0 GB of 141.2 GB, 0 B/s, time left unknown"
    done["b"] = 15 * 10**6
    assert progress.describe(175.0) == "7 %, 10.0 GB of 141.2 GB, 1.0 MB/s, 36 h 26 min left"


def test_share_is_full_only_when_all_is_there() -> None:
    progress = fetch.Progress(10**12, {"a": 10**12 - 1}, now=0)
    assert progress.describe(1).startswith("99 %, 1000.0 GB of 1.00 TB, ")


def test_partial_files_of_other_content_are_removed_and_those_of_this_one_kept(tmp_path: Path) -> None:
    folder = folders.Folder(tmp_path)
    known = _file("sub/a.bin", 3)
    kept = folder.find_partial(known)
    strangers = [folder.find_partial(RemoteFile("sub/a.bin", 3, "f" * 64, large=True)), tmp_path / ".partial" / "old"]
    for path in (kept, *strangers):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"ab")
    assert folder.adopt([known]) == [known]
    assert [path for path in (tmp_path / ".partial").rglob("*") if path.is_file()] == [kept]
    assert folder.measure(known) == 2


def test_record_of_other_content_does_not_count(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"x")
    folders.Folder(tmp_path).record(_file("a"))
    other = RemoteFile("a", 1, "f" * 64, large=True)
    assert folders.Folder(tmp_path).adopt([_file("a")]) == []
    assert folders.Folder(tmp_path).adopt([other]) == [other]
    assert not (tmp_path / "a").exists()


def test_same_content_at_two_paths_has_two_partial_files(tmp_path: Path) -> None:
    folder = folders.Folder(tmp_path)
    assert folder.find_partial(_file("a")) != folder.find_partial(_file("b"))


def _redirect(hub: hubs.Hub, origin: str, target: str) -> urllib.request.Request:
    request = hub._build(origin, {"Range": "bytes=5-", "Proxy-authorization": "Basic eDp5"})
    return hubs._Redirects(hub._build).redirect_request(request, None, 302, "", Message(), target)


@pytest.mark.parametrize(
    ("target", "sent"),
    [
        ("https://hub.example/other", True),
        ("https://hub.example:443/other", True),
        ("https://HUB.example/other", True),
        ("https://hub.example:8443/other", False),
        ("https://cdn.hub.example/other", False),
        ("https://hub.example.evil.example/other", False),
        ("https://hub.example@evil.example/other", False),
    ],
)
def test_token_follows_a_redirect_within_its_origin_only(target: str, sent: bool) -> None:
    request = _redirect(hubs.Hub("https://hub.example/", "secret"), "https://hub.example/a", target)
    assert request.get_header("Authorization") == ("Bearer secret" if sent else None)
    assert request.headers == {"Range": "bytes=5-"}


def test_redirect_out_of_https_is_not_followed() -> None:
    hub = hubs.Hub("https://hub.example", "secret")
    with pytest.raises(FetchError, match=r"leads to http://hub\.example, which is not followed"):
        _redirect(hub, "https://hub.example/a", "http://hub.example/a")


def test_permanent_redirect_is_followed_by_python_3_10_too() -> None:
    assert hubs._Redirects.http_error_308 is urllib.request.HTTPRedirectHandler.http_error_302


@pytest.mark.parametrize("endpoint", ["", "hub.example", "ftp://hub.example", "file:///etc/passwd", "https://"])
def test_endpoint_that_is_no_url_of_a_server_is_refused(endpoint: str) -> None:
    with pytest.raises(FetchError, match="HF_ENDPOINT"):
        hubs.Hub(endpoint, "")


def _judge(status: int, url: str = "https://hub.example/a", **headers: str) -> Any:
    message = Message()
    for name, value in headers.items():
        message[name.replace("_", "-")] = value
    return hubs.Hub("https://hub.example", "")._judge(HTTPError(url, status, "reason", message, BytesIO()))


@pytest.mark.parametrize(
    ("text", "seconds"), [("7", 7), ("0", 0), ("86400", 300), ("soon", None), ("", None), ("-1", None)], ids=str
)
def test_wait_that_a_server_asks_for_is_bounded(text: str, seconds: float | None) -> None:
    assert _judge(429, Retry_After=text).seconds == seconds


def test_message_holds_neither_the_address_nor_line_feeds() -> None:
    error = _judge(404, "https://cdn.example/file?Signature=abc", X_Error_Message="one\r\n two\x1b[31m" + "x" * 999)
    assert str(error).startswith("HTTP 404 of cdn.example: one two[31mxxx")
    assert "Signature" not in str(error)
    assert len(str(error)) < 400


def test_pauses_double_and_end_after_the_last_attempt(monkeypatch: pytest.MonkeyPatch) -> None:
    pauses: list[float] = []
    monkeypatch.setattr(time, "sleep", pauses.append)
    attempts = hubs.Attempts("a", 1.0)
    for _ in range(hubs.ATTEMPTS - 1):
        attempts.wait(TransientError("trouble"))
    with pytest.raises(FetchError, match="a: trouble; gave up after 6 attempts"):
        attempts.wait(TransientError("trouble"))
    assert [2**step / 2 <= pause <= 2**step for step, pause in enumerate(pauses)] == [True] * (hubs.ATTEMPTS - 1)


def test_full_disk_is_told_as_such(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    folder = folders.Folder(tmp_path)
    run = fetch.Fetch(hubs.Hub("https://hub.example", ""), folder, "", 0.0, 15.0)

    def fill(*_: object) -> str:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(run, "_receive", fill)
    with pytest.raises(FetchError, match="a cannot be written: No space left on device: use nodes with more"):
        run.fetch_file(_file("a"), {})


def test_large_file_that_is_refused_names_the_limit_of_plain_downloads(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    hub = hubs.Hub("https://hub.example", "")
    run = fetch.Fetch(hub, folders.Folder(tmp_path), "https://hub.example/o/n/resolve/x", 0.0, 15.0)

    def refuse(*_: object) -> None:
        raise FetchError("HTTP 400 of cdn.example: Bad Request")

    monkeypatch.setattr(hub, "open", refuse)
    with pytest.raises(FetchError, match="files above 50 GB by its xet protocol only: use a volume or an image"):
        run.fetch_file(_file("a", 60 * 10**9), {})
    with pytest.raises(FetchError) as caught:
        run.fetch_file(_file("b", 5 * 10**9), {})
    assert "xet" not in str(caught.value)
