"""Turns a result into JSON, YAML or a table; nothing else in this package writes to standard output.

JSON and YAML are stable. Tables and texts are for people: on a terminal they have colours, elsewhere, or with NO_COLOR,
they are plain text that cut and awk can read.
"""

import json
import os
import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from .options import Format

_GAP: Final = "   "
_MAX_CELL: Final = 60


@dataclass(frozen=True)
class Line:
    """A line of text for people; the style is one of rich's and shows on terminals only."""

    text: str = ""
    style: str = ""


def is_plain() -> bool:
    """Whether colours would be out of place."""
    return not sys.stdout.isatty() or bool(os.environ.get("NO_COLOR")) or os.environ.get("TERM") == "dumb"


def print_document(document: Any, form: Format) -> None:
    """Write one document as JSON or YAML."""
    if form is Format.YAML:
        from .generate import dump_yaml  # noqa: PLC0415 - only here

        sys.stdout.write(dump_yaml(document))
        return
    sys.stdout.write(json.dumps(document, indent=2, ensure_ascii=False) + "\n")


def print_lines(lines: Iterable[Line]) -> None:
    """Write lines for people."""
    if is_plain():
        sys.stdout.write("".join(f"{line.text}\n" for line in lines))
        return
    from rich.console import Console  # noqa: PLC0415 - slow, and needed on terminals only
    from rich.text import Text  # noqa: PLC0415

    console = Console(soft_wrap=True, highlight=False)
    for line in lines:
        console.print(Text(line.text, style=line.style))


def print_table(columns: Sequence[str], rows: Iterable[Sequence[str]], styles: Mapping[str, str] | None = None) -> None:
    """Write a table for people, in the manner of kubectl; long cells are cut.

    Args:
        columns: Their titles.
        rows: As many cells as there are columns.
        styles: Style of a row by the text of one of its cells.
    """
    cells = [[_shorten(cell) for cell in row] for row in rows]
    widths = [max(map(len, column)) for column in zip(columns, *cells, strict=True)]
    known = styles or {}
    lines = [Line(_align(columns, widths), "bold")]
    lines += [Line(_align(row, widths), next((known[cell] for cell in row if cell in known), "")) for row in cells]
    print_lines(lines)


def note(text: str) -> None:
    """Tell something beside the result."""
    sys.stderr.write(f"{text}\n")


def count_words(count: int, word: str) -> str:
    """Return a number with its word, such as 1 deployment or 2 deployments."""
    return f"{count} {word}{'' if count == 1 else 's'}"


def _align(row: Sequence[str], widths: Sequence[int]) -> str:
    return _GAP.join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()


def _shorten(cell: str) -> str:
    text = " ".join(cell.split()) or "-"
    return text if len(text) <= _MAX_CELL else text[: _MAX_CELL - 3] + "..."
