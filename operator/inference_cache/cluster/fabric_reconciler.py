"""One pass over one fabric: observe, check, plan, execute, summarize. Everything it knows, it reads anew.

Objects of fabrics are watched, so changes by others are seen at once; a pass is due without a change only where something is
awaited that no watch tells of: pods that use what is to be deleted, and rights.
"""

import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Final

from inference_cache.domain import kinds, names
from inference_cache.domain.fabric.facts import FabricFacts
from inference_cache.domain.fabric.findings import Finding, ObjectState
from inference_cache.domain.fabric.form import Form, choose_form, list_kinds
from inference_cache.domain.fabric.managed_checks import check_managed
from inference_cache.domain.fabric.network_checks import check_namespaces
from inference_cache.domain.fabric.plan import (
    FabricPlan,
    build_desired,
    find_own_entries,
    find_unwanted,
    plan_fabric,
)
from inference_cache.domain.fabric.reference_checks import Existing, check_reference
from inference_cache.domain.fabric.summary import FabricOutcome
from inference_cache.domain.kinds import FABRIC, Kind
from inference_cache.domain.live import Live
from inference_cache.domain.reasons import Reason

from .cache import NamespacedName
from .errors import GoneError, RefusedError
from .fabric_execute import FabricExecution, FabricExecutor, describe_refusal
from .fabric_observer import FabricObserver
from .fabric_reporting import FabricReporter
from .fabric_store import WRITTEN_KINDS, FabricStore
from .gateway import Gateway

# For how long a pass waits for the first lists rather than say that nothing is known.
_FIRST_LISTS_SECONDS: Final = 30.0
_UNREAD_SECONDS: Final = 0.5
_AGAIN_SECONDS: Final = 0.2
_LAST_AGAIN_SECONDS: Final = 15.0
_HELD_SECONDS: Final = 15.0
_OBSTACLE_SECONDS: Final = 30.0
_REMOVABLE: Final = frozenset({*WRITTEN_KINDS, kinds.NIC_CLUSTER_POLICY})


