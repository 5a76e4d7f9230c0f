"""Chooses the transport of one pod, before its cache server starts.

    python3 -m cache_agent.preflight --config FILE --run-directory FOLDER

Decided here: what may take how long, what an unforeseen error means, and what the exit code says. The operator puts this
package into a ConfigMap and runs it in an init container with image, user, rights and devices of the cache server. It
writes l2-adapter.json and environment.json for the launcher, and a JSON object of at most 2048 bytes as the container's
termination message. Exit codes: 0 the server may start, 1 it must not, 2 wrong arguments, 130 or 143 ended by a signal.

RDMA that is not required never holds a pod: whatever fails, it goes on over TCP. RDMA that is required is never replaced:
whatever fails, the pod does not start, and the kubelet tries again with back-off.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import signal
import sys
import threading
import time
import traceback
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Final, NoReturn

from .node_tree import Tree
from .preflight_checks import Examination, examine
from .preflight_config import Adapter, Config, ConfigError, Fallback, find_fallback, parse_config, read_config
from .preflight_decision import Decision, decide, describe_faults, fall_back, list_addresses, list_settings
from .preflight_machine import AddressReader, Sight, ask_address, look
from .preflight_output import (
    build_message,
    describe_devices,
    describe_interfaces,
    read_limit,
    remove_choice,
    write_choice,
    write_cuobject,
)
from .preflight_proof import TransferProcess, Trial, blot, draw_model, prove
from .preflight_store import StoreError, find_keys, remove_objects

SECONDS: Final = 120.0
"""How long everything may take; loading the client's libraries takes most of it on a node that has not read them yet."""
# Deleting, writing and reporting.
_RESERVE_SECONDS: Final = 15.0
# Of these, what deleting may take.
_REMOVE_SECONDS: Final = 10.0
_SIGNAL_SECONDS: Final = 0.2
_MESSAGE: Final = Path("/dev/termination-log")


@dataclass
class Preflight:
    """One run.

    Attributes:
        config: File with the configuration.
        folder: Where the choice goes.
        root: Folder that holds sys, proc and dev: / but in tests.
        message: Where the termination message goes.
        seconds: How long everything may take.
        environment: Variables of the container.
        read_address: Gives the address of an interface.
        fallback: What to do where nothing else is known yet.
        decision: What was decided.
        sight: What was seen.
        examination: What was found.
    """

    config: Path
    folder: Path
    root: Path = Path("/")
    message: Path = _MESSAGE
    seconds: float = SECONDS
    environment: Mapping[str, str] = field(default_factory=lambda: dict(os.environ))
    read_address: AddressReader = ask_address
    fallback: Fallback = field(default_factory=Fallback)
    decision: Decision | None = None
    sight: Sight | None = None
    examination: Examination = field(default_factory=lambda: Examination((), (), ()))

    def __post_init__(self) -> None:
        self._began = time.monotonic()
        self.process = TransferProcess(self.folder)
        self._tried: tuple[Config, str] | None = None

    def run(self) -> None:
        """Find out and decide; any error is a decision too."""
        try:
            self.decision = self._decide()
        except ConfigError as error:
            self._give_up(str(error), "Look whether operator and pod are of one version, and delete the pod.")
        except Exception as error:  # noqa: BLE001 - whatever it is, the policy says what to do without RDMA
            self.say(traceback.format_exc())
            self._give_up(f"{type(error).__name__}, a fault of the preflight", "Report it with this log.")
        if self._tried is not None:
            self._clean_up(*self._tried)

    def _decide(self) -> Decision:
        remove_choice(self.folder)
        content = read_config(self.config)
        self.fallback = find_fallback(content)
        config = parse_config(content)
        self.sight = look(self.root, self.environment, config.resource, config.networks, self.read_address)
        self.examination = examine(config, self.sight, self.environment)
        for line in [*self.sight.problems, *describe_faults(self.examination)]:
            self.say(line)
        if self.examination.faults or config.rdma is None:
            return decide(config, self.examination, None, {})
        variables = list_settings(self.examination.pins)
        if addresses := list_addresses(self.examination.pins):
            variables["CUFILE_ENV_PATH_JSON"] = str(write_cuobject(self.folder, addresses))
        return decide(config, self.examination, self._try(config, config.rdma, variables), variables)

    def _try(self, config: Config, adapter: Adapter, variables: Mapping[str, str]) -> Trial:
        """Try the client."""
        model = draw_model()
        self._tried = (config, model)
        left = self._began + self.seconds - _RESERVE_SECONDS - time.monotonic()
        environment = {**self.environment, **variables}
        trial, output = prove(
            Tree(self.root), self.examination.pins, adapter, model, environment, left, self.process.run
        )
        if not trial.works:
            self.say(f"the client's output ends with:\n{output}")
        self.say(trial.detail)
        return trial

    def _clean_up(self, config: Config, model: str) -> None:
        """Take away what the trial wrote; what was decided before stands, however long that takes."""
        left = self._began + self.seconds - _SIGNAL_SECONDS - time.monotonic()
        # A resolver or a store that answers byte by byte keeps to no timeout.
        worker = threading.Thread(target=self._remove, args=(config, model), daemon=True)
        worker.start()
        worker.join(max(0.0, min(_REMOVE_SECONDS, left)))
        if worker.is_alive():
            self.say(f"objects whose names begin with {model} may be left in the bucket: deleting takes too long")

    def _remove(self, config: Config, model: str) -> None:
        keys = find_keys(self.environment)
        if config.store is None or keys is None:
            return
        try:
            count = remove_objects(config.store, keys, model, _REMOVE_SECONDS)
            self.say(f"{count} objects of the trial were deleted from the bucket")
        except Exception as error:  # noqa: BLE001 - litter in the bucket is no reason to lose a proof
            cause = str(error) if isinstance(error, StoreError) else type(error).__name__
            self.say(f"objects whose names begin with {model} may be left in the bucket: {cause}")

    def _give_up(self, detail: str, remedy: str) -> None:
        self.decision = fall_back(self.fallback, "PreflightFailed", detail, remedy)

    def finish(self) -> int:
        """Write what was decided and return the exit code; past the time, what the policy says without RDMA."""
        if self.decision is None:
            self.process.end()
            self._give_up(
                f"no verdict within {self.seconds:.0f} s", "Read this log; the RDMA stack of the node may hang."
            )
        decision = self.decision
        if decision is None:
            raise RuntimeError("giving up is a decision")
        devices = describe_devices(self.examination.pins, self.sight) if self.sight else []
        interfaces = describe_interfaces(self.sight) if self.sight else []
        memlock = read_limit(self.sight.memory) if self.sight else None
        if decision.starts:
            write_choice(self.folder, decision)
        # Without a message the operator does not know the transport, and everything else goes on.
        with contextlib.suppress(OSError):
            self.message.write_text(self._build_message(decision, devices, interfaces, memlock), encoding="utf-8")
        for line in [*devices, *interfaces, *_summarize(decision)]:
            self.say(line)
        return 0 if decision.starts else 1

    def _build_message(self, decision: Decision, devices: list[str], interfaces: list[str], memlock: int | None) -> str:
        """Return the termination message without keys: it goes on to the pod's status, and clients quote what they like."""

        def clean(text: str) -> str:
            return blot(text, self.environment)

        told = replace(decision, detail=clean(decision.detail), remedy=clean(decision.remedy))
        return build_message(told, [clean(line) for line in devices], [clean(line) for line in interfaces], memlock)

    def say(self, text: str) -> None:
        """Write lines to the log, without keys."""
        print(f"{blot(text.rstrip(), self.environment)}\n", end="", flush=True)


