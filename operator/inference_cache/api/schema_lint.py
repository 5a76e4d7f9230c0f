"""The project's rules for API schemas, checked on the finished CRD: what a model may say is decided here, not by reviewers.

The API server accepts far more than is good to promise: unbounded values, which make validation rules too costly, floats,
which clients round differently, durations as text, defaults that are frozen into stored objects, messages without a way
out. Rules hold for the whole schema; where spec and status differ, the rule says so.
"""

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Final

# Names that are written in another way than PascalCase by everybody, and why they may stand in enums.
KNOWN_NAMES: Final = {
    "DHCP": "a protocol's name",
    "DPU": "data processing unit",
    "IPCLock": "a Linux capability's name",
    "IPoIB": "a protocol's name",
    "NIC": "network interface card",
    "NVIPAM": "a project's name",
    "SRIOV": "a standard's name",
    "ARC": "adaptive replacement cache, a policy's name",
    "BFloat16": "a number format's name",
    "FP8": "a number format's name",
    "LMCache": "a project's name",
    "LRU": "least recently used, a policy's name",
    "NIXL": "a project's name",
    "RDMA": "a transport's name",
    "TCP": "a transport's name",
}
_TYPES: Final = frozenset({"object", "array", "string", "integer", "boolean"})
_CAMEL_CASE: Final = re.compile(r"[a-z][a-zA-Z0-9]*")
_PASCAL_CASE: Final = re.compile(f"(?:{'|'.join(KNOWN_NAMES)}|[A-Z][a-z0-9]+)+")
_UNITLESS: Final = re.compile(r"(timeout|duration|interval)$", re.IGNORECASE)
# A heuristic: a message without any of these states a fact at best.
_REMEDY: Final = re.compile(r"\b(must|needs?|use|write|keep|choose|remove|move|leave)\b", re.IGNORECASE)
# The API server's own part of every object.
_FOREIGN: Final = frozenset({"apiVersion", "kind", "metadata"})


@dataclass(frozen=True)
class _Node:
    """A place in a schema.

    Attributes:
        path: Where it is, for messages.
        schema: What is said there.
        field: Name of the field; empty for the items of lists and the values of maps.
        in_spec: Whether users write it.
    """

    path: str
    schema: dict[str, Any]
    field: str
    in_spec: bool

    @property
    def kind(self) -> str:
        """The type that the schema names, if any."""
        return str(self.schema.get("type", ""))


def check_schema(crd: dict[str, Any]) -> list[str]:
    """Return every violation of the API rules in any version of a CRD, as `VERSION.PATH: what is wrong and what to do`."""
    return [
        f"{version['name']}.{node.path}: {problem}" if node.path else f"{version['name']}: {problem}"
        for version in crd["spec"]["versions"]
        for node in _walk_root(version["schema"]["openAPIV3Schema"])
        for check in _CHECKS
        for problem in check(node)
    ]


def _walk_root(schema: dict[str, Any]) -> Iterator[_Node]:
    own = {name: child for name, child in schema.get("properties", {}).items() if name not in _FOREIGN}
    yield _Node("", {**schema, "properties": own}, "", in_spec=True)
    for name, child in own.items():
        yield from _walk(_Node(name, child, name, in_spec=name != "status"))


def _walk(node: _Node) -> Iterator[_Node]:
    yield node
    for name, child in node.schema.get("properties", {}).items():
        yield from _walk(_Node(f"{node.path}.{name}", child, name, node.in_spec))
    for key, suffix in (("items", "[]"), ("additionalProperties", "{}")):
        if isinstance(child := node.schema.get(key), dict):
            yield from _walk(_Node(f"{node.path}{suffix}", child, "", node.in_spec))


def _check_type(node: _Node) -> Iterator[str]:
    if node.kind == "number":
        yield "floats are rounded differently by clients; use an integer in a named unit, or a quantity"
    elif node.kind not in _TYPES:
        yield f"type {node.kind or 'missing'}; use one of {', '.join(sorted(_TYPES))}"
    if node.kind == "boolean" and node.in_spec:
        yield "a boolean leaves no room for a third state; use an enum"
    if node.schema.get("nullable"):
        yield "null and absent would mean two things; leave nullable out and make the field optional"
    if "default" in node.schema:
        yield "a default is frozen into stored objects; apply it in code"
    if node.schema.get("x-kubernetes-preserve-unknown-fields"):
        yield "unknown fields would be kept without being checked; name the fields"


def _check_bounds(node: _Node) -> Iterator[str]:
    schema = node.schema
    if node.kind == "string" and not schema.keys() & {"maxLength", "enum"} and schema.get("format") != "date-time":
        yield "string without maxLength"
    if node.kind == "array" and "maxItems" not in schema:
        yield "list without maxItems"
    if "additionalProperties" in schema and "maxProperties" not in schema:
        yield "map without maxProperties"
    if node.kind == "integer":
        if "minimum" not in schema:
            yield "integer without minimum"
        # What is counted has no upper bound that would not be refused on the day it is exceeded.
        if "maximum" not in schema and node.in_spec:
            yield "integer without maximum"
        if schema.get("format") != "int64":
            yield "integer without format int64, so clients may cut it to 32 bits"


def _check_object(node: _Node) -> Iterator[str]:
    if node.kind == "object" and not node.schema.get("properties") and "additionalProperties" not in node.schema:
        yield "object without fields, so everything in it would be pruned; name its fields"


def _check_list(node: _Node) -> Iterator[str]:
    if node.kind != "array":
        return
    merge = node.schema.get("x-kubernetes-list-type")
    if merge is None:
        yield "list without x-kubernetes-list-type, so it is unclear how writers share it; use map, set or atomic"
    if merge != "map":
        return
    keys = node.schema.get("x-kubernetes-list-map-keys", [])
    if not keys:
        yield "list of type map without x-kubernetes-list-map-keys"
    required = node.schema.get("items", {}).get("required", [])
    for key in keys:
        if key not in required:
            yield f"key {key} of the list is not required in its items"


def _check_names(node: _Node) -> Iterator[str]:
    if (node.field or not node.path or node.kind == "object") and not node.schema.get("description"):
        yield "no description"
    if not node.field:
        return
    if not _CAMEL_CASE.fullmatch(node.field):
        yield "name is not lowerCamelCase"
    if _UNITLESS.search(node.field) and node.kind in {"string", "integer"} and "enum" not in node.schema:
        yield f"duration without a unit; use an integer and name it {node.field}Seconds"


def _check_enum(node: _Node) -> Iterator[str]:
    for value in node.schema.get("enum", []):
        if not isinstance(value, str) or not _PASCAL_CASE.fullmatch(value):
            yield f"enum value {value} is neither PascalCase nor a known name"


def _check_rules(node: _Node) -> Iterator[str]:
    for rule in node.schema.get("x-kubernetes-validations", []):
        message = rule.get("message", "")
        if not message:
            yield f"rule {rule['rule']} has no message"
        elif not _REMEDY.search(message):
            yield f"message does not say what to do: {message}"


_CHECKS: Final[tuple[Callable[[_Node], Iterator[str]], ...]] = (
    _check_type,
    _check_bounds,
    _check_object,
    _check_list,
    _check_names,
    _check_enum,
    _check_rules,
)
