"""Whole runs share their work between two processes, which never share it again; all other runs stay in one."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
_TEST = """
import os
def test_where():
    worker = os.environ.get("PYTEST_XDIST_WORKER", "-")
    with open({log!r}, "a") as log:
        log.write(f"{{worker}} {{os.getpid()}} {{os.getppid()}}\\n")
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Two test files below the repository's conftest."""
    folder = tmp_path / "tests"
    folder.mkdir()
    shutil.copy(ROOT / "conftest.py", folder)
    for name in ("test_one.py", "test_two.py"):
        (folder / name).write_text(_TEST.format(log=str(tmp_path / "log")), encoding="utf-8")
    return folder


def _run(folder: Path, *words: str, **environment: str) -> list[list[str]]:
    """Return worker, process and parent of each test."""
    kept = {key: value for key, value in os.environ.items() if not key.startswith(("PYTEST_", "INFERENCE_CACHE_"))}
    settings = folder / "pytest.ini"
    settings.write_text("[pytest]\nasyncio_default_fixture_loop_scope = function\n", encoding="utf-8")
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-c", str(settings), *words]
    out = subprocess.run(
        command, cwd=folder, env=kept | environment, capture_output=True, text=True, check=False, timeout=60
    )
    assert out.returncode == 0, out.stdout + out.stderr
    return [line.split() for line in (folder.parent / "log").read_text(encoding="utf-8").splitlines()]


@pytest.mark.skipif((os.cpu_count() or 1) < 2, reason="NOT TESTED: one CPU gives one process")
def test_whole_folder_is_shared_by_two_processes_of_one_parent(folder: Path) -> None:
    found = _run(folder, ".")
    assert {worker for worker, _, _ in found} == {"gw0", "gw1"}
    assert len({parent for _, _, parent in found}) == 1, "a process of several has started others"


ALONE: dict[str, tuple[tuple[str, ...], dict[str, str]]] = {
    "a single file": (("test_one.py",), {}),
    "what is printed is to be seen": ((".", "-s"), {}),
    "a cluster that exists": ((".",), {"INFERENCE_CACHE_E2E_PROVIDER": "existing"}),
    "below a run that shares its work": ((".",), {"INFERENCE_CACHE_TESTS_SHARED": "1"}),
    "in a process of several": ((".",), {"PYTEST_XDIST_WORKER": "gw0"}),
}


@pytest.mark.parametrize("case", ALONE)
def test_other_runs_stay_in_one_process(folder: Path, case: str) -> None:
    words, environment = ALONE[case]
    found = _run(folder, *words, **environment)
    assert len({process for _, process, _ in found}) == 1
    assert {worker for worker, _, _ in found} <= {"-", "gw0"}


def test_number_of_processes_can_be_chosen(folder: Path) -> None:
    assert {worker for worker, _, _ in _run(folder, ".", "-n", "0")} == {"-"}
