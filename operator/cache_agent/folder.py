"""What is on the disk: complete files, partial ones under names that a restart finds again, and the record of what was verified."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from .errors import FetchError
from .files import MANIFEST, PARTIAL, RemoteFile
from .report import show_bytes


class Folder:
    """The folder of the weights, with what is under way in it."""

    def __init__(self, root: Path) -> None:
        self.root = root
        root.mkdir(parents=True, exist_ok=True)
        self._verified: dict[str, dict[str, Any]] = {}
        # Without a record everything is hashed again.
        with contextlib.suppress(OSError, ValueError, TypeError):
            self._verified = dict(json.loads((root / MANIFEST).read_bytes()))

    def find_partial(self, file: RemoteFile) -> Path:
        """Return where a file is while it is not complete: the same place for the same content at every start."""
        return self.root / PARTIAL / f"{file.path}.{file.digest[:16]}"

    def adopt(self, files: Iterable[RemoteFile]) -> list[RemoteFile]:
        """Return the files that are not verified yet; what is there of them becomes partial, what is of no use goes."""
        missing = [file for file in files if self._verified.get(file.path) != self._describe(file)]
        for file in missing:
            if (self.root / file.path).is_file():
                self.find_partial(file).parent.mkdir(parents=True, exist_ok=True)
                (self.root / file.path).replace(self.find_partial(file))
        useful = {self.find_partial(file) for file in missing}
        for path in list((self.root / PARTIAL).rglob("*")):
            if not path.is_dir() and path not in useful:
                path.unlink()
        return missing

    def measure(self, file: RemoteFile) -> int:
        """Return the bytes that are there of a file that is not complete."""
        partial = self.find_partial(file)
        return min(partial.stat().st_size, file.size) if partial.is_file() else 0

    def publish(self, file: RemoteFile) -> None:
        """Give a complete file its name, for good."""
        target = self.root / file.path
        target.parent.mkdir(parents=True, exist_ok=True)
        self.find_partial(file).replace(target)
        _sync(target.parent)

    def record(self, file: RemoteFile) -> None:
        """Remember that a file was verified, so that no restart hashes it again."""
        self._verified[file.path] = self._describe(file)
        draft = self.root / PARTIAL / MANIFEST
        draft.parent.mkdir(exist_ok=True)
        draft.write_text(json.dumps(self._verified, indent=1, sort_keys=True), encoding="utf-8")
        _sync(draft)
        draft.replace(self.root / MANIFEST)

    def tidy(self) -> None:
        """Remove what is needed only while something is missing."""
        shutil.rmtree(self.root / PARTIAL, ignore_errors=True)

    def _describe(self, file: RemoteFile) -> dict[str, Any]:
        try:
            found = (self.root / file.path).stat()
        except OSError:
            return {}
        # The time tells a file that was written to since.
        return {"digest": file.digest, "size": found.st_size, "modified": found.st_mtime_ns}


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def check_space(folder: Path, needed: int) -> None:
    """Refuse to begin what cannot be finished.

    Raises:
        FetchError: Fewer bytes are free than needed.
    """
    free = shutil.disk_usage(folder).free
    if needed > free:
        raise FetchError(
            f"the disk of {folder} is too small: {needed} bytes ({show_bytes(needed)}) are needed, "
            f"{free} bytes ({show_bytes(free)}) are free: use nodes with more ephemeral storage, or a volume"
        )
