"""How fields of other projects' objects are read: they differ by version, may be missing, and repeat on thousands of nodes."""

import re
import sys
from collections.abc import Mapping
from typing import Any

from inference_cache.api.networks import LinkType

_PCI_ADDRESS = re.compile(r"^(?:([0-9a-f]{4,8}):)?([0-9a-f]{2}:[0-9a-f]{2}[.][0-7])$")
_SPEED = re.compile(r"^\s*([0-9]{1,9}(?:[.][0-9]{1,9})?)\s*([gm])b(?:it)?(?:/s|ps)?", re.IGNORECASE)
_NUMBER = re.compile(r"^\s*(-?[0-9]{1,12})\s*$")
# What the kernel and the API server count with; a longer number is none of theirs.
_NUMBER_LIMIT = 2**64
_LINK_TYPES = {
    "eth": LinkType.ETHERNET,
    "ether": LinkType.ETHERNET,
    "ethernet": LinkType.ETHERNET,
    "ib": LinkType.INFINIBAND,
    "infiniband": LinkType.INFINIBAND,
}


def read_text(value: Any) -> str | None:
    """Return a text that is not empty; the same text is kept once, however many nodes have it."""
    return sys.intern(value) if isinstance(value, str) and value else None


def read_mapping(value: Any) -> Mapping[str, Any]:
    """Return an object, empty where there is none."""
    return value if isinstance(value, dict) else {}


def read_list(value: Any) -> list[Mapping[str, Any]]:
    """Return the objects of a list, empty where there is none."""
    return [item for item in value if isinstance(item, dict)] if isinstance(value, list) else []


def read_number(value: Any) -> int | None:
    """Return a whole number of at most 64 bits, given as number or as text."""
    if isinstance(value, bool):
        return None
    if isinstance(value, int):
        return value if abs(value) < _NUMBER_LIMIT else None
    found = _NUMBER.match(value) if isinstance(value, str) else None
    return int(found[1]) if found else None


def read_flag(value: Any) -> bool | None:
    """Return a truth value, given as such or as text."""
    if isinstance(value, bool):
        return value
    if isinstance(value, str) and value.lower() in {"true", "false"}:
        return value.lower() == "true"
    return None


def read_pci_address(value: Any) -> str:
    """Return a PCI address as Linux writes it, such as 0000:1a:00.0; empty where it is none."""
    found = _PCI_ADDRESS.match(value.strip().lower()) if isinstance(value, str) else None
    return sys.intern(f"{found[1] or '0000'}:{found[2]}") if found else ""


def read_pci_id(value: Any) -> str | None:
    """Return a PCI vendor or device id as four hexadecimal digits in lower case."""
    if not isinstance(value, str):
        return None
    text = value.strip().lower().removeprefix("0x")
    return sys.intern(text) if re.fullmatch(r"[0-9a-f]{4}", text) else None


def read_link_type(value: Any) -> LinkType | None:
    """Return the link layer: projects write ETH, IB, Ethernet, Infiniband, ether."""
    return _LINK_TYPES.get(value.strip().lower()) if isinstance(value, str) else None


def read_speed(value: Any) -> int | None:
    """Return a speed in Gb/s from a text such as "100000 Mb/s" or "200 Gb/s"; None for -1 and Unknown, as of ports without link."""
    found = _SPEED.match(value) if isinstance(value, str) else None
    if not found:
        return None
    speed = float(found[1]) / (1 if found[2].lower() == "g" else 1000)
    return int(speed) or None


def read_state(value: Any) -> bool | None:
    """Whether a state such as up, ACTIVE or DOWN means that the link works; None for others, such as unknown."""
    text = value.strip().lower() if isinstance(value, str) else ""
    if text in {"up", "active", "linkup"}:
        return True
    return False if text in {"down", "disabled", "init", "armed", "polling", "lowerlayerdown"} else None
