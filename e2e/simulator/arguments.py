"""What the command lines of an engine pod mean, and which of them the real processes would refuse.

Only the options that change an answer of the simulator are read; vLLM and LMCache check the others themselves.
"""

import json
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import urlsplit

# A flag of this list never takes the word after it as its value.
_SWITCHES: Final = frozenset(
    {
        "enable-prefix-caching",
        "enable-prompt-tokens-details",
        "enable-chunked-prefill",
        "enforce-eager",
        "trust-remote-code",
        "isolated-ipc",
        "disable-metrics",
        "disable-observability",
        "l1-use-hugepages",
    }
)
_SHORT: Final = {"-tp": "tensor-parallel-size", "-q": "quantization", "-O": "compilation-config"}
_GIB: Final = 1024**3


class CommandError(Exception):
    """The process would end at once.

    Attributes:
        exit_code: 2 where the option parser refuses, 1 where the program does.
    """

    def __init__(self, message: str, exit_code: int) -> None:
        super().__init__(message)
        self.exit_code = exit_code


@dataclass(frozen=True)
class EngineArguments:
    """What `vllm serve` was started with.

    Attributes:
        model: Text of `--model` or of the positional argument: the model part of every object key.
        served_name: Name in the API and in the metrics.
        kv_transfer: The KV transfer configuration; None: the engine runs without the connector.
    """

    model: str
    served_name: str
    port: int
    tensor_parallel_size: int
    max_model_len: int
    kv_cache_dtype: str
    gpu_memory_utilization: float
    prefix_caching: bool
    prompt_token_details: bool
    kv_transfer: Mapping[str, Any] | None

    @property
    def kv_rank(self) -> str:
        """The rank part of an object key for rank 0 of one node: world, rank, local world, local rank; a byte each."""
        size = self.tensor_parallel_size
        return f"{size:02x}00{size:02x}00"


@dataclass(frozen=True)
class Adapter:
    """One L2 adapter.

    Of LMCache's own (s3), `bucket` is the first label of the endpoint's host, the only addressing that it knows. NIXL's
    (nixl_native) names the bucket apart and knows paths too. A vendor's (plugin) is made up: its parameters are endpoint,
    bucket, region and names, which is NIXL or LMCacheS3.
    """

    kind: str
    endpoint: str
    bucket: str
    region: str
    tls: bool
    options: Mapping[str, Any]
    by_path: bool = False

    @property
    def base_url(self) -> str:
        """URL of the store without the bucket."""
        host = self.endpoint.removeprefix(f"{self.bucket}.") if self.kind == "s3" else self.endpoint
        return f"{'https' if self.tls else 'http'}://{host}"

    def name_object(self, key: str) -> str:
        """Return the name of an object in the bucket; the two ways of naming never share one."""
        if self.kind != "nixl_native" and self.options.get("adapter_params", {}).get("names") != "NIXL":
            return key
        model, rank, rest = key.split("@", 2)
        return f"{model.replace('/', '-SEP-')}@0x{rank}@{rest}.data"


@dataclass(frozen=True)
class CacheArguments:
    """What `lmcache server` was started with."""

    request_host: str
    request_port: int
    http_host: str
    http_port: int
    l1_bytes: int
    eviction_policy: str
    eviction_watermark: float
    eviction_ratio: float
    chunk_size: int
    hash_algorithm: str
    max_gpu_workers: int
    isolated_ipc: bool
    worker_reap_seconds: float
    keep_loaded: bool
    adapters: tuple[Adapter, ...]


class _Options:
    """Positional words and options of one command line, names with dashes and without the leading ones."""

    def __init__(self, words: Sequence[str]) -> None:
        self.positional: list[str] = []
        self.values: dict[str, list[str]] = {}
        pending = list(words)
        while pending:
            word = pending.pop(0)
            if not word.startswith("-") or word == "-":
                self.positional.append(word)
                continue
            flag, equals, value = word.partition("=")
            name = _SHORT.get(flag, flag.lstrip("-").replace("_", "-"))
            if not equals and name not in _SWITCHES and pending and not pending[0].startswith("-"):
                value = pending.pop(0)
            self.values.setdefault(name, []).append(value)

    def text(self, name: str, default: str) -> str:
        return self.values[name][-1] if name in self.values else default

    def whole(self, name: str, default: int) -> int:
        return int(self.number(name, default))

    def number(self, name: str, default: float) -> float:
        text = self.text(name, str(default))
        try:
            return float(text)
        except ValueError:
            raise CommandError(f"argument --{name}: invalid value: {text!r}", 2) from None

    def switch(self, name: str) -> bool:
        return name in self.values


def find_command(container: Mapping[str, Any], *program: str) -> list[str] | None:
    """Return the words after a program's name in a container's command and arguments; None: another program.

    The program may stand behind a launcher or inside a shell's text.
    """
    words: list[str] = []
    for word in [*(container.get("command") or []), *(container.get("args") or [])]:
        words += shlex.split(word) if " ".join(program) in word else [word]
    size = len(program)
    for index in range(len(words) - size + 1):
        found = [words[index].rsplit("/", 1)[-1], *words[index + 1 : index + size]]
        if found == list(program):
            return words[index + size :]
    return None


