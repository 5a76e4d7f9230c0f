"""Reads what an explanation needs of one deployment: itself, pods, workload, events, nodes, fabric and the operator's Lease."""

import asyncio
from collections.abc import Awaitable
from datetime import UTC, datetime
from typing import Any, Final, TypeVar

from inference_cache.domain import names
from inference_cache.domain.explain_transport import asks_for_rdma
from inference_cache.domain.explanation import Observation
from inference_cache.domain.kinds import DEPLOYMENT, LEASE, POD, STATEFUL_SET, Kind
from inference_cache.domain.pod_facts import project_pod
from inference_cache.domain.pod_trouble import EventFacts, project_event, project_troubles

from .cluster_reader import ClusterReader, ForbiddenError, NotServedError
from .evidence_reader import read_evidence

_MAX_EVENTS: Final = 500
_LEASE_SECONDS: Final = 60
_CORE_EVENT: Final = Kind("v1", "Event", "events")

Object = dict[str, Any]
T = TypeVar("T")


async def observe(reader: ClusterReader, namespace: str, name: str, operator_namespace: str) -> Observation:
    """Return what an explanation needs. What the user may not read is left out and named."""
    deployment = await reader.read_deployment(namespace, name)
    unread: list[str] = []

    async def attempt(reading: Awaitable[T], missing: T) -> T:
        try:
            return await reading
        except (ForbiddenError, NotServedError) as error:
            unread.append(str(error))
            return missing

    spec = deployment.get("spec") or {}
    (pods, workload, events), (nodes, fabric, lease) = await asyncio.gather(
        asyncio.gather(
            attempt(_read_pods(reader, namespace, name), None),
            attempt(reader.read(STATEFUL_SET, namespace, name), None),
            attempt(_read_events(reader, namespace, name), ()),
        ),
        asyncio.gather(
            attempt(read_evidence(reader), None),
            attempt(reader.read_fabric(spec), None),
            attempt(_describe_lease(reader, operator_namespace), ""),
        ),
    )
    if nodes is not None and asks_for_rdma(spec):
        unread += [f"{source}: {cause}" for source, cause in sorted(nodes.sources.unreadable.items())]
    return Observation(
        deployment=deployment,
        pods=None if pods is None else tuple(project_pod(pod) for pod in pods),
        troubles=tuple(trouble for pod in pods or () for trouble in project_troubles(pod)),
        workload=workload,
        events=events,
        nodes=None if nodes is None else nodes.nodes,
        fabric=fabric,
        lease=lease,
        unread=tuple(unread),
    )


async def _read_pods(reader: ClusterReader, namespace: str, name: str) -> list[Object] | None:
    selector = names.selector_text(name)
    return [pod async for pod in reader.list_items(POD, namespace, labelSelector=selector)]


async def _read_events(reader: ClusterReader, namespace: str, name: str) -> tuple[EventFacts, ...]:
    """Return warnings about the deployment, its StatefulSet and its pods."""
    about = {f"{DEPLOYMENT.name}/{name}", f"{STATEFUL_SET.name}/{name}"}
    found: list[EventFacts] = []
    count = 0
    async for event in reader.list_items(_CORE_EVENT, namespace, fieldSelector="type!=Normal"):
        count += 1
        facts = project_event(event)
        pod = facts.about.removeprefix(f"{POD.name}/{name}-")
        if facts.about in about or (pod != facts.about and pod.isdecimal()):
            found.append(facts)
        if count >= _MAX_EVENTS:
            break
    return tuple(found)


async def _describe_lease(reader: ClusterReader, namespace: str) -> str:
    lease = await reader.read(LEASE, namespace, names.LEASE_NAME)
    if lease is None:
        return f"There is no Lease {names.LEASE_NAME} in namespace {namespace}: no operator has run there. If it is installed elsewhere, use --operator-namespace."
    spec = lease.get("spec", {})
    renewed = spec.get("renewTime")
    if not renewed or not spec.get("holderIdentity"):
        return f"Nobody holds the Lease {names.LEASE_NAME}: no operator leads."
    age = (datetime.now(UTC) - datetime.fromisoformat(renewed)).total_seconds()
    state = "so an operator leads" if age < _LEASE_SECONDS else "so no operator leads any more"
    return f"{spec['holderIdentity']} renewed the operator's Lease {age:.0f} seconds ago, {state}."
