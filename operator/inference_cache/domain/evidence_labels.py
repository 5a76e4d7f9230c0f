"""Node labels as evidence of network adapters: cheap, coarse, and without saying which port is meant.

A label that is missing says nothing here; whether that means that the node has not got the thing is for the checks,
which know whether the project that would set the label has run on the node.
"""

from collections.abc import Mapping
from functools import lru_cache
from typing import Final

from inference_cache.api.networks import LinkType
from inference_cache.api.v1alpha1 import GROUP

from .nic_models import MELLANOX
from .node_evidence import NICSighting, Source

# Set by the NodeFeatureRule in manifests/optional.
NIC_PREFIX: Final = f"{GROUP}/nic."
_FEATURE: Final = "feature.node.kubernetes.io/"
_MODELS: Final = {
    "connectx6": ("ConnectX-6", "101b"),
    "connectx6dx": ("ConnectX-6 Dx", "101d"),
    "connectx7": ("ConnectX-7", "1021"),
    "connectx8": ("ConnectX-8", "1023"),
    "connectx9": ("ConnectX-9", "1025"),
    "bluefield2": ("BlueField-2", "a2d6"),
    "bluefield3": ("BlueField-3", "a2dc"),
}
_SPEEDS: Final = (800, 400, 200, 100)
# Node Feature Discovery and the network operator: the node has a PCI device of the vendor.
# dpu-enabled goes by PCI id as well, so it tells a BlueField but neither which one nor its mode.
_VENDOR_LABELS: Final = (
    f"{_FEATURE}rdma.capable",
    f"{_FEATURE}custom-rdma.capable",
    f"{_FEATURE}pci-15b3.present",
    f"{_FEATURE}dpu-enabled",
)


def see_labels(labels: Mapping[str, str]) -> tuple[NICSighting, ...]:
    """Return what a node's labels say of its network adapters: one sighting per model, without PCI address."""
    models = tuple(word for word in _MODELS if _is_true(labels, f"{NIC_PREFIX}{word}"))
    if not models:
        return _see_vendor() if any(_is_true(labels, label) for label in _VENDOR_LABELS) else ()
    # Which adapter is fast, or works as InfiniBand, can be told only where there is one model.
    sole = len(models) == 1
    return _see_models(models, _read_link_type(labels) if sole else None, _read_speed(labels) if sole else None)


# Thousands of nodes have the same labels, so what they say is kept once.
@lru_cache(maxsize=1)
def _see_vendor() -> tuple[NICSighting, ...]:
    return (NICSighting(Source.LABEL, vendor=MELLANOX),)


@lru_cache(maxsize=128)
def _see_models(models: tuple[str, ...], link_type: LinkType | None, speed_gbps: int | None) -> tuple[NICSighting, ...]:
    found = (_MODELS[word] for word in models)
    return tuple(
        NICSighting(
            Source.LABEL,
            vendor=MELLANOX,
            device_id=device_id,
            model=model,
            link_type=link_type,
            speed_gbps=speed_gbps,
        )
        for model, device_id in found
    )


def _read_link_type(labels: Mapping[str, str]) -> LinkType | None:
    """Return the personality of the firmware, from the PCI class; None where ports have both."""
    ethernet, infiniband = (_is_true(labels, f"{NIC_PREFIX}{word}") for word in ("ethernet", "infiniband"))
    if ethernet == infiniband:
        return None
    return LinkType.ETHERNET if ethernet else LinkType.INFINIBAND


def _read_speed(labels: Mapping[str, str]) -> int | None:
    """Return the fastest of the speeds that the rule has labels for: the interface reaches it, and not the next one."""
    return next((speed for speed in _SPEEDS if _is_true(labels, f"{NIC_PREFIX}speed{speed}g")), None)


def _is_true(labels: Mapping[str, str], name: str) -> bool:
    return labels.get(name) == "true"
