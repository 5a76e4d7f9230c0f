"""The cache server's container and, in RDMA pods, the preflight that chooses its adapter before it starts.

Where a preflight chose, a launcher in the server's container adds the adapter to the command line and takes the server's
place: no argument of the template differs from node to node.
"""

from typing import Final

from inference_cache.domain import names
from inference_cache.domain.attachment import Attachment
from inference_cache.domain.manifest import Body
from inference_cache.domain.scope import Scope
from inference_cache.domain.sizing import PREFLIGHT, Sizes
from inference_cache.domain.versions import Feature

from .agent import AGENT_MOUNT, LAUNCH_COMMAND, PREFLIGHT_COMMAND, build_transport_agent_mounts
from .attached import (
    RUN_MOUNT,
    RUN_VOLUME,
    TRANSPORT_KEY,
    build_resources,
    build_security_context,
    find_attachment,
)
from .config import AWS_CONFIG_KEY, CONFIG_MOUNT
from .options import build_cache_args
from .process import CONFINED, QUIET, SHM_MOUNT, STARTUP_MINUTES, build_http_probe, build_log_level
from .trust import build_ca_mounts

_SERVER: Final = ("lmcache", "server")
_CONFIG_MOUNT: Final[Body] = {"name": "config", "mountPath": CONFIG_MOUNT, "readOnly": True}
_RUN_MOUNT: Final[Body] = {"name": RUN_VOLUME["name"], "mountPath": RUN_MOUNT}


def build_cache_containers(scope: Scope, sizes: Sizes) -> list[Body]:
    """Return the containers of the cache, in the order of their start; none where the spec has no cache."""
    if sizes.cache is None:
        return []
    attachment = find_attachment(scope)
    launched = attachment is not None
    container: Body = {
        "name": names.CACHE_CONTAINER,
        "image": scope.image,
        "restartPolicy": "Always",
        "command": _build_launch_command() if launched else list(_SERVER),
        "args": build_cache_args(scope),
        "env": _build_env(scope),
        "ports": [{"name": "cache-http", "containerPort": names.CACHE_HTTP_PORT, "protocol": "TCP"}],
        "startupProbe": build_http_probe(
            "/healthcheck", names.CACHE_HTTP_PORT, period=5, failures=STARTUP_MINUTES * 12
        ),
        "resources": build_resources(sizes.cache, attachment),
        "securityContext": build_security_context(CONFINED, attachment),
        "volumeMounts": [
            _CONFIG_MOUNT,
            *([] if Feature.ISOLATED_IPC in scope.pair.features else [SHM_MOUNT]),
            *build_ca_mounts(scope),
            *([_RUN_MOUNT | {"readOnly": True}, *build_transport_agent_mounts()] if launched else []),
        ],
    }
    return [container] if attachment is None else [_build_preflight(scope, attachment), container]


def build_run_volumes(scope: Scope) -> list[Body]:
    """Return the volume by which the preflight tells the launcher what it chose, or nothing."""
    return [] if find_attachment(scope) is None else [RUN_VOLUME]


def _build_launch_command() -> list[str]:
    return [*LAUNCH_COMMAND, f"--run-directory={RUN_MOUNT}", "--", *_SERVER]


def _build_preflight(scope: Scope, attachment: Attachment) -> Body:
    """Return the container that tries RDMA as the server would do it: image, user, rights, devices and keys are the same."""
    return {
        "name": names.PREFLIGHT_CONTAINER,
        "image": scope.image,
        "command": list(PREFLIGHT_COMMAND),
        "args": [f"--config={CONFIG_MOUNT}/{TRANSPORT_KEY}", f"--run-directory={RUN_MOUNT}"],
        # python3 -m finds the package here; a variable for that would hide the image's own from the client under test.
        "workingDir": AGENT_MOUNT,
        "env": _build_env(scope),
        "resources": build_resources(PREFLIGHT, attachment),
        # Where it ends without a message of its own, its last lines say more than its exit code.
        "terminationMessagePolicy": "FallbackToLogsOnError",
        "securityContext": build_security_context(CONFINED, attachment),
        "volumeMounts": [_CONFIG_MOUNT, *build_ca_mounts(scope), _RUN_MOUNT, *build_transport_agent_mounts()],
    }


def _build_env(scope: Scope) -> list[Body]:
    env: list[Body] = [
        *QUIET,
        *build_log_level(scope, "LMCACHE_LOG_LEVEL"),
        # Visible without being allocated: the server maps the engine's KV blocks, and the engine alone requests GPUs.
        {"name": "NVIDIA_VISIBLE_DEVICES", "value": "all"},
        {"name": "NVIDIA_DRIVER_CAPABILITIES", "value": "all"},
    ]
    store = scope.settled.object_store
    if store is not None:
        secret = store.credentials.secret_ref.name
        env += [
            {"name": "AWS_CONFIG_FILE", "value": f"{CONFIG_MOUNT}/{AWS_CONFIG_KEY}"},
            *(
                {"name": key, "valueFrom": {"secretKeyRef": {"name": secret, "key": key}}}
                for key in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY")
            ),
        ]
    return env
