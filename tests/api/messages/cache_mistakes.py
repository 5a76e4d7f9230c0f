"""Mistakes about the cache, the object store, placement, rollout, observability and load."""

from typing import Any, Final

from tests.api.messages.mistakes import bad
from tests.support.builders import REMOVED, load_sample

_SIZE: Final = "cache.tiers.0.memory.size"
_STORE: Final = "cache.tiers.1.objectStore"
_AT_STORE: Final = "cache.tiers[1].objectStore"
_MEMORY: Final[dict[str, Any]] = {"memory": {"size": "1200Gi"}}
_S3: Final[dict[str, Any]] = load_sample()["spec"]["cache"]["tiers"][1]
_HTTPS: Final = {f"{_STORE}.endpoint": "https://s3.internal"}
_CA: Final = {"caRef": {"configMap": "store-ca"}}
_AWS_SECRET: Final = "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"

TIER_MISTAKES: Final = [
    bad("a size in GB", _SIZE, "1200GB"),
    bad("a size with a fraction", _SIZE, "1.2Ti"),
    bad("a size in lower case", _SIZE, "1200gi"),
    bad("a size as a number", _SIZE, 1200),
    bad("a size with a blank", _SIZE, "1200 Gi"),
    bad("a size below a GiB", _SIZE, "512Mi"),
    bad("no size", _SIZE, REMOVED, ""),
    bad("a size by LMCache's name", "cache.tiers.0.memory.l1_size_gb", 1200),
    bad("tiers in the wrong order", "cache.tiers", [_S3, _MEMORY], "memory after objectStore"),
    bad("the object store alone", "cache.tiers", [_S3], "no memory"),
    bad("two memory tiers", "cache.tiers", [_MEMORY, _MEMORY], "only memory"),
    bad("both tiers in one entry", "cache.tiers", [{**_MEMORY, **_S3}], "both", "cache.tiers[0]"),
    bad("tiers as a mapping", "cache.tiers", {**_MEMORY, **_S3}, "a mapping"),
    bad("a tier of another name", "cache.tiers.0", {"dram": {"size": "1200Gi"}}, "a mapping", "cache.tiers[0].dram"),
    bad("a tier of disks", "cache.tiers", [_MEMORY, {"disk": {"path": "/x"}}], "a mapping", "cache.tiers[1].disk"),
    bad("three tiers", "cache.tiers", [_MEMORY, _S3, _S3], "3"),
    bad("no tiers", "cache.tiers", REMOVED, "no tiers", "cache"),
    bad("an empty list of tiers", "cache.tiers", [], "an empty list"),
    bad("chunks of 100 tokens", "cache.chunkTokens", 100),
    bad("chunks that split blocks", "cache.chunkTokens", 96, base={"engine.blockTokens": 64}),
    bad("eviction when all is full", "cache.tiers.0.memory.evictionWatermarkPercent", 100),
    bad("eviction as a fraction", "cache.tiers.0.memory.evictionPercent", 0.2),
    bad("huge pages by size", "cache.tiers.0.memory.pages", "2Mi"),
    bad("a policy in lower case", "cache.tiers.0.memory.evictionPolicy", "arc"),
    bad("a misspelt mode", "cache.mode", "Opportunistc"),
    bad("the mode as a switch", "cache.mode", False, "false"),
]

