"""Random deployments that obey the API and cover every field of it.

Names of Secrets begin with SECRET_PREFIX, so that a test can tell where they turn up.
"""

from collections.abc import Mapping
from functools import cache
from typing import Any, Final

from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.strategies import DrawFn, SearchStrategy

from inference_cache.api.hatches import OWNED_FLAGS, strip_negation
from inference_cache.domain.option_lists import Option, load_options
from inference_cache.domain.versions import DEFAULT_PAIR, OLDER_PAIR, VersionPair

Spec = dict[str, Any]
Strategy = SearchStrategy[Any]

MOST_COLLECTED: Final = 300
SECRET_PREFIX: Final = "secret-"
PAIRS: Final = (DEFAULT_PAIR, OLDER_PAIR)
_TEXTS: Final = ("x", "2", "a b", "$(TZ)", "$$", "ünicode")


def _object(required: Mapping[str, Strategy], **optional: Strategy) -> Strategy:
    """Return objects with some of the optional fields, or with all of them, so that deep fields are not rare."""
    return st.fixed_dictionaries(dict(required), optional=optional) | st.fixed_dictionaries({**required, **optional})


def _words(alphabet: str = "abcxyz019", *, most: int = 8) -> Strategy:
    return st.text(alphabet, min_size=1, max_size=most)


_LABELS: Final = st.lists(_words(most=5), min_size=1, max_size=3).map("-".join)
_NAMES: Final = st.lists(_LABELS, min_size=1, max_size=3).map(".".join)
_SECRETS: Final = _LABELS.map(lambda text: SECRET_PREFIX + text)
_DATA_KEYS: Final = st.sampled_from(["key", "a.b-c_D", "token"])
_PATHS: Final = st.lists(_words("abC._-"), min_size=1, max_size=3).map("/".join).filter(lambda path: ".." not in path)
_HEX: Final = "0123456789abcdef"
_HOSTS: Final = st.lists(_words("abcxyz"), min_size=1, max_size=3).map(".".join)
_PORTS: Final = st.sampled_from(["", ":9000", ":65535"])


def _sizes(least: int, most: int, units: tuple[str, ...]) -> Strategy:
    return st.builds(lambda count, unit: f"{count}{unit}", st.integers(least, most), st.sampled_from(units))


_MEMORY: Final = _sizes(1, 2048, ("Gi",)) | _sizes(1024, 2**21, ("Mi",)) | _sizes(2, 2000, ("G",))
_AMOUNTS: Final = _object(
    {},
    **{
        "cpu": _sizes(1, 2000, ("m",)) | _sizes(1, 128, ("",)) | st.just("64000m"),
        "memory": _sizes(1, 2048, ("Gi", "Mi", "G")) | _sizes(1, 64, ("Ti",)) | _sizes(1, 2**46, ("",)),
        "ephemeral-storage": _sizes(1, 5000, ("Gi", "G", "Ki")),
    },
)
RESOURCES: Final = _object({}, requests=_AMOUNTS, limits=_AMOUNTS)

