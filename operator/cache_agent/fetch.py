"""Fetches one commit of a model repository from the Hugging Face hub into a folder, and resumes after any end.

Decided here: which files are fetched, when one is complete, what is tried again, and what the log says. The operator puts
this package into a ConfigMap and runs it with the Python of the engine's image (3.10 or newer, standard library only):

    python3 -m cache_agent.fetch --repository OWNER/NAME --revision COMMIT --directory FOLDER

It reads HF_ENDPOINT, HF_TOKEN and the usual proxy variables. Exit codes: 0 complete, 1 failed with a last line that
says why and what to do, 2 wrong arguments, 130 or 143 ended by SIGINT or SIGTERM. In the folder it keeps `.partial/`
with what is under way, under names that a restart finds again, and `.fetched.json` with what was verified.
"""

from __future__ import annotations

import argparse
import contextlib
import errno
import http.client
import os
import re
import signal
import threading
import time
import traceback
import urllib.parse
from collections.abc import Iterable, Sequence
from concurrent.futures import FIRST_COMPLETED, ThreadPoolExecutor, wait
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import BinaryIO, Final, NoReturn

from .errors import FetchError, RangeError, TransientError
from .files import RemoteFile, select_files
from .folder import Folder, check_space
from .hub import Attempts, Hub, list_files, read_piece
from .report import say, show_bytes, show_seconds

STREAMS: Final = 4
_PIECE: Final = 2**20
_SIGNAL_SECONDS: Final = 0.2
# Above this the hub's CDN refuses to send a file in one plain answer (huggingface/xet-core#238).
_PLAIN_LIMIT: Final = 50 * 10**9


class Progress:
    """How far all files are.

    Attributes:
        total: Bytes of all files.
        done: Bytes that are there, by path.
    """

    def __init__(self, total: int, done: dict[str, int], now: float) -> None:
        self.total, self.done = total, done
        self._then, self._before = now, sum(done.values())

    def describe(self, now: float) -> str:
        """Return the line of progress; now is in seconds, and the rate is that since the last line."""
        done = sum(self.done.values())
        # A file that begins anew makes the sum smaller.
        rate = max(0.0, (done - self._before) / max(now - self._then, 0.001))
        self._then, self._before = now, done
        left = f"{show_seconds((self.total - done) / rate)} left" if rate else "time left unknown"
        percent = 100 * done // self.total if self.total else 100
        return f"{percent} %, {show_bytes(done)} of {show_bytes(self.total)}, {show_bytes(rate)}/s, {left}"


class _Part:
    """A partial file that is open for appending, and the digest of what it holds."""

    def __init__(self, file: RemoteFile, stream: BinaryIO, done: dict[str, int]) -> None:
        self._file, self._stream, self._done = file, stream, done
        self.digest, self.offset = file.begin_digest(), 0
        stream.seek(0)
        while piece := stream.read(_PIECE):
            self.digest.update(piece)
            self.offset += len(piece)
        done[file.path] = self.offset

    def append(self, piece: bytes) -> None:
        """Add what was received."""
        self._stream.write(piece)
        self.digest.update(piece)
        self.offset += len(piece)
        self._done[self._file.path] = self.offset

    def restart(self) -> None:
        """Drop everything."""
        self._stream.truncate(0)
        self.digest, self.offset = self._file.begin_digest(), 0
        self._done[self._file.path] = 0


