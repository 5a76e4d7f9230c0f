"""What may pass through engine.extraArgs and engine.extraEnv: nothing that a typed field owns, that breaks a promise, or that looks like a credential.

Whether an option exists in the engine's version is decided later, where the version is known.
"""

import re
from typing import Annotated, Final

from pydantic import Field

from .base import ApiModel, Rule, UniqueItems, count_set, match_rule, ruled
from .references import SecretKeySelector

_OPERATOR: Final = "the operator"
_NO_LORA: Final = (
    "refused: adapters share keys of the KV cache unless every request carries a salt of its own, so answers would mix"
)
_NO_PARALLEL: Final = "refused: a replica is one engine on one node; use replicas or engine.tensorParallelSize"
_NO_TLS: Final = "refused: probes and Service speak HTTP; end TLS in front of the Service"
_NO_KEYS: Final = "refused: it would show in the pod; put VLLM_API_KEY or HF_TOKEN into a Secret and use engine.extraEnv or model.source.huggingFace.tokenSecretRef"
_DATA_PARALLEL: Final = (
    "address",
    "backend",
    "external-lb",
    "hybrid-lb",
    "multi-port-external-lb",
    "rank",
    "rpc-port",
    "size",
    "size-local",
    "start-rank",
    "supervisor-port",
)

OWNED_FLAGS: Final[dict[str, str]] = {
    "--model": "model.source",
    "--revision": "model.source",
    "--code-revision": "model.source",
    "--tokenizer": "model.source",
    "--tokenizer-revision": "model.source",
    "--download-dir": "model.source",
    "--hf-config-path": "model.source",
    "--served-model-name": "model.name",
    "--max-model-len": "model.maxModelLen",
    "--host": _OPERATOR,
    "--port": _OPERATOR,
    "--uds": _OPERATOR,
    "--config": "engine.extraArgs, one entry for each option",
    "--tensor-parallel-size": "engine.tensorParallelSize",
    "--gpu-memory-utilization": "engine.gpuMemoryUtilizationPercent",
    "--device-memory-utilization": "engine.gpuMemoryUtilizationPercent",
    "--kv-cache-memory-bytes": "engine.gpuMemoryUtilizationPercent",
    "--num-gpu-blocks-override": "engine.gpuMemoryUtilizationPercent",
    "--dtype": "engine.dtype",
    "--kv-cache-dtype": "engine.kvCacheDtype",
    "--block-size": "engine.blockTokens",
    "--enable-prefix-caching": _OPERATOR,
    "--no-enable-prefix-caching": _OPERATOR,
    "--enable-prompt-tokens-details": _OPERATOR,
    "--no-enable-prompt-tokens-details": _OPERATOR,
    "--shutdown-timeout": "rollout.drainSeconds",
    "--kv-transfer-config": "cache",
    "--kv-offloading-size": "cache.tiers",
    "--kv-offloading-backend": "cache.tiers",
    "--kv-events-config": _OPERATOR,
    "--enable-log-requests": "observability.requestLogs",
    "--no-enable-log-requests": "observability.requestLogs",
    "--otlp-traces-endpoint": "observability.tracesEndpoint",
    "--uvicorn-log-level": "observability.logLevel",
    "--log-level": "observability.logLevel",
    "--enable-sleep-mode": "refused: it cannot run with isolated IPC, through which the cache server reads the engine's memory",
    "--enable-cumem-allocator": "refused: its memory cannot be handed to the cache server by isolated IPC",
    "--weight-transfer-config": "refused: weights that change while serving would share one cache key",
    "--grpc": "refused: probes and Service speak HTTP",
    "--grpc-port": "refused: probes and Service speak HTTP",
    "--api-key": _NO_KEYS,
    "--hf-token": _NO_KEYS,
    "--enable-lora": _NO_LORA,
    "--lora-modules": _NO_LORA,
    "--default-mm-loras": _NO_LORA,
    "--enable-tower-connector-lora": _NO_LORA,
    "--headless": _NO_PARALLEL,
    "--nnodes": _NO_PARALLEL,
    "--node-rank": _NO_PARALLEL,
    "--pipeline-parallel-size": _NO_PARALLEL,
    **dict.fromkeys((f"--data-parallel-{name}" for name in _DATA_PARALLEL), _NO_PARALLEL),
    "--enable-elastic-ep": _NO_PARALLEL,
    "--decode-context-parallel-size": _NO_PARALLEL,
    "--prefill-context-parallel-size": _NO_PARALLEL,
    "--api-server-count": _NO_PARALLEL,
    "--ssl-keyfile": _NO_TLS,
    "--ssl-certfile": _NO_TLS,
    "--ssl-ca-certs": _NO_TLS,
    "--ssl-cert-reqs": _NO_TLS,
}
"""Options of `vllm serve` that extraArgs refuses, with the field that owns each or the reason."""

