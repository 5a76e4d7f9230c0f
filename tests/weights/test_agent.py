"""What runs inside pods needs nothing but Python 3.10: it meets the Python of the engine's image."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

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
    assert _list_imports(path) & {"subprocess", "multiprocessing", "pty"} == set()


def test_agent_is_typed_for_python_3_10() -> None:
    command = [sys.executable, "-m", "mypy", "--python-version=3.10", "operator/cache_agent"]
    out = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert out.returncode == 0, out.stdout + out.stderr


def test_programs_fit_well_into_a_config_map() -> None:
    # etcd takes 1 MiB an object, and every deployment has a copy.
    assert sum(path.stat().st_size for path in _FILES) < 64 * 1024
