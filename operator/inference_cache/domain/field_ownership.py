"""Who owns which field of a child, by managedFields: what others have added to our specification, and how we take it over.

Comparing values alone would either miss additions (a host network, one more selector label) or fight with the API
server's defaults and with admission webhooks, whose changes are recorded as ours. Ownership tells these apart.
"""

from typing import Any, Final

from . import names

Entry = dict[str, Any]
Fields = dict[str, Any]

# What we render is in these; metadata and status are shared with others by design.
_RENDERED: Final = ("f:spec", "f:data", "f:binaryData")
# kubectl rollout restart: a user's wish to replace the pods, which the operator carries out.
_TOLERATED: Final = frozenset({"spec.template.metadata.annotations.kubectl.kubernetes.io/restartedAt"})


def list_foreign_fields(managed_fields: list[Entry]) -> tuple[str, ...]:
    """Return the rendered fields that only others own, as dotted paths in order."""
    ours = _merge_all(entry for entry in managed_fields if is_ours(entry))
    found: set[str] = set()
    for entry in managed_fields:
        if not _is_foreign(entry):
            continue
        fields = entry.get("fieldsV1", {})
        for top in _RENDERED:
            if top in fields:
                found.update(_list_missing(fields[top], ours.get(top), top.removeprefix("f:")))
    return tuple(sorted(found - _TOLERATED))


def adopt_fields(managed_fields: list[Entry]) -> list[Entry]:
    """Return the entries with all that we created and all that others added recorded as applied by us.

    The next apply then removes what the manifest does not have. This is what client-go's csaupgrade does for fields
    that were written by create; without it they stay for ever.
    """
    mine = [entry for entry in managed_fields if is_ours(entry)]
    adopted = _merge_all(mine)
    kept = []
    for entry in managed_fields:
        if is_ours(entry):
            continue
        if _is_foreign(entry) and _adds_fields(entry, mine):
            fields = {key: value for key, value in entry.get("fieldsV1", {}).items() if key not in _RENDERED}
            adopted = _merge(adopted, {key: entry["fieldsV1"][key] for key in _RENDERED if key in entry["fieldsV1"]})
            if fields:
                kept.append({**entry, "fieldsV1": fields})
            continue
        kept.append(entry)
    if not mine:
        return managed_fields
    return [*kept, {**mine[-1], "operation": "Apply", "fieldsV1": adopted}]


def is_ours(entry: Entry) -> bool:
    """Whether the entry records what this operator wrote to the object itself, by whatever verb."""
    return entry.get("manager") == names.FIELD_MANAGER and not entry.get("subresource")


def _is_foreign(entry: Entry) -> bool:
    return entry.get("manager") != names.FIELD_MANAGER and entry.get("subresource") != "status"


def _adds_fields(entry: Entry, mine: list[Entry]) -> bool:
    return bool(list_foreign_fields([*mine, entry]))


def _list_missing(theirs: Fields, ours: Fields | None, path: str) -> list[str]:
    if ours is None or (not theirs and ours):
        leaves = [key for key in theirs if key != "."]
        if not leaves:
            return [path]
        return [found for key in leaves for found in _list_missing(theirs[key], None, _join(path, key))]
    return [
        found
        for key, value in theirs.items()
        if key != "."
        for found in _list_missing(value, ours.get(key), _join(path, key))
    ]


def _join(path: str, key: str) -> str:
    return f"{path}.{key.removeprefix('f:')}" if key.startswith("f:") else f"{path}[{key.partition(':')[2]}]"


def _merge_all(entries: Any) -> Fields:
    merged: Fields = {}
    for entry in entries:
        merged = _merge(merged, entry.get("fieldsV1", {}))
    return merged


def _merge(one: Fields, other: Fields) -> Fields:
    return {**one, **{key: _merge(one.get(key, {}), value) for key, value in other.items()}}
