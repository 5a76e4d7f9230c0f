"""The device plugin of fabrics that share devices or give away whole ones: one entry for each fabric.

Where NicClusterPolicy is served, the entries of all fabrics are one JSON text in a section of its only object, which
belongs to many: nothing of it is forced, and nothing but the fields that the operator applied is ever taken away. Elsewhere
each fabric that shares devices has a DaemonSet of its own.
"""

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Final

from inference_cache.api.fabric import Devices, FabricType, InferenceCacheFabricSpec
from inference_cache.domain import kinds, names
from inference_cache.domain.live import Live
from inference_cache.domain.manifest import Body, Manifest, hash_content

from .builders import MELLANOX, build_fabric_manifest, dump_json
from .facts import read_devices
from .form import PLUGIN_NAMESPACE, SECTIONS, split_resource

POLICY_NAME: Final = "nic-cluster-policy"
RDMA_SECTION: Final = SECTIONS[FabricType.SHARED_MACVLAN]
SRIOV_SECTION: Final = SECTIONS[FabricType.HOST_DEVICE]
_LISTS: Final = {RDMA_SECTION: "configList", SRIOV_SECTION: "resourceList"}
_DEFAULT_PREFIXES: Final = {RDMA_SECTION: "rdma", SRIOV_SECTION: "nvidia.com"}
# Images that the NVIDIA network operator documents for its release 26.4.1.
_REPOSITORY: Final = "nvcr.io/nvidia/mellanox"
_VERSION: Final = "network-operator-v26.4.1"
_IMAGES: Final = {RDMA_SECTION: "k8s-rdma-shared-dev-plugin", SRIOV_SECTION: "sriov-network-device-plugin"}
DEFAULT_SLOTS: Final = 63
_ANNOTATION_CONFIG: Final = names.ANNOTATION_TEMPLATE_HASH
ANNOTATION_RESOURCE: Final = names.LABEL_FABRIC + "-resource"
"""On objects of the device plugin: the extended resource that they make."""

Entries = Mapping[str, Sequence[Body]]
"""Entries by section of NicClusterPolicy."""


def build_entry(spec: InferenceCacheFabricSpec) -> Body:
    """Return the entry that makes nodes advertise the fabric's resource."""
    devices = read_devices(spec)
    section = SECTIONS[spec.type]
    prefix, name = split_resource(spec.resource_name)
    entry: Body = {"resourceName": name}
    # The plugins know their default prefix, and the operator's webhook takes no other one that is no domain.
    if section == SRIOV_SECTION or prefix != _DEFAULT_PREFIXES[section]:
        entry["resourcePrefix"] = prefix
    selectors: Body = {"vendors": [devices.vendor or MELLANOX]}
    if section == SRIOV_SECTION:
        selectors |= _named(devices, "devices", "pfNames") | {"isRdma": True}
    else:
        selectors |= _named(devices, "deviceIDs", "ifNames")
        entry["rdmaHcaMax"] = devices.slots or DEFAULT_SLOTS
    return {**entry, "selectors": selectors}


def find_resource(section: str, entry: Body) -> str:
    """Return the extended resource that an entry makes."""
    return f"{entry.get('resourcePrefix') or _DEFAULT_PREFIXES[section]}/{entry.get('resourceName', '')}"


def read_entries(policy: Live | None) -> dict[str, list[Body]]:
    """Return the entries that the operator has in NicClusterPolicy; those of others are none of its business."""
    found: dict[str, list[Body]] = {section: [] for section in _LISTS}
    if policy is None or policy.annotation(names.ANNOTATION_APPLIED_HASH) is None:
        return found
    for section in _LISTS:
        if f"spec.{section}.config" not in policy.foreign:
            found[section] = parse_entries(section, policy.body)
    return found


def parse_entries(section: str, policy: Body) -> list[Body]:
    """Return the entries of a section, whoever wrote them; none where the text is not understood."""
    text = ((policy.get("spec") or {}).get(section) or {}).get("config")
    try:
        config = json.loads(text) if isinstance(text, str) else {}
    except (ValueError, RecursionError):
        return []
    items = config.get(_LISTS[section]) if isinstance(config, dict) else None
    return [item for item in items if isinstance(item, dict)] if isinstance(items, list) else []


def merge_entries(known: Entries, section: str, own: Body | None, *, gone: Iterable[str] = ()) -> dict[str, list[Body]]:
    """Return the entries with one fabric's own in the place of the one that makes the same resource.

    Args:
        known: What there is.
        section: Section of the own entry.
        own: The fabric's entry; None to add none.
        gone: Resources whose entries in the section are taken away.
    """
    resource = find_resource(section, own) if own else ""
    left = [item for item in known.get(section, ()) if find_resource(section, item) not in {resource, *gone}]
    mine = sorted([*left, *([own] if own else [])], key=lambda item: find_resource(section, item))
    return {**{name: list(known.get(name, ())) for name in _LISTS}, section: mine}


