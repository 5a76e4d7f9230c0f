"""The leaves of the spec, in the schema and in a value, by path: `cache.tiers[].memory.size`, `nodes.selector{}`."""

from collections.abc import Iterator
from typing import Any, Final

from inference_cache.api.crd import build_crd

Schema = dict[str, Any]


def build_spec_schema() -> Schema:
    """Return the structural schema of the spec."""
    schema: Schema = build_crd()["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["spec"]
    return schema


SCHEMA: Final = build_spec_schema()


def list_leaves(schema: Schema, path: str = "") -> Iterator[str]:
    """Yield the path of every scalar that the schema allows."""
    if "properties" in schema:
        for name, item in schema["properties"].items():
            yield from list_leaves(item, f"{path}.{name}".lstrip("."))
    elif "additionalProperties" in schema:
        yield from list_leaves(schema["additionalProperties"], f"{path}{{}}")
    elif "items" in schema:
        yield from list_leaves(schema["items"], f"{path}[]")
    else:
        yield path


def list_used_leaves(value: Any, schema: Schema, path: str = "") -> Iterator[str]:
    """Yield the path of every scalar of a value; a field that the schema lacks is an error."""
    if "properties" in schema:
        for name, item in value.items():
            yield from list_used_leaves(item, schema["properties"][name], f"{path}.{name}".lstrip("."))
    elif "additionalProperties" in schema:
        for item in value.values():
            yield from list_used_leaves(item, schema["additionalProperties"], f"{path}{{}}")
    elif "items" in schema:
        for item in value:
            yield from list_used_leaves(item, schema["items"], f"{path}[]")
    else:
        yield path
