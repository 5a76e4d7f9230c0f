"""What RDMA pods have beside TCP pods: devices, networks, the right to lock memory, and a preflight that decides.

The two templates differ in this alone. Only the cache server moves bytes between memory and store, so it gets the
devices, and the preflight before it, which can judge devices and limits only in the same context. Both request the same
devices: the kubelet hands those of an init container on to the containers after it.
"""

import json
from typing import Any, Final

from inference_cache.api.cache import Addressing, ObjectStoreTier
from inference_cache.api.transport import LockedMemory
from inference_cache.domain import names
from inference_cache.domain.attachment import Attachment, Variant
from inference_cache.domain.kinds import RESOURCE_CLAIM_TEMPLATE
from inference_cache.domain.manifest import Body, Manifest, build_manifest, hash_content
from inference_cache.domain.scope import Scope
from inference_cache.domain.sizing import ContainerSizes, compute_sizes

from .adapters import build_rdma_adapter, build_tcp_adapter
from .trust import CA_FILE

TRANSPORT_KEY: Final = "transport.json"
RUN_MOUNT: Final = "/run/inference-cache"
RUN_VOLUME: Final[Body] = {"name": "run", "emptyDir": {"sizeLimit": "1Mi"}}
"""Where the preflight leaves its choice for the launcher; it outlives restarts of containers."""
_CLAIM: Final = "rdma"
_VERSION: Final = 1
# A deployment that requires RDMA is rendered for it before anybody can say what its pods would get; it is not applied.
_NOTHING: Final = Attachment(None, None, None, 0, (), per_network=False, link_type=None)


def find_attachment(scope: Scope) -> Attachment | None:
    """Return what the pods get; None for pods without RDMA."""
    if scope.transport.variant is not Variant.RDMA or not scope.settled.cache_enabled:
        return None
    return scope.transport.attachment or _NOTHING


def build_transport_config(scope: Scope, attachment: Attachment) -> dict[str, Any]:
    """Return what the preflight reads: what a pod should find, and the two adapters between which it chooses."""
    settled = scope.settled
    store = settled.object_store
    return {
        "version": _VERSION,
        "required": scope.transport.required,
        "networks": [{"interface": item.interface} for item in attachment.networks],
        "linkType": attachment.link_type.value if attachment.link_type else None,
        "resource": attachment.resource_name,
        "lockedMemory": attachment.locked_memory.value,
        "memlockBytes": compute_sizes(settled).locked_memory,
        "client": settled.client.value,
        "dialect": store.rdma_dialect.value if store and store.rdma_dialect else None,
        "store": _describe_store(store) if store else None,
        "candidates": {"rdma": build_rdma_adapter(settled), "tcp": build_tcp_adapter(settled)},
    }


def build_networks_annotation(attachment: Attachment | None) -> dict[str, str]:
    """Return the annotation that Multus reads, in its JSON form with namespace and interface of each network.

    Multus gives the interfaces of the other forms names by itself, and takes a namespace within the name for one of its own
    (multus-cni#705).
    """
    if attachment is None or not attachment.networks:
        return {}
    networks = [
        {"name": item.name, "namespace": item.namespace, "interface": item.interface} for item in attachment.networks
    ]
    return {names.ANNOTATION_NETWORKS: json.dumps(networks, separators=(",", ":"))}


def build_resources(sizes: ContainerSizes, attachment: Attachment | None) -> Body:
    """Return requests and limits with the devices, which no override can change; or with the claim, under DRA."""
    devices: dict[str, str] = {}
    if attachment is not None and attachment.resource_name is not None:
        devices[attachment.resource_name] = str(attachment.count)
    claims = [{"name": _CLAIM}] if attachment is not None and attachment.device_class is not None else []
    return {
        "requests": sizes.requests | devices,
        "limits": sizes.limits | devices,
        **({"claims": claims} if claims else {}),
    }


def build_security_context(confined: Body, attachment: Attachment | None) -> Body:
    """Return the security context of cache server and preflight: IPC_LOCK lifts the limit of locked memory, for root alone."""
    if attachment is None or attachment.locked_memory is not LockedMemory.IPC_LOCK:
        return confined
    return confined | {"capabilities": confined["capabilities"] | {"add": ["IPC_LOCK"]}}


def build_resource_claim_template(scope: Scope) -> Manifest | None:
    """Return the template of the claims with which pods get their devices by DRA; named by its content, as its spec is immutable."""
    attachment = find_attachment(scope)
    if attachment is None or attachment.device_class is None:
        return None
    request = {"deviceClassName": attachment.device_class, "allocationMode": "ExactCount", "count": 1}
    requests = [{"name": f"nic-{number}", "exactly": request} for number in range(attachment.count)]
    content: Body = {"spec": {"spec": {"devices": {"requests": requests}}}}
    name = f"{scope.identity.name}-{_CLAIM}-{hash_content(content)[:8]}"
    return build_manifest(RESOURCE_CLAIM_TEMPLATE, scope.identity, name, content)


def build_pod_claims(template: Manifest | None) -> list[Body]:
    """Return the pod's claims."""
    return [] if template is None else [{"name": _CLAIM, "resourceClaimTemplateName": template.name}]


def _describe_store(store: ObjectStoreTier) -> dict[str, Any]:
    """Return where the bucket is, for the object that the preflight writes and deletes."""
    return {
        "endpoint": store.endpoint,
        "region": store.region,
        "bucket": store.bucket.name,
        "addressing": (store.addressing or Addressing.VIRTUAL_HOST).value,
        "ca": CA_FILE if store.tls is not None else None,
    }
