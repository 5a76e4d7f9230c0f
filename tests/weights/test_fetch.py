"""The rendered weights container fetches what the spec names, resumes after any end, and tells how far it is."""

import os
import re
import signal
from pathlib import Path

import pytest

from inference_cache.domain.scope import Scope
from tests.golden.cases import CASES, load_scope
from tests.weights.hub import LIST, Hub, Trouble
from tests.weights.pod import (
    DEADLINE,
    FILES,
    MIDWAY,
    PROMPTLY,
    SHARD,
    TOKEN,
    TOTAL,
    WITH_TOKEN,
    build_pod,
    kill,
    read_until,
)

_SCOPES = {case: load_scope(case) for case in CASES}
_HUB_SCOPES = {case: scope for case, scope in _SCOPES.items() if scope.settled.spec.model.source.hugging_face}


@pytest.mark.parametrize("scope", _HUB_SCOPES.values(), ids=_HUB_SCOPES.keys())
def test_weights_land_in_the_folder_of_the_fingerprint(tmp_path: Path, scope: Scope) -> None:
    pod = build_pod(tmp_path, scope=scope)
    with pod.hub:
        assert pod.fetch() == 0, pod.output
    assert pod.read_weights() == FILES
    assert pod.folder.name == f"kv-{scope.fingerprint}"


def test_exactly_the_pinned_revision_is_asked_for_and_no_other_host(tmp_path: Path) -> None:
    pod = build_pod(tmp_path)
    with pod.hub:
        assert pod.fetch() == 0, pod.output
    asked = [item.path for item in pod.hub.requests if pod.hub.repository in item.path]
    # An empty file is not asked for.
    assert len(asked) == len(FILES)
    assert {found for path in asked for found in re.findall(r"/(?:resolve|tree)/([^/]+)", path)} == {pod.hub.revision}
    assert pod.hub.list_strangers() == []


def test_list_is_read_to_its_last_page(tmp_path: Path) -> None:
    pod = build_pod(tmp_path, page=1)
    with pod.hub:
        assert pod.fetch() == 0, pod.output
    assert pod.read_weights() == FILES
    assert len([item for item in pod.hub.requests if "/tree/" in item.path]) == len(FILES) + 1


def test_what_vllm_does_not_read_is_left_out_and_told(tmp_path: Path) -> None:
    unread = {"original/params.json": b"{}", "pytorch_model.bin": b"weights"}
    pod = build_pod(tmp_path, files=FILES | unread)
    with pod.hub:
        assert pod.fetch() == 0, pod.output
    assert pod.read_weights() == FILES
    assert "left out, as vLLM reads the safetensors alone: 2 files, 9 B" in pod.output.splitlines()


def test_second_run_downloads_nothing(tmp_path: Path) -> None:
    pod = build_pod(tmp_path)
    with pod.hub:
        assert pod.fetch() == 0, pod.output
        assert [item.sent for item in pod.hub.list_transfers(SHARD)] == [len(FILES[SHARD])]
        pod.hub.requests.clear()
        assert pod.fetch() == 0, pod.output
    assert ["/tree/" in item.path for item in pod.hub.requests] == [True]
    assert pod.read_weights() == FILES


def test_kill_loses_nothing_that_is_there(tmp_path: Path) -> None:
    pod = build_pod(tmp_path)
    with pod.hub:
        with pod.hold_midway() as process:
            kill(process)
        assert pod.read_weights() == {name: content for name, content in FILES.items() if name != SHARD}
        assert [path.stat().st_size for path in pod.partials] == [MIDWAY]
        pod.hub.requests.clear()
        assert pod.fetch() == 0, pod.output
    assert pod.read_weights() == FILES
    _check_only_the_rest_was_sent(pod.hub)
    assert not (pod.folder / ".partial").exists()


def _check_only_the_rest_was_sent(hub: Hub) -> None:
    sent = [(item.path, item.start, item.sent) for item in hub.requests if item.sent]
    assert [item[1:] for item in sent] == [(MIDWAY, len(FILES[SHARD]) - MIDWAY)], sent


@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)], ids=["SIGTERM", "SIGINT"])
def test_signal_ends_a_stalled_transfer_at_once_and_a_restart_resumes(
    tmp_path: Path, number: signal.Signals, code: int
) -> None:
    pod = build_pod(tmp_path)
    with pod.hub:
        with pod.hold_midway() as process:
            process.send_signal(number)
            assert process.wait(PROMPTLY) == code
        pod.hub.requests.clear()
        assert pod.fetch() == 0, pod.output
    assert pod.read_weights() == FILES
    _check_only_the_rest_was_sent(pod.hub)


def test_signal_ends_a_stalled_list_at_once(tmp_path: Path) -> None:
    pod = build_pod(tmp_path, troubles={LIST: [(Trouble.HELD, 10)]})
    with pod.hub, pod.start() as process:
        assert pod.hub.held.wait(DEADLINE)
        process.terminate()
        assert process.wait(PROMPTLY) == 143


