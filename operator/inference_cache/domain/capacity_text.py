"""How figures of the capacity plan read in messages: powers of ten, three or four digits."""

from typing import Final

from .hit_rate import HitBounds

_UNITS: Final = ((1e15, "PB"), (1e12, "TB"), (1e9, "GB"), (1e6, "MB"), (1e3, "kB"))


def format_bytes(size: float) -> str:
    """Return a size such as 1.573 TB."""
    for factor, unit in _UNITS:
        if size >= factor:
            return f"{size / factor:.4g} {unit}"
    return f"{size:.0f} B"


def format_rate(bytes_per_second: float) -> str:
    """Return a rate such as 3.71 GB/s; rates are no better known than to three digits."""
    for factor, unit in _UNITS:
        if bytes_per_second >= factor:
            return f"{bytes_per_second / factor:.3g} {unit}/s"
    return f"{bytes_per_second:.0f} B/s"


def format_factor(value: float) -> str:
    """Return a factor such as 0.76x, 5.9x or 24x."""
    return f"{value:.2f}x" if value < 2 else f"{value:.1f}x" if value < 10 else f"{value:.0f}x"


def end_sentence(text: str) -> str:
    """Return the text with a full stop where it has none, so that a sentence can follow."""
    return text if text.endswith((".", "!", "?")) else f"{text}."


def format_hits(bounds: HitBounds) -> str:
    """Return hit-rate bounds such as 0.00 to 0.76."""
    return f"{bounds.cyclic:.2f} to {bounds.random:.2f}"
