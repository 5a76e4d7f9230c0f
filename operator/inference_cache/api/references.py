"""References to Secrets and ConfigMaps; always of the deployment's own namespace, so that nobody borrows foreign keys."""

from typing import Annotated, Final

from .base import ApiModel, ObjectName, match_rule, ruled

DATA_KEY_PATTERN: Final = "^[-._a-zA-Z0-9]+$"
_DATA_KEY = match_rule(
    DATA_KEY_PATTERN,
    "must be a key of a Secret: letters, digits, '-', '_' and '.'; copy it from kubectl describe secret",
)
_CONFIG_KEY = match_rule(
    DATA_KEY_PATTERN,
    "must be a key of a ConfigMap: letters, digits, '-', '_' and '.'; copy it from kubectl describe configmap",
)


class SecretRef(ApiModel):
    """A Secret in the deployment's own namespace."""

    name: ObjectName
    """Name of the Secret."""


class SecretKeyRef(ApiModel):
    """One key of a Secret in the deployment's own namespace."""

    name: ObjectName
    """Name of the Secret."""
    key: Annotated[str, *ruled(_DATA_KEY, min_length=1, max_length=253)] = "token"
    """Key within the Secret. Without it: token."""


class SecretKeySelector(ApiModel):
    """One key of a Secret in the deployment's own namespace, both named."""

    name: ObjectName
    """Name of the Secret."""
    key: Annotated[str, *ruled(_DATA_KEY, min_length=1, max_length=253)]
    """Key within the Secret."""


class ConfigMapKeyRef(ApiModel):
    """One key of a ConfigMap in the deployment's own namespace."""

    config_map: ObjectName
    """Name of the ConfigMap."""
    key: Annotated[str, *ruled(_CONFIG_KEY, min_length=1, max_length=253)] = "ca.crt"
    """Key within the ConfigMap. Without it: ca.crt."""
