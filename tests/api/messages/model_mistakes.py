"""Mistakes about the model, the engine and what is passed through its hatches."""

from datetime import date
from typing import Any, Final

from tests.api.messages.mistakes import Mistake, bad
from tests.support.builders import IDENTITY, REMOVED

_HUB: Final = "model.source.huggingFace"
_CLAIM: Final = "model.source.persistentVolumeClaim"
_ON_CLAIM: Final[dict[str, Any]] = {"model.source": {"persistentVolumeClaim": {"claimName": "w", "revision": "1"}}}
_ON_IMAGE: Final[dict[str, Any]] = {"model.source": {"image": {"reference": f"weights@sha256:{'0' * 64}"}}}
_SHAPED: Final[dict[str, Any]] = {
    "model.architecture": {"layers": 80, "attentionHeads": 64, "kvHeads": 8, "headDim": 128}
}
_HF_TOKEN: Final = "hf_AbCdEfGhIjKlMnOpQrStUvWx"
_AWS_KEY: Final = "AKIAIOSFODNN7EXAMPLE"

NAME_MISTAKES: Final = [
    Mistake("a name of 46 characters", {}, "metadata.name", "a" * 46, name="a" * 46),
    Mistake("a name with a dot", {}, "metadata.name", "nemotron.70b", name="nemotron.70b"),
    Mistake("a name that begins with a digit", {}, "metadata.name", "70b-nemotron", name="70b-nemotron"),
    Mistake("a spec without a model", {"model": REMOVED}, "spec.model", name=IDENTITY.name),
]

MODEL_MISTAKES: Final = [
    bad("nothing after model:", "model", None, "nothing"),
    bad("a model name with a space", "model.name", "Llama 3.1 70B"),
    bad("an empty model name", "model.name", "", "''"),
    bad("a model name that YAML reads as a number", "model.name", 70, "70"),
    bad("a model name of 200 characters", "model.name", "x" * 200, "x" * 100),
    bad("no longest context", "model.maxModelLen", REMOVED, ""),
    bad("a longest context with a unit", "model.maxModelLen", "32k"),
    bad("a longest context of zero", "model.maxModelLen", 0),
    bad("the branch main as revision", f"{_HUB}.revision", "main"),
    bad("a pull request as revision", f"{_HUB}.revision", "refs/pr/12"),
    bad("a short commit", f"{_HUB}.revision", "0123abc"),
    bad("a commit in upper case", f"{_HUB}.revision", "ABCDEF0123456789ABCDEF0123456789ABCDEF01"),
    bad("a date as revision that YAML reads", f"{_HUB}.revision", date(2026, 11, 1), "2026-11-01"),
    bad("a revision of digits that YAML reads", f"{_HUB}.revision", 20261101),
    bad("no revision", f"{_HUB}.revision", REMOVED, ""),
    bad("a repository without its owner", f"{_HUB}.repository", "Llama-3.1-8B"),
    bad("a repository as URL", f"{_HUB}.repository", "https://huggingface.co/meta-llama/Llama-3.1-8B"),
    bad("the token instead of its Secret", f"{_HUB}.tokenSecretRef", _HF_TOKEN, hidden=_HF_TOKEN),
    bad("the token as the name of its Secret", f"{_HUB}.tokenSecretRef", {"name": _HF_TOKEN}, at=f"{_HUB}.tokenSecretRef.name", hidden=_HF_TOKEN),
    bad("a token beside the repository", f"{_HUB}.token", _HF_TOKEN, hidden=_HF_TOKEN),
    bad("two sources", _CLAIM, {"claimName": "w", "revision": "1"}, "huggingFace and persistentVolumeClaim", "model.source"),
    bad("no source", "model.source", {}, "none"),
    bad("a source as text", "model.source", "meta-llama/Llama-3.1-8B"),
    bad("a path out of the volume", f"{_CLAIM}.path", "../other", base=_ON_CLAIM),
    bad("an absolute path", f"{_CLAIM}.path", "/models/llama", base=_ON_CLAIM),
    bad("a claim's date that YAML reads", f"{_CLAIM}.revision", date(2026, 11, 1), "2026-11-01", base=_ON_CLAIM),
    bad("a claim without a revision", f"{_CLAIM}.revision", REMOVED, "", base=_ON_CLAIM),
    bad("a claim name in upper case", f"{_CLAIM}.claimName", "Weights", base=_ON_CLAIM),
    bad("weights by tag", "model.source.image.reference", "registry.example/llama:v1", base=_ON_IMAGE),
    bad("a pull policy in lower case", "model.source.image.pullPolicy", "always", base=_ON_IMAGE),
    bad("an architecture without KV heads", "model.architecture.kvHeads", REMOVED, "", base=_SHAPED),
    bad("an architecture by config.json's name", "model.architecture.num_key_value_heads", 8, base=_SHAPED),
    bad("latent attention as a switch", "model.architecture.latentAttention", True, "true", base=_SHAPED),
    bad("no layers", "model.architecture.layers", 0, base=_SHAPED),
    bad("a weight type as torch writes it", "model.architecture.weightDtype", "bfloat16", base=_SHAPED),
]  # fmt: skip

