"""What the API accepts and what it refuses, as data: one row for each side of each rule and bound.

The same table runs against the operator's own check and against a real API server. A reject row names the keyword of
the schema, or the rule, that it breaks, so that a test can tell which constraint has no row.
"""

import copy
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from tests.support.builders import REMOVED, change, load_sample

_STORE: Final = "spec.cache.tiers.1.objectStore"
_HUB: Final = "spec.model.source.huggingFace"
_CLAIM: Final = "spec.model.source.persistentVolumeClaim"
_TOLERATION: Final = "spec.nodes.tolerations.0"
_PRODUCTS: Final = "spec.nodes.requirements.gpu.products"
_ON_CLAIM: Final[Mapping[str, Any]] = {
    "spec.model.source": {"persistentVolumeClaim": {"claimName": "w", "revision": "1"}}
}
_WITH_TOKEN: Final[Mapping[str, Any]] = {f"{_HUB}.tokenSecretRef": {"name": "hub"}}
_OBJECT_NAME_MESSAGE: Final = "must be the name of an object: lower case letters"
_DATA_KEY_MESSAGE: Final = "must be a key of a Secret"
_STATE_MESSAGE: Final = "must be a name of your choice for the files"
_REGION_MESSAGE: Final = "must be a region's name such as us-east-1"
_PRODUCT_MESSAGE: Final = "must be a GPU family such as H200"
_LABEL_KEY_MESSAGE: Final = "must be a key as labels and taints have it"
_LABEL_VALUE_MESSAGE: Final = "must be a value as labels and taints have it"
_LABEL_KEYS_MESSAGE: Final = "must have keys as labels have them"


@dataclass(frozen=True)
class Row:
    """One example.

    Attributes:
        id: What the example shows.
        changes: Values by path, applied in order to the sample.
        breaks: Keyword or "rule"; empty where the example is accepted.
        path: Field that breaks it.
        ours: Text that the operator's message must hold.
        theirs: Text that the API server's message must hold.
    """

    id: str
    changes: Mapping[str, Any]
    path: str
    breaks: str = ""
    ours: str = ""
    theirs: str = ""

    @property
    def accepted(self) -> bool:
        """Whether the example obeys the API."""
        return not self.breaks

    def build(self) -> dict[str, Any]:
        """Return the whole deployment."""
        body = copy.deepcopy(load_sample())
        for path, value in self.changes.items():
            change(body, path, value)
        return body

    @property
    def field(self) -> str:
        """The field as messages write it, with list items in brackets."""
        text = ""
        for part in self.path.split("."):
            text += f"[{part}]" if part.isdigit() else f".{part}" if text else part
        return text

    @property
    def value(self) -> Any:
        """What was written into the field."""
        return self.changes.get(self.path)


def _accept(title: str, path: str, value: Any, base: Mapping[str, Any] | None = None) -> Row:
    return Row(f"accepts {title}", {**(base or {}), path: value}, path)


def _rule(title: str, path: str, value: Any, message: str, base: Mapping[str, Any] | None = None, at: str = "") -> Row:
    return Row(f"rejects {title}", {**(base or {}), path: value}, at or path, "rule", message, message)


def _numbers(path: str, low: int, high: int, step: int = 1) -> list[Row]:
    name = path.removeprefix("spec.")
    least, most = f"should be greater than or equal to {low}", f"should be less than or equal to {high}"
    return [
        _accept(f"{name} at its least", path, low),
        _accept(f"{name} at its most", path, high),
        Row(f"rejects {name} below its least", {path: low - step}, path, "minimum", least, least),
        Row(f"rejects {name} above its most", {path: high + step}, path, "maximum", most, most),
        Row(
            f"rejects {name} as text",
            {path: "many"},
            path,
            "type",
            "should be a valid integer",
            "must be of type integer",
        ),
    ]


def _too_short(path: str, low: int, base: Mapping[str, Any] | None = None, head: str = "") -> Row:
    name = path.removeprefix("spec.")
    ours, theirs = f"should have at least {low} character", f"should be at least {low} chars long"
    value = (head + "a" * low)[: low - 1]
    return Row(f"rejects {name} that is too short", {**(base or {}), path: value}, path, "minLength", ours, theirs)


def _lengths(
    path: str, low: int, high: int, base: Mapping[str, Any] | None = None, head: str = "", *, fits: bool = True
) -> list[Row]:
    name = path.removeprefix("spec.")
    ours = f"should have at most {high} character"
    long = head + "a" * (high - len(head))
    rows = [
        Row(f"rejects {name} that is too long", {**(base or {}), path: f"{long}a"}, path, "maxLength", ours, f"may not be more than {high} bytes")
    ]  # fmt: skip
    if low:
        rows.append(_too_short(path, low, base, head))
    if fits:
        rows.append(_accept(f"{name} of the greatest length", path, long, base))
    return rows


