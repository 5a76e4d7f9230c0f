"""Reads what the API server says of an exceeded quota, and computes the limit that would do."""

import json
import re
from fractions import Fraction
from typing import Final

from .fixes import Command, Fix, Target

_EXCEEDED: Final = re.compile(r"exceeded quota: ([^,]+), requested: (.+?), used: (.+?), limited: ([^\s]+)")
_QUANTITY: Final = re.compile(r"([0-9]+(?:[.][0-9]+)?)(m|[kMGTPE]i?|)")
_FACTORS: Final[dict[str, Fraction]] = {
    **{suffix: Fraction(1024**power) for power, suffix in enumerate(("Ki", "Mi", "Gi", "Ti", "Pi", "Ei"), 1)},
    **{suffix: Fraction(1000**power) for power, suffix in enumerate(("", "k", "M", "G", "T", "P", "E"))},
    "m": Fraction(1, 1000),
}


def plan_quota(target: Target, text: str) -> Fix | None:
    """Return how to raise the quota that a refusal names, or None where it names none."""
    match = _EXCEEDED.search(text)
    if match is None:
        return None
    name, *columns = match.groups()
    requested, used, limited = (
        dict(pair.split("=", 1) for pair in column.split(",") if "=" in pair) for column in columns
    )
    hard = {}
    for resource in limited:
        parts = _parse(requested.get(resource, "")), _parse(used.get(resource, ""))
        if parts[0] is None or parts[1] is None:
            return None
        hard[resource] = _format(parts[0] + parts[1])
    patch = json.dumps({"spec": {"hard": hard}}, separators=(",", ":"))
    listed = ", ".join(f"{resource} at {limited[resource]}, needed {hard[resource]}" for resource in hard)
    why = f"ResourceQuota {name} is too small for the next object: {listed}. Raise it if the namespace may have that much."
    return Fix(why, (Command(target.kubectl("patch", "resourcequota", name, "--type=merge", "-p", patch)),))


def _parse(text: str) -> Fraction | None:
    match = _QUANTITY.fullmatch(text)
    if match is None:
        return None
    return Fraction(match[1]) * _FACTORS[match[2]]


def _format(value: Fraction) -> str:
    for suffix in ("Ei", "Pi", "Ti", "Gi", "Mi", "Ki"):
        factor = _FACTORS[suffix]
        if value >= factor and (value / factor).denominator == 1:
            return f"{value / factor}{suffix}"
    return str(value) if value.denominator == 1 else f"{int(-(-value * 1000 // 1))}m"
