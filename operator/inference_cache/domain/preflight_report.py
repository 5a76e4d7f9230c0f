"""What the preflight of an RDMA pod said at its end: the JSON object in the container's termination message.

It comes from inside a pod, so nothing of it is trusted: what does not have the agreed form counts as no report.
"""

import json
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final

from .attachment import Variant
from .reasons import Reason

VERSION: Final = 1
MOST_BYTES: Final = 2048
"""What the program writes at most."""
_MOST_ITEMS: Final = 16
_MOST_CHARACTERS: Final = 1024


class Evidence(StrEnum):
    """What speaks for RDMA."""

    PROVEN = "Proven"
    UNVERIFIED = "Unverified"
    NONE = "None"


@dataclass(frozen=True, slots=True)
class PreflightReport:
    """What one pod decided.

    Attributes:
        transport: RDMA, TCP, or None where the pod runs without the object store tier or does not start.
        evidence: Proven where bytes went over RDMA in this pod.
        reason: Why it is not RDMA, or why RDMA is not proven; None where nothing is missing.
        detail: The same in words, for people.
        devices: One line for each device that the pod can use.
        interfaces: One line for each interface of its networks.
        memlock: Bytes that processes may lock, -1 without a limit, None where it was not found out.
    """

    transport: Variant
    evidence: Evidence
    reason: Reason | None = None
    detail: str = ""
    devices: tuple[str, ...] = ()
    interfaces: tuple[str, ...] = ()
    memlock: int | None = None


def parse_preflight(text: str | None) -> PreflightReport | None:
    """Return the report of a termination message; None where there is none or its form is not the agreed one.

    A reason that this version does not know counts as PreflightFailed: the agent may be newer.
    """
    if not text or len(text) > 2 * MOST_BYTES:
        return None
    try:
        body = json.loads(text)
    except (ValueError, RecursionError):
        return None
    if not isinstance(body, dict) or body.get("version") != VERSION:
        return None
    try:
        transport, evidence = Variant(body.get("transport", "")), Evidence(body.get("evidence", ""))
    except ValueError:
        return None
    if evidence is Evidence.PROVEN and transport is not Variant.RDMA:
        return None
    name, memlock = body.get("reason"), body.get("memlock")
    return PreflightReport(
        transport=transport,
        evidence=evidence,
        reason=None if not name else Reason.__members__.get(str(name), Reason.PreflightFailed),
        detail=clean_text(body.get("detail")),
        devices=_read_lines(body.get("devices")),
        interfaces=_read_lines(body.get("interfaces")),
        memlock=memlock if isinstance(memlock, int) and not isinstance(memlock, bool) and memlock >= -1 else None,
    )


def _read_lines(value: Any) -> tuple[str, ...]:
    lines = value[:_MOST_ITEMS] if isinstance(value, list) else []
    return tuple(clean_text(line) for line in lines if isinstance(line, str))


def clean_text(value: Any) -> str:
    """Return a text from inside a pod without control characters and cut; empty where it is no text."""
    text = value if isinstance(value, str) else ""
    return "".join(character if character.isprintable() else " " for character in text)[:_MOST_CHARACTERS].strip()
