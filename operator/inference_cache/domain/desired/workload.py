"""The StatefulSet and its pod: weights first, then the cache server as native sidecar, then the engine.

One pod, one lifecycle: a cache server that restarts under a serving engine is dangerous (LMCache#4642), so it starts
before the engine, stops after it, and its memory is accounted to the pod. Nothing needs host namespaces or privileges.
"""

from typing import Any, Final

from inference_cache.api.model import PullPolicy
from inference_cache.api.observability import LogLevel
from inference_cache.api.quantities import format_gib
from inference_cache.domain import names
from inference_cache.domain.fingerprint import MODELS_ROOT, weights_path
from inference_cache.domain.graces import Graces, compute_graces
from inference_cache.domain.kinds import STATEFUL_SET
from inference_cache.domain.manifest import Body, Manifest, build_manifest, hash_content
from inference_cache.domain.scope import Scope
from inference_cache.domain.sizing import WEIGHTS, Sizes, compute_sizes
from inference_cache.domain.versions import Feature

from .agent import FETCH_COMMAND, build_agent_env, build_agent_mounts, build_agent_volumes
from .config import AWS_CONFIG_KEY, CONFIG_MOUNT
from .options import build_cache_args, build_engine_args, escape_references
from .placement import build_affinity, build_tolerations
from .trust import build_ca_mounts, build_ca_volumes

# Every process of the pod starts with these: no usage reports, and hashes that do not depend on the process.
_QUIET: Final = [
    {"name": "LMCACHE_TRACK_USAGE", "value": "false"},
    {"name": "VLLM_NO_USAGE_STATS", "value": "1"},
    {"name": "DO_NOT_TRACK", "value": "1"},
    {"name": "PYTHONHASHSEED", "value": "0"},
]
_CONFINED: Final = {
    "allowPrivilegeEscalation": False,
    "capabilities": {"drop": ["ALL"]},
    "seccompProfile": {"type": "RuntimeDefault"},
}
_SHM_MOUNT: Final[Body] = {"name": "shm", "mountPath": "/dev/shm"}  # noqa: S108 - the kernel's path
_WAY_TO_THE_HUB: Final = frozenset(
    {"ALL_PROXY", "HF_ENDPOINT", "HTTPS_PROXY", "HTTP_PROXY", "NO_PROXY", "SSL_CERT_DIR", "SSL_CERT_FILE"}
)
_LOG_LEVELS: Final = {
    LogLevel.DEBUG: "DEBUG",
    LogLevel.INFO: "INFO",
    LogLevel.WARNING: "WARNING",
    LogLevel.ERROR: "ERROR",
}
# A 70B model that loads from a slow volume takes many minutes; pinning 1.2 TiB of memory at 1 GB/s takes twenty.
_STARTUP_MINUTES: Final = 60


def build_stateful_set(scope: Scope, config_name: str | None) -> Manifest:
    """Return the StatefulSet; config_name is None where there is no configuration to mount. OnDelete: the operator decides which pod is replaced when, never the StatefulSet."""
    identity = scope.identity
    labels = names.selector_labels(identity.name)
    content: Body = {
        "spec": {
            "replicas": scope.settled.replicas,
            "serviceName": names.headless_name(identity.name),
            "podManagementPolicy": "Parallel",
            "updateStrategy": {"type": "OnDelete"},
            "revisionHistoryLimit": 10,
            "selector": {"matchLabels": labels},
            "template": {
                "metadata": {
                    "labels": names.object_labels(identity.name)
                    | labels
                    | {names.LABEL_FINGERPRINT: scope.fingerprint},
                },
                "spec": build_pod_spec(scope, config_name),
            },
        }
    }
    return build_manifest(
        STATEFUL_SET,
        identity,
        identity.name,
        content,
        labels={names.LABEL_COMPONENT: names.COMPONENT_ENGINE},
        annotations={names.ANNOTATION_TEMPLATE_HASH: hash_content(content["spec"]["template"])},
    )


def build_pod_spec(scope: Scope, config_name: str | None) -> Body:
    """Return the pod's spec."""
    sizes = compute_sizes(scope.settled)
    graces = compute_graces(scope.settled.drain_seconds)
    isolated = Feature.ISOLATED_IPC in scope.pair.features
    spec: Body = {
        "serviceAccountName": scope.identity.name,
        "automountServiceAccountToken": False,
        # Service links would set VLLM_PORT for a Service named vllm, which vLLM reads as its own setting.
        "enableServiceLinks": False,
        "terminationGracePeriodSeconds": graces.termination,
        "initContainers": [*_weights_containers(scope), *_cache_containers(scope, sizes)],
        # Without isolated IPC the two processes hand each other memory by file and by process id, which must differ.
        **({} if isolated or sizes.cache is None else {"shareProcessNamespace": True}),
        "containers": [_engine_container(scope, sizes, graces)],
        "volumes": [
            _weights_volume(scope),
            {"name": "shm", "emptyDir": {"medium": "Memory", "sizeLimit": format_gib(sizes.shm)}},
            *([{"name": "config", "configMap": {"name": config_name, "defaultMode": 0o444}}] if config_name else []),
            *build_agent_volumes(scope),
            *build_ca_volumes(scope),
        ],
    }
    if affinity := build_affinity(scope.settled.spec.nodes):
        spec["affinity"] = affinity
    if tolerations := build_tolerations(scope.settled.spec.nodes):
        spec["tolerations"] = tolerations
    return spec


