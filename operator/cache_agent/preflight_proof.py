"""Whether bytes go over RDMA: counters before and after a transfer, and what may be concluded from them.

The transfer alone proves nothing, as clients fall back to TCP without a word. Two witnesses must agree: no network
interface of the pod carried the bytes, and the RDMA ports did, in both directions. Port counters count in units of four
bytes, and on a port that pods share also what others move; so the port is watched for a while before, and a port that is
too busy to tell proves nothing.
"""

from __future__ import annotations

import json
import re
import secrets
import subprocess
import sys
import time
import urllib.parse
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from .node_tree import Tree
from .preflight_checks import Pin

PREFIX: Final = "inference-cache-preflight-"
"""Beginning of the names of what is written; keys of the cache begin with the path of the weights instead."""
OBJECTS: Final = 8
OBJECT_BYTES: Final = 8 * 2**20
_TOTAL: Final = OBJECTS * OBJECT_BYTES
_WORD: Final = 4
_WATCH_SECONDS: Final = 1.0
_OUTPUT_LIMIT: Final = 4000
PROGRAM: Final = Path(__file__).with_name("preflight_transfer.py")


@dataclass(frozen=True)
class Counts:
    """Bytes since some beginning; None for ports whose counters cannot be read."""

    rdma_out: int | None
    rdma_in: int | None
    net_out: int
    net_in: int


@dataclass(frozen=True)
class Trial:
    """What came of the transfer.

    Attributes:
        works: Whether the bytes came back as they were; None where it could not be tried.
        proven: Whether they went over RDMA.
        over_tcp: Whether a network interface carried them.
        detail: In words.
    """

    works: bool | None
    proven: bool
    over_tcp: bool
    detail: str


@dataclass(frozen=True)
class Run:
    """One run of the transfer program: its result, and the last of its output for the log."""

    result: Mapping[str, Any]
    output: str


Runner = Callable[[dict[str, Any], str, Mapping[str, str], float], Run]


def prove(
    tree: Tree,
    pins: tuple[Pin, ...],
    adapter: dict[str, Any],
    model: str,
    environment: Mapping[str, str],
    seconds: float,
    run: Runner,
    pause: Callable[[float], None] = time.sleep,
) -> tuple[Trial, str]:
    """Return what a transfer came to, and the program's output.

    Args:
        tree: The machine.
        pins: The ports that should carry it.
        adapter: Configuration of the adapter.
        model: Text that the names of the objects begin with.
        environment: Variables of the cache server.
        seconds: How long it may take.
        run: Runs the transfer program.
        pause: Waits.
    """
    idle, began = count(tree, pins), time.monotonic()
    pause(_WATCH_SECONDS)
    before, start = count(tree, pins), time.monotonic()
    done = run(adapter, model, environment, seconds - (start - began))
    after, end = count(tree, pins), time.monotonic()
    stage = done.result.get("stage")
    if stage == "import":
        return Trial(None, False, False, f"the client cannot be tried: {done.result.get('error')}"), done.output
    if stage != "done":
        return Trial(False, False, False, f"the transfer failed ({stage}): {done.result.get('error')}"), done.output
    ratio = (end - start) / max(start - began, 0.001)
    return judge(subtract(before, idle), subtract(after, before), ratio), done.output


def judge(idle: Counts, moved: Counts, ratio: float) -> Trial:
    """Return what the counters of a transfer whose bytes came back say.

    Args:
        idle: What moved while the ports were watched.
        moved: What moved while the transfer ran.
        ratio: How much longer than the watch the transfer took.
    """
    if max(moved.net_out, moved.net_in) >= _TOTAL // 2:
        seen = f"{moved.net_out} bytes out and {moved.net_in} in"
        return Trial(True, False, True, f"the client moved its bytes over the pod's network interfaces ({seen})")
    if moved.rdma_out is None or moved.rdma_in is None or idle.rdma_out is None or idle.rdma_in is None:
        return Trial(True, False, False, "bytes came back, and the counters of the port cannot be read")
    noise = (idle.rdma_out * ratio, idle.rdma_in * ratio)
    if max(noise) > _TOTAL / 4:
        return Trial(True, False, False, "bytes came back, and the port is too busy with other traffic to tell the way")
    seen = f"{moved.rdma_out} bytes out and {moved.rdma_in} in"
    if min(moved.rdma_out - noise[0], moved.rdma_in - noise[1]) >= _TOTAL:
        return Trial(True, True, False, f"{_TOTAL} bytes went both ways, the RDMA ports counted {seen}")
    return Trial(True, False, False, f"{_TOTAL} bytes went both ways, and the RDMA ports counted only {seen}")


