"""Writes the expected objects of every fabric anew: `PYTHONPATH=operator python -m tests.domain.fabric.regenerate`.

Read the difference before it is committed: each changed line reaches running clusters.
"""

import sys

from tests.domain.fabric.fabric_facts import CASES, FOLDER
from tests.domain.fabric.test_golden import render


def main() -> None:
    """Write every case whose objects differ, and name it."""
    for case in CASES:
        path, text = FOLDER / case / "objects.yaml", render(case)
        if not path.exists() or path.read_text(encoding="utf-8") != text:
            path.write_text(text, encoding="utf-8")
            sys.stdout.write(f"written: {case}\n")


if __name__ == "__main__":
    main()