@dataclass
class Fetch:
    """One run: where from, where to, and how patient.

    Attributes:
        address: URL of the commit's files, without a path.
        pause: Seconds before the second attempt.
        interval: Seconds between two lines of progress.
    """

    hub: Hub
    folder: Folder
    address: str
    pause: float
    interval: float

    def fetch_all(self, files: Iterable[RemoteFile], progress: Progress) -> None:
        """Fetch files, several at a time, the large ones first: small ones fill the streams that are done.

        Raises:
            FetchError: One of them cannot be had. The others may still be under way: the process is to end.
        """
        pool = ThreadPoolExecutor(STREAMS)
        ordered = sorted(files, key=lambda file: -file.size)
        pending = {pool.submit(self.fetch_file, file, progress.done): file for file in ordered}
        due = time.monotonic() + self.interval
        while pending:
            finished, _ = wait(pending, max(0.0, due - time.monotonic()), FIRST_COMPLETED)
            for future in finished:
                file = pending.pop(future)
                future.result()
                self.folder.record(file)
                say(f"fetched {file.path}, {show_bytes(file.size)}")
            if time.monotonic() >= due:
                say(progress.describe(time.monotonic()))
                due = time.monotonic() + self.interval

    def fetch_file(self, file: RemoteFile, done: dict[str, int]) -> None:
        """Fetch what is missing of a file, verify all of it, and give it its name.

        Raises:
            FetchError: It cannot be had, is not what the hub lists, or cannot be written.
        """
        partial = self.folder.find_partial(file)
        try:
            partial.parent.mkdir(parents=True, exist_ok=True)
            for _ in range(2):
                found = self._receive(file, partial, done)
                if found == file.digest:
                    self.folder.publish(file)
                    return
                partial.unlink()
                say(f"{file.path}: the content has the hash {found}, the hub lists {file.digest}; deleted")
        except OSError as error:
            # Those of the network were caught where they came from.
            full = error.errno in {errno.ENOSPC, errno.EDQUOT}
            remedy = "use nodes with more ephemeral storage, or a volume" if full else "look at the node's disk"
            raise FetchError(f"{file.path} cannot be written: {error.strerror}: {remedy}") from error
        remedy = "a proxy or mirror alters it, or the disk is faulty"
        raise FetchError(f"{file.path}: hash mismatch, twice; the content is not what the hub lists: {remedy}")

    def _receive(self, file: RemoteFile, partial: Path, done: dict[str, int]) -> str:
        """Bring a partial file to its size, and return the digest of the whole."""
        attempts = Attempts(file.path, self.pause)
        with partial.open("a+b") as stream:
            part = _Part(file, stream, done)
            if 0 < part.offset < file.size:
                say(f"{file.path}: resumed at {show_bytes(part.offset)} of {show_bytes(file.size)}")
            furthest = part.offset
            while part.offset != file.size:
                try:
                    self._continue(file, part)
                except TransientError as error:  # noqa: PERF203 - an attempt takes a connection anyway
                    if isinstance(error, RangeError):
                        part.restart()
                    # A server that fails at the same place for ever brings nothing new.
                    if part.offset > furthest:
                        attempts.failures, furthest = 0, part.offset
                    attempts.wait(error)
            stream.flush()
            os.fsync(stream.fileno())
        return part.digest.hexdigest()

    def _continue(self, file: RemoteFile, part: _Part) -> None:
        """Receive the rest of a file, as far as one connection brings it."""
        if part.offset > file.size:
            part.restart()
        with self._open(file, part.offset) as response:
            if response.status != 206:
                # The server knows no ranges, or none was asked for.
                part.restart()
            while piece := read_piece(response, min(_PIECE, file.size - part.offset)):
                part.append(piece)
        if part.offset != file.size:
            raise TransientError(f"the connection ended after {part.offset} of {file.size} bytes")

    def _open(self, file: RemoteFile, start: int) -> http.client.HTTPResponse:
        try:
            response = self.hub.open(f"{self.address}/{urllib.parse.quote(file.path)}", start)
        except FetchError as error:
            limit = "; the hub sends files above 50 GB by its xet protocol only: use a volume or an image as source"
            raise FetchError(f"{file.path}: {error}{limit if file.size > _PLAIN_LIMIT else ''}") from error
        fault = _find_fault(response, file, start)
        if fault is not None:
            response.close()
            raise fault
        return response


def _find_fault(response: http.client.HTTPResponse, file: RemoteFile, start: int) -> TransientError | None:
    """Return why a body is not what the file lacks, if its headers tell."""
    told, length = response.headers.get("Content-Range", ""), response.headers.get("Content-Length")
    ranged = response.status == 206
    if ranged and not re.fullmatch(rf"bytes {start}-\d+/(\*|{file.size})", told):
        return RangeError(f"asked for the bytes from {start} on, but the answer has '{told[:80]}'")
    expected = file.size - (start if ranged else 0)
    if length is not None and length != str(expected):
        return TransientError(f"the answer has {length[:20]} bytes instead of {expected}")
    return None


