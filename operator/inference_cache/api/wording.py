"""What a refused field says: what was expected and why, what was found, and what to write instead."""

import re
from collections.abc import Callable, Mapping
from typing import Any, Final

from .base import DNS_SUBDOMAIN
from .fields import Form, Place, find_nearest, flatten
from .hatches import SENSITIVE_KEY_PATTERN, looks_like_credential, may_name_user

MAX_MESSAGE: Final = 512
_MAX_SHOWN: Final = 120
_HIDDEN: Final = "got a value that is not shown, as it may be a credential"
_SWITCH: Final = "YAML reads yes, no, on, off, true and false without quotes as a switch"
# Places where credentials are written by mistake, and how random ones look.
_SECRET_PLACES: Final = frozenset({"credentials", "secretRef", "secretKeyRef", "tokenSecretRef"})
# References to what holds no credentials.
_PUBLIC_REFS: Final = frozenset({"fabricRef"})
_RANDOM: Final = re.compile(r"(?=.*[a-z])(?=.*[A-Z])(?=.*[0-9])[A-Za-z0-9+/=_-]{20,}")

Item = Mapping[str, Any]
"""An error as pydantic reports it."""


def describe(form: Form, item: Item) -> tuple[str, str]:
    """Return the field and the message of one error."""
    place = Place(form, item["loc"])
    context = item.get("ctx", {})
    if item["type"] in {"rule", "secret_rule", "duplicate"}:
        field = place.path + context.get("path", "")
        message = f"{context['message']}{_show_of_rule(item, place)}"
    else:
        field = place.path
        write = _WRITERS.get(item["type"])
        message = write(place, item["input"]) if write else f"must be written in another way: {item['msg']}"
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


def _show_of_rule(item: Item, place: Place) -> str:
    if got := item["ctx"].get("got"):
        return f" (got {got})"
    if item["type"] != "rule" or isinstance(item["input"], dict | list):
        return ""
    return _show(place, item["input"])


def _show(place: Place, value: object) -> str:
    return f" ({_HIDDEN})" if _is_delicate(place, value) else f" (got {show_value(value)})"


def _is_delicate(place: Place, value: object) -> bool:
    """Whether a value may be a credential, so that it must not reach conditions, Events and logs."""
    if isinstance(value, dict | list) or value is None:
        return False
    last, path, form = str(place.last), place.general_path, place.form
    if looks_like_credential(str(value)):
        return True
    if path in form.images:
        return may_name_user(str(value))
    around = str(place.around.last)
    if around.endswith("Ref") and around not in _PUBLIC_REFS and last in {"name", "configMap"}:
        # A key that was pasted in the place of the object's name is rarely a name.
        return not isinstance(value, str) or not re.fullmatch(DNS_SUBDOMAIN, value)
    if _SECRET_PLACES.intersection(place.parts):
        # A reference has a name and a key; anything else that is written here may be the secret itself.
        return last not in {"name", "key"} or bool(_RANDOM.fullmatch(str(value)))
    harmless = next((name for head, name in form.hatches.items() if path.startswith(head)), None)
    if harmless is not None:
        return last != harmless
    return bool(re.search(SENSITIVE_KEY_PATTERN, last))


def _example(place: Place) -> str:
    return f"; write for instance {place.example}" if place.example else ""


def _tail(place: Place, word: str) -> str:
    """Return what to do about a value that nothing can be said about but that it is wrong."""
    what = "entry" if isinstance(place.last, int) else "field"
    either = "" if place.required else f", or remove the {what}"
    return _example(place) or f"; write {word}{either}"


def _missing(place: Place, _: object) -> str:
    meaning = re.split(r"[.;] ", place.schema.get("description", ""), maxsplit=1)[0].rstrip(".")
    meaning = meaning.replace(" (", ", ").replace(")", "")
    if meaning[1:2].islower() and not meaning.startswith("Secret"):
        meaning = meaning[0].lower() + meaning[1:]
    said = f" ({meaning})" if meaning else ""
    return f"must be set{said}{_example(place) or '; write it'}"


def _unknown(place: Place, value: object) -> str:
    return f"is no field of {place.around.path}; {_advise(place, value)}{_show(place, value)}"


