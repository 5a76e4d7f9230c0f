"""Examples about a vendor's adapter, and about how NIXL asks a store for RDMA."""

from collections.abc import Mapping
from typing import Any, Final

from tests.api.rows import STORE, Row, accept, duplicate, enum, items, lengths, required, rule, unknown
from tests.api.transport_rows import PLUGIN

_PLUGIN: Final = f"{STORE}.plugin"
_NAMES: Final = f"{_PLUGIN}.objectNames"
_OWN: Final[Mapping[str, Any]] = {**PLUGIN, _NAMES: "Own"}
_PARAMETER: Final = {"name": "threads", "value": "8"}
_SECRET: Final = {"name": "secret_access_key", "value": "wJalrXUtnFEMI"}
_TOKEN: Final = {"name": "extra", "value": "Bearer abcdefghijkl"}

_TOGETHER_MESSAGE: Final = "client Plugin needs plugin, and plugin needs client Plugin; write both, or neither"
_DIALECT_MESSAGE: Final = "rdmaDialect must be set with client NIXL or Auto only"
_MODULE_MESSAGE: Final = "must be the path of a Python module"
_CLASS_MESSAGE: Final = "must be the name of a Python class"
_KEY_MESSAGE: Final = "must be a key of the adapter's parameters: letters, digits and '_'"
_CREDENTIAL_MESSAGE: Final = "must not hold a credential, as the cache server prints its parameters"
_TCP_MESSAGE: Final = "tcpParameters must be set with objectNames Own only"


def _parameters(field: str, base: Mapping[str, Any]) -> list[Row]:
    """Return the examples about one of the two lists of parameters."""
    path = f"{_PLUGIN}.{field}"
    one = {**base, path: [_PARAMETER]}
    return [
        *items(path, 1, 32, _PARAMETER, base),
        duplicate(path, _PARAMETER, {"name": "threads", "value": "9"}, base=base),
        required(f"{path}.0.name", one),
        required(f"{path}.0.value", one),
        *lengths(f"{path}.0.name", 1, 63, one),
        *lengths(f"{path}.0.value", 0, 1024, one, hidden=True),
        accept(f"an empty value in {field}", f"{path}.0.value", "", one),
        rule(f"a key with a hyphen in {field}", f"{path}.0.name", "max-threads", _KEY_MESSAGE, one),
        rule(f"a key as parameter in {field}", f"{path}.0", _SECRET, _CREDENTIAL_MESSAGE, one, hidden="wJalrXUtnFEMI"),
        rule(f"a token as value in {field}", f"{path}.0", _TOKEN, _CREDENTIAL_MESSAGE, one, hidden="abcdefghijkl"),
        unknown(f"{path}.0", one, hidden=True),
    ]


PLUGIN_ROWS: Final = [
    *enum(f"{STORE}.rdmaDialect", ("Dell",)),
    accept("NIXL with a dialect", f"{STORE}.rdmaDialect", "Dell", {f"{STORE}.client": "NIXL"}),
    rule("LMCache's client with a dialect", f"{STORE}.client", "LMCacheS3", _DIALECT_MESSAGE, {f"{STORE}.rdmaDialect": "Dell"}, STORE),
    rule("an adapter with a dialect", f"{STORE}.rdmaDialect", "Dell", _DIALECT_MESSAGE, PLUGIN, STORE),
    rule("an adapter with another client", f"{STORE}.client", "NIXL", _TOGETHER_MESSAGE, PLUGIN, STORE),
    rule("the client of an adapter without one", f"{STORE}.client", "Plugin", _TOGETHER_MESSAGE, at=STORE),
    required(f"{_PLUGIN}.modulePath", PLUGIN),
    required(f"{_PLUGIN}.className", PLUGIN),
    required(_NAMES, PLUGIN),
    *enum(_NAMES, ("LMCacheS3", "NIXL", "Own"), PLUGIN),
    *lengths(f"{_PLUGIN}.modulePath", 1, 253, PLUGIN),
    rule("a module as a file", f"{_PLUGIN}.modulePath", "vendor/adapter.py", _MODULE_MESSAGE, PLUGIN),
    *lengths(f"{_PLUGIN}.className", 1, 253, PLUGIN),
    rule("a class with its module", f"{_PLUGIN}.className", "vendor.Adapter", _CLASS_MESSAGE, PLUGIN),
    *lengths(f"{_PLUGIN}.configClassName", 1, 253, PLUGIN),
    rule("a configuration class with a blank", f"{_PLUGIN}.configClassName", "Adapter Config", _CLASS_MESSAGE, PLUGIN),
    *_parameters("parameters", PLUGIN),
    *_parameters("tcpParameters", _OWN),
    *(
        rule(f"parameters of TCP with names of {names}", f"{_PLUGIN}.tcpParameters", [_PARAMETER], _TCP_MESSAGE, {**PLUGIN, _NAMES: names}, _PLUGIN)
        for names in ("LMCacheS3", "NIXL")
    ),
    unknown(_PLUGIN, PLUGIN),
]  # fmt: skip
