"""The program as its container runs it: without site packages, ended by signals, with arguments that are wrong."""

import json
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from e2e.cluster.certificates import write_certificates
from e2e.nodetree import build_host, build_tree
from tests.node_report.cases import ROOT, probe, report_of
from tests.node_report.stub import Answer, serve

_CODE = f"import sys; sys.path.insert(0, {str(ROOT / 'operator')!r}); import runpy; runpy.run_module('cache_agent.node_agent', run_name='__main__')"
_DEADLINE = 30


def _command(*arguments: str) -> list[str]:
    return [sys.executable, "-I", "-S", "-c", _CODE, *arguments]


def _run(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        _command(*arguments), env=environment, capture_output=True, text=True, check=False, timeout=_DEADLINE
    )


def test_once_prints_the_report_without_a_cluster(tmp_path: Path) -> None:
    expected = report_of(probe(build_host(), tmp_path / "one"))
    out = _run("--once", f"--root={build_tree(build_host(), tmp_path / 'other')}", "--valid-seconds=3600")
    assert out.returncode == 0, out.stderr
    report = json.loads(out.stdout)
    # The kernel of this machine answers for the mode, and nobody for the node.
    for key in ("probedAt", "nodeUid", "rdmaNetnsMode"):
        report.pop(key, None)
        expected.pop(key, None)
    assert report == expected


def test_proc_of_the_container_beside_the_hosts_files(tmp_path: Path) -> None:
    host = build_tree(build_host(kernel="of the host"), tmp_path / "host")
    own = build_tree(build_host(kernel="of the container"), tmp_path / "own")
    out = _run("--once", f"--root={host}", f"--proc={own / 'proc'}")
    assert json.loads(out.stdout)["kernel"] == "of the container"


_WRONG: dict[str, tuple[list[str], str]] = {
    "no node": ([], "--node or NODE_NAME must name the node"),
    "validity too short": (["--once", "--valid-seconds=59"], "--valid-seconds must be from 60 to 86400"),
    "validity too long": (["--once", "--valid-seconds=86401"], "--valid-seconds must be from 60 to 86400"),
    "interval of nothing": (["--once", "--interval=0"], "--interval must be above 0"),
    "interval beyond the validity": (["--once", "--interval=901"], "at most a quarter of --valid-seconds"),
    "interval that is no number": (["--once", "--interval=nan"], "--interval must be above 0"),
    "vendor": (["--once", "--vendor=mellanox"], "'mellanox' does not match [0-9a-f]{4}"),
}


@pytest.mark.parametrize(("arguments", "text"), _WRONG.values(), ids=_WRONG)
def test_wrong_arguments(arguments: list[str], text: str) -> None:
    out = _run(*arguments)
    assert out.returncode == 2
    assert text in out.stderr


def test_outside_of_a_pod_it_says_what_is_missing() -> None:
    out = _run("--node=gpu-1")
    assert out.returncode == 2
    assert "KUBERNETES_SERVICE_HOST and KUBERNETES_SERVICE_PORT must name the API server" in out.stdout


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_signal_ends_it_while_it_waits(tmp_path: Path, number: signal.Signals) -> None:
    root = build_tree(build_host(), tmp_path / "tree")
    with serve(tmp_path / "credentials") as stub:
        environment = {"KUBERNETES_SERVICE_HOST": "127.0.0.1", "KUBERNETES_SERVICE_PORT": str(stub.server.port)}
        stub.answers = [Answer(404, {})]
        arguments = ("--node=gpu-1", f"--root={root}", f"--credentials={stub.server.credentials}")
        process = subprocess.Popen(_command(*arguments), env=environment, stdout=subprocess.PIPE, text=True)
        with process:
            try:
                assert process.stdout is not None
                assert process.stdout.readline() == "gpu-1: report written\n"
                process.send_signal(number)
                assert process.wait(_DEADLINE) == 128 + number
            finally:
                process.kill()
        assert [method for method, *_ in stub.requests] == ["GET", "PATCH"]


def test_signal_ends_it_while_the_api_server_hangs(tmp_path: Path) -> None:
    root = build_tree(build_host(), tmp_path / "tree")
    credentials = tmp_path / "credentials"
    write_certificates(credentials)
    (credentials / "token").write_text("t")
    with socket.create_server(("127.0.0.1", 0)) as listener:
        environment = {
            "KUBERNETES_SERVICE_HOST": "127.0.0.1",
            "KUBERNETES_SERVICE_PORT": str(listener.getsockname()[1]),
        }
        arguments = ("--node=gpu-1", f"--root={root}", f"--credentials={credentials}")
        with subprocess.Popen(_command(*arguments), env=environment) as process:
            try:
                connection, _ = listener.accept()
                with connection:
                    process.send_signal(signal.SIGTERM)
                    assert process.wait(_DEADLINE) == 128 + signal.SIGTERM
            finally:
                process.kill()
