"""Rules of the operators that carry a fabric out, checked before anything is written, so that the cause is told at once.

Sources: the admission webhooks of the SR-IOV network operator (pkg/webhook/validate.go) and of the NVIDIA network operator
(api/v1alpha1/validator). What they say of the spec alone, the API of InferenceCacheFabric says already.
"""

import re
from typing import Final

from inference_cache.api.fabric import FabricType, InferenceCacheFabricSpec
from inference_cache.api.networks import LinkType
from inference_cache.domain import kinds
from inference_cache.domain.reasons import Reason

from .builders import MELLANOX
from .facts import LINK_TYPES, SHARED, SRIOV, read_devices
from .findings import Finding
from .form import Form, split_resource
from .networks import ROCE_MTU
from .nodes import Survey

# PCI ids of virtual functions of the vendor, by the SR-IOV network operator's list (chart templates/configmap.yaml).
_VIRTUAL: Final = frozenset({"1014", "1016", "1018", "101a", "101c", "101e"})
_PLUGIN_NAME: Final = "^([A-Za-z0-9][A-Za-z0-9_.]*)?[A-Za-z0-9]$"
_DOMAIN: Final = "^[a-zA-Z0-9](?:[a-zA-Z0-9-]{0,61}[a-zA-Z0-9])?(?:[.][a-zA-Z]{2,})+$"
_NVIDIA: Final = "nvidia.com"
_SHARED_PREFIX: Final = "rdma"


def check_rules(spec: InferenceCacheFabricSpec, form: Form) -> list[Finding]:
    """Return the rules that the spec of a managed fabric breaks, whatever nodes there are."""
    prefix, name = split_resource(spec.resource_name)
    by_policy = form.plugin is kinds.NIC_CLUSTER_POLICY
    found = []
    if form.network is kinds.HOST_DEVICE_NETWORK and prefix != _NVIDIA:
        found.append(f"HostDeviceNetwork binds to resources of {_NVIDIA} only: make a fabric with {_NVIDIA}/{name}.")
    if by_policy and spec.type in SHARED and prefix != _SHARED_PREFIX and not re.fullmatch(_DOMAIN, prefix):
        found.append(f"NicClusterPolicy takes no resource prefix {prefix}: make a fabric with {_SHARED_PREFIX}/{name}.")
    if by_policy and spec.type is FabricType.HOST_DEVICE and not re.fullmatch(_PLUGIN_NAME, name):
        found.append(f"The SR-IOV device plugin takes no resource name {name}: use letters, digits, '_' and '.'.")
    devices = read_devices(spec)
    virtual = next((item for item in devices.device_ids or [] if item in _VIRTUAL), None)
    if spec.type in SRIOV and virtual is not None and (devices.vendor or MELLANOX) == MELLANOX:
        text = f"spec.devices.deviceIds names {virtual}, the id of virtual functions: write the one of the physical function."
        found.append(text)
    broken = [Finding(Reason.FabricRuleBroken, text) for text in found]
    if devices.mtu is not None and devices.mtu < ROCE_MTU and LINK_TYPES.get(spec.type) is LinkType.ETHERNET:
        broken.append(Finding(Reason.MTUTooSmall, f"spec.devices.mtu is {devices.mtu}."))
    return broken


def check_survey(spec: InferenceCacheFabricSpec, survey: Survey) -> list[Finding]:
    """Return the rules that the spec of a managed fabric breaks on the nodes as they are."""
    rule = Reason.FabricRuleBroken
    found = []
    if survey.exclusive and spec.type in SHARED:
        text = f"A SriovNetworkPoolConfig puts node {survey.exclusive}, for instance, into rdmaMode exclusive."
        found.append(Finding(Reason.RDMANetnsModeMismatch, text))
    if spec.type not in SRIOV:
        if survey.interfaces_told and not survey.interfaces_found:
            text = (
                f"None of the {survey.interfaces_told} selected nodes whose interfaces are known has one of "
                f"{', '.join(read_devices(spec).interfaces or [])}: correct spec.devices.interfaces."
            )
            found.append(Finding(rule, text))
        return found
    if survey.exclusive:
        text = (
            f"A SriovNetworkPoolConfig puts node {survey.exclusive}, for instance, into rdmaMode exclusive, for which "
            "networks need the CNI plugin rdma, which mode Manage does not write: make the networks yourself and use mode "
            "Reference, or set rdmaMode to shared."
        )
        found.append(Finding(rule, text))
    if survey.counts.selected == 0:
        text = "No node matches spec.nodeSelector, and the SR-IOV network operator refuses a policy for none."
        found.append(Finding(Reason.FabricNoNodes, text))
    elif survey.adapters_told and not survey.adapters_found:
        text = (
            f"None of the {survey.adapters_told} selected nodes whose adapters are known has one as spec.devices says: "
            "compare vendor, deviceIds and interfaces with status.interfaces of a SriovNetworkNodeState."
        )
        found.append(Finding(rule, text))
    if survey.too_few:
        wanted = read_devices(spec).virtual_functions
        text = f"The adapter of node {survey.too_few}, for instance, has fewer virtual functions than {wanted}: lower spec.devices.virtualFunctions."
        found.append(Finding(rule, text))
    return found
