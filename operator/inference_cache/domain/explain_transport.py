"""From a cause about RDMA down to what can be mended: fabric, its objects, nodes, and what the preflight of pods found."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from inference_cache.api.parsing import parse_spec
from inference_cache.api.status import NodeReasonCount

from .attachment import Attachment, Variant
from .defaults import settle
from .explanation import Link, Observation
from .fabric.facts import project_fabric
from .node_checks import Finding
from .node_matrix import Judgement, Matrix
from .reasons import Reason
from .transport_intent import resolve_attachment
from .verdict import ConditionType, FabricCondition

# Causes that nodes explain.
_OF_NODES: Final = frozenset({Reason.RDMAUnavailable, Reason.RDMAPartial, Reason.RDMARolloutConverging})
# Causes that the fabric explains.
_OF_FABRIC: Final = frozenset({Reason.FabricNotReady})
_OF_FABRIC_STATUS: Final = (FabricCondition.SPEC_VALID, FabricCondition.OBJECTS_READY, FabricCondition.NODES_READY)
_MOST_DETAILS: Final = 3
# Passes by itself, or is taken up when it suits.
_QUIET: Final = frozenset(
    {Reason.TransportUnknown, Reason.RDMARecovered, Reason.RDMAReturning, Reason.RDMARolloutConverging}
)

Counts = Sequence[Mapping[str, Any]]


def find_degradation(conditions: Mapping[str, Any]) -> Mapping[str, Any] | None:
    """Return the condition TransportDegraded where someone should look after it."""
    item = conditions.get(ConditionType.TRANSPORT_DEGRADED)
    if item is None or item["status"] != "True" or item["reason"] in {reason.name for reason in _QUIET}:
        return None
    found: Mapping[str, Any] = item
    return found


def asks_for_rdma(spec: Mapping[str, Any]) -> bool:
    """Whether a spec names an RDMA fabric or devices and does not insist on TCP."""
    transport = spec.get("transport") or {}
    return transport.get("policy") != "TCP" and bool(transport.get("fabricRef") or transport.get("rdma"))


def requires_rdma(spec: Mapping[str, Any]) -> bool:
    """Whether nothing but RDMA will do."""
    return (spec.get("transport") or {}).get("policy") == "RequireRDMA"


def find_attachment(namespace: str, name: str, spec: Mapping[str, Any], fabric: Any) -> Attachment | None:
    """Return what one RDMA pod would get; None where nobody asks for RDMA or nobody can tell.

    Args:
        namespace: The deployment's.
        name: The deployment's.
        spec: As stored.
        fabric: The InferenceCacheFabric that it names, as stored; None where it could not be read.
    """
    parsed = parse_spec(name, spec)
    if isinstance(parsed, list):
        return None
    found = resolve_attachment(settle(parsed), project_fabric(fabric) if fabric else None, namespace)
    return found if isinstance(found, Attachment) else None


def follow(root: Link, seen: Observation) -> tuple[Link, ...]:
    """Return the steps below a cause, in order; empty where it says all that is known."""
    reason = Reason.__members__.get(root.reason)
    if reason in _OF_FABRIC:
        return tuple(_follow_fabric(seen.fabric))
    if reason in _OF_NODES:
        nodes = (seen.deployment.get("status") or {}).get("nodes") or {}
        return tuple(list_nodes(seen, nodes.get("withoutRdma") or []))
    if root.subject == ConditionType.TRANSPORT_DEGRADED or _comes_from_preflight(root, seen):
        return tuple(_list_pods(root, seen))
    return ()


def list_fabric_nodes(fabric: Mapping[str, Any] | None) -> tuple[NodeReasonCount, ...]:
    """Return why nodes of a fabric are not ready for it."""
    faulty: Counts = (((fabric or {}).get("status") or {}).get("nodes") or {}).get("faulty") or []
    return read_counts(faulty)


def read_counts(items: Counts) -> tuple[NodeReasonCount, ...]:
    """Return counts of nodes by reason as the status holds them."""
    return tuple(
        NodeReasonCount(reason=item["reason"], count=item["count"], examples=item["examples"]) for item in items
    )


def list_nodes(seen: Observation, items: Counts) -> Iterator[Link]:
    """Yield a detail for each reason of nodes, with what was seen on an example."""
    judged = _judge(seen, {name for item in items for name in item["examples"]})
    for item in items:
        reason = Reason.__members__.get(item["reason"])
        count = f"{item['count']} node{'' if item['count'] == 1 else 's'}"
        text = f"{count}, for instance {', '.join(item['examples'])}."
        finding = _find_finding(judged, item)
        if finding is not None:
            text = f"{text[:-1]}: {finding.detail}."
        yield Link("Nodes", "False", item["reason"], f"{reason.meaning if reason else ''} {text}".strip(), detail=True)


def _follow_fabric(fabric: Mapping[str, Any] | None) -> Iterator[Link]:
    if fabric is None:
        return
    name, status = fabric["metadata"]["name"], fabric.get("status") or {}
    conditions = {item["type"]: item for item in status.get("conditions") or []}
    for kind in _OF_FABRIC_STATUS:
        item = conditions.get(kind)
        if item is not None and item["status"] != "True":
            yield Link(f"{kind} of fabric {name}", item["status"], item["reason"], item["message"])
            break
    faulty = [item for item in status.get("objects") or [] if item.get("reason")]
    for item in faulty[:_MOST_DETAILS]:
        reason = Reason.__members__.get(item["reason"])
        where = "/".join(filter(None, (item.get("namespace"), item["name"])))
        text = reason.meaning if reason else ""
        yield Link(f"{item['kind']} {where}", item["state"], item["reason"], text, detail=True)


def _comes_from_preflight(root: Link, seen: Observation) -> bool:
    """Whether pods do not start because their preflight found the cause, as with RDMA required."""
    reports = (pod.transport.preflight for pod in seen.pods or ())
    return root.subject == ConditionType.WORKLOAD_AVAILABLE and any(
        report is not None and report.reason is not None and report.reason.name == root.reason for report in reports
    )


def _list_pods(root: Link, seen: Observation) -> Iterator[Link]:
    told = [pod for pod in seen.pods or () if pod.transport.preflight is not None and not pod.terminating]
    listed = [
        (pod.name, report.transport, report.reason, report.detail)
        for pod in told
        if (report := pod.transport.preflight) is not None and report.transport is not Variant.RDMA
    ]
    # The pods of the condition's own reason first.
    listed.sort(key=lambda item: (item[2] is None or item[2].name != root.reason, item[0]))
    for name, transport, reason, detail in listed[:_MOST_DETAILS]:
        state = "without RDMA" if transport is Variant.NONE else f"on {transport}"
        yield Link(f"Pod {name}", state, reason.name if reason else "", detail, detail=True)


def _judge(seen: Observation, names: set[str]) -> dict[str, Judgement]:
    body = seen.deployment
    metadata, spec = body["metadata"], body.get("spec") or {}
    attachment = find_attachment(metadata.get("namespace", ""), metadata["name"], spec, seen.fabric)
    matrix = Matrix(metadata["name"], attachment)
    nodes = (node for node in seen.nodes or () if node.facts.name in names)
    found = ((node.facts.name, matrix.judge(spec, node)) for node in nodes)
    return {name: judged for name, judged in found if judged is not None}


def _find_finding(judged: Mapping[str, Judgement], item: Mapping[str, Any]) -> Finding | None:
    for name in item["examples"]:
        known = judged.get(name)
        for finding in (*known.findings, *known.rdma_findings) if known else ():
            if finding.reason.name == item["reason"]:
                return finding
    return None
