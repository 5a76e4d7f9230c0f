"""Model to structural schema: what a CRD may say is less than what JSON Schema may say, and this module is the bridge."""

from typing import Any, Final

from pydantic import BaseModel

_DROPPED: Final = frozenset({"title", "default", "additionalProperties", "$defs", "propertyNames", "const"})


def build_schema(model: type[BaseModel]) -> dict[str, Any]:
    """Return the structural schema of a model.

    References are inlined, optional fields are simply not required (never nullable), defaults are left out because they
    live in code, and every list says how server-side apply merges it (atomic unless the model says otherwise).

    Raises:
        TypeError: The model uses something that a structural schema cannot express.
    """
    source = model.model_json_schema(by_alias=True)
    schema: dict[str, Any] = _convert(source, source.get("$defs", {}), model.__name__)
    return schema


def _convert(node: dict[str, Any], defs: dict[str, Any], where: str) -> dict[str, Any]:
    if "$ref" in node:
        target = defs[node["$ref"].rsplit("/", 1)[1]]
        overrides = {key: value for key, value in node.items() if key != "$ref"}
        return _convert({**target, **overrides}, defs, where)
    if "anyOf" in node:
        return _convert(_without_null(node, where), defs, where)

    schema = {key: value for key, value in node.items() if key not in _DROPPED}
    match schema.get("type"):
        case "object":
            _convert_object(node, schema, defs, where)
        case "array":
            schema["items"] = _convert(node["items"], defs, f"{where}[]")
            schema.setdefault("x-kubernetes-list-type", "atomic")
        case "string" | "integer" | "boolean":
            pass
        case other:
            raise TypeError(
                f"{where}: type {other!r} has no place in a CRD; use a string, an integer, a list or a model"
            )
    if schema.get("type") == "integer":
        schema["format"] = "int64"
    return schema


def _without_null(node: dict[str, Any], where: str) -> dict[str, Any]:
    options = [option for option in node["anyOf"] if option.get("type") != "null"]
    if len(options) != 1:
        raise TypeError(f"{where}: a union of types has no place in a CRD; use one model with exactly-one-of fields")
    return {**options[0], **{key: value for key, value in node.items() if key != "anyOf"}}


def _convert_object(node: dict[str, Any], schema: dict[str, Any], defs: dict[str, Any], where: str) -> None:
    if "properties" in node:
        schema["properties"] = {
            name: _convert(prop, defs, f"{where}.{name}") for name, prop in node["properties"].items()
        }
        return
    values = node.get("additionalProperties")
    if not isinstance(values, dict):
        raise TypeError(f"{where}: a free-form object has no place in a CRD; use a model or a map of strings")
    schema["additionalProperties"] = _convert(values, defs, f"{where}{{}}")
