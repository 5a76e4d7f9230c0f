"""The files of a commit as the hub lists them: which are fetched, under which names, and which lists are refused."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Final

from .errors import FetchError, TransientError

PARTIAL: Final = ".partial"
MANIFEST: Final = ".fetched.json"
# vLLM reads *.safetensors alone where it finds any; the same weights in other formats would double the download.
_UNREAD_FOLDER: Final = "original/"
_UNREAD_SUFFIXES: Final = (".bin", ".pt", ".pth", ".gguf", ".onnx", ".msgpack", ".h5", ".ot", ".tflite")


@dataclass(frozen=True)
class RemoteFile:
    """A file of the commit.

    Attributes:
        size: Bytes.
        digest: SHA-256 of the content if the file is in LFS, else its name as a git blob.
        large: The file is in LFS.
    """

    path: str
    size: int
    digest: str
    large: bool

    def begin_digest(self) -> hashlib._Hash:
        """Return the digest of no content yet."""
        if self.large:
            return hashlib.sha256()
        # A git blob is named by the SHA-1 of a header and the content; nothing is signed with it.
        return hashlib.sha1(b"blob %d\0" % self.size, usedforsecurity=False)


def parse_page(body: bytes) -> list[RemoteFile]:
    """Return the files of one page of the hub's list.

    Raises:
        TransientError: The page is no list: a connection that ended early, or the page of a proxy.
        FetchError: A path would leave the folder.
    """
    try:
        found = [_parse_entry(entry) for entry in json.loads(body) if entry["type"] == "file"]
    except (ValueError, TypeError, KeyError) as error:
        raise TransientError("the answer is no list of files") from error
    for file in found:
        check_path(file.path)
    return found


def _parse_entry(entry: dict[str, Any]) -> RemoteFile:
    large = bool(entry.get("lfs"))
    stored = entry["lfs"] if large else entry
    size, digest = int(stored["size"]), stored["oid"]
    # The digest becomes a part of a file's name.
    if size < 0 or not re.fullmatch(r"[0-9a-f]{64}" if large else r"[0-9a-f]{40}", digest):
        raise ValueError(digest)
    return RemoteFile(entry["path"], size, digest, large)


def check_path(path: object) -> None:
    """Refuse a path that would be written outside of the folder, or over what this program keeps there.

    Raises:
        FetchError: It would.
    """
    parts = path.split("/") if isinstance(path, str) and path.isprintable() and "\\" not in path else [""]
    if {"", ".", ".."} & set(parts) or parts[0] in {PARTIAL, MANIFEST}:
        raise FetchError(f"the repository lists the unsafe path {path!r}: do not use this repository")


def select_files(files: Iterable[RemoteFile]) -> tuple[list[RemoteFile], list[RemoteFile]]:
    """Return the files that vLLM may read, and those that it does not read."""
    wanted: list[RemoteFile] = []
    unread: list[RemoteFile] = []
    listed = list(files)
    safe = any("/" not in file.path and file.path.endswith(".safetensors") for file in listed)
    for file in listed:
        useless = safe and (file.path.startswith(_UNREAD_FOLDER) or file.path.lower().endswith(_UNREAD_SUFFIXES))
        (unread if useless else wanted).append(file)
    return wanted, unread
