"""How a fetch can fail: for good, or so that another attempt may succeed."""

from __future__ import annotations


class FetchError(Exception):
    """Why the weights cannot be had, and what to do; trying again at once would not help."""


class TransientError(Exception):
    """An attempt that failed and may succeed later.

    Attributes:
        seconds: When the server asks to come back, if it says so.
    """

    def __init__(self, text: str, seconds: float | None = None) -> None:
        super().__init__(text)
        self.seconds = seconds


class RangeError(TransientError):
    """The server does not have the asked rest of a file: what is there is no beginning of what it has."""