def _required(path: str, base: Mapping[str, Any] | None = None) -> Row:
    name = path.removeprefix("spec.")
    return Row(
        f"rejects a spec without {name}",
        {**(base or {}), path: REMOVED},
        path,
        "required",
        "Field required",
        "Required value",
    )


def _unknown(parent: str, base: Mapping[str, Any] | None = None) -> Row:
    path = f"{parent}.surprise"
    return Row(
        f"rejects an unknown field in {parent}",
        {**(base or {}), path: "x"},
        path,
        "unknown",
        "not permitted",
        "unknown field",
    )


def _enum(path: str, good: tuple[str, ...], base: Mapping[str, Any] | None = None) -> list[Row]:
    name = path.removeprefix("spec.")
    return [
        *(_accept(f"{name} {value}", path, value, base) for value in good),
        Row(
            f"rejects another {name}",
            {**(base or {}), path: "Other"},
            path,
            "enum",
            f"'{good[0]}'",
            f'supported values: "{good[0]}"',
        ),
    ]


def _items(path: str, low: int, high: int, item: Any, base: Mapping[str, Any] | None = None) -> list[Row]:
    name = path.removeprefix("spec.")

    def some(count: int) -> list[Any]:
        return [f"{item}-{number}" if isinstance(item, str) else item for number in range(count)]

    rows = [
        _accept(f"the most {name}", path, some(high), base),
        Row(f"rejects too many {name}", {**(base or {}), path: some(high + 1)}, path, "maxItems", f"should have at most {high} item", f"must have at most {high} items"),
    ]  # fmt: skip
    if low:
        rows.append(
            Row(f"rejects empty {name}", {**(base or {}), path: []}, path, "minItems", f"should have at least {low} item", f"should have at least {low} items")
        )  # fmt: skip
    return rows


_NAME_MESSAGE: Final = "use at most 45 lower case letters, digits and '-', and begin with a letter"
_COMMIT_MESSAGE: Final = "write the 40 hexadecimal digits that the model page shows under 'Files and versions'"
_REPOSITORY_MESSAGE: Final = "must be OWNER/NAME as on the model hub, without a URL or a revision"
_FOLDER_MESSAGE: Final = "must be a relative path without '..', a leading or a trailing '/'; leave it out for the root"
_SOURCE_MESSAGE: Final = "needs exactly one of huggingFace, persistentVolumeClaim; keep one and remove the other"
_SERVED_MESSAGE: Final = (
    "must consist of letters, digits, '.', '_', '-' and '/', and begin and end with a letter or digit"
)
_IMAGE_MESSAGE: Final = "must name a fixed version: NAME:TAG (not latest) or NAME@sha256:DIGEST"
_SIZE_MESSAGE: Final = "must be a whole quantity of at least 1Gi; write it with a unit, for instance 1200Gi"
_BUCKET_MESSAGE: Final = "must be a bucket name of 3 to 63 lower case letters, digits and '-'"
_ENDPOINT_MESSAGE: Final = "must be http://HOST[:PORT] or https://HOST[:PORT] without bucket, path or trailing '/'"
_ADDRESS_MESSAGE: Final = "must have a host name, not an IP address: the bucket name becomes part of the host name"
_DOUBLE_MESSAGE: Final = (
    "endpoint must not contain the bucket: the operator puts it in front of the host name; write only the host"
)
_TIER_MESSAGE: Final = "a tier needs exactly one of memory, objectStore; write one list entry for each tier"
_CHUNK_MESSAGE: Final = "must be a multiple of 16, the engine's block size; 256 suits most models"
_FIRST_MESSAGE: Final = "move memory to the first place and keep a single one"
_VALUE_MESSAGE: Final = "value must be left out with operator Exists; remove value, or write operator Equal"
_KEY_MESSAGE: Final = "a toleration without key must have operator Exists; name the taint's key"

_MEMORY: Final = {"memory": {"size": "16Gi"}}
_S3: Final = load_sample()["spec"]["cache"]["tiers"][1]

NAME_ROWS: Final = [
    _accept("a name of 45 characters", "metadata.name", "a" * 45),
    _rule("a name of 46 characters", "metadata.name", "a" * 46, _NAME_MESSAGE, at="metadata.name"),
    _rule("a name that begins with a digit", "metadata.name", "70b", _NAME_MESSAGE, at="metadata.name"),
    _rule("a name with a dot", "metadata.name", "nemotron.70b", _NAME_MESSAGE, at="metadata.name"),
]

