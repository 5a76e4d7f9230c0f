"""One pass over one deployment: observe, check, decide, plan, execute, summarize. Everything it knows, it reads anew.

A pass may end anywhere, by crash or by error, and the next one finds its way from what is in the cluster.
"""

import logging
import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any, Final

from inference_cache.api.parsing import parse_spec
from inference_cache.domain.assemble import Assembly, Platform, assemble
from inference_cache.domain.deployment_capacity import check_payoff, plan_deployment, summarize_capacity
from inference_cache.domain.desired import build_desired
from inference_cache.domain.kinds import DEPLOYMENT, STATEFUL_SET
from inference_cache.domain.live import Live
from inference_cache.domain.node_policy import check_nodes
from inference_cache.domain.plan import Obstacle, Plan, plan_writes
from inference_cache.domain.pod_facts import PodFacts
from inference_cache.domain.preflight import check_credentials, check_object_store
from inference_cache.domain.reasons import Reason
from inference_cache.domain.rollout import ReplacementPlan, plan_replacements
from inference_cache.domain.scope import Identity, Scope
from inference_cache.domain.sharing import summarize_sharing
from inference_cache.domain.summary import Outcome, find_blocker, summarize, summarize_failure
from inference_cache.domain.verdict import ConditionType, Verdict, bad
from inference_cache.domain.workload_state import WorkloadState, check_workload, observe_workload

from .cache import NamespacedName, ObjectCache
from .condition_metrics import forget_conditions, publish_conditions
from .errors import ClusterError, ConflictError, GoneError, NotLeaderError, RefusedError, UnavailableError
from .events import EventRecorder, Notice
from .execute import Execution, Executor
from .gateway import Gateway
from .nodes import NodeReflector
from .prerequisites import PrerequisiteReader

_log = logging.getLogger(__name__)

# How long until an obstacle is looked at again; what stands in the way is often something that is not watched.
_OBSTACLE_SECONDS: Final[dict[Reason, float]] = {Reason.ChildTerminating: 1.0, Reason.NameConflict: 10.0}
_OTHER_OBSTACLE_SECONDS: Final = 15.0
_AGAIN_SECONDS: Final = 0.2
_LAST_AGAIN_SECONDS: Final = 15.0
# A busy or restarting API server is not worth a status write; one that fails the same deployment again and again is.
_LASTING_FAILURES: Final = 3


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")


