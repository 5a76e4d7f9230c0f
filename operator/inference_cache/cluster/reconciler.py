"""One pass over one deployment: observe, check, decide, plan, execute, summarize. Everything it knows, it reads anew.

A pass may end anywhere, by crash or by error, and the next one finds its way from what is in the cluster.
"""

import time
from collections.abc import Callable
from typing import Any, Final

from inference_cache.api.parsing import parse_spec
from inference_cache.domain.assemble import Assembly, Platform, assemble
from inference_cache.domain.deployment_capacity import check_payoff, plan_deployment, summarize_capacity
from inference_cache.domain.desired import build_desired
from inference_cache.domain.kinds import STATEFUL_SET
from inference_cache.domain.live import Live
from inference_cache.domain.plan import Obstacle, Plan, plan_writes
from inference_cache.domain.pod_facts import PodFacts
from inference_cache.domain.preflight import check_credentials, check_object_store
from inference_cache.domain.reasons import Reason
from inference_cache.domain.refused_pods import Removed, count_removal, plan_removal
from inference_cache.domain.rollout import ReplacementPlan, plan_replacements
from inference_cache.domain.scope import Identity
from inference_cache.domain.sharing import summarize_sharing
from inference_cache.domain.summary import Outcome, find_blocker
from inference_cache.domain.verdict import ConditionType, Verdict, bad
from inference_cache.domain.workload_state import WorkloadState, check_workload, observe_workload

from .cache import NamespacedName, ObjectCache
from .errors import RefusedError
from .events import Notice
from .execute import Execution, Executor
from .gateway import Gateway
from .observation import Observation, Observer
from .prerequisites import PrerequisiteReader
from .reporting import Reporter

# How long until an obstacle is looked at again; what stands in the way is often something that is not watched.
_OBSTACLE_SECONDS: Final[dict[Reason, float]] = {Reason.ChildTerminating: 1.0, Reason.NameConflict: 10.0}
_OTHER_OBSTACLE_SECONDS: Final = 15.0
_AGAIN_SECONDS: Final = 0.2
_LAST_AGAIN_SECONDS: Final = 15.0