MODEL_ROWS: Final = [
    _required("spec.model"),
    _required("spec.model.name"),
    _required("spec.model.source"),
    _required("spec.model.maxModelLen"),
    *_numbers("spec.model.maxModelLen", 256, 10_000_000),
    *_lengths("spec.model.name", 1, 128),
    _accept("a served name with a slash", "spec.model.name", "owner/Model_1.5"),
    _rule("a served name with a space", "spec.model.name", "my model", _SERVED_MESSAGE),
    _rule("a served name that ends in a slash", "spec.model.name", "owner/", _SERVED_MESSAGE),
    _accept("a claim as source", "spec.model.source", _ON_CLAIM["spec.model.source"]),
    _rule("a source without any field", "spec.model.source", {}, _SOURCE_MESSAGE),
    _rule("two sources", _CLAIM, {"claimName": "w", "revision": "1"}, _SOURCE_MESSAGE, at="spec.model.source"),
    _required(f"{_HUB}.repository"),
    _required(f"{_HUB}.revision"),
    *_lengths(f"{_HUB}.repository", 3, 200, head="a/"),
    *_lengths(f"{_HUB}.revision", 1, 64, fits=False),
    _rule("a repository without an owner", f"{_HUB}.repository", "model", _REPOSITORY_MESSAGE),
    _rule("a repository as URL", f"{_HUB}.repository", "https://hub/owner/model", _REPOSITORY_MESSAGE),
    _accept("a commit", f"{_HUB}.revision", "f" * 40),
    _rule("a branch as revision", f"{_HUB}.revision", "main", _COMMIT_MESSAGE),
    _rule("a commit in upper case", f"{_HUB}.revision", "F" * 40, _COMMIT_MESSAGE),
    _accept("a token", f"{_HUB}.tokenSecretRef", {"name": "hub", "key": "HF_TOKEN"}),
    _required(f"{_HUB}.tokenSecretRef.name", _WITH_TOKEN),
    *_lengths(f"{_HUB}.tokenSecretRef.name", 1, 253, _WITH_TOKEN),
    _rule("a Secret name in upper case", f"{_HUB}.tokenSecretRef.name", "Hub", _OBJECT_NAME_MESSAGE, _WITH_TOKEN),
    *_lengths(f"{_HUB}.tokenSecretRef.key", 1, 253, _WITH_TOKEN),
    _rule("a Secret key with a slash", f"{_HUB}.tokenSecretRef.key", "a/b", _DATA_KEY_MESSAGE, _WITH_TOKEN),
    _required(f"{_CLAIM}.claimName", _ON_CLAIM),
    _required(f"{_CLAIM}.revision", _ON_CLAIM),
    *_lengths(f"{_CLAIM}.claimName", 1, 253, _ON_CLAIM),
    _rule("a claim name with an underscore", f"{_CLAIM}.claimName", "my_claim", _OBJECT_NAME_MESSAGE, _ON_CLAIM),
    *_lengths(f"{_CLAIM}.revision", 1, 63, _ON_CLAIM),
    _rule("a claim revision with a slash", f"{_CLAIM}.revision", "a/b", _STATE_MESSAGE, _ON_CLAIM),
    *_lengths(f"{_CLAIM}.path", 1, 512, _ON_CLAIM),
    _accept("a folder within the claim", f"{_CLAIM}.path", "models/nemotron..v2", _ON_CLAIM),
    _rule("a path out of the volume", f"{_CLAIM}.path", "models/../secret", _FOLDER_MESSAGE, _ON_CLAIM),
    _rule("an absolute path", f"{_CLAIM}.path", "/models", _FOLDER_MESSAGE, _ON_CLAIM),
    _rule("a path with a trailing slash", f"{_CLAIM}.path", "models/", _FOLDER_MESSAGE, _ON_CLAIM),
]

ENGINE_ROWS: Final = [
    *_numbers("spec.replicas", 0, 1000),
    _accept("a spec without replicas", "spec.replicas", REMOVED),
    _accept("a spec without engine", "spec.engine", REMOVED),
    *_numbers("spec.engine.tensorParallelSize", 1, 16),
    *_numbers("spec.engine.gpuMemoryUtilizationPercent", 10, 95),
    *_enum("spec.engine.kvCacheDtype", ("Auto", "FP8E4M3", "FP8E5M2")),
    *_lengths("spec.engine.image", 1, 512, head="image:", fits=False),
    _accept("an image with registry port and tag", "spec.engine.image", "registry.example:5000/engine:v1"),
    _accept("an image by digest", "spec.engine.image", f"registry.example/engine@sha256:{'0' * 64}"),
    _rule("an image without a tag", "spec.engine.image", "registry.example/engine", _IMAGE_MESSAGE),
    _rule("the tag latest", "spec.engine.image", "registry.example/engine:latest", _IMAGE_MESSAGE),
    _rule("a registry port without a tag", "spec.engine.image", "registry.example:5000/engine", _IMAGE_MESSAGE),
]

