"""The folder operator/ is a source root, so it must never shadow the standard library's module of that name."""

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.parametrize("flags", [[], ["-S"], ["-I"]], ids=["plain", "without site-packages", "isolated"])
def test_standard_library_operator_imports_from_the_repository_root(flags: list[str]) -> None:
    code = "import sys; sys.path.insert(0, ''); import operator; print(operator.__file__); operator.itemgetter(0)"
    out = subprocess.run([sys.executable, *flags, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False)
    assert out.returncode == 0, out.stderr
    assert str(ROOT) not in out.stdout


def test_source_root_holds_packages_only() -> None:
    loose = sorted(p.name for p in (ROOT / "operator").glob("*.py"))
    assert loose == [], f"operator/ must hold no modules of its own, found {loose}"
