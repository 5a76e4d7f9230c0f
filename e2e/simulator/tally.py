"""Counters of one process and their text form for Prometheus."""

import bisect
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Final

Labels = tuple[tuple[str, str], ...]
SECONDS: Final = (
    0.001,
    0.005,
    0.01,
    0.02,
    0.04,
    0.06,
    0.08,
    0.1,
    0.25,
    0.5,
    0.75,
    1.0,
    2.5,
    5.0,
    7.5,
    10.0,
    30.0,
    60.0,
)
TOKENS: Final = (1.0, 2.0, 5.0, 10.0, 20.0, 50.0, 100.0, 200.0, 500.0, 1e3, 2e3, 5e3, 1e4, 2e4, 5e4, 1e5)


@dataclass
class Histogram:
    """Observations of one histogram; `counts` has one more entry than `bounds`, for those above all of them."""

    bounds: tuple[float, ...]
    counts: list[int] = field(default_factory=list)
    total: float = 0.0

    def observe(self, value: float) -> None:
        """Count one observation."""
        self.counts = self.counts or [0] * (len(self.bounds) + 1)
        self.counts[bisect.bisect_left(self.bounds, value)] += 1
        self.total += value


class Tally:
    """Counters by name and labels; a process that starts anew gets a new one."""

    def __init__(self) -> None:
        self._counters: defaultdict[str, dict[Labels, float]] = defaultdict(dict)
        self._histograms: dict[str, dict[Labels, Histogram]] = {}

    def add(self, name: str, amount: float = 1, **labels: str) -> None:
        """Add to a counter; an amount of 0 makes it appear."""
        series, key = self._counters[name], tuple(sorted(labels.items()))
        series[key] = series.get(key, 0.0) + amount

    def value(self, name: str, **labels: str) -> float:
        """Return the sum of a counter's series that have all these labels."""
        wanted = set(labels.items())
        return sum(value for key, value in self._counters.get(name, {}).items() if wanted <= set(key))

    def observe(self, name: str, value: float, bounds: tuple[float, ...], **labels: str) -> None:
        """Count one observation of a histogram."""
        series, key = self._histograms.setdefault(name, {}), tuple(sorted(labels.items()))
        series.setdefault(key, Histogram(bounds)).observe(value)

    def declare(self, name: str, bounds: tuple[float, ...], **labels: str) -> None:
        """Make a histogram appear before its first observation."""
        self._histograms.setdefault(name, {})[tuple(sorted(labels.items()))] = Histogram(
            bounds, [0] * (len(bounds) + 1)
        )

    def totals(self) -> dict[str, float]:
        """Return every counter's sum over its labels."""
        return {name: sum(series.values()) for name, series in self._counters.items()}

    def write(self, page: "Page") -> None:
        """Write every counter and histogram."""
        for name, counters in self._counters.items():
            page.family(name, "counter", counters.items())
        for name, histograms in self._histograms.items():
            page.histograms(name, histograms)


class Page:
    """A page in the Prometheus text format."""

    def __init__(self) -> None:
        self._lines: list[str] = []

    def gauge(self, name: str, value: float, **labels: str) -> None:
        """Write a gauge with one series."""
        self.family(name, "gauge", [(tuple(sorted(labels.items())), value)])

    def family(self, name: str, kind: str, series: Iterable[tuple[Labels, float]]) -> None:
        """Write all series of a name."""
        self._lines += [f"# HELP {name} Simulated.", f"# TYPE {name} {kind}"]
        self._lines += [f"{name}{_labels(labels)} {float(value)}" for labels, value in series]

    def histograms(self, name: str, series: Mapping[Labels, Histogram]) -> None:
        """Write all series of a histogram."""
        self._lines += [f"# HELP {name} Simulated.", f"# TYPE {name} histogram"]
        for labels, histogram in series.items():
            below = 0
            for bound, count in zip((*histogram.bounds, "+Inf"), histogram.counts, strict=True):
                below += count
                self._lines.append(f"{name}_bucket{_labels((*labels, ('le', str(bound))))} {float(below)}")
            self._lines.append(f"{name}_count{_labels(labels)} {float(below)}")
            self._lines.append(f"{name}_sum{_labels(labels)} {histogram.total}")

    def text(self) -> str:
        """Return the page."""
        return "\n".join([*self._lines, ""])


def _labels(labels: Labels) -> str:
    return "{" + ",".join(f'{name}="{value}"' for name, value in labels) + "}" if labels else ""
