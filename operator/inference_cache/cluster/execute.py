"""Carries out a plan: independent writes at the same time, the StatefulSet after what its pods refer to.

One failed write does not stop the others; what failed comes back as obstacles, or as the error that calls for a retry.
"""

import asyncio
from dataclasses import dataclass, field

from inference_cache.domain.kinds import CONFIG_MAP, POD, RESOURCE_CLAIM_TEMPLATE, SERVICE_ACCOUNT, STATEFUL_SET
from inference_cache.domain.live import project_live
from inference_cache.domain.plan import Action, Apply, Cause, Create, Delete, Obstacle, Scale, check_ownership
from inference_cache.domain.pod_facts import PodFacts, project_pod
from inference_cache.domain.reasons import Reason
from inference_cache.domain.scope import Identity

from . import metrics
from .cache import ObjectCache
from .errors import AlreadyExistsError, ClusterError, ConflictError, GoneError, RefusedError
from .events import Notice
from .gateway import Gateway

# Pods refer to these, so they must exist before the StatefulSet creates pods.
_REFERRED = frozenset({SERVICE_ACCOUNT, CONFIG_MAP, RESOURCE_CLAIM_TEMPLATE})


@dataclass
class Execution:
    """What came of a plan.

    Attributes:
        again: Whether the observation was out of date, so that the pass should be repeated soon.
        failure: The first error that calls for a retry with backoff.
    """

    obstacles: list[Obstacle] = field(default_factory=list)
    created: list[str] = field(default_factory=list)
    updated: list[str] = field(default_factory=list)
    repaired: list[str] = field(default_factory=list)
    pruned: list[str] = field(default_factory=list)
    again: bool = False
    failure: ClusterError | None = None

    def notices(self) -> list[Notice]:
        """Return what is worth an Event."""
        found = []
        for reason, items in (
            (Reason.Created, self.created),
            (Reason.Updated, self.updated),
            (Reason.DriftCorrected, self.repaired),
            (Reason.Pruned, self.pruned),
        ):
            if items:
                found.append(Notice(reason, f"{reason.name}: {', '.join(sorted(items))}."))
        return found


