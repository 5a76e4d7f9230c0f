"""Examples about the engine: parallelism, precision, versions, and what its hatches refuse."""

from collections.abc import Mapping
from typing import Any, Final

from tests.api.resource_rows import resources
from tests.api.rows import (
    DATA_KEY_MESSAGE,
    OBJECT_NAME_MESSAGE,
    accept,
    duplicate,
    enum,
    items,
    lengths,
    numbers,
    required,
    rule,
    too_short,
    unknown,
)
from tests.support.builders import REMOVED

_ARGS: Final = "spec.engine.extraArgs"
_ENV: Final = "spec.engine.extraEnv"
_SELECTOR: Final = f"{_ENV}.0.secretKeyRef"
_VERSIONS: Final = "spec.engine.versions"

_VERSIONED: Final[Mapping[str, Any]] = {_VERSIONS: {"vllm": "0.32.0", "lmcache": "0.5.6"}}
_WITH_ARGUMENT: Final[Mapping[str, Any]] = {_ARGS: ["--seed=1"]}
_VARIABLE: Final = {"name": "NCCL_DEBUG", "value": "WARN"}
_WITH_VARIABLE: Final[Mapping[str, Any]] = {_ENV: [_VARIABLE]}
_WITH_SECRET: Final[Mapping[str, Any]] = {
    _ENV: [{"name": "VLLM_API_KEY", "secretKeyRef": {"name": "keys", "key": "api"}}]
}

_IMAGE_MESSAGE: Final = "must name a fixed version, as latest moves; write NAME:TAG or NAME@sha256:DIGEST"
_BLOCK_MESSAGE: Final = "must be 16, 32, 64 or 128; leave it out for the engine's own choice"
_CHUNK_MESSAGE: Final = "cache.chunkTokens must be a multiple of engine.blockTokens, as chunks consist of whole blocks"
_VERSION_MESSAGE: Final = (
    "must be a release, MAJOR.MINOR.PATCH without a leading 'v', leading zeros or a suffix; write for instance 0.32.0"
)
_ARGUMENT_MESSAGE: Final = "must be one long option of vllm serve with its value in the same entry"
_OWNED_FLAG_MESSAGE: Final = "must not be an option that a field or the operator sets, or that is refused; remove it"
_CREDENTIAL_MESSAGE: Final = "must not hold a credential, as everybody who may see pods could read it"
_ONCE_MESSAGE: Final = "must hold each option once, --no-OPTION counted as OPTION"
_VARIABLE_MESSAGE: Final = "must be a variable's name in upper case letters, digits and '_'"
_OWNED_VARIABLE_MESSAGE: Final = (
    "must not be a variable that a field or the operator sets, or that is refused; remove it"
)
_ONE_VALUE_MESSAGE: Final = "needs exactly one of value, secretKeyRef; keep one and remove the other"
_SECRET_VALUE_MESSAGE: Final = "must not hold a credential as value"