_HUB: Final = _object(
    {
        "repository": st.builds(
            lambda owner, name: f"{owner}/{name}", _words("abZ09"), _words("abZ09.-_").map("m".__add__)
        ),
        "revision": st.text(_HEX, min_size=40, max_size=40),
    },
    tokenSecretRef=_object({"name": _SECRETS}, key=_DATA_KEYS),
)
_CLAIM: Final = _object({"claimName": _NAMES, "revision": _words("abZ09")}, path=_PATHS)
_IMAGE: Final = _object(
    {
        "reference": st.builds(
            lambda name, digest: f"{name}@sha256:{digest}", _HOSTS, st.text(_HEX, min_size=64, max_size=64)
        )
    },
    path=_PATHS,
    pullPolicy=st.sampled_from(["IfNotPresent", "Always", "Never"]),
)
_SOURCES: Final = st.one_of(
    _HUB.map(lambda item: {"huggingFace": item}),
    _CLAIM.map(lambda item: {"persistentVolumeClaim": item}),
    _IMAGE.map(lambda item: {"image": item}),
)
_PARAMETERS: Final = st.integers(1_000_000, 10**14)
ARCHITECTURES: Final = _object(
    {
        "layers": st.integers(1, 128),
        "attentionHeads": st.sampled_from([8, 16, 32, 64, 96, 128]),
        "kvHeads": st.sampled_from([1, 2, 3, 8, 16, 128]),
        "headDim": st.sampled_from([64, 96, 128, 4096]),
    },
    latentAttention=_object({"kvLoraRank": st.integers(1, 65536), "ropeHeadDim": st.integers(1, 4096)}),
    attentionLayers=st.sampled_from(["Full", "Hybrid"]),
    weightDtype=st.sampled_from(["BFloat16", "Float16", "Float32"]),
    parameters=_PARAMETERS,
    activeParameters=_PARAMETERS,
)
_MODELS: Final = _object(
    {
        "name": st.lists(_words("abZ09"), min_size=1, max_size=3).map("/".join),
        "source": _SOURCES,
        "maxModelLen": st.integers(256, 10**7) | st.sampled_from([4096, 32768, 61440]),
    },
    architecture=ARCHITECTURES,
)


def _write_argument(flag: str, option: Option) -> list[str]:
    """Return entries of engine.extraArgs that set an option in every way that its type allows."""
    values: Mapping[str, tuple[str, ...]] = {
        "int": ("3",),
        "float": ("0.5", "2"),
        "json": ("{}", '{"a":"$(TZ)"}'),
        "str": _TEXTS,
    }
    return [flag] if option.kind == "bool" else [f"{flag}={value}" for value in option.choices or values[option.kind]]


def list_arguments(pair: VersionPair) -> list[str]:
    """Return entries of engine.extraArgs that the API and this pair's vLLM accept."""
    options = load_options("vllm", pair.options[0])
    return [
        text
        for flag, option in sorted(options.items())
        if flag not in OWNED_FLAGS
        for text in _write_argument(flag, option)
    ]


_ARGUMENTS: Final = {pair: st.sampled_from(list_arguments(pair)) for pair in PAIRS}
_ALL_ARGUMENTS: Final = st.one_of(*_ARGUMENTS.values())
_LITERAL: Final = st.builds(
    lambda name, value: {"name": name, "value": value},
    st.sampled_from(["TZ", "NCCL_DEBUG", "UCX_TLS", "OMP_NUM_THREADS", "VLLM_ATTENTION_BACKEND", "MY_SWITCH"]),
    st.sampled_from(["", *_TEXTS]),
)
_FROM_SECRET: Final = st.builds(
    lambda name, secret, key: {"name": name, "secretKeyRef": {"name": secret, "key": key}},
    st.sampled_from(["VLLM_API_KEY", "MY_PASSWORD", "NCCL_KEY"]),
    _SECRETS,
    _DATA_KEYS,
)
_ENVIRONMENT: Final = st.lists(_LITERAL | _FROM_SECRET, max_size=4, unique_by=lambda item: item["name"])


@st.composite
def _engines(draw: DrawFn) -> Spec:
    pair = draw(st.sampled_from(PAIRS))
    declared = {"versions": {"vllm": pair.vllm, "lmcache": pair.lmcache}}
    tagged = {"image": f"registry.example:5000/engine:vllm-{pair.vllm}-lmcache-{pair.lmcache}"}
    digest = {"image": "registry.example/engine@sha256:" + "a" * 64}
    versions = [declared, tagged, tagged | declared, digest | declared, *([{}] if pair is DEFAULT_PAIR else [])]
    arguments = draw(st.sampled_from([_ARGUMENTS[pair]] * 7 + [_ALL_ARGUMENTS]))
    chosen: Spec = draw(st.sampled_from(versions))
    rest: Spec = draw(
        _object(
            {},
            tensorParallelSize=st.integers(1, 16),
            gpuMemoryUtilizationPercent=st.integers(10, 95),
            dtype=st.sampled_from(["Auto", "BFloat16", "Float16"]),
            kvCacheDtype=st.sampled_from(["Auto", "FP8E4M3", "FP8E5M2"]),
            blockTokens=st.sampled_from([16, 32, 64, 128]),
            resources=RESOURCES,
            extraArgs=st.lists(arguments, max_size=5, unique_by=strip_negation),
            extraEnv=_ENVIRONMENT,
        )
    )
    return chosen | rest