def _summarize(decision: Decision) -> list[str]:
    """Return the last lines of the log; the very last one is what the user can do, where there is something."""
    missing = f"{decision.reason}: {decision.detail}" if decision.reason else decision.detail
    if not decision.starts:
        return [f"not started: {missing}", decision.remedy]
    transport = {"None": "no object store"}.get(decision.transport, decision.transport)
    return [f"{transport}, evidence {decision.evidence}: {missing}", *([decision.remedy] if decision.remedy else [])]


def _read_arguments(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Chooses the transport of one pod.")
    parser.add_argument("--config", required=True, type=Path, help="transport.json")
    parser.add_argument("--run-directory", required=True, type=Path, help="folder for the choice")
    parser.add_argument("--root", default=Path("/"), type=Path, help="folder with sys, proc and dev")
    parser.add_argument("--message", default=_MESSAGE, type=Path, help="file for the termination message")
    parser.add_argument("--seconds", default=SECONDS, type=float, help="time for everything")
    parser.add_argument("--address", default=[], action="append", help="INTERFACE=ADDRESS instead of the kernel's")
    return parser.parse_args(arguments)


def _build(options: argparse.Namespace) -> Preflight:
    given = dict(item.partition("=")[::2] for item in options.address)
    reader: AddressReader = (lambda name: given.get(name, "")) if given else ask_address
    return Preflight(
        options.config,
        options.run_directory,
        options.root,
        options.message,
        options.seconds,
        read_address=reader,
    )


def main(arguments: Sequence[str] | None = None) -> int:
    """Run with the arguments of a command line and return the exit code."""
    preflight = _build(_read_arguments(arguments))

    def end(number: int, _frame: object) -> NoReturn:
        # What the trial has written stays in the bucket: it can be told by its name, and nobody waits for it.
        preflight.process.end()
        os._exit(128 + number)

    # As the first process of a container, only signals with a handler arrive.
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, end)
    # A file of /sys whose driver hangs cannot be interrupted, so the thread that reads is not the one that decides.
    worker = threading.Thread(target=preflight.run, daemon=True)
    deadline = time.monotonic() + preflight.seconds
    worker.start()
    while worker.is_alive() and time.monotonic() < deadline:
        # A signal that arrives just before the wait begins is handled at its end.
        worker.join(_SIGNAL_SECONDS)
    try:
        return preflight.finish()
    except OSError as error:
        preflight.say(f"the choice cannot be written: {error.strerror}: the volume of {preflight.folder} is broken")
        return 1


if __name__ == "__main__":
    # A thread that hangs would keep the interpreter from ending.
    code = main()
    sys.stdout.flush()
    os._exit(code)