_PROCESS: Final = [
    *numbers("spec.replicas", 0, 1000),
    accept("a whole number with a decimal point", "spec.model.maxModelLen", 61440.0),
    accept("a spec without replicas", "spec.replicas", REMOVED),
    accept("a spec without engine", "spec.engine", REMOVED),
    *numbers("spec.engine.tensorParallelSize", 1, 16),
    *numbers("spec.engine.gpuMemoryUtilizationPercent", 10, 95),
    *enum("spec.engine.dtype", ("Auto", "BFloat16", "Float16")),
    *enum("spec.engine.kvCacheDtype", ("Auto", "FP8E4M3", "FP8E5M2")),
    *numbers("spec.engine.blockTokens", 16, 128),
    accept("blocks of 64 tokens", "spec.engine.blockTokens", 64),
    rule("blocks of 24 tokens", "spec.engine.blockTokens", 24, _BLOCK_MESSAGE),
    accept("chunks of two blocks", "spec.cache.chunkTokens", 128, {"spec.engine.blockTokens": 64}),
    rule(
        "chunks of a block and a half",
        "spec.engine.blockTokens",
        64,
        _CHUNK_MESSAGE,
        {"spec.cache": {"chunkTokens": 96, "tiers": [{"memory": {"size": "16Gi"}}]}},
        "spec.cache.chunkTokens",
    ),
    *lengths("spec.engine.image", 1, 512, head="image:", fits=False),
    accept("an image with registry port and tag", "spec.engine.image", "registry.example:5000/engine:v1"),
    accept("an image by digest", "spec.engine.image", f"registry.example/engine@sha256:{'0' * 64}"),
    accept("the tag latest with a digest", "spec.engine.image", f"engine:latest@sha256:{'0' * 64}"),
    rule("an image without a tag", "spec.engine.image", "registry.example/engine", _IMAGE_MESSAGE),
    rule("the tag latest", "spec.engine.image", "registry.example/engine:latest", _IMAGE_MESSAGE),
    rule("a registry port without a tag", "spec.engine.image", "registry.example:5000/engine", _IMAGE_MESSAGE),
    rule("an image with half a digest", "spec.engine.image", "engine@sha256:0123", _IMAGE_MESSAGE),
    rule(
        "an image with a password",
        "spec.engine.image",
        "u:SUPERSECRET@registry.example/x:tag",
        _IMAGE_MESSAGE,
        hidden="SUPERSECRET",
    ),
    required(f"{_VERSIONS}.vllm", _VERSIONED),
    required(f"{_VERSIONS}.lmcache", _VERSIONED),
    *lengths(f"{_VERSIONS}.vllm", 1, 32, _VERSIONED, fits=False),
    *lengths(f"{_VERSIONS}.lmcache", 1, 32, _VERSIONED, fits=False),
    accept("versions of two digits", f"{_VERSIONS}.vllm", "10.20.30", _VERSIONED),
    rule("a version with a leading zero", f"{_VERSIONS}.vllm", "00.32.0", _VERSION_MESSAGE, _VERSIONED),
    rule("a version with a v", f"{_VERSIONS}.vllm", "v0.32.0", _VERSION_MESSAGE, _VERSIONED),
    rule("a version with a suffix", f"{_VERSIONS}.lmcache", "0.5.6rc1", _VERSION_MESSAGE, _VERSIONED),
    rule("a version of two numbers", f"{_VERSIONS}.vllm", "0.32", _VERSION_MESSAGE, _VERSIONED),
]

