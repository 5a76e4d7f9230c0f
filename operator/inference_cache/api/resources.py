"""Resources of a container beside those that the operator computes: merged per key, never replacing what it needs."""

import re
from typing import Annotated, Final

from pydantic import Field

from .base import ApiModel, Rule, ruled
from .quantities import MOST_MEMORY, parse_milli, parse_quantity

_KEYS: Final = ("cpu", "memory", "ephemeral-storage")
_CPU_PATTERN: Final = "^[1-9][0-9]{0,8}m?$"
# Not thousandths of a byte, which m means in Kubernetes and nobody wants.
_BYTES_PATTERN: Final = "^[1-9][0-9]{0,14}(Ki|Mi|Gi|Ti|k|M|G|T)?$"
_MOST_CPUS: Final = "1024"


def _list_bad_amounts(amounts: dict[str, str]) -> list[str]:
    patterns = {"cpu": _CPU_PATTERN}
    return [
        f"{key}: {value}"
        for key, value in amounts.items()
        if not re.fullmatch(patterns.get(key, _BYTES_PATTERN), value)
    ]


def _list_large_amounts(amounts: dict[str, str]) -> list[str]:
    return [
        f"{key}: {value}"
        for key, value in amounts.items()
        if (
            parse_milli(value) > parse_milli(_MOST_CPUS)
            if key == "cpu"
            else parse_quantity(value) > parse_quantity(MOST_MEMORY)
        )
    ]


_OTHER_KEYS = Rule(
    cel="self.all(key, key in ['cpu', 'memory', 'ephemeral-storage'])",
    message=(
        "must have only the keys cpu, memory, ephemeral-storage; GPUs come from engine.tensorParallelSize, huge pages from "
        "cache.tiers[].memory.pages; remove other keys"
    ),
    holds=lambda amounts: all(key in _KEYS for key in amounts),
    got_cel="self.filter(key, !(key in ['cpu', 'memory', 'ephemeral-storage']))[0]",
    got=lambda amounts: next(key for key in amounts if key not in _KEYS),
)
_AMOUNT_CEL: Final = f"self[key].matches(key == 'cpu' ? '{_CPU_PATTERN}' : '{_BYTES_PATTERN}')"
_AMOUNTS = Rule(
    cel=f"self.all(key, {_AMOUNT_CEL})",
    message="must have whole amounts as values; write for instance 96Gi as memory, and 16 or 1500m as cpu",
    holds=lambda amounts: not _list_bad_amounts(amounts),
    got_cel=f"self.filter(key, !{_AMOUNT_CEL}).map(key, key + ': ' + self[key])[0]",
    got=lambda amounts: _list_bad_amounts(amounts)[0],
)
_LARGE_CEL: Final = (
    "isQuantity(self[key]) && "
    f"quantity(self[key]).compareTo(quantity(key == 'cpu' ? '{_MOST_CPUS}' : '{MOST_MEMORY}')) > 0"
)
_BOUNDS = Rule(
    cel=f"self.all(key, !({_LARGE_CEL}))",
    message=f"must have at most {_MOST_CPUS} as cpu and {MOST_MEMORY} as memory and ephemeral-storage; write less",
    # Of amounts that are none, the rule before this one speaks.
    holds=lambda amounts: not _list_large_amounts(amounts),
    got_cel=f"self.filter(key, {_LARGE_CEL}).map(key, key + ': ' + self[key])[0]",
    got=lambda amounts: _list_large_amounts(amounts)[0],
)
Amount = Annotated[str, Field(max_length=20)]
Amounts = Annotated[dict[str, Amount], *ruled(_OTHER_KEYS, _AMOUNTS, _BOUNDS, max_length=3)]


class ResourceOverrides(ApiModel):
    """Requests and limits that take the place of the computed ones, key by key."""

    requests: Amounts | None = None
    """Requests by resource. A key that is absent keeps its computed value."""
    limits: Amounts | None = None
    """Limits by resource. A key that is absent keeps its computed value."""
