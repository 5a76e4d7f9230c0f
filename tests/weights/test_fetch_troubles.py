"""What networks, proxies and hubs do to a download: it is resumed, tried again, or refused with a cause, and never wrong."""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from cache_agent.hub import ATTEMPTS
from e2e.cluster.certificates import write_certificates
from tests.weights.hub import LIST, Trouble
from tests.weights.pod import (
    CONFIG,
    FILES,
    MEGABYTE,
    MIDWAY,
    PROMPTLY,
    SHARD,
    TOKEN,
    WITH_TOKEN,
    build_pod,
    kill,
    read_until,
)

_SIZE = len(FILES[SHARD])


def _last_line(output: str) -> str:
    return output.splitlines()[-1]


def test_connection_that_is_cut_is_resumed_where_it_broke(tmp_path: Path) -> None:
    pod = build_pod(tmp_path, troubles={SHARD: [(Trouble.CUT, MIDWAY), (Trouble.CUT, MIDWAY + 1)]})
    with pod.hub:
        assert pod.fetch() == 0, pod.output
    assert pod.read_weights() == FILES
    transfers = [(item.start or 0, item.sent) for item in pod.hub.list_transfers(SHARD)]
    assert transfers == [(0, MIDWAY), (MIDWAY, 1), (MIDWAY + 1, _SIZE - MIDWAY - 1)]


def test_connection_that_is_reset_leaves_nothing_that_is_wrong(tmp_path: Path) -> None:
    # What was on its way is lost, and how much that is differs from run to run.
    pod = build_pod(tmp_path, troubles={SHARD: [(Trouble.RESET, MIDWAY), (Trouble.RESET, MIDWAY + MEGABYTE)]})
    with pod.hub:
        assert pod.fetch() == 0, pod.output
    assert pod.read_weights() == FILES
    assert len(pod.hub.list_transfers(SHARD)) == 3
    assert len(re.findall(rf"{SHARD}: .*Connection reset by peer; next attempt", pod.output)) == 2


def test_connection_that_is_cut_at_each_megabyte_is_resumed_more_often_than_a_dead_one(tmp_path: Path) -> None:
    # Seven cuts: each brought something, so none of them counts towards giving up.
    pod = build_pod(tmp_path, troubles={SHARD: [(Trouble.CUT, part * MEGABYTE) for part in range(1, 8)]})
    with pod.hub:
        assert pod.fetch() == 0, pod.output
    assert pod.read_weights() == FILES
    assert sum(item.sent for item in pod.hub.list_transfers(SHARD)) == _SIZE


def test_file_that_breaks_at_the_same_byte_for_ever_is_given_up(tmp_path: Path) -> None:
    pod = build_pod(tmp_path, troubles={SHARD: [(Trouble.CUT, MIDWAY)] * 20})
    with pod.hub:
        assert pod.fetch() == 1
        assert SHARD not in pod.read_weights()
        assert f"{SHARD}: the connection ended after {MIDWAY} of {_SIZE} bytes; gave up" in _last_line(pod.output)
        assert len(pod.hub.list_transfers(SHARD)) == ATTEMPTS
        pod.hub.troubles.clear()
        pod.hub.requests.clear()
        assert pod.fetch() == 0, pod.output
    assert pod.read_weights() == FILES
    assert sum(item.sent for item in pod.hub.list_transfers(SHARD)) == _SIZE - MIDWAY


def test_server_without_ranges_begins_anew(tmp_path: Path) -> None:
    pod = build_pod(tmp_path, ranges=False, troubles={SHARD: [(Trouble.CUT, MIDWAY)]})
    with pod.hub:
        assert pod.fetch() == 0, pod.output
    assert pod.read_weights() == FILES
    assert [(item.start, item.status) for item in pod.hub.list_transfers(SHARD)] == [(None, 200), (MIDWAY, 200)]