_HF_TOKEN: Final = "hf_AbCdEfGhIjKlMnOpQrSt"
_ARGUMENTS: Final = [
    *items(_ARGS, 0, 32, "--option"),
    duplicate(_ARGS, "--seed=1", "--seed=1"),
    *lengths(f"{_ARGS}.0", 0, 1024, _WITH_ARGUMENT, head="--seed=", hidden=True),
    too_short(f"{_ARGS}.0", 3, _WITH_ARGUMENT, head="--", hidden="--"),
    accept("an option with an empty value", f"{_ARGS}.0", "--chat-template=", _WITH_ARGUMENT),
    accept("an option with JSON", f"{_ARGS}.0", '--override-generation-config={"top_p": 0.9}', _WITH_ARGUMENT),
    rule("a short option", f"{_ARGS}.0", "-tp=secret", _ARGUMENT_MESSAGE, _WITH_ARGUMENT, hidden="secret"),
    rule("an option and its value with a blank", f"{_ARGS}.0", "--seed secret", _ARGUMENT_MESSAGE, _WITH_ARGUMENT, hidden="secret"),
    rule("an option with an underscore", f"{_ARGS}.0", "--max_num_seqs=secret", _ARGUMENT_MESSAGE, _WITH_ARGUMENT, hidden="secret"),
    rule("a value as an entry of its own", f"{_ARGS}.1", "secret", _ARGUMENT_MESSAGE, {_ARGS: ["--seed", "--seed"]}, hidden="secret"),
    rule("an option with two lines", _ARGS, ["--seed=1\nsecret"], _ARGUMENT_MESSAGE, at=f"{_ARGS}.0", hidden="secret"),
    rule("an option that has a field", f"{_ARGS}.0", "--tensor-parallel-size=8", _OWNED_FLAG_MESSAGE, _WITH_ARGUMENT, hidden="=8"),
    rule("an option of the operator", f"{_ARGS}.0", "--host=::", _OWNED_FLAG_MESSAGE, _WITH_ARGUMENT, hidden="::"),
    rule("adapters", f"{_ARGS}.0", "--enable-lora", _OWNED_FLAG_MESSAGE, _WITH_ARGUMENT),
    rule("a key as an option", f"{_ARGS}.0", "--api-key=0123", _OWNED_FLAG_MESSAGE, _WITH_ARGUMENT, hidden="0123"),
    accept("an option that begins like an owned one", f"{_ARGS}.0", "--model-impl=auto", _WITH_ARGUMENT),
    rule("a token in an option", _ARGS, [f"--hf-overrides={_HF_TOKEN}"], _CREDENTIAL_MESSAGE, hidden=_HF_TOKEN),
    rule("a password in a URL", _ARGS, ["--chat-template=http://me:pass@host/t"], _CREDENTIAL_MESSAGE, hidden="pass@"),
    rule("a password without a user in a URL", _ARGS, ["--chat-template=http://:pass@host/t"], _CREDENTIAL_MESSAGE, hidden="pass@"),
    accept("a user in a URL", _ARGS, ["--chat-template=https://user@host/t"]),
    *(
        rule(f"a key of JSON named {key}", _ARGS, ["--hf-overrides={" + f'"{key}"{between}"0123"' + "}"], _CREDENTIAL_MESSAGE, hidden="0123")
        for key, between in (("api_key", ": "), ("apiKey", ":"), ("token", " :\t"), ("hf_token", ":"), ("db_password", ":"), ("client-secret", ": "))
    ),
    accept("tokens of a model in JSON", _ARGS, ['--hf-overrides={"pad_token": "<pad>", "eos_token_id": 2, "tokens": "x"}']),
    accept("words that hold the beginning of a token", _ARGS, ["--tool-parser-plugin=/task-oriented-parsing-01.py"]),
    rule("an option with two values", _ARGS, ["--max-num-seqs=9", "--seed=1", "--max-num-seqs=10"], _ONCE_MESSAGE),
    rule("a switch on and off", _ARGS, ["--async-scheduling", "--no-async-scheduling"], _ONCE_MESSAGE),
    accept("options with a common beginning", _ARGS, ["--max-num-seqs=9", "--max-num-seqs-x=9", "--x--no-y", "--x-y"]),
]  # fmt: skip

