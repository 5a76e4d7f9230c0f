"""How one pod reaches the object store, as its labels, Multus and its preflight tell; nothing here is taken on trust.

Annotations are written by others, so whatever is not of the expected form counts as not told.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from . import names
from .attachment import Variant
from .preflight_report import PreflightReport, clean_text, parse_preflight
from .reasons import Reason

_MAX_INTERFACES: Final = 8
_MAX_TEXT: Final = 128
_MAX_ANNOTATION: Final = 65_536
_RESTARTED: Final = "kubectl.kubernetes.io/restartedAt"


@dataclass(frozen=True, slots=True)
class Make:
    """What a pod was made from, as far as it says whether it is up to date.

    Attributes:
        revision: Revision of the StatefulSet.
        variant: RDMA or TCP; None for pods that know no difference.
        workload_hash: Hash of the specification without the transport; empty for pods that know no difference.
        restarted: When kubectl rollout restart was asked for last.
        required: Whether its engine starts with proof of RDMA only.
    """

    revision: str
    variant: Variant | None = None
    workload_hash: str = ""
    restarted: str = ""
    required: bool = False

    def is_current(self, template: "Make") -> bool:
        """Whether a pod made like this is up to date with the template.

        Pods for RDMA and pods for TCP of one specification are equally up to date, so that nodes that lose and regain
        their devices restart nobody.
        """
        if self.revision == template.revision:
            return True
        return self.variant is not template.variant and self.is_of(template)

    def is_of(self, template: "Make") -> bool:
        """Whether a pod made like this is of the template's specification, transport aside; only pods that may use RDMA tell."""
        known = self.variant is not None and template.variant is not None and bool(self.workload_hash)
        return known and (self.workload_hash, self.restarted) == (template.workload_hash, template.restarted)


@dataclass(frozen=True, slots=True)
class PodTransport:
    """What is known of a pod's way to the object store.

    Attributes:
        devices: Extended resources that the pod holds, GPUs among them, with their numbers.
        interfaces: Secondary interfaces by Multus' account, each as NAME ADDRESS DEVICE.
        preflight: Verdict of the pod's own preflight; None before it ended.
        fault: What is wrong with its networks or devices.
    """

    devices: tuple[tuple[str, int], ...] = ()
    interfaces: tuple[str, ...] = ()
    preflight: PreflightReport | None = None
    fault: tuple[Reason, str] | None = None


UNMADE: Final = Make("")
UNTOLD: Final = PodTransport()


def read_make(metadata: Mapping[str, Any]) -> Make:
    """Return what an object's labels and annotations tell of its making; also for a StatefulSet's template."""
    labels, annotations = metadata.get("labels") or {}, metadata.get("annotations") or {}
    variant = labels.get(names.LABEL_TRANSPORT)
    return Make(
        labels.get(names.LABEL_REVISION, ""),
        Variant(variant) if variant in {Variant.RDMA, Variant.TCP} else None,
        labels.get(names.LABEL_WORKLOAD_HASH, ""),
        annotations.get(_RESTARTED, ""),
        annotations.get(names.ANNOTATION_TRANSPORT_REQUIRED) == "true",
    )


def project_pod_transport(pod: Mapping[str, Any]) -> PodTransport:
    """Return what a Pod object tells of its transport."""
    annotations = pod["metadata"].get("annotations") or {}
    spec = pod.get("spec") or {}
    wanted = _read_wanted_interfaces(annotations.get(names.ANNOTATION_NETWORKS, ""))
    found = _read_attached(annotations.get(names.ANNOTATION_NETWORK_STATUS, ""))
    devices = count_devices(spec)
    holds_devices = bool(devices.keys() - {names.GPU_RESOURCE} or spec.get("resourceClaims"))
    return PodTransport(
        devices=tuple(sorted(devices.items())),
        interfaces=tuple(found.values())[:_MAX_INTERFACES],
        preflight=_read_preflight(pod.get("status") or {}),
        fault=_find_fault(pod, wanted, frozenset(found), holds_devices=holds_devices),
    )


