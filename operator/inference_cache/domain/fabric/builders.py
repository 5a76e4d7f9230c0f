"""The objects of a managed fabric: policies and networks of other operators, or plain NetworkAttachmentDefinitions.

Texts in JSON have sorted keys and no spaces, so that the same spec always gives the same bytes.
"""

import json
from typing import Any, Final

from inference_cache.api.fabric import (
    IPAM,
    FabricNetwork,
    FabricType,
    InferenceCacheFabricSpec,
    IPAMType,
)
from inference_cache.domain import kinds, names
from inference_cache.domain.kinds import Kind
from inference_cache.domain.manifest import Body, Manifest, hash_content

from .facts import read_devices
from .form import Form, split_resource
from .networks import locate_network

MELLANOX: Final = "15b3"
_CNI_VERSION: Final = "0.3.1"
_CNI_TYPES: Final = {
    FabricType.SHARED_MACVLAN: "macvlan",
    FabricType.SHARED_IPOIB: "ipoib",
    FabricType.HOST_DEVICE: "host-device",
}


def build_fabric_manifest(
    kind: Kind, fabric: str, name: str, namespace: str, content: Body, annotations: dict[str, str] | None = None
) -> Manifest:
    """Return an object of a fabric. It has no owner: the garbage collector would delete it while pods use it."""
    metadata: Body = {
        "name": name,
        **({"namespace": namespace} if namespace else {}),
        "labels": {
            names.LABEL_NAME: names.APPLICATION,
            names.LABEL_MANAGED_BY: names.FIELD_MANAGER,
            names.LABEL_FABRIC: fabric,
        },
    }
    body: Body = {"apiVersion": kind.api_version, "kind": kind.name, "metadata": metadata, **content}
    metadata["annotations"] = {**(annotations or {}), names.ANNOTATION_APPLIED_HASH: hash_content([body, annotations])}
    return Manifest(kind, name, namespace, body)


def build_policy(fabric: str, spec: InferenceCacheFabricSpec, form: Form) -> Manifest:
    """Return the SriovNetworkNodePolicy that makes the fabric's virtual functions."""
    devices = read_devices(spec)
    selector: Body = {"vendor": devices.vendor or MELLANOX}
    if devices.device_ids:
        selector["deviceID"] = devices.device_ids[0]
    if devices.interfaces:
        selector["pfNames"] = list(devices.interfaces)
    content: Body = {
        "nodeSelector": dict(spec.node_selector or {}),
        "nicSelector": selector,
        "numVfs": devices.virtual_functions or 0,
        "resourceName": split_resource(spec.resource_name)[1],
        "deviceType": "netdevice",
        "isRdma": True,
        "linkType": "ib" if spec.type is FabricType.SRIOV_INFINIBAND else "eth",
    }
    if devices.mtu is not None:
        content["mtu"] = devices.mtu
    name = f"{names.APPLICATION}-{fabric}"
    return build_fabric_manifest(kinds.SRIOV_POLICY, fabric, name, form.operator_namespace, {"spec": content})


def build_networks(fabric: str, spec: InferenceCacheFabricSpec, form: Form) -> list[Manifest]:
    """Return what makes the NetworkAttachmentDefinitions, one for each network and namespace."""
    return [
        _build_network(fabric, spec, form, network, namespace)
        for namespace in spec.namespaces or []
        for network in spec.networks or []
    ]


def _build_network(
    fabric: str, spec: InferenceCacheFabricSpec, form: Form, network: FabricNetwork, namespace: str
) -> Manifest:
    _, name = locate_network(spec, network, namespace)
    master = network.interface or ""
    resource = split_resource(spec.resource_name)[1]
    ipam = dump_json(build_ipam(network.ipam))
    content: Body = {"networkNamespace": namespace, "ipam": ipam}
    home = ""
    match form.network:
        case kinds.SRIOV_NETWORK:
            content |= {"resourceName": resource, **({"vlan": network.vlan} if network.vlan is not None else {})}
            home = form.operator_namespace
        case kinds.SRIOV_IB_NETWORK:
            content |= {"resourceName": resource, "linkState": "enable"}
            home = form.operator_namespace
        case kinds.HOST_DEVICE_NETWORK:
            content |= {"resourceName": resource}
        case kinds.MACVLAN_NETWORK:
            content |= {"master": master, "mode": "bridge", **_mtu(spec)}
        case kinds.IPOIB_NETWORK:
            content |= {"master": master}
        case _:
            return _build_attachment(fabric, spec, name, namespace, build_cni(spec, network, name))
    return build_fabric_manifest(form.network, fabric, name, home, {"spec": content})


def _build_attachment(fabric: str, spec: InferenceCacheFabricSpec, name: str, namespace: str, config: Body) -> Manifest:
    annotations = {names.ANNOTATION_NAD_RESOURCE: spec.resource_name} if spec.type is FabricType.HOST_DEVICE else None
    content = {"spec": {"config": dump_json(config)}}
    return build_fabric_manifest(kinds.NETWORK_ATTACHMENT, fabric, name, namespace, content, annotations)


def build_cni(spec: InferenceCacheFabricSpec, network: FabricNetwork, name: str) -> Body:
    """Return the CNI configuration, as the NVIDIA network operator would render it."""
    config: Body = {
        "cniVersion": _CNI_VERSION,
        "name": name,
        "type": _CNI_TYPES[spec.type],
        "ipam": build_ipam(network.ipam),
    }
    if spec.type is FabricType.SHARED_MACVLAN:
        config |= {"mode": "bridge", **_mtu(spec)}
    if spec.type is not FabricType.HOST_DEVICE:
        config["master"] = network.interface or ""
    return config


def build_ipam(ipam: IPAM | None) -> Body:
    """Return the ipam part of a CNI configuration; empty where nobody gives addresses."""
    if ipam is None:
        return {}
    match ipam.type:
        case IPAMType.NV_IPAM:
            return {"type": "nv-ipam", "poolName": ipam.pool_name}
        case IPAMType.WHEREABOUTS:
            return {"type": "whereabouts", "range": ipam.range}
        case _:
            return {"type": "dhcp"}


def dump_json(content: Any) -> str:
    """Return JSON that is the same for the same content."""
    return json.dumps(content, sort_keys=True, separators=(",", ":"))


def _mtu(spec: InferenceCacheFabricSpec) -> Body:
    mtu = spec.devices.mtu if spec.devices else None
    return {} if mtu is None else {"mtu": mtu}
