"""Whether versions, options, model and Kubernetes go together: the condition Compatible.

What the API's own rules can refuse they refuse; here is what needs the version pair, the model's shape or the cluster's
version.
"""

import difflib
from collections.abc import Iterator
from typing import Final

from inference_cache.api.cache import Addressing, EvictionPolicy, Pages, StoreClient
from inference_cache.api.hatches import split_flag
from inference_cache.api.store_plugin import ObjectNames
from inference_cache.api.transport import TransportPolicy

from .defaults import Settled
from .kv_layout import build_shape
from .layout_hatches import is_neutral_variable
from .model_shape import ModelShape
from .option_lists import ArgumentFault, Options, find_argument_fault, load_options
from .reasons import Reason
from .verdict import ConditionType, Verdict, ok, refuse
from .versions import BUILT_IN_TABLE, Feature, VersionPair

KubernetesVersion = tuple[int, int]

# Native sidecars since 1.29, the sleep action of preStop since 1.30 (both on by default).
_LEAST_KUBERNETES: Final[KubernetesVersion] = (1, 30)
# Image volumes with subPath: beta since 1.33, on by default since 1.35.
_LEAST_FOR_IMAGES: Final[KubernetesVersion] = (1, 33)
# Kernels for latent attention use blocks of 64 or 128 tokens.
_LATENT_BLOCK: Final = 128

Problem = tuple[Reason, str]


def check_compatibility(settled: Settled, pair: VersionPair, kubernetes: KubernetesVersion | None) -> Verdict:
    """Return the condition Compatible; a Kubernetes version of None is not known and not held against anything."""
    condition = ConditionType.COMPATIBLE
    problems = [
        *_list_option_problems(settled, pair),
        *_list_variable_problems(settled),
        *_list_feature_problems(settled, pair),
        *_list_model_problems(settled),
        *_list_kubernetes_problems(settled, kubernetes),
    ]
    if problems:
        return refuse(condition, problems[0][0], *(text for _, text in problems))
    message = f"{pair} (torch {pair.torch}, CUDA {pair.cuda}) can do what the spec asks."
    if settled.object_store is not None and settled.spec.model.architecture is None:
        message += (
            " Whether the model has sliding-window, linear or state-space layers is not known, as model.architecture is not "
            "declared; such models answer wrongly from stored KV (LMCache#4492)."
        )
    return ok(condition, Reason.VersionsCompatible, message)


def _list_option_problems(settled: Settled, pair: VersionPair) -> Iterator[Problem]:
    options = load_options("vllm", pair.options[0])
    for argument in settled.extra_args:
        if fault := find_argument_fault(argument, options):
            yield Reason.OptionUnknown, f"engine.extraArgs: {_describe_fault(argument, fault, options, pair)}."


def _list_variable_problems(settled: Settled) -> Iterator[Problem]:
    engine = settled.spec.engine
    for item in (engine.extra_env if engine else None) or []:
        if item.secret_key_ref is not None and not is_neutral_variable(item.name):
            yield (
                Reason.VariableUnknown,
                (
                    f"engine.extraEnv {item.name} comes from Secret {item.secret_key_ref.name} and is not known to leave the KV cache "
                    "alone; its value is not part of the layout fingerprint, so two values would share one cache. Write it as value."
                ),
            )


def _describe_fault(argument: str, fault: ArgumentFault, options: Options, pair: VersionPair) -> str:
    """Say what is wrong with an argument without repeating its value, which may be anything."""
    flag = split_flag(argument)
    if fault is ArgumentFault.UNKNOWN:
        near = difflib.get_close_matches(flag, options, n=1, cutoff=0.6)
        hint = (
            f"; perhaps {near[0]} is meant, vllm serve --help lists all"
            if near
            else "; vllm serve --help of that version lists all"
        )
        return f"{flag} is no option of vLLM {pair.vllm}{hint}"
    option = options[flag]
    if fault is ArgumentFault.NEEDLESS_VALUE:
        return f"{flag} is a switch of vLLM {pair.vllm} and takes no value; write it without ="
    if fault is ArgumentFault.MISSING_VALUE:
        return f"{flag} needs a value of type {option.kind}; write {flag}=VALUE"
    if fault is ArgumentFault.WRONG_CHOICE:
        return f"the value of {flag} must be one of {', '.join(option.choices)} in vLLM {pair.vllm}"
    return f"the value of {flag} must be of type {option.kind}; write {flag}=VALUE with one"


