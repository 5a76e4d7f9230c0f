"""The preflight as its container runs it: rendered command, programs from the ConfigMap, a client of the image."""

import json
import signal
import subprocess
import sys
import threading
import time
import urllib.parse
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import pytest

from cache_agent import preflight as program
from cache_agent.preflight import Preflight
from cache_agent.preflight_decision import Decision
from inference_cache.domain.attachment import Variant
from inference_cache.domain.preflight_report import Evidence, PreflightReport, parse_preflight
from inference_cache.domain.reasons import Reason
from tests.preflight.container import IMAGE, SECRET, Container, build_container
from tests.preflight.trees import SHARED, SRIOV, Pod, build_virtual_function

_AUTO: Final = "rdma-macvlan-plugin"
_REQUIRED: Final = "rdma-sriov-required"
_DEV: Final = "Inter-| x\n face | y\n  net1: 5 1 0 0 0 0 0 0 5 1 0 0 0 0 0 0"
# The golden cases name stores that do not exist; whether objects are deleted is in test_store.py.
_FIELDS: Final = {"networks": [{"interface": "net1"}], "store": None}


def _build(root: Path, case: str, behaviour: str = "still", pod: Pod = SRIOV, **config: Any) -> Container:
    container = build_container(
        root,
        case,
        PYTHONPATH=str(IMAGE),
        IMAGE_BEHAVIOUR=behaviour,
        IMAGE_ROOT=str(root / "machine"),
        **pod.environment,
    )
    container.prepare(pod.changed(extra={"proc/net/dev": _DEV}), _FIELDS | config)
    return container


def _options(container: Container, *more: str) -> list[str]:
    return [
        f"--root={container.root / 'machine'}",
        f"--message={container.message}",
        "--address=net1=192.168.10.7",
        *more,
    ]


def _run(container: Container, *more: str) -> tuple[int, str, PreflightReport]:
    code, output = container.finish(*_options(container, *more))
    report = parse_preflight(container.message.read_text(encoding="utf-8"))
    assert report is not None, output
    assert SECRET not in output + container.message.read_text(encoding="utf-8")
    return code, output, report


def _read(container: Container, name: str) -> dict[str, Any]:
    return dict(json.loads((container.run_folder / name).read_text(encoding="utf-8")))


def test_proven_rdma(tmp_path: Path) -> None:
    container = _build(tmp_path, _REQUIRED, "rdma")
    code, output, report = _run(container)
    assert code == 0, output
    assert (report.transport, report.evidence, report.reason) == (Variant.RDMA, Evidence.PROVEN, None)
    assert report.devices == ("mlx5_2 ACTIVE Ethernet 200 Gb/s",)
    assert report.interfaces == ("net1 192.168.10.7 mtu 9000",)
    assert report.memlock == -1
    assert _read(container, "l2-adapter.json")["adapter"] == container.read_config()["candidates"]["rdma"]
    cuobject = container.run_folder / "cuobject.json"
    assert _read(container, "environment.json")["variables"] == {
        "UCX_NET_DEVICES": "mlx5_2:1",
        "CUFILE_ENV_PATH_JSON": str(cuobject),
    }
    assert _read(container, "cuobject.json") == {"properties": {"rdma_dev_addr_list": ["192.168.10.7"]}}


@pytest.mark.parametrize(
    ("behaviour", "reason", "words"),
    [
        ("still", Reason.RDMATransferUnproven, "counted only 0 bytes"),
        ("tcp", Reason.SilentTCPFallback, "over the pod's network interfaces"),
        ("refuses", Reason.RDMATransferUnproven, "(store): RuntimeError: the client reports"),
        ("forgets", Reason.RDMATransferUnproven, "(lookup): RuntimeError: 7 of 8 objects were found"),
        ("corrupts", Reason.RDMATransferUnproven, "(compare): RuntimeError: the bytes that came back"),
        ("breaks", Reason.RDMATransferUnproven, "(build): RuntimeError: Dell ObjectScale"),
        ("crashes", Reason.RDMATransferUnproven, "(crash): exit code -11"),
    ],
)
def test_required_rdma_that_is_not_proven_ends_the_pod(
    behaviour: str, reason: Reason, words: str, tmp_path: Path
) -> None:
    container = _build(tmp_path, _REQUIRED, behaviour)
    code, output, report = _run(container)
    assert code == 1
    assert (report.transport, report.evidence, report.reason) == (Variant.NONE, Evidence.NONE, reason)
    assert words in report.detail
    assert "not started" in output
    assert not (container.run_folder / "l2-adapter.json").exists(), "the launcher must find nothing to start with"