class Executor:
    """Writes to the cluster what a plan says, and tells the cache."""

    def __init__(self, gateway: Gateway, cache: ObjectCache) -> None:
        self._gateway = gateway
        self._cache = cache

    async def execute(self, identity: Identity, actions: tuple[Action, ...], *, repairing: bool) -> Execution:
        """Carry out the actions.

        Args:
            identity: The deployment.
            actions: What to do.
            repairing: Whether the deployment existed before, so that a missing object was lost rather than new.
        """
        execution = Execution()
        first = [
            action
            for action in actions
            if isinstance(action, Create | Apply) and action.manifest.kind is not STATEFUL_SET
        ]
        workload = [
            action for action in actions if isinstance(action, Create | Apply) and action.manifest.kind is STATEFUL_SET
        ]
        tasks = {
            asyncio.create_task(self._carry_out(identity, action, execution, repairing=repairing)): action
            for action in first
        }
        referred = [task for task, action in tasks.items() if action.manifest.kind in _REFERRED]
        if referred and workload:
            await asyncio.wait(referred)
        if not execution.obstacles and execution.failure is None:
            for action in workload:
                await self._carry_out(identity, action, execution, repairing=repairing)
            for scaled in actions:
                if isinstance(scaled, Scale):
                    await self._carry_out(identity, scaled, execution, repairing=repairing)
        if tasks:
            await asyncio.wait(tasks)
        if not execution.obstacles and execution.failure is None and not execution.again:
            for pruned in actions:
                if isinstance(pruned, Delete):
                    await self._carry_out(identity, pruned, execution, repairing=repairing)
        return execution

    async def replace_pods(self, identity: Identity, pods: tuple[PodFacts, ...], update_revision: str) -> list[str]:
        """Delete pods after a live look at each, as long as new ones would be of that revision; returns the names of those deleted."""
        if not pods:
            return []
        current = await self._gateway.read(STATEFUL_SET, identity.namespace, identity.name)
        if current is None or current.get("status", {}).get("updateRevision") != update_revision:
            return []
        controller = current["metadata"]["uid"]
        return [pod.name for pod in pods if await self._delete_pod(pod, controller)]

    async def remove_pod(self, pod: PodFacts) -> bool:
        """Delete a pod that the kubelet refused, after a live look; returns whether it was deleted."""
        return await self._delete_pod(pod, pod.controller_uid)

    async def _delete_pod(self, pod: PodFacts, controller: str | None) -> bool:
        """Delete a pod if it still is what the decision was made from."""
        live = await self._gateway.read(POD, pod.namespace, pod.name)
        if live is None:
            return False
        facts = project_pod(live)
        seen = (pod.uid, pod.make, pod.ready, pod.refused, controller)
        if facts.terminating or (facts.uid, facts.make, facts.ready, facts.refused, facts.controller_uid) != seen:
            return False
        await self._gateway.delete(POD, pod.namespace, pod.name, uid=facts.uid, resource_version=facts.resource_version)
        metrics.writes.labels(POD.name, "delete").inc()
        return True

    async def _carry_out(self, identity: Identity, action: Action, execution: Execution, *, repairing: bool) -> None:
        try:
            match action:
                case Create():
                    await self._create(identity, action, execution, repairing=repairing)
                case Apply():
                    live = await self._gateway.apply(action.manifest, action.live)
                    self._cache.upsert(live.kind, live.body)
                    what = f"{live.kind} {live.name}"
                    (execution.repaired if action.cause is Cause.DRIFT else execution.updated).append(what)
                    metrics.writes.labels(live.kind.name, "apply").inc()
                case Scale():
                    live = await self._gateway.scale(action.live, action.replicas)
                    self._cache.upsert(live.kind, live.body)
                    execution.updated.append(f"{live.kind} {live.name}")
                    metrics.writes.labels(live.kind.name, "scale").inc()
                case Delete():
                    await self._delete(action, execution)
        except GoneError:
            if isinstance(action, Apply | Scale | Delete):
                self._cache.remove(action.live.kind, action.live.namespace, action.live.name, action.live.uid)
            execution.again = True
        except ConflictError:
            execution.again = True
        except RefusedError as error:
            execution.obstacles.append(Obstacle(error.reason, str(error)))
        except ClusterError as error:
            execution.failure = execution.failure or error

    async def _create(self, identity: Identity, action: Create, execution: Execution, *, repairing: bool) -> None:
        manifest = action.manifest
        what = f"{manifest.kind} {manifest.name}"
        try:
            live = await self._gateway.create(manifest)
        except AlreadyExistsError:
            found = await self._gateway.read(manifest.kind, manifest.namespace, manifest.name)
            if found is None:
                execution.again = True
                return
            current = project_live(manifest.kind, found)
            obstacle = check_ownership(identity, current)
            if obstacle is not None:
                execution.obstacles.append(obstacle)
                return
            # It is ours but was not seen, for instance as it had lost the label that the watch selects by.
            live = await self._gateway.apply(manifest, current)
            self._cache.upsert(live.kind, live.body)
            execution.repaired.append(what)
            metrics.writes.labels(live.kind.name, "apply").inc()
            return
        self._cache.upsert(live.kind, live.body)
        (execution.repaired if repairing else execution.created).append(what)
        metrics.writes.labels(live.kind.name, "create").inc()

    async def _delete(self, action: Delete, execution: Execution) -> None:
        live = action.live
        found = await self._gateway.read(live.kind, live.namespace, live.name)
        if found is None or found["metadata"]["uid"] != live.uid:
            self._cache.remove(live.kind, live.namespace, live.name, live.uid)
            return
        await self._gateway.delete(
            live.kind, live.namespace, live.name, uid=live.uid, resource_version=found["metadata"]["resourceVersion"]
        )
        execution.pruned.append(f"{live.kind} {live.name}")
        metrics.writes.labels(live.kind.name, "delete").inc()