def _list_feature_problems(settled: Settled, pair: VersionPair) -> Iterator[Problem]:
    # Of an adapter with NIXL's names too: NIXL takes over from it where a pod has no RDMA.
    falls_back = settled.transport_policy is not TransportPolicy.REQUIRE_RDMA
    named = settled.object_names is ObjectNames.NIXL and falls_back
    nixl = settled.object_store is not None and (settled.client is StoreClient.NIXL or named)
    wanted = (
        (
            settled.eviction_policy is EvictionPolicy.ARC,
            Feature.ARC_EVICTION,
            "the eviction policy ARC",
            "memory.evictionPolicy",
        ),
        (settled.pages is Pages.HUGE_2MI, Feature.HUGE_PAGES, "huge pages", "memory.pages"),
        (nixl, Feature.NIXL_CLIENT, "the NIXL client", _name_cause(settled)),
    )
    able = "; ".join(str(item) for item in BUILT_IN_TABLE.pairs if item.features)
    for needed, feature, words, field in wanted:
        if needed and feature not in pair.features:
            yield (
                Reason.FeatureUnsupported,
                f"{pair} does not have {words}, which {field} asks for. Use a pair that has it ({able}), or change {field}.",
            )


def _name_cause(settled: Settled) -> str:
    """Return the field for which the NIXL client is needed."""
    store = settled.object_store
    if store is not None and store.plugin is not None:
        return "objectStore.plugin.objectNames"
    if store is not None and store.client is StoreClient.NIXL:
        return "objectStore.client"
    if store is not None and store.rdma_dialect is not None:
        return "objectStore.rdmaDialect"
    return "objectStore.addressing: Path" if settled.addressing is Addressing.PATH else "objectStore.tls.caRef"


def _list_model_problems(settled: Settled) -> Iterator[Problem]:
    architecture = settled.spec.model.architecture
    if architecture is None:
        return
    shape = build_shape(architecture)
    gpus = settled.tensor_parallel_size
    if shape.hybrid and settled.object_store is not None:
        yield Reason.HybridModelInStore, describe_hybrid("model.architecture.attentionLayers is Hybrid")
    possible = [size for size in range(1, 17) if _can_split(shape, size)]
    if gpus not in possible:
        heads = f"{shape.attention_heads} attention heads" + ("" if shape.latent else f" and {shape.kv_heads} KV heads")
        yield (
            Reason.ParallelismImpossible,
            (
                f"{heads} cannot be divided evenly among {gpus} GPUs, so vLLM would not start. Write an "
                f"engine.tensorParallelSize of {', '.join(map(str, possible))}."
            ),
        )
    if shape.latent is not None and settled.cache_enabled and settled.chunk_tokens % _LATENT_BLOCK:
        yield (
            Reason.ChunkNotMultiple,
            (
                f"cache.chunkTokens is {settled.chunk_tokens}, but engines with latent attention use blocks of up to {_LATENT_BLOCK} "
                f"tokens. Write a multiple of {_LATENT_BLOCK}; 256 suits most models."
            ),
        )


def describe_hybrid(cause: str) -> str:
    """Return why a hybrid model gets no object store tier."""
    return (
        f"{cause}, and cache.tiers[1] is an objectStore tier: models with sliding-window, linear or state-space layers answered "
        "wrongly after a restart with stored KV (LMCache#4492, LMCache#4674). Remove the objectStore tier, or serve a model "
        "with full attention."
    )


def _can_split(shape: ModelShape, gpus: int) -> bool:
    """Whether heads divide among the GPUs; KV heads may also be copied evenly where there are fewer of them."""
    if shape.attention_heads % gpus:
        return False
    return shape.latent is not None or not shape.kv_heads % gpus or not gpus % shape.kv_heads


def _list_kubernetes_problems(settled: Settled, kubernetes: KubernetesVersion | None) -> Iterator[Problem]:
    if kubernetes is None:
        return
    found = f"{kubernetes[0]}.{kubernetes[1]}"
    if kubernetes < _LEAST_KUBERNETES:
        yield (
            Reason.KubernetesTooOld,
            f"Kubernetes is {found}; native sidecars and preStop sleep need 1.30. Upgrade the cluster.",
        )
    if settled.spec.model.source.image is not None and kubernetes < _LEAST_FOR_IMAGES:
        yield (
            Reason.KubernetesTooOld,
            f"Kubernetes is {found}; model.source.image needs image volumes, of 1.33 or later. Upgrade the cluster, or use huggingFace or persistentVolumeClaim as model.source.",
        )
