"""What a preflight leaves behind: the choice for the launcher, the message for the operator, and lines for people.

Files appear as a whole or not at all: a container may be killed at any moment. None of them holds a key.
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any, Final

from .preflight_checks import Pin
from .preflight_decision import Decision
from .preflight_machine import Memory, Sight

VERSION: Final = 1
MESSAGE_BYTES: Final = 2048
_DETAIL: Final = 700
_LINE: Final = 100
_LINES: Final = 8
CHOICE: Final = "l2-adapter.json"
ENVIRONMENT: Final = "environment.json"
CUOBJECT: Final = "cuobject.json"


def write_choice(folder: Path, decision: Decision) -> None:
    """Write what the launcher reads: the environment first, so that a choice is never there without it."""
    write_file(folder / ENVIRONMENT, {"version": VERSION, "variables": dict(decision.variables)})
    content = {"version": VERSION, "transport": decision.transport, "adapter": decision.adapter}
    write_file(folder / CHOICE, content)


def remove_choice(folder: Path) -> None:
    """Take away what an earlier run of the pod has chosen: a pod that was moved by nobody may still have lost its devices."""
    for name in (CHOICE, ENVIRONMENT, CUOBJECT):
        (folder / name).unlink(missing_ok=True)


def write_cuobject(folder: Path, addresses: list[str]) -> Path:
    """Write the file that CUFILE_ENV_PATH_JSON names and return its path; cuObject reads the client's addresses there."""
    path = folder / CUOBJECT
    write_file(path, {"properties": {"rdma_dev_addr_list": addresses}})
    return path


def write_file(path: Path, content: Any) -> None:
    """Write a file so that it appears as a whole."""
    draft = path.with_name(f".{path.name}.draft")
    with draft.open("w", encoding="utf-8") as stream:
        json.dump(content, stream, sort_keys=True)
        stream.flush()
        os.fsync(stream.fileno())
    draft.replace(path)


def describe_devices(pins: tuple[Pin, ...], sight: Sight) -> list[str]:
    """Return one line for each port that carries traffic; without one, for each device that can be opened."""
    found = [(pin.device.name, pin.port.facts) for pin in pins]
    found = found or [(device.name, port.facts) for device in sight.devices for port in device.ports]
    lines = []
    for name, facts in found:
        rate = f" {facts.rate_gbps} Gb/s" if facts.rate_gbps is not None else ""
        lines.append(f"{name} {facts.state or 'unknown'} {facts.link_layer or 'unknown'}{rate}")
    return list(dict.fromkeys(lines))


def describe_interfaces(sight: Sight) -> list[str]:
    """Return one line for each interface of the pod's networks that is there."""
    return [
        f"{item.name} {item.address or 'without address'} mtu {'unknown' if item.mtu is None else item.mtu}"
        for item in sight.interfaces.values()
    ]


def read_limit(memory: Memory) -> int | None:
    """Return how many bytes the cache server may lock: the launcher raises the limit as far as it may."""
    return -1 if memory.capable else memory.hard


def build_message(decision: Decision, devices: list[str], interfaces: list[str], memlock: int | None) -> str:
    """Return the termination message, which the operator reads: one JSON object of at most MESSAGE_BYTES."""
    content: dict[str, Any] = {
        "version": VERSION,
        "transport": decision.transport,
        "evidence": decision.evidence,
        "reason": decision.reason,
        "detail": _cut(f"{decision.detail}. {decision.remedy}".strip(". ") + ".", _DETAIL) if decision.detail else "",
        "devices": [_cut(line, _LINE) for line in devices[:_LINES]],
        "interfaces": [_cut(line, _LINE) for line in interfaces[:_LINES]],
        "memlock": memlock,
    }
    # Signs outside of ASCII take up to six bytes; what people need least goes first.
    for shorter in ("", "interfaces", "devices", "detail"):
        if shorter:
            content[shorter] = _cut(content[shorter], _LINE) if shorter == "detail" else []
        text = json.dumps(content, separators=(",", ":"))
        if len(text) <= MESSAGE_BYTES:
            break
    return text


def _cut(text: str, length: int) -> str:
    return text if len(text) <= length else f"{text[: length - 3]}..."
