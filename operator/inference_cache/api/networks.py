"""Names that pods and nodes use for RDMA devices and secondary networks: extended resources, namespaces, attachments."""

import re
from enum import StrEnum
from typing import Annotated, Final

from .base import DNS_LABEL, ApiModel, ObjectName, Rule, match_rule, ruled

MAX_NETWORKS: Final = 8
"""Secondary networks of one pod."""

_RESOURCE_PATTERN: Final = (
    "^[a-z0-9]([-a-z0-9]*[a-z0-9])?([.][a-z0-9]([-a-z0-9]*[a-z0-9])?)*/[A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?$"
)
# What Kubernetes keeps for itself, and what the GPU device plugin advertises.
_TAKEN_PATTERN: Final = "^requests[.]|^([^/]*[.])?kubernetes[.]io/|^nvidia[.]com/(gpu([.]shared)?|mig-.*)$"
_RESOURCE = Rule(
    cel=f"self.matches('{_RESOURCE_PATTERN}') && !self.matches('{_TAKEN_PATTERN}')",
    message=(
        "must be an extended resource that an RDMA or SR-IOV device plugin advertises, DOMAIN/NAME, such as rdma/storage or "
        "nvidia.com/storage_vf; copy it from status.allocatable of a node"
    ),
    holds=lambda text: bool(re.fullmatch(_RESOURCE_PATTERN, text)) and not re.search(_TAKEN_PATTERN, text),
)
ResourceName = Annotated[str, *ruled(_RESOURCE, min_length=1, max_length=128)]

_NAMESPACE = match_rule(
    DNS_LABEL,
    "must be the name of a namespace: lower case letters, digits and '-'; copy it from kubectl get namespaces",
)
NamespaceName = Annotated[str, *ruled(_NAMESPACE, min_length=1, max_length=63)]


class LinkType(StrEnum):
    """Link layer of a port."""

    ETHERNET = "Ethernet"
    INFINIBAND = "InfiniBand"


class NetworkAttachment(ApiModel):
    """A NetworkAttachmentDefinition that pods are attached to."""

    name: ObjectName
    """Name of the NetworkAttachmentDefinition."""
    namespace: NamespaceName | None = None
    """Its namespace. Without it: the deployment's own, as Multus may isolate namespaces."""
