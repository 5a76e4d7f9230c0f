"""How the programs of cache_agent get into pods: as text in a ConfigMap of a fixed name.

It is not part of the hash-named configuration: another operator version may bring another text, and that must not replace
pods that have run it already. So what one version's arguments ask for, later ones must go on to understand.
"""

from functools import cache
from importlib.resources import files
from typing import Final

from inference_cache.domain import names
from inference_cache.domain.kinds import CONFIG_MAP
from inference_cache.domain.manifest import Body, Manifest, build_manifest
from inference_cache.domain.scope import Scope

PACKAGE: Final = "cache_agent"
AGENT_MOUNT: Final = "/etc/inference-cache-agent"
FETCH_COMMAND: Final = ("python3", "-m", f"{PACKAGE}.fetch")
_VOLUME: Final = "agent"


def needs_agent(scope: Scope) -> bool:
    """Whether pods run a program of the agent: weights from the hub are fetched by one."""
    return scope.settled.spec.model.source.hugging_face is not None


def build_agent_config_map(scope: Scope) -> Manifest:
    """Return the ConfigMap with the programs."""
    return build_manifest(
        CONFIG_MAP, scope.identity, names.agent_name(scope.identity.name), {"data": dict(read_agent_files())}
    )


def build_agent_volumes(scope: Scope) -> list[Body]:
    """Return the volume with the programs, or nothing."""
    if not needs_agent(scope):
        return []
    # All keys, without a list of them: another version may have other files, and the pod's template must stay the same.
    reference = {"name": names.agent_name(scope.identity.name), "defaultMode": 0o444}
    return [{"name": _VOLUME, "configMap": reference}]


def build_agent_mounts() -> list[Body]:
    """Return the mount of that volume; its folder is the package."""
    return [{"name": _VOLUME, "mountPath": f"{AGENT_MOUNT}/{PACKAGE}", "readOnly": True}]


def build_agent_env() -> list[Body]:
    """Return the variables with which python3 finds the programs and writes nothing beside them."""
    return [
        {"name": "PYTHONPATH", "value": AGENT_MOUNT},
        {"name": "PYTHONDONTWRITEBYTECODE", "value": "1"},
        {"name": "PYTHONUNBUFFERED", "value": "1"},
    ]


@cache
def read_agent_files() -> dict[str, str]:
    """Return the programs by file name; read as data of their package, not as modules: they belong to another Python."""
    found = (item for item in files(PACKAGE).iterdir() if item.name.endswith(".py"))
    return {item.name: item.read_text(encoding="utf-8") for item in sorted(found, key=lambda item: item.name)}
