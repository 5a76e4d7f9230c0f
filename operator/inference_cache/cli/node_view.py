"""`icd nodes` as a table: one row for each node, then why nodes are left out, at an example, and what could not be read."""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from inference_cache.domain.explain_transport import asks_for_rdma, find_attachment
from inference_cache.domain.node_evidence import Source
from inference_cache.domain.node_matrix import Matrix

from .cluster_reader import ClusterReader, ForbiddenError, NotServedError
from .evidence_reader import NodeReading, read_evidence
from .failure import CommandError
from .node_rows import Row, build_row
from .output import Line, note, print_lines, print_table

_SHORT: Final[Mapping[str, str]] = {
    Source.REPORT: "report",
    Source.NIC_DEVICE: "nicdevice",
    Source.NODE_STATE: "sriov",
    Source.RESOURCE_SLICE: "slices",
    Source.DPU: "dpu",
    Source.NODE_TOPOLOGY: "topology",
}
_MAX_CAUSES: Final = 20


@dataclass(frozen=True)
class NodeMatrix:
    """The matrix, with what the reader should know of it.

    Attributes:
        judged: Whether the nodes were judged by a deployment.
        remarks: What could not be read or judged.
    """

    rows: list[Row]
    judged: bool
    remarks: tuple[str, ...]


async def build_matrix(reader: ClusterReader, namespace: str, name: str | None) -> NodeMatrix:
    """Return a row for each node, sorted by name.

    Raises:
        CommandError: The deployment does not exist, its spec is not valid, or the nodes may not be read.
    """
    if name is None:
        reading = await read_evidence(reader)
        return NodeMatrix([build_row(node, reading) for node in _sort(reading)], False, tuple(_remark(reading)))
    deployment = await reader.read_deployment(namespace, name)
    spec = deployment.get("spec") or {}
    fabric, remarks = await _read_fabric(reader, spec)
    matrix = Matrix(name, find_attachment(namespace, name, spec, fabric))
    need = matrix.find_need(spec)
    if need is None:
        raise CommandError(f"the spec of {name} is not valid", f"icd explain {name} -n {namespace} names the fields.")
    reading = await read_evidence(reader)
    rows = [build_row(node, reading, matrix.judge(spec, node), need.rdma) for node in _sort(reading)]
    if asks_for_rdma(spec) and need.rdma is None and not remarks:
        remarks = [f"What RDMA pods of {name} would get is not known; icd explain {name} -n {namespace} says why."]
    return NodeMatrix(rows, True, (*remarks, *_remark(reading)))


async def _read_fabric(reader: ClusterReader, spec: Mapping[str, Any]) -> tuple[dict[str, Any] | None, list[str]]:
    try:
        found = await reader.read_fabric(spec)
    except (ForbiddenError, NotServedError) as error:
        return None, [f"RDMA is not judged, as the fabric could not be read: {error}"]
    wanted = ((spec.get("transport") or {}).get("fabricRef") or {}).get("name")
    missing = [f"RDMA is not judged, as there is no InferenceCacheFabric {wanted}."]
    return found, missing if wanted and found is None else []


def _sort(reading: NodeReading) -> Iterable[Any]:
    return sorted(reading.nodes, key=lambda node: node.facts.name)


def _remark(reading: NodeReading) -> Iterator[str]:
    if reading.absent:
        yield f"Not served here: {', '.join(sorted(reading.absent))}."
    for source, cause in sorted(reading.sources.unreadable.items()):
        yield f"Not read: {source}: {cause}"
    if not reading.used_known:
        yield "Devices that engine pods hold were not counted, as you may not list pods of all namespaces."


def print_matrix(found: NodeMatrix) -> None:
    """Write the matrix for people: columns of which nothing is known are left out."""
    rows = found.rows
    cells = {title: [_format(show(row)) for row in rows] for title, show in _COLUMNS.items()}
    if found.judged:
        cells |= {title: [_format(show(row)) for row in rows] for title, show in _JUDGED_COLUMNS.items()}
    shown = [title for title, column in cells.items() if title in _ALWAYS or any(cell != "-" for cell in column)]
    print_table(shown, [[cells[title][number] for title in shown] for number in range(len(rows))])
    if found.judged:
        print_lines(_list_causes(rows))
        note(_count(rows))
    for remark in found.remarks:
        note(remark)


def _count(rows: Sequence[Row]) -> str:
    causes = Counter(
        row["violations"][0] if row["candidate"] else "not a candidate" for row in rows if not row["eligible"]
    )
    listed = "".join(f", {count} {cause}" for cause, count in causes.most_common())
    rdma = [row["rdma"] for row in rows if row["eligible"] and row["rdma"] is not None]
    told = f" ({sum(rdma)} of them with RDMA)" if rdma else ""
    return f"{len(rows)} nodes: {sum(row['eligible'] for row in rows)} eligible{told}{listed}."


