"""Where pods find the certificate authorities of a store that the system does not know."""

from typing import Final

from inference_cache.domain.manifest import Body
from inference_cache.domain.scope import Scope

CA_MOUNT: Final = "/etc/inference-cache-ca"
CA_FILE: Final = f"{CA_MOUNT}/ca.crt"
_VOLUME: Final = "store-ca"


def build_ca_volumes(scope: Scope) -> list[Body]:
    """Return the volume with the authorities, or nothing where the system's are trusted."""
    store = scope.settled.object_store
    if store is None or store.tls is None:
        return []
    reference = store.tls.ca_ref
    items = [{"key": reference.key, "path": "ca.crt"}]
    return [{"name": _VOLUME, "configMap": {"name": reference.config_map, "items": items, "defaultMode": 0o444}}]


def build_ca_mounts(scope: Scope) -> list[Body]:
    """Return the mount of the authorities, or nothing."""
    return [{"name": item["name"], "mountPath": CA_MOUNT, "readOnly": True} for item in build_ca_volumes(scope)]
