"""What the log says, and how quantities read in it."""

from __future__ import annotations

import os


def say(text: str) -> None:
    """Write a line to the log at once, the token blotted out whoever quotes it."""
    token = os.environ.get("HF_TOKEN", "").strip()
    # One write a line: threads write at the same time.
    print(f"{text.replace(token, '(token)') if token else text}\n", end="", flush=True)


def show_bytes(count: float) -> str:
    """Return a number of bytes in the decimal units that the hub's pages use."""
    for unit in ("B", "kB", "MB", "GB"):
        if count < 1000:
            return f"{count:.0f} B" if unit == "B" else f"{count:.1f} {unit}"
        count /= 1000
    return f"{count:.2f} TB"


def show_seconds(seconds: float) -> str:
    """Return a duration in minutes, or in hours."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes:02} min" if hours else f"{minutes} min {rest:02} s"
