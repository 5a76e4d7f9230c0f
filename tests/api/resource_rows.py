"""Examples about the resources of a container, which the engine and the cache server have alike."""

from typing import Any, Final

from tests.api.rows import Row, accept, lengths, rule, unknown

_KEYS_MESSAGE: Final = "must have only the keys cpu, memory, ephemeral-storage"
_AMOUNTS_MESSAGE: Final = "must have whole amounts as values; write for instance 96Gi as memory, and 16 or 1500m as cpu"
_BOUNDS_MESSAGE: Final = "must have at most 1024 as cpu and 64Ti as memory and ephemeral-storage; write less"
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
        accept(
            f"the most of every key in {name}", path, {"cpu": "1024", "memory": "64Ti", "ephemeral-storage": "65536Gi"}
        ),
        accept(f"the most thousandths of a CPU in {name}", path, {"cpu": "1024000m"}),
        rule(f"too many CPUs in {name}", path, {"cpu": "1025"}, _BOUNDS_MESSAGE),
        rule(f"too many thousandths of a CPU in {name}", path, {"memory": "1Gi", "cpu": "1024001m"}, _BOUNDS_MESSAGE),
        rule(f"too much memory in {name}", path, {"memory": "65Ti"}, _BOUNDS_MESSAGE),
        rule(f"too much storage in {name}", path, {"ephemeral-storage": "999999999999999Gi"}, _BOUNDS_MESSAGE),
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