def fetch(repository: str, revision: str, directory: Path, *, pause: float, interval: float) -> None:
    """Fetch a commit as the environment tells.

    Args:
        repository: OWNER/NAME.
        revision: Full commit hash.
        directory: Folder of the weights; made if it is not there.
        pause: Seconds before the second attempt.
        interval: Seconds between two lines of progress.

    Raises:
        FetchError: It cannot be had.
        OSError: The folder cannot be written.
    """
    began = time.monotonic()
    hub = Hub(os.environ.get("HF_ENDPOINT") or "https://huggingface.co", os.environ.get("HF_TOKEN", ""))
    wanted, unread = select_files(list_files(hub, repository, revision, pause))
    if not wanted:
        raise FetchError(f"commit {revision} of {repository} has no files: correct the revision")
    folder = Folder(directory)
    missing = folder.adopt(wanted)
    total, complete = sum(file.size for file in wanted), len(wanted) - len(missing)
    done = {file.path: file.size for file in wanted} | {file.path: folder.measure(file) for file in missing}
    there = f"{complete} files are complete, {show_bytes(sum(done.values()))} are there"
    say(f"{repository} at {revision}: {len(wanted)} files, {show_bytes(total)}; {there}")
    if unread:
        size = show_bytes(sum(file.size for file in unread))
        say(f"left out, as vLLM reads the safetensors alone: {len(unread)} files, {size}")
    check_space(directory, total - sum(done.values()))
    address = f"{hub.endpoint}/{repository}/resolve/{revision}"
    Fetch(hub, folder, address, pause, interval).fetch_all(missing, Progress(total, done, began))
    folder.tidy()
    say(f"complete: {len(wanted)} files, {show_bytes(total)}, after {show_seconds(time.monotonic() - began)}")


def _run(options: argparse.Namespace) -> int:
    pause, interval = options.retry_seconds, options.progress_seconds
    try:
        fetch(options.repository, options.revision, options.directory, pause=pause, interval=interval)
    except (FetchError, OSError) as error:
        say(f"failed: {error}")
        return 1
    except Exception as error:  # noqa: BLE001 - the log is all that is left of this process
        say(f"{traceback.format_exc()}failed: {type(error).__name__}, a fault of the fetcher: report it with this log")
        return 1
    return 0


def _end(number: int, _frame: object) -> NoReturn:
    # Whatever is written is good for a restart, so nothing is waited for: neither threads nor a stalled connection.
    with contextlib.suppress(OSError):
        os.write(1, f"ended by {signal.Signals(number).name}; a restart resumes\n".encode())
    os._exit(128 + number)


def _match(pattern: str, text: str) -> str:
    if not re.fullmatch(pattern, text):
        raise argparse.ArgumentTypeError(f"{text!r} does not match {pattern}")
    return text


def _read_arguments(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Fetches one commit of a model repository, and resumes.")
    name = r"[A-Za-z0-9][A-Za-z0-9._-]*"
    parser.add_argument("--repository", required=True, type=partial(_match, f"{name}/{name}"), help="OWNER/NAME")
    parser.add_argument("--revision", required=True, type=partial(_match, "[0-9a-f]{40}"), help="full commit hash")
    parser.add_argument("--directory", required=True, type=Path, help="folder of the weights")
    parser.add_argument("--progress-seconds", default=15.0, type=float, help="time between lines of progress")
    parser.add_argument("--retry-seconds", default=1.0, type=float, help="pause before the second attempt")
    return parser.parse_args(arguments)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run with the arguments of a command line and return the exit code."""
    # As the first process of a container, only signals with a handler arrive.
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, _end)
    options = _read_arguments(arguments)
    code = [1]
    # The main thread alone handles signals, so it does nothing that they cannot interrupt, such as resolving a name.
    worker = threading.Thread(target=lambda: code.__setitem__(0, _run(options)), daemon=True)
    worker.start()
    while worker.is_alive():
        # A signal that arrives just before the wait begins is handled at its end.
        worker.join(_SIGNAL_SECONDS)
    return code[0]


if __name__ == "__main__":
    # Streams of other files may be under way; the interpreter would wait for them.
    os._exit(main())
