"""Every rendered option exists in the version that it is rendered for, and has a value of its type."""

import json
from collections.abc import Callable
from typing import Any, Final

import pytest

from inference_cache.domain.desired.options import (
    build_cache_args,
    build_engine_args,
    build_s3_adapter,
    build_transfer_config,
)
from inference_cache.domain.versions import DEFAULT_PAIR
from tests.golden.cases import CASES, load_scope
from tests.support.builders import ROOT

Options = dict[str, dict[str, Any]]
_TRANSFER: Final[Options] = {
    "kv_connector": {"type": "str"},
    "kv_connector_module_path": {"type": "str"},
    "kv_role": {"type": "str", "choices": ["kv_producer", "kv_consumer", "kv_both"]},
    "kv_load_failure_policy": {"type": "str", "choices": ["recompute", "fail"]},
    "kv_connector_extra_config": {"type": "json"},
}
# The server accepts unknown keys of an adapter without a word, so this list is the only guard.
_S3: Final[Options] = {
    "type": {"type": "str", "choices": ["s3"]},
    "shared": {"type": "bool"},
    "s3_endpoint": {"type": "str"},
    "s3_region": {"type": "str"},
    "s3_num_io_threads": {"type": "int"},
    "s3_prefer_http2": {"type": "bool"},
    "s3_enable_s3express": {"type": "bool"},
    "disable_tls": {"type": "bool"},
    "max_capacity_gb": {"type": "float"},
}


def _load(name: str) -> Options:
    options: Options = json.loads((ROOT / "tests" / "options" / f"{name}.json").read_text(encoding="utf-8"))
    return options


VLLM: Final = _load(f"vllm-{DEFAULT_PAIR.vllm}")
LMCACHE: Final = _load(f"lmcache-{DEFAULT_PAIR.lmcache}")
CONNECTOR: Final = _load(f"lmcache-connector-{DEFAULT_PAIR.lmcache}")


def _fits_text(kind: str, text: str | None) -> bool:
    if kind == "bool":
        return text is None
    if text is None:
        return False
    parsers: dict[str, Callable[[str], object]] = {"int": int, "float": float, "json": json.loads}
    try:
        parsers.get(kind, str)(text)
    except ValueError:
        return False
    return True


def _fits_value(kind: str, value: Any) -> bool:
    if kind in {"int", "float"}:
        return isinstance(value, int if kind == "int" else int | float) and not isinstance(value, bool)
    return isinstance(value, {"bool": bool, "str": str, "json": dict | list}[kind])


def find_faults(args: list[str], options: Options) -> list[str]:
    """Return what a parser with these options would refuse, for arguments written as --flag or --flag=value."""
    faults = []
    for arg in args:
        flag, has_value, text = arg.partition("=")
        option = options.get(flag)
        if option is None:
            faults.append(f"{flag}: unknown")
        elif not _fits_text(option["type"], text if has_value else None):
            faults.append(f"{flag}: not of type {option['type']}")
        elif "choices" in option and text not in option["choices"]:
            faults.append(f"{flag}: not one of the choices")
    return faults


def find_config_faults(config: dict[str, Any], options: Options) -> list[str]:
    """Return the keys of a configuration that do not exist or have a value of another type."""
    faults = []
    for key, value in config.items():
        option = options.get(key)
        if option is None:
            faults.append(f"{key}: unknown")
        elif not _fits_value(option["type"], value):
            faults.append(f"{key}: not of type {option['type']}")
        elif "choices" in option and value not in option["choices"]:
            faults.append(f"{key}: not one of the choices")
    return faults


@pytest.mark.parametrize("case", CASES)
def test_engine_options_exist(case: str) -> None:
    model, *args = build_engine_args(load_scope(case))
    assert model.startswith("/models/kv-")
    assert find_faults(args, VLLM) == []


@pytest.mark.parametrize("case", CASES)
def test_cache_server_options_exist(case: str) -> None:
    assert find_faults(build_cache_args(load_scope(case)), LMCACHE) == []


def test_transfer_config_keys_exist() -> None:
    config = build_transfer_config()
    assert find_config_faults(config, _TRANSFER) == []
    assert find_config_faults(config["kv_connector_extra_config"], CONNECTOR) == []


@pytest.mark.parametrize("case", [case for case in CASES if load_scope(case).settled.object_store])
def test_s3_adapter_keys_exist(case: str) -> None:
    store = load_scope(case).settled.object_store
    assert store is not None
    adapter = build_s3_adapter(store)
    assert find_config_faults(adapter, _S3) == []
    assert adapter["s3_endpoint"].startswith(f"s3://{store.bucket.name}.")
    assert adapter["disable_tls"] is store.endpoint.startswith("http://")


@pytest.mark.parametrize(
    ("argument", "fault"),
    [
        ("--kv-cache-dtypes=auto", "--kv-cache-dtypes: unknown"),
        ("--tensor-parallel-size=two", "--tensor-parallel-size: not of type int"),
        ("--gpu-memory-utilization=88%", "--gpu-memory-utilization: not of type float"),
        ("--kv-transfer-config={", "--kv-transfer-config: not of type json"),
        ("--enable-prefix-caching=true", "--enable-prefix-caching: not of type bool"),
        ("--port", "--port: not of type int"),
        ("--kv-cache-dtype=fp7", "--kv-cache-dtype: not one of the choices"),
    ],
)
def test_faulty_argument_is_caught(argument: str, fault: str) -> None:
    _, *args = build_engine_args(load_scope("reference"))
    assert find_faults([*args, argument], VLLM) == [fault]


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
    config = build_transfer_config()["kv_connector_extra_config"] | change
    assert find_config_faults(config, CONNECTOR) == [fault]