class Reconciler:
    """Brings one deployment at a time to its specification."""

    def __init__(
        self,
        *,
        gateway: Gateway,
        cache: ObjectCache,
        observer: Observer,
        prerequisites: PrerequisiteReader,
        reporter: Reporter,
        platform: Callable[[], Platform],
        epoch: Callable[[], float] = time.time,
    ) -> None:
        self._cache = cache
        self._observer = observer
        self._prerequisites = prerequisites
        self._reporter = reporter
        self._platform = platform
        self._epoch = epoch
        self._executor = Executor(gateway, cache)
        self._uids: dict[NamespacedName, str] = {}
        self._repeated: dict[NamespacedName, int] = {}
        self._removed: dict[NamespacedName, Removed] = {}

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
            return await self._reconcile_existing(key, deployment, uid)
        except Exception as error:
            await self._reporter.report_failure(Identity(key[1], key[0], uid), deployment, error)
            raise

    async def _reconcile_existing(self, key: NamespacedName, deployment: dict[str, Any], uid: str) -> float | None:
        if "deletionTimestamp" in deployment["metadata"]:
            # No external state: the garbage collector deletes the children by their owner references.
            return None
        identity = Identity(key[1], key[0], uid)
        spec = parse_spec(identity.name, deployment.get("spec", {}))
        if isinstance(spec, list):
            verdict = bad(ConditionType.SPEC_VALID, Reason.SpecInvalid, "; ".join(str(item) for item in spec) + ".")
            return await self._reporter.report(
                identity, deployment, self._describe_invalid(identity, deployment, verdict), []
            )
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
            workload=self._check_workload(key, state, verdict) if state.exists else None,
            state=state if state.exists else None,
            held=state.exists,
        )

    async def _reconcile_valid(
        self, identity: Identity, deployment: dict[str, Any], assembly: Assembly
    ) -> float | None:
        assembled = assembly.scope or assembly.stand_in
        if assembled is None:
            raise TypeError("an assembly without scope has a stand-in")
        key = (identity.namespace, identity.name)
        seen = await self._observer.observe(identity, assembled, self._find_workload(key), self._own_pods(key))
        if not seen.settled:
            return seen.look_again
        scope = seen.scope
        generation = deployment["metadata"]["generation"]
        before, _ = self._observe_workload(key, seen)
        healthy = before.exists and before.ready >= before.wanted
        prerequisites = await self._prerequisites.observe(identity, generation, scope.settled, healthy=healthy)
        checks = (
            *assembly.checks,
            *seen.checks,
            check_credentials(scope.settled, prerequisites.secrets),
            check_object_store(scope.settled, prerequisites.bucket, prerequisites.authorities),
        )
        blocker = find_blocker(checks)
        plan = plan_writes(
            identity,
            build_desired(scope),
            self._cache.children(key),
            self._cache.pods(key),
            hold=blocker is not None,
            exact=seen.intent.required,
        )
        existed = bool(self._cache.children(key))
        execution = await self._executor.execute(identity, plan.actions, repairing=existed)
        if execution.failure is not None:
            raise execution.failure
        state, replacement = self._observe_workload(key, seen)
        notices = execution.notices()
        if not (plan.held or plan.obstacles or execution.obstacles or execution.again):
            notices += await self._replace_pods(identity, replacement, state, execution, blocked=blocker is not None)
        removed, removal_due = await self._remove_refused(key, execution)
        obstacles = (*plan.obstacles, *execution.obstacles)
        capacity = plan_deployment(scope.settled)
        outcome = Outcome(
            name=identity.name,
            generation=generation,
            scope=scope if assembly.scope is not None else None,
            checks=checks,
            workload=None
            if blocker and not state.exists and not obstacles
            else self._check_workload(key, state, blocker),
            state=state,
            nodes=seen.nodes,
            payoff=check_payoff(scope.settled, capacity),
            capacity=summarize_capacity(capacity),
            sharing=summarize_sharing(identity.namespace, identity.name, self._cache.sharers(key)),
            obstacles=obstacles,
            held=plan.held or (assembly.scope is None and state.exists),
            outdated=replacement.outdated,
            notes=seen.list_notes(self._own_pods(key), None if state.exists else blocker),
            transport=seen.summarize_transport(self._own_pods(key)),
        )
        counts_due = await self._reporter.report(identity, deployment, outcome, [*notices, *removed])
        due = (seen.look_again, replacement.look_again, removal_due, counts_due)
        return self._next_look(key, plan, execution, prerequisites.look_again, due)

    async def _replace_pods(
        self,
        identity: Identity,
        replacement: ReplacementPlan,
        state: WorkloadState,
        execution: Execution,
        *,
        blocked: bool,
    ) -> list[Notice]:
        """Delete the pods that may go now. While a check fails, only those go that cannot come up as they are."""
        wanted = (
            ("is of an older specification", () if blocked else replacement.delete),
            ("was made for another transport and does not come up", replacement.lost),
            ("takes up RDMA again", () if blocked else replacement.retry),
        )
        notices = []
        try:
            for why, pods in wanted:
                deleted = await self._executor.replace_pods(identity, pods, state.template.revision)
                notices += [Notice(Reason.PodReplaced, f"Deleted pod {name}, which {why}.") for name in deleted]
        except RefusedError as error:
            execution.obstacles.append(Obstacle(error.reason, str(error)))
        return notices

    async def _remove_refused(self, key: NamespacedName, execution: Execution) -> tuple[list[Notice], float | None]:
        """Delete a pod that the kubelet has refused and nobody has deleted; returns the news, and when to look again."""
        now = self._epoch()
        removal = plan_removal(self._own_pods(key), self._removed.get(key), now)
        if removal.pod is None:
            return [], removal.look_again
        self._removed[key] = count_removal(self._removed.get(key), now)
        try:
            deleted = await self._executor.remove_pod(removal.pod)
        except RefusedError as error:
            execution.obstacles.append(Obstacle(error.reason, str(error)))
            return [], self._removed[key].pause
        words = removal.pod.problem[1] if removal.pod.problem else f"Pod {removal.pod.name}."
        notices = [Notice(Reason.FailedPodRemoved, f"{Reason.FailedPodRemoved.meaning} {words}")] if deleted else []
        return notices, self._removed[key].pause

    def _observe_workload(self, key: NamespacedName, seen: Observation) -> tuple[WorkloadState, ReplacementPlan]:
        pods = self._own_pods(key)
        settled = seen.scope.settled
        state = observe_workload(self._find_workload(key), pods, settled.replicas, exact=seen.intent.required)
        if not state.settled:
            return state, ReplacementPlan()
        retry = self._observer.build_retry(seen)
        return state, plan_replacements(pods, state.template, settled.replicas, settled.max_unavailable, retry)

    def _check_workload(self, key: NamespacedName, state: WorkloadState, blocker: Verdict | None) -> Verdict:
        return check_workload(state, self._own_pods(key), blocker, self._cache.refusals(key), self._epoch())

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

    def _next_look(
        self,
        key: NamespacedName,
        plan: Plan,
        execution: Execution,
        look_again: float,
        due: tuple[float | None, ...],
    ) -> float | None:
        obstacles = (*plan.obstacles, *execution.obstacles)
        if execution.again:
            repeated = self._repeated[key] = self._repeated.get(key, -1) + 1
            return min(_LAST_AGAIN_SECONDS, _AGAIN_SECONDS * 2.0 ** min(repeated, 10))
        self._repeated.pop(key, None)
        delays = [max(0.0, look_again - time.monotonic()), *(item for item in due if item is not None)]
        delays += [_OBSTACLE_SECONDS.get(item.reason, _OTHER_OBSTACLE_SECONDS) for item in obstacles]
        return min(delays)

    def _forget(self, key: NamespacedName, uid: str) -> None:
        del self._uids[key]
        self._repeated.pop(key, None)
        self._removed.pop(key, None)
        self._prerequisites.forget(uid)
        self._observer.forget(key)
        self._reporter.forget(key)