_PROCESS: Final = [
    bad("negative replicas", "replicas", -1),
    bad("replicas in words", "replicas", "two"),
    bad("replicas in quotes", "replicas", "2"),
    bad("one and a half replicas", "replicas", 1.5),
    bad("replicas as a switch", "replicas", True, "true"),
    bad("a misspelt field", "engine.tensorParallelism", 8),
    bad("a field in snake case", "engine.tensor_parallel_size", 8),
    bad("a field without capitals", "model.maxmodellen", 61440, base={"model.maxModelLen": REMOVED}),
    bad("a field of another object", "engine.maxModelLen", 61440),
    bad("a field at the top", "tensorParallelSize", 8),
    bad("what Kubernetes calls nodeSelector", "nodeSelector", {"pool": "h200"}, "a mapping"),
    bad("what Kubernetes calls env", "engine.env", [{"name": "A"}], "a list"),
    bad("resources at the top", "resources", {"limits": {"nvidia.com/gpu": 8}}, "a mapping"),
    bad("a field that is nowhere", "engine.turbo", True, "true"),
    bad("no GPUs", "engine.tensorParallelSize", 0),
    bad("a share of memory as vLLM writes it", "engine.gpuMemoryUtilizationPercent", 0.9),
    bad("more than all memory", "engine.gpuMemoryUtilizationPercent", "120%"),
    bad("a share of memory with a sign", "engine.gpuMemoryUtilizationPercent", "90%"),
    bad("a KV type as vLLM writes it", "engine.kvCacheDtype", "fp8_e4m3"),
    bad("a KV type that stands for two", "engine.kvCacheDtype", "fp8"),
    bad("a weight type as vLLM writes it", "engine.dtype", "bfloat16"),
    bad("blocks of 24 tokens", "engine.blockTokens", 24),
    bad("blocks of 256 tokens", "engine.blockTokens", 256),
    bad("the tag latest", "engine.image", "vllm/vllm-openai:latest"),
    bad("an image without a tag", "engine.image", "registry.example:5000/engine"),
    bad("an image with half a digest", "engine.image", "engine@sha256:0123"),
    bad("a version with a v", "engine.versions", {"vllm": "v0.32.0", "lmcache": "0.5.6"}, "v0.32.0", "engine.versions.vllm"),
    bad("a version that YAML reads as a number", "engine.versions", {"vllm": 0.32, "lmcache": "0.5.6"}, "0.32", "engine.versions.vllm"),
    bad("a version without the other", "engine.versions", {"vllm": "0.32.0"}, "", "engine.versions.lmcache"),
]  # fmt: skip

_RESOURCES: Final = [
    bad("GPUs among the resources", "engine.resources.limits", {"nvidia.com/gpu": "8"}, "nvidia.com/gpu"),
    bad("an unknown resource", "engine.resources.requests", {"rdma/hca": "1"}, "rdma/hca"),
    bad("half a CPU", "engine.resources.requests", {"cpu": "0.5"}, "0.5"),
    bad("a fraction of memory", "engine.resources.requests", {"memory": "1.5Ti"}, "1.5Ti"),
    bad("memory in GB", "cache.resources.limits", {"memory": "1300GB"}, "1300GB"),
    bad("memory with the unit m", "engine.resources.requests", {"memory": "512m"}, "512m"),
    bad("CPUs without quotes", "engine.resources.requests", {"cpu": 16}, "16", "engine.resources.requests.cpu"),
    bad("resources without requests or limits", "engine.resources", {"memory": "96Gi"}, "96Gi", "engine.resources.memory"),
]  # fmt: skip

