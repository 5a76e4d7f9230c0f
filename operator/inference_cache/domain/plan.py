"""From what should exist and what does exist to the writes that are missing, in order, and to what stands in their way."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import Enum, auto

from . import names
from .attachment import Variant
from .drift import is_current
from .kinds import CONFIG_MAP, RESOURCE_CLAIM_TEMPLATE, STATEFUL_SET, Kind
from .live import Live
from .manifest import Manifest
from .pod_facts import PodFacts
from .pod_transport import Make, read_make
from .reasons import Reason
from .scope import Identity

Key = tuple[Kind, str]


class Cause(Enum):
    """Why an existing object is applied."""

    SPECIFICATION = auto()
    DRIFT = auto()


@dataclass(frozen=True)
class Create:
    """Create an object; must fail if the name is taken."""

    manifest: Manifest


@dataclass(frozen=True)
class Apply:
    """Apply an object that is ours."""

    manifest: Manifest
    live: Live
    cause: Cause


@dataclass(frozen=True)
class Delete:
    """Delete an object that is ours and no longer wanted."""

    live: Live


@dataclass(frozen=True)
class Scale:
    """Change nothing but the number of pods of a StatefulSet whose new template is held back."""

    live: Live
    replicas: int


Action = Create | Apply | Scale | Delete


@dataclass(frozen=True)
class Obstacle:
    """Why an object cannot be written now."""

    reason: Reason
    message: str


@dataclass(frozen=True)
class Plan:
    """Writes in order, and obstacles.

    Attributes:
        held: Whether a change of the specification waits for a check to hold. A change of the transport alone waits too and
            is none: the pods are up to date with it.
    """

    actions: tuple[Action, ...] = ()
    obstacles: tuple[Obstacle, ...] = ()
    held: bool = False


def plan_writes(
    identity: Identity,
    desired: Sequence[Manifest],
    live: Iterable[Live],
    pods: Sequence[PodFacts],
    *,
    hold: bool,
    exact: bool = False,
) -> Plan:
    """Return the missing writes.

    With `hold`, nothing that would create or replace pods is written: no object of a deployment that has no StatefulSet
    yet, no new pod template and no ConfigMap for one. Scaling and repair of what runs go on; so does a fall back to TCP,
    which replaces no pod that serves, and without which a pod that restarts would find no place.

    Args:
        identity: The deployment.
        desired: What should exist.
        live: What exists.
        pods: Its pods.
        hold: Whether a check fails.
        exact: Whether pods of the other transport are outdated, so that a change of it is a change of the specification. No
            pod is added then from a template whose engines start without proof of RDMA.
    """
    found = {(item.kind, item.name): item for item in live}
    workload = next(item for item in desired if item.kind is STATEFUL_SET)
    running = found.get((STATEFUL_SET, workload.name))
    changed = running is None or _template_hash(running) != template_hash(workload)
    kept = hold and changed and not (running is not None and _falls_back(running, workload))
    actions: list[Action] = []
    obstacles: list[Obstacle] = []
    for manifest in desired:
        current = found.get((manifest.kind, manifest.name))
        if kept and (running is None or (current is None and _is_for_later(manifest, running))):
            continue
        if kept and manifest.kind is STATEFUL_SET:
            actions.extend(_plan_scale(identity, manifest, running, grow=not exact or _proves(running)))
            continue
        step = _plan_object(identity, manifest, current)
        if isinstance(step, Obstacle):
            obstacles.append(step)
        elif step is not None:
            actions.append(step)
    wanted = {(item.kind, item.name) for item in desired}
    if kept and running is not None:
        obstacles.extend(
            Obstacle(Reason.RunningConfigLost, f"{kind} {name} of the running pods is gone.")
            for kind, name in sorted(_list_referred(running), key=lambda key: (key[0].name, key[1]))
            if (kind, name) not in found and (kind, name) not in wanted
        )
    if not kept and not obstacles:
        actions.extend(_plan_prune(identity, desired, found, pods))
    held = kept and not (running is not None and _differs_in_transport(running, workload, exact=exact))
    return Plan(tuple(actions), tuple(obstacles), held)


def template_hash(manifest: Manifest) -> str:
    """Return the hash of the pod template that a StatefulSet manifest would apply."""
    value: str = manifest.body["metadata"]["annotations"][names.ANNOTATION_TEMPLATE_HASH]
    return value


def _template_hash(live: Live) -> str | None:
    return live.annotation(names.ANNOTATION_TEMPLATE_HASH)


def _read_makes(running: Live, workload: Manifest) -> tuple[Make, Make] | None:
    """Return what pods are made from, now and then, where both are of one specification but for the transport."""
    before = read_make(running.body["spec"]["template"].get("metadata") or {})
    after = read_make(workload.body["spec"]["template"]["metadata"])
    return (before, after) if before.workload_hash and before.workload_hash == after.workload_hash else None


def _differs_in_transport(running: Live, workload: Manifest, *, exact: bool) -> bool:
    """Whether the templates differ in nothing but what RDMA or TCP takes, and nobody minds."""
    makes = _read_makes(running, workload)
    if makes is None:
        return False
    before, after = makes
    return not exact or (before.variant, before.required) == (after.variant, after.required)


def _proves(running: Live | None) -> bool:
    """Whether pods of what runs start with proof of RDMA only."""
    return running is not None and read_make(running.body["spec"]["template"].get("metadata") or {}).required


def _falls_back(running: Live, workload: Manifest) -> bool:
    makes = _read_makes(running, workload)
    return makes is not None and makes[0].variant is Variant.RDMA and makes[1].variant is Variant.TCP


def _plan_object(identity: Identity, manifest: Manifest, current: Live | None) -> Action | Obstacle | None:
    if current is None:
        return Create(manifest)
    if obstacle := check_ownership(identity, current):
        return obstacle
    if is_current(current, manifest):
        return None
    same_content = current.annotation(names.ANNOTATION_APPLIED_HASH) == manifest.hash
    return Apply(manifest, current, Cause.DRIFT if same_content else Cause.SPECIFICATION)


def _plan_scale(identity: Identity, manifest: Manifest, running: Live | None, *, grow: bool) -> list[Action]:
    wanted: int = manifest.body["spec"]["replicas"]
    if running is None or check_ownership(identity, running):
        return []
    current = running.body["spec"].get("replicas", 1)
    if wanted == current or (wanted > current and not grow):
        return []
    return [Scale(running, wanted)]


def check_ownership(identity: Identity, current: Live) -> Obstacle | None:
    """Return why an existing object may not be written, or None where it is ours.

    An object that carries our label but lost its owner reference is taken back; anything else that we do not control is
    left alone.
    """
    what = f"{current.kind} {current.namespace}/{current.name}"
    if current.terminating:
        return Obstacle(Reason.ChildTerminating, f"{what} is being deleted.")
    owner = current.controller_uid
    if owner == identity.uid:
        return None
    labels = current.metadata.get("labels", {})
    ours = labels.get(names.LABEL_MANAGED_BY) == names.FIELD_MANAGER and current.deployment == identity.name
    if ours and current.annotation(names.ANNOTATION_APPLIED_HASH) is not None:
        if owner is None:
            return None
        owners = current.metadata.get("ownerReferences", [])
        if any(item["uid"] == owner and item["name"] == identity.name for item in owners):
            return Obstacle(Reason.ChildTerminating, f"{what} still belongs to a deleted deployment of the same name.")
    return Obstacle(Reason.NameConflict, f"{what} exists and does not belong to this deployment; it is left untouched.")


def _plan_prune(
    identity: Identity, desired: Sequence[Manifest], found: dict[Key, Live], pods: Sequence[PodFacts]
) -> list[Delete]:
    wanted = {(item.kind, item.name) for item in desired}
    in_use: set[Key] = {(CONFIG_MAP, name) for pod in pods for name in pod.config_maps}
    in_use |= {(RESOURCE_CLAIM_TEMPLATE, name) for pod in pods for name in pod.claim_templates}
    running = next((item for (kind, _), item in found.items() if kind is STATEFUL_SET), None)
    if running is not None:
        in_use |= _list_referred(running)
    return [
        Delete(item)
        for key, item in sorted(found.items(), key=lambda entry: (entry[0][0].name, entry[0][1]))
        if key not in wanted and key not in in_use and item.controller_uid == identity.uid and not item.terminating
    ]


def _is_for_later(manifest: Manifest, running: Live) -> bool:
    """Whether an object belongs to pods of the new template alone."""
    key = (manifest.kind, manifest.name)
    return manifest.kind in {CONFIG_MAP, RESOURCE_CLAIM_TEMPLATE} and key not in _list_referred(running)


def _list_referred(workload: Live) -> set[Key]:
    """Return the objects that are named by their content and that pods of a template refer to."""
    spec = workload.body["spec"]["template"]["spec"]
    volumes = (item["configMap"]["name"] for item in spec.get("volumes", []) if "configMap" in item)
    claims = (item.get("resourceClaimTemplateName") for item in spec.get("resourceClaims", []))
    return {(CONFIG_MAP, name) for name in volumes} | {(RESOURCE_CLAIM_TEMPLATE, name) for name in claims if name}