def count_devices(spec: Mapping[str, Any]) -> dict[str, int]:
    """Return the extended resources that a pod's spec requests, counted as the scheduler counts them.

    Sidecars add up with the containers; a plain init container needs its own beside the sidecars before it.
    """
    total: dict[str, int] = {}
    peak: dict[str, int] = {}
    for container in spec.get("initContainers") or []:
        own = _read_requests(container)
        if container.get("restartPolicy") == "Always":
            _add(total, own)
        else:
            _raise_to(peak, {name: total.get(name, 0) + count for name, count in own.items()})
    for container in spec.get("containers") or []:
        _add(total, _read_requests(container))
    _raise_to(total, peak)
    return total


def _read_requests(container: Mapping[str, Any]) -> dict[str, int]:
    resources = container.get("resources") or {}
    asked = {**(resources.get("limits") or {}), **(resources.get("requests") or {})}
    return {
        name: int(count)
        for name, count in asked.items()
        if "/" in name and str(count).isascii() and str(count).isdecimal() and int(count) > 0
    }


def _add(total: dict[str, int], more: Mapping[str, int]) -> None:
    for name, count in more.items():
        total[name] = total.get(name, 0) + count


def _raise_to(total: dict[str, int], least: Mapping[str, int]) -> None:
    for name, count in least.items():
        total[name] = max(total.get(name, 0), count)


def _find_fault(
    pod: Mapping[str, Any], wanted: frozenset[str], attached: frozenset[str], *, holds_devices: bool
) -> tuple[Reason, str] | None:
    if not wanted:
        return None
    name = pod["metadata"]["name"]
    if not holds_devices:
        return Reason.ResourceInjectorMissed, f"Pod {name} has networks, and none of its containers has a device."
    missing = sorted(wanted - attached)
    if missing and (pod.get("status") or {}).get("phase") == "Running":
        return Reason.NetworkBypassed, f"Pod {name} runs without {clean_text(', '.join(missing))}."
    return None


def _read_wanted_interfaces(text: str) -> frozenset[str]:
    """Return the interfaces that the pod's annotation asks for; the operator always writes them in JSON form."""
    return frozenset(
        item["interface"] for item in _read_list(text) if isinstance(item.get("interface"), str) and item["interface"]
    )


def _read_attached(text: str) -> dict[str, str]:
    """Return secondary interfaces by name, each as NAME ADDRESS DEVICE."""
    found: dict[str, str] = {}
    for item in _read_list(text):
        interface = item.get("interface")
        if item.get("default") is True or not isinstance(interface, str) or not interface:
            continue
        addresses = item.get("ips")
        address = str(addresses[0]) if isinstance(addresses, list) and addresses else ""
        line = " ".join(part for part in (interface, address, _read_device(item)) if part)
        found[interface] = clean_text(line)[:_MAX_TEXT]
    return found


def _read_device(item: Mapping[str, Any]) -> str:
    info = item.get("device-info")
    pci = info.get("pci") if isinstance(info, dict) else None
    if not isinstance(pci, dict):
        return ""
    return str(pci.get("rdma-device") or pci.get("pci-address") or "")


def _read_list(text: str) -> list[dict[str, Any]]:
    if not text or len(text) > _MAX_ANNOTATION:
        return []
    try:
        found = json.loads(text)
    except (ValueError, RecursionError):
        return []
    return [item for item in found if isinstance(item, dict)] if isinstance(found, list) else []


def _read_preflight(status: Mapping[str, Any]) -> PreflightReport | None:
    """Return the verdict of the preflight's latest run that has ended."""
    for container in status.get("initContainerStatuses") or []:
        if container.get("name") != names.PREFLIGHT_CONTAINER:
            continue
        for state in ("state", "lastState"):
            ended = (container.get(state) or {}).get("terminated") or {}
            if ended.get("message"):
                return parse_preflight(ended["message"])
    return None
