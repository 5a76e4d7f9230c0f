"""The kinds of objects that the operator reads and writes, and where the API serves them."""

from dataclasses import dataclass
from typing import Final

from inference_cache.api import v1alpha1


@dataclass(frozen=True)
class Kind:
    """A kind and its address in the API."""

    api_version: str
    name: str
    plural: str
    namespaced: bool = True

    @property
    def group(self) -> str:
        """API group; empty for the core group."""
        return self.api_version.rpartition("/")[0]

    @property
    def version(self) -> str:
        """Version within the group."""
        return self.api_version.rpartition("/")[2]

    def __str__(self) -> str:
        return self.name


DEPLOYMENT: Final = Kind(v1alpha1.API_VERSION, v1alpha1.KIND, v1alpha1.PLURAL)
CONFIG_MAP: Final = Kind("v1", "ConfigMap", "configmaps")
POD: Final = Kind("v1", "Pod", "pods")
SECRET: Final = Kind("v1", "Secret", "secrets")
SERVICE: Final = Kind("v1", "Service", "services")
SERVICE_ACCOUNT: Final = Kind("v1", "ServiceAccount", "serviceaccounts")
NODE: Final = Kind("v1", "Node", "nodes", namespaced=False)
STATEFUL_SET: Final = Kind("apps/v1", "StatefulSet", "statefulsets")
POD_DISRUPTION_BUDGET: Final = Kind("policy/v1", "PodDisruptionBudget", "poddisruptionbudgets")
NETWORK_POLICY: Final = Kind("networking.k8s.io/v1", "NetworkPolicy", "networkpolicies")
LEASE: Final = Kind("coordination.k8s.io/v1", "Lease", "leases")
EVENT: Final = Kind("events.k8s.io/v1", "Event", "events")

CHILD_KINDS: Final = (SERVICE_ACCOUNT, CONFIG_MAP, SERVICE, POD_DISRUPTION_BUDGET, NETWORK_POLICY, STATEFUL_SET)
WATCHED_KINDS: Final = (DEPLOYMENT, *CHILD_KINDS, POD)