def _weights_containers(scope: Scope) -> list[Body]:
    hub = scope.settled.spec.model.source.hugging_face
    if hub is None:
        return []
    env: list[Body] = [*_QUIET, *build_agent_env()]
    # The way to the hub or its mirror; the engine itself is offline.
    env += [item for item in _extra_env(scope) if item["name"] in _WAY_TO_THE_HUB]
    if hub.token_secret_ref is not None:
        reference = {"name": hub.token_secret_ref.name, "key": hub.token_secret_ref.key}
        env.append({"name": "HF_TOKEN", "valueFrom": {"secretKeyRef": reference}})
    return [
        {
            "name": names.WEIGHTS_CONTAINER,
            "image": scope.image,
            "command": list(FETCH_COMMAND),
            "args": [
                f"--repository={hub.repository}",
                f"--revision={hub.revision}",
                f"--directory={weights_path(scope.fingerprint)}",
            ],
            "env": env,
            "resources": {"requests": WEIGHTS.requests, "limits": WEIGHTS.limits},
            # Its last line says why, and then stands in the status of the pod.
            "terminationMessagePolicy": "FallbackToLogsOnError",
            "securityContext": _CONFINED,
            "volumeMounts": [
                {"name": "weights", "mountPath": MODELS_ROOT},
                *build_agent_mounts(),
            ],
        }
    ]


def _weights_volume(scope: Scope) -> Body:
    source = scope.settled.spec.model.source
    if source.persistent_volume_claim is not None:
        claim = source.persistent_volume_claim.claim_name
        return {"name": "weights", "persistentVolumeClaim": {"claimName": claim, "readOnly": True}}
    if source.image is not None:
        policy = source.image.pull_policy or PullPolicy.IF_NOT_PRESENT
        return {"name": "weights", "image": {"reference": source.image.reference, "pullPolicy": policy.value}}
    return {"name": "weights", "emptyDir": {}}


def _weights_mount(scope: Scope) -> Body:
    """Mount the weights so that their path holds the fingerprint: it is the model part of every object key."""
    source = scope.settled.spec.model.source
    mounted = source.persistent_volume_claim or source.image
    if mounted is None:
        return {"name": "weights", "mountPath": MODELS_ROOT, "readOnly": True}
    mount: Body = {"name": "weights", "mountPath": weights_path(scope.fingerprint), "readOnly": True}
    return mount | ({"subPath": mounted.path} if mounted.path else {})


def _log_level(scope: Scope, *names_: str) -> list[Body]:
    return [{"name": name, "value": _LOG_LEVELS[scope.settled.log_level]} for name in names_]


def _cache_containers(scope: Scope, sizes: Sizes) -> list[Body]:
    if sizes.cache is None:
        return []
    env: list[Body] = [
        *_QUIET,
        *_log_level(scope, "LMCACHE_LOG_LEVEL"),
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
    container: Body = {
        "name": names.CACHE_CONTAINER,
        "image": scope.image,
        "restartPolicy": "Always",
        "command": ["lmcache", "server"],
        "args": build_cache_args(scope),
        "env": env,
        "ports": [{"name": "cache-http", "containerPort": names.CACHE_HTTP_PORT, "protocol": "TCP"}],
        "startupProbe": _http_probe("/healthcheck", names.CACHE_HTTP_PORT, period=5, failures=_STARTUP_MINUTES * 12),
        "resources": {"requests": sizes.cache.requests, "limits": sizes.cache.limits},
        "securityContext": _CONFINED,
        "volumeMounts": [
            {"name": "config", "mountPath": CONFIG_MOUNT, "readOnly": True},
            *([] if Feature.ISOLATED_IPC in scope.pair.features else [_SHM_MOUNT]),
            *build_ca_mounts(scope),
        ],
    }
    return [container]


def _extra_env(scope: Scope) -> list[Body]:
    engine = scope.settled.spec.engine
    return [
        # The API server leaves out an empty value.
        {"name": item.name, **({"value": escape_references(item.value)} if item.value else {})}
        if item.secret_key_ref is None
        else {
            "name": item.name,
            "valueFrom": {"secretKeyRef": {"name": item.secret_key_ref.name, "key": item.secret_key_ref.key}},
        }
        for item in sorted((engine.extra_env if engine else None) or [], key=lambda item: item.name)
    ]


def _engine_container(scope: Scope, sizes: Sizes, graces: Graces) -> Body:
    gpus = {names.GPU_RESOURCE: str(sizes.gpus)}
    return {
        "name": names.ENGINE_CONTAINER,
        "image": scope.image,
        "command": ["vllm", "serve"],
        "args": build_engine_args(scope),
        "env": [
            *_QUIET,
            {"name": "HF_HUB_OFFLINE", "value": "1"},
            *_log_level(scope, "VLLM_LOGGING_LEVEL", "LMCACHE_LOG_LEVEL"),
            *_extra_env(scope),
        ],
        "ports": [{"name": "http", "containerPort": names.ENGINE_PORT, "protocol": "TCP"}],
        # Readiness never asks the cache tier: storage trouble costs hits, not requests.
        "startupProbe": _http_probe("/health", names.ENGINE_PORT, period=10, failures=_STARTUP_MINUTES * 6),
        "readinessProbe": _http_probe("/health", names.ENGINE_PORT, period=5, failures=3),
        "livenessProbe": _http_probe("/health", names.ENGINE_PORT, period=10, failures=6),
        "lifecycle": {"preStop": {"sleep": {"seconds": graces.deregister}}},
        "resources": {"requests": sizes.engine.requests | gpus, "limits": sizes.engine.limits | gpus},
        "securityContext": _CONFINED,
        "volumeMounts": [_weights_mount(scope), _SHM_MOUNT],
    }


def _http_probe(path: str, port: int, *, period: int, failures: int) -> dict[str, Any]:
    return {
        "httpGet": {"path": path, "port": port},
        "periodSeconds": period,
        "timeoutSeconds": 5,
        "failureThreshold": failures,
    }