def count(tree: Tree, pins: tuple[Pin, ...]) -> Counts:
    """Return what ports and network interfaces have counted."""
    ports = sorted({(pin.device.name, pin.port.facts.number) for pin in pins})
    folders = [f"sys/class/infiniband/{device}/ports/{number}/counters" for device, number in ports]
    sums: list[int | None] = []
    for name in ("port_xmit_data", "port_rcv_data"):
        values = [tree.read_number(f"{folder}/{name}", 0, 2**64) for folder in folders]
        known = [value for value in values if value is not None]
        sums.append(_WORD * sum(known) if known and len(known) == len(values) else None)
    out, into = 0, 0
    for line in (tree.read("proc/net/dev") or "").splitlines():
        fields = line.partition(":")[2].split()
        # Received bytes are the first field, sent ones the ninth.
        if len(fields) >= 16 and fields[0].isdecimal() and fields[8].isdecimal():
            into, out = into + int(fields[0]), out + int(fields[8])
    return Counts(sums[0], sums[1], out, into)


def subtract(after: Counts, before: Counts) -> Counts:
    """Return what moved in between."""
    pairs = ((after.rdma_out, before.rdma_out), (after.rdma_in, before.rdma_in))
    out, into = (None if one is None or other is None else one - other for one, other in pairs)
    return Counts(out, into, after.net_out - before.net_out, after.net_in - before.net_in)


def draw_model() -> str:
    """Return a text that no other preflight and no engine uses."""
    return PREFIX + secrets.token_hex(8)


class TransferProcess:
    """Runs the transfer program as a process of its own, and can end it from a signal handler.

    Args:
        folder: Where the program leaves its result.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._process: subprocess.Popen[bytes] | None = None

    def run(self, adapter: dict[str, Any], model: str, environment: Mapping[str, str], seconds: float) -> Run:
        """Run it to its end, or to the end of its time."""
        result = self._folder / "transfer.json"
        result.unlink(missing_ok=True)
        command = [sys.executable, str(PROGRAM), f"--model={model}", f"--objects={OBJECTS}", f"--bytes={OBJECT_BYTES}"]
        command += [f"--seconds={max(seconds - 2, 1)}", f"--result={result}"]
        # Neither the working directory nor a variable of ours leads it to other modules than those of the server.
        self._process = subprocess.Popen(  # noqa: S603 - of this package
            command,
            cwd="/",
            env=dict(environment),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        )
        try:
            output, _ = self._process.communicate(json.dumps(adapter).encode(), timeout=max(seconds, 1))
        except subprocess.TimeoutExpired:
            self.end()
            output, _ = self._process.communicate()
            return Run({"stage": "wait", "error": f"no end within {seconds:.0f} s"}, _cut(output, environment))
        try:
            content = json.loads(result.read_bytes())
        except (OSError, ValueError):
            content = {"stage": "crash", "error": f"exit code {self._process.returncode}"}
        result.unlink(missing_ok=True)
        return Run(content if isinstance(content, dict) else {}, _cut(output, environment))

    def end(self) -> None:
        """Kill it, if it runs."""
        if self._process is not None and self._process.poll() is None:
            self._process.kill()


def _cut(output: bytes, environment: Mapping[str, str]) -> str:
    # Half a key that a cut leaves is not found any more.
    return blot(output.decode("utf-8", "replace"), environment)[-_OUTPUT_LIMIT:]


def blot(text: str, environment: Mapping[str, str]) -> str:
    """Return a text without the values of variables that hold keys, whoever quotes them: plain, in a URL or in JSON."""
    found = {
        form: name
        for name in ("AWS_ACCESS_KEY_ID", "AWS_SESSION_TOKEN", "AWS_SECRET_ACCESS_KEY")
        if (value := environment.get(name, "").strip())
        for form in _list_forms(value)
    }
    if not found:
        return text
    # In one pass and the longest first: a key may be part of another, or of the words that take its place.
    pattern = "|".join(map(re.escape, sorted(found, key=len, reverse=True)))
    return re.sub(pattern, lambda match: f"({found[match[0]]})", text)


def _list_forms(value: str) -> set[str]:
    quoted = {urllib.parse.quote(value), urllib.parse.quote(value, safe=""), urllib.parse.quote_plus(value)}
    lower = {re.sub("%[0-9A-F]{2}", lambda match: match[0].lower(), form) for form in quoted}
    escaped = {json.dumps(value)[1:-1], json.dumps(value, ensure_ascii=False)[1:-1]}
    return {value, *quoted, *lower, *escaped, *(form.replace("/", "\\/") for form in escaped)}
