"""What passes through engine.extraArgs and engine.extraEnv: nothing that is owned, in no spelling, and only what exists."""

from typing import Any, Final

import pytest

from inference_cache.api.hatches import OWNED_FLAGS, OWNED_PREFIXES, OWNED_VARIABLES
from inference_cache.api.parsing import parse_spec
from inference_cache.domain.compatibility import check_compatibility
from inference_cache.domain.defaults import settle
from inference_cache.domain.desired.options import build_engine_args
from inference_cache.domain.desired.workload import build_pod_spec
from inference_cache.domain.layout_hatches import (
    NEUTRAL_FLAGS,
    NEUTRAL_VARIABLE_PREFIXES,
    NEUTRAL_VARIABLES,
    is_neutral_flag,
    is_neutral_variable,
    list_layout_arguments,
    list_layout_variables,
)
from inference_cache.domain.option_lists import load_options
from inference_cache.domain.verdict import Truth
from inference_cache.domain.versions import BUILT_IN_TABLE, VersionPair
from tests.golden.cases import CASES, load_scope
from tests.support.builders import IDENTITY, build_sample_scope, build_spec

_OPTIONS: Final = {pair: load_options("vllm", pair.options[0]) for pair in BUILT_IN_TABLE.pairs}
_SPEC: Final = build_spec()
_ALL: Final = sorted(set().union(*_OPTIONS.values()))


def _accepts(argument: str, pair: VersionPair) -> bool:
    """Whether an entry of engine.extraArgs gets as far as a pod: through the API and through Compatible."""
    parsed = parse_spec(IDENTITY.name, {**_SPEC, "engine": {"extraArgs": [argument]}})
    if isinstance(parsed, list):
        return False
    return check_compatibility(settle(parsed), pair, None).status is Truth.TRUE


def _accepts_in_any_version(argument: str) -> bool:
    return any(_accepts(argument, pair) for pair in BUILT_IN_TABLE.pairs)


def _write(flag: str) -> list[str]:
    """Return entries of every shape, so that one of them would be a valid use of the option."""
    choices = {choice for options in _OPTIONS.values() if flag in options for choice in options[flag].choices}
    return [flag, *(f"{flag}={value}" for value in ("1", "0.5", "{}", "x", *sorted(choices)))]


def _accepts_any(flag: str) -> bool:
    return any(map(_accepts_in_any_version, _write(flag)))


@pytest.mark.parametrize("flag", sorted(OWNED_FLAGS))
def test_owned_option_exists_and_is_refused(flag: str) -> None:
    assert flag in _ALL
    assert not _accepts_any(flag)


@pytest.mark.parametrize("flag", sorted(NEUTRAL_FLAGS))
def test_neutral_option_exists_and_passes(flag: str) -> None:
    assert flag in _ALL
    assert flag not in OWNED_FLAGS
    assert _accepts_any(flag)


@pytest.mark.parametrize("case", CASES)
def test_every_option_that_the_operator_writes_is_owned(case: str) -> None:
    scope = load_scope(case)
    _, *arguments = build_engine_args(scope)
    ours = [item for item in arguments if item not in scope.settled.extra_args]
    assert [item for item in ours if item.partition("=")[0] not in OWNED_FLAGS] == []
    assert not any(_accepts(item, scope.pair) for item in ours)


def _bend(flag: str) -> list[str]:
    """Return spellings of an option that vLLM's own parser would take for it, or that look like it."""
    words = flag.removeprefix("--")
    return [
        f"--{words.replace('-', '_')}=1",
        f"-{words}=1",
        f"--{words}.x=1",
        f"--{words[:-1]}=1",
        f"--{words[:-1]}",
        f"--{words.upper()}=1",
        f"--{words.title()}=1",
        f" {flag}=1",
        f"{flag} =1",
        f"{flag} 1",
        f"{flag}\n=1",
        f"{flag}+=1",
        f"--no-no-{words}",
        f"--x\n{flag}=1",
    ]


def test_no_spelling_of_an_owned_option_slips_through() -> None:
    entries = [entry for flag in sorted(OWNED_FLAGS) for entry in _bend(flag) if entry.partition("=")[0] != flag]
    assert len(entries) > 10 * len(OWNED_FLAGS)
    assert [entry for entry in entries if _accepts_in_any_version(entry)] == []


@pytest.mark.parametrize(
    "entry",
    [
        "-tp=4",
        "-tp",
        "--tp=4",
        "--tensor_parallel_size=4",
        "--kv-transfer-config.kv_role=kv_producer",
        "--kv-transfer-config.kv_connector_extra_config+={}",
        "--kv_transfer_config={}",
        "--kv-transfer-conf={}",
        "--served-model-nam=x",
        "--mod=x",
        "--no-enable-prefix-caching",
        "--no-enable-prompt-tokens-details",
        "--no-enable-log-requests",
        "--no-model=x",
        "/models/other",
        "model",
        "--",
        "--=x",
        "-",
        "",
    ],
)
def test_entry_is_refused(entry: str) -> None:
    assert not _accepts_in_any_version(entry)


