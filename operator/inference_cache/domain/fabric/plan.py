"""From the objects that a managed fabric should have and those that it has to the writes that are missing.

Nothing is written that the operator did not make, nodes are not drained without the fabric's word for it, and nothing is
deleted while pods use it. Networks go before the policies and plugins that they take their devices from.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from inference_cache.api.fabric import NodeDrain
from inference_cache.domain import kinds, names
from inference_cache.domain.drift import has_fields, is_current
from inference_cache.domain.kinds import Kind
from inference_cache.domain.live import Live
from inference_cache.domain.manifest import Body, Manifest
from inference_cache.domain.plan import Apply, Cause, Create, Delete
from inference_cache.domain.reasons import Reason

from .builders import build_networks, build_policy
from .device_plugin import (
    ANNOTATION_RESOURCE,
    build_entry,
    build_plugin,
    build_shared_policy,
    find_resource,
    merge_entries,
    read_entries,
)
from .facts import FabricFacts
from .findings import Finding
from .form import SECTIONS, Form
from .usage import Usage

NETWORK_KINDS: Final = frozenset(
    {
        kinds.SRIOV_NETWORK,
        kinds.SRIOV_IB_NETWORK,
        kinds.HOST_DEVICE_NETWORK,
        kinds.MACVLAN_NETWORK,
        kinds.IPOIB_NETWORK,
        kinds.NETWORK_ATTACHMENT,
    }
)
# The SR-IOV network operator's webhook adds this, and it does not touch the nodes.
_NOT_DRAINING: Final = frozenset({"priority"})

Key = tuple[Kind, str, str]


@dataclass(frozen=True, slots=True)
class ApplyShared:
    """Apply the operator's fields of an object that belongs to many, without force.

    Attributes:
        manifest: The fields; None takes all of them away.
        live: The object; None where there is none yet.
    """

    manifest: Manifest | None
    live: Live | None


FabricAction = Create | Apply | Delete | ApplyShared


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What a plan is made from, beside the fabric itself.

    Attributes:
        form: What it is made of; None where that is not known or nothing is wanted any more.
        live: The objects that were made for it.
        policy: NicClusterPolicy; None where there is none, or none is served.
        kept: Resources of other fabrics, whose entries are theirs to change.
        images: Images of device plugins, by section, that this and other fabrics name.
    """

    form: Form | None
    live: Sequence[Live]
    policy: Live | None = None
    kept: frozenset[str] = frozenset()
    images: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class FabricPlan:
    """Writes, and what stands in their way.

    Attributes:
        finished: Whether nothing of a fabric that is being deleted is left.
    """

    actions: tuple[FabricAction, ...] = ()
    findings: tuple[Finding, ...] = ()
    finished: bool = False


def build_desired(fabric: FabricFacts, form: Form) -> list[Manifest]:
    """Return the objects that belong to the fabric alone, in the order in which they are written."""
    spec = fabric.spec
    if spec is None:
        return []
    found = build_networks(fabric.name, spec, form)
    if form.plugin is kinds.SRIOV_POLICY:
        return [build_policy(fabric.name, spec, form), *found]
    if form.plugin is kinds.DAEMON_SET:
        return [*build_plugin(fabric.name, spec), *found]
    return found


def find_unwanted(fabric: FabricFacts, around: Surroundings) -> list[Live]:
    """Return the objects that are there and should not be, except those whose deletion has begun."""
    if fabric.deleting:
        wanted: set[Key] = set()
    elif around.form is None:
        return []
    else:
        wanted = {(item.kind, item.namespace, item.name) for item in build_desired(fabric, around.form)}
    return [
        item for item in around.live if (item.kind, item.namespace, item.name) not in wanted and not item.terminating
    ]


def find_own_entries(fabric: FabricFacts, around: Surroundings) -> dict[str, list[str]]:
    """Return the resource, by section of NicClusterPolicy, whose entry goes with a fabric that is being deleted."""
    spec = fabric.spec
    if not fabric.deleting or spec is None or spec.type not in SECTIONS or spec.resource_name in around.kept:
        return {}
    section = SECTIONS[spec.type]
    there = any(find_resource(section, item) == spec.resource_name for item in read_entries(around.policy)[section])
    return {section: [spec.resource_name]} if there else {}


