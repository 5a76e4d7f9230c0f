"""Examples about placement: labels, taints, GPUs and memory of nodes."""

from collections.abc import Mapping
from typing import Any, Final

from tests.api.rows import Row, accept, duplicate, enum, items, lengths, numbers, rule, sizes, unknown
from tests.support.builders import REMOVED

_TOLERATION: Final = "spec.nodes.tolerations.0"
_GPU: Final = "spec.nodes.requirements.gpu"
_PRODUCTS: Final = f"{_GPU}.products"
_SELECTOR: Final = "spec.nodes.selector"
_TOLERATED: Final = {"key": "k", "operator": "Exists"}
_BARE: Final[Mapping[str, Any]] = {_TOLERATION: {"key": "k"}}

_PRODUCT_MESSAGE: Final = "must be a GPU family such as H200"
_LABEL_KEY_MESSAGE: Final = "must be a key as labels and taints have it"
_LABEL_VALUE_MESSAGE: Final = "must be a value as labels and taints have it"
_LABEL_KEYS_MESSAGE: Final = "must have keys as labels have them"
_LABEL_VALUES_MESSAGE: Final = "must have values as labels have them"
_VALUE_MESSAGE: Final = "value must be left out with operator Exists; remove value, or write operator Equal"
_KEY_MESSAGE: Final = "a toleration without key must have operator Exists; name the taint's key"

_TAINTS: Final = [
    *enum(f"{_TOLERATION}.operator", ("Equal", "Exists"), _BARE),
    *enum(f"{_TOLERATION}.effect", ("NoSchedule", "PreferNoSchedule", "NoExecute"), _BARE),
    *lengths(f"{_TOLERATION}.key", 1, 317, fits=False),
    *lengths(f"{_TOLERATION}.value", 0, 63, _BARE),
    *items("spec.nodes.tolerations", 0, 16, _TOLERATED),
    accept("a toleration of every taint", _TOLERATION, {"operator": "Exists"}),
    rule("a value with Exists", _TOLERATION, {"key": "k", "operator": "Exists", "value": "v"}, _VALUE_MESSAGE),
    rule("a toleration without key", _TOLERATION, {"operator": "Equal", "value": "v"}, _KEY_MESSAGE),
    rule("a toleration of an effect alone", _TOLERATION, {"effect": "NoSchedule"}, _KEY_MESSAGE),
    rule("a taint key with a blank", f"{_TOLERATION}.key", "foo bar", _LABEL_KEY_MESSAGE),
    rule("a taint key whose name is too long", f"{_TOLERATION}.key", "a" * 64, _LABEL_KEY_MESSAGE),
    accept("the longest taint key", f"{_TOLERATION}.key", f"{'a' * 253}/{'b' * 63}"),
    rule("a taint value with a blank", f"{_TOLERATION}.value", "a b", _LABEL_VALUE_MESSAGE, _BARE),
]

_LABELS: Final = [
    rule("a label key with a blank", _SELECTOR, {"bad key": "x"}, _LABEL_KEYS_MESSAGE),
    rule("a label value with a blank", _SELECTOR, {"pool": "a b"}, _LABEL_VALUES_MESSAGE),
    accept("a label key with a domain and an empty value", _SELECTOR, {"example.org/pool": ""}),
    accept("sixteen labels", _SELECTOR, {f"label-{number}": "x" for number in range(16)}),
    Row(
        "rejects seventeen labels",
        {_SELECTOR: {f"label-{number}": "x" for number in range(17)}},
        _SELECTOR,
        "maxProperties",
        "must have at most 16 keys",
        "must have at most 16 items",
    ),
    accept("a label value of the greatest length", _SELECTOR, {"pool": "a" * 63}),
    Row(
        "rejects a label value that is too long",
        {_SELECTOR: {"pool": "a" * 64}},
        f"{_SELECTOR}.pool",
        "maxLength",
        "must have at most 63 characters",
        "may not be more than 63 bytes",
    ),
]

_REQUIREMENTS: Final = [
    accept("GPUs of any product", _PRODUCTS, REMOVED),
    *items(_PRODUCTS, 1, 16, "GPU"),
    duplicate(_PRODUCTS, "H200", "H200"),
    *lengths(f"{_PRODUCTS}.0", 1, 63),
    rule("a product with a space", f"{_PRODUCTS}.0", "NVIDIA H200", _PRODUCT_MESSAGE),
    *sizes(f"{_GPU}.minMemoryPerGPU", "memory of a GPU"),
    *numbers(f"{_GPU}.driverMajorAtLeast", 400, 9999),
    *sizes("spec.nodes.requirements.memory", "memory of a node"),
]

NODES_ROWS: Final = [
    *_TAINTS,
    *_LABELS,
    *_REQUIREMENTS,
    *(unknown(parent) for parent in ("spec.nodes", _TOLERATION, "spec.nodes.requirements", _GPU)),
]
