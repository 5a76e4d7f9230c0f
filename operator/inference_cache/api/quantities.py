"""Sizes in the API are Kubernetes quantities written as text; this module is the only place that reads them."""

import re
from typing import Annotated, Final

from .base import Rule, ruled

_FACTORS: Final = {
    "": 1,
    "k": 10**3,
    "M": 10**6,
    "G": 10**9,
    "T": 10**12,
    "P": 10**15,
    "Ki": 2**10,
    "Mi": 2**20,
    "Gi": 2**30,
    "Ti": 2**40,
    "Pi": 2**50,
}
_PATTERN: Final = re.compile(r"^([0-9]{1,15})(Ki|Mi|Gi|Ti|Pi|k|M|G|T|P)?$")

GIB: Final = 2**30


def parse_quantity(text: str) -> int:
    """Return the bytes (or plain count) that a quantity stands for.

    Raises:
        ValueError: The text is not a whole number with an optional binary or decimal suffix.
    """
    match = _PATTERN.fullmatch(text)
    if match is None:
        raise ValueError(f'"{text}" is not a quantity; write a whole number with a unit, for instance 1200Gi')
    return int(match.group(1)) * _FACTORS[match.group(2) or ""]


def parse_allocatable(text: str) -> int:
    """Return the whole units that a node reports; fractions such as 31900m or 1.5 round down, nonsense counts as 0."""
    if match := re.match(r"^([0-9]+)m$", text):
        return int(match.group(1)) // 1000
    if match := re.match(r"^([0-9]+)[.][0-9]+$", text):
        return int(match.group(1))
    try:
        return parse_quantity(text)
    except ValueError:
        return 0


def format_gib(size: int) -> str:
    """Return a whole number of GiB in the form that the API server keeps, rounding up.

    The API server rewrites quantities to their canonical suffix (1024Gi becomes 1Ti); emitting that form ourselves keeps
    an unchanged object equal to what is stored.
    """
    gib = -(-size // GIB)
    for suffix in ("Gi", "Ti"):
        if gib % 1024 or gib == 0:
            return f"{gib}{suffix}"
        gib //= 1024
    return f"{gib}Pi"


def _is_at_least_one_gib(text: str) -> bool:
    return bool(_PATTERN.fullmatch(text)) and parse_quantity(text) >= GIB


MemorySize = Annotated[
    str,
    *ruled(
        Rule(
            cel="isQuantity(self) && quantity(self).compareTo(quantity('1Gi')) >= 0 && self.matches('^[0-9]{1,15}(Ki|Mi|Gi|Ti|Pi|k|M|G|T|P)?$')",
            message="must be a whole quantity of at least 1Gi; write it with a unit, for instance 1200Gi",
            holds=_is_at_least_one_gib,
        ),
        min_length=1,
        max_length=20,
    ),
]