_ARGS: Final = "engine.extraArgs"
_ARGUMENTS: Final = [
    bad("adapters", _ARGS, ["--enable-lora"], "--enable-lora", f"{_ARGS}[0]"),
    bad("adapters by name", _ARGS, ["--lora-modules=a=b"], "--lora-modules", f"{_ARGS}[0]"),
    bad("a key among the options", _ARGS, ["--api-key=0123456789"], at=f"{_ARGS}[0]", hidden="0123456789"),
    bad("a key as an entry of its own", _ARGS, ["--api-key", "s3cr3t"], at=f"{_ARGS}[1]", hidden="s3cr3t"),
    bad("a token of the hub", _ARGS, [f"--hf-overrides={_HF_TOKEN}"], at=_ARGS, hidden=_HF_TOKEN),
    bad("an option that has a field", _ARGS, ["--max-model-len=8192"], "--max-model-len", f"{_ARGS}[0]"),
    bad("the cache's own option", _ARGS, ["--kv-transfer-config={}"], "--kv-transfer-config", f"{_ARGS}[0]"),
    bad("pipeline parallelism", _ARGS, ["--pipeline-parallel-size=2"], "--pipeline-parallel-size", f"{_ARGS}[0]"),
    bad("a port", _ARGS, ["--port=9000"], "--port", f"{_ARGS}[0]"),
    bad("TLS of the engine", _ARGS, ["--ssl-keyfile=/k"], "--ssl-keyfile", f"{_ARGS}[0]"),
    bad("an option with a blank", _ARGS, ["--max-num-seqs 64"], "--max-num-seqs", f"{_ARGS}[0]"),
    bad("a short option", _ARGS, ["-tp=8"], "-tp", f"{_ARGS}[0]"),
    bad("an option twice", _ARGS, ["--seed=1", "--seed=1"], "[0]", f"{_ARGS}[1]"),
    bad("all options in one text", _ARGS, "--seed=1 --max-num-seqs=64", "", _ARGS),
    bad("a number as option", _ARGS, [64], at=f"{_ARGS}[0]", hidden="64"),
]

_ENV: Final = "engine.extraEnv"


def _env(title: str, variable: Any, shows: str = "", at: str = "", hidden: str = "") -> Mistake:
    return bad(title, _ENV, [variable], shows, f"{_ENV}[0]{at}", **({"hidden": hidden} if hidden else {}))


_VARIABLES: Final = [
    _env("AWS keys", {"name": "AWS_ACCESS_KEY_ID", "value": _AWS_KEY}, at=".name", hidden=_AWS_KEY),
    _env("the hub's token", {"name": "HF_TOKEN", "value": _HF_TOKEN}, at=".name", hidden=_HF_TOKEN),
    _env("a password", {"name": "PROXY_PASSWORD", "value": "s3cr3t"}, hidden="s3cr3t"),
    _env("a key under a harmless name", {"name": "NOTE", "value": _AWS_KEY}, hidden=_AWS_KEY),
    _env("the hash seed", {"name": "PYTHONHASHSEED", "value": "1"}, "PYTHONHASHSEED", ".name"),
    _env("a variable of LMCache", {"name": "LMCACHE_CHUNK_SIZE", "value": "512"}, "LMCACHE_CHUNK_SIZE", ".name"),
    _env("GPUs by variable", {"name": "CUDA_VISIBLE_DEVICES", "value": "0"}, "CUDA_VISIBLE_DEVICES", ".name"),
    _env("a variable without a value", {"name": "NCCL_DEBUG"}, "none"),
    _env("a variable with both", {"name": "A", "value": "b", "secretKeyRef": {"name": "c", "key": "d"}}, "both"),
    _env("a number as value", {"name": "NCCL_IB_DISABLE", "value": 17}, at=".value", hidden="17"),
    _env("a variable in lower case", {"name": "nccl_debug", "value": "WARN"}, "nccl_debug", ".name"),
    _env("what Kubernetes calls valueFrom", {"name": "A", "valueFrom": {"fieldRef": {}}}, "a mapping", ".valueFrom"),
    _env("a variable as text", "MY_TOKEN=s3cr3t", hidden="s3cr3t"),
    _env("a variable's value by another name", {"name": "A", "val": "s3cr3t"}, at=".val", hidden="s3cr3t"),
    bad("variables as a mapping", _ENV, {"NCCL_DEBUG": "WARN"}, "a mapping"),
    bad("a variable twice", _ENV, [{"name": "TZ", "value": "UTC"}, {"name": "TZ", "value": "CET"}], "[0]", f"{_ENV}[1]"),
]  # fmt: skip

ENGINE_MISTAKES: Final = [*_PROCESS, *_RESOURCES, *_ARGUMENTS, *_VARIABLES]
