"""Runs the operator and measures how long single callbacks hold its event loop: `python -m e2e.loop_watch FILE`.

The operator's own metric samples the delay of the loop twice a second, so it misses most short blocks; here each callback
of the main loop is timed. FILE gets the longest ones as JSON when they are asked for by SIGUSR1, and at the end.

With `idle` after FILE, no operator runs but a process that computes for some milliseconds now and then: what holds that one
up is the machine.
"""

import asyncio
import heapq
import json
import signal
import sys
import threading
import time
from pathlib import Path
from typing import Any, Final

_KEPT: Final = 20
_LEAST_SECONDS: Final = 0.002
_IDLE_WORK: Final = 40_000
_IDLE_PAUSE_SECONDS: Final = 0.05


class LoopWatch:
    """The longest callbacks so far.

    Wall time counts what the machine took away as well. CPU time is that of the whole process, so it holds what another
    thread did meanwhile, too.
    """

    def __init__(self, target: Path) -> None:
        self._target = target
        self._began = time.monotonic()
        self._longest: list[tuple[float, float, float, str]] = []
        self._most_cpu = 0.0

    def install(self) -> None:
        """Time every callback of the main thread's loop from now on."""
        run: Any = asyncio.Handle._run  # noqa: SLF001 - there is no public hook that costs so little
        main_thread = threading.main_thread()

        def timed(handle: Any) -> None:
            if threading.current_thread() is not main_thread:
                run(handle)
                return
            began, cpu = time.perf_counter(), time.process_time()
            run(handle)
            took = time.perf_counter() - began
            if took > _LEAST_SECONDS:
                self.note(took, time.process_time() - cpu, _describe(handle))

        asyncio.Handle._run = timed  # type: ignore[method-assign, assignment]  # noqa: SLF001 - see above

    def note(self, took: float, cpu: float, what: str) -> None:
        """Take in one callback."""
        self._most_cpu = max(self._most_cpu, cpu)
        entry = (took, cpu, time.monotonic() - self._began, what)
        if len(self._longest) < _KEPT:
            heapq.heappush(self._longest, entry)
        else:
            heapq.heappushpop(self._longest, entry)

    def write(self) -> None:
        """Write what was measured, and begin anew."""
        rows = sorted(self._longest, reverse=True)
        found = {
            "longest": [
                {"wall_ms": took * 1000, "cpu_ms": cpu * 1000, "at_s": at, "what": what} for took, cpu, at, what in rows
            ],
            "most_cpu_ms": self._most_cpu * 1000,
        }
        part = self._target.with_suffix(".part")
        part.write_text(json.dumps(found), encoding="utf-8")
        part.rename(self._target)
        self._longest, self._most_cpu = [], 0.0


def _describe(handle: Any) -> str:
    callback = handle._callback  # noqa: SLF001 - for the report only
    task = getattr(callback, "__self__", None)
    return (task.get_name() if isinstance(task, asyncio.Task) else repr(callback))[:100]


def idle(watch: LoopWatch) -> None:
    """Compute now and then, and note how long it took, until ended."""
    while True:
        began, cpu = time.perf_counter(), time.process_time()
        sum(range(_IDLE_WORK))
        watch.note(time.perf_counter() - began, time.process_time() - cpu, "idle")
        time.sleep(_IDLE_PAUSE_SECONDS)


def main() -> None:
    """Run the operator, or the idle process."""
    watch = LoopWatch(Path(sys.argv[1]))
    signal.signal(signal.SIGUSR1, lambda *_: watch.write())
    if sys.argv[2:] == ["idle"]:
        idle(watch)
    watch.install()
    from inference_cache.__main__ import main as run  # noqa: PLC0415 - the idle process stays small

    try:
        run()
    finally:
        watch.write()


if __name__ == "__main__":
    main()
