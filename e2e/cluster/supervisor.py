"""Hosts the processes of one cluster, so that none of them outlives the cluster, however its owner dies.

Run as `python supervisor.py FOLDER`; it needs the standard library only. The owner holds the other end of our standard input: at its end, which
the kernel brings about even after a SIGKILL, everything is stopped. A detached cluster has no owner and ends on request.
Every process gets PR_SET_PDEATHSIG, so a SIGKILL of the supervisor stops everything as well. Farewell commands remove what
lies outside this machine's processes; they run before the end, but not after a SIGKILL of the supervisor.
"""

import asyncio
import ctypes
import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Final

_PR_SET_PDEATHSIG: Final = 1
_STOP_SECONDS: Final = 4.0
_FAREWELL_SECONDS: Final = 60.0
_SLOTS: Final = 200
_SOCKET: Final = "control.sock"
_LIBC: Final = ctypes.CDLL(None, use_errno=True)


@dataclass
class ProcessSpec:
    """One process of the cluster.

    Attributes:
        essential: Whether the cluster ends when this process ends by itself.
    """

    name: str
    argv: list[str]
    env: dict[str, str] = field(default_factory=dict)
    essential: bool = False


class Supervisor:
    """Starts, signals, reaps."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._specs: dict[str, ProcessSpec] = {}
        self._processes: dict[str, subprocess.Popen[bytes]] = {}
        self._stopping: set[str] = set()
        self._farewells: list[list[str]] = []
        self._end = asyncio.Event()
        self._failure = ""
        self._detached = False
        self._slot, self._slot_lock = _take_slot()

    async def run(self) -> None:
        """Serve until the owner is gone, a request ends the cluster or an essential process dies."""
        path = self._folder / _SOCKET
        path.unlink(missing_ok=True)
        with _short_path(self._folder) as short:
            server = await asyncio.start_unix_server(self._serve, path=short)
        loop = asyncio.get_running_loop()
        loop.add_reader(sys.stdin.fileno(), self._owner_gone)
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._end.set)
        reaper = asyncio.create_task(self._reap())
        await self._end.wait()
        reaper.cancel()
        await self._stop_all()
        # Until here it answers: the owner of a detached cluster takes silence for the end of every process.
        server.close()
        path.unlink(missing_ok=True)
        self._slot_lock.close()

    def _owner_gone(self) -> None:
        if not os.read(sys.stdin.fileno(), 4096):
            asyncio.get_running_loop().remove_reader(sys.stdin.fileno())
            if not self._detached:
                self._end.set()

    async def _reap(self) -> None:
        while True:
            for name, process in self._processes.items():
                code = process.poll()
                if code is not None and self._specs[name].essential and name not in self._stopping:
                    self._failure = f"{name} ended with {code}; its log is {self._folder / 'logs' / name}.log"
                    (self._folder / "failure").write_text(self._failure)
                    self._end.set()
                    return
            await asyncio.sleep(0.1)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            request = json.loads(await reader.readline())
            answer = await self._answer(request)
        except (KeyError, ValueError, OSError) as error:
            answer = {"error": f"{type(error).__name__}: {error}"}
        writer.write(json.dumps(answer).encode() + b"\n")
        await writer.drain()
        writer.close()

    async def _answer(self, request: dict[str, Any]) -> dict[str, Any]:
        match request["op"]:
            case "start":
                return {"pid": self._start(ProcessSpec(**request["spec"]))}
            case "stop":
                await self._stop([request["name"]])
            case "signal":
                self._processes[request["name"]].send_signal(request["signal"])
            case "at-end":
                self._farewells.append(request["argv"])
            case "detach":
                self._detached = True
            case "shutdown":
                self._end.set()
            case "status":
                pass
            case other:
                raise ValueError(f"unknown request {other!r}")
        return {
            "slot": self._slot,
            "pid": os.getpid(),
            "failure": self._failure,
            "processes": {
                name: {"pid": process.pid, "code": process.poll()} for name, process in self._processes.items()
            },
        }

    def _start(self, spec: ProcessSpec) -> int:
        known = self._processes.get(spec.name)
        if known is not None and known.poll() is None:
            raise ValueError(f"{spec.name} runs already")
        logs = self._folder / "logs"
        logs.mkdir(exist_ok=True)
        parent = os.getpid()

        def die_with_parent() -> None:
            _LIBC.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
            if os.getppid() != parent:
                os._exit(1)

        with (logs / f"{spec.name}.log").open("ab") as log:
            process = subprocess.Popen(
                spec.argv,
                env=os.environ | spec.env,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                cwd=self._folder,
                preexec_fn=die_with_parent,  # noqa: PLW1509 - this process has one thread only
            )
        self._specs[spec.name] = spec
        self._processes[spec.name] = process
        self._stopping.discard(spec.name)
        return process.pid

    async def _stop(self, names: list[str]) -> None:
        self._stopping.update(names)
        running = [self._processes[name] for name in names if self._processes[name].poll() is None]
        for process in running:
            process.send_signal(signal.SIGCONT)
            process.terminate()
        try:
            async with asyncio.timeout(_STOP_SECONDS):
                while any(process.poll() is None for process in running):  # noqa: ASYNC110 - children are polled
                    await asyncio.sleep(0.02)
        except TimeoutError:
            for process in running:
                process.kill()
        for process in running:
            process.wait()

    async def _stop_all(self) -> None:
        # Guests go first, while the API server still answers them.
        await self._stop([name for name, spec in self._specs.items() if not spec.essential])
        for argv in reversed(self._farewells):
            await self._run(argv)
        # The rest has nothing to save.
        for name, process in self._processes.items():
            self._stopping.add(name)
            process.kill()
        for process in self._processes.values():
            process.wait()

    async def _run(self, argv: list[str]) -> None:
        with (self._folder / "logs" / "farewell.log").open("ab") as log:
            log.write(f"{argv}\n".encode())
            log.flush()
            try:
                process = await asyncio.create_subprocess_exec(*argv, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
                async with asyncio.timeout(_FAREWELL_SECONDS):
                    await process.wait()
            except TimeoutError:
                process.kill()
                await process.wait()
            except OSError as error:
                log.write(f"{error}\n".encode())


class Control:
    """The owner's side of the supervisor's socket."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    @property
    def alive(self) -> bool:
        """Whether the supervisor answers."""
        try:
            self.ask("status")
        except OSError:
            return False
        return True

    def ask(self, op: str, **request: Any) -> dict[str, Any]:
        """Send a request and return the answer.

        Raises:
            OSError: The supervisor is gone.
            RuntimeError: It refused the request.
        """
        with socket.socket(socket.AF_UNIX) as client:
            client.settimeout(_STOP_SECONDS * 4)
            with _short_path(self._folder) as path:
                client.connect(path)
            client.sendall(json.dumps({"op": op, **request}).encode() + b"\n")
            with client.makefile() as stream:
                answer: dict[str, Any] = json.loads(stream.readline() or "{}")
        if "error" in answer:
            raise RuntimeError(answer["error"])
        return answer

    def start(self, spec: ProcessSpec) -> int:
        """Start a process and return its pid."""
        pid: int = self.ask("start", spec=asdict(spec))["pid"]
        return pid


@contextmanager
def _short_path(folder: Path) -> Iterator[str]:
    """Yield a path of the socket that stays below the kernel's 108 characters, however long the folder's is."""
    descriptor = os.open(folder, os.O_PATH | os.O_DIRECTORY)
    try:
        yield f"/proc/self/fd/{descriptor}/{_SOCKET}"
    finally:
        os.close(descriptor)


def _take_slot() -> tuple[int, socket.socket]:
    """Return a number that no other cluster of this machine has; the kernel frees it with the process."""
    for slot in range(_SLOTS):
        lock = socket.socket(socket.AF_UNIX)
        try:
            lock.bind(f"\0inference-cache-operator-cluster-{slot}")
        except OSError:
            lock.close()
            continue
        return slot, lock
    raise OSError(f"all {_SLOTS} cluster slots of this machine are in use")


if __name__ == "__main__":
    asyncio.run(Supervisor(Path(sys.argv[1])).run())
