"""What a pod may do and who may talk to it: nothing in the API, and a guarded cache port."""

from inference_cache.domain import names
from inference_cache.domain.kinds import NETWORK_POLICY, SERVICE_ACCOUNT
from inference_cache.domain.manifest import Body, Manifest, build_manifest
from inference_cache.domain.scope import Scope


def build_service_account(scope: Scope) -> Manifest:
    """Return a ServiceAccount without any rights, so that pods do not run under the namespace's default one."""
    return build_manifest(SERVICE_ACCOUNT, scope.identity, scope.identity.name, {"automountServiceAccountToken": False})


def build_network_policy(scope: Scope) -> Manifest:
    """Return the policy of the engine pods.

    The engine's port is open to clients. LMCache's HTTP port has no authentication and can clear the cache or show its
    configuration, so only the operator's namespace and namespaces that an administrator labels may reach it.
    """
    engine: Body = {"ports": [{"port": names.ENGINE_PORT, "protocol": "TCP"}]}
    cache: Body = {
        "from": [
            {"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": scope.operator_namespace}}},
            {"namespaceSelector": {"matchLabels": {names.LABEL_METRICS_ACCESS: "allowed"}}},
        ],
        "ports": [{"port": names.CACHE_HTTP_PORT, "protocol": "TCP"}],
    }
    content: Body = {
        "spec": {
            "podSelector": {"matchLabels": names.selector_labels(scope.identity.name)},
            "policyTypes": ["Ingress"],
            "ingress": [engine, cache],
        }
    }
    return build_manifest(NETWORK_POLICY, scope.identity, scope.identity.name, content)