def test_negated_form_of_an_owned_switch_is_owned_or_states_the_default() -> None:
    """What is off already may be said to be off; it changes nothing."""
    negated = {flag for flag in _ALL if flag.startswith("--no-") and f"--{flag[5:]}" in OWNED_FLAGS}
    off_anyway = {
        "--no-data-parallel-external-lb",
        "--no-data-parallel-hybrid-lb",
        "--no-enable-cumem-allocator",
        "--no-enable-elastic-ep",
        "--no-enable-lora",
        "--no-enable-sleep-mode",
        "--no-enable-tower-connector-lora",
    }
    assert negated - set(OWNED_FLAGS) == off_anyway


def test_what_nobody_knows_is_part_of_the_layout() -> None:
    changes = {
        "engine.extraArgs": ["--brand-new=1", "--max-num-seqs=4", "--enforce-eager"],
        "engine.extraEnv": [{"name": "BRAND_NEW", "value": "1"}, {"name": "TZ", "value": "UTC"}],
    }
    engine = _engine(changes)
    assert list_layout_arguments(engine) == ["--brand-new=1", "--enforce-eager"]
    assert list_layout_variables(engine) == ["BRAND_NEW=1"]


def _engine(changes: dict[str, Any]) -> Any:
    parsed = parse_spec(IDENTITY.name, build_spec(changes))
    assert not isinstance(parsed, list), parsed
    return parsed.engine


_LAYOUT_FLAGS: Final = (
    "--attention-backend",
    "--hf-overrides",
    "--quantization",
    "--load-format",
    "--speculative-config",
    "--prefix-caching-hash-algo",
    "--kv-cache-dtype-skip-layers",
    "--disable-sliding-window",
    "--disable-hybrid-kv-cache-manager",
    "--cp-kv-cache-interleave-size",
    "--trust-remote-code",
    "--enable-expert-parallel",
    "--model-impl",
    "--additional-config",
    "--compilation-config",
    "--worker-cls",
    "--kernel-config",
    "--optimization-level",
    "--chat-template",
)


@pytest.mark.parametrize("flag", _LAYOUT_FLAGS)
def test_option_that_may_change_keys_or_bytes_is_not_called_neutral(flag: str) -> None:
    assert flag in _ALL
    assert not is_neutral_flag(f"{flag}=x")


def _refuses_variable(name: str) -> bool:
    return isinstance(
        parse_spec(IDENTITY.name, {**_SPEC, "engine": {"extraEnv": [{"name": name, "value": "1"}]}}), list
    )


@pytest.mark.parametrize("name", [*OWNED_VARIABLES, *(f"{prefix}X" for prefix in OWNED_PREFIXES)])
def test_owned_variable_is_refused(name: str) -> None:
    assert _refuses_variable(name)
    assert not is_neutral_variable(name)


@pytest.mark.parametrize(
    "name", ["lmcache_track_usage", "Pythonhashseed", " PYTHONHASHSEED", "PYTHONHASHSEED ", "A=B", "A-B", "1A", ""]
)
def test_variable_in_another_spelling_is_refused(name: str) -> None:
    assert _refuses_variable(name)


@pytest.mark.parametrize("name", sorted({*NEUTRAL_VARIABLES, *(f"{prefix}X" for prefix in NEUTRAL_VARIABLE_PREFIXES)}))
def test_neutral_variable_is_not_owned(name: str) -> None:
    assert name not in OWNED_VARIABLES
    assert not name.startswith(tuple(OWNED_PREFIXES))
    assert not list_layout_variables(
        _engine({"engine.extraEnv": [{"name": name, "secretKeyRef": {"name": "s", "key": "k"}}]})
    )


@pytest.mark.parametrize("case", CASES)
def test_every_variable_that_the_operator_writes_is_owned(case: str) -> None:
    scope = load_scope(case)
    engine = scope.settled.spec.engine
    extra = {item.name for item in (engine.extra_env if engine else None) or []}
    (container,) = build_pod_spec(scope, "config")["containers"]
    written = [item["name"] for item in container["env"]]
    assert len(set(written)) == len(written)
    assert all(_refuses_variable(name) for name in set(written) - extra)


def test_kubelet_puts_nothing_in_the_place_of_a_reference() -> None:
    """Kubernetes replaces $(NAME) in arguments and values: a neutral variable would carry a layout into an option."""
    changes = {
        "engine.extraEnv": [{"name": "TZ", "value": "fp8"}, {"name": "UCX_TLS", "value": "$(TZ)"}],
        "engine.extraArgs": ["--quantization=$(TZ)", "--chat-template=a$$b$"],
    }
    (container,) = build_pod_spec(build_sample_scope(changes), "config")["containers"]
    assert container["args"][-2:] == ["--chat-template=a$$$$b$$", "--quantization=$$(TZ)"]
    values = {item["name"]: item.get("value") for item in container["env"]}
    assert (values["TZ"], values["UCX_TLS"]) == ("fp8", "$$(TZ)")


def test_empty_value_is_left_out_as_the_api_server_does() -> None:
    changes = {"engine.extraEnv": [{"name": "NO_PROXY", "value": ""}], "nodes.tolerations": [{"key": "a", "value": ""}]}
    pod = build_pod_spec(build_sample_scope(changes), "config")
    assert {"name": "NO_PROXY"} in pod["containers"][0]["env"]
    assert pod["tolerations"] == [{"key": "a"}]
