"""Moves random bytes to the store and back with the adapter that the cache server would load, and compares them.

It runs as a process of its own, in the environment that the server would get, and is the one program here that imports
what the image brings: LMCache, and through it the client. That the same adapter moves the bytes makes it a proof for the
server; whether they went over RDMA, the caller reads from counters. It was run with LMCache's own S3 adapter over TCP; over
RDMA it has not been run yet (docs/unverified.md).

    python3 preflight_transfer.py --model TEXT --objects COUNT --bytes SIZE --seconds LIMIT --result FILE < ADAPTER

The adapter comes as JSON on the standard input. FILE gets one JSON object: {"stage": ..., "error": ...}, in which the
stage is `done` or the one that failed, and no error where all bytes came back.
"""

from __future__ import annotations

import argparse
import contextlib
import hashlib
import importlib
import json
import os
import resource
import select
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

_ALIGNMENT: Final = 4096
# Of the image. The helpers for buffers are those of LMCache's own benchmark, as their details differ between versions.
_MODULES: Final = (
    "torch",
    "lmcache.cli.commands.bench.l2_adapter_bench.data",
    "lmcache.v1.distributed.api",
    "lmcache.v1.distributed.l2_adapters",
    "lmcache.v1.distributed.l2_adapters.config",
)
_DONE: Final = "done"


class StageError(Exception):
    """Which stage failed, and why."""

    def __init__(self, stage: str, cause: str) -> None:
        super().__init__(cause)
        self.stage = stage


def transfer(description: dict[str, Any], model: str, objects: int, size: int, seconds: float) -> None:
    """Store, look up, load and compare.

    Raises:
        StageError: Something failed.
    """
    deadline = time.monotonic() + seconds
    with _stage("import"):
        torch, data, api, adapters, config = map(importlib.import_module, _MODULES)
    with _stage("build"):
        parsed = config.parse_args_to_l2_adapters_config(argparse.Namespace(l2_adapter=[json.dumps(description)]))
        total = objects * size
        buffer = data.make_aligned_tensor(2 * total, _ALIGNMENT)
        adapter = adapters.create_l2_adapter(
            parsed.adapters[0], l1_memory_desc=data.create_l1_memory_desc(buffer, align_bytes=_ALIGNMENT)
        )
    try:
        # Names hold a number that is drawn anew, so that no process finds what another one wrote.
        keys = data.make_object_keys(objects, model_name=model, key_offset=int.from_bytes(os.urandom(3), "big"))
        stored = data.make_memory_objects(buffer, objects, size, 0)
        loaded = data.make_memory_objects(buffer, objects, size, total)
        content = bytearray(os.urandom(total))
        buffer[:total] = torch.frombuffer(content, dtype=torch.uint8)
        buffer[total:] = 0
        with _stage("store"):
            task = adapter.submit_store_task(keys, stored)
            done = _wait(adapter.get_store_event_fd(), lambda: adapter.pop_completed_store_tasks().get(task), deadline)
            if not done.is_successful():
                raise RuntimeError("the client reports that it stored nothing")
        with _stage("lookup"):
            layout = {0: api.MemoryLayoutDesc(shapes=[], dtypes=[])}
            task = adapter.submit_lookup_and_lock_task(keys, layout)
            events = adapter.get_lookup_and_lock_event_fd()
            _count(_wait(events, lambda: adapter.query_lookup_and_lock_result(task), deadline), objects, "found")
        with _stage("load"):
            task = adapter.submit_load_task(keys, loaded)
            bitmap = _wait(adapter.get_load_event_fd(), lambda: adapter.query_load_result(task), deadline)
            _count(bitmap, objects, "loaded")
        with _stage("compare"):
            arrived = hashlib.sha256(buffer[total:].numpy().tobytes()).digest()
            if arrived != hashlib.sha256(content).digest():
                raise RuntimeError("the bytes that came back are not those that were stored")
        with contextlib.suppress(Exception):
            adapter.submit_unlock(keys)
            adapter.delete(keys)
    finally:
        with contextlib.suppress(Exception):
            adapter.close()


@contextlib.contextmanager
def _stage(name: str) -> Any:
    try:
        yield
    except Exception as error:  # - clients raise what they like
        raise StageError(name, f"{type(error).__name__}: {error}") from error


def _wait(events: int, query: Callable[[], Any], deadline: float) -> Any:
    """Return what a task came to, asked for at each event."""
    while (left := deadline - time.monotonic()) > 0:
        ready, _, _ = select.select([events], [], [], min(left, 1.0))
        if ready:
            os.read(events, 8)
        # Asked without an event as well: one event may stand for two tasks.
        if (found := query()) is not None:
            return found
    raise TimeoutError("no answer in time")


def _count(bitmap: Any, expected: int, what: str) -> None:
    if bitmap.popcount() != expected:
        raise RuntimeError(f"{bitmap.popcount()} of {expected} objects were {what}")


def main() -> int:
    """Run as the command line says; the exit code says nothing, the file does."""
    parser = argparse.ArgumentParser(description="Moves random bytes to an object store and back.")
    parser.add_argument("--model", required=True)
    parser.add_argument("--objects", required=True, type=int)
    parser.add_argument("--bytes", required=True, type=int)
    parser.add_argument("--seconds", required=True, type=float)
    parser.add_argument("--result", required=True, type=Path)
    options = parser.parse_args()
    # As far as the launcher lifts it for the server.
    _, hard = resource.getrlimit(resource.RLIMIT_MEMLOCK)
    resource.setrlimit(resource.RLIMIT_MEMLOCK, (hard, hard))
    result = {"stage": _DONE, "error": ""}
    try:
        transfer(json.load(sys.stdin), options.model, options.objects, options.bytes, options.seconds)
    except StageError as error:
        result = {"stage": error.stage, "error": str(error)}
    options.result.write_text(json.dumps(result), encoding="utf-8")
    return 0


if __name__ == "__main__":
    # Threads of clients may not end by themselves.
    code = main()
    sys.stdout.flush()
    os._exit(code)
