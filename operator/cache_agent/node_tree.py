"""How files of /sys, /proc and /dev are read: what is missing is nothing, what cannot be read is a problem, never a crash."""

from __future__ import annotations

import errno
from pathlib import Path
from typing import Final

_LIMIT: Final = 2**20
_KEPT_PROBLEMS: Final = 64
# A device that goes away between the list and the reading of its files shows as one of these.
_ABSENT: Final = frozenset({errno.ENOENT, errno.ENOTDIR, errno.ENODEV, errno.ENXIO})


class Tree:
    """The files of one machine; paths are such as sys/class/net.

    Attributes:
        problems: What could not be read, in order; bounded, as a broken tree has many such files.
        dropped: Problems that were not kept.
    """

    def __init__(self, root: Path, proc: Path | None = None) -> None:
        self._root = root
        self._proc = root / "proc" if proc is None else proc
        self.problems: list[str] = []
        self.dropped = 0

    def note(self, subject: str, cause: str) -> None:
        """Keep a problem."""
        if len(self.problems) < _KEPT_PROBLEMS:
            self.problems.append(f"{subject}: {cause}")
        else:
            self.dropped += 1

    def read(self, path: str, *unset: int) -> str | None:
        """Return the text of a file without blanks around it; None where there is none, or none that can be read.

        Args:
            path: The file.
            unset: Error numbers with which this file says that it has no value now.
        """
        try:
            with self._find(path).open("rb") as stream:
                return stream.read(_LIMIT).decode("utf-8", "replace").strip()
        except OSError as error:
            if error.errno not in _ABSENT and error.errno not in unset:
                self.note(f"/{path}", error.strerror or str(error))
        return None

    def read_number(self, path: str, least: int, most: int, *unset: int) -> int | None:
        """Return the number in a file, decimal or with 0x; None as read does, and where it is none within the bounds."""
        text = self.read(path, *unset)
        if text is None:
            return None
        try:
            number = int(text, 0)
        except ValueError:
            number = least - 1
        if least <= number <= most:
            return number
        self.note(f"/{path}", f"{text[:32]!r} is no number from {least} to {most}")
        return None

    def list(self, path: str) -> list[str] | None:
        """Return the sorted names in a folder, none where there is no such folder; None where it cannot be read."""
        try:
            return sorted(item.name for item in self._find(path).iterdir())
        except OSError as error:
            if error.errno in _ABSENT:
                return []
            self.note(f"/{path}", error.strerror or str(error))
        return None

    def exists(self, path: str) -> bool:
        """Whether there is something of this name, of whatever kind; a link that leads nowhere counts."""
        try:
            self._find(path).lstat()
        except OSError as error:
            if error.errno not in _ABSENT:
                self.note(f"/{path}", error.strerror or str(error))
            return False
        return True

    def _find(self, path: str) -> Path:
        first, _, rest = path.partition("/")
        return self._proc / rest if first == "proc" else self._root / path
