"""The capability matrix of nodes: one row each, with facts, and the judgement of a deployment where one is asked for."""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any, Final

from inference_cache.api.quantities import GIB
from inference_cache.domain import names
from inference_cache.domain.node_facts import NodeFacts
from inference_cache.domain.node_matrix import Judgement, Matrix, format_taint

from .cluster_reader import ClusterReader
from .failure import CommandError
from .output import note, print_table

# Old and new GPU Feature Discovery.
_DRIVER_LABELS: Final = ("nvidia.com/cuda.driver-version.major", "nvidia.com/cuda.driver.major")
_COLUMNS: Final[Mapping[str, str]] = {
    "node": "NODE",
    "ready": "READY",
    "schedulable": "SCHEDULABLE",
    "gpuProduct": "GPU",
    "gpus": "COUNT",
    "gpuMemoryMiB": "GPU-MIB",
    "driverMajor": "DRIVER",
    "memoryGiB": "MEMORY-GIB",
}
_JUDGED_COLUMNS: Final[Mapping[str, str]] = {"eligible": "ELIGIBLE", "cause": "CAUSE"}

Row = dict[str, Any]


async def build_matrix(reader: ClusterReader, namespace: str, name: str | None) -> list[Row]:
    """Return a row for each node, sorted by name.

    Raises:
        CommandError: The deployment does not exist, its spec is not valid, or something may not be read.
    """
    need = None
    if name is not None:
        deployment = await reader.read_deployment(namespace, name)
        need = Matrix(name)
        if need.find_need(deployment.get("spec", {})) is None:
            raise CommandError(
                f"the spec of {name} is not valid", f"icd explain {name} -n {namespace} names the fields."
            )
    nodes = sorted(await reader.read_nodes(), key=lambda node: node.name)
    return [build_row(node, need.judge(deployment.get("spec", {}), node) if need else None) for node in nodes]


def build_row(node: NodeFacts, judged: Judgement | None) -> Row:
    """Return the row of a node; what is not known is absent from its facts as None."""
    row: Row = {
        "node": node.name,
        "ready": node.ready,
        "schedulable": not node.unschedulable,
        "gpuProduct": node.labels.get(names.GPU_PRODUCT_LABEL),
        "gpus": node.gpus,
        "gpuMemoryMiB": _read_number(node.labels.get("nvidia.com/gpu.memory")),
        "driverMajor": next((_read_number(node.labels[key]) for key in _DRIVER_LABELS if key in node.labels), None),
        "memoryGiB": node.memory // GIB,
        "taints": [format_taint(taint) for taint in node.taints],
    }
    if judged is not None:
        row |= {
            "candidate": judged.candidate,
            "eligible": judged.eligible,
            "cause": judged.describe(),
            "violations": [reason.name for reason in judged.violations],
        }
    return row


def print_matrix(rows: Sequence[Row], *, judged: bool) -> None:
    """Write the matrix for people, and a summary of the causes."""
    columns = {**_COLUMNS, **(_JUDGED_COLUMNS if judged else {})}
    print_table(list(columns.values()), [[_format(row[key]) for key in columns] for row in rows])
    if not judged:
        return
    causes = Counter(
        row["violations"][0] if row["candidate"] else "not a candidate" for row in rows if not row["eligible"]
    )
    listed = "".join(f", {count} {cause}" for cause, count in causes.most_common())
    note(f"{len(rows)} nodes: {sum(row['eligible'] for row in rows)} eligible{listed}.")


def _format(value: Any) -> str:
    if value is None:
        return "-"
    return {True: "yes", False: "no"}[value] if isinstance(value, bool) else str(value)


def _read_number(text: str | None) -> int | None:
    return int(text) if text is not None and text.isdecimal() else None
