"""What a refused field says: what was expected and why, what was found, and what to write instead."""

import re
from collections.abc import Callable, Mapping
from typing import Any, Final

from .base import DNS_SUBDOMAIN
from .examples import EXAMPLES
from .fields import (
    Location,
    find_elsewhere,
    find_nearest,
    find_schema,
    flatten,
    format_path,
    generalize,
    is_required,
    list_fields,
)
from .hatches import looks_like_credential, may_name_user

MAX_MESSAGE: Final = 512
_MAX_SHOWN: Final = 120
_HIDDEN: Final = "got a value that is not shown, as it may be a credential"
_SWITCH: Final = "YAML reads yes, no, on, off, true and false without quotes as a switch"
# Places where credentials are written by mistake, names that people give to them, and how random ones look.
_SECRET_PLACES: Final = frozenset({"credentials", "secretRef", "secretKeyRef", "tokenSecretRef"})
_SECRET_NAME: Final = re.compile(
    r"(access|api|private|secret)[-_]?key|passw|secret|credential|(^|hf|hub|auth|access|api)[-_]?token$", re.IGNORECASE
)
_IMAGE_PLACES: Final = frozenset({"spec.engine.image", "spec.model.source.image.reference"})
_RANDOM: Final = re.compile(r"(?=.*[a-z])(?=.*[A-Z])(?=.*[0-9])[A-Za-z0-9+/=_-]{20,}")

Item = Mapping[str, Any]
"""An error as pydantic reports it."""


def describe(item: Item) -> tuple[str, str]:
    """Return the field and the message of one error."""
    location = item["loc"]
    context = item.get("ctx", {})
    if item["type"] in {"rule", "secret_rule", "duplicate"}:
        field = format_path(location) + context.get("path", "")
        message = f"{context['message']}{_show_of_rule(item, location)}"
    else:
        field = format_path(location)
        write = _WRITERS.get(item["type"])
        message = write(location, item["input"]) if write else f"must be written in another way: {item['msg']}"
    return field, shorten(message, MAX_MESSAGE)


def shorten(text: str, length: int) -> str:
    """Return a text that is cut where it is too long."""
    return text if len(text) <= length else f"{text[: length - 1]}…"


def show_value(value: object) -> str:
    """Return a value as messages show it: text in quotes, words of YAML, the kind of what is larger."""
    match value:
        case bool():
            return str(value).lower()
        case None:
            return "nothing"
        case str() if len(value) > _MAX_SHOWN:
            return f"{value[:_MAX_SHOWN]!r} and so on"
        case dict() | list():
            return ("a mapping" if isinstance(value, dict) else "a list") if value else f"an empty {_kind(value)}"
    return shorten(repr(value), _MAX_SHOWN)


def _kind(value: object) -> str:
    return "mapping" if isinstance(value, dict) else "list"


def _show_of_rule(item: Item, location: Location) -> str:
    if got := item["ctx"].get("got"):
        return f" (got {got})"
    if item["type"] != "rule" or isinstance(item["input"], dict | list):
        return ""
    return _show(location, item["input"])


def _show(location: Location, value: object) -> str:
    return f" ({_HIDDEN})" if _is_delicate(location, value) else f" (got {show_value(value)})"


def _is_delicate(location: Location, value: object) -> bool:
    """Whether a value may be a credential, so that it must not reach conditions, Events and logs."""
    if isinstance(value, dict | list) or value is None:
        return False
    last = str(location[-1]) if location else ""
    if looks_like_credential(str(value)) or generalize(location).startswith("spec.engine.extraArgs"):
        return True
    if generalize(location) in _IMAGE_PLACES:
        return may_name_user(str(value))
    if len(location) > 1 and str(location[-2]).endswith("Ref") and last in {"name", "configMap"}:
        # A key that was pasted in the place of the object's name is rarely a name.
        return not isinstance(value, str) or not re.fullmatch(DNS_SUBDOMAIN, value)
    if _SECRET_PLACES.intersection(location):
        # A reference has a name and a key; anything else that is written here may be the secret itself.
        return last not in {"name", "key"} or bool(_RANDOM.fullmatch(str(value)))
    if generalize(location).startswith("spec.engine.extraEnv"):
        return last != "name"
    return bool(_SECRET_NAME.search(last))


def _example(location: Location) -> str:
    text = EXAMPLES.get(generalize(location))
    return f"; write for instance {text}" if text else ""


def _tail(location: Location, word: str) -> str:
    """Return what to do about a value that nothing can be said about but that it is wrong."""
    what = "entry" if location and isinstance(location[-1], int) else "field"
    either = "" if is_required(location) else f", or remove the {what}"
    return _example(location) or f"; write {word}{either}"


def _missing(location: Location, _: object) -> str:
    meaning = re.split(r"[.;] ", find_schema(location).get("description", ""), maxsplit=1)[0].rstrip(".")
    meaning = meaning.replace(" (", ", ").replace(")", "")
    if meaning[1:2].islower() and not meaning.startswith("Secret"):
        meaning = meaning[0].lower() + meaning[1:]
    said = f" ({meaning})" if meaning else ""
    return f"must be set{said}{_example(location) or '; write it'}"


def _unknown(location: Location, value: object) -> str:
    return f"is no field of {format_path(location[:-1])}; {_advise(location, value)}{_show(location, value)}"


