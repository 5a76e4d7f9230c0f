"""How pods are reached and how many may be evicted at a time."""

from inference_cache.domain import names
from inference_cache.domain.kinds import POD_DISRUPTION_BUDGET, SERVICE
from inference_cache.domain.manifest import Body, Manifest, build_manifest
from inference_cache.domain.scope import Scope


def _port(name: str, port: int) -> Body:
    return {"name": name, "port": port, "targetPort": port, "protocol": "TCP"}


def build_service(scope: Scope) -> Manifest:
    """Return the Service that clients use."""
    content: Body = {
        "spec": {
            "type": "ClusterIP",
            "selector": names.selector_labels(scope.identity.name),
            "ports": [_port("http", names.ENGINE_PORT)],
        }
    }
    return build_manifest(SERVICE, scope.identity, scope.identity.name, content)


def build_headless_service(scope: Scope) -> Manifest:
    """Return the Service that names each pod, ready or not, for the StatefulSet and for metrics."""
    content: Body = {
        "spec": {
            "type": "ClusterIP",
            "clusterIP": "None",
            "publishNotReadyAddresses": True,
            "selector": names.selector_labels(scope.identity.name),
            "ports": [_port("http", names.ENGINE_PORT), _port("cache-http", names.CACHE_HTTP_PORT)],
        }
    }
    return build_manifest(SERVICE, scope.identity, names.headless_name(scope.identity.name), content)


def build_disruption_budget(scope: Scope) -> Manifest:
    """Return the budget for voluntary evictions; pods that are not ready may always be evicted."""
    content: Body = {
        "spec": {
            "maxUnavailable": scope.settled.max_unavailable,
            "selector": {"matchLabels": names.selector_labels(scope.identity.name)},
            "unhealthyPodEvictionPolicy": "AlwaysAllow",
        }
    }
    return build_manifest(POD_DISRUPTION_BUDGET, scope.identity, scope.identity.name, content)
