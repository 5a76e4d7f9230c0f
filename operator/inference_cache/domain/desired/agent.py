"""How the programs of cache_agent get into pods: as text in ConfigMaps of fixed names, one for each purpose.

They are not part of the hash-named configuration: another operator version may bring another text, and that must not
replace pods that have run it already. So what one version's arguments and configuration ask for, later ones must go on to
understand. The programs of RDMA pods are apart from the fetcher: they are kept as long as such a pod runs, also when the
deployment has turned to TCP, as a cache server that ends is started by them again.
"""

from functools import cache
from importlib.resources import files
from typing import Final

from inference_cache.domain import names
from inference_cache.domain.kinds import CONFIG_MAP
from inference_cache.domain.manifest import Body, Manifest, build_manifest
from inference_cache.domain.scope import Scope

from .attached import find_attachment

PACKAGE: Final = "cache_agent"
AGENT_MOUNT: Final = "/etc/inference-cache-agent"
FETCH_COMMAND: Final = ("python3", "-m", f"{PACKAGE}.fetch")
PREFLIGHT_COMMAND: Final = ("python3", "-m", f"{PACKAGE}.preflight")
# One file, in isolated mode: no variable of ours reaches the server whose place it takes, and none of the image's matters.
LAUNCH_COMMAND: Final = ("python3", "-I", f"{AGENT_MOUNT}/{PACKAGE}/launch.py")

FETCH_FILES: Final = frozenset(
    f"{name}.py" for name in ("__init__", "errors", "fetch", "files", "folder", "hub", "report")
)
"""The program that fetches weights, with all that it imports."""
TRANSPORT_FILES: Final = frozenset(
    f"{name}.py"
    for name in (
        *("__init__", "launch", "node_facts", "node_proc", "node_rdma", "node_tree"),
        *("preflight", "preflight_checks", "preflight_config", "preflight_decision", "preflight_machine"),
        *("preflight_output", "preflight_proof", "preflight_store", "preflight_transfer"),
    )
)
"""The programs that choose the transport of an RDMA pod and start its cache server, with all that they import."""

_FETCH_VOLUME: Final = "agent"
_TRANSPORT_VOLUME: Final = "transport-agent"


def build_agent_config_maps(scope: Scope) -> list[Manifest]:
    """Return the ConfigMaps with the programs that pods of this scope run."""
    return [
        build_manifest(CONFIG_MAP, scope.identity, name, {"data": _read_programs(chosen)})
        for _, name, chosen in _list_needed(scope)
    ]


def build_agent_volumes(scope: Scope) -> list[Body]:
    """Return the volumes with the programs."""
    # All keys, without a list of them: another version may have other files, and the pod's template must stay the same.
    return [
        {"name": volume, "configMap": {"name": name, "defaultMode": 0o444}} for volume, name, _ in _list_needed(scope)
    ]


def build_agent_mounts() -> list[Body]:
    """Return the mount of the fetcher; its folder is the package."""
    return [_mount(_FETCH_VOLUME)]


def build_transport_agent_mounts() -> list[Body]:
    """Return the mount of the programs of RDMA pods; its folder is the package."""
    return [_mount(_TRANSPORT_VOLUME)]


def build_agent_env() -> list[Body]:
    """Return the variables with which python3 finds the programs and writes nothing beside them."""
    return [
        {"name": "PYTHONPATH", "value": AGENT_MOUNT},
        {"name": "PYTHONDONTWRITEBYTECODE", "value": "1"},
        {"name": "PYTHONUNBUFFERED", "value": "1"},
    ]


def _list_needed(scope: Scope) -> list[tuple[str, str, frozenset[str]]]:
    """Return volume, ConfigMap and files of each purpose."""
    name, found = scope.identity.name, []
    if scope.settled.spec.model.source.hugging_face is not None:
        found.append((_FETCH_VOLUME, names.agent_name(name), FETCH_FILES))
    if find_attachment(scope) is not None:
        found.append((_TRANSPORT_VOLUME, names.transport_agent_name(name), TRANSPORT_FILES))
    return found


def _mount(volume: str) -> Body:
    return {"name": volume, "mountPath": f"{AGENT_MOUNT}/{PACKAGE}", "readOnly": True}


def _read_programs(chosen: frozenset[str]) -> dict[str, str]:
    return {name: text for name, text in read_agent_files().items() if name in chosen}


@cache
def read_agent_files() -> dict[str, str]:
    """Return the programs by file name; read as data of their package, not as modules: they belong to another Python."""
    found = (item for item in files(PACKAGE).iterdir() if item.name.endswith(".py"))
    return {item.name: item.read_text(encoding="utf-8") for item in sorted(found, key=lambda item: item.name)}