_PYTHON_NAMES: Final = _words("abC_")
_PARAMETERS_OF_PLUGINS: Final = st.lists(
    st.fixed_dictionaries({"name": _words("abC_"), "value": st.sampled_from(["", *_TEXTS])}),
    min_size=1,
    max_size=3,
    unique_by=lambda item: item["name"],
)


@st.composite
def _plugins(draw: DrawFn) -> Spec:
    names = draw(st.sampled_from(["LMCacheS3", "NIXL", "Own", "Own"]))
    own = {"tcpParameters": _PARAMETERS_OF_PLUGINS} if names == "Own" else {}
    required = {
        "modulePath": st.lists(_PYTHON_NAMES, min_size=1, max_size=3).map(".".join),
        "className": _PYTHON_NAMES,
        "objectNames": st.just(names),
    }
    plugin: Spec = draw(_object(required, configClassName=_PYTHON_NAMES, parameters=_PARAMETERS_OF_PLUGINS, **own))
    return plugin


@st.composite
def object_stores(draw: DrawFn) -> Spec:
    """Return an object store tier whose client can do what address, trust and transport need."""
    client = draw(st.sampled_from([None, "Auto", "LMCacheS3", "NIXL", "Plugin", "Plugin"]))
    chosen: Spec = {"client": client, "plugin": draw(_plugins()) if client == "Plugin" else None}
    if client not in {"LMCacheS3", "Plugin"}:
        chosen["rdmaDialect"] = draw(st.sampled_from([None, "Dell"]))
    bare = client == "LMCacheS3" or (chosen["plugin"] or {}).get("objectNames") == "LMCacheS3"
    addressing = draw(st.sampled_from([None, "VirtualHost", *([] if bare else ["Path"])]))
    scheme = draw(st.sampled_from(["https", "http"]))
    hosts = _HOSTS | st.just("10.0.0.7") if addressing == "Path" else _HOSTS
    chosen["addressing"] = addressing
    if scheme == "https" and not bare and draw(st.sampled_from([True, True, False])):
        chosen["tls"] = {"caRef": draw(_object({"configMap": _NAMES}, key=_DATA_KEYS))}
    others = _object(
        {
            "endpoint": st.builds(lambda host, port: f"{scheme}://{host}{port}", hosts, _PORTS),
            "region": st.sampled_from(["us-east-1", "eu-central-1", "x"]),
            # No host begins like this, so the endpoint never holds the bucket.
            "bucket": st.fixed_dictionaries({"name": _LABELS.map("0kv-".__add__)}),
            "credentials": st.fixed_dictionaries({"secretRef": st.fixed_dictionaries({"name": _SECRETS})}),
        },
        maxInFlightLoads=st.integers(1, 64),
        afterLoad=st.sampled_from(["Drop", "KeepInMemory"]),
        ioThreads=st.integers(1, 256),
        link=_object(
            {},
            networkGigabits=st.integers(1, 800),
            readMegabytes=st.integers(1, 10**6),
            writeMegabytes=st.integers(1, 10**6),
        ),
    )
    rest: Spec = draw(others)
    return {key: value for key, value in chosen.items() if value is not None} | rest


