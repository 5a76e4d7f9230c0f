"""Writes the expected objects of every golden case anew: `PYTHONPATH=operator python -m tests.golden.regenerate`.

Read the difference before it is committed: each changed line reaches running clusters.
"""

import sys

from tests.golden.cases import CASES, golden_path, render


def main() -> None:
    """Write every case whose objects differ, and name it."""
    for case in CASES:
        path, text = golden_path(case), render(case)
        if not path.exists() or path.read_text(encoding="utf-8") != text:
            path.write_text(text, encoding="utf-8")
            sys.stdout.write(f"written: {case}\n")


if __name__ == "__main__":
    main()
