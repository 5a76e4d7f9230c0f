"""What applying a spec would do: fields that change, objects that differ, pods that restart, and whether the cache is kept.

Two desired states are compared, not a desired one with a stored one, so that the API server's defaults are no noise.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from . import names
from .assemble import Assembly
from .change_classes import ChangeClass, find_entry
from .desired import build_desired
from .kinds import CONFIG_MAP, STATEFUL_SET
from .manifest import Manifest
from .scope import Scope

_HASH_NAMED = re.compile(r"-config-[0-9a-f]{8}$")
_BOOKKEEPING = frozenset({names.ANNOTATION_APPLIED_HASH, names.ANNOTATION_TEMPLATE_HASH})


class ObjectChange(StrEnum):
    """What happens to an object."""

    CREATE = "Create"
    UPDATE = "Update"
    DELETE = "Delete"
    KEEP = "Keep"


@dataclass(frozen=True)
class FieldDifference:
    """A field whose value differs; None stands for absent."""

    path: str
    before: Any
    after: Any


@dataclass(frozen=True)
class SpecDifference:
    """A field of the spec that changes, with what the table says of it."""

    path: str
    before: Any
    after: Any
    expected: str
    why: str


@dataclass(frozen=True)
class ObjectDifference:
    """An object and what changes in it."""

    kind: str
    name: str
    change: ObjectChange
    fields: tuple[FieldDifference, ...] = ()


@dataclass(frozen=True)
class ChangePlan:
    """What a change does.

    Attributes:
        before_known: False where something is applied that cannot be rendered, so that the change is classed by its worst.
        fingerprint: Layout fingerprint before and after; None where there is none.
    """

    change_class: ChangeClass
    spec: tuple[SpecDifference, ...]
    objects: tuple[ObjectDifference, ...]
    fingerprint: tuple[str | None, str | None]
    pods_added: int
    pods_removed: int
    pods_restarted: int
    before_known: bool = True


def plan_change(
    before: Scope | None,
    after: Assembly,
    old_spec: dict[str, Any] | None,
    new_spec: dict[str, Any],
    running_fingerprint: str | None = None,
) -> ChangePlan:
    """Return what applying the new spec does.

    Args:
        before: What is applied now; None where nothing is, or where it could not be rendered.
        after: The new spec, assembled.
        old_spec: The spec that is applied now, as it is stored.
        new_spec: The new spec, as it is written.
        running_fingerprint: What the status says of the running pods, for where before is None.
    """
    scope = after.scope
    spec = tuple(_explain(item) for item in compare_values(old_spec or {}, new_spec)) if old_spec is not None else ()
    if before is None and old_spec is not None:
        return _plan_blindly(scope, spec, old_spec, running_fingerprint)
    old_objects = build_desired(before) if before else []
    new_objects = build_desired(scope) if scope else old_objects
    replicas = (before.settled.replicas if before else 0, scope.settled.replicas if scope else 0)
    restarts = before is not None and scope is not None and _template(old_objects) != _template(new_objects)
    return ChangePlan(
        change_class=_classify(before, scope, spec, restarts=restarts),
        spec=spec,
        objects=tuple(compare_objects(old_objects, new_objects)),
        fingerprint=(before.fingerprint if before else None, scope.fingerprint if scope else None),
        pods_added=max(0, replicas[1] - replicas[0]) if scope else 0,
        pods_removed=max(0, replicas[0] - replicas[1]) if scope else 0,
        pods_restarted=min(replicas) if restarts else 0,
    )


def _plan_blindly(
    scope: Scope | None, spec: tuple[SpecDifference, ...], old_spec: dict[str, Any], fingerprint: str | None
) -> ChangePlan:
    """Plan a change from something that cannot be rendered: every pod restarts, and the cache is kept only if it is known."""
    old = old_spec.get("replicas", 1)
    replicas = (old if isinstance(old, int) else 1, scope.settled.replicas if scope else 0)
    kept = scope is not None and fingerprint == scope.fingerprint
    return ChangePlan(
        change_class=ChangeClass.ROLLING if kept else ChangeClass.CACHE_BREAKING,
        spec=spec,
        objects=(),
        fingerprint=(fingerprint, scope.fingerprint if scope else None),
        pods_added=max(0, replicas[1] - replicas[0]) if scope else 0,
        pods_removed=max(0, replicas[0] - replicas[1]) if scope else 0,
        pods_restarted=min(replicas),
        before_known=False,
    )


def compare_objects(before: Sequence[Manifest], after: Sequence[Manifest]) -> Iterator[ObjectDifference]:
    """Yield what happens to each object, in the order of the new ones.

    A ConfigMap of another name replaces its predecessor; the two are one entry, as their names only tell their content.
    """
    old = {_identify(item): item for item in before}
    for item in after:
        known = old.pop(_identify(item), None)
        if known is None:
            yield ObjectDifference(item.kind.name, item.name, ObjectChange.CREATE)
            continue
        fields = tuple(compare_values(_content(known), _content(item)))
        change = ObjectChange.UPDATE if fields else ObjectChange.KEEP
        yield ObjectDifference(item.kind.name, item.name, change, fields)
    for item in old.values():
        yield ObjectDifference(item.kind.name, item.name, ObjectChange.DELETE)


def compare_values(before: Any, after: Any, path: str = "") -> Iterator[FieldDifference]:
    """Yield the differing leaves of two values; lists of objects with names match by name, others by position."""
    if before == after:
        return
    if isinstance(before, dict) and isinstance(after, dict):
        for key in [*before, *(key for key in after if key not in before)]:
            yield from compare_values(before.get(key), after.get(key), f"{path}.{key}" if path else str(key))
        return
    if isinstance(before, list) and isinstance(after, list):
        yield from _compare_lists(before, after, path)
        return
    yield FieldDifference(path, before, after)


def _compare_lists(before: list[Any], after: list[Any], path: str) -> Iterator[FieldDifference]:
    if all(isinstance(item, dict) and "name" in item for item in [*before, *after]):
        old, new = ({item["name"]: item for item in items} for items in (before, after))
        for name in [*old, *(name for name in new if name not in old)]:
            yield from compare_values(old.get(name), new.get(name), f"{path}[{name}]")
    elif any(isinstance(item, dict) for item in [*before, *after]):
        for number in range(max(len(before), len(after))):
            old_item, new_item = (items[number] if number < len(items) else None for items in (before, after))
            yield from compare_values(old_item, new_item, f"{path}[{number}]")
    else:
        # Arguments: what left and what came says more than positions.
        gone = [item for item in before if item not in after]
        new_ones = [item for item in after if item not in before]
        yield FieldDifference(path, gone or None, new_ones or None)


def _explain(item: FieldDifference) -> SpecDifference:
    found = find_entry(_generalize(item.path))
    words, why = (found[1].words, found[1].why) if found else ("unknown", "")
    return SpecDifference(item.path, item.before, item.after, words, why)


def _generalize(path: str) -> str:
    """Return a path of the table: list items without number or name."""
    parts = []
    for part in path.split("."):
        head, bracket, _ = part.partition("[")
        parts.append(f"{head}[]" if bracket else head)
    return ".".join(parts)


def _classify(
    before: Scope | None, after: Scope | None, spec: Sequence[SpecDifference], *, restarts: bool
) -> ChangeClass:
    if before is None or after is None or not spec:
        return ChangeClass.NONE
    # A deployment without cache has nothing to lose.
    cached = before.settled.cache_enabled and after.settled.cache_enabled
    if cached and (before.fingerprint != after.fingerprint or loses_store(before, after)):
        return ChangeClass.CACHE_BREAKING
    return ChangeClass.ROLLING if restarts else ChangeClass.HOT


def loses_store(before: Scope, after: Scope) -> bool:
    """Whether the objects that are stored now are not read any more: another bucket or endpoint, or no object store."""
    old, new = (_locate(scope) for scope in (before, after))
    return old is not None and old != new


def _locate(scope: Scope) -> tuple[str, str] | None:
    store = scope.settled.object_store
    return None if store is None else (store.endpoint, store.bucket.name)


def _identify(item: Manifest) -> tuple[str, str]:
    name = _HASH_NAMED.sub("", item.name) if item.kind is CONFIG_MAP else item.name
    return (item.kind.name, name)


def _content(item: Manifest) -> dict[str, Any]:
    metadata = item.body["metadata"]
    annotations = {key: value for key, value in metadata["annotations"].items() if key not in _BOOKKEEPING}
    return {**item.body, "metadata": {**metadata, "annotations": annotations}}


def _template(objects: Sequence[Manifest]) -> Any:
    return next((item.body["spec"]["template"] for item in objects if item.kind is STATEFUL_SET), None)