def find_endangered(fabric: FabricFacts, around: Surroundings) -> frozenset[str]:
    """Return the resources that nodes may lose by what is to be taken away next, with prefix or without, as far as known."""
    if fabric.deleting and any(item.kind in NETWORK_KINDS for item in around.live):
        return frozenset()
    made = (find_made_resource(item) for item in find_unwanted(fabric, around) if item.kind not in NETWORK_KINDS)
    entries = find_own_entries(fabric, around).values()
    return frozenset(filter(None, (*made, *(resource for resources in entries for resource in resources))))


def plan_fabric(
    fabric: FabricFacts, around: Surroundings, blocked: Sequence[Finding], usage: Usage | None
) -> FabricPlan:
    """Return the missing writes.

    Args:
        fabric: The fabric, in mode Manage.
        around: What is there.
        blocked: What speaks against writing anything.
        usage: What pods use; None where nothing is to be deleted, or where nobody could tell.
    """
    if fabric.deleting:
        return _plan_removal(fabric, around, usage)
    form = around.form
    if blocked or form is None:
        return FabricPlan(findings=tuple(blocked))
    desired = build_desired(fabric, form)
    live = {(item.kind, item.namespace, item.name): item for item in around.live}
    found: list[Finding] = []
    actions: list[FabricAction] = []
    for manifest in desired:
        step = _plan_object(fabric, manifest, live.get((manifest.kind, manifest.namespace, manifest.name)))
        if isinstance(step, Finding):
            found.append(step)
            if step.reason is Reason.NodeDrainNotAcknowledged and not _stands(around.live):
                # Networks without the devices that they hand out would only mislead.
                return FabricPlan((), (step,))
        elif step is not None:
            actions.append(step)
    deletes, held = _plan_deletes(fabric, find_unwanted(fabric, around), usage)
    shared = _plan_shared(fabric, around, {})
    return FabricPlan((*([shared] if shared else []), *actions, *deletes), (*found, *held))


def _stands(live: Iterable[Live]) -> bool:
    return any(item.kind is kinds.SRIOV_POLICY for item in live)


def _plan_object(fabric: FabricFacts, manifest: Manifest, live: Live | None) -> FabricAction | Finding | None:
    what = describe(manifest)
    if live is not None and live.terminating:
        return Finding(Reason.ChildTerminating, f"{what} is being deleted.", passing=True)
    if live is not None and is_current(live, manifest):
        return None
    if manifest.kind is kinds.SRIOV_POLICY and not _may_drain(fabric) and (live is None or _drains(live, manifest)):
        verb = "must be created" if live is None else "must be changed"
        return Finding(Reason.NodeDrainNotAcknowledged, f"{what} {verb}.")
    if live is None:
        return Create(manifest)
    same = live.annotation(names.ANNOTATION_APPLIED_HASH) == manifest.hash
    return Apply(manifest, live, Cause.DRIFT if same else Cause.SPECIFICATION)


def _may_drain(fabric: FabricFacts) -> bool:
    return fabric.spec is not None and fabric.spec.node_drain is NodeDrain.ACKNOWLEDGED


def _drains(live: Live, manifest: Manifest) -> bool:
    """Whether applying a policy changes what nodes have to do."""
    now: Mapping[str, Any] = live.body.get("spec") or {}
    return {key: value for key, value in now.items() if key not in _NOT_DRAINING} != dict(manifest.body["spec"])


def _plan_deletes(
    fabric: FabricFacts, unwanted: Sequence[Live], usage: Usage | None
) -> tuple[list[Delete], list[Finding]]:
    deletes: list[Delete] = []
    held: list[Finding] = []
    for live in sorted(unwanted, key=lambda item: (item.kind not in NETWORK_KINDS, item.kind.name, item.name)):
        in_use = _describe_use(live, usage)
        if in_use is not None:
            held.append(in_use)
        elif live.kind is kinds.SRIOV_POLICY and not _may_drain(fabric):
            held.append(Finding(Reason.NodeDrainNotAcknowledged, f"{describe(live)} must be deleted."))
        else:
            deletes.append(Delete(live))
    return deletes, held