def test_partial_file_beyond_what_the_server_has_is_dropped_after_416(tmp_path: Path) -> None:
    pod = build_pod(tmp_path)
    with pod.hub:
        with pod.hold_midway() as process:
            kill(process)
        pod.hub.substitutes[SHARD] = [FILES[SHARD][:MEGABYTE]]
        pod.hub.requests.clear()
        assert pod.fetch() == 0, pod.output
    assert pod.read_weights() == FILES
    assert [item.start for item in pod.hub.requests if "/cdn/" in item.path] == [MIDWAY, None]
    assert f"{SHARD}: HTTP 416 of localhost: Requested Range Not Satisfiable; next attempt" in pod.output


def test_partial_file_that_is_too_long_begins_anew(tmp_path: Path) -> None:
    pod = build_pod(tmp_path)
    with pod.hub:
        with pod.hold_midway() as process:
            kill(process)
        (partial,) = pod.partials
        partial.write_bytes(FILES[SHARD] + b"more")
        pod.hub.requests.clear()
        assert pod.fetch() == 0, pod.output
    assert pod.read_weights() == FILES
    assert [item.start for item in pod.hub.requests if "/cdn/" in item.path] == [None]


def test_partial_file_with_wrong_content_is_found_by_its_hash_and_fetched_anew(tmp_path: Path) -> None:
    pod = build_pod(tmp_path)
    with pod.hub:
        with pod.hold_midway() as process:
            kill(process)
        (partial,) = pod.partials
        partial.write_bytes(bytes(MIDWAY))
        assert pod.fetch() == 0, pod.output
    assert pod.read_weights() == FILES
    assert f"{SHARD}: the content has the hash " in pod.output


def test_answer_to_another_range_is_not_appended(tmp_path: Path) -> None:
    # A proxy that caches by path alone answers with the range that another one asked for.
    pod = build_pod(tmp_path, troubles={SHARD: [(Trouble.CUT, MIDWAY)]}, shifts={SHARD: [MEGABYTE]})
    with pod.hub:
        assert pod.fetch() == 0, pod.output
    assert pod.read_weights() == FILES
    assert f"asked for the bytes from {MIDWAY} on, but the answer has 'bytes {MEGABYTE}-" in pod.output
    assert "the content has the hash" not in pod.output


@pytest.mark.parametrize("path", [SHARD, CONFIG], ids=["large file", "small file"])
def test_altered_content_is_deleted_and_fetched_once_more(tmp_path: Path, path: str) -> None:
    pod = build_pod(tmp_path, substitutes={path: [FILES[path][::-1]]})
    with pod.hub:
        assert pod.fetch() == 0, pod.output
    assert pod.read_weights() == FILES
    assert len(pod.hub.list_transfers(path)) == 2


@pytest.mark.parametrize("path", [SHARD, CONFIG], ids=["large file", "small file"])
def test_content_that_stays_altered_is_never_left_in_place(tmp_path: Path, path: str) -> None:
    pod = build_pod(tmp_path, substitutes={path: [FILES[path][::-1]] * 9})
    with pod.hub:
        assert pod.fetch() == 1
        assert f"{path}: hash mismatch, twice" in _last_line(pod.output)
        assert len(pod.hub.list_transfers(path)) == 2
        assert path not in pod.read_weights()
        assert [item for item in pod.partials if path in item.name] == []
        pod.hub.substitutes.clear()
        assert pod.fetch() == 0, pod.output
    assert pod.read_weights() == FILES


def test_failure_is_told_at_once_although_another_file_is_stalled(tmp_path: Path) -> None:
    pod = build_pod(tmp_path, substitutes={CONFIG: [b"x" * len(FILES[CONFIG])] * 9})
    pod.hub.troubles[SHARD] = [(Trouble.HELD, MIDWAY)]
    with pod.hub, pod.start() as process:
        read_until(process, f"failed: {CONFIG}: hash mismatch, twice")
        assert process.wait(PROMPTLY) == 1