@pytest.mark.parametrize("behaviour", ["tcp", "refuses", "forgets", "corrupts", "breaks", "crashes"])
def test_client_that_fails_is_not_used_over_rdma(behaviour: str, tmp_path: Path) -> None:
    container = _build(tmp_path, _AUTO, behaviour)
    code, _, report = _run(container)
    assert (code, report.transport) == (0, Variant.TCP)
    assert _read(container, "l2-adapter.json")["adapter"] == container.read_config()["candidates"]["tcp"]
    assert _read(container, "environment.json")["variables"] == {}


def test_plugin_that_works_without_proof_is_unverified(tmp_path: Path) -> None:
    container = _build(tmp_path, _AUTO, "still", SHARED)
    code, _, report = _run(container)
    assert code == 0
    assert (report.transport, report.evidence, report.reason) == (
        Variant.RDMA,
        Evidence.UNVERIFIED,
        Reason.RDMATransferUnproven,
    )
    assert _read(container, "l2-adapter.json")["adapter"]["type"] == "plugin"


def test_image_without_client_says_so(tmp_path: Path) -> None:
    container = _build(tmp_path, _REQUIRED)
    container.variables["PYTHONPATH"] = ""
    code, output, report = _run(container)
    assert code == 1
    assert "the client cannot be tried: ModuleNotFoundError" in report.detail
    assert output.rstrip().endswith("Use an image whose LMCache has the client.")


def test_fault_is_told_without_a_trial(tmp_path: Path) -> None:
    down = SRIOV.changed(functions=(build_virtual_function(2, "net1", state="1: DOWN"),))
    container = _build(tmp_path, _AUTO, "hangs", down)
    code, output, report = _run(container)
    assert (code, report.transport, report.reason) == (0, Variant.TCP, Reason.LinkDown)
    assert output.rstrip().endswith("Check cable, switch port and the interface of the node.")


def test_trial_that_hangs_is_ended_in_time(tmp_path: Path) -> None:
    container = _build(tmp_path, _AUTO, "hangs")
    code, output, report = _run(container, "--seconds=20")
    assert (code, report.transport, report.reason) == (0, Variant.TCP, Reason.RDMATransferUnproven)
    assert "no end within" in output or "no answer in time" in output


def test_preflight_that_hangs_goes_on_over_tcp(tmp_path: Path) -> None:
    container = _build(tmp_path, _AUTO, "hangs")
    # The trial gets all but the reserve, so here it would get longer than there is.
    code, _, report = _run(container, "--seconds=1")
    assert (code, report.transport, report.reason) == (0, Variant.TCP, Reason.PreflightFailed)
    assert _read(container, "l2-adapter.json")["adapter"]["type"] == "s3"


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_signal_ends_it_at_once(number: signal.Signals, tmp_path: Path) -> None:
    container = _build(tmp_path, _AUTO, "hangs")
    with container.start(*_options(container)) as process:
        assert process.stdout is not None
        deadline = time.monotonic() + 30
        while not (container.run_folder / "cuobject.json").exists() and time.monotonic() < deadline:
            time.sleep(0.02)
        sent = time.monotonic()
        process.send_signal(number)
        assert process.wait(timeout=30) == 128 + number
        assert time.monotonic() - sent < 5


@pytest.mark.parametrize(
    ("content", "code", "transport"),
    [
        ("no object", 1, Variant.NONE),
        ({"version": 2, "required": True, "candidates": {"tcp": {"type": "s3"}}}, 1, Variant.NONE),
        ({"version": 2, "required": False, "candidates": {"tcp": {"type": "s3"}}}, 0, Variant.TCP),
        ({"version": 2, "required": False, "candidates": {"tcp": None}}, 0, Variant.NONE),
        ({"version": 1, "required": False}, 0, Variant.NONE),
    ],
)
def test_configuration_that_cannot_be_used(content: object, code: int, transport: Variant, tmp_path: Path) -> None:
    container = _build(tmp_path, _AUTO)
    container.write_config(content)
    found, _, report = _run(container)
    assert (found, report.transport, report.reason) == (code, transport, Reason.PreflightFailed)


def test_earlier_choice_does_not_outlive_a_run_that_fails(tmp_path: Path) -> None:
    container = _build(tmp_path, _REQUIRED, "rdma")
    assert _run(container)[0] == 0
    container.message.unlink()
    container.variables["IMAGE_BEHAVIOUR"] = "still"
    assert _run(container)[0] == 1
    assert not (container.run_folder / "l2-adapter.json").exists()