OWNED_VARIABLES: Final[dict[str, str]] = {
    "PYTHONHASHSEED": "the operator: hashes must not differ between processes (LMCache#1139)",
    "HF_HUB_OFFLINE": "the operator: it changes the model part of every cache key",
    "HF_HOME": _OPERATOR,
    "HF_TOKEN": "model.source.huggingFace.tokenSecretRef",
    "HUGGING_FACE_HUB_TOKEN": "model.source.huggingFace.tokenSecretRef",
    "DO_NOT_TRACK": _OPERATOR,
    "VLLM_NO_USAGE_STATS": _OPERATOR,
    "VLLM_HOST_IP": _OPERATOR,
    "VLLM_PORT": _OPERATOR,
    "VLLM_LOGGING_LEVEL": "observability.logLevel",
    "VLLM_SERVER_DEV_MODE": "refused: it opens routes without authentication that drop the cache and put the engine to sleep",
    "PYTORCH_CUDA_ALLOC_CONF": "refused: expandable segments cannot run with isolated IPC",
    "PYTORCH_ALLOC_CONF": "refused: expandable segments cannot run with isolated IPC",
    "CUDA_VISIBLE_DEVICES": "engine.tensorParallelSize",
}
"""Variables that extraEnv refuses beside those of whole families, with the field that owns each or the reason."""

OWNED_PREFIXES: Final[dict[str, str]] = {
    "LMCACHE_": "cache",
    "AWS_": "cache.tiers[].objectStore",
    "NVIDIA_": "engine.tensorParallelSize",
}

_ARGUMENT_PATTERN: Final = "^--[a-z0-9][a-z0-9-]*(=.*)?$"
# Written without what only one of the two regular expression engines knows (RE2 in CEL, re here). A token begins a word,
# or words such as task-oriented-parsing would hold one.
CREDENTIAL_PATTERN: Final = (
    "(^|[^A-Za-z0-9])((AKIA|ASIA)[A-Z0-9]{12}|hf_[A-Za-z0-9]{16}|sk-[A-Za-z0-9_-]{16}|gh[a-z]_[A-Za-z0-9]{20}"
    "|github_pat_[A-Za-z0-9_]{16}|eyJ[A-Za-z0-9_-]{16}|nvapi-[A-Za-z0-9_-]{16}|glpat-[A-Za-z0-9_-]{16}|xox[a-z]-[A-Za-z0-9-]{10}"
    "|(?i:bearer)( |%20)[A-Za-z0-9._~+/=-]{8}"
    # Base64 holds capitals or digits behind its first letter, which words such as "basic authentication" do not.
    "|(?i:basic)( |%20)[A-Za-z0-9+/_-]+[A-Z0-9=+/][A-Za-z0-9=+/_-]{4})"
    "|-----BEGIN|://[^/@:]*:[^/@]+@"
    # Keys of JSON with text as value. A model's configuration names tokens too: pad_token, eos_token.
    '|"(?i:token|([a-z0-9]+[_-])*((api|access|auth|bearer|hf|hub|private|secret)[_-]?(key|token)|password|passwd|secret))'
    '"[^A-Za-z0-9"]*:[^A-Za-z0-9"]*"[^"]'
)
_SENSITIVE_NAME_PATTERN: Final = (
    "(^|_)((API|ACCESS|AUTH|BEARER|PRIVATE|SECRET)?(KEY|TOKEN)|SECRET|PASSWORD|PASSWD|PASSPHRASE|CREDENTIALS?|API_?KEYS)[0-9]*(_|$)"
    "|(^|_)OTLP_([A-Z]+_)?HEADERS(_|$)"
)