class FabricReconciler:
    """Brings one fabric at a time to its specification.

    Args:
        gateway: For finalizers.
        store: What is known of fabrics.
        observer: Looks at everything around them.
        reporter: Tells what came of it.
        clock: Monotonic seconds.
    """

    def __init__(
        self,
        gateway: Gateway,
        store: FabricStore,
        observer: FabricObserver,
        reporter: FabricReporter,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._gateway = gateway
        self._store = store
        self._observer = observer
        self._reporter = reporter
        self._clock = clock
        self._executor = FabricExecutor(gateway, store)
        self._waiting_since: dict[str, float] = {}
        self._repeated: dict[str, int] = {}

    async def reconcile(self, key: NamespacedName) -> float | None:
        """Do one pass; returns the seconds after which another one is due, or None where only a change calls for one.

        Args:
            key: An empty namespace and the fabric's name.

        Raises:
            ClusterError: The API server failed or refused; try again with backoff.
        """
        name = key[1]
        fabric = self._store.fabric(name)
        if fabric is None or (fabric.deleting and not fabric.guarded):
            self._waiting_since.pop(name, None)
            self._repeated.pop(name, None)
            self._reporter.forget(name)
            return None
        try:
            return await self._reconcile_existing(fabric)
        except Exception as error:
            await self._reporter.report_failure(fabric, error)
            raise

    async def _reconcile_existing(self, fabric: FabricFacts) -> float | None:
        if self._awaits_lists(fabric, _REMOVABLE if fabric.spec is None else list_kinds(fabric.spec)):
            return _UNREAD_SECONDS
        if fabric.deleting and (fabric.managed or fabric.spec is None):
            return await self._remove(fabric)
        if fabric.spec is None:
            broken = Finding(Reason.SpecInvalid, "; ".join(fabric.violations) + ".")
            await self._report(FabricOutcome(fabric, (broken,)))
            return None
        return await (self._manage(fabric) if fabric.managed else self._refer(fabric))

    def _awaits_lists(self, fabric: FabricFacts, wanted: frozenset[Kind]) -> bool:
        """Whether it is worth to wait, as at the operator's start nothing is known yet and all of it is on its way."""
        if self._observer.is_settled(wanted):
            self._waiting_since.pop(fabric.name, None)
            return False
        since = self._waiting_since.setdefault(fabric.name, self._clock())
        return self._clock() - since < _FIRST_LISTS_SECONDS

    async def _refer(self, fabric: FabricFacts) -> float | None:
        """Check what others have made; a fabric that was managed before lets go of what it had made."""
        if fabric.guarded:
            await self._set_guard(fabric, guarded=False)
        spec = fabric.spec
        if spec is None or fabric.deleting:
            return None
        survey = await self._observer.survey(fabric)
        existing = Existing(
            served=self._store.serves,
            refused=self._store.refused,
            namespaces=self._observer.list_namespaces(fabric.name, spec),
            networks=self._store.networks() if spec.networks else {},
            policies=self._store.live(kinds.SRIOV_POLICY),
            policy=self._observer.find_policy(),
        )
        told, states = check_reference(fabric.name, spec, existing, survey)
        findings = [*check_namespaces(spec, self._store.namespaces()), *told]
        await self._report(FabricOutcome(fabric, (), findings, survey, states))
        return _OBSTACLE_SECONDS if any(item.reason is Reason.Forbidden for item in findings) else None

    async def _manage(self, fabric: FabricFacts) -> float | None:
        spec = fabric.spec
        if spec is None:
            return None
        survey = await self._observer.survey(fabric)
        live = self._store.own(fabric)
        form = choose_form(spec, self._store.serves, live, self._store.namespaces())
        around = self._observer.look_around(fabric, form if isinstance(form, Form) else None, live)
        blocked = self._observer.find_blocks(fabric, form, survey)
        removes = not blocked and bool(find_unwanted(fabric, around))
        usage = await self._observer.read_usage(fabric, around) if removes else None
        plan = plan_fabric(fabric, around, blocked, usage)
        execution = FabricExecution()
        if plan.actions and await self._guard(fabric, execution):
            execution = await self._executor.execute(fabric.name, plan.actions)
        findings, states = [*execution.findings, *plan.findings], list[ObjectState]()
        findings += check_namespaces(spec, self._store.namespaces())
        if isinstance(form, Form):
            told, states = check_managed(
                fabric.name,
                spec,
                form,
                build_desired(fabric, form),
                {(item.kind, item.namespace, item.name): item for item in self._store.own(fabric)},
                self._observer.find_policy(),
                self._store.networks(),
            )
            findings += told
            findings += _tell_missing(states, findings)
        held = any(item.reason is Reason.FabricInUse for item in findings)
        states += _tell_kept(self._store.own(fabric), states, Reason.FabricInUse if held else None)
        await self._report(FabricOutcome(fabric, (), findings, survey, states), execution)
        return self._next_look(fabric, execution, plan)

    async def _remove(self, fabric: FabricFacts) -> float | None:
        blind = self._observer.find_blind(_REMOVABLE if fabric.spec is None else list_kinds(fabric.spec) & _REMOVABLE)
        if blind:
            # A fabric that vanished now would leave behind what cannot be seen.
            await self._report(FabricOutcome(fabric, (), blind))
            return _OBSTACLE_SECONDS
        live = self._store.own(fabric)
        around = self._observer.look_around(fabric, None, live)
        removes = find_unwanted(fabric, around) or find_own_entries(fabric, around)
        plan = plan_fabric(fabric, around, (), await self._observer.read_usage(fabric, around) if removes else None)
        execution = await self._executor.execute(fabric.name, plan.actions)
        if plan.finished:
            await self._set_guard(fabric, guarded=False)
            return None
        states = [
            ObjectState(str(item.kind), item.namespace, item.name, "Present", Reason.FabricDeleting)
            for item in self._store.own(fabric)
        ]
        findings = [*execution.findings, *plan.findings]
        await self._report(FabricOutcome(fabric, (), findings, None, states), execution)
        return _AGAIN_SECONDS if execution.removed else self._next_look(fabric, execution, plan) or _HELD_SECONDS

    async def _guard(self, fabric: FabricFacts, execution: FabricExecution) -> bool:
        """Make sure that the fabric cannot vanish before its objects; returns False where that is refused."""
        if fabric.guarded:
            return True
        try:
            return await self._set_guard(fabric, guarded=True)
        except RefusedError as error:
            execution.findings.append(describe_refusal(error))
            return False

    async def _set_guard(self, fabric: FabricFacts, *, guarded: bool) -> bool:
        """Set or take away the finalizer; returns False where the fabric is gone."""
        others = [item for item in fabric.finalizers if item != names.FABRIC_FINALIZER]
        finalizers = [*others, names.FABRIC_FINALIZER] if guarded else others
        try:
            body = await self._gateway.set_finalizers(FABRIC, fabric.name, finalizers, fabric.resource_version)
        except GoneError:
            return False
        if finalizers or not fabric.deleting:
            self._store.note_fabric(body)
        return True

    async def _report(self, outcome: FabricOutcome, execution: FabricExecution | None = None) -> None:
        done = execution or FabricExecution()
        objects = tuple(_mark(item, done) for item in outcome.objects) or _recall(outcome.fabric)
        deployments = self._observer.count_deployments(outcome.fabric.name)
        await self._reporter.report(replace(outcome, objects=objects, deployments=deployments), done.notices())

    def _next_look(self, fabric: FabricFacts, execution: FabricExecution, plan: FabricPlan) -> float | None:
        if execution.again:
            repeated = self._repeated[fabric.name] = self._repeated.get(fabric.name, -1) + 1
            return min(_LAST_AGAIN_SECONDS, _AGAIN_SECONDS * 2.0 ** min(repeated, 10))
        self._repeated.pop(fabric.name, None)
        reasons = {item.reason for item in (*execution.findings, *plan.findings)}
        if Reason.FabricInUse in reasons:
            return _HELD_SECONDS
        return _OBSTACLE_SECONDS if reasons else None


def _tell_missing(states: Sequence[ObjectState], findings: Sequence[Finding]) -> list[Finding]:
    """Return the finding about objects that are not there though nothing else says why."""
    missing = [item for item in states if item.state == "Missing"]
    if not missing or any(not item.advisory for item in findings):
        return []
    text = f"{missing[0].kind} {missing[0].name} is being made."
    return [Finding(Reason.FabricObjectsMissing, text, passing=True)]


def _tell_kept(own: Sequence[Live], states: Sequence[ObjectState], reason: Reason | None) -> list[ObjectState]:
    """Return the states of objects that are not wanted any more; while status tells of them they are known as own."""
    told = {(item.kind, item.namespace, item.name) for item in states}
    return [
        ObjectState(str(item.kind), item.namespace, item.name, "Present", reason)
        for item in own
        if (str(item.kind), item.namespace, item.name) not in told
    ]


def _recall(fabric: FabricFacts) -> tuple[ObjectState, ...]:
    """Return what status told of the objects before a pass that could not look at them."""
    if not fabric.guarded:
        return ()
    return tuple(
        ObjectState(
            item["kind"],
            item.get("namespace") or "",
            item["name"],
            item["state"],
            Reason.__members__.get(item.get("reason") or ""),
        )
        for item in fabric.status.get("objects") or []
    )


def _mark(state: ObjectState, execution: FabricExecution) -> ObjectState:
    for (kind, namespace, name), reason in execution.conflicts.items():
        if (state.kind, state.namespace, state.name) == (str(kind), namespace, name):
            return replace(state, state="Conflict", reason=reason)
    return state
