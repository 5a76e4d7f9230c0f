"""Every rendered option and key exists in the version that it is rendered for, and has a value of its type."""

import re
from collections.abc import Mapping
from typing import Any, Final

import pytest

from inference_cache.domain.desired.adapters import build_rdma_adapter, build_tcp_adapter
from inference_cache.domain.desired.options import build_cache_args, build_engine_args, build_transfer_config
from inference_cache.domain.option_lists import ArgumentFault, Option, Options, find_argument_fault, load_options
from inference_cache.domain.scope import Scope
from inference_cache.domain.versions import BUILT_IN_TABLE, DEFAULT_PAIR, OLDER_PAIR, VersionPair
from tests.golden.cases import CASES, load_scope

_TRANSFER: Final[Options] = {
    "kv_connector": Option("str"),
    "kv_connector_module_path": Option("str"),
    "kv_role": Option("str", ("kv_producer", "kv_consumer", "kv_both")),
    "kv_load_failure_policy": Option("str", ("recompute", "fail")),
    "kv_connector_extra_config": Option("json"),
}
# The server accepts unknown keys of an adapter without a word, so these lists are the only guard. Read from the parsers
# of both wheels; s3_l2_adapter.py is the same file in both.
_COMMON: Final[dict[str, Option]] = {"shared": Option("bool"), "persist_enabled": Option("bool"), "eviction": Option("json"), "serde": Option("json")}  # fmt: skip
_S3: Final[dict[str, Option]] = _COMMON | {
    "type": Option("str", ("s3",)),
    "s3_endpoint": Option("str"),
    "s3_region": Option("str"),
    "s3_num_io_threads": Option("int"),
    "s3_prefer_http2": Option("bool"),
    "s3_enable_s3express": Option("bool"),
    "disable_tls": Option("bool"),
    "max_capacity_gb": Option("float"),
}
_NIXL: Final[dict[str, Option]] = _COMMON | {
    "type": Option("str", ("nixl_native",)),
    "affinity_tag": Option("str"),
    "backend": Option("str", ("OBJ",)),
    "backend_params": Option("json"),
    "num_workers": Option("int"),
    "max_capacity_gb": Option("float"),
}
# plugin_l2_adapter.py is the same file in both.
_PLUGIN: Final[dict[str, Option]] = _COMMON | {
    "type": Option("str", ("plugin",)),
    "module_path": Option("str"),
    "class_name": Option("str"),
    "config_class_name": Option("str"),
    "adapter_params": Option("json"),
}
_TAGGED: Final = {"affinity_tag": Option("str")}
# Which adapters a version of LMCache has, and their keys.
_ADAPTERS: Final[Mapping[str, Mapping[str, Options]]] = {
    "0.5.3": {"s3": _S3, "plugin": _PLUGIN},
    "0.5.6": {"s3": _S3 | _TAGGED, "nixl_native": _NIXL, "plugin": _PLUGIN | _TAGGED},
}
# Parameters of NIXL's object backend. Every value must be a text; keys for credentials are left out on purpose.
# `accelerated` and `type` are read from NIXL's source (src/plugins/obj): no published wheel was built with their engine.
_NIXL_PARAMETERS: Final[Mapping[str, str]] = {
    "bucket": ".+",
    "endpoint_override": "(https?://)?[^/]+",
    "scheme": "https?",
    "region": ".+",
    "use_virtual_addressing": "true|false",
    "req_checksum": "required|supported",
    "resp_checksum": "required|supported",
    "ca_bundle": "/.+",
    "num_threads": "[1-9][0-9]*",
    "shard_dirs": "true|false",
    "accelerated": "true",
    "type": "dell",
}
_SCOPES: Final = {case: load_scope(case) for case in CASES}
_CACHED: Final = [case for case, scope in _SCOPES.items() if scope.settled.cache_enabled]
_STORED: Final = [case for case, scope in _SCOPES.items() if scope.settled.object_store]


def _options(program: str, pair: VersionPair) -> Options:
    return load_options(program, pair.options[0] if program == "vllm" else pair.options[1])