def parse_engine(words: Sequence[str], altered: Mapping[str, str] | None = None) -> EngineArguments:
    """Read the words after `vllm serve`; `altered` replaces options by name.

    Raises:
        CommandError: vLLM would not start.
    """
    options = _read(words, altered)
    model = options.text("model", options.positional[0] if options.positional else "Qwen/Qwen3-0.6B")
    return EngineArguments(
        model=model,
        served_name=options.text("served-model-name", model),
        port=options.whole("port", 8000),
        tensor_parallel_size=options.whole("tensor-parallel-size", 1),
        max_model_len=options.whole("max-model-len", 8192),
        kv_cache_dtype=options.text("kv-cache-dtype", "auto"),
        gpu_memory_utilization=options.number("gpu-memory-utilization", 0.92),
        prefix_caching=not options.switch("no-enable-prefix-caching"),
        prompt_token_details=options.switch("enable-prompt-tokens-details"),
        kv_transfer=_parse_transfer(options),
    )


def parse_cache(words: Sequence[str], altered: Mapping[str, str] | None = None) -> CacheArguments:
    """Read the words after `lmcache server`; `altered` replaces options by name.

    Raises:
        CommandError: LMCache would not start.
    """
    options = _read(words, altered)
    for name in ("l1-size-gb", "eviction-policy"):
        if not options.switch(name):
            raise CommandError(f"the following arguments are required: --{name}", 2)
    return CacheArguments(
        request_host=options.text("host", "localhost"),
        request_port=options.whole("port", 5555),
        http_host=options.text("http-host", "127.0.0.1"),
        http_port=options.whole("http-port", 8080),
        l1_bytes=int(options.number("l1-size-gb", 0) * _GIB),
        eviction_policy=options.text("eviction-policy", "LRU"),
        eviction_watermark=options.number("eviction-trigger-watermark", 0.8),
        eviction_ratio=options.number("eviction-ratio", 0.2),
        chunk_size=options.whole("chunk-size", 256),
        hash_algorithm=options.text("hash-algorithm", "blake3"),
        max_gpu_workers=options.whole("max-gpu-workers", 1),
        isolated_ipc=options.switch("isolated-ipc"),
        worker_reap_seconds=options.number("worker-reap-timeout-seconds", 120.0),
        keep_loaded=options.text("l2-prefetch-policy", "default") == "retain",
        adapters=tuple(_parse_adapter(text) for text in options.values.get("l2-adapter", [])),
    )


def _read(words: Sequence[str], altered: Mapping[str, str] | None) -> _Options:
    options = _Options(words)
    options.values.update({name: [value] for name, value in (altered or {}).items()})
    return options


def _parse_transfer(options: _Options) -> Mapping[str, Any] | None:
    if not options.switch("kv-transfer-config"):
        return None
    text = options.text("kv-transfer-config", "")
    try:
        transfer = json.loads(text)
    except ValueError:
        raise CommandError(f"argument --kv-transfer-config: Value {text} cannot be converted", 2) from None
    if not isinstance(transfer, dict):
        raise CommandError("argument --kv-transfer-config: not a JSON object", 2)
    if transfer.get("kv_connector") and transfer.get("kv_role") not in {"kv_both", "kv_producer", "kv_consumer"}:
        raise CommandError("Please specify kv_role when kv_connector is set", 1)
    return transfer


def _parse_adapter(text: str) -> Adapter:
    try:
        options = json.loads(text)
    except ValueError:
        raise CommandError("argument --l2-adapter: invalid JSON", 2) from None
    if not isinstance(options, dict) or "type" not in options:
        raise CommandError("argument --l2-adapter: 'type' is missing", 2)
    kind = str(options["type"])
    if kind == "nixl_native":
        return _parse_nixl_adapter(options)
    if kind == "plugin":
        return _parse_plugin(options)
    raw = str(options.get("s3_endpoint", ""))
    if kind == "s3" and (not raw or "s3_region" not in options):
        raise CommandError("s3_endpoint and s3_region are required", 1)
    # The real adapter takes paths and other schemes too and then fails every request.
    endpoint = urlsplit(raw).netloc if "://" in raw else raw
    return Adapter(
        kind=kind,
        endpoint=endpoint,
        bucket=endpoint.split(".", 1)[0],
        region=str(options.get("s3_region", "")),
        tls=not options.get("disable_tls", False),
        options=options,
    )


def _parse_nixl_adapter(options: Mapping[str, Any]) -> Adapter:
    params = options.get("backend_params", {})
    if options.get("backend") != "OBJ":
        raise CommandError("nixl_native: backend must be OBJ here", 1)
    if not all(isinstance(value, str) for value in params.values()):
        raise CommandError("nixl_native: backend_params must be strings", 1)
    if "eviction" in options:
        raise CommandError("nixl_native: the OBJ backend cannot delete, so it takes no eviction", 1)
    if not params.get("bucket"):
        raise CommandError("Missing config entry 'AWS_DEFAULT_BUCKET'", 1)
    virtual = params.get("use_virtual_addressing", "false")
    if virtual not in {"true", "false"}:
        raise CommandError(f"nixl_native: use_virtual_addressing is {virtual!r}", 1)
    raw = params.get("endpoint_override", "")
    return Adapter(
        kind="nixl_native",
        endpoint=urlsplit(raw).netloc if "://" in raw else raw,
        bucket=params["bucket"],
        region=params.get("region", "us-east-1"),
        tls=params.get("scheme", "https") == "https",
        options=options,
        by_path=virtual == "false",
    )


def _parse_plugin(options: Mapping[str, Any]) -> Adapter:
    if not options.get("module_path") or not options.get("class_name"):
        raise CommandError("plugin: module_path and class_name are required", 1)
    params = options.get("adapter_params", {})
    raw = params.get("endpoint", "")
    return Adapter(
        kind="plugin",
        endpoint=urlsplit(raw).netloc,
        bucket=params.get("bucket", ""),
        region=params.get("region", "us-east-1"),
        tls=urlsplit(raw).scheme == "https",
        options=options,
    )