def _advise(place: Place, value: object) -> str:
    """Return what to do about a field that does not exist: the name that is meant, or the place where it belongs."""
    around, name = place.around, str(place.last)
    known = around.fields
    places = around.find_elsewhere(name)
    near = find_nearest(name, known)
    if near and (flatten(near) == flatten(name) or not places):
        return f"did you mean {near}? Write that, or remove it"
    if not places:
        return f"use one of {', '.join(known)}, or remove it"
    if _is_delicate(place, value) and places[0].endswith("Ref"):
        return f"remove it, put it into a Secret, and name that in {places[0]}"
    inside = [path.rpartition(".")[2] for path in places if path.rpartition(".")[0] == around.general_path]
    return f"write {inside[0]} instead" if inside else f"move it to {' or '.join(places)}, or remove it"


def _range(place: Place) -> str:
    schema = place.schema
    low, high = schema.get("minimum"), schema.get("maximum")
    return "" if low is None or high is None else f" from {low} to {high}"


def _number_bound(place: Place, value: object) -> str:
    rules = place.schema.get("x-kubernetes-validations", [])
    more = f" and {rules[0]['message']}" if rules else "; write a whole number in that range"
    return f"must be{_range(place)}{more}{_show(place, value)}"


def _number_type(place: Place, value: object) -> str:
    must = f"must be a whole number{_range(place)}"
    schema = place.schema
    converted = _convert(str(place.last), value)
    if converted is not None and schema["minimum"] <= converted <= schema["maximum"]:
        quotes = " without quotes" if isinstance(value, str) else ""
        return f"{must}; write {converted}{quotes}{_show(place, value)}"
    match value:
        case bool():
            remedy = f"; {_SWITCH}; write digits"
        case float():
            remedy = "; write one without a decimal point"
        case str():
            remedy = "; write digits alone, without quotes"
        case _:
            remedy = _tail(place, "a number")
    return must + remedy + _show(place, value)


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


def _text_type(place: Place, value: object) -> str:
    match value:
        case bool():
            text = f"must be text, but {_SWITCH}; put it in quotes"
        case int() | float():
            example = place.example
            text = "must be text, but YAML reads it without quotes as a number; put it in quotes"
            text += f", or write a value such as {example}" if example else ""
        case None:
            text = f"must be text, but nothing is written{_tail(place, 'a value')}"
        case _:
            text = f"must be text{_tail(place, 'text')}"
    return text + _show(place, value)


def _enum(place: Place, value: object) -> str:
    words = place.schema.get("enum", [])
    listed = " or ".join(", ".join(part) for part in (words[:-1], words[-1:]) if part)
    near = find_nearest(value, words) if isinstance(value, str) else None
    either = "one of them" if len(words) > 1 else "it"
    remedy = f"; did you mean {near}? Write it in this spelling" if near else f"; write {either} in this spelling"
    if isinstance(value, bool):
        remedy = f"; {_SWITCH}; write one of the words"
    return f"must be {listed}{remedy}{_show(place, value)}"


def _object_type(place: Place, value: object) -> str:
    known = place.fields
    fields = f" with the field{'s' * (len(known) > 1)} {', '.join(known)}" if known else " of names to text"
    return f"must be a mapping{fields}{_tail(place, 'one')}{_show(place, value)}"


def _list_type(place: Place, value: object) -> str:
    remedy = _tail(place, "each entry on a line that begins with '- '")
    return f"must be a list, with '- ' before each entry{remedy}{_show(place, value)}"


def _too_many(place: Place, value: Any) -> str:
    schema = place.schema
    most = schema.get("maxItems", schema.get("maxProperties", 0))
    word = "entries" if isinstance(value, list) else "keys"
    return f"must have at most {most} {word}; remove {len(value) - most} (got {len(value)})"


def _too_few(place: Place, _: object) -> str:
    least = place.schema.get("minItems", 1)
    return f"must have at least {least} entry{_tail(place, 'one')} (got an empty list)"


def _too_long(place: Place, value: Any) -> str:
    most = place.schema.get("maxLength", 0)
    return f"must have at most {most} characters, not {len(value)}; write fewer{_show(place, value)}"


def _too_short(place: Place, value: Any) -> str:
    least = place.schema.get("minLength", 1)
    if not value:
        return f"must not be empty{_tail(place, 'a value')} (got '')"
    return f"must have at least {least} characters{_tail(place, 'a longer one')}{_show(place, value)}"


_WRITERS: Final[Mapping[str, Callable[[Place, Any], str]]] = {
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