STORE_MISTAKES: Final = [
    bad("an endpoint with the bucket as path", f"{_STORE}.endpoint", "https://s3.internal/kv-nemotron"),
    bad("an endpoint with a trailing slash", f"{_STORE}.endpoint", "https://s3.internal/"),
    bad("an endpoint with the bucket inside", f"{_STORE}.endpoint", "https://kv-nemotron.s3.internal"),
    bad("an endpoint without a scheme", f"{_STORE}.endpoint", "s3.internal:9000"),
    bad("an endpoint with the scheme s3", f"{_STORE}.endpoint", "s3://kv-nemotron"),
    bad("an endpoint with a port that does not exist", f"{_STORE}.endpoint", "https://s3.internal:70000"),
    bad("an IP address as endpoint", f"{_STORE}.endpoint", "http://10.0.0.1:9000"),
    bad("an endpoint in upper case", f"{_STORE}.endpoint", "https://S3.internal"),
    bad("an endpoint with a password", f"{_STORE}.endpoint", "https://me:s3cr3t@s3.internal", hidden="s3cr3t"),
    bad("no region", f"{_STORE}.region", REMOVED, ""),
    bad("a region in upper case", f"{_STORE}.region", "US-EAST-1"),
    bad("the bucket as text", f"{_STORE}.bucket", "kv-nemotron"),
    bad("a bucket with a dot", f"{_STORE}.bucket.name", "kv.nemotron"),
    bad("a bucket in upper case", f"{_STORE}.bucket.name", "KV-Nemotron"),
    bad("no credentials", f"{_STORE}.credentials", REMOVED, ""),
    bad("the keys instead of a Secret", f"{_STORE}.credentials", {"secretAccessKey": _AWS_SECRET}, at=f"{_AT_STORE}.credentials.secretAccessKey", hidden=_AWS_SECRET),
    bad("a key beside the bucket", f"{_STORE}.secretAccessKey", "0123456789", hidden="0123456789"),
    bad("a Secret as text", f"{_STORE}.credentials.secretRef", "kv-nemotron", at=f"{_AT_STORE}.credentials.secretRef", hidden="kv-nemotron"),
    bad("a key as the name of its Secret", f"{_STORE}.credentials.secretRef.name", _AWS_SECRET, hidden=_AWS_SECRET),
    bad("TLS without TLS", f"{_STORE}.tls", _CA, "http://s3.internal", _AT_STORE),
    bad("LMCache's client with an authority", f"{_STORE}.client", "LMCacheS3", "tls", _AT_STORE, base={**_HTTPS, f"{_STORE}.tls": _CA}),
    bad("LMCache's client with path addressing", f"{_STORE}.client", "LMCacheS3", "Path", _AT_STORE, base={f"{_STORE}.addressing": "Path"}),
    bad("addressing by another name", f"{_STORE}.addressing", "path"),
    bad("path addressing as a switch", f"{_STORE}.pathStyle", True, "true"),
    bad("an authority as text", f"{_STORE}.tls", {"caRef": "store-ca"}, "store-ca", f"{_AT_STORE}.tls.caRef", base=_HTTPS),
    bad("an authority without its ConfigMap", f"{_STORE}.tls", {"caRef": {"key": "ca.crt"}}, "", f"{_AT_STORE}.tls.caRef.configMap", base=_HTTPS),
    bad("a link in Gbit", f"{_STORE}.link", {"networkGigabits": "200Gbit"}, "200Gbit", f"{_AT_STORE}.link.networkGigabits"),
    bad("no loads", f"{_STORE}.maxInFlightLoads", 0),
]  # fmt: skip

_TOLERATION: Final = "nodes.tolerations.0"
_AT: Final = "nodes.tolerations[0]"
NODE_MISTAKES: Final = [
    bad("a toleration with value and Exists", _TOLERATION, {"key": "k", "operator": "Exists", "value": "v"}, "value v"),
    bad("a toleration without key", _TOLERATION, {"effect": "NoSchedule"}, "no operator"),
    bad("an operator in lower case", f"{_TOLERATION}.operator", "exists"),
    bad("an effect that does not exist", f"{_TOLERATION}.effect", "NoExec"),
    bad("a toleration with seconds", f"{_TOLERATION}.tolerationSeconds", 60),
    bad("a taint key with a blank", f"{_TOLERATION}.key", "nvidia gpu"),
    bad("a taint as text", _TOLERATION, "nvidia.com/gpu=true:NoSchedule"),
    bad("labels as a list", "nodes.selector", ["pool=h200"], "a list"),
    bad("a label that YAML reads as a switch", "nodes.selector", {"gpu": True}, "true", "nodes.selector.gpu"),
    bad("a label with a blank", "nodes.selector", {"pool": "h200 new"}, "h200 new"),
    bad("a label key with a blank", "nodes.selector", {"my pool": "h200"}, "my pool"),
    bad("a product as text", "nodes.requirements.gpu.products", "H200"),
    bad("a product with a blank", "nodes.requirements.gpu.products.0", "NVIDIA H200"),
    bad("a product twice", "nodes.requirements.gpu.products", ["H200", "H200"], "[0]", "nodes.requirements.gpu.products[1]"),
    bad("GPU memory in GB", "nodes.requirements.gpu.minMemoryPerGPU", "80GB"),
    bad("GPU memory in another spelling", "nodes.requirements.gpu.minMemoryPerGpu", "80Gi"),
    bad("a driver's whole version", "nodes.requirements.gpu.driverMajorAtLeast", "570.86.15"),
]  # fmt: skip

OTHER_MISTAKES: Final = [
    bad("a share of replicas", "rollout.maxUnavailable", "25%"),
    bad("a duration", "rollout.drainSeconds", "2m"),
    bad("a drain without end", "rollout.drainSeconds", 86400),
    bad("request logs as a switch", "observability.requestLogs", True, "true"),
    bad("a log level as Python writes it", "observability.logLevel", "WARN"),
    bad("no samples", "observability.metricsSamplePercent", 0),
    bad("a collector without scheme", "observability.tracesEndpoint", "otel-collector:4317"),
    bad("a collector with a port that does not exist", "observability.tracesEndpoint", "http://otel:70000"),
    bad("a load of no conversations", "workload", {"conversations": 0, "contextTokens": 30000}, "0", "workload.conversations"),
    bad("a load without a context", "workload", {"conversations": 2000}, "", "workload.contextTokens"),
    bad("a load in words", "workload", "2000 conversations"),
    bad("bytes for text", "model.name", b"llama", "binary data"),
]  # fmt: skip
