"""Examples about the object store tier: its address, its client, its trust and its keys."""

from collections.abc import Mapping
from typing import Any, Final

from tests.api.rows import OBJECT_NAME_MESSAGE, STORE, accept, enum, lengths, numbers, required, rule, unknown
from tests.api.transport_rows import PLUGIN

_CA: Final = f"{STORE}.tls.caRef"
_LINK: Final = f"{STORE}.link"
_SECRET: Final = f"{STORE}.credentials.secretRef"
_HTTPS: Final[Mapping[str, Any]] = {f"{STORE}.endpoint": "https://s3.internal"}
WITH_CA: Final[Mapping[str, Any]] = {**_HTTPS, f"{STORE}.tls": {"caRef": {"configMap": "store-ca"}}}
_PATH: Final[Mapping[str, Any]] = {f"{STORE}.addressing": "Path"}
_OWN_CLIENT: Final[Mapping[str, Any]] = {f"{STORE}.client": "LMCacheS3"}

_BUCKET_MESSAGE: Final = "must be a bucket name of 3 to 63 lower case letters, digits and '-'"
_REGION_MESSAGE: Final = "must be a region's name of lower case letters"
_ENDPOINT_MESSAGE: Final = (
    "must be http://HOST[:PORT] or https://HOST[:PORT] in lower case; write it without bucket, path and trailing '/'"
)
_ADDRESS_MESSAGE: Final = "endpoint must have a host name, not an IP address, as the bucket becomes part of it"
_DOUBLE_MESSAGE: Final = (
    "endpoint must not contain the bucket: the operator puts it in front of the host name; write only the host"
)
_PATH_CLIENT_MESSAGE: Final = "client LMCacheS3 must not be combined with addressing Path"
_CA_CLIENT_MESSAGE: Final = "client LMCacheS3 must not be combined with tls.caRef"
_PLAIN_MESSAGE: Final = "tls must not be set for an http:// endpoint, which has no certificate"
_CONFIG_KEY_MESSAGE: Final = "must be a key of a ConfigMap"

_ADDRESS: Final = [
    required(f"{STORE}.endpoint"),
    required(f"{STORE}.region"),
    required(f"{STORE}.bucket"),
    required(f"{STORE}.bucket.name"),
    *lengths(f"{STORE}.endpoint", 1, 253, head="http://"),
    accept("an endpoint with TLS and port", f"{STORE}.endpoint", "https://s3.example:9000"),
    accept("the last port", f"{STORE}.endpoint", "https://s3.example:65535"),
    rule("a port that does not exist", f"{STORE}.endpoint", "https://s3.example:65536", _ENDPOINT_MESSAGE),
    rule("an endpoint without scheme", f"{STORE}.endpoint", "s3.example", _ENDPOINT_MESSAGE),
    rule("an endpoint with a path", f"{STORE}.endpoint", "http://s3.example/bucket", _ENDPOINT_MESSAGE),
    rule("an endpoint with a trailing slash", f"{STORE}.endpoint", "http://s3.example/", _ENDPOINT_MESSAGE),
    rule(
        "an endpoint with a password", f"{STORE}.endpoint", "http://me:pass@s3.example", _ENDPOINT_MESSAGE, hidden="pass@"
    ),
    rule(
        "an IP address as endpoint",
        f"{STORE}.endpoint",
        "http://10.0.0.1:9000",
        _ADDRESS_MESSAGE,
        at=f"{STORE}.endpoint",
    ),
    accept("an IP address with path addressing", f"{STORE}.endpoint", "http://10.0.0.1:9000", _PATH),
    rule("an endpoint with the bucket", f"{STORE}.endpoint", "http://kv-nemotron.s3.internal", _DOUBLE_MESSAGE),
    accept("an endpoint with the bucket and path addressing", f"{STORE}.endpoint", "http://kv-nemotron.s3.internal", _PATH),
    accept("an endpoint that begins like the bucket", f"{STORE}.endpoint", "http://kv-nemotron-store.internal"),
    *lengths(f"{STORE}.region", 1, 63),
    rule("a region in upper case", f"{STORE}.region", "US-East-1", _REGION_MESSAGE),
    *lengths(f"{STORE}.bucket.name", 1, 63),
    accept("a bucket of three letters", f"{STORE}.bucket.name", "kv1"),
    rule("a bucket of two letters", f"{STORE}.bucket.name", "kv", _BUCKET_MESSAGE),
    rule("a bucket with a dot", f"{STORE}.bucket.name", "kv.cache", _BUCKET_MESSAGE),
]  # fmt: skip

