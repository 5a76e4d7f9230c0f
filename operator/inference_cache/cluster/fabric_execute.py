"""Carries out the plan of a fabric, one write after the other: fabrics are few, and their order matters.

What a write meets comes back as findings; nothing is forced, and nothing that is not the fabric's own is touched.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

from inference_cache.domain import kinds, names
from inference_cache.domain.drift import is_current
from inference_cache.domain.fabric.device_plugin import POLICY_NAME
from inference_cache.domain.fabric.findings import Finding
from inference_cache.domain.fabric.form import belongs_to
from inference_cache.domain.fabric.plan import ApplyShared, FabricAction, describe
from inference_cache.domain.kinds import Kind
from inference_cache.domain.live import Live, project_live
from inference_cache.domain.manifest import Manifest
from inference_cache.domain.plan import Apply, Cause, Create, Delete
from inference_cache.domain.reasons import Reason

from . import metrics
from .errors import AlreadyExistsError, ConflictError, FieldConflictError, GoneError, RefusedError
from .events import Notice
from .fabric_store import FabricStore
from .gateway import Gateway

MANAGE_ROLE = "fabric-manage"

Key = tuple[Kind, str, str]


@dataclass
class FabricExecution:
    """What came of a plan.

    Attributes:
        conflicts: Objects that belong to others, or hold fields of others, with the reason.
        again: Whether something had changed since it was observed, so that the pass should be repeated soon.
    """

    findings: list[Finding] = field(default_factory=list)
    conflicts: dict[Key, Reason] = field(default_factory=dict)
    applied: list[str] = field(default_factory=list)
    repaired: list[str] = field(default_factory=list)
    removed: list[str] = field(default_factory=list)
    again: bool = False

    def notices(self) -> list[Notice]:
        """Return what is worth an Event."""
        found = []
        for reason, items in (
            (Reason.FabricApplied, self.applied),
            (Reason.DriftCorrected, self.repaired),
            (Reason.FabricRemoved, self.removed),
        ):
            if items:
                found.append(Notice(reason, f"{reason.meaning} {', '.join(items)}."))
        return found


class FabricExecutor:
    """Writes to the cluster what a plan says, and tells the store."""

    def __init__(self, gateway: Gateway, store: FabricStore) -> None:
        self._gateway = gateway
        self._store = store

    async def execute(self, fabric: str, actions: Sequence[FabricAction]) -> FabricExecution:
        """Carry out the actions. What one of them meets does not stop the others, unless they would meet the same.

        Raises:
            ClusterError: The API server failed.
        """
        execution = FabricExecution()
        refused: set[Kind] = set()
        for action in actions:
            if _find_kind(action) in refused:
                continue
            if Reason.FabricFieldConflict in execution.conflicts.values() and not isinstance(action, Delete):
                # Without the devices that they hand out networks are of no use.
                continue
            try:
                await self._carry_out(fabric, action, execution)
            except ConflictError:
                execution.again = True
            except FieldConflictError as error:
                key = (kinds.NIC_CLUSTER_POLICY, "", POLICY_NAME)
                execution.conflicts[key] = Reason.FabricFieldConflict
                execution.findings.append(Finding(Reason.FabricFieldConflict, f"{error}."))
            except RefusedError as error:
                refused.add(_find_kind(action))
                execution.findings.append(describe_refusal(error))
        return execution

    async def _carry_out(self, fabric: str, action: FabricAction, execution: FabricExecution) -> None:
        match action:
            case Create():
                await self._create(fabric, action.manifest, execution)
            case Apply():
                await self._apply(action.manifest, action.live, execution, drift=action.cause is Cause.DRIFT)
            case ApplyShared():
                await self._apply_shared(action, execution)
            case Delete():
                await self._delete(action.live, execution)

    async def _create(self, fabric: str, manifest: Manifest, execution: FabricExecution) -> None:
        try:
            live = await self._gateway.create(manifest)
        except AlreadyExistsError:
            await self._take_back(fabric, manifest, execution)
            return
        except GoneError:
            if not manifest.namespace:
                raise
            text = f"{describe(manifest)} cannot be made: namespace {manifest.namespace} does not exist."
            execution.findings.append(Finding(Reason.NamespaceNotFound, text))
            return
        self._store.note_written(live)
        execution.applied.append(describe(live))
        metrics.writes.labels(live.kind.name, "create").inc()

    async def _take_back(self, fabric: str, manifest: Manifest, execution: FabricExecution) -> None:
        """Deal with an object of the wanted name that the store did not know as the fabric's."""
        found = await self._gateway.read(manifest.kind, manifest.namespace, manifest.name)
        if found is None:
            execution.again = True
            return
        live = project_live(manifest.kind, found)
        if not belongs_to(live, fabric):
            text = f"{describe(live)} exists and was not made for this fabric; it is left untouched."
            execution.conflicts[live.kind, live.namespace, live.name] = Reason.NameConflict
            remedy = (
                f"If it was made for this fabric, put its labels {names.LABEL_FABRIC}={fabric} and "
                f"{names.LABEL_MANAGED_BY}={names.FIELD_MANAGER} back; otherwise delete or rename that object, or give the "
                "fabric's network another name."
            )
            execution.findings.append(Finding(Reason.NameConflict, text, remedy=remedy))
        elif live.terminating:
            execution.again = True
        elif is_current(live, manifest):
            self._store.note_written(live)
        else:
            await self._apply(manifest, live, execution, drift=True)

    async def _apply(self, manifest: Manifest, live: Live, execution: FabricExecution, *, drift: bool) -> None:
        try:
            written = await self._gateway.apply(manifest, live)
        except GoneError:
            execution.again = True
            return
        self._store.note_written(written)
        (execution.repaired if drift else execution.applied).append(describe(written))
        metrics.writes.labels(written.kind.name, "apply").inc()

    async def _apply_shared(self, action: ApplyShared, execution: FabricExecution) -> None:
        kind = kinds.NIC_CLUSTER_POLICY
        content = {} if action.manifest is None else action.manifest.body
        body = await self._gateway.apply_shared(kind, POLICY_NAME, content, action.live)
        live = project_live(kind, body)
        metrics.writes.labels(kind.name, "apply").inc()
        if action.manifest is None and _is_abandoned(body):
            # Nobody but the operator has ever written anything into it, so the operator had made it.
            await self._gateway.delete(kind, "", POLICY_NAME, uid=live.uid, resource_version=live.resource_version)
            self._store.note_deleted(live)
            execution.removed.append(describe(live))
            return
        self._store.note_written(live)
        done = execution.removed if action.manifest is None else execution.applied
        done.append(f"fields of {describe(live)}")

    async def _delete(self, live: Live, execution: FabricExecution) -> None:
        found = await self._gateway.read(live.kind, live.namespace, live.name)
        if found is None or found["metadata"]["uid"] != live.uid:
            self._store.note_deleted(live)
            return
        await self._gateway.delete(
            live.kind, live.namespace, live.name, uid=live.uid, resource_version=found["metadata"]["resourceVersion"]
        )
        self._store.note_deleted(live)
        execution.removed.append(describe(live))
        metrics.writes.labels(live.kind.name, "delete").inc()


def _find_kind(action: FabricAction) -> Kind:
    if isinstance(action, ApplyShared):
        return kinds.NIC_CLUSTER_POLICY
    return action.live.kind if isinstance(action, Delete) else action.manifest.kind


def describe_refusal(error: RefusedError) -> Finding:
    """Return the finding about a refused write; a missing right names the role that grants it."""
    if error.reason is Reason.Forbidden:
        return Finding(error.reason, f"Apply manifests/optional/{MANAGE_ROLE}.yaml: {error}.")
    return Finding(error.reason, f"{error}.")


def _is_abandoned(body: dict[str, object]) -> bool:
    metadata = body["metadata"]
    entries = metadata.get("managedFields") or [] if isinstance(metadata, dict) else []
    others = [
        item for item in entries if item.get("manager") != names.FIELD_MANAGER and item.get("subresource") != "status"
    ]
    return not others and not body.get("spec")
