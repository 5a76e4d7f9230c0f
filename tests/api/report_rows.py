"""Examples about NodeCapabilityReport, which the node validator writes."""

from collections.abc import Mapping
from typing import Any, Final

from inference_cache.api.node_report import REPORT_KIND
from tests.api.rows import accept, enum, items, lengths, numbers, on, required, rule, unknown

_DEVICE: Final = "report.devices.0"
_PORT: Final = f"{_DEVICE}.ports.0"
_FUNCTION: Final = {"pciAddress": "0000:3f:00.0", "vendor": "15b3", "device": "1021"}
_NONE: Final[Mapping[str, Any]] = {"report.problems": ["x"], "report.modules": ["x"]}
_TIME_MESSAGE: Final = "must be a time in UTC and whole seconds"
_LONG: Final = [
    *("report.nodeUid", "report.bootId", "report.kernel", "report.rdmaNetnsMode", "report.modules.0"),
    *(f"{_DEVICE}.{name}" for name in ("pciAddress", "vendor", "device", "interface", "interfaceState", "rdmaDevice")),
    *(f"{_DEVICE}.{name}" for name in ("charDevice", "firmware", "dpuMode")),
    *(f"{_PORT}.{name}" for name in ("linkLayer", "state", "physicalState")),
]
_NUMBERS: Final[Mapping[str, tuple[int, int]]] = {
    "report.validSeconds": (60, 86_400),
    "report.memlockSoft": (-1, 2**60),
    "report.memlockHard": (-1, 2**60),
    "report.hugePagesTotal": (0, 2**40),
    "report.hugePagesFree": (0, 2**40),
    "report.numaNodes": (0, 4096),
    "report.gpus": (0, 256),
    f"{_DEVICE}.mtu": (0, 1_000_000),
    f"{_DEVICE}.speedGbps": (0, 100_000),
    f"{_DEVICE}.numaNode": (-1, 4096),
    f"{_DEVICE}.totalVfs": (0, 65_535),
    f"{_DEVICE}.currentVfs": (0, 65_535),
    f"{_PORT}.number": (1, 255),
    f"{_PORT}.rateGbps": (0, 100_000),
    f"{_PORT}.subnetManagerLid": (0, 65_535),
    f"{_PORT}.gids": (0, 1024),
    f"{_PORT}.roceV2Gids": (0, 1024),
}

REPORT_ROWS: Final = on(
    REPORT_KIND,
    "report",
    [
        accept("a report of one adapter", "report.gpus", 8),
        *(required(f"report.{name}") for name in ("probedAt", "validSeconds")),
        *(required(f"{_DEVICE}.{name}") for name in ("pciAddress", "vendor", "device")),
        required(f"{_PORT}.number"),
        *(row for path in _LONG for row in lengths(path, 0, 64, _NONE)),
        *lengths("report.problems.0", 0, 253, _NONE),
        *(row for path, (low, high) in _NUMBERS.items() for row in numbers(path, low, high)),
        *items("report.modules", 0, 64, "mlx5"),
        *items("report.problems", 0, 16, "cannot read"),
        *items("report.devices", 0, 64, _FUNCTION),
        *items(f"{_DEVICE}.ports", 0, 8, {"number": 1}),
        *enum(f"{_DEVICE}.function", ("Physical", "Virtual")),
        *lengths("report.probedAt", 1, 20, fits=False),
        rule("a time of another zone", "report.probedAt", "2026-01-31T12:00+01", _TIME_MESSAGE),
        rule("a month that does not exist", "report.probedAt", "2026-13-31T12:00:00Z", _TIME_MESSAGE),
        *(unknown(parent) for parent in ("report", _DEVICE, _PORT)),
    ],
)
