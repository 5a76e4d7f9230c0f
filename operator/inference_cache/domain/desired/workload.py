"""The StatefulSet and its pod: weights first, then the cache server as native sidecar, then the engine.

One pod, one lifecycle: a cache server that restarts under a serving engine is dangerous (LMCache#4642), so it starts
before the engine, stops after it, and its memory is accounted to the pod. Nothing needs host namespaces or privileges.
The template depends on spec, fabric and the deployment's transport, never on single nodes. Where the spec allows RDMA,
pods are made for RDMA or for TCP, and a label says of which specification they are, whatever their transport.
"""

from dataclasses import replace
from typing import Final

from inference_cache.api.model import PullPolicy
from inference_cache.api.quantities import format_gib
from inference_cache.domain import names
from inference_cache.domain.attachment import TCP_ONLY, Variant
from inference_cache.domain.eligibility import list_pod_labels
from inference_cache.domain.fingerprint import MODELS_ROOT, weights_path
from inference_cache.domain.graces import Graces, compute_graces
from inference_cache.domain.kinds import STATEFUL_SET
from inference_cache.domain.manifest import Body, Manifest, build_manifest, hash_content
from inference_cache.domain.scope import Scope
from inference_cache.domain.sizing import WEIGHTS, Sizes, compute_sizes
from inference_cache.domain.versions import Feature

from .agent import FETCH_COMMAND, build_agent_env, build_agent_mounts, build_agent_volumes
from .attached import build_networks_annotation, build_pod_claims, build_resource_claim_template, find_attachment
from .cache_server import build_cache_containers, build_run_volumes
from .config import build_config_map
from .options import build_engine_args, escape_references
from .placement import build_affinity, build_tolerations
from .process import CONFINED, QUIET, SHM_MOUNT, STARTUP_MINUTES, build_http_probe, build_log_level
from .trust import build_ca_volumes

_WAY_TO_THE_HUB: Final = frozenset(
    {"ALL_PROXY", "HF_ENDPOINT", "HTTPS_PROXY", "HTTP_PROXY", "NO_PROXY", "SSL_CERT_DIR", "SSL_CERT_FILE"}
)


def build_stateful_set(scope: Scope, config_name: str | None) -> Manifest:
    """Return the StatefulSet; config_name is None where there is no configuration to mount. OnDelete: the operator decides which pod is replaced when, never the StatefulSet."""
    identity = scope.identity
    template = build_template(scope, config_name)
    if scope.settled.wants_rdma:
        # Those that are made for TCP say what the specification is but for the transport.
        template["metadata"]["labels"] |= {
            names.LABEL_TRANSPORT: (Variant.RDMA if scope.transport.variant is Variant.RDMA else Variant.TCP).value,
            names.LABEL_WORKLOAD_HASH: _hash_workload(scope),
        }
        if scope.transport.variant is Variant.RDMA and scope.transport.required:
            template["metadata"].setdefault("annotations", {})[names.ANNOTATION_TRANSPORT_REQUIRED] = "true"
    content: Body = {
        "spec": {
            "replicas": scope.settled.replicas,
            "serviceName": names.headless_name(identity.name),
            "podManagementPolicy": "Parallel",
            "updateStrategy": {"type": "OnDelete"},
            "revisionHistoryLimit": 10,
            "selector": {"matchLabels": names.selector_labels(identity.name)},
            "template": template,
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


def build_template(scope: Scope, config_name: str | None) -> Body:
    """Return the template of the pods, without the labels that tell pods for RDMA from those for TCP."""
    name = scope.identity.name
    labels = names.object_labels(name) | names.selector_labels(name) | {names.LABEL_FINGERPRINT: scope.fingerprint}
    metadata: Body = {"labels": labels}
    if annotations := build_networks_annotation(find_attachment(scope)):
        metadata["annotations"] = annotations
    return {"metadata": metadata, "spec": build_pod_spec(scope, config_name)}


def _hash_workload(scope: Scope) -> str:
    plain = replace(scope, transport=TCP_ONLY)
    config = build_config_map(plain)
    return hash_content(build_template(plain, config.name if config else None))


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
        "initContainers": [*_weights_containers(scope), *build_cache_containers(scope, sizes)],
        # Without isolated IPC the two processes hand each other memory by file and by process id, which must differ.
        **({} if isolated or sizes.cache is None else {"shareProcessNamespace": True}),
        "containers": [_engine_container(scope, sizes, graces)],
        "volumes": [
            _weights_volume(scope),
            {"name": "shm", "emptyDir": {"medium": "Memory", "sizeLimit": format_gib(sizes.shm)}},
            *([{"name": "config", "configMap": {"name": config_name, "defaultMode": 0o444}}] if config_name else []),
            *build_agent_volumes(scope),
            *build_run_volumes(scope),
            *build_ca_volumes(scope),
        ],
    }
    if claims := build_pod_claims(build_resource_claim_template(scope)):
        spec["resourceClaims"] = claims
    labels = list_pod_labels(scope.settled, scope.transport)
    attachment = find_attachment(scope)
    of_fabric = attachment.node_selector if attachment else ()
    if affinity := build_affinity(scope.settled.spec.nodes, labels, of_fabric):
        spec["affinity"] = affinity
    if tolerations := build_tolerations(scope.settled.spec.nodes):
        spec["tolerations"] = tolerations
    return spec


def _weights_containers(scope: Scope) -> list[Body]:
    hub = scope.settled.spec.model.source.hugging_face
    if hub is None:
        return []
    env: list[Body] = [*QUIET, *build_agent_env()]
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
            "securityContext": CONFINED,
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
            *QUIET,
            {"name": "HF_HUB_OFFLINE", "value": "1"},
            *build_log_level(scope, "VLLM_LOGGING_LEVEL", "LMCACHE_LOG_LEVEL"),
            *_extra_env(scope),
        ],
        "ports": [{"name": "http", "containerPort": names.ENGINE_PORT, "protocol": "TCP"}],
        # Readiness never asks the cache tier: storage trouble costs hits, not requests.
        "startupProbe": build_http_probe("/health", names.ENGINE_PORT, period=10, failures=STARTUP_MINUTES * 6),
        "readinessProbe": build_http_probe("/health", names.ENGINE_PORT, period=5, failures=3),
        "livenessProbe": build_http_probe("/health", names.ENGINE_PORT, period=10, failures=6),
        "lifecycle": {"preStop": {"sleep": {"seconds": graces.deregister}}},
        "resources": {"requests": sizes.engine.requests | gpus, "limits": sizes.engine.limits | gpus},
        "securityContext": CONFINED,
        "volumeMounts": [_weights_mount(scope), SHM_MOUNT],
    }