def build_shared_policy(entries: Entries, policy: Live | None, images: Mapping[str, str]) -> Manifest | None:
    """Return what the operator applies to NicClusterPolicy, or None where it wants nothing in it any more.

    Args:
        entries: What it wants in the sections.
        policy: The object; None where there is none.
        images: Images of device plugins by section, where a fabric names one.
    """
    spec: Body = {}
    foreign = policy.foreign if policy else ()
    for section, items in entries.items():
        if not items:
            continue
        content: Body = {"config": dump_json({_LISTS[section]: list(items)})}
        # Whoever installs the plugin says which image it is.
        if f"spec.{section}.image" not in foreign:
            content |= split_image(images.get(section) or f"{_REPOSITORY}/{_IMAGES[section]}:{_VERSION}")
        spec[section] = content
    if not spec:
        return None
    kind = kinds.NIC_CLUSTER_POLICY
    body: Body = {
        "apiVersion": kind.api_version,
        "kind": kind.name,
        "metadata": {"name": POLICY_NAME, "annotations": {names.ANNOTATION_APPLIED_HASH: hash_content(spec)}},
        "spec": spec,
    }
    return Manifest(kind, POLICY_NAME, "", body)


def split_image(reference: str) -> Body:
    """Return repository, image and version as NicClusterPolicy takes them; a digest goes in the place of the version."""
    path, at, digest = reference.partition("@")
    repository, _, last = path.rpartition("/")
    image, _, tag = last.partition(":")
    version = digest if at else tag
    return {
        "image": image,
        **({"repository": repository} if repository else {}),
        **({"version": version} if version else {}),
    }


def build_plugin(fabric: str, spec: InferenceCacheFabricSpec) -> list[Manifest]:
    """Return the DaemonSet of the RDMA shared device plugin with its configuration, after the one of its own project.

    It is privileged, on the host's network and with the host's /dev, as it looks for devices there and registers with the
    kubelet. It is the only privileged object that the operator ever makes.
    """
    name = f"{fabric}-rdma-device-plugin"
    config = dump_json({"configList": [build_entry(spec)]})
    labels = {names.LABEL_NAME: "rdma-shared-device-plugin", names.LABEL_FABRIC: fabric}
    image = spec.devices.plugin_image if spec.devices else None
    container = {
        "name": "plugin",
        "image": image or f"{_REPOSITORY}/{_IMAGES[RDMA_SECTION]}:{_VERSION}",
        "command": ["/bin/k8s-rdma-shared-dp"],
        "securityContext": {"privileged": True},
        "resources": {"requests": {"cpu": "10m", "memory": "50Mi"}, "limits": {"memory": "150Mi"}},
        "volumeMounts": [
            {"name": "device-plugins", "mountPath": "/var/lib/kubelet/device-plugins"},
            {"name": "plugins-registry", "mountPath": "/var/lib/kubelet/plugins_registry"},
            {"name": "config", "mountPath": "/k8s-rdma-shared-dev-plugin", "readOnly": True},
            {"name": "devices", "mountPath": "/dev/"},
        ],
    }
    pod: Body = {
        "automountServiceAccountToken": False,
        "hostNetwork": True,
        "priorityClassName": "system-node-critical",
        "tolerations": [{"key": names.GPU_RESOURCE, "operator": "Exists", "effect": "NoSchedule"}],
        "containers": [container],
        "volumes": [
            {"name": "device-plugins", "hostPath": {"path": "/var/lib/kubelet/device-plugins"}},
            {"name": "plugins-registry", "hostPath": {"path": "/var/lib/kubelet/plugins_registry"}},
            {"name": "config", "configMap": {"name": name}},
            {"name": "devices", "hostPath": {"path": "/dev/"}},
        ],
    }
    if spec.node_selector:
        pod["nodeSelector"] = dict(spec.node_selector)
    # The plugin reads its configuration once, so another one must bring another pod.
    metadata = {"labels": labels, "annotations": {_ANNOTATION_CONFIG: hash_content(config)}}
    content = {"spec": {"selector": {"matchLabels": labels}, "template": {"metadata": metadata, "spec": pod}}}
    resource, data = {ANNOTATION_RESOURCE: spec.resource_name}, {"data": {"config.json": config}}
    return [
        build_fabric_manifest(kinds.CONFIG_MAP, fabric, name, PLUGIN_NAMESPACE, data, resource),
        build_fabric_manifest(kinds.DAEMON_SET, fabric, name, PLUGIN_NAMESPACE, content, resource),
    ]


def _named(devices: Devices, ids: str, interfaces: str) -> Body:
    return {
        **({ids: list(devices.device_ids)} if devices.device_ids else {}),
        **({interfaces: list(devices.interfaces)} if devices.interfaces else {}),
    }
