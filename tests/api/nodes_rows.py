"""Examples about placement: labels, taints, and what nodes must have."""

from collections.abc import Mapping
from typing import Any, Final

from tests.api.rows import Row, accept, duplicate, enum, items, lengths, numbers, required, rule, sizes, unknown
from tests.support.builders import REMOVED

_TOLERATION: Final = "spec.nodes.tolerations.0"
_GPU: Final = "spec.nodes.requirements.gpu"
_PRODUCTS: Final = f"{_GPU}.products"
_SELECTOR: Final = "spec.nodes.selector"
_TOLERATED: Final = {"key": "k", "operator": "Exists"}
_BARE: Final[Mapping[str, Any]] = {_TOLERATION: {"key": "k"}}

_NEEDS: Final = "spec.nodes.requirements"
_RDMA: Final = f"{_NEEDS}.rdma"
_DPU: Final = f"{_NEEDS}.dpu"
ON_FABRIC: Final[Mapping[str, Any]] = {"spec.transport": {"fabricRef": {"name": "storage"}}}
_ALIGNED: Final[Mapping[str, Any]] = {f"{_NEEDS}.numa": {"alignment": "None"}}

_PRODUCT_MESSAGE: Final = "must be a GPU family such as H200"
_COMPUTE_MESSAGE: Final = "must be a CUDA compute capability, MAJOR.MINOR"
_KERNEL_MESSAGE: Final = "must be a Linux kernel version, MAJOR.MINOR"
_FIRMWARE_MESSAGE: Final = "must be a firmware version of numbers and dots"
_NIC_MESSAGE: Final = "must be ConnectX-6, ConnectX-6 Dx, ConnectX-7"
_DPU_MESSAGE: Final = "must be BlueField-2, BlueField-3 or a PCI device id"
_NEEDLESS_MESSAGE: Final = "what nodes.requirements.rdma and dpu ask for needs transport.fabricRef or transport.rdma"
_LINK_MESSAGE: Final = "nodes.requirements.rdma.linkType must be the one of transport.rdma.linkType"
_LABEL_KEY_MESSAGE: Final = "must be a key as labels and taints have it"
_LABEL_VALUE_MESSAGE: Final = "must be a value as labels and taints have it"
LABEL_KEYS_MESSAGE: Final = "must have keys as labels have them"
LABEL_VALUES_MESSAGE: Final = "must have values as labels have them"
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
    rule("a label key with a blank", _SELECTOR, {"bad key": "x"}, LABEL_KEYS_MESSAGE),
    rule("a label value with a blank", _SELECTOR, {"pool": "a b"}, LABEL_VALUES_MESSAGE),
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
    *sizes(f"{_NEEDS}.memory", "memory of a node"),
    *sizes(f"{_NEEDS}.hugePages", "huge pages of a node"),
    *enum(f"{_GPU}.partitioning", ("Refuse", "Accept")),
    *lengths(f"{_GPU}.computeCapabilityAtLeast", 1, 16, fits=False),
    accept("a compute capability", f"{_GPU}.computeCapabilityAtLeast", "12.0"),
    rule("a compute capability without its dot", f"{_GPU}.computeCapabilityAtLeast", "90", _COMPUTE_MESSAGE),
    *lengths(f"{_NEEDS}.kernelAtLeast", 1, 64, fits=False),
    accept("a kernel version", f"{_NEEDS}.kernelAtLeast", "5.14"),
    rule("a kernel version with a patch", f"{_NEEDS}.kernelAtLeast", "5.14.0", _KERNEL_MESSAGE),
    *enum(f"{_NEEDS}.numa.alignment", ("None", "SingleZone")),
    required(f"{_NEEDS}.numa.alignment", _ALIGNED),
]

_ADAPTERS: Final = [
    *enum(f"{_RDMA}.linkType", ("Ethernet", "InfiniBand"), ON_FABRIC),
    *numbers(f"{_RDMA}.minSpeedGbps", 1, 3200, base=ON_FABRIC),
    *items(f"{_RDMA}.nicModels", 1, 16, lambda number: f"{number:04x}", ON_FABRIC),
    duplicate(f"{_RDMA}.nicModels", "ConnectX-7", "ConnectX-7", base=ON_FABRIC),
    *lengths(f"{_RDMA}.nicModels.0", 1, 32, {**ON_FABRIC, f"{_RDMA}.nicModels": ["1021"]}, fits=False),
    accept("adapters by model and id", f"{_RDMA}.nicModels", ["ConnectX-6 Dx", "BlueField-3", "a2dc"], ON_FABRIC),
    rule("an adapter in another spelling", f"{_RDMA}.nicModels.0", "connectx-7", _NIC_MESSAGE, {**ON_FABRIC, f"{_RDMA}.nicModels": ["1021"]}),
    *lengths(f"{_RDMA}.firmwareAtLeast", 1, 32, ON_FABRIC, fits=False),
    accept("a firmware version", f"{_RDMA}.firmwareAtLeast", "28.39.1002", ON_FABRIC),
    rule("a firmware version with letters", f"{_RDMA}.firmwareAtLeast", "28.39-rc1", _FIRMWARE_MESSAGE, ON_FABRIC),
    *enum(f"{_RDMA}.gpuDirect", ("Ignore", "Require"), ON_FABRIC),
    *items(f"{_DPU}.models", 1, 16, lambda number: f"{number:04x}", ON_FABRIC),
    duplicate(f"{_DPU}.models", "BlueField-3", "BlueField-3", base=ON_FABRIC),
    *lengths(f"{_DPU}.models.0", 1, 32, {**ON_FABRIC, f"{_DPU}.models": ["a2dc"]}, fits=False),
    rule("an adapter as DPU", f"{_DPU}.models.0", "ConnectX-7", _DPU_MESSAGE, {**ON_FABRIC, f"{_DPU}.models": ["a2dc"]}),
    *enum(f"{_DPU}.mode", ("DPU", "NIC"), ON_FABRIC),
    accept("any DPU", _DPU, {}, ON_FABRIC),
    accept("any adapter where transport names devices", _RDMA, {}, {"spec.transport": {"rdma": {"resourceName": "a/b"}}}),
    accept("adapters where RDMA is switched off", _RDMA, {}, {"spec.transport": {"policy": "TCP", "fabricRef": {"name": "storage"}}}),
    rule("adapters for RDMA that no pod gets", _RDMA, {}, _NEEDLESS_MESSAGE, at=_NEEDS),
    rule("a DPU that no pod gets", _DPU, {}, _NEEDLESS_MESSAGE, {"spec.transport": {}}, _NEEDS),
    accept("one link layer in both places", f"{_RDMA}.linkType", "InfiniBand", {"spec.transport": {"rdma": {"resourceName": "a/b", "linkType": "InfiniBand"}}}),
    rule("two link layers", f"{_RDMA}.linkType", "Ethernet", _LINK_MESSAGE, {"spec.transport": {"rdma": {"resourceName": "a/b", "linkType": "InfiniBand"}}}),
]  # fmt: skip

NODES_ROWS: Final = [
    *_TAINTS,
    *_LABELS,
    *_REQUIREMENTS,
    *_ADAPTERS,
    *(unknown(parent, ON_FABRIC) for parent in (_RDMA, _DPU)),
    unknown(f"{_NEEDS}.numa", _ALIGNED),
    *(unknown(parent) for parent in ("spec.nodes", _TOLERATION, "spec.nodes.requirements", _GPU)),
]