def _fits_value(kind: str, value: Any) -> bool:
    if kind in {"int", "float"}:
        return isinstance(value, int if kind == "int" else int | float) and not isinstance(value, bool)
    return isinstance(value, {"bool": bool, "str": str, "json": dict | list}[kind])


def find_faults(args: list[str], options: Options) -> list[str]:
    """Return what a parser with these options would refuse, for arguments written as --flag or --flag=value."""
    found = [(arg.partition("=")[0], find_argument_fault(arg, options)) for arg in args]
    return [f"{flag}: {fault.value}" for flag, fault in found if fault is not None]


def find_config_faults(config: Mapping[str, Any], options: Options) -> list[str]:
    """Return the keys of a configuration that do not exist or have a value of another type."""
    faults = []
    for key, value in config.items():
        option = options.get(key)
        if option is None:
            faults.append(f"{key}: unknown")
        elif not _fits_value(option.kind, value):
            faults.append(f"{key}: not of type {option.kind}")
        elif option.choices and value not in option.choices:
            faults.append(f"{key}: not one of the choices")
    return faults


def find_parameter_faults(params: Mapping[str, Any]) -> list[str]:
    """Return the parameters of NIXL's object backend that do not exist or have a value that it refuses."""
    return [
        key
        for key, value in params.items()
        if not (isinstance(value, str) and re.fullmatch(_NIXL_PARAMETERS.get(key, "(?!)"), value))
    ]


def list_adapters(scope: Scope) -> dict[str, dict[str, Any]]:
    """Return the adapters of a deployment by transport."""
    found = {"rdma": build_rdma_adapter(scope.settled), "tcp": build_tcp_adapter(scope.settled)}
    return {transport: adapter for transport, adapter in found.items() if adapter is not None}


def find_adapter_faults(adapter: Mapping[str, Any], lmcache: str) -> list[str]:
    """Return what an adapter's parser, or nobody, would say of a configuration."""
    options = _ADAPTERS[lmcache].get(adapter["type"])
    if options is None:
        return [f"type {adapter['type']}: unknown"]
    return find_config_faults(adapter, options) + find_parameter_faults(adapter.get("backend_params", {}))


def test_cases_cover_every_pair_and_every_client() -> None:
    pairs = {str(scope.pair) for scope in _SCOPES.values()}
    assert pairs == {str(pair) for pair in BUILT_IN_TABLE.pairs}
    clients = {
        (_SCOPES[case].pair.lmcache, transport, adapter["type"])
        for case in _STORED
        for transport, adapter in list_adapters(_SCOPES[case]).items()
    }
    assert clients == {
        ("0.5.6", "tcp", "s3"),
        ("0.5.6", "tcp", "nixl_native"),
        ("0.5.6", "rdma", "nixl_native"),
        ("0.5.6", "rdma", "plugin"),
        ("0.5.3", "tcp", "s3"),
        ("0.5.3", "tcp", "plugin"),
        ("0.5.3", "rdma", "plugin"),
    }


@pytest.mark.parametrize("case", CASES)
def test_engine_options_exist(case: str) -> None:
    scope = _SCOPES[case]
    model, *args = build_engine_args(scope)
    assert model == f"/models/kv-{scope.fingerprint}"
    assert find_faults(args, _options("vllm", scope.pair)) == []


@pytest.mark.parametrize("case", _CACHED)
def test_cache_server_options_exist(case: str) -> None:
    scope = _SCOPES[case]
    assert find_faults(build_cache_args(scope), _options("lmcache", scope.pair)) == []


@pytest.mark.parametrize("case", CASES)
def test_no_option_is_given_twice(case: str) -> None:
    scope = _SCOPES[case]
    _, *engine = build_engine_args(scope)
    for args in (engine, build_cache_args(scope) if scope.settled.cache_enabled else []):
        flags = [arg.partition("=")[0] for arg in args]
        assert sorted(set(flags)) == sorted(flags)


