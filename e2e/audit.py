"""The API server's audit log as an independent witness of calls: what arrived, whoever claims what.

Each call counts once: a watch when its answer begins, everything else when it is answered. The log is batched by the
API server, so ``settle`` comes before any count that must be complete. Rotated files next to the log are read too.
"""

import json
import os
import time
import uuid
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

WRITE_VERBS = frozenset({"create", "update", "patch", "delete", "deletecollection"})
"""Verbs that may change something; server-side apply is ``patch`` in the audit log."""

_POLL_S = 0.02


class AuditLogError(Exception):
    """A line is no audit event, what a mark points at is gone, or the log did not catch up."""


@dataclass(frozen=True, kw_only=True, slots=True)
class AuditCall:
    """One call; empty strings where something does not apply, such as a resource for ``/readyz``.

    Times have a zone and microseconds. ``time_done`` of a watch is the moment its answer began.
    """

    time_received: datetime
    time_done: datetime
    user: str
    user_agent: str
    verb: str
    group: str
    resource: str
    subresource: str
    namespace: str
    name: str
    code: int
    request_uri: str

    @property
    def is_write(self) -> bool:
        """Whether the call may have changed something, had it succeeded."""
        return self.verb in WRITE_VERBS

    @property
    def seconds(self) -> float:
        """How long the API server took, in seconds."""
        return (self.time_done - self.time_received).total_seconds()


@dataclass(frozen=True, slots=True)
class Mark:
    """A place in the log: a file, which keeps its inode when it is rotated, and an offset in bytes.

    Inode 0 stands for the beginning of a log that had not been written yet.
    """

    inode: int
    offset: int


class AuditLog:
    """Reader of one API server's audit log, which need not exist yet."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def mark(self) -> Mark:
        """Return the present end of the log; settle first where earlier calls must lie before it."""
        try:
            with self.path.open("rb") as file:
                inode = os.fstat(file.fileno()).st_ino  # of the open file: the path may be rotated meanwhile
                data_end = file.seek(0, 2)
                # The end of the last complete line: the API server may be in the middle of the next.
                step = 64 * 1024
                position = data_end
                while position > 0:
                    start = max(0, position - step)
                    file.seek(start)
                    newline = file.read(position - start).rfind(b"\n")
                    if newline >= 0:
                        return Mark(inode, start + newline + 1)
                    position = start
                return Mark(inode, 0)
        except FileNotFoundError:
            return Mark(0, 0)

    def since(self, mark: Mark | None = None) -> list[AuditCall]:
        """Return the calls written after a mark (None: all that is kept), in the order of the log.

        Raises:
            AuditLogError: the file that the mark points into was removed, or a line is no audit event.
        """
        return list(self.follow(mark))

    def follow(self, mark: Mark | None = None) -> Iterator[AuditCall]:
        """Yield what ``since`` returns without holding it all in memory."""
        for line in self._lines(mark):
            call = parse_call(line)
            if call is not None:
                yield call

    def settle(self, probe: Callable[[str], object] | None = None, *, timeout_s: float = 30.0) -> Mark:
        """Wait until the log holds every call answered before, and return the mark behind them.

        Args:
            probe: Makes one call with the given word in its URI, as a user whose calls are logged, for example
                ``lambda word: cluster.kubectl("get", "--raw", f"/version?{word}")``. Without one, the log counts as
                settled when it has not grown for a second, which a busy cluster may never grant.
            timeout_s: How long to wait.

        Raises:
            AuditLogError: the log did not catch up in that time.
        """
        deadline = time.monotonic() + timeout_s
        before = self.mark()
        if probe is None:
            return self._wait_quiet(deadline)
        word = f"audit-settle-{uuid.uuid4().hex}"
        probe(word)
        needle = word.encode()
        while True:
            reached = self.mark()
            if any(needle in line for line in self._lines(before)):
                return self.mark()
            if time.monotonic() > deadline:
                raise AuditLogError(
                    f"{self.path}: the probing call did not arrive in {timeout_s} s; is its user logged?"
                )
            # The probe was not up to there; lines are complete at marks, so the search can go on behind.
            before = reached
            time.sleep(_POLL_S)

    def _wait_quiet(self, deadline: float) -> Mark:
        mark, since = self.mark(), time.monotonic()
        while time.monotonic() - since < 1.0:
            if time.monotonic() > deadline:
                raise AuditLogError(f"{self.path}: still growing at the deadline")
            time.sleep(_POLL_S)
            reached = self.mark()
            if reached != mark:
                mark, since = reached, time.monotonic()
        return mark

    def _lines(self, mark: Mark | None) -> Iterator[bytes]:
        """Yield the complete lines after a mark, through rotations."""
        files = self._files()
        offset = 0
        if mark is not None and mark.inode:
            inodes = [path.stat().st_ino for path in files]
            if mark.inode not in inodes:
                raise AuditLogError(f"{self.path}: the file of the mark was removed")
            files = files[inodes.index(mark.inode) :]
            offset = mark.offset
        for path in files:
            with path.open("rb") as file:
                file.seek(offset)
                for line in file:
                    if line.endswith(b"\n"):
                        yield line
            offset = 0

    def _files(self) -> list[Path]:
        """Return the log's files, oldest first: the API server rotates ``audit.log`` to ``audit-<time>.log``."""
        rotated = sorted(self.path.parent.glob(f"{self.path.stem}-*{self.path.suffix}"))
        return [*rotated, self.path] if self.path.exists() else rotated


