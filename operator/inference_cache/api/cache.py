"""The KV cache below HBM: mode, chunk size and the tiers."""

import re
from enum import StrEnum
from typing import Annotated, Final
from urllib.parse import urlsplit

from pydantic import Field

from .base import PORT, ApiModel, Rule, count_set, match_rule, ruled
from .quantities import MemorySize
from .references import ConfigMapKeyRef, SecretRef
from .resources import ResourceOverrides
from .store_plugin import RDMADialect, StorePlugin


class Pages(StrEnum):
    """Kind of memory pages of the memory tier."""

    STANDARD = "Standard"
    HUGE_2MI = "Huge2Mi"


class EvictionPolicy(StrEnum):
    """Which chunks leave the memory tier first."""

    LRU = "LRU"
    ARC = "ARC"


class MemoryTier(ApiModel):
    """KV cache in the DRAM of each pod's node."""

    size: MemorySize
    """DRAM for KV per pod (--l1-size-gb), all GPUs together. The pod requests this much memory and a little more."""
    pages: Pages | None = None
    """Huge2Mi takes the tier from huge pages (--l1-use-hugepages), which must be reserved on the node; the pod requests hugepages-2Mi. Without it: Standard."""
    eviction_policy: EvictionPolicy | None = None
    """Order of eviction (--eviction-policy); ARC needs LMCache 0.5.6. Without it: LRU."""
    eviction_watermark_percent: Annotated[int, Field(ge=10, le=95)] | None = None
    """Share of the tier at which eviction begins (--eviction-trigger-watermark). Without it: 80."""
    eviction_percent: Annotated[int, Field(ge=1, le=90)] | None = None
    """Share of the tier that one eviction frees (--eviction-ratio). Without it: 20."""


