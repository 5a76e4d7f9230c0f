"""Examples about the resources of a container, which the engine and the cache server have alike."""

from typing import Any, Final

from tests.api.rows import Row, accept, lengths, rule, unknown

_KEYS_MESSAGE: Final = "must have only the keys cpu, memory, ephemeral-storage"
_AMOUNTS_MESSAGE: Final = "must have whole amounts as values; write for instance 96Gi as memory, and 16 or 1500m as cpu"
_ALL: Final = {"cpu": "1500m", "memory": "96Gi", "ephemeral-storage": "10G"}


def _amounts(path: str) -> list[Row]:
    name = path.removeprefix("spec.")
    base: dict[str, Any] = {path: {"memory": "96Gi"}}
    return [
        accept(f"{name} of every key", path, _ALL),
        rule(f"GPUs in {name}", path, {"nvidia.com/gpu": "8"}, _KEYS_MESSAGE),
        rule(f"huge pages in {name}", path, {"memory": "96Gi", "hugepages-2Mi": "1Gi"}, _KEYS_MESSAGE),
        rule(f"a fraction of memory in {name}", path, {"memory": "1.5Gi"}, _AMOUNTS_MESSAGE),
        rule(f"a fraction of CPUs in {name}", path, {"cpu": "0.5"}, _AMOUNTS_MESSAGE),
        rule(f"thousandths of memory in {name}", path, {"memory": "512m"}, _AMOUNTS_MESSAGE),
        rule(f"memory in GB in {name}", path, {"memory": "96GB"}, _AMOUNTS_MESSAGE),
        rule(f"CPUs with a unit of memory in {name}", path, {"cpu": "16Gi"}, _AMOUNTS_MESSAGE),
        rule(f"no CPUs in {name}", path, {"cpu": "0"}, _AMOUNTS_MESSAGE),
        *lengths(f"{path}.memory", 0, 20, base, fits=False),
        Row(
            f"rejects four keys in {name}",
            {path: _ALL | {"nvidia.com/gpu": "8"}},
            path,
            "maxProperties",
            "must have at most 3 keys",
            "must have at most 3 items",
        ),
    ]


def resources(path: str) -> list[Row]:
    """Return what requests and limits at a path may be."""
    return [*_amounts(f"{path}.requests"), *_amounts(f"{path}.limits"), unknown(path)]
