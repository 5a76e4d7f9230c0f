"""A container's environment, with the values that the kubelet takes out of Secrets, and the configuration that it mounts."""

import base64
from collections.abc import Mapping
from typing import Any

from .api import Api, ApiError


class ConfigError(Exception):
    """The kubelet could not make the container: CreateContainerConfigError."""


async def read_environment(api: Api, namespace: str, container: Mapping[str, Any]) -> dict[str, str]:
    """Return a container's environment; values of Secrets are never logged.

    Raises:
        ConfigError: A Secret or one of its keys is missing.
        ApiError: The API server refuses otherwise.
        aiohttp.ClientError: It is not reachable.
    """
    secrets: dict[str, Mapping[str, str]] = {}
    environment: dict[str, str] = {}
    for item in container.get("env", []):
        reference = item.get("valueFrom", {}).get("secretKeyRef")
        if reference is None:
            environment[item["name"]] = item.get("value", "")
            continue
        name, key = reference["name"], reference["key"]
        if name not in secrets:
            secrets[name] = await _read_secret(api, namespace, name, optional=reference.get("optional", False))
        if key in secrets[name]:
            environment[item["name"]] = base64.b64decode(secrets[name][key]).decode()
        elif not reference.get("optional", False):
            raise ConfigError(f"couldn't find key {key} in Secret {namespace}/{name}")
    return environment


async def _read_secret(api: Api, namespace: str, name: str, *, optional: bool) -> Mapping[str, str]:
    try:
        secret = await api.get(f"/api/v1/namespaces/{namespace}/secrets/{name}")
    except ApiError as error:
        if error.code == 404 and optional:
            return {}
        if error.code == 404:
            raise ConfigError(f'secret "{name}" not found') from error
        raise
    data: Mapping[str, str] = secret.get("data") or {}
    return data


async def read_config(api: Api, pod: Mapping[str, Any]) -> Mapping[str, str]:
    """Return the content of the ConfigMap that the pod's volume config holds; empty without such a volume.

    Raises:
        ConfigError: The ConfigMap does not exist.
        ApiError: The API server refuses otherwise.
        aiohttp.ClientError: It is not reachable.
    """
    volumes = pod["spec"].get("volumes", [])
    name = next((item["configMap"]["name"] for item in volumes if item["name"] == "config" and "configMap" in item), "")
    if not name:
        return {}
    try:
        found = await api.get(f"/api/v1/namespaces/{pod['metadata']['namespace']}/configmaps/{name}")
    except ApiError as error:
        if error.code == 404:
            raise ConfigError(f'configmap "{name}" not found') from error
        raise
    data: Mapping[str, str] = found.get("data") or {}
    return data