_MEMORY_TIERS: Final = _object(
    {"size": _MEMORY},
    pages=st.sampled_from(["Standard", "Huge2Mi"]),
    evictionPolicy=st.sampled_from(["LRU", "ARC"]),
    evictionWatermarkPercent=st.integers(10, 95),
    evictionPercent=st.integers(1, 90),
)
_MEMORY_ALONE: Final = _MEMORY_TIERS.map(lambda memory: [{"memory": memory}])
_WITH_STORE: Final = st.builds(
    lambda memory, store: [{"memory": memory}, {"objectStore": store}], _MEMORY_TIERS, object_stores()
)
_CACHE_FIELDS: Final = {"chunkTokens": st.integers(1, 256).map(lambda blocks: 16 * blocks), "resources": RESOURCES}
_MODES: Final = st.sampled_from(["Required", "Opportunistic"])
_CACHES: Final = st.one_of(
    _object({"tiers": _MEMORY_ALONE}, mode=_MODES, **_CACHE_FIELDS),
    _object({"tiers": _WITH_STORE}, mode=_MODES, **_CACHE_FIELDS),
    _object({"mode": st.just("Disabled")}, tiers=_MEMORY_ALONE | _WITH_STORE, **_CACHE_FIELDS),
)

_LABEL_KEYS: Final = _words() | st.builds(lambda domain, name: f"{domain}/{name}", _HOSTS, _words("abZ09"))
_LABEL_VALUES: Final = _words("abZ09") | st.just("")
_EFFECTS: Final = st.sampled_from(["NoSchedule", "PreferNoSchedule", "NoExecute"])
_TOLERATIONS: Final = st.one_of(
    _object({"key": _LABEL_KEYS}, operator=st.just("Equal"), value=_LABEL_VALUES, effect=_EFFECTS),
    _object({"operator": st.just("Exists")}, key=_LABEL_KEYS, effect=_EFFECTS),
)
_GPU: Final = _object(
    {},
    products=st.lists(st.sampled_from(["H100", "H200", "B200", "NVIDIA-H200"]), min_size=1, max_size=4, unique=True),
    minMemoryPerGPU=_sizes(1, 288, ("Gi", "G")).filter(lambda text: text != "1G"),
    driverMajorAtLeast=st.integers(400, 9999),
    computeCapabilityAtLeast=st.sampled_from(["8.0", "9.0", "12.0"]),
    partitioning=st.sampled_from(["Refuse", "Accept"]),
)
_LINK_TYPES: Final = st.sampled_from(["Ethernet", "InfiniBand"])
_ADAPTERS: Final = _object(
    {},
    linkType=_LINK_TYPES,
    minSpeedGbps=st.integers(1, 3200),
    nicModels=st.lists(st.sampled_from(["ConnectX-6 Dx", "ConnectX-7", "a2dc"]), min_size=1, max_size=3, unique=True),
    firmwareAtLeast=st.sampled_from(["28.39", "28.39.1002"]),
    gpuDirect=st.sampled_from(["Ignore", "Require"]),
)
_DPUS: Final = _object(
    {},
    models=st.lists(st.sampled_from(["BlueField-2", "BlueField-3", "a2dc"]), min_size=1, max_size=3, unique=True),
    mode=st.sampled_from(["DPU", "NIC"]),
)
_REQUIREMENTS: Final = _object(
    {},
    gpu=_GPU,
    memory=_MEMORY,
    hugePages=_MEMORY,
    kernelAtLeast=st.sampled_from(["5.14", "6.8"]),
    rdma=_ADAPTERS,
    dpu=_DPUS,
    numa=_object({"alignment": st.sampled_from(["None", "SingleZone"])}),
)
_NODES: Final = _object(
    {},
    selector=st.dictionaries(_LABEL_KEYS, _LABEL_VALUES, max_size=4),
    tolerations=st.lists(_TOLERATIONS, max_size=4),
    requirements=_REQUIREMENTS,
)
_NETWORK_LISTS: Final = st.lists(_object({"name": _NAMES}, namespace=_LABELS), min_size=1, max_size=3)
_INLINE: Final = {"count": st.integers(1, 8), "networks": _NETWORK_LISTS, "linkType": _LINK_TYPES}
_RESOURCES: Final = st.sampled_from(["rdma/storage", "nvidia.com/storage_vf", "openshift.io/x.y-z"])
_WAYS: Final = {
    "policy": st.sampled_from(["Auto", "RequireRDMA", "TCP"]),
    "recovery": st.sampled_from(["NextRestart", "Immediate"]),
    "lockedMemory": st.sampled_from(["IPCLock", "NodeUnlimited"]),
}
_TRANSPORTS: Final = st.one_of(
    _object({}, policy=st.sampled_from(["Auto", "TCP"])),
    _object({"fabricRef": st.fixed_dictionaries({"name": _LABELS})}, **_WAYS),
    _object({"rdma": _object({"resourceName": _RESOURCES}, **_INLINE)}, **_WAYS),
    _object({"rdma": _object({"deviceClassName": _NAMES}, **_INLINE)}, **_WAYS),
)
_OBSERVABILITY: Final = _object(
    {},
    logLevel=st.sampled_from(["Debug", "Info", "Warning", "Error"]),
    requestLogs=st.sampled_from(["Enabled", "Disabled"]),
    metricsSamplePercent=st.integers(1, 100),
    tracesEndpoint=st.builds(
        lambda scheme, host, port: f"{scheme}://{host}{port}", st.sampled_from(["http", "grpc"]), _HOSTS, _PORTS
    ),
)
_TOKENS: Final = st.integers(1, 10**6)