# What people call credentials, in whatever case and with or without '_'.
SENSITIVE_KEY_PATTERN: Final = "(?i:(access|api|private|secret)[-_]?key|passw|passphrase|secret|credential|(^|hf|hub|auth|access|api|bearer|session)[-_]?token$)"


def looks_like_credential(text: str) -> bool:
    """Whether a text has the form of a well-known kind of key or token, or a URL with a password."""
    return bool(re.search(CREDENTIAL_PATTERN, text))


def may_name_user(image: str) -> bool:
    """Whether a text that should be an image's name has an '@' that begins no digest, so that a password may be before it."""
    return bool(re.search("@(?!sha256:)", image))


def split_flag(argument: str) -> str:
    """Return the option of an argument written as --option or --option=value."""
    return argument.partition("=")[0]


def _quote(text: str) -> str:
    return "'" + text.replace("\\", "\\\\").replace("'", "\\'") + "'"


def _say_owner(owner: str) -> str:
    if owner.startswith("refused"):
        return owner.replace(":", ", as", 1)
    return f"set by {owner}" if owner.startswith(_OPERATOR) else f"use spec.{owner}"


def _map_cel(table: dict[str, str]) -> str:
    return "{" + ", ".join(f"{_quote(key)}: {_quote(value)}" for key, value in table.items()) + "}"


_FLAG_CEL: Final = "self.split('=')[0]"
_FLAG_OWNERS: Final = {flag: _say_owner(owner) for flag, owner in OWNED_FLAGS.items()}
_OWNED_FLAG = Rule(
    cel=f"!({_FLAG_CEL} in {_map_cel(dict.fromkeys(OWNED_FLAGS, ''))})",
    message="must not be an option that a field or the operator sets, or that is refused; remove it",
    holds=lambda text: split_flag(text) not in OWNED_FLAGS,
    got_cel=f"{_FLAG_CEL} + ': ' + {_map_cel(_FLAG_OWNERS)}[{_FLAG_CEL}]",
    got=lambda text: f"{split_flag(text)}: {_FLAG_OWNERS[split_flag(text)]}",
    secret=True,
)
_ARGUMENT = Rule(
    cel=f"self.matches('{_ARGUMENT_PATTERN}')",
    message="must be one long option of vllm serve with its value in the same entry; write --option=value or --option, with the option in lower case",
    holds=lambda text: bool(re.fullmatch(_ARGUMENT_PATTERN, text)),
    got=lambda text: re.split("[=\\s]", text)[0] if text.startswith("-") else "an entry that does not begin with --",
    secret=True,
)
_NO_CREDENTIAL_ARGUMENTS = Rule(
    cel=f"self.all(item, !item.matches('{CREDENTIAL_PATTERN}'))",
    message="must not hold a credential, as everybody who may see pods could read it; move it into a Secret and refer to it in engine.extraEnv",
    holds=lambda items: not any(looks_like_credential(item) for item in items),
    # Only the option: the API server could not tell it from the value.
    got=lambda items: next(
        f"entry [{n}], {split_flag(item)}" for n, item in enumerate(items) if looks_like_credential(item)
    ),
    secret=True,
)


def strip_negation(argument: str) -> str:
    """Return the option of an argument without the --no- that turns a switch off."""
    return split_flag(argument).replace("--no-", "--", 1)


def _list_repeated_flags(items: list[str]) -> list[str]:
    # Entries that are the same in all letters are told by the list's type.
    names = [strip_negation(item) for item in dict.fromkeys(items)]
    return [name for name in names if names.count(name) > 1]