@pytest.mark.parametrize("pair", BUILT_IN_TABLE.pairs, ids=str)
def test_transfer_config_keys_exist(pair: VersionPair) -> None:
    config = build_transfer_config(pair)
    assert find_config_faults(config, _TRANSFER) == []
    assert config["kv_connector_extra_config"]
    assert find_config_faults(config["kv_connector_extra_config"], _options("lmcache-connector", pair)) == []


@pytest.mark.parametrize("case", _STORED)
def test_adapter_keys_exist(case: str) -> None:
    scope = _SCOPES[case]
    store = scope.settled.object_store
    assert store is not None
    plain = store.endpoint.startswith("http://")
    for adapter in list_adapters(scope).values():
        assert find_adapter_faults(adapter, scope.pair.options[1]) == []
        if adapter["type"] == "s3":
            assert adapter["s3_endpoint"].startswith(f"s3://{store.bucket.name}.")
            assert (adapter["disable_tls"], adapter["s3_prefer_http2"]) == (plain, not plain)
        if adapter["type"] == "nixl_native":
            assert adapter["backend_params"]["scheme"] == ("http" if plain else "https")
            assert adapter["backend_params"]["endpoint_override"] == store.endpoint


def _rename(flag: str) -> str:
    """Return the option with its last letter changed, as a typing error would."""
    return flag[:-1] + ("x" if flag[-1] != "x" else "y")


def _list_rendered(scope: Scope) -> list[tuple[str, str]]:
    """Return every rendered argument with the program that gets it."""
    found = [("vllm", arg) for arg in build_engine_args(scope)[1:]]
    return found + ([("lmcache", arg) for arg in build_cache_args(scope)] if scope.settled.cache_enabled else [])


@pytest.mark.parametrize("case", CASES)
def test_each_option_renamed_by_one_letter_is_caught(case: str) -> None:
    scope = _SCOPES[case]
    for program, arg in _list_rendered(scope):
        flag, equals, value = arg.partition("=")
        for wrong in (_rename(flag), flag[:-1], flag + "s", flag.replace("-", "_")):
            fault = find_argument_fault(wrong + equals + value, _options(program, scope.pair))
            assert fault is ArgumentFault.UNKNOWN, wrong


@pytest.mark.parametrize("case", CASES)
def test_each_value_that_is_taken_away_or_added_is_caught(case: str) -> None:
    scope = _SCOPES[case]
    for program, arg in _list_rendered(scope):
        flag, equals, _ = arg.partition("=")
        wrong = flag if equals else f"{flag}=true"
        assert find_argument_fault(wrong, _options(program, scope.pair)) is not None, wrong


@pytest.mark.parametrize("case", _STORED)
def test_each_adapter_key_renamed_by_one_letter_is_caught(case: str) -> None:
    scope = _SCOPES[case]
    lmcache = scope.pair.options[1]
    for adapter in list_adapters(scope).values():
        for key in adapter.keys() - {"type"}:
            wrong = {(_rename(name) if name == key else name): value for name, value in adapter.items()}
            assert find_adapter_faults(wrong, lmcache)[:1] == [f"{_rename(key)}: unknown"]
        params = adapter.get("backend_params", {})
        for key in params:
            changed = {(_rename(name) if name == key else name): value for name, value in params.items()}
            assert find_parameter_faults(changed) == [_rename(key)]


@pytest.mark.parametrize(
    ("argument", "fault"),
    [
        ("--kv-cache-dtypes=auto", "--kv-cache-dtypes: unknown"),
        ("--tensor-parallel-size=two", "--tensor-parallel-size: wrong type"),
        ("--tensor-parallel-size=", "--tensor-parallel-size: wrong type"),
        ("--tensor-parallel-size=1.5", "--tensor-parallel-size: wrong type"),
        ("--gpu-memory-utilization=88%", "--gpu-memory-utilization: wrong type"),
        ("--kv-transfer-config={", "--kv-transfer-config: wrong type"),
        ("--kv-transfer-config=" + "[" * 5000, "--kv-transfer-config: wrong type"),
        ("--enable-prefix-caching=true", "--enable-prefix-caching: takes no value"),
        ("--port", "--port: needs a value"),
        ("--kv-cache-dtype=fp7", "--kv-cache-dtype: not one of the choices"),
        ("--dtype=bf16", "--dtype: not one of the choices"),
        ("", ": unknown"),
    ],
)
def test_faulty_argument_is_caught(argument: str, fault: str) -> None:
    _, *args = build_engine_args(_SCOPES["reference"])
    assert find_faults([*args, argument], _options("vllm", DEFAULT_PAIR)) == [fault]