def _align_chunks(spec: Spec) -> Spec:
    """Return the spec with chunks of whole blocks, as the API asks where both are given."""
    block, chunk = spec.get("engine", {}).get("blockTokens"), spec["cache"].get("chunkTokens")
    if block is not None and chunk is not None:
        spec["cache"]["chunkTokens"] = max(chunk // block, 1) * block
    return spec


def _speaks_rdma(spec: Spec) -> bool:
    stores = [tier["objectStore"] for tier in spec["cache"].get("tiers", []) if "objectStore" in tier]
    return any("plugin" in store or "rdmaDialect" in store for store in stores)


def _align_transport(spec: Spec) -> Spec:
    """Return the spec with a transport that its client can do, and without requirements that nobody would look at."""
    transport = spec.get("transport", {})
    requirements = spec.get("nodes", {}).get("requirements", {})
    if transport.get("policy") == "RequireRDMA" and not _speaks_rdma(spec):
        transport["policy"] = "Auto"
    if not transport.keys() & {"fabricRef", "rdma"}:
        for name in ("rdma", "dpu"):
            requirements.pop(name, None)
    wanted, devices = requirements.get("rdma", {}), transport.get("rdma", {})
    if "linkType" in wanted and "linkType" in devices:
        wanted["linkType"] = devices["linkType"]
    return spec


def specs() -> Strategy:
    """Return the specs of deployments that obey every rule of the API and name versions that exist."""
    fields = _object(
        {"model": _MODELS, "cache": _CACHES},
        replicas=st.integers(0, 1000),
        engine=_engines(),
        transport=_TRANSPORTS,
        nodes=_NODES,
        rollout=_object({}, maxUnavailable=st.integers(1, 100), drainSeconds=st.integers(1, 3600)),
        observability=_OBSERVABILITY,
        workload=_object({"conversations": _TOKENS, "contextTokens": _TOKENS}, newTokens=_TOKENS, answerTokens=_TOKENS),
    )
    return fields.map(_align_chunks).map(_align_transport)


@cache
def _collect() -> tuple[Spec, ...]:
    found: list[Spec] = []

    @settings(max_examples=MOST_COLLECTED, derandomize=True, deadline=None, database=None)
    @given(specs())
    def collect(spec: Spec) -> None:
        found.append(spec)

    collect()
    return tuple(found)


def collect_specs(count: int = MOST_COLLECTED) -> tuple[Spec, ...]:
    """Return the same random specs each time, for tests that look at one from many sides; they must not be changed."""
    # The first examples are the simplest ones.
    return _collect()[:: max(1, len(_collect()) // count)]