def parse_call(line: bytes) -> AuditCall | None:
    """Read one line of the log; None for a stage that does not count (see the module).

    Raises:
        AuditLogError: the line is no ``audit.k8s.io/v1`` event.
    """
    try:
        event: dict[str, Any] = json.loads(line)
        verb = event["verb"]
        counting = {"ResponseStarted"} if verb == "watch" else {"ResponseComplete", "Panic"}
        if event["stage"] not in counting:
            return None
        about = event.get("objectRef") or {}
        return AuditCall(
            time_received=datetime.fromisoformat(event["requestReceivedTimestamp"]),
            time_done=datetime.fromisoformat(event["stageTimestamp"]),
            user=event["user"]["username"],
            user_agent=event.get("userAgent", ""),
            verb=verb,
            group=about.get("apiGroup", ""),
            resource=about.get("resource", ""),
            subresource=about.get("subresource", ""),
            namespace=about.get("namespace", ""),
            name=about.get("name", ""),
            code=(event.get("responseStatus") or {}).get("code", 0),
            request_uri=event["requestURI"],
        )
    except (ValueError, KeyError, TypeError, AttributeError) as exc:
        raise AuditLogError(f"no audit event: {line[:200]!r}") from exc


def select_calls(
    calls: Iterable[AuditCall],
    *,
    user: str | None = None,
    user_agent: str | None = None,
    verbs: Collection[str] | None = None,
    writes: bool | None = None,
    group: str | None = None,
    resource: str | None = None,
    subresource: str | None = None,
    namespace: str | None = None,
    name: str | None = None,
) -> list[AuditCall]:
    """Return the calls that agree with everything given; ``user_agent`` is a substring, the rest is exact.

    ``writes`` True keeps only calls that may change something, False only the others.
    """
    exact = {"user": user, "group": group, "resource": resource, "subresource": subresource}
    exact |= {"namespace": namespace, "name": name}
    wanted = {key: value for key, value in exact.items() if value is not None}
    return [
        call
        for call in calls
        if all(getattr(call, key) == value for key, value in wanted.items())
        and (user_agent is None or user_agent in call.user_agent)
        and (verbs is None or call.verb in verbs)
        and (writes is None or call.is_write == writes)
    ]


def count_by_kind(calls: Iterable[AuditCall]) -> Counter[tuple[str, str]]:
    """Count calls per verb and resource; a subresource is written ``resource/subresource``."""
    return Counter(
        (call.verb, f"{call.resource}/{call.subresource}" if call.subresource else call.resource) for call in calls
    )


def describe_counts(calls: Iterable[AuditCall]) -> str:
    """Return the counts as lines for a report or an assertion's message, most frequent first."""
    counts = count_by_kind(calls).most_common()
    return "\n".join(f"{count:6d} {verb} {resource or '(no resource)'}" for (verb, resource), count in counts)