CACHE_ROWS: Final = [
    _required("spec.cache"),
    _required("spec.cache.tiers"),
    *_numbers("spec.cache.chunkTokens", 16, 4096, step=16),
    _rule("a chunk that is no multiple of the block", "spec.cache.chunkTokens", 100, _CHUNK_MESSAGE),
    Row(
        "rejects empty tiers",
        {"spec.cache.tiers": []},
        "spec.cache.tiers",
        "minItems",
        "at least 1 item",
        "should have at least 1 items",
    ),
    Row(
        "rejects three tiers",
        {"spec.cache.tiers": [_MEMORY, _S3, _S3]},
        "spec.cache.tiers",
        "maxItems",
        "at most 2 items",
        "must have at most 2 items",
    ),
    _accept("memory alone", "spec.cache.tiers", [_MEMORY]),
    _rule("an object store alone", "spec.cache.tiers", [_S3], _FIRST_MESSAGE),
    _rule("memory after the object store", "spec.cache.tiers", [_S3, _MEMORY], _FIRST_MESSAGE),
    _rule("two memory tiers", "spec.cache.tiers", [_MEMORY, _MEMORY], _FIRST_MESSAGE),
    _rule("a tier without any field", "spec.cache.tiers.1", {}, _TIER_MESSAGE),
    _rule(
        "a tier with two fields",
        "spec.cache.tiers.0.objectStore",
        _S3["objectStore"],
        _TIER_MESSAGE,
        at="spec.cache.tiers.0",
    ),
    _required("spec.cache.tiers.0.memory.size"),
    _accept("the least memory", "spec.cache.tiers.0.memory.size", "1Gi"),
    _accept("memory in decimal units", "spec.cache.tiers.0.memory.size", "2G"),
    _rule("memory below 1Gi", "spec.cache.tiers.0.memory.size", "1023Mi", _SIZE_MESSAGE),
    _rule("memory with a fraction", "spec.cache.tiers.0.memory.size", "1.5Gi", _SIZE_MESSAGE),
    _rule("memory in GB", "spec.cache.tiers.0.memory.size", "16GB", _SIZE_MESSAGE),
    *_lengths("spec.cache.tiers.0.memory.size", 1, 20, fits=False),
    _required(f"{_STORE}.endpoint"),
    _required(f"{_STORE}.region"),
    _required(f"{_STORE}.bucket"),
    _required(f"{_STORE}.credentials"),
    _required(f"{_STORE}.bucket.name"),
    _required(f"{_STORE}.credentials.secretRef"),
    _required(f"{_STORE}.credentials.secretRef.name"),
    *_lengths(f"{_STORE}.credentials.secretRef.name", 1, 253),
    _rule("a Secret name with an underscore", f"{_STORE}.credentials.secretRef.name", "a_b", _OBJECT_NAME_MESSAGE),
    *_lengths(f"{_STORE}.endpoint", 1, 253, head="http://"),
    _accept("an endpoint with TLS and port", f"{_STORE}.endpoint", "https://s3.example:9000"),
    _rule("an endpoint without scheme", f"{_STORE}.endpoint", "s3.example", _ENDPOINT_MESSAGE),
    _rule("an endpoint with a path", f"{_STORE}.endpoint", "http://s3.example/bucket", _ENDPOINT_MESSAGE),
    _rule("an endpoint with a trailing slash", f"{_STORE}.endpoint", "http://s3.example/", _ENDPOINT_MESSAGE),
    _rule("an IP address as endpoint", f"{_STORE}.endpoint", "http://10.0.0.1:9000", _ADDRESS_MESSAGE),
    _rule(
        "an endpoint with the bucket",
        f"{_STORE}.endpoint",
        "http://kv-nemotron.s3.internal",
        _DOUBLE_MESSAGE,
        at=_STORE,
    ),
    _accept("an endpoint that begins like the bucket", f"{_STORE}.endpoint", "http://kv-nemotron-store.internal"),
    *_lengths(f"{_STORE}.region", 1, 63),
    _rule("a region in upper case", f"{_STORE}.region", "US-East-1", _REGION_MESSAGE),
    *_lengths(f"{_STORE}.bucket.name", 1, 63),
    _rule("a bucket of two letters", f"{_STORE}.bucket.name", "kv", _BUCKET_MESSAGE),
    _rule("a bucket with a dot", f"{_STORE}.bucket.name", "kv.cache", _BUCKET_MESSAGE),
]

