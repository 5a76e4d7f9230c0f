"""What a change of the CRD breaks: for objects that are stored already, for manifests in Git, and for clients that read.

Only what is known to be harmless passes: descriptions, messages, columns, wider bounds, new optional fields. A keyword
that this module does not know counts as a change that breaks, so that nothing new slips through. Rules are told apart by
their expression, as every new one may refuse stored objects; whether it does is for a reviewer to say.
"""

import hashlib
from collections.abc import Collection, Iterator
from typing import Any, Final

_Schema = dict[str, Any]

# Keywords that forbid more when they rise, and those that forbid more when they fall.
_LEAST: Final = ("minimum", "minLength", "minItems", "minProperties")
_MOST: Final = ("maximum", "maxLength", "maxItems", "maxProperties")
_COMPARED: Final = frozenset(
    {*_LEAST, *_MOST, "additionalProperties", "enum", "items", "pattern", "properties", "required", "type"}
    | {"x-kubernetes-validations"}
)
_HARMLESS: Final = frozenset({"description", "example", "externalDocs", "title"})


def find_breaking_changes(
    old_crd: dict[str, Any], new_crd: dict[str, Any], reviewed: Collection[str] = ()
) -> list[str]:
    """Return what the new CRD breaks, as `PLACE: what changed`, without what a review has accepted word for word."""
    old, new = old_crd["spec"], new_crd["spec"]
    found = [*_compare_names(old, new), *_compare_versions(old, new)]
    return [change for change in found if change not in reviewed]


def _compare_names(old: _Schema, new: _Schema) -> Iterator[str]:
    pairs = [(key, old.get(key), new.get(key)) for key in ("group", "scope")]
    pairs += [(key, old["names"].get(key), new["names"].get(key)) for key in ("kind", "plural")]
    yield from (f"{key}: {before} became {after}" for key, before, after in pairs if before != after)
    kept = new["names"].get("shortNames", [])
    yield from (f"short name removed: {name}" for name in old["names"].get("shortNames", []) if name not in kept)


def _compare_versions(old: _Schema, new: _Schema) -> Iterator[str]:
    versions = {version["name"]: version for version in new["versions"]}
    for before in old["versions"]:
        name = before["name"]
        after = versions.get(name)
        if after is None:
            yield f"version removed: {name}"
            continue
        if before["served"] and not after["served"]:
            yield f"version no longer served: {name}"
        yield from _compare_subresources(name, before.get("subresources", {}), after.get("subresources", {}))
        yield from _compare(name, before["schema"]["openAPIV3Schema"], after["schema"]["openAPIV3Schema"])


def _compare_subresources(version: str, old: _Schema, new: _Schema) -> Iterator[str]:
    for name, before in old.items():
        if name not in new:
            yield f"{version}: subresource removed: {name}"
            continue
        for key, path in before.items():
            if new[name].get(key) != path:
                yield f"{version}: {key} of {name}: {path} became {new[name].get(key)}"


def _compare(path: str, old: _Schema, new: _Schema) -> Iterator[str]:
    """Yield what breaks at a place and below it."""
    if old.get("type") != new.get("type"):
        yield f"{path}: type {old.get('type')} became {new.get('type')}"
        return
    for text in (*_compare_bounds(old, new), *_compare_values(old, new), *_compare_rules(old, new)):
        yield f"{path}: {text}"
    fields = new.get("properties", {})
    for name, before in old.get("properties", {}).items():
        if name in fields:
            yield from _compare(f"{path}.{name}", before, fields[name])
        else:
            yield f"{path}.{name}: field removed"
    was_required = old.get("required", [])
    yield from (f"{path}.{name}: field required" for name in new.get("required", []) if name not in was_required)
    for key, suffix in (("items", "[]"), ("additionalProperties", "{}")):
        before, after = old.get(key), new.get(key)
        if isinstance(before, dict) and isinstance(after, dict):
            yield from _compare(f"{path}{suffix}", before, after)
        elif before != after and before is not None:
            yield f"{path}: {key} removed"


def _compare_bounds(old: _Schema, new: _Schema) -> Iterator[str]:
    for keywords, sign in ((_LEAST, 1), (_MOST, -1)):
        for key in keywords:
            # A length or a count is never below zero, said or not; a number may be.
            before, after = old.get(key, 0 if sign > 0 and key != "minimum" else None), new.get(key)
            if after is None:
                continue
            if before is None:
                yield f"{key} {after} added"
            elif (after - before) * sign > 0:
                yield f"{key} {before} became {after}"


def _compare_values(old: _Schema, new: _Schema) -> Iterator[str]:
    if "enum" in new:
        if "enum" not in old:
            yield f"enum added: {', '.join(map(str, new['enum']))}"
        yield from (f"enum value removed: {value}" for value in old.get("enum", []) if value not in new["enum"])
    if "pattern" in new and old.get("pattern") != new["pattern"]:
        yield f"pattern added: {new['pattern']}"
    for key in sorted((old.keys() | new.keys()) - _COMPARED - _HARMLESS):
        if old.get(key) != new.get(key):
            yield f"{key}: {old.get(key)} became {new.get(key)}"


def _compare_rules(old: _Schema, new: _Schema) -> Iterator[str]:
    known = {rule["rule"] for rule in old.get("x-kubernetes-validations", [])}
    for rule in new.get("x-kubernetes-validations", []):
        if rule["rule"] not in known:
            # The expression may be pages long; its digest is enough to tell that a reviewed one has changed since.
            digest = hashlib.sha256(rule["rule"].encode()).hexdigest()[:8]
            yield f"rule added: {rule.get('message', rule['rule'])} (CEL {digest})"