def _describe_use(live: Live, usage: Usage | None) -> Finding | None:
    """Return why an object must stay as it is, or None where no pod uses it."""
    if usage is None:
        return Finding(Reason.FabricInUse, f"{describe(live)} is kept: pods could not be read.", passing=True)
    user = find_user(live, usage)
    if user is None:
        return None
    return Finding(Reason.FabricInUse, f"{describe(live)} is kept: pod {user} uses it.", passing=True)


def describe(item: Live | Manifest) -> str:
    """Return kind and name of an object, as messages show them."""
    return f"{item.kind} {item.namespace}/{item.name}" if item.namespace else f"{item.kind} {item.name}"


def find_user(live: Live, usage: Usage) -> str | None:
    """Return a pod that uses an object of a fabric."""
    spec: Body = live.body.get("spec") or {}
    if live.kind is kinds.NETWORK_ATTACHMENT:
        return usage.find_network_user(live.namespace, live.name)
    if live.kind in NETWORK_KINDS:
        return usage.find_network_user(spec.get("networkNamespace") or "default", live.name)
    return usage.find_resource_user(find_made_resource(live))


def find_made_resource(live: Live) -> str:
    """Return the resource that an object makes nodes advertise; a policy knows it without its prefix."""
    if live.kind is kinds.SRIOV_POLICY:
        return str((live.body.get("spec") or {}).get("resourceName") or "")
    return live.annotation(ANNOTATION_RESOURCE) or ""


def _split_entries(
    entries: Mapping[str, Sequence[str]], usage: Usage | None
) -> tuple[dict[str, list[str]], list[Finding]]:
    gone: dict[str, list[str]] = {}
    held: list[Finding] = []
    for section, resources in entries.items():
        for resource in resources:
            user = usage.find_resource_user(resource) if usage is not None else "not known"
            if user is None:
                gone.setdefault(section, []).append(resource)
            else:
                text = f"The entry of {resource} in NicClusterPolicy is kept: pod {user} uses it."
                held.append(Finding(Reason.FabricInUse, text, passing=True))
    return gone, held


def _plan_shared(fabric: FabricFacts, around: Surroundings, gone: Mapping[str, Sequence[str]]) -> ApplyShared | None:
    known = read_entries(around.policy)
    entries: Mapping[str, Sequence[Body]] = known
    for section, resources in gone.items():
        entries = merge_entries(entries, section, None, gone=resources)
    by_policy = around.form is not None and around.form.plugin is kinds.NIC_CLUSTER_POLICY
    if fabric.spec is not None and not fabric.deleting and by_policy:
        entries = merge_entries(entries, SECTIONS[fabric.spec.type], build_entry(fabric.spec))
    wanted = build_shared_policy(entries, around.policy, around.images)
    return None if _is_shared_current(wanted, around.policy) else ApplyShared(wanted, around.policy)


def _is_shared_current(wanted: Manifest | None, policy: Live | None) -> bool:
    if wanted is None:
        return policy is None or not any(read_entries(policy).values())
    if policy is None:
        return False
    same = policy.annotation(names.ANNOTATION_APPLIED_HASH) == wanted.hash
    return bool(same and has_fields(policy.body, wanted.body))


def _plan_removal(fabric: FabricFacts, around: Surroundings, usage: Usage | None) -> FabricPlan:
    deletes, held = _plan_deletes(fabric, find_unwanted(fabric, around), usage)
    if any(item.kind in NETWORK_KINDS for item in around.live):
        # What hands out the devices goes when nothing is attached by it any more.
        deletes = [item for item in deletes if item.live.kind in NETWORK_KINDS]
        held = [item for item in held if item.reason is Reason.FabricInUse]
        return FabricPlan(tuple(deletes), tuple(held))
    entries = find_own_entries(fabric, around)
    gone, kept = _split_entries(entries, usage)
    shared = _plan_shared(fabric, around, gone) if gone else None
    finished = not around.live and not entries
    return FabricPlan((*([shared] if shared else []), *deletes), (*held, *kept), finished=finished)