_BUCKET = Rule(
    cel="self.matches('^[a-z0-9]([-a-z0-9]*[a-z0-9])?$') && self.size() >= 3",
    message=(
        "must be a bucket name of 3 to 63 lower case letters, digits and '-': it becomes one label of the host name, "
        "so dots would break DNS and TLS wildcards; use a bucket with such a name"
    ),
    holds=lambda text: bool(re.fullmatch(r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$", text)) and len(text) >= 3,
)
_ENDPOINT_PATTERN: Final = f"^https?://[a-z0-9]([-a-z0-9]*[a-z0-9])?([.][a-z0-9]([-a-z0-9]*[a-z0-9])?)*(:({PORT}))?$"
_ENDPOINT = match_rule(
    _ENDPOINT_PATTERN,
    (
        "must be http://HOST[:PORT] or https://HOST[:PORT] in lower case; write it without bucket, path and trailing '/', "
        "as the cache server accepts other forms at start and then fails every request"
    ),
)
_ADDRESS_PATTERN: Final = "^https?://[0-9.]+(:[0-9]+)?$"


class Bucket(ApiModel):
    """An existing bucket."""

    name: Annotated[str, *ruled(_BUCKET, min_length=1, max_length=63)]
    """Name of the bucket."""


class ObjectStoreCredentials(ApiModel):
    """How pods and the operator sign requests."""

    secret_ref: SecretRef
    """Secret with the keys AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, in the deployment's namespace."""


_REGION_PATTERN: Final = "^[a-z]([-a-z0-9]*[a-z0-9])?$"
_REGION = match_rule(
    _REGION_PATTERN,
    "must be a region's name of lower case letters, digits and '-'; write us-east-1 for a store without regions",
)


class Addressing(StrEnum):
    """Where requests name the bucket."""

    VIRTUAL_HOST = "VirtualHost"
    PATH = "Path"


class StoreClient(StrEnum):
    """Which client of the cache server speaks to the store."""

    AUTO = "Auto"
    LMCACHE_S3 = "LMCacheS3"
    NIXL = "NIXL"
    PLUGIN = "Plugin"


class AfterLoad(StrEnum):
    """What happens to chunks in the memory tier after they were loaded from the store and used."""

    DROP = "Drop"
    KEEP_IN_MEMORY = "KeepInMemory"


class StoreTLS(ApiModel):
    """How the store's certificate is checked."""

    ca_ref: ConfigMapKeyRef
    """ConfigMap key with the certificate authorities in PEM form. The operator's probe and the pods trust these instead of the system's."""


class StoreLink(ApiModel):
    """What the way between a pod and the store can carry. Declared figures, for the capacity plan alone."""

    network_gigabits: Annotated[int, Field(ge=1, le=100_000)] | None = None
    """Gb/s of the network ports that one pod can use for the store, added up."""
    read_megabytes: Annotated[int, Field(ge=1, le=10_000_000)] | None = None
    """MB/s that one pod can read from the store, measured or promised."""
    write_megabytes: Annotated[int, Field(ge=1, le=10_000_000)] | None = None
    """MB/s that one pod can write to the store. Without it: as reading."""


class ObjectStoreTier(ApiModel):
    """KV cache in an S3 bucket that all replicas share."""

    rules = (
        Rule(
            cel="(has(self.addressing) && self.addressing == 'Path') || !self.endpoint.matches('^https?://' + self.bucket.name + '[.]')",
            message="endpoint must not contain the bucket: the operator puts it in front of the host name; write only the host",
            holds=lambda m: (
                m.addressing is Addressing.PATH or not re.match(f"^https?://{re.escape(m.bucket.name)}[.]", m.endpoint)
            ),
            got_cel="self.endpoint + ' with bucket ' + self.bucket.name",
            got=lambda m: f"{m.endpoint} with bucket {m.bucket.name}",
            path=".endpoint",
        ),
        Rule(
            # CEL's own url() and isIP() exceed the cost that the API server grants to a rule on a list item.
            cel=f"(has(self.addressing) && self.addressing == 'Path') || !self.endpoint.matches('{_ADDRESS_PATTERN}')",
            message="endpoint must have a host name, not an IP address, as the bucket becomes part of it; write a name, or addressing: Path",
            holds=lambda m: (
                m.addressing is Addressing.PATH or not re.match("^[0-9.]+$", urlsplit(m.endpoint).hostname or "")
            ),
            got_cel="self.endpoint",
            got=lambda m: m.endpoint,
            path=".endpoint",
        ),
        Rule(
            cel="(has(self.client) && self.client == 'Plugin') == has(self.plugin)",
            message="client Plugin needs plugin, and plugin needs client Plugin; write both, or neither",
            holds=lambda m: (m.client is StoreClient.PLUGIN) == (m.plugin is not None),
            got_cel="has(self.plugin) ? 'plugin without client Plugin' : 'client Plugin without plugin'",
            got=lambda m: "plugin without client Plugin" if m.plugin is not None else "client Plugin without plugin",
        ),
        Rule(
            cel="!has(self.rdmaDialect) || !has(self.client) || self.client in ['Auto', 'NIXL']",
            message="rdmaDialect must be set with client NIXL or Auto only, as LMCacheS3 speaks TCP and an adapter has its own parameters; write client: NIXL, or remove rdmaDialect",
            holds=lambda m: m.rdma_dialect is None or m.client in {None, StoreClient.AUTO, StoreClient.NIXL},
            got_cel="'client ' + self.client",
            got=lambda m: f"client {m.client.value}",
        ),
        Rule(
            cel="!(has(self.client) && self.client == 'LMCacheS3' && has(self.addressing) && self.addressing == 'Path')",
            message="client LMCacheS3 must not be combined with addressing Path, which it does not know (LMCache#3376); write client: NIXL or Auto, or addressing: VirtualHost",
            holds=lambda m: not (m.client is StoreClient.LMCACHE_S3 and m.addressing is Addressing.PATH),
            got_cel="'client LMCacheS3, addressing Path'",
            got=lambda _: "client LMCacheS3, addressing Path",
        ),
        Rule(
            cel="!(has(self.client) && self.client == 'LMCacheS3' && has(self.tls))",
            message="client LMCacheS3 must not be combined with tls.caRef, as it trusts the image's own authorities only; write client: NIXL or Auto, or remove tls",
            holds=lambda m: not (m.client is StoreClient.LMCACHE_S3 and m.tls is not None),
            got_cel="'client LMCacheS3, tls'",
            got=lambda _: "client LMCacheS3, tls",
        ),
        Rule(
            cel="!(has(self.tls) && self.endpoint.startsWith('http://'))",
            message="tls must not be set for an http:// endpoint, which has no certificate; remove tls or write https://",
            holds=lambda m: not (m.tls is not None and m.endpoint.startswith("http://")),
            got_cel="'tls with ' + self.endpoint",
            got=lambda m: f"tls with {m.endpoint}",
        ),
    )

    endpoint: Annotated[str, *ruled(_ENDPOINT, min_length=1, max_length=253)]
    """URL of the S3 service. http:// turns TLS off."""
    region: Annotated[str, *ruled(_REGION, min_length=1, max_length=63)]
    """Region that requests are signed for; us-east-1 for most stores that have none."""
    bucket: Bucket
    """The bucket."""
    addressing: Addressing | None = None
    """VirtualHost reaches the bucket as BUCKET.HOST, Path as HOST/BUCKET. Without it: VirtualHost."""
    tls: StoreTLS | None = None
    """Trust for a private certificate authority. Without it: the system's authorities."""
    credentials: ObjectStoreCredentials
    """Credentials for the bucket."""
    client: StoreClient | None = None
    """Client of the cache server. LMCacheS3 is in every image; NIXL knows path addressing, private authorities and, with rdmaDialect, RDMA, and needs an image whose LMCache was built with it; Plugin is a vendor's adapter. Without it: Auto, LMCacheS3 where it can do the job and NIXL where addressing, tls or rdmaDialect ask for more. Part of the layout fingerprint, as they name objects differently."""
    plugin: StorePlugin | None = None
    """Adapter of a vendor, with client Plugin. Its module must be in the image."""
    rdma_dialect: RDMADialect | None = None
    """How the NIXL client asks this store for RDMA; Dell is what NIXL knows. With client Auto it chooses NIXL. Without it: NIXL speaks TCP to the store, whatever the fabric can do."""
    max_in_flight_loads: Annotated[int, Field(ge=1, le=64)] | None = None
    """Look-ups that load from the store at a time (--l2-prefetch-max-in-flight). The memory tier must hold that many contexts of maxModelLen. Without it: as many as fit, at most 8."""
    after_load: AfterLoad | None = None
    """KeepInMemory leaves loaded chunks in the memory tier (--l2-prefetch-policy retain), so that the next use does not load again. Without it: Drop."""
    io_threads: Annotated[int, Field(ge=1, le=256)] | None = None
    """Threads of the store's client. Without it: the client's own choice."""
    link: StoreLink | None = None
    """What the way to the store can carry; the capacity plan compares it with what the engines compute."""


class CacheTier(ApiModel):
    """One tier; exactly one of the fields."""

    rules = (
        Rule(
            cel="(has(self.memory) ? 1 : 0) + (has(self.objectStore) ? 1 : 0) == 1",
            message="a tier needs exactly one of memory, objectStore; write one list entry for each tier",
            holds=lambda m: count_set(m, "memory", "object_store") == 1,
            got_cel="has(self.memory) ? 'both' : 'none'",
            got=lambda m: "both" if m.memory is not None else "none",
        ),
    )

    memory: MemoryTier | None = None
    """KV cache in DRAM."""
    object_store: ObjectStoreTier | None = None
    """KV cache in an S3 bucket."""


_CHUNK = Rule(
    cel="self % 16 == 0",
    message="must be a multiple of 16, the engine's block size; write for instance 256, which suits most models",
    holds=lambda tokens: tokens % 16 == 0,
)


def _count_memory(tiers: list[CacheTier]) -> int:
    return sum(tier.memory is not None for tier in tiers)


_MEMORY_FIRST = Rule(
    cel="has(self[0].memory) && self.filter(t, has(t.memory)).size() == 1",
    message=(
        "must begin with the one memory tier, through which every KV chunk passes on its way to lower tiers; "
        "move memory to the first place and keep a single one"
    ),
    holds=lambda tiers: tiers[0].memory is not None and _count_memory(tiers) == 1,
    got_cel="self.exists(t, has(t.memory)) ? (self.all(t, has(t.memory)) ? 'only memory' : 'memory after objectStore') : 'no memory'",
    got=lambda tiers: (
        ("only memory" if _count_memory(tiers) == len(tiers) else "memory after objectStore")
        if _count_memory(tiers)
        else "no memory"
    ),
)


class CacheMode(StrEnum):
    """How much the deployment depends on its cache."""

    REQUIRED = "Required"
    OPPORTUNISTIC = "Opportunistic"
    DISABLED = "Disabled"


class Cache(ApiModel):
    """The KV cache below HBM."""

    rules = (
        Rule(
            cel="has(self.tiers) || (has(self.mode) && self.mode == 'Disabled')",
            message="tiers must be set unless mode is Disabled; write a memory tier, or mode: Disabled",
            holds=lambda m: m.tiers is not None or m.mode is CacheMode.DISABLED,
            got_cel="'no tiers'",
            got=lambda _: "no tiers",
        ),
    )

    mode: CacheMode | None = None
    """Opportunistic serves whatever happens to the cache; Required says Ready=False while a tier has trouble, and keeps serving; Disabled runs engines without cache server, and keeps the tiers for later. Without it: Opportunistic."""
    chunk_tokens: Annotated[int, *ruled(_CHUNK, ge=16, le=4096)] | None = None
    """Tokens per cached chunk (--chunk-size). Without it: 256. Part of the layout fingerprint."""
    tiers: Annotated[list[CacheTier], *ruled(_MEMORY_FIRST, min_length=1, max_length=2)] | None = None
    """Tiers from fast to slow: memory, then optionally objectStore."""
    resources: ResourceOverrides | None = None
    """Resources of the cache server's container. Memory and huge pages of the memory tier are added by the operator and must fit in."""
