"""The options that each supported version of vLLM and of LMCache really has, dumped from their own parsers.

The lists are package data: the tests hold every rendered argument against them, and the operator holds what users pass
through engine.extraArgs against the same ones.
"""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import Enum
from functools import cache
from importlib.resources import files
from typing import Any, Final


@dataclass(frozen=True)
class Option:
    """One option of a program: kind is str, int, float, json or bool (a switch without value)."""

    kind: str
    choices: tuple[str, ...] = ()


Options = Mapping[str, Option]

_PARSERS: Final[dict[str, Callable[[str], object]]] = {"int": int, "float": float, "json": json.loads}


@cache
def load_options(program: str, version: str) -> Options:
    """Return the options of "vllm", "lmcache" (its server) or "lmcache-connector" by name.

    Raises:
        FileNotFoundError: There is no list for that version.
    """
    text = files(__package__).joinpath("option_data", f"{program}-{version}.json").read_text(encoding="utf-8")
    raw: dict[str, Any] = json.loads(text)
    return {name: Option(item["type"], tuple(map(str, item.get("choices", ())))) for name, item in raw.items()}


class ArgumentFault(Enum):
    """What a parser would refuse in an argument."""

    UNKNOWN = "unknown"
    MISSING_VALUE = "needs a value"
    NEEDLESS_VALUE = "takes no value"
    WRONG_TYPE = "wrong type"
    WRONG_CHOICE = "not one of the choices"


def find_argument_fault(argument: str, options: Options) -> ArgumentFault | None:
    """Return what a parser with these options would refuse in an argument written --option or --option=value."""
    flag, has_value, text = argument.partition("=")
    option = options.get(flag)
    if option is None:
        return ArgumentFault.UNKNOWN
    if option.kind == "bool":
        return ArgumentFault.NEEDLESS_VALUE if has_value else None
    if not has_value:
        return ArgumentFault.MISSING_VALUE
    try:
        _PARSERS.get(option.kind, str)(text)
    except (ValueError, RecursionError):
        return ArgumentFault.WRONG_TYPE
    if option.choices and text not in option.choices:
        return ArgumentFault.WRONG_CHOICE
    return None