_CLIENT: Final = [
    *enum(f"{STORE}.addressing", ("VirtualHost", "Path")),
    *enum(f"{STORE}.client", ("Auto", "LMCacheS3", "NIXL", "Plugin"), bases={"Plugin": PLUGIN}),
    accept("NIXL with path addressing", f"{STORE}.client", "NIXL", _PATH),
    rule("LMCache's client with path addressing", f"{STORE}.client", "LMCacheS3", _PATH_CLIENT_MESSAGE, _PATH, STORE),
    accept("NIXL with an authority", f"{STORE}.client", "NIXL", WITH_CA),
    rule("LMCache's client with an authority", f"{STORE}.client", "LMCacheS3", _CA_CLIENT_MESSAGE, WITH_CA, STORE),
    accept("LMCache's client with virtual hosts", f"{STORE}.addressing", "VirtualHost", _OWN_CLIENT),
    *enum(f"{STORE}.afterLoad", ("Drop", "KeepInMemory")),
    *numbers(f"{STORE}.maxInFlightLoads", 1, 64),
    *numbers(f"{STORE}.ioThreads", 1, 256),
    *numbers(f"{_LINK}.networkGigabits", 1, 100_000),
    *numbers(f"{_LINK}.readMegabytes", 1, 10_000_000),
    *numbers(f"{_LINK}.writeMegabytes", 1, 10_000_000),
]

_TRUST: Final = [
    accept("an authority", f"{STORE}.tls", {"caRef": {"configMap": "store-ca", "key": "bundle.pem"}}, _HTTPS),
    rule(
        "an authority without TLS",
        f"{STORE}.tls",
        {"caRef": {"configMap": "store-ca"}},
        _PLAIN_MESSAGE,
        at=STORE,
    ),
    required(f"{STORE}.tls.caRef", WITH_CA),
    required(f"{_CA}.configMap", WITH_CA),
    *lengths(f"{_CA}.configMap", 1, 253, WITH_CA),
    *lengths(f"{_CA}.key", 1, 253, WITH_CA),
    rule(
        "a ConfigMap name in upper case",
        f"{_CA}.configMap",
        "Store-Secret",
        OBJECT_NAME_MESSAGE,
        WITH_CA,
        hidden="Store-Secret",
    ),
    rule("a ConfigMap key with a slash", f"{_CA}.key", "ca/crt", _CONFIG_KEY_MESSAGE, WITH_CA),
    required(f"{STORE}.credentials"),
    required(_SECRET),
    required(f"{_SECRET}.name"),
    *lengths(f"{_SECRET}.name", 1, 253),
    rule(
        "a Secret name with an underscore",
        f"{_SECRET}.name",
        "a_pasted_key",
        OBJECT_NAME_MESSAGE,
        hidden="a_pasted_key",
    ),
    rule(
        "a key as the name of its Secret",
        f"{_SECRET}.name",
        "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY",
        OBJECT_NAME_MESSAGE,
        hidden="wJalr",
    ),
]

STORE_ROWS: Final = [
    *_ADDRESS,
    *_CLIENT,
    *_TRUST,
    *(unknown(parent) for parent in (STORE, f"{STORE}.bucket", _LINK)),
    unknown(f"{STORE}.tls", WITH_CA),
    unknown(_CA, WITH_CA),
    *(unknown(parent, hidden=True) for parent in (f"{STORE}.credentials", _SECRET)),
]
