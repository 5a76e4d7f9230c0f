"""A fabric as its status tells it: in its stable form for programs, and as text for people."""

from collections.abc import Iterator, Sequence
from typing import Any, Final

from inference_cache.domain.explain_transport import list_fabric_nodes
from inference_cache.domain.kinds import FABRIC
from inference_cache.domain.reasons import Reason
from inference_cache.domain.remedies import Edit, Fix, Situation, Target, find_fixes
from inference_cache.domain.verdict import FabricCondition

from .cluster_reader import ClusterReader
from .explanation_view import build_fix, format_fixes
from .failure import CommandError
from .output import Line

_COLUMNS: Final = ("NAME", "READY", "MODE", "TYPE", "RESOURCE", "NODES", "DEPLOYMENTS", "REASON")

Document = dict[str, Any]


async def read_fabric(reader: ClusterReader, name: str) -> dict[str, Any]:
    """Return a fabric as stored.

    Raises:
        CommandError: There is none of that name.
    """
    found = await reader.read(FABRIC, None, name)
    if found is None:
        raise CommandError(f"there is no InferenceCacheFabric {name}", "icd fabrics lists them.")
    return found


async def list_fabrics(reader: ClusterReader) -> list[dict[str, Any]]:
    """Return all fabrics as stored."""
    return [item async for item in reader.list_items(FABRIC)]


def build_document(body: dict[str, Any], target: Target) -> Document:
    """Return a fabric in its stable form."""
    metadata, spec, status = body["metadata"], body.get("spec") or {}, body.get("status") or {}
    conditions = {item["type"]: item for item in status.get("conditions") or []}
    ready = conditions.get(FabricCondition.READY, {})
    # A status that speaks of an older spec says nothing of this one.
    current = status.get("observedGeneration") == metadata.get("generation", 1)
    reason = ready.get("reason", Reason.Waiting.name) if current else Reason.Waiting.name
    nodes = status.get("nodes") or {}
    return {
        "name": metadata["name"],
        "ready": ready.get("status", "Unknown") if current else "Unknown",
        "reason": reason,
        "message": ready.get("message", "") if current else "The operator has not looked at this specification yet.",
        "mode": spec.get("mode"),
        "type": spec.get("type"),
        "resourceName": spec.get("resourceName"),
        "namespaces": spec.get("namespaces"),
        "conditions": [
            {key: item[key] for key in ("type", "status", "reason", "message")} for item in conditions.values()
        ],
        "nodes": {
            "selected": nodes.get("selected"),
            "ready": nodes.get("ready"),
            "faulty": [dict(item) for item in nodes.get("faulty") or []],
        },
        "objects": [dict(item) for item in status.get("objects") or []],
        "deployments": status.get("deployments"),
        "unverified": list(status.get("unverified") or []),
        "fix": [build_fix(fix) for fix in _find_fixes(body, target, ready if current else {})],
    }


def _find_fixes(body: dict[str, Any], target: Target, ready: dict[str, Any]) -> Iterator[Fix]:
    """Yield what mends the fabric; what would change a deployment is left out, as there is none in question."""
    if ready.get("status", "Unknown") == "True" or "reason" not in ready:
        return
    spec = {"transport": {"fabricRef": {"name": body["metadata"]["name"]}}}
    nodes = list_fabric_nodes(body)
    situation = Situation(target, spec, ready.get("message", ""), without_rdma=nodes, fabric=body)
    for fix in find_fixes(ready["reason"], situation):
        if not any(isinstance(step, Edit) for step in fix.steps):
            yield fix


def list_rows(documents: Sequence[Document]) -> tuple[Sequence[str], list[Sequence[str]]]:
    """Return titles and rows of the table."""
    return _COLUMNS, [
        (
            item["name"],
            item["ready"],
            item["mode"] or "-",
            item["type"] or "-",
            item["resourceName"] or "-",
            _count_nodes(item),
            "-" if item["deployments"] is None else str(item["deployments"]),
            item["reason"],
        )
        for item in documents
    ]


def format_fabric(document: Document) -> Iterator[Line]:
    """Yield a fabric for people."""
    yield Line(f"{document['name']}: {document['mode']}, {document['type']}, {document['resourceName']}", "bold")
    yield Line(f"Ready is {document['ready']}: {document['reason']}", "" if document["ready"] == "True" else "red")
    yield Line(f"  {document['message']}", "dim")
    served = document["namespaces"]
    yield Line(f"Namespaces: {', '.join(served) if served else 'all'}. Nodes ready: {_count_nodes(document)}.")
    faulty = [
        f"{item['reason']}: {item['count']}, for instance {', '.join(item['examples'])}"
        for item in document["nodes"]["faulty"]
    ]
    yield from _format_list("Nodes that are not ready", faulty)
    yield from _format_list("Objects", [_format_object(item) for item in document["objects"]])
    others = [
        f"{item['type']} is {item['status']}: {item['reason']}"
        for item in document["conditions"]
        if item["type"] != FabricCondition.READY
    ]
    yield from _format_list("Conditions", others)
    yield from _format_list("Unverified, as it cannot be proven from outside a pod", document["unverified"])
    if document["fix"]:
        yield Line()
        yield Line("Fix", "bold")
        yield from format_fixes(document["fix"])


def _format_object(item: dict[str, Any]) -> str:
    where = "/".join(filter(None, (item.get("namespace"), item["name"])))
    return f"{item['state']:<9} {item['kind']} {where}" + (f" ({item['reason']})" if item.get("reason") else "")


def _format_list(title: str, lines: Sequence[str]) -> Iterator[Line]:
    if lines:
        yield Line()
        yield Line(title, "bold")
    yield from (Line(f"  {line}") for line in lines)


def _count_nodes(document: Document) -> str:
    nodes = document["nodes"]
    return "-" if nodes["ready"] is None else f"{nodes['ready']}/{nodes['selected']}"
