"""Conditions of every deployment as metrics, removed together with the deployment."""

from typing import Any

from inference_cache.domain.scope import Identity

from . import metrics
from .cache import NamespacedName

_published: dict[NamespacedName, dict[str, tuple[str, str]]] = {}


def publish_conditions(identity: Identity, status: dict[str, Any]) -> None:
    """Set one sample to 1 for each condition, and remove the one that it replaces."""
    key = (identity.namespace, identity.name)
    known = _published.setdefault(key, {})
    for item in status.get("conditions", []):
        now = (item["status"], item["reason"])
        before = known.get(item["type"])
        if before == now:
            continue
        if before is not None:
            metrics.condition.remove(*key, item["type"], *before)
        metrics.condition.labels(*key, item["type"], *now).set(1)
        known[item["type"]] = now


def forget_conditions(key: NamespacedName) -> None:
    """Remove every sample of a deleted deployment."""
    for kind, (status, reason) in _published.pop(key, {}).items():
        metrics.condition.remove(*key, kind, status, reason)


def forget_all_conditions() -> None:
    """Remove every sample: a replica that does not lead does not know them."""
    for key in list(_published):
        forget_conditions(key)