@pytest.mark.parametrize("path", [SHARD, CONFIG], ids=["large file", "small file"])
def test_shorter_file_with_a_length_of_its_own_is_refused_before_it_is_read(tmp_path: Path, path: str) -> None:
    short = FILES[path][:-1]
    pod = build_pod(tmp_path, substitutes={path: [short] * 9})
    with pod.hub:
        assert pod.fetch() == 1
    assert f"{path}: the answer has {len(short)} bytes instead of {len(FILES[path])}" in _last_line(pod.output)
    assert path not in pod.read_weights()


@pytest.mark.parametrize(
    ("place", "status"),
    [("/tree/", 503), ("/resolve/", 429), ("/cdn/", 500), ("/content/", 408)],
    ids=["list", "address of a file", "large file", "small file"],
)
def test_passing_refusal_is_tried_again(tmp_path: Path, place: str, status: int) -> None:
    pod = build_pod(tmp_path, refusals=[(place, status, {})] * 2)
    with pod.hub:
        assert pod.fetch() == 0, pod.output
    assert pod.read_weights() == FILES
    assert pod.hub.refusals == []
    assert len(re.findall(rf"HTTP {status} of \S+: in trouble; next attempt in 0\.0 s", pod.output)) == 2


def test_signed_address_that_ran_out_is_asked_for_anew(tmp_path: Path) -> None:
    pod = build_pod(tmp_path, WITH_TOKEN, hub_token=TOKEN, refusals=[("/cdn/", 403, {})])
    with pod.hub:
        assert pod.fetch() == 0, pod.output
    assert pod.read_weights() == FILES
    assert len([item for item in pod.hub.requests if "/resolve/" in item.path and "safetensors" in item.path]) == 3


def test_server_is_left_alone_as_long_as_it_asks(tmp_path: Path) -> None:
    pod = build_pod(tmp_path, refusals=[("/tree/", 429, {"Retry-After": "1"})])
    with pod.hub:
        assert pod.fetch() == 0, pod.output
    first, second = (item for item in pod.hub.requests if "/tree/" in item.path)
    assert second.at - first.at >= 1
    assert "next attempt in 1.0 s" in pod.output


def test_page_that_is_no_list_is_tried_again(tmp_path: Path) -> None:
    pod = build_pod(tmp_path, substitutes={LIST: [b"<html>Log in to the network</html>"]})
    with pod.hub:
        assert pod.fetch() == 0, pod.output
    assert pod.read_weights() == FILES
    assert "list of files: the answer is no list of files; next attempt" in pod.output


def test_list_that_is_cut_is_read_again_and_not_taken_for_the_whole(tmp_path: Path) -> None:
    pod = build_pod(tmp_path, troubles={LIST: [(Trouble.CUT, 200)]})
    with pod.hub:
        assert pod.fetch() == 0, pod.output
    assert pod.read_weights() == FILES


def test_hub_that_cannot_be_reached_is_named(tmp_path: Path) -> None:
    pod = build_pod(tmp_path)
    # Nobody listens on port 1.
    pod.variables["HF_ENDPOINT"] = "http://127.0.0.1:1"
    with pod.hub:
        assert pod.fetch() == 1
    assert _last_line(pod.output).startswith("failed: list of files: 127.0.0.1 is not reachable: ")
    assert _last_line(pod.output).endswith(
        "gave up after 6 attempts: check the hub's state, proxies and network policies"
    )


def test_without_an_endpoint_the_public_hub_is_asked(tmp_path: Path) -> None:
    pod = build_pod(tmp_path)
    pod.variables["HF_ENDPOINT"] = ""
    with pod.hub:
        assert pod.fetch() == 1
    assert set(pod.hub.list_strangers()) == {"huggingface.co"}
    assert "huggingface.co is not reachable: Tunnel connection failed: 403 Forbidden" in _last_line(pod.output)