class Reconciler:
    """Brings one deployment at a time to its specification."""

    def __init__(
        self,
        *,
        gateway: Gateway,
        cache: ObjectCache,
        nodes: NodeReflector,
        prerequisites: PrerequisiteReader,
        events: EventRecorder,
        platform: Callable[[], Platform],
        now: Callable[[], str] = _now,
    ) -> None:
        self._gateway = gateway
        self._cache = cache
        self._nodes = nodes
        self._prerequisites = prerequisites
        self._events = events
        self._platform = platform
        self._now = now
        self._executor = Executor(gateway, cache)
        self._uids: dict[NamespacedName, str] = {}
        self._repeated: dict[NamespacedName, int] = {}
        self._failures: dict[NamespacedName, int] = {}

    async def reconcile(self, key: NamespacedName) -> float | None:
        """Do one pass; returns the seconds after which another one is due, or None where only a change calls for one.

        Raises:
            ClusterError: The API server failed or refused; try again with backoff.
        """
        deployment = self._cache.deployment(key)
        uid = deployment["metadata"]["uid"] if deployment else None
        if (known := self._uids.get(key)) is not None and known != uid:
            self._forget(key, known)
        if deployment is None or uid is None:
            return None
        self._uids[key] = uid
        try:
            delay = await self._reconcile_existing(key, deployment, uid)
        except Exception as error:
            await self._report_failure(Identity(key[1], key[0], uid), deployment, error)
            raise
        self._failures.pop(key, None)
        return delay

    async def _reconcile_existing(self, key: NamespacedName, deployment: dict[str, Any], uid: str) -> float | None:
        if "deletionTimestamp" in deployment["metadata"]:
            # No external state: the garbage collector deletes the children by their owner references.
            return None
        identity = Identity(key[1], key[0], uid)
        spec = parse_spec(identity.name, deployment.get("spec", {}))
        if isinstance(spec, list):
            verdict = bad(ConditionType.SPEC_VALID, Reason.SpecInvalid, "; ".join(str(item) for item in spec) + ".")
            await self._report(identity, deployment, self._describe_invalid(identity, deployment, verdict), [])
            return None
        return await self._reconcile_valid(identity, deployment, assemble(identity, spec, self._platform()))

    def _describe_invalid(self, identity: Identity, deployment: dict[str, Any], verdict: Verdict) -> Outcome:
        """Return what is known although nothing can be rendered: the pods that run go on, and their counts stay true."""
        key = (identity.namespace, identity.name)
        workload, pods = self._find_workload(key), self._own_pods(key)
        wanted = workload.body["spec"].get("replicas", 1) if workload else 0
        state = observe_workload(workload, pods, wanted)
        return Outcome(
            name=identity.name,
            generation=deployment["metadata"]["generation"],
            scope=None,
            checks=(verdict,),
            workload=check_workload(state, pods, verdict) if state.exists else None,
            state=state if state.exists else None,
            held=state.exists,
        )

    async def _reconcile_valid(
        self, identity: Identity, deployment: dict[str, Any], assembly: Assembly
    ) -> float | None:
        scope = assembly.scope or assembly.stand_in
        if scope is None:
            raise TypeError("an assembly without scope has a stand-in")
        key = (identity.namespace, identity.name)
        generation = deployment["metadata"]["generation"]
        before, _ = self._observe_workload(key, scope)
        healthy = before.exists and before.ready >= before.wanted
        prerequisites = await self._prerequisites.observe(identity, generation, scope.settled, healthy=healthy)
        node_verdict, node_status = check_nodes(scope.settled, self._nodes.snapshot())
        checks = (
            *assembly.checks,
            node_verdict,
            check_credentials(scope.settled, prerequisites.secrets),
            check_object_store(scope.settled, prerequisites.bucket, prerequisites.authorities),
        )
        blocker = find_blocker(checks)
        pods = self._cache.pods(key)
        plan = plan_writes(identity, build_desired(scope), self._cache.children(key), pods, hold=blocker is not None)
        existed = bool(self._cache.children(key))
        execution = await self._executor.execute(identity, plan.actions, repairing=existed)
        if execution.failure is not None:
            raise execution.failure
        state, replacement = self._observe_workload(key, scope)
        notices = execution.notices()
        stopped = plan.held or plan.obstacles or execution.obstacles or execution.again or blocker is not None
        if not stopped:
            deleted = await self._replace_pods(identity, replacement, state, execution)
            notices += [
                Notice(Reason.PodReplaced, f"Deleted pod {name} of an older specification.") for name in deleted
            ]
        obstacles = (*plan.obstacles, *execution.obstacles)
        capacity = plan_deployment(scope.settled)
        unrendered = assembly.scope is None and state.exists
        outcome = Outcome(
            name=identity.name,
            generation=generation,
            scope=assembly.scope,
            checks=checks,
            workload=None
            if blocker and not state.exists and not obstacles
            else check_workload(state, self._own_pods(key), blocker),
            state=state,
            nodes=node_status,
            payoff=check_payoff(scope.settled, capacity),
            capacity=summarize_capacity(capacity),
            sharing=summarize_sharing(identity.namespace, identity.name, self._cache.sharers(key)),
            obstacles=obstacles,
            held=plan.held or unrendered,
            outdated=replacement.outdated,
        )
        await self._report(identity, deployment, outcome, notices)
        return self._next_look(key, plan, execution, prerequisites.look_again)

    async def _replace_pods(
        self, identity: Identity, replacement: ReplacementPlan, state: WorkloadState, execution: Execution
    ) -> list[str]:
        try:
            return await self._executor.replace_pods(identity, replacement.delete, state.update_revision)
        except RefusedError as error:
            execution.obstacles.append(Obstacle(error.reason, str(error)))
            return []

    def _observe_workload(self, key: NamespacedName, scope: Scope) -> tuple[WorkloadState, ReplacementPlan]:
        workload = self._find_workload(key)
        pods = self._own_pods(key)
        settled = scope.settled
        state = observe_workload(workload, pods, settled.replicas)
        if not state.settled:
            return state, ReplacementPlan((), 0)
        return state, plan_replacements(pods, state.update_revision, settled.replicas, settled.max_unavailable)

    def _find_workload(self, key: NamespacedName) -> Live | None:
        ours = (None, self._uids.get(key))
        for item in self._cache.children(key):
            if item.kind is STATEFUL_SET and item.name == key[1] and item.controller_uid in ours:
                return item
        return None

    def _own_pods(self, key: NamespacedName) -> list[PodFacts]:
        """Return the pods of our StatefulSet; a pod that only carries our labels belongs to somebody else."""
        workload = self._find_workload(key)
        return [pod for pod in self._cache.pods(key) if workload is not None and pod.controller_uid == workload.uid]

    def _next_look(self, key: NamespacedName, plan: Plan, execution: Execution, look_again: float) -> float | None:
        obstacles = (*plan.obstacles, *execution.obstacles)
        if execution.again:
            repeated = self._repeated[key] = self._repeated.get(key, -1) + 1
            return min(_LAST_AGAIN_SECONDS, _AGAIN_SECONDS * 2.0 ** min(repeated, 10))
        self._repeated.pop(key, None)
        delays = [max(0.0, look_again - time.monotonic())]
        delays += [_OBSTACLE_SECONDS.get(item.reason, _OTHER_OBSTACLE_SECONDS) for item in obstacles]
        return min(delays)

    async def _report_failure(self, identity: Identity, deployment: dict[str, Any], error: Exception) -> None:
        """Say in the status why passes fail, as far as that can be written; the queue repeats the pass with backoff."""
        key = (identity.namespace, identity.name)
        failures = self._failures[key] = self._failures.get(key, 0) + 1
        passing = isinstance(error, UnavailableError | ConflictError | GoneError)
        if isinstance(error, NotLeaderError) or (passing and failures < _LASTING_FAILURES):
            return
        if isinstance(error, RefusedError):
            reason, detail = error.reason, str(error)
        elif isinstance(error, ClusterError):
            reason, detail = Reason.RequestsFailing, str(error)
        else:
            # Its text may quote anything, such as a Secret's value.
            reason, detail = Reason.InternalError, type(error).__name__
        current = self._cache.deployment(key) or deployment
        previous = current.get("status")
        status = summarize_failure(previous, current["metadata"]["generation"], reason, detail, self._now())
        if status == previous:
            return
        try:
            self._cache_status(await self._gateway.apply_status(identity, status))
            await self._events.emit(identity, [Notice(reason, f"{reason.meaning} {detail}", warning=True)])
        except ClusterError as failure:
            _log.warning("failure not reported in the status", extra={"error": str(failure)[:500]})

    async def _report(
        self, identity: Identity, deployment: dict[str, Any], outcome: Outcome, notices: list[Notice]
    ) -> None:
        previous = deployment.get("status")
        status = summarize(outcome, previous, self._now())
        publish_conditions(identity, status)
        if status != previous:
            try:
                self._cache_status(await self._gateway.apply_status(identity, status))
            except GoneError:
                return
        await self._events.emit(identity, [*notices, *_list_transitions(previous, status)])

    def _cache_status(self, deployment: dict[str, Any]) -> None:
        self._cache.upsert(DEPLOYMENT, deployment)

    def _forget(self, key: NamespacedName, uid: str) -> None:
        del self._uids[key]
        self._repeated.pop(key, None)
        self._failures.pop(key, None)
        self._prerequisites.forget(uid)
        forget_conditions(key)


def _list_transitions(previous: dict[str, Any] | None, status: dict[str, Any]) -> list[Notice]:
    def ready(state: dict[str, Any] | None) -> dict[str, Any]:
        items = (state or {}).get("conditions", [])
        return next((item for item in items if item["type"] == ConditionType.READY.value), {})

    before, after = ready(previous), ready(status)
    if (before.get("status"), before.get("reason")) == (after["status"], after["reason"]):
        return []
    reason = Reason[after["reason"]]
    waiting = {Reason.PodsStarting, Reason.Scaling, Reason.ReplacingPods}
    if after["status"] != "True" and reason in waiting:
        return []
    return [Notice(reason, after["message"], warning=after["status"] != "True" or reason is Reason.CacheDegraded)]
