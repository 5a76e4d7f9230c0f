"""What YAML can hold and JSON cannot: found before a spec is checked, and told with the remedy."""

from datetime import date, time
from typing import Any, Final

from .fields import Location, find_schema, format_path

_DEEPEST: Final = 32
_MOST_BITS: Final = 64
_BLANK: Final = "x"

Problem = tuple[str, str]
"""Field and message."""


def make_plain(value: object) -> tuple[Any, list[Problem]]:
    """Return a value with something harmless in place of what is no JSON, and what that was."""
    problems: list[Problem] = []
    return _copy(value, (), problems), problems


def _copy(value: object, location: Location, problems: list[Problem]) -> Any:
    if len(location) > _DEEPEST and isinstance(value, dict | list):
        message = f"must not be nested deeper than {_DEEPEST} levels, and no YAML anchor may contain itself; remove it"
        problems.append((format_path(location[:3]), message))
        return _BLANK
    match value:
        case dict():
            return {
                _copy_key(key, location, problems): _copy(item, (*location, str(key)), problems)
                for key, item in value.items()
            }
        case list():
            return [_copy(item, (*location, number), problems) for number, item in enumerate(value)]
        case str() if not _is_unicode(value):
            problems.append(
                (format_path(location), "must be valid Unicode text; write it again without half characters")
            )
            return _BLANK
        case int() if value.bit_length() > _MOST_BITS:
            message = f"must be a number of at most {_MOST_BITS} bits; write a smaller one (got one of {value.bit_length()} bits)"
            problems.append((format_path(location), message))
            return 0
        case float() if value.is_integer() and find_schema(location).get("type") == "integer":
            # The API server takes 2.0 for 2.
            return int(value)
        case None | bool() | int() | float() | str():
            return value
        case date() | time():
            problems.append((format_path(location), _say_date(value.isoformat())))
            return value.isoformat()
    problems.append((format_path(location), _say_foreign(value)))
    return _BLANK


def _copy_key(key: object, location: Location, problems: list[Problem]) -> Any:
    if isinstance(key, str | int | float) or key is None:
        return key
    problems.append((format_path(location), f"must have text as keys; put the key {key} in quotes"))
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