def test_signal_ends_a_pause_between_attempts_at_once(tmp_path: Path) -> None:
    pod = build_pod(tmp_path, refusals=[("/tree/", 429, {"Retry-After": "250"})])
    with pod.hub, pod.start() as process:
        read_until(process, "next attempt in 250.0 s")
        process.terminate()
        assert process.wait(PROMPTLY) == 143


def test_file_that_was_verified_is_not_hashed_again(tmp_path: Path) -> None:
    # Seen from outside by a file that changed although size and time say that it did not.
    pod = build_pod(tmp_path)
    shard, other = pod.folder / SHARD, FILES[SHARD][::-1]
    with pod.hub:
        assert pod.fetch() == 0, pod.output
        times = shard.stat()
        shard.write_bytes(other)
        os.utime(shard, ns=(times.st_atime_ns, times.st_mtime_ns))
        assert pod.fetch() == 0, pod.output
    assert shard.read_bytes() == other


def test_file_that_was_written_to_since_is_fetched_anew(tmp_path: Path) -> None:
    pod = build_pod(tmp_path)
    with pod.hub:
        assert pod.fetch() == 0, pod.output
        (pod.folder / SHARD).write_bytes(FILES[SHARD][::-1])
        assert pod.fetch() == 0, pod.output
    assert pod.read_weights() == FILES


@pytest.mark.parametrize("text", [None, "[]", "{"], ids=["lost", "of another form", "cut off"])
def test_without_a_record_files_are_verified_and_not_fetched(tmp_path: Path, text: str | None) -> None:
    pod = build_pod(tmp_path)
    with pod.hub:
        assert pod.fetch() == 0, pod.output
        (pod.folder / ".fetched.json").unlink()
        if text is not None:
            (pod.folder / ".fetched.json").write_text(text)
        pod.hub.requests.clear()
        assert pod.fetch() == 0, pod.output
    assert sum(item.sent for item in pod.hub.requests) == 0
    assert pod.read_weights() == FILES


def test_token_opens_a_gated_repository_and_goes_nowhere_else(tmp_path: Path) -> None:
    # A Secret that was made from a file ends with a line feed.
    pod = build_pod(tmp_path, WITH_TOKEN, token=f"{TOKEN}\n", hub_token=TOKEN)
    with pod.hub:
        assert pod.fetch() == 0, pod.output
    assert pod.read_weights() == FILES
    assert {item.host for item in pod.hub.requests if item.token} == {"127.0.0.1"}
    assert {item.token for item in pod.hub.requests if item.host == "localhost"} == {""}
    assert TOKEN not in pod.output
    assert [path for path in tmp_path.rglob("*") if path.is_file() and TOKEN.encode() in path.read_bytes()] == []


def test_hub_is_reached_through_the_proxy_of_the_environment(tmp_path: Path) -> None:
    pod = build_pod(tmp_path, WITH_TOKEN, hub_token=TOKEN, alias="hub.example")
    with pod.hub:
        assert pod.fetch() == 0, pod.output
    assert pod.read_weights() == FILES
    assert {item.host for item in pod.hub.requests} == {"hub.example", "localhost"}
    assert {item.host for item in pod.hub.requests if item.token} == {"hub.example"}


_PROGRESS = re.compile(
    r"(\d+) %, (\d+\.\d MB) of (\d+\.\d MB), \d+(\.\d)? [kMG]?B/s, (\d+ min \d\d s left|time left unknown)"
)


def test_log_tells_begin_progress_and_each_file_in_whole_lines(tmp_path: Path) -> None:
    pod = build_pod(tmp_path)
    with pod.hub:
        with pod.hold_midway() as process:
            kill(process)
        with pod.start("--progress-seconds=0.001") as process:
            output = process.communicate()[0].decode()
    first, *lines = output.splitlines()
    size = f"{TOTAL / 1e6:.1f} MB"
    there = f"{len(FILES) - 1} files are complete, 7.3 MB are there"
    assert first == f"{pod.hub.repository} at {pod.hub.revision}: {len(FILES)} files, {size}; {there}"
    assert f"{SHARD}: resumed at 5.2 MB of 8.4 MB" in lines
    assert f"fetched {SHARD}, 8.4 MB" in lines
    assert lines[-1].startswith(f"complete: {len(FILES)} files, {size}, after 0 min ")
    shown = [found for line in lines if (found := _PROGRESS.fullmatch(line))]
    assert shown
    assert {found[3] for found in shown} == {size}
    percents = [int(found[1]) for found in shown]
    assert percents == sorted(percents)
    assert 69 <= percents[0] <= percents[-1] <= 100
    assert "\r" not in output


def test_progress_is_told_while_a_file_is_under_way(tmp_path: Path) -> None:
    pod = build_pod(tmp_path)
    with pod.hub, pod.hold_midway() as process:
        shown = read_until(process, " 0 B/s, time left unknown\n")
        assert "70 %, 7.3 MB of 10.5 MB" in shown or "69 %, 7.3 MB of 10.5 MB" in shown
