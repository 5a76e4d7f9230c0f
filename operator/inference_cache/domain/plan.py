"""From what should exist and what does exist to the writes that are missing, in order, and to what stands in their way."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import Enum, auto

from . import names
from .drift import is_current
from .kinds import CONFIG_MAP, STATEFUL_SET, Kind
from .live import Live
from .manifest import Manifest
from .pod_facts import PodFacts
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
        held: Whether a change of the pods waits for a check to hold.
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
) -> Plan:
    """Return the missing writes.

    With `hold`, nothing that would create or replace pods is written: no object of a deployment that has no StatefulSet
    yet, no new pod template and no ConfigMap for one. Scaling and repair of what runs go on.
    """
    found = {(item.kind, item.name): item for item in live}
    workload = next(item for item in desired if item.kind is STATEFUL_SET)
    running = found.get((STATEFUL_SET, workload.name))
    held = hold and (running is None or _template_hash(running) != template_hash(workload))
    actions: list[Action] = []
    obstacles: list[Obstacle] = []
    for manifest in desired:
        current = found.get((manifest.kind, manifest.name))
        if held and (running is None or (current is None and _is_for_later(manifest, running))):
            continue
        if held and manifest.kind is STATEFUL_SET:
            actions.extend(_plan_scale(identity, manifest, running))
            continue
        step = _plan_object(identity, manifest, current)
        if isinstance(step, Obstacle):
            obstacles.append(step)
        elif step is not None:
            actions.append(step)
    wanted = {(item.kind, item.name) for item in desired}
    if held and running is not None:
        obstacles.extend(
            Obstacle(Reason.RunningConfigLost, f"{CONFIG_MAP} {name} of the running pods is gone.")
            for name in sorted(_list_config_maps(running))
            if (CONFIG_MAP, name) not in found and (CONFIG_MAP, name) not in wanted
        )
    if not held and not obstacles:
        actions.extend(_plan_prune(identity, desired, found, pods))
    return Plan(tuple(actions), tuple(obstacles), held)


def template_hash(manifest: Manifest) -> str:
    """Return the hash of the pod template that a StatefulSet manifest would apply."""
    value: str = manifest.body["metadata"]["annotations"][names.ANNOTATION_TEMPLATE_HASH]
    return value


def _template_hash(live: Live) -> str | None:
    return live.annotation(names.ANNOTATION_TEMPLATE_HASH)


def _plan_object(identity: Identity, manifest: Manifest, current: Live | None) -> Action | Obstacle | None:
    if current is None:
        return Create(manifest)
    if obstacle := check_ownership(identity, current):
        return obstacle
    if is_current(current, manifest):
        return None
    same_content = current.annotation(names.ANNOTATION_APPLIED_HASH) == manifest.hash
    return Apply(manifest, current, Cause.DRIFT if same_content else Cause.SPECIFICATION)


def _plan_scale(identity: Identity, manifest: Manifest, running: Live | None) -> list[Action]:
    wanted: int = manifest.body["spec"]["replicas"]
    if running is None or check_ownership(identity, running) or running.body["spec"].get("replicas") == wanted:
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
    in_use = {name for pod in pods for name in pod.config_maps}
    running = next((item for (kind, _), item in found.items() if kind is STATEFUL_SET), None)
    if running is not None:
        in_use.update(_list_config_maps(running))
    return [
        Delete(item)
        for (kind, name), item in sorted(found.items(), key=lambda entry: (entry[0][0].name, entry[0][1]))
        if (kind, name) not in wanted
        and item.controller_uid == identity.uid
        and not item.terminating
        and not (kind is CONFIG_MAP and name in in_use)
    ]


def _is_for_later(manifest: Manifest, running: Live) -> bool:
    """Whether an object belongs to pods of the new template alone."""
    return manifest.kind is CONFIG_MAP and manifest.name not in _list_config_maps(running)


def _list_config_maps(workload: Live) -> set[str]:
    volumes = workload.body["spec"]["template"]["spec"].get("volumes", [])
    return {volume["configMap"]["name"] for volume in volumes if "configMap" in volume}
