"""Every name, label, annotation and manager string that the operator writes into a cluster."""

from typing import Final

from inference_cache.api.v1alpha1 import GROUP

FIELD_MANAGER: Final = "inference-cache-operator"
LEASE_NAME: Final = "inference-cache-operator"

LABEL_MANAGED_BY: Final = "app.kubernetes.io/managed-by"
LABEL_COMPONENT: Final = "app.kubernetes.io/component"
LABEL_NAME: Final = "app.kubernetes.io/name"
LABEL_DEPLOYMENT: Final = f"{GROUP}/deployment"
LABEL_FINGERPRINT: Final = f"{GROUP}/fingerprint"
LABEL_METRICS_ACCESS: Final = f"{GROUP}/metrics-access"
LABEL_REVISION: Final = "controller-revision-hash"

ANNOTATION_APPLIED_HASH: Final = f"{GROUP}/applied-hash"
ANNOTATION_TEMPLATE_HASH: Final = f"{GROUP}/template-hash"

COMPONENT_ENGINE: Final = "engine"
APPLICATION: Final = "inference-cache"

MANAGED_SELECTOR: Final = f"{LABEL_MANAGED_BY}={FIELD_MANAGER}"
ENGINE_SELECTOR: Final = f"{MANAGED_SELECTOR},{LABEL_COMPONENT}={COMPONENT_ENGINE}"

ENGINE_CONTAINER: Final = "engine"
CACHE_CONTAINER: Final = "cache"
WEIGHTS_CONTAINER: Final = "weights"

PREFLIGHT_CONTAINER: Final = "preflight"

LABEL_FABRIC: Final = f"{GROUP}/fabric"
LABEL_TRANSPORT: Final = f"{GROUP}/transport"
LABEL_WORKLOAD_HASH: Final = f"{GROUP}/workload-hash"
ANNOTATION_TRANSPORT_REQUIRED: Final = f"{GROUP}/transport-required"
FABRIC_FINALIZER: Final = f"{GROUP}/fabric"
ELIGIBLE_LABEL_PREFIX: Final = f"eligible.{GROUP}/"
ANNOTATION_NETWORKS: Final = "k8s.v1.cni.cncf.io/networks"
ANNOTATION_DEFAULT_NETWORK: Final = "v1.multus-cni.io/default-network"
ANNOTATION_NETWORK_STATUS: Final = "k8s.v1.cni.cncf.io/network-status"
ANNOTATION_NAD_RESOURCE: Final = "k8s.v1.cni.cncf.io/resourceName"

ENGINE_PORT: Final = 8000
CACHE_HTTP_PORT: Final = 8080
CACHE_REQUEST_PORT: Final = 5555

GPU_RESOURCE: Final = "nvidia.com/gpu"
HUGE_PAGES_RESOURCE: Final = "hugepages-2Mi"
GPU_PRODUCT_LABEL: Final = "nvidia.com/gpu.product"
GPU_MEMORY_LABEL: Final = "nvidia.com/gpu.memory"
DRIVER_MAJOR_LABEL: Final = "nvidia.com/cuda.driver-version.major"
COMPUTE_MAJOR_LABEL: Final = "nvidia.com/gpu.compute.major"
COMPUTE_MINOR_LABEL: Final = "nvidia.com/gpu.compute.minor"


def selector_labels(name: str) -> dict[str, str]:
    """Return the labels that select the engine pods of a deployment; they never change, as selectors are immutable."""
    return {LABEL_COMPONENT: COMPONENT_ENGINE, LABEL_DEPLOYMENT: name}


def selector_text(name: str) -> str:
    """Return the same selector in the text form that autoscalers read from the scale subresource."""
    return ",".join(f"{key}={value}" for key, value in sorted(selector_labels(name).items()))


def object_labels(name: str) -> dict[str, str]:
    """Return the labels of every object that belongs to a deployment.

    The deployment's own labels are not copied: tools that track objects by label (Argo CD's app.kubernetes.io/instance)
    would adopt the children and prune them.
    """
    return {LABEL_NAME: APPLICATION, LABEL_MANAGED_BY: FIELD_MANAGER, LABEL_DEPLOYMENT: name}


def agent_name(name: str) -> str:
    """Return the name of the ConfigMap that holds the agent's programs."""
    return f"{name}-agent"


def transport_agent_name(name: str) -> str:
    """Return the name of the ConfigMap that holds the programs of RDMA pods."""
    return f"{name}-transport-agent"


def headless_name(name: str) -> str:
    """Return the name of the headless Service that governs the StatefulSet."""
    return f"{name}-pods"
