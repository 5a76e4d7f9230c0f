"""The command as a whole: help, exit codes, start-up, and the name under which it was called."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from inference_cache import __version__
from inference_cache.cli.app import build_app

ROOT = Path(__file__).resolve().parents[2]
BIN = Path(sys.executable).parent
SAMPLE = ROOT / "manifests" / "samples" / "nemotron-70b.yaml"
COMMANDS = ["lint", "render", "explain", "nodes"]


def _run(*words: str, name: str = "icd", **environment: str) -> subprocess.CompletedProcess[str]:
    variables = {**os.environ, "PYTHONPATH": str(ROOT / "operator"), **environment}
    command = [str(BIN / name), *words]
    return subprocess.run(command, capture_output=True, text=True, check=False, env=variables, timeout=60)


def test_help_names_every_command_with_examples() -> None:
    out = CliRunner().invoke(build_app(), ["--help"])
    assert out.exit_code == 0
    assert [name for name in (*COMMANDS, "version") if f"\n  {name} " not in out.stdout] == []
    assert "icd explain nemotron-70b" in out.stdout


@pytest.mark.parametrize("command", COMMANDS)
@pytest.mark.parametrize("flag", ["-h", "--help"])
def test_help_of_each_command_has_examples(command: str, flag: str) -> None:
    out = CliRunner().invoke(build_app(), [command, flag])
    assert out.exit_code == 0
    assert f"Examples:\n    icd {command}" in out.stdout


USAGE = {
    "unknown command": ["foo"],
    "unknown option": ["lint", "--foo"],
    "missing option": ["lint"],
    "unknown format": ["lint", "-f", "x", "-o", "xml"],
    "name together with all namespaces": ["explain", "x", "-A"],
}


@pytest.mark.parametrize("words", USAGE.values(), ids=USAGE.keys())
def test_wrong_command_line_ends_with_2(words: list[str]) -> None:
    out = CliRunner().invoke(build_app(), words)
    assert out.exit_code == 2
    assert out.stdout == ""
    assert out.stderr


def test_expected_failure_is_one_line_and_ends_with_1() -> None:
    out = _run("lint", "-f", "absent.yaml")
    assert (out.returncode, out.stdout) == (1, "")
    assert out.stderr == "Error: absent.yaml does not exist. Check the path; - reads standard input.\n"


_FAULTS = {
    "a secret in the text": ValueError("hf_SECRET"),
    "recursion": RecursionError("hf_SECRET"),
    "a failing system call": OSError(5, "hf_SECRET"),
}


@pytest.mark.parametrize("fault", _FAULTS.values(), ids=_FAULTS.keys())
@pytest.mark.parametrize("debug", [False, True])
def test_fault_of_ours_is_one_line_without_its_text(
    fault: Exception, debug: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(_: object) -> None:
        raise fault

    monkeypatch.setattr("inference_cache.cli.documents.read_documents", fail)
    monkeypatch.setenv("ICD_DEBUG", "1" if debug else "")
    out = CliRunner().invoke(build_app(), ["lint", "-f", "x.yaml"])
    line = f"icd failed: {type(fault).__name__}; this is a fault of icd, please report it with the command line\n"
    assert (out.exit_code, out.stdout) == (1, "")
    assert out.stderr.endswith(line)
    assert ("hf_SECRET" in out.stderr) is debug
    assert ("Traceback" in out.stderr) is debug
    assert debug or out.stderr == line


def test_pages_that_the_sources_name_exist() -> None:
    sources = sorted((ROOT / "operator").rglob("*.py"))
    named = {page for file in sources for page in re.findall(r"docs/[\w./-]+\.md", file.read_text(encoding="utf-8"))}
    assert "docs/api.md" in named
    assert sorted(page for page in named if not (ROOT / page).is_file()) == []


def test_version() -> None:
    assert _run("version").stdout == f"icd {__version__}, API inferencecache.io/v1alpha1\n"
    assert json.loads(_run("version", "-o", "json").stdout)["version"] == __version__


def test_plugin_of_kubectl_shows_that_name() -> None:
    out = _run("lint", "--foo", name="kubectl-icd")
    assert out.returncode == 2
    assert out.stderr.startswith("Usage: kubectl icd lint ")


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_script_can_be_shown(shell: str) -> None:
    out = _run("--show-completion", shell, _TYPER_COMPLETE_TEST_DISABLE_SHELL_DETECTION="1")
    assert out.returncode == 0
    assert "_ICD_COMPLETE" in out.stdout


def test_completion_offers_commands() -> None:
    out = _run(_ICD_COMPLETE="complete_bash", COMP_WORDS="icd ex", COMP_CWORD="1")
    assert out.stdout.split() == ["explain"]


SLOW = ("kubernetes", "boto3", "botocore", "rich", "aiohttp", "kopf", "jinja2", "inference_cache.api.v1alpha1")
LIGHT = {
    "help": (["--help"], SLOW),
    "help of a command": (["explain", "--help"], SLOW),
    "lint": (["lint", "-f", str(SAMPLE)], ("kubernetes", "boto3", "rich", "aiohttp", "kopf")),
    "render": (["render", "-f", str(SAMPLE)], ("kubernetes", "boto3", "rich", "aiohttp", "kopf")),
}


@pytest.mark.parametrize("case", LIGHT)
def test_start_does_not_load_what_is_slow_and_not_needed(case: str) -> None:
    words, unwanted = LIGHT[case]
    code = (
        "import sys\nfrom inference_cache.cli.app import build_app\n"
        f"try:\n    build_app()({words!r}, prog_name='icd')\nexcept SystemExit:\n    pass\n"
        f"print('loaded:', *[name for name in {unwanted!r} if name in sys.modules], file=sys.stderr)"
    )
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "operator")}
    out = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, env=environment, timeout=60
    )
    assert out.stderr.splitlines()[-1] == "loaded:"


def test_tables_in_a_pipe_have_neither_colours_nor_boxes() -> None:
    out = _run("render", "-f", str(SAMPLE), "-o", "table", FORCE_COLOR="1").stdout
    assert out.isascii()
    assert out.splitlines()[0].split() == ["KIND", "NAME", "NAMESPACE"]


@pytest.mark.parametrize(("variables", "coloured"), [({}, True), ({"NO_COLOR": "1"}, False), ({"TERM": "dumb"}, False)])
def test_terminal_gets_colours_unless_they_are_unwanted(variables: dict[str, str], coloured: bool) -> None:
    leader, follower = os.openpty()
    environment = {key: value for key, value in os.environ.items() if key not in {"NO_COLOR", "FORCE_COLOR"}}
    environment |= {"TERM": "xterm-256color", "PYTHONPATH": str(ROOT / "operator"), **variables}
    command = [str(BIN / "icd"), "render", "-f", str(SAMPLE), "-o", "table"]
    subprocess.run(command, stdout=follower, env=environment, check=True, timeout=60)
    os.close(follower)
    shown = os.read(leader, 100_000).decode()
    os.close(leader)
    assert ("\x1b[" in shown) is coloured
