"""Stand-in for an adapter. IMAGE_BEHAVIOUR says what goes wrong; IMAGE_ROOT is the tree whose counters move.

A behaviour is one word: `rdma` moves the ports' counters, `tcp` those of the interfaces, `still` none; the others fail.
"""

import os
import signal
import sys
import time
from pathlib import Path
from typing import Any

_EVENTS = {"store": os.eventfd(0), "lookup": os.eventfd(0), "load": os.eventfd(0)}


class _Result(int):
    def is_successful(self) -> bool:
        return self >= 0


class _Bitmap:
    def __init__(self, count: int) -> None:
        self.count = count

    def popcount(self) -> int:
        return self.count


class Adapter:
    """Keeps objects in memory."""

    def __init__(self, behaviour: str, root: Path) -> None:
        self.behaviour, self.root = behaviour, root
        self.kept: dict[str, bytes] = {}
        self.results: dict[str, Any] = {}

    def get_store_event_fd(self) -> int:
        """Return the events of stores."""
        return _EVENTS["store"]

    def get_lookup_and_lock_event_fd(self) -> int:
        """Return the events of look-ups."""
        return _EVENTS["lookup"]

    def get_load_event_fd(self) -> int:
        """Return the events of loads."""
        return _EVENTS["load"]

    def submit_store_task(self, keys: list[Any], objects: list[Any]) -> int:
        """Store."""
        if self.behaviour == "hangs":
            time.sleep(3600)
        self.kept = {str(key): bytes(item.memory) for key, item in zip(keys, objects, strict=True)}
        self._move("port_xmit_data", 9)
        return self._finish("store", _Result(-1 if self.behaviour == "refuses" else 1))

    def pop_completed_store_tasks(self) -> dict[int, Any]:
        """Return finished stores."""
        return {1: self.results.pop("store")} if "store" in self.results else {}

    def submit_lookup_and_lock_task(self, keys: list[Any], _layouts: dict[int, Any]) -> int:
        """Look up."""
        found = sum(str(key) in self.kept for key in keys)
        return self._finish("lookup", _Bitmap(found - (self.behaviour == "forgets")))

    def query_lookup_and_lock_result(self, _task: int) -> Any:
        """Return a finished look-up."""
        return self.results.pop("lookup", None)

    def submit_load_task(self, keys: list[Any], objects: list[Any]) -> int:
        """Load."""
        for key, item in zip(keys, objects, strict=True):
            item.memory[:] = self.kept[str(key)]
        if self.behaviour == "corrupts":
            objects[-1].memory[-1] ^= 1
        self._move("port_rcv_data", 1)
        return self._finish("load", _Bitmap(len(keys)))

    def query_load_result(self, _task: int) -> Any:
        """Return a finished load."""
        return self.results.pop("load", None)

    def submit_unlock(self, _keys: list[Any]) -> None:
        """Unlock."""

    def delete(self, _keys: list[Any]) -> None:
        """Cannot, as NIXL."""
        raise NotImplementedError

    def close(self) -> None:
        """End."""

    def _finish(self, kind: str, result: Any) -> int:
        self.results[kind] = result
        os.eventfd_write(_EVENTS[kind], 1)
        return 1

    def _move(self, counter: str, field: int) -> None:
        size = sum(map(len, self.kept.values()))
        if self.behaviour == "rdma":
            (path,) = self.root.glob(f"sys/class/infiniband/mlx5_2/ports/1/counters/{counter}")
            moved = int(path.read_text(encoding="utf-8")) + size // 4
            path.write_text(f"{moved}\n", encoding="utf-8")
        if self.behaviour == "tcp":
            path = self.root / "proc/net/dev"
            head, _, row = path.read_text(encoding="utf-8").rstrip().rpartition("\n")
            name, _, numbers = row.partition(":")
            fields = numbers.split()
            fields[field - 1] = str(int(fields[field - 1]) + size)
            path.write_text(f"{head}\n{name}: {' '.join(fields)}", encoding="utf-8")


def create_l2_adapter(_description: dict[str, Any], l1_memory_desc: tuple[int, int]) -> Adapter:
    """Return an adapter."""
    behaviour = os.environ["IMAGE_BEHAVIOUR"]
    sys.stderr.write(f"client with {os.environ.get('AWS_SECRET_ACCESS_KEY')}\n")
    assert l1_memory_desc[0] > 0
    if behaviour == "breaks":
        raise RuntimeError("Dell ObjectScale Engine support not available!")
    if behaviour == "crashes":
        os.kill(os.getpid(), signal.SIGSEGV)
    return Adapter(behaviour, Path(os.environ["IMAGE_ROOT"]))