@pytest.mark.parametrize(
    ("argument", "newer", "older"),
    [
        ("--isolated-ipc", None, ArgumentFault.UNKNOWN),
        ("--l1-use-hugepages", None, ArgumentFault.UNKNOWN),
        ("--eviction-policy=ARC", None, ArgumentFault.WRONG_CHOICE),
        ("--disable-prometheus", ArgumentFault.UNKNOWN, ArgumentFault.UNKNOWN),
    ],
)
def test_versions_of_the_cache_server_differ(
    argument: str, newer: ArgumentFault | None, older: ArgumentFault | None
) -> None:
    found = [find_argument_fault(argument, _options("lmcache", pair)) for pair in (DEFAULT_PAIR, OLDER_PAIR)]
    assert found == [newer, older]


@pytest.mark.parametrize(
    ("change", "fault"),
    [
        ({"lmcache.mp.hosts": "x"}, "lmcache.mp.hosts: unknown"),
        ({"lmcache.mp.port": "5555"}, "lmcache.mp.port: not of type int"),
        ({"lmcache.mp.port": True}, "lmcache.mp.port: not of type int"),
        ({"lmcache.mp.isolated_ipc": 1}, "lmcache.mp.isolated_ipc: not of type bool"),
        ({"lmcache.mp.mp_transfer_mode": "magic"}, "lmcache.mp.mp_transfer_mode: not one of the choices"),
    ],
)
def test_faulty_connector_key_is_caught(change: dict[str, Any], fault: str) -> None:
    config = build_transfer_config(DEFAULT_PAIR)["kv_connector_extra_config"] | change
    assert find_config_faults(config, _options("lmcache-connector", DEFAULT_PAIR)) == [fault]


def test_connector_key_of_the_newer_version_is_caught_in_the_older_one() -> None:
    """The connector drops keys that it does not know without a word."""
    config = build_transfer_config(DEFAULT_PAIR)["kv_connector_extra_config"]
    assert find_config_faults(config, _options("lmcache-connector", OLDER_PAIR)) == [
        "lmcache.mp.hash_algorithm: unknown",
        "lmcache.mp.isolated_ipc: unknown",
    ]


@pytest.mark.parametrize(
    ("change", "fault"),
    [
        ({"num_threads": 16}, "num_threads"),
        ({"num_threads": "many"}, "num_threads"),
        ({"use_virtual_addressing": "maybe"}, "use_virtual_addressing"),
        ({"use_virtual_addressing": False}, "use_virtual_addressing"),
        ({"req_checksum": "when_required"}, "req_checksum"),
        ({"scheme": "ftp"}, "scheme"),
        ({"accelerated": True}, "accelerated"),
        ({"type": ""}, "type"),
        ({"access_key": "x"}, "access_key"),
        ({"pool_size": "4"}, "pool_size"),
    ],
)
def test_faulty_parameter_of_nixl_is_caught(change: dict[str, Any], fault: str) -> None:
    params = list_adapters(_SCOPES["path-style-private-ca"])["tcp"]["backend_params"]
    assert find_parameter_faults(params) == []
    assert find_parameter_faults(params | change) == [fault]


def test_nixl_adapter_is_caught_in_the_version_that_lacks_it() -> None:
    adapter = list_adapters(_SCOPES["path-style-private-ca"])["tcp"]
    assert find_adapter_faults(adapter, "0.5.3") == ["type nixl_native: unknown"]
