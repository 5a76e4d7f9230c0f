"""Lint, format, types and layer contracts are part of the test run, so that one command checks everything."""

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
BIN = Path(sys.executable).parent

GATES = {
    "ruff finds no lint": [BIN / "ruff", "check", "."],
    "ruff finds nothing to format": [BIN / "ruff", "format", "--check", "."],
    "mypy strict accepts every module": [BIN / "mypy"],
    "import-linter keeps the layers": [BIN / "lint-imports"],
}


@pytest.mark.parametrize("command", GATES.values(), ids=GATES.keys())
def test_quality_gate(command: list[str]) -> None:
    out = subprocess.run([str(part) for part in command], cwd=ROOT, capture_output=True, text=True, check=False)
    assert out.returncode == 0, f"{out.stdout}\n{out.stderr}"
