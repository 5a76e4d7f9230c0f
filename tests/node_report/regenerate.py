"""Writes the golden reports anew; read the difference before you keep it."""

import tempfile
from pathlib import Path

from tests.node_report.cases import CASES, FOLDER, render

if __name__ == "__main__":
    for case in CASES:
        with tempfile.TemporaryDirectory() as folder:
            (FOLDER / case / "report.json").write_text(render(case, Path(folder) / "tree"), encoding="utf-8")
