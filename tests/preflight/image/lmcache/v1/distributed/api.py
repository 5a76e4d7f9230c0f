"""Stand-in for LMCache's types."""

from dataclasses import dataclass


@dataclass(frozen=True)
class MemoryLayoutDesc:
    """A layout."""

    shapes: list[int]
    dtypes: list[str]