def _advise(location: Location, value: object) -> str:
    """Return what to do about a field that does not exist: the name that is meant, or the place where it belongs."""
    around, name = location[:-1], str(location[-1])
    known = list_fields(around)
    places = find_elsewhere(name, around)
    near = find_nearest(name, known)
    if near and (flatten(near) == flatten(name) or not places):
        return f"did you mean {near}? Write that, or remove it"
    if not places:
        return f"use one of {', '.join(known)}, or remove it"
    if _is_delicate(location, value) and places[0].endswith("Ref"):
        return f"remove it, put it into a Secret, and name that in {places[0]}"
    inside = [path.rpartition(".")[2] for path in places if path.rpartition(".")[0] == generalize(around)]
    return f"write {inside[0]} instead" if inside else f"move it to {' or '.join(places)}, or remove it"


def _range(location: Location) -> str:
    schema = find_schema(location)
    low, high = schema.get("minimum"), schema.get("maximum")
    return "" if low is None or high is None else f" from {low} to {high}"


def _number_bound(location: Location, value: object) -> str:
    rules = find_schema(location).get("x-kubernetes-validations", [])
    more = f" and {rules[0]['message']}" if rules else "; write a whole number in that range"
    return f"must be{_range(location)}{more}{_show(location, value)}"


def _number_type(location: Location, value: object) -> str:
    must = f"must be a whole number{_range(location)}"
    schema = find_schema(location)
    converted = _convert(str(location[-1]), value)
    if converted is not None and schema["minimum"] <= converted <= schema["maximum"]:
        quotes = " without quotes" if isinstance(value, str) else ""
        return f"{must}; write {converted}{quotes}{_show(location, value)}"
    match value:
        case bool():
            remedy = f"; {_SWITCH}; write digits"
        case float():
            remedy = "; write one without a decimal point"
        case str():
            remedy = "; write digits alone, without quotes"
        case _:
            remedy = _tail(location, "a number")
    return must + remedy + _show(location, value)


def _convert(name: str, value: object) -> int | None:
    """Return a number that was written as text, or in another unit than the field's name tells."""
    if isinstance(value, str) and re.fullmatch("[0-9]{1,18}", value):
        return int(value)
    if name.endswith("Percent"):
        if isinstance(value, float) and 0 < value < 1:
            return round(value * 100)
        if isinstance(value, str) and (found := re.fullmatch(r"([0-9]{1,3}) ?%", value)):
            return int(found[1])
    if name.endswith("Seconds") and isinstance(value, str) and (found := re.fullmatch(r"([0-9]{1,6})([smh])", value)):
        return int(found[1]) * {"s": 1, "m": 60, "h": 3600}[found[2]]
    return None


def _text_type(location: Location, value: object) -> str:
    match value:
        case bool():
            text = f"must be text, but {_SWITCH}; put it in quotes"
        case int() | float():
            example = EXAMPLES.get(generalize(location), "")
            text = "must be text, but YAML reads it without quotes as a number; put it in quotes"
            text += f", or write a value such as {example}" if example else ""
        case None:
            text = f"must be text, but nothing is written{_tail(location, 'a value')}"
        case _:
            text = f"must be text{_tail(location, 'text')}"
    return text + _show(location, value)


def _enum(location: Location, value: object) -> str:
    words = find_schema(location).get("enum", [])
    listed = f"{', '.join(words[:-1])} or {words[-1]}"
    near = find_nearest(value, words) if isinstance(value, str) else None
    remedy = f"; did you mean {near}? Write it in this spelling" if near else "; write one of them in this spelling"
    if isinstance(value, bool):
        remedy = f"; {_SWITCH}; write one of the words"
    return f"must be {listed}{remedy}{_show(location, value)}"


def _object_type(location: Location, value: object) -> str:
    known = list_fields(location)
    fields = f" with the field{'s' * (len(known) > 1)} {', '.join(known)}" if known else " of names to text"
    return f"must be a mapping{fields}{_tail(location, 'one')}{_show(location, value)}"


def _list_type(location: Location, value: object) -> str:
    remedy = _tail(location, "each entry on a line that begins with '- '")
    return f"must be a list, with '- ' before each entry{remedy}{_show(location, value)}"


def _too_many(location: Location, value: Any) -> str:
    schema = find_schema(location)
    most = schema.get("maxItems", schema.get("maxProperties", 0))
    word = "entries" if isinstance(value, list) else "keys"
    return f"must have at most {most} {word}; remove {len(value) - most} (got {len(value)})"


def _too_few(location: Location, _: object) -> str:
    least = find_schema(location).get("minItems", 1)
    return f"must have at least {least} entry{_tail(location, 'one')} (got an empty list)"


def _too_long(location: Location, value: Any) -> str:
    most = find_schema(location).get("maxLength", 0)
    return f"must have at most {most} characters, not {len(value)}; write fewer{_show(location, value)}"


def _too_short(location: Location, value: Any) -> str:
    least = find_schema(location).get("minLength", 1)
    if not value:
        return f"must not be empty{_tail(location, 'a value')} (got '')"
    return f"must have at least {least} characters{_tail(location, 'a longer one')}{_show(location, value)}"


_WRITERS: Final[Mapping[str, Callable[[Location, Any], str]]] = {
    "missing": _missing,
    "extra_forbidden": _unknown,
    "greater_than_equal": _number_bound,
    "less_than_equal": _number_bound,
    "int_type": _number_type,
    "string_type": _text_type,
    "enum": _enum,
    "model_type": _object_type,
    "dict_type": _object_type,
    "list_type": _list_type,
    "too_long": _too_many,
    "too_short": _too_few,
    "string_too_long": _too_long,
    "string_too_short": _too_short,
}
