"""Writes the listing of messages anew: `PYTHONPATH=operator python -m tests.api.messages.regenerate`.

Read the difference as someone who has never seen the field: does it say where, what was found, why, and what to write?
"""

import sys

from tests.api.messages.listing import PATH, render


def main() -> None:
    """Write the listing if it differs, and say so."""
    text = render()
    if not PATH.exists() or PATH.read_text(encoding="utf-8") != text:
        PATH.write_text(text, encoding="utf-8")
        sys.stdout.write(f"written: {PATH.name}\n")


if __name__ == "__main__":
    main()