def test_certificate_is_verified_and_an_authority_of_the_environment_is_trusted(tmp_path: Path) -> None:
    write_certificates(tmp_path / "certificates")
    pod = build_pod(tmp_path, WITH_TOKEN, hub_token=TOKEN, certificates=tmp_path / "certificates", page=2)
    with pod.hub:
        assert pod.fetch() == 1
        assert pod.hub.requests == []
        assert "CERTIFICATE_VERIFY_FAILED" in _last_line(pod.output)
        assert "the image must trust the hub's or the proxy's authority" in _last_line(pod.output)
        pod.variables["SSL_CERT_FILE"] = str(tmp_path / "certificates" / "ca.crt")
        assert pod.fetch() == 0, pod.output
    assert pod.read_weights() == FILES
    assert {item.host for item in pod.hub.requests if item.token} == {"127.0.0.1"}


@pytest.mark.parametrize(
    ("changes", "token", "hub", "told", "remedy"),
    [
        ({}, "", {"hub_token": TOKEN}, "is restricted", "name a Secret with a token in tokenSecretRef"),
        (
            WITH_TOKEN,
            "hf_Wrong",
            {"hub_token": TOKEN},
            "HTTP 401 of 127.0.0.1: Invalid credentials",
            "accept the terms",
        ),
        (WITH_TOKEN, TOKEN, {"refusals": [("/resolve/", 403, {})]}, "HTTP 403", "accept the terms on the model's page"),
        ({}, "", {"revision": "f" * 40}, "HTTP 404 of 127.0.0.1: Invalid rev id", "correct repository and revision"),
        ({}, "", {"repository": "owner/other"}, "Repository not found", "correct repository and revision"),
        ({}, "", {"refusals": [("/resolve/", 451, {})]}, "HTTP 451", "check HF_ENDPOINT and proxies"),
        ({}, "", {"files": {}}, "has no files", "correct the revision"),
        ({}, "", {"files": {"../escaped": b"x"}}, "'../escaped'", "do not use this repository"),
        ({}, "", {"cdn": "ftp://127.0.0.1/file"}, "ftp", "check HF_ENDPOINT"),
        ({}, "", {"cdn": "file:///etc/hostname"}, "file", "check HF_ENDPOINT"),
        (WITH_TOKEN, "with space", {}, "HF_TOKEN has characters that no token has", "correct the Secret"),
    ],
    ids=[
        "no token",
        "wrong token",
        "token without access",
        "unknown revision",
        "unknown repository",
        "other refusal",
        "no files",
        "unsafe path",
        "redirect to ftp",
        "redirect to a local file",
        "token that is none",
    ],
)
def test_refusal_ends_with_one_line_that_says_why_and_what_to_do(
    tmp_path: Path, changes: Mapping[str, Any], token: str, hub: Mapping[str, Any], told: str, remedy: str
) -> None:
    pod = build_pod(tmp_path, changes, token=token, **hub)
    with pod.hub:
        assert pod.fetch() == 1
    line = _last_line(pod.output)
    assert line.startswith("failed: ")
    assert told in line
    assert remedy in line
    assert "Traceback" not in pod.output
    assert not token or token not in pod.output
    assert [path.name for path in tmp_path.rglob("escaped*")] == []


def test_token_that_a_server_echoes_is_blotted_out(tmp_path: Path) -> None:
    pod = build_pod(tmp_path, WITH_TOKEN, refusals=[("/tree/", 400, {"X-Error-Message": f"bad\ttoken {TOKEN}"})])
    with pod.hub:
        assert pod.fetch() == 1
    assert "HTTP 400 of 127.0.0.1: bad token (token)" in pod.output
    assert TOKEN not in pod.output


@pytest.mark.parametrize(
    "options", [["--revision=main"], ["--repository=gpt2"], ["--unknown"]], ids=["branch", "no owner", "unknown"]
)
def test_wrong_arguments_end_with_2(tmp_path: Path, options: list[str]) -> None:
    pod = build_pod(tmp_path)
    with pod.hub:
        assert pod.fetch(*options) == 2
    assert pod.hub.requests == []
