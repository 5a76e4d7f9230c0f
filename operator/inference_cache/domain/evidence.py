"""What was seen that supports an explanation: pods, events, who manages the object, and what is in effect."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from .explanation import Link, Observation
from .reasons import Reason

_MAX_EVENTS: Final = 5
_MAX_TROUBLES: Final = 5
_MANAGERS: Final[Mapping[str, str]] = {
    "argocd.argoproj.io/tracking-id": "Argo CD",
    "argocd.argoproj.io/instance": "Argo CD",
    "kustomize.toolkit.fluxcd.io/name": "Flux",
    "helm.toolkit.fluxcd.io/name": "Flux",
    "meta.helm.sh/release-name": "Helm",
}


def list_evidence(seen: Observation, chain: Sequence[Link]) -> Iterator[str]:
    """Yield what a reader should know beside the conditions."""
    metadata = seen.deployment["metadata"]
    labels = {**metadata.get("labels", {}), **metadata.get("annotations", {})}
    managers = sorted({tool for key, tool in _MANAGERS.items() if key in labels})
    if managers:
        yield f"{', '.join(managers)} manages this deployment: make edits of its spec there, or they are undone."
    for trouble in seen.troubles[:_MAX_TROUBLES]:
        yield str(trouble)
    workload = seen.workload
    if workload is not None:
        wanted, created = workload.get("spec", {}).get("replicas", 0), workload.get("status", {}).get("replicas", 0)
        if created < wanted:
            yield f"StatefulSet {metadata['name']} has created {created} of {wanted} pods."
    serving = sum(pod.ready for pod in seen.pods or ())
    reasons = {item["reason"] for item in (seen.deployment.get("status") or {}).get("conditions", [])}
    # Objects in the way hold nothing back that pods would need; a check that fails does.
    if Reason.ChangeHeld.name in reasons and len(chain) > 1:
        yield f"The change of the spec is held back until this is mended; {count(serving, 'pod')} of the earlier one serve on."
    yield from list_events(seen, chain)


def list_events(seen: Observation, chain: Sequence[Link]) -> list[str]:
    """Return the newest warnings that say more than the conditions do."""
    told = {link.message for link in chain}
    news = [event for event in seen.events if event.message not in told]
    return [str(event) for event in sorted(news, key=lambda item: item.last, reverse=True)[:_MAX_EVENTS]]


def count(number: int, word: str) -> str:
    """Return a number with its word, in the plural where it has to be."""
    return f"{number} {word}{'' if number == 1 else 's'}"


def describe_effect(status: Mapping[str, Any]) -> dict[str, str]:
    """Return what the operator rendered and counted, by name."""
    rendered, nodes = status.get("rendered") or {}, status.get("nodes") or {}
    found = {
        "engineImage": rendered.get("engineImage"),
        "versions": f"vLLM {rendered['vllm']}, LMCache {rendered['lmcache']}" if rendered.get("vllm") else None,
        "cacheTiers": rendered.get("tiers"),
        "transport": _describe_transport(status) or rendered.get("transport"),
        "layoutFingerprint": status.get("cacheFingerprint"),
        "pods": f"{status.get('readyReplicas', 0)} of {status.get('replicas', 0)} ready"
        if "replicas" in status
        else None,
        "nodes": f"{nodes['eligible']} of {nodes['candidates']} candidates are eligible" if nodes else None,
        "rdmaNodes": f"{nodes['rdma']} of {nodes['eligible']} eligible nodes" if "rdma" in nodes else None,
    }
    return {name: value for name, value in found.items() if value}


def _describe_transport(status: Mapping[str, Any]) -> str | None:
    """Return what pods run over, and what speaks for it where that is RDMA."""
    transport = status.get("transport")
    if not transport or transport["effective"] == "no pods":
        return None
    evidence = transport["evidence"]
    return str(transport["effective"]) + (f" ({evidence.lower()})" if evidence != "None" else "")
