"""What YAML can hold and JSON cannot: found before an object is checked, and told with the remedy."""

from datetime import date, time
from typing import Any, Final

from .fields import Form, Place

_DEEPEST: Final = 32
_MOST_BITS: Final = 64
_BLANK: Final = "x"

Problem = tuple[str, str]
"""Field and message."""


def make_plain(form: Form, value: object) -> tuple[Any, list[Problem]]:
    """Return a value with something harmless in place of what is no JSON, and what that was."""
    problems: list[Problem] = []
    return _copy(value, Place(form), problems), problems


def _copy(value: object, place: Place, problems: list[Problem]) -> Any:
    if len(place.parts) > _DEEPEST and isinstance(value, dict | list):
        message = f"must not be nested deeper than {_DEEPEST} levels, and no YAML anchor may contain itself; remove it"
        problems.append((Place(place.form, place.parts[:3]).path, message))
        return _BLANK
    match value:
        case dict():
            return {
                _copy_key(key, place, problems): _copy(item, place.step(str(key)), problems)
                for key, item in value.items()
            }
        case list():
            return [_copy(item, place.step(number), problems) for number, item in enumerate(value)]
        case str() if not _is_unicode(value):
            problems.append((place.path, "must be valid Unicode text; write it again without half characters"))
            return _BLANK
        case int() if value.bit_length() > _MOST_BITS:
            message = f"must be a number of at most {_MOST_BITS} bits; write a smaller one (got one of {value.bit_length()} bits)"
            problems.append((place.path, message))
            return 0
        case float() if value.is_integer() and place.schema.get("type") == "integer":
            # The API server takes 2.0 for 2.
            return int(value)
        case None | bool() | int() | float() | str():
            return value
        case date() | time():
            problems.append((place.path, _say_date(value.isoformat())))
            return value.isoformat()
    problems.append((place.path, _say_foreign(value)))
    return _BLANK


def _copy_key(key: object, place: Place, problems: list[Problem]) -> Any:
    if isinstance(key, str | int | float) or key is None:
        return key
    problems.append((place.path, f"must have text as keys; put the key {key} in quotes"))
    return str(key)


def _say_date(text: str) -> str:
    return f'must be text, but YAML reads it without quotes as a date; put it in quotes: "{text}" (got the date {text})'


def _say_foreign(value: object) -> str:
    kind = "binary data" if isinstance(value, bytes) else f"a value of type {type(value).__name__}"
    return f"must be text, a number, a list or a mapping; remove the YAML tag or write text in quotes (got {kind})"


def _is_unicode(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True
