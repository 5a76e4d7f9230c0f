"""Why a deployment is as it is: from Ready down to the root cause, with evidence and with what mends it.

The status is believed where it speaks of the current spec; where it does not, that is the finding.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from .evidence import count, describe_effect, list_events, list_evidence
from .explain_transport import (
    find_attachment,
    find_degradation,
    follow,
    list_fabric_nodes,
    list_nodes,
    read_counts,
    requires_rdma,
)
from .explanation import Explanation, Link, Observation, Problem, State
from .reasons import Reason
from .remedies import Fix, Situation, Target, find_fixes
from .remedies.control import check_operator
from .verdict import ConditionType

# Conditions that sum up others; every other one speaks of a cause.
_SUMMARIES: Final = frozenset({ConditionType.READY, ConditionType.PROGRESSING, ConditionType.STALLED})
# Advice; it never keeps a deployment from being ready.
_ADVICE: Final = frozenset({ConditionType.CACHE_PAYS_OFF})
# Reasons that point at another condition.
_DERIVED: Final = frozenset(
    {Reason.WorkloadHeld, Reason.NotChecked, Reason.CacheDegraded, Reason.ChangeHeld, Reason.Waiting}
)
_PASSING: Final = frozenset(
    {
        Reason.PodsStarting,
        Reason.ReplacingPods,
        Reason.Scaling,
        Reason.NodesUnknown,
        Reason.PlacementPending,
        Reason.ChildTerminating,
    }
)
_QUIET: Final = _PASSING | {Reason.PayoffUnknown, Reason.TransportUnknown}
# A pass that ends with one of these leaves the rest of the status as it was.
_FAILED_PASS: Final = frozenset({Reason.Forbidden, Reason.WriteRefused, Reason.RequestsFailing, Reason.InternalError})


def explain(seen: Observation, target: Target) -> Explanation:
    """Return why the deployment is as it is, and what mends it."""
    metadata = seen.deployment["metadata"]
    status = seen.deployment.get("status") or {}
    conditions = {item["type"]: item for item in status.get("conditions", [])}
    if "deletionTimestamp" in metadata:
        return _explain_deletion(seen, target)
    if ConditionType.READY not in conditions:
        return _explain_unseen(seen, target)
    failed = _find_failed_pass(conditions, metadata.get("generation", 0))
    if failed is None and status.get("observedGeneration", 0) < metadata.get("generation", 0):
        return _explain_staleness(seen, target, conditions)
    chain = _build_chain(conditions, failed, seen.deployment.get("spec") or {})
    state = _find_state(chain, chain[-1])
    chain = (*chain, *follow(chain[-1], seen))
    root = next(link for link in reversed(chain) if not link.detail)
    if root.reason == Reason.NoEligibleNodes.name:
        chain = (*chain, *list_nodes(seen, (status.get("nodes") or {}).get("ineligible") or []))
    fixes = () if state is State.HEALTHY else find_fixes(root.reason, _build_situation(seen, target, root))
    return Explanation(
        namespace=target.namespace,
        name=target.name,
        state=state,
        summary=_summarize(target, state, chain, root, status),
        chain=chain,
        evidence=() if state is State.HEALTHY else tuple(list_evidence(seen, chain)),
        fixes=fixes,
        others=tuple(_list_others(seen, target, conditions, chain)),
        effect=describe_effect(status),
        unread=seen.unread,
    )


def _explain_deletion(seen: Observation, target: Target) -> Explanation:
    metadata = seen.deployment["metadata"]
    finalizers = metadata.get("finalizers", [])
    left = [f"Pod {pod.name} still exists." for pod in seen.pods or ()]
    why = "Wait: Kubernetes deletes what belongs to it. The operator holds nothing back."
    if finalizers:
        why = f"It goes when the finalizers are gone: {', '.join(finalizers)}. The operator sets none; the controller that did must finish, so look there."
        if finalizers == ["foregroundDeletion"]:
            why = "Wait: it was deleted in the foreground, so it goes after its pods and other objects."
    return Explanation(
        namespace=target.namespace,
        name=target.name,
        state=State.DELETING,
        summary=f"{target.name} is being deleted since {metadata['deletionTimestamp']}.",
        evidence=(*left, *list_events(seen, ())),
        fixes=(Fix(why),),
        unread=seen.unread,
    )


def _explain_unseen(seen: Observation, target: Target) -> Explanation:
    created = seen.deployment["metadata"].get("creationTimestamp", "")
    return Explanation(
        namespace=target.namespace,
        name=target.name,
        state=State.NOT_SEEN,
        summary=f"The operator has not looked at {target.name} yet, which was created at {created}. That takes a second; if it lasts, no operator runs.",
        evidence=tuple(filter(None, (seen.lease, *list_events(seen, ())))),
        fixes=check_operator(_build_situation(seen, target, None)),
        unread=seen.unread,
    )


def _explain_staleness(seen: Observation, target: Target, conditions: Mapping[str, Any]) -> Explanation:
    metadata, status = seen.deployment["metadata"], seen.deployment["status"]
    observed, wanted = status.get("observedGeneration", 0), metadata["generation"]
    chain = tuple(_link(conditions[kind]) for kind in (ConditionType.READY,))
    return Explanation(
        namespace=target.namespace,
        name=target.name,
        state=State.STALE,
        summary=f"The status of {target.name} speaks of generation {observed}, and the spec is at {wanted}: the operator has not acted on the last change. That takes a second; if it lasts, no operator runs.",
        chain=chain,
        evidence=tuple(filter(None, (seen.lease, *list_evidence(seen, chain)))),
        fixes=check_operator(_build_situation(seen, target, None)),
        effect=describe_effect(status),
        unread=seen.unread,
    )


def _find_failed_pass(conditions: Mapping[str, Any], generation: int) -> Link | None:
    """A pass that failed says so in Stalled and Progressing, for the current generation."""
    for kind in (ConditionType.STALLED, ConditionType.PROGRESSING):
        item = conditions.get(kind, {})
        reason = Reason.__members__.get(item.get("reason", ""))
        if reason in _FAILED_PASS and item.get("observedGeneration") == generation:
            return _link(item)
    return None


def _build_chain(conditions: Mapping[str, Any], failed: Link | None, spec: Mapping[str, Any]) -> tuple[Link, ...]:
    ready = _link(conditions[ConditionType.READY])
    if failed is not None:
        return (ready,) if ready.reason == failed.reason else (ready, failed)
    chain = [ready]
    if ready.reason == Reason.Ready.name:
        degraded = find_degradation(conditions)
        return (ready,) if degraded is None else (ready, _link(degraded))
    if ready.status == "True" and ready.reason == Reason.ScaledToZero.name:
        return (ready,)
    # Without a need for RDMA the network holds nothing back, and the transport never does.
    harmless = {ConditionType.TRANSPORT_DEGRADED, *(() if requires_rdma(spec) else (ConditionType.NETWORK_READY,))}
    causes = [
        _link(item)
        for kind, item in conditions.items()
        if kind not in _SUMMARIES | _ADVICE | harmless and item["status"] != "True"
    ]
    derived = [link for link in causes if _is_derived(link)]
    roots = [link for link in causes if not _is_derived(link)]
    same = next((link for link in roots if link.reason == ready.reason), None)
    if same is None and _is_derived(ready) and roots:
        same = roots[0]
    if same is None:
        return tuple(chain)
    # The workload is held, or the bucket not asked, because of the root.
    held = [link for link in derived if link.reason == Reason.WorkloadHeld.name]
    return (*chain, *held, same)


def _find_state(chain: Sequence[Link], root: Link) -> State:
    ready = chain[0]
    if ready.status == "True" and root.reason in {reason.name for reason in _FAILED_PASS}:
        return State.DEGRADED
    if root.subject == ConditionType.TRANSPORT_DEGRADED:
        return State.DEGRADED
    if ready.status == "True":
        known = {Reason.ScaledToZero.name: State.IDLE, Reason.Ready.name: State.HEALTHY}
        return known.get(ready.reason, State.DEGRADED)
    passing = {reason.name for reason in _PASSING}
    return State.PROGRESSING if root.reason in passing else State.BROKEN


def _summarize(target: Target, state: State, chain: Sequence[Link], root: Link, status: Mapping[str, Any]) -> str:
    ready, replicas = status.get("readyReplicas", 0), status.get("replicas", 0)
    pods = f"{ready} of {count(replicas, 'pod')} ready" if replicas else "no pods run"
    match state:
        case State.HEALTHY:
            return f"{target.name} is ready: {root.message}"
        case State.IDLE:
            return f"{target.name} is scaled to zero, as its spec says: nothing serves."
        case State.DEGRADED if root.reason in {reason.name for reason in _FAILED_PASS}:
            return f"{target.name} is as it was ({pods}), and the operator cannot work on it: {root.reason}."
        case State.DEGRADED if any(link.subject == ConditionType.TRANSPORT_DEGRADED for link in chain):
            effective = (status.get("transport") or {}).get("effective", "TCP")
            return f"{target.name} serves, but not over RDMA as its spec prefers (pods run over {effective}): {root.reason} ({pods})."
        case State.DEGRADED:
            return f"{target.name} serves, but its cache does not work as specified: {root.reason} ({pods})."
        case State.PROGRESSING:
            return f"{target.name} is on its way: {root.reason} ({pods})."
        case _:
            return f"{target.name} is not ready because of {root.reason} ({pods})."


def _list_others(
    seen: Observation, target: Target, conditions: Mapping[str, Any], chain: Sequence[Link]
) -> Iterator[Problem]:
    told = {link.subject for link in chain}
    for kind, item in conditions.items():
        link = _link(item)
        if kind in _SUMMARIES or kind in told or _is_good(link) or _is_derived(link):
            continue
        if link.reason in {reason.name for reason in _QUIET} or link.reason in {known.reason for known in chain}:
            continue
        yield Problem(link, find_fixes(link.reason, _build_situation(seen, target, link)))


def _build_situation(seen: Observation, target: Target, link: Link | None) -> Situation:
    status, spec = seen.deployment.get("status") or {}, seen.deployment.get("spec") or {}
    nodes = status.get("nodes") or {}
    return Situation(
        target=target,
        spec=spec,
        message=link.message if link else "",
        ineligible=read_counts(nodes.get("ineligible") or []),
        without_rdma=read_counts(nodes.get("withoutRdma") or []) or list_fabric_nodes(seen.fabric),
        fabric=seen.fabric,
        attachment=find_attachment(target.namespace, target.name, spec, seen.fabric),
        nodes=seen.nodes,
        troubles=seen.troubles,
        events=seen.events,
        ready=status.get("readyReplicas", 0),
    )


def _is_good(link: Link) -> bool:
    return link.status == ("False" if link.subject == ConditionType.TRANSPORT_DEGRADED else "True")


def _is_derived(link: Link) -> bool:
    return link.reason in {reason.name for reason in _DERIVED}


def _link(item: Mapping[str, Any]) -> Link:
    return Link(item["type"], item["status"], item["reason"], item["message"])