_TOLERATED: Final = {"key": "k", "operator": "Exists"}
_BARE: Final[Mapping[str, Any]] = {_TOLERATION: {"key": "k"}}
NODES_ROWS: Final = [
    *_enum(f"{_TOLERATION}.operator", ("Equal", "Exists"), _BARE),
    *_enum(f"{_TOLERATION}.effect", ("NoSchedule", "PreferNoSchedule", "NoExecute"), _BARE),
    *_lengths(f"{_TOLERATION}.key", 1, 317, fits=False),
    *_lengths(f"{_TOLERATION}.value", 0, 63, _BARE),
    *_items("spec.nodes.tolerations", 0, 16, _TOLERATED),
    _accept("a toleration of every taint", _TOLERATION, {"operator": "Exists"}),
    _rule("a value with Exists", _TOLERATION, {"key": "k", "operator": "Exists", "value": "v"}, _VALUE_MESSAGE),
    _rule("a toleration without key", _TOLERATION, {"operator": "Equal", "value": "v"}, _KEY_MESSAGE),
    _required(_PRODUCTS),
    *_items(_PRODUCTS, 1, 16, "GPU"),
    *_lengths(f"{_PRODUCTS}.0", 1, 63),
    _rule("a product with a space", f"{_PRODUCTS}.0", "NVIDIA H200", _PRODUCT_MESSAGE),
    _rule("a label key with a blank", "spec.nodes.selector", {"bad key": "x"}, _LABEL_KEYS_MESSAGE),
    _rule("a label value with a blank", "spec.nodes.selector", {"pool": "a b"}, "must have values as labels have them"),
    _accept("a label key with a domain and an empty value", "spec.nodes.selector", {"example.org/pool": ""}),
    _rule("a taint key with a blank", f"{_TOLERATION}.key", "foo bar", _LABEL_KEY_MESSAGE),
    _rule("a taint key whose name is too long", f"{_TOLERATION}.key", "a" * 64, _LABEL_KEY_MESSAGE),
    _accept("the longest taint key", f"{_TOLERATION}.key", f"{'a' * 253}/{'b' * 63}"),
    _rule("a taint value with a blank", f"{_TOLERATION}.value", "a b", _LABEL_VALUE_MESSAGE, {f"{_TOLERATION}.operator": "Equal"}),
    _accept("sixteen labels", "spec.nodes.selector", {f"label-{number}": "x" for number in range(16)}),
    Row(
        "rejects seventeen labels",
        {"spec.nodes.selector": {f"label-{number}": "x" for number in range(17)}},
        "spec.nodes.selector",
        "maxProperties",
        "should have at most 16 items",
        "must have at most 16 items",
    ),
    _accept("a label value of the greatest length", "spec.nodes.selector", {"pool": "a" * 63}),
    Row(
        "rejects a label value that is too long",
        {"spec.nodes.selector": {"pool": "a" * 64}},
        "spec.nodes.selector.pool",
        "maxLength",
        "should have at most 63 characters",
        "may not be more than 63 bytes",
    ),
    *_numbers("spec.rollout.maxUnavailable", 1, 100),
    *_numbers("spec.rollout.drainSeconds", 1, 3600),
]  # fmt: skip

UNKNOWN_ROWS: Final = [
    *(
        _unknown(parent)
        for parent in (
            *("spec", "spec.model", "spec.model.source", _HUB, "spec.engine", "spec.cache", "spec.cache.tiers.0"),
            *("spec.cache.tiers.0.memory", _STORE, f"{_STORE}.bucket", f"{_STORE}.credentials"),
            *(f"{_STORE}.credentials.secretRef", "spec.nodes", _TOLERATION, "spec.nodes.requirements"),
            *("spec.nodes.requirements.gpu", "spec.rollout"),
        )
    ),
    _unknown(_CLAIM, _ON_CLAIM),
    _unknown(f"{_HUB}.tokenSecretRef", _WITH_TOKEN),
]

ROWS: Final = [
    Row("accepts the sample", {}, ""),
    *NAME_ROWS,
    *MODEL_ROWS,
    *ENGINE_ROWS,
    *CACHE_ROWS,
    *NODES_ROWS,
    *UNKNOWN_ROWS,
]
