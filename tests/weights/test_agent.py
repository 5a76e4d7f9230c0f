"""What runs inside pods needs nothing but Python 3.10: it meets the Python of the engine's image."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

from inference_cache.domain.desired.agent import FETCH_FILES, TRANSPORT_FILES
from tests.support.builders import ROOT

_AGENT = ROOT / "operator" / "cache_agent"
_FILES = sorted(_AGENT.glob("*.py"))


def _list_imports(path: Path) -> set[str]:
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            found.add("." * node.level + (node.module or "").partition(".")[0])
    return found


def test_agent_is_found() -> None:
    assert {"__init__.py", "fetch.py", "hub.py"} <= {path.name for path in _FILES}
    assert "urllib" in _list_imports(_AGENT / "hub.py")


@pytest.mark.parametrize("path", _FILES, ids=lambda path: path.name)
def test_agent_imports_the_standard_library_alone_and_starts_no_process(path: Path) -> None:
    own = {f".{item.stem}" for item in _FILES}
    assert _list_imports(path) - set(sys.stdlib_module_names) - own == set()
    # The client of the image is tried in a process of its own, which may crash or hang.
    may_start = {"subprocess"} if path.name == "preflight_proof.py" else set()
    assert _list_imports(path) & {"subprocess", "multiprocessing", "pty"} == may_start


def _list_needed(program: str) -> set[str]:
    """Return a program's file and those that it imports, also through others."""
    needed, waiting = {"__init__.py"}, [f"{program}.py"]
    while waiting:
        name = waiting.pop()
        needed.add(name)
        own = {f"{item[1:]}.py" for item in _list_imports(_AGENT / name) if item.startswith(".")}
        waiting += own - needed
    return needed


def test_each_pod_gets_the_programs_that_it_runs_and_all_that_they_import() -> None:
    assert _list_needed("fetch") == FETCH_FILES
    # The launcher and the trial are run as single files.
    assert _list_needed("launch") == {"__init__.py", "launch.py"}
    assert _list_needed("preflight_transfer") == {"__init__.py", "preflight_transfer.py"}
    assert _list_needed("preflight") | {"launch.py", "preflight_transfer.py"} == TRANSPORT_FILES


def test_agent_is_typed_for_python_3_10() -> None:
    command = [sys.executable, "-m", "mypy", "--python-version=3.10", "operator/cache_agent"]
    out = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert out.returncode == 0, out.stdout + out.stderr


@pytest.mark.parametrize("files", [FETCH_FILES, TRANSPORT_FILES], ids=["fetcher", "transport"])
def test_programs_fit_well_into_a_config_map(files: frozenset[str]) -> None:
    # etcd takes 1 MiB an object, and every deployment has a copy.
    assert sum((_AGENT / name).stat().st_size for name in files) < 96 * 1024