_AWS_KEY: Final = "AKIAIOSFODNN7EXAMPLE"
_CREDENTIALS: Final = (
    "nvapi-0123456789abcdefABCDEF",
    "glpat-0123456789abcdefABCD",
    "xoxb-0123456789-abcdefghij",
    "xoxp-0123456789-abcdefghij",
    "github_pat_0123456789abcdefABCD",
    "Bearer 0123456789abcdef",
    "bearer%200123456789abcdef",
    "authorization=Basic dXNlcjpwYXNzd29yZA==",
)
_VARIABLES: Final = [
    *items(_ENV, 0, 32, _VARIABLE),
    duplicate(_ENV, _VARIABLE, {"name": "NCCL_DEBUG", "value": "INFO"}),
    required(f"{_ENV}.0.name", _WITH_VARIABLE),
    *lengths(f"{_ENV}.0.name", 1, 128, _WITH_VARIABLE, head="A", fits=False),
    accept("the longest name of a variable", f"{_ENV}.0.name", "A" * 128, _WITH_VARIABLE),
    *lengths(f"{_ENV}.0.value", 0, 1024, _WITH_VARIABLE, hidden=True),
    accept("an empty value", f"{_ENV}.0.value", "", _WITH_VARIABLE),
    rule("a variable in lower case", f"{_ENV}.0.name", "nccl_debug", _VARIABLE_MESSAGE, _WITH_VARIABLE),
    rule("a variable that begins with a digit", f"{_ENV}.0.name", "1ST", _VARIABLE_MESSAGE, _WITH_VARIABLE),
    rule("a variable that has a field", f"{_ENV}.0.name", "HF_TOKEN", _OWNED_VARIABLE_MESSAGE, _WITH_VARIABLE),
    rule("a variable of the cache", f"{_ENV}.0.name", "LMCACHE_CHUNK_SIZE", _OWNED_VARIABLE_MESSAGE, _WITH_VARIABLE),
    rule("a variable of the store", f"{_ENV}.0.name", "AWS_REGION", _OWNED_VARIABLE_MESSAGE, _WITH_VARIABLE),
    rule("a variable of the driver", f"{_ENV}.0.name", "NVIDIA_VISIBLE_DEVICES", _OWNED_VARIABLE_MESSAGE, _WITH_VARIABLE),
    accept("a variable that ends like an owned one", f"{_ENV}.0.name", "MY_AWS_REGION", _WITH_VARIABLE),
    rule("a variable without a value", f"{_ENV}.0", {"name": "A"}, _ONE_VALUE_MESSAGE, _WITH_VARIABLE),
    rule("a variable with a value and a Secret", _SELECTOR, {"name": "n", "key": "k"}, _ONE_VALUE_MESSAGE, _WITH_VARIABLE, f"{_ENV}.0"),
    rule("a credential by its form", f"{_ENV}.0.value", _AWS_KEY, _SECRET_VALUE_MESSAGE, _WITH_VARIABLE, f"{_ENV}.0", _AWS_KEY),
    rule("a credential by its variable", f"{_ENV}.0", {"name": "MY_TOKEN", "value": "0123"}, _SECRET_VALUE_MESSAGE, _WITH_VARIABLE, hidden="0123"),
    *(
        rule(f"a value for {name}", f"{_ENV}.0", {"name": name, "value": "0123"}, _SECRET_VALUE_MESSAGE, _WITH_VARIABLE, hidden="0123")
        for name in ("VLLM_APIKEY", "WANDB_API_KEY2", "OTEL_EXPORTER_OTLP_HEADERS", "OTEL_EXPORTER_OTLP_TRACES_HEADERS", "DB_PASSPHRASE")
    ),
    *(
        rule(f"a value {value[:10]}", f"{_ENV}.0", {"name": "A", "value": value}, _SECRET_VALUE_MESSAGE, _WITH_VARIABLE, hidden=value[-9:])
        for value in _CREDENTIALS
    ),
    accept("a value that speaks of authentication", f"{_ENV}.0.value", "basic authentication, bearer of tokens, Basic English", _WITH_VARIABLE),
    accept("a variable with a word that begins like one for credentials", f"{_ENV}.0.name", "TOKENIZERS_PARALLELISM", _WITH_VARIABLE),
    accept("a Secret for a variable", _SELECTOR, {"name": "keys", "key": "api"}, _WITH_SECRET),
    required(f"{_SELECTOR}.name", _WITH_SECRET),
    required(f"{_SELECTOR}.key", _WITH_SECRET),
    *lengths(f"{_SELECTOR}.name", 1, 253, _WITH_SECRET),
    *lengths(f"{_SELECTOR}.key", 1, 253, _WITH_SECRET),
    rule("a Secret of a variable in upper case", f"{_SELECTOR}.name", "Keys-Of-Others", OBJECT_NAME_MESSAGE, _WITH_SECRET, hidden="Of-Others"),
    rule("a Secret key of a variable with a blank", f"{_SELECTOR}.key", "a b", DATA_KEY_MESSAGE, _WITH_SECRET),
]  # fmt: skip

ENGINE_ROWS: Final = [
    *_PROCESS,
    *resources("spec.engine.resources"),
    *_ARGUMENTS,
    *_VARIABLES,
    unknown("spec.engine"),
    unknown(_VERSIONS, _VERSIONED),
    unknown(f"{_ENV}.0", _WITH_VARIABLE, hidden=True),
    unknown(_SELECTOR, _WITH_SECRET, hidden=True),
]
