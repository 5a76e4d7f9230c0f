"""What every process of a pod starts with, and how its health is asked."""

from typing import Any, Final

from inference_cache.api.observability import LogLevel
from inference_cache.domain.manifest import Body
from inference_cache.domain.scope import Scope

QUIET: Final = [
    {"name": "LMCACHE_TRACK_USAGE", "value": "false"},
    {"name": "VLLM_NO_USAGE_STATS", "value": "1"},
    {"name": "DO_NOT_TRACK", "value": "1"},
    {"name": "PYTHONHASHSEED", "value": "0"},
]
"""No usage reports, and hashes that do not depend on the process."""
CONFINED: Final[Body] = {
    "allowPrivilegeEscalation": False,
    "capabilities": {"drop": ["ALL"]},
    "seccompProfile": {"type": "RuntimeDefault"},
}
SHM_MOUNT: Final[Body] = {"name": "shm", "mountPath": "/dev/shm"}  # noqa: S108 - the kernel's path
# A 70B model that loads from a slow volume takes many minutes; pinning 1.2 TiB of memory at 1 GB/s takes twenty.
STARTUP_MINUTES: Final = 60

_LOG_LEVELS: Final = {
    LogLevel.DEBUG: "DEBUG",
    LogLevel.INFO: "INFO",
    LogLevel.WARNING: "WARNING",
    LogLevel.ERROR: "ERROR",
}


def build_log_level(scope: Scope, *names: str) -> list[Body]:
    """Return variables of these names with the level of the logs."""
    return [{"name": name, "value": _LOG_LEVELS[scope.settled.log_level]} for name in names]


def build_http_probe(path: str, port: int, *, period: int, failures: int) -> dict[str, Any]:
    """Return a probe that asks every `period` seconds and gives up after so many failures in a row."""
    return {
        "httpGet": {"path": path, "port": port},
        "periodSeconds": period,
        "timeoutSeconds": 5,
        "failureThreshold": failures,
    }