_BARE_CEL: Final = "{0}.split('=')[0].replace('--no-', '--', 1)"
_REPEATED_CEL: Final = f"self.exists(other, item != other && {_BARE_CEL.format('item')} == {_BARE_CEL.format('other')})"
_ONCE = Rule(
    cel=f"self.all(item, !{_REPEATED_CEL})",
    message="must hold each option once, --no-OPTION counted as OPTION, since the last one would win without a word; keep one entry",
    holds=lambda items: not _list_repeated_flags(items),
    got_cel=f"{_BARE_CEL.format(f'self.filter(item, {_REPEATED_CEL})[0]')} + ' more than once'",
    got=lambda items: f"{_list_repeated_flags(items)[0]} more than once",
)
ExtraArgument = Annotated[str, *ruled(_ARGUMENT, _OWNED_FLAG, min_length=3, max_length=1024)]
ExtraArguments = Annotated[
    list[ExtraArgument],
    *ruled(_NO_CREDENTIAL_ARGUMENTS, _ONCE, unique=UniqueItems(), max_length=32),
]

_VARIABLE_PATTERN: Final = "^[A-Z_][A-Z0-9_]*$"
_VARIABLE = match_rule(
    _VARIABLE_PATTERN,
    "must be a variable's name in upper case letters, digits and '_', not beginning with a digit; write for instance NCCL_DEBUG",
)


def find_variable_owner(name: str) -> str | None:
    """Return what owns an environment variable, or None where extraEnv may set it."""
    return OWNED_VARIABLES.get(name) or next(
        (owner for prefix, owner in OWNED_PREFIXES.items() if name.startswith(prefix)), None
    )


_VARIABLE_OWNERS: Final = {name: _say_owner(owner) for name, owner in OWNED_VARIABLES.items()}
_PREFIX_CEL: Final = " || ".join(f"self.startsWith({_quote(prefix)})" for prefix in OWNED_PREFIXES)
_OWNED_VARIABLE = Rule(
    cel=f"!(self in {_map_cel(dict.fromkeys(OWNED_VARIABLES, ''))} || {_PREFIX_CEL})",
    message="must not be a variable that a field or the operator sets, or that is refused; remove it",
    holds=lambda name: find_variable_owner(name) is None,
    got_cel=(
        f"self + ': ' + (self in {_map_cel(_VARIABLE_OWNERS)} ? {_map_cel(_VARIABLE_OWNERS)}[self] : "
        + " : ".join(
            f"self.startsWith({_quote(prefix)}) ? {_quote(_say_owner(owner))}"
            for prefix, owner in OWNED_PREFIXES.items()
        )
        + " : '')"
    ),
    got=lambda name: f"{name}: {_say_owner(find_variable_owner(name) or '')}",
)


class EnvironmentVariable(ApiModel):
    """One environment variable of the engine container, with a literal value or a key of a Secret."""

    rules = (
        Rule(
            cel="(has(self.value) ? 1 : 0) + (has(self.secretKeyRef) ? 1 : 0) == 1",
            message="needs exactly one of value, secretKeyRef; keep one and remove the other",
            holds=lambda m: count_set(m, "value", "secret_key_ref") == 1,
            got_cel="has(self.value) ? 'both' : 'none'",
            got=lambda m: "none" if m.value is None else "both",
        ),
        Rule(
            cel=f"!has(self.value) || !(self.name.matches('{_SENSITIVE_NAME_PATTERN}') || self.value.matches('{CREDENTIAL_PATTERN}'))",
            message="must not hold a credential as value, as everybody who may see pods could read it; move it into a Secret and use secretKeyRef",
            holds=lambda m: (
                m.value is None or not (re.search(_SENSITIVE_NAME_PATTERN, m.name) or looks_like_credential(m.value))
            ),
            got_cel="self.name",
            got=lambda m: m.name,
            secret=True,
        ),
    )

    name: Annotated[str, *ruled(_VARIABLE, _OWNED_VARIABLE, min_length=1, max_length=128)]
    """Name of the variable."""
    value: Annotated[str, Field(max_length=1024)] | None = None
    """Literal value; never a credential."""
    secret_key_ref: SecretKeySelector | None = None
    """Key of a Secret that holds the value."""


ExtraEnvironment = Annotated[list[EnvironmentVariable], *ruled(unique=UniqueItems("name"), max_length=32)]
