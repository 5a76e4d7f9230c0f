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

_DECIMAL: Final = ("m", "", "k", "M", "G", "T", "P")
_BINARY: Final = ("Ki", "Mi", "Gi", "Ti", "Pi")

GIB: Final = 2**30
MOST_MEMORY: Final = "64Ti"
"""More than any node has; sums of such amounts stay numbers that Kubernetes can hold."""


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
    if match := re.match(r"^([0-9]{1,18})m$", text):
        return int(match.group(1)) // 1000
    if match := re.match(r"^([0-9]{1,18})[.][0-9]+$", text):
        return int(match.group(1))
    try:
        return parse_quantity(text)
    except ValueError:
        return 0


def parse_allocatable_milli(text: str) -> int:
    """Return the thousandths of a CPU that a node reports; nonsense counts as 0."""
    if match := re.match(r"^([0-9]{1,15})m$", text):
        return int(match.group(1))
    if match := re.match(r"^([0-9]{1,9})[.]([0-9]{1,3})$", text):
        return int(match.group(1)) * 1000 + int(match.group(2).ljust(3, "0"))
    return parse_allocatable(text) * 1000


def format_gib(size: int) -> str:
    """Return a whole number of GiB in the form that the API server keeps, rounding up.

    The API server rewrites quantities to their canonical suffix (1024Gi becomes 1Ti); emitting that form ourselves keeps
    an unchanged object equal to what is stored.
    """
    return _format_binary(-(-size // GIB), ("Gi", "Ti", "Pi"))


def format_mib(size: int) -> str:
    """Return a whole number of MiB in the form that the API server keeps, rounding up."""
    return _format_binary(-(-size // 2**20), ("Mi", "Gi", "Ti", "Pi"))


def parse_milli(text: str) -> int:
    """Return the thousandths that an amount stands for.

    Raises:
        ValueError: The text is not a whole number with an optional suffix.
    """
    return parse_quantity(text[:-1]) if text.endswith("m") else parse_quantity(text) * 1000


def format_amount(text: str) -> str:
    """Return an amount in the form that the API server keeps: 1024Mi becomes 1Gi, 1000m becomes 1."""
    number = text.rstrip("".join({*_DECIMAL, *_BINARY}))
    suffix = text[len(number) :]
    suffixes, factor = (_BINARY, 1024) if suffix in _BINARY else (_DECIMAL, 1000)
    return _shorten(int(number), suffixes[suffixes.index(suffix) :], factor)


def _format_binary(count: int, suffixes: tuple[str, ...]) -> str:
    return _shorten(count, suffixes, 1024)


def _shorten(count: int, suffixes: tuple[str, ...], factor: int) -> str:
    for suffix in suffixes[:-1]:
        if count % factor or count == 0:
            return f"{count}{suffix}"
        count //= factor
    return f"{count}{suffixes[-1]}"


def _is_memory_size(text: str) -> bool:
    return bool(_PATTERN.fullmatch(text)) and GIB <= parse_quantity(text) <= parse_quantity(MOST_MEMORY)


MemorySize = Annotated[
    str,
    *ruled(
        Rule(
            cel=(
                "isQuantity(self) && quantity(self).compareTo(quantity('1Gi')) >= 0 "
                f"&& quantity(self).compareTo(quantity('{MOST_MEMORY}')) <= 0 && self.matches('{_PATTERN.pattern}')"
            ),
            message=f"must be a whole quantity from 1Gi to {MOST_MEMORY} with a unit such as Gi, Ti or G; write for instance 1200Gi",
            holds=_is_memory_size,
        ),
        min_length=1,
        max_length=20,
    ),
]