def _list_causes(rows: Sequence[Row]) -> Iterator[Line]:
    """Yield each reason with what was seen on its first node."""
    first: dict[str, tuple[str, dict[str, Any]]] = {}
    counts: Counter[str] = Counter()
    for row in rows:
        if not row["candidate"]:
            continue
        for finding in (*row["findings"], *row["rdmaFindings"], *row["notes"]):
            counts[finding["reason"]] += 1
            first.setdefault(finding["reason"], (row["node"], finding))
    if not first:
        return
    yield Line()
    for reason, count in counts.most_common(_MAX_CAUSES):
        node, finding = first[reason]
        # Most details name their source already.
        source = finding["source"]
        told = "" if source is None or source in finding["detail"] else f", by {source}"
        yield Line(f"{reason}: {count} node{'' if count == 1 else 's'}, for instance {node}: {finding['detail']}{told}")


def _join(row: Row, fact: str, unit: str = "") -> str | None:
    values = {f"{adapter[fact]}{unit}" for adapter in row["adapters"] if adapter[fact] is not None}
    return ",".join(sorted(values)) or None


def _show_adapters(row: Row) -> str | None:
    counts = Counter(
        adapter["model"] or ":".join(filter(None, (adapter["vendor"], adapter["deviceId"]))) or "unknown"
        for adapter in row["adapters"]
    )
    return ",".join(f"{count}x {what}" for what, count in sorted(counts.items())) or None


def _show_link(row: Row) -> str | None:
    link = _join(row, "linkType")
    states = {adapter["linkUp"] for adapter in row["adapters"]} - {None}
    if link is None or not states:
        return link
    return f"{link} {'up' if states == {True} else 'down' if states == {False} else 'partly up'}"


def _show_devices(row: Row) -> str | None:
    texts = []
    for item in row["devices"]:
        name = item.get("resource") or item.get("driver")
        if item["allocatable"] is None:
            texts.append(f"{name}: absent")
            continue
        used = f", {item['usedByEnginePods']} taken" if item["usedByEnginePods"] else ""
        texts.append(f"{name}: {item['allocatable']}{used}")
    return "; ".join(texts) or None


def _show_dpu(row: Row) -> str | None:
    modes = _join(row, "dpuMode")
    phases = ",".join(sorted({dpu["phase"] for dpu in row["dpus"]}))
    return " ".join(filter(None, (modes, phases))) or None


def _show_numa(row: Row) -> str | None:
    if row["numaZones"] is not None:
        return f"{len(row['numaZones'])} zones"
    nodes = (row["report"] or {}).get("numaNodes")
    return f"{nodes} nodes" if nodes is not None else None


def _show_sources(row: Row) -> str | None:
    states = row["sources"].items()
    told = [_SHORT[source] for source, state in states if state == "Tells"]
    told += [f"{_SHORT[source]} (stale)" for source, state in states if state == "Stale"]
    return ",".join(told) or None


def _show_cause(row: Row) -> str | None:
    missing = [finding["reason"] for finding in row["rdmaFindings"]]
    return row["cause"] or (f"without RDMA: {', '.join(missing)}" if missing else None)


_COLUMNS: Final[Mapping[str, Callable[[Row], Any]]] = {
    "NODE": lambda row: row["node"],
    "READY": lambda row: row["ready"],
    "SCHEDULABLE": lambda row: row["schedulable"],
    "GPU": lambda row: row["gpuProduct"],
    "COUNT": lambda row: row["gpus"],
    "GPU-MIB": lambda row: row["gpuMemoryMiB"],
    "DRIVER": lambda row: row["driverMajor"],
    "MEMORY-GIB": lambda row: row["memoryGiB"],
    "NIC": _show_adapters,
    "LINK": _show_link,
    "GBIT/S": lambda row: _join(row, "speedGbps"),
    "FIRMWARE": lambda row: _join(row, "firmware"),
    "DEVICES": _show_devices,
    "DPU": _show_dpu,
    "NUMA": _show_numa,
    "SOURCES": _show_sources,
}
_JUDGED_COLUMNS: Final[Mapping[str, Callable[[Row], Any]]] = {
    "ELIGIBLE": lambda row: row["eligible"],
    "RDMA": lambda row: row["rdma"],
    "CAUSE": _show_cause,
}
_ALWAYS: Final = frozenset(
    {"NODE", "READY", "SCHEDULABLE", "GPU", "COUNT", "GPU-MIB", "DRIVER", "MEMORY-GIB", "ELIGIBLE", "CAUSE"}
)


def _format(value: Any) -> str:
    if value is None:
        return "-"
    return {True: "yes", False: "no"}[value] if isinstance(value, bool) else str(value)