def test_volume_that_cannot_be_written_is_told(tmp_path: Path) -> None:
    container = _build(tmp_path, _AUTO)
    container.run_folder.rmdir()
    code, output = container.finish(*_options(container))
    assert code == 1
    assert "the choice cannot be written" in output


def test_it_needs_nothing_but_the_standard_library(tmp_path: Path) -> None:
    container = _build(tmp_path, _REQUIRED)
    folder = tmp_path / "etc/inference-cache-agent"
    code = f"import sys; sys.path.insert(0, {str(folder)!r}); from cache_agent.preflight import main; sys.exit(main())"
    config = tmp_path / "etc/inference-cache/transport.json"
    options = [f"--config={config}", f"--run-directory={container.run_folder}", *_options(container)]
    out = subprocess.run(
        [sys.executable, "-I", "-S", "-c", code, *options],
        env=SRIOV.environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert (out.returncode, out.stderr) == (1, "")
    report = parse_preflight(container.message.read_text(encoding="utf-8"))
    assert report is not None
    assert "the client cannot be tried" in report.detail


class _BrokenError(Exception):
    pass


@pytest.mark.parametrize(("case", "code", "transport"), [(_AUTO, 0, Variant.TCP), (_REQUIRED, 1, Variant.NONE)])
def test_unforeseen_error_is_a_decision_too(
    case: str, code: int, transport: Variant, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    container = _build(tmp_path, case)

    def read_address(_: str) -> str:
        raise _BrokenError(SECRET)

    preflight = Preflight(
        tmp_path / "etc/inference-cache/transport.json",
        container.run_folder,
        tmp_path / "machine",
        container.message,
        environment={"AWS_SECRET_ACCESS_KEY": SECRET},
        read_address=read_address,
    )
    preflight.run()
    assert preflight.finish() == code
    text = container.message.read_text(encoding="utf-8")
    report = parse_preflight(text)
    assert report is not None
    assert (report.transport, report.reason) == (transport, Reason.PreflightFailed)
    assert "_BrokenError" in report.detail
    assert SECRET not in text + capsys.readouterr().out


_CANARY: Final = "c4n/4ry+k3y"


@pytest.mark.parametrize("start", [0, 670, 690])
@pytest.mark.parametrize("write", [str, lambda key: urllib.parse.quote(key, safe="")], ids=["plain", "quoted"])
def test_message_holds_no_part_of_a_key(write: Callable[[str], str], start: int, tmp_path: Path) -> None:
    text = "x" * start + f" {write(_CANARY)} refused"
    message = tmp_path / "message"
    preflight = Preflight(
        tmp_path / "none", tmp_path, tmp_path, message, environment={"AWS_SECRET_ACCESS_KEY": _CANARY}
    )
    preflight.decision = Decision("TCP", "None", True, None, "RDMATransferUnproven", text, write(_CANARY))
    preflight.finish()
    assert "c4n" not in message.read_text(encoding="utf-8")
    words = preflight._build_message(preflight.decision, [text], [text], None)
    assert "c4n" not in words
    assert "4ry" not in words


def _hang(*_: object) -> int:
    threading.Event().wait()
    return 0


def _fail(*_: object) -> int:
    raise UnicodeError(SECRET)


@pytest.mark.parametrize(("remove", "words"), [(_hang, "deleting takes too long"), (_fail, "UnicodeError")])
def test_proof_outlives_trouble_with_deleting(
    remove: Callable[..., int],
    words: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    store = {
        "endpoint": "http://store.example",
        "region": "r",
        "bucket": "kv",
        "addressing": "Path",
        "authorities": "",
    }
    container = _build(tmp_path, _REQUIRED, "rdma", store=store)
    monkeypatch.setattr(program, "remove_objects", remove)
    monkeypatch.setattr(program, "_REMOVE_SECONDS", 0.2)
    environment = {
        "PATH": "/usr/bin:/bin",
        "AWS_ACCESS_KEY_ID": "AKIA",
        "AWS_SECRET_ACCESS_KEY": SECRET,
        **container.variables,
    }
    preflight = Preflight(
        tmp_path / "etc/inference-cache/transport.json",
        container.run_folder,
        tmp_path / "machine",
        container.message,
        environment=environment,
        read_address=lambda _: "192.168.10.7",
    )
    preflight.run()
    assert preflight.finish() == 0
    report = parse_preflight(container.message.read_text(encoding="utf-8"))
    assert report is not None
    assert report.evidence is Evidence.PROVEN
    output = capsys.readouterr().out
    assert words in output
    assert SECRET not in output
