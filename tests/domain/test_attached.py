"""RDMA pods and TCP pods of one specification: what differs, what must not, and what the pod is told."""

import json
from dataclasses import replace
from typing import Any, Final

import pytest
from hypothesis import given, settings

from cache_agent.preflight_config import parse_config
from inference_cache.api.store_plugin import ObjectNames
from inference_cache.domain import names
from inference_cache.domain.attachment import TCP_ONLY, Attachment, Network, TransportChoice, Variant
from inference_cache.domain.compatibility import check_compatibility
from inference_cache.domain.desired import build_desired
from inference_cache.domain.desired.adapters import build_rdma_adapter, build_tcp_adapter
from inference_cache.domain.desired.attached import RUN_MOUNT, TRANSPORT_KEY, find_attachment
from inference_cache.domain.desired.workload import build_stateful_set
from inference_cache.domain.kinds import RESOURCE_CLAIM_TEMPLATE, STATEFUL_SET
from inference_cache.domain.scope import Scope
from inference_cache.domain.sizing import compute_sizes
from inference_cache.domain.verdict import Truth
from tests.domain.rendered import Rendered, env, flag, render_scope
from tests.golden.cases import CASES, choose_rdma, load_scope
from tests.property.strategies import Spec, specs
from tests.support.builders import PLATFORM, build_sample_scope, build_scope, settle_spec

_STORE: Final = "cache.tiers.1.objectStore"
_RESOURCE: Final = "nvidia.com/storage_vf"
_PLUGIN: Final[dict[str, Any]] = {
    f"{_STORE}.client": "Plugin",
    f"{_STORE}.plugin": {"modulePath": "vendor.adapter", "className": "Adapter", "objectNames": "LMCacheS3"},
}
_OWN: Final = _PLUGIN | {f"{_STORE}.plugin.objectNames": "Own"}
_RDMA: Final = _PLUGIN | {"transport.rdma": {"resourceName": _RESOURCE, "networks": [{"name": "a"}, {"name": "b"}]}}
_ATTACHED: Final = [case for case in CASES if find_attachment(load_scope(case)) is not None]


def _build(changes: dict[str, Any]) -> tuple[Rendered, Rendered]:
    """Return the objects of RDMA pods and those of TCP pods."""
    scope = choose_rdma(build_sample_scope(changes))
    return render_scope("rdma", scope), render_scope("tcp", replace(scope, transport=TCP_ONLY))


def _labels(rendered: Rendered) -> dict[str, str]:
    return dict(rendered.workload["spec"]["template"]["metadata"]["labels"])


def _preflight(rendered: Rendered) -> dict[str, Any]:
    container = rendered.container(names.PREFLIGHT_CONTAINER)
    assert container is not None
    return container


def _cache(rendered: Rendered) -> dict[str, Any]:
    assert rendered.cache is not None
    return rendered.cache


def test_spec_that_asks_for_no_rdma_is_rendered_as_if_there_were_none() -> None:
    plain = build_sample_scope(_PLUGIN)
    for transport in ({"policy": "TCP", "rdma": {"resourceName": _RESOURCE}}, {"policy": "Auto"}, {"policy": "TCP"}):
        other = choose_rdma(build_sample_scope(_PLUGIN | {"transport": transport}))
        assert [item.body for item in build_desired(other)] == [item.body for item in build_desired(plain)]
    assert not {names.LABEL_TRANSPORT, names.LABEL_WORKLOAD_HASH} & _labels(render_scope("plain", plain)).keys()


def test_labels_tell_the_transport_and_one_specification() -> None:
    rdma, tcp = map(_labels, _build(_RDMA))
    assert (rdma.pop(names.LABEL_TRANSPORT), tcp.pop(names.LABEL_TRANSPORT)) == ("RDMA", "TCP")
    assert rdma == tcp
    assert rdma[names.LABEL_WORKLOAD_HASH]


@pytest.mark.parametrize(
    ("changes", "same"),
    [
        ({"transport.rdma.networks": [{"name": "c"}]}, True),
        ({"transport.lockedMemory": "NodeUnlimited"}, True),
        ({"transport.policy": "RequireRDMA"}, True),
        ({"replicas": 7}, True),
        ({"cache.tiers.0.memory.size": "64Gi"}, False),
        ({"engine.gpuMemoryUtilizationPercent": 50}, False),
        ({f"{_STORE}.region": "eu-1"}, False),
    ],
)
def test_hash_of_the_specification_is_that_without_the_transport(changes: dict[str, Any], same: bool) -> None:
    before, after = (_labels(_build(form)[0])[names.LABEL_WORKLOAD_HASH] for form in (_RDMA, _RDMA | changes))
    assert (before == after) is same


def test_tcp_pods_have_the_labels_and_nothing_else_of_rdma() -> None:
    _, tcp = _build(_RDMA)
    plain = render_scope("plain", build_sample_scope(_PLUGIN))
    labels = tcp.workload["spec"]["template"]["metadata"]["labels"]
    assert {labels.pop(names.LABEL_TRANSPORT), len(labels.pop(names.LABEL_WORKLOAD_HASH))} == {"TCP", 16}
    assert tcp.workload["spec"] == plain.workload["spec"]


@pytest.mark.parametrize("case", _ATTACHED)
def test_preflight_judges_in_the_context_of_the_cache_server(case: str) -> None:
    rendered = render_scope(case, load_scope(case))
    order = [item["name"] for item in rendered.containers]
    expected = [names.WEIGHTS_CONTAINER, names.PREFLIGHT_CONTAINER, names.CACHE_CONTAINER, names.ENGINE_CONTAINER]
    assert order == [name for name in expected if name in order]
    preflight, cache = _preflight(rendered), _cache(rendered)
    assert "restartPolicy" not in preflight
    for same in ("image", "securityContext", "env"):
        assert preflight[same] == cache[same]
    own = compute_sizes(rendered.scope.settled).cache
    assert own is not None
    devices = {key: value for key, value in cache["resources"]["limits"].items() if key not in own.limits}
    assert devices.items() <= preflight["resources"]["limits"].items()
    assert preflight["resources"].get("claims") == cache["resources"].get("claims")


@pytest.mark.parametrize("case", _ATTACHED)
def test_devices_are_requested_as_they_are_limited_and_the_engine_gets_none(case: str) -> None:
    scope = load_scope(case)
    rendered = render_scope(case, scope)
    attachment = scope.transport.attachment
    assert attachment is not None
    for container in rendered.containers:
        wants = container["name"] in {names.PREFLIGHT_CONTAINER, names.CACHE_CONTAINER}
        count = str(attachment.count) if wants and attachment.resource_name else None
        resources = container["resources"]
        assert resources["requests"].get(attachment.resource_name) == count
        assert resources["limits"].get(attachment.resource_name) == count


def test_override_of_resources_never_takes_the_devices() -> None:
    everything = {"cpu": "3", "memory": "2000Gi", "ephemeral-storage": "1Gi"}
    rdma, _ = _build(_RDMA | {"cache.resources": {"requests": everything, "limits": everything}})
    assert _cache(rdma)["resources"]["requests"][_RESOURCE] == "2"
    assert _cache(rdma)["resources"]["limits"] == {**everything, "memory": "2000Gi", _RESOURCE: "2"}


@pytest.mark.parametrize(
    ("chosen", "added"), [("IPCLock", ["IPC_LOCK"]), ("NodeUnlimited", None), (None, ["IPC_LOCK"])]
)
def test_right_to_lock_memory(chosen: str | None, added: list[str] | None) -> None:
    rdma, _ = _build(_RDMA | ({"transport.lockedMemory": chosen} if chosen else {}))
    for container in rdma.containers:
        wants = container["name"] in {names.PREFLIGHT_CONTAINER, names.CACHE_CONTAINER}
        assert container["securityContext"]["capabilities"].get("add") == (added if wants else None)


def test_networks_are_named_in_the_form_that_leaves_nothing_to_multus() -> None:
    rdma, tcp = _build(_RDMA | {"transport.rdma.networks": [{"name": "a"}, {"name": "b", "namespace": "fabric"}]})
    text = rdma.workload["spec"]["template"]["metadata"]["annotations"][names.ANNOTATION_NETWORKS]
    assert json.loads(text) == [
        {"name": "a", "namespace": "inference", "interface": "net1"},
        {"name": "b", "namespace": "fabric", "interface": "net2"},
    ]
    assert "annotations" not in tcp.workload["spec"]["template"]["metadata"]


def test_no_argument_of_the_template_names_an_adapter() -> None:
    rdma, tcp = _build(_RDMA)
    assert flag(_cache(rdma), "--l2-adapter") is None
    assert flag(_cache(tcp), "--l2-adapter") is not None
    tcp_args = [item for item in _cache(tcp)["args"] if not item.startswith("--l2-adapter=")]
    assert _cache(rdma)["args"] == tcp_args
    command = _cache(rdma)["command"]
    assert command[-4:] == [f"--run-directory={RUN_MOUNT}", "--", "lmcache", "server"]
    assert "PYTHONPATH" not in env(_cache(rdma)), "the image's own would be hidden"


def test_choice_is_written_by_the_preflight_alone() -> None:
    rdma, _ = _build(_RDMA)
    mounts = {
        item["name"]: [mount for mount in item["volumeMounts"] if mount["name"] == "run"] for item in rdma.containers
    }
    assert mounts[names.PREFLIGHT_CONTAINER] == [{"name": "run", "mountPath": RUN_MOUNT}]
    assert mounts[names.CACHE_CONTAINER] == [{"name": "run", "mountPath": RUN_MOUNT, "readOnly": True}]
    assert mounts[names.ENGINE_CONTAINER] == []


def test_plugin_with_names_of_its_own_runs_without_the_store_where_it_has_nothing_for_tcp() -> None:
    _, tcp = _build(_OWN | {"transport.rdma": {"resourceName": _RESOURCE}})
    assert not [item for item in _cache(tcp)["args"] if item.startswith("--l2-")]


def test_text_of_the_spec_is_no_reference_for_the_kubelet() -> None:
    parameters = [{"name": "path", "value": "$(HOME)/x"}]
    _, tcp = _build(_OWN | {f"{_STORE}.plugin.tcpParameters": parameters})
    assert '"path":"$$(HOME)/x"' in (flag(_cache(tcp), "--l2-adapter") or "")


@pytest.mark.parametrize(
    "addressing", [{f"{_STORE}.addressing": "Path"}, {f"{_STORE}.tls": {"caRef": {"configMap": "ca"}}}]
)
def test_s3_client_stands_in_only_where_it_can_reach_the_store(addressing: dict[str, Any]) -> None:
    """The API takes such a plugin with RequireRDMA, for which nothing stands in."""
    changes = _RDMA | {"transport.policy": "RequireRDMA", f"{_STORE}.endpoint": "https://store.internal"}
    assert build_tcp_adapter(build_sample_scope(changes).settled) is not None
    assert build_tcp_adapter(build_sample_scope(changes | addressing).settled) is None


@pytest.mark.parametrize("case", _ATTACHED)
def test_pod_understands_what_it_is_told(case: str) -> None:
    scope = load_scope(case)
    rendered = render_scope(case, scope)
    (text,) = (item["data"][TRANSPORT_KEY] for item in rendered.find("ConfigMap") if TRANSPORT_KEY in item["data"])
    config = parse_config(json.loads(text))
    assert (config.rdma, config.tcp) == (build_rdma_adapter(scope.settled), build_tcp_adapter(scope.settled))
    assert config.required is scope.transport.required
    assert config.memlock == compute_sizes(scope.settled).locked_memory
    attachment = scope.transport.attachment
    assert attachment is not None
    assert config.networks == tuple(item.interface for item in attachment.networks)
    assert config.resource == (attachment.resource_name or "")
    assert config.link_type == (attachment.link_type.value if attachment.link_type else "")
    assert config.store is not None


def test_claims_take_the_place_of_extended_resources() -> None:
    scope = load_scope("rdma-dra")
    objects = build_desired(scope)
    kinds = [item.kind for item in objects]
    (template,) = (item for item in objects if item.kind is RESOURCE_CLAIM_TEMPLATE)
    assert kinds.index(RESOURCE_CLAIM_TEMPLATE) < kinds.index(STATEFUL_SET)
    assert [item["name"] for item in template.body["spec"]["spec"]["devices"]["requests"]] == ["nic-0", "nic-1"]
    rendered = render_scope("rdma-dra", scope)
    assert rendered.pod["resourceClaims"] == [{"name": "rdma", "resourceClaimTemplateName": template.name}]
    attachment = scope.transport.attachment
    assert attachment is not None
    other = replace(scope, transport=replace(scope.transport, attachment=replace(attachment, count=1)))
    (changed,) = (item for item in build_desired(other) if item.kind is RESOURCE_CLAIM_TEMPLATE)
    assert changed.name != template.name, "the spec of a template cannot be changed"


def test_required_rdma_is_rendered_before_anybody_knows_the_devices() -> None:
    scope = replace(build_sample_scope(_RDMA), transport=TransportChoice(Variant.RDMA, None, required=True))
    rendered = render_scope("unknown", scope)
    assert _preflight(rendered)
    assert list(rendered.workload["spec"]["template"]["metadata"]["annotations"]) == [
        names.ANNOTATION_TRANSPORT_REQUIRED
    ]


def test_pods_without_a_cache_have_no_preflight() -> None:
    scope = build_sample_scope(_RDMA | {"cache.mode": "Disabled"})
    attachment = Attachment(None, _RESOURCE, None, 1, (Network("a", "b", "net1"),), per_network=True, link_type=None)
    rendered = render_scope("disabled", replace(scope, transport=TransportChoice(Variant.RDMA, attachment)))
    assert [item["name"] for item in rendered.pod["initContainers"]] == [names.WEIGHTS_CONTAINER]
    assert "storage_vf" not in json.dumps(rendered.pod)


def test_nodes_of_the_fabric_bind_pods_for_rdma_alone() -> None:
    scope = build_sample_scope(_RDMA)
    attachment = Attachment(
        "storage", _RESOURCE, None, 1, (), per_network=True, link_type=None, node_selector=(("pool", "rdma"),)
    )
    free = replace(attachment, node_selector=())
    bound, loose = (
        render_scope("bound", replace(scope, transport=TransportChoice(Variant.RDMA, item)))
        for item in (attachment, free)
    )
    tcp = render_scope("tcp", replace(scope, transport=TransportChoice(Variant.TCP)))
    wanted = {"key": "pool", "operator": "In", "values": ["rdma"]}
    found = [wanted in _list_expressions(item.pod) for item in (bound, loose, tcp)]
    assert found == [True, False, False]
    hashes = {
        build_stateful_set(replace(scope, transport=TransportChoice(Variant.RDMA, item)), None).body["spec"][
            "template"
        ]["metadata"]["labels"][names.LABEL_WORKLOAD_HASH]
        for item in (attachment, free)
    }
    assert len(hashes) == 1


def _list_expressions(pod: dict[str, Any]) -> list[dict[str, Any]]:
    required = (
        (pod.get("affinity") or {}).get("nodeAffinity", {}).get("requiredDuringSchedulingIgnoredDuringExecution", {})
    )
    return [item for term in required.get("nodeSelectorTerms", []) for item in term["matchExpressions"]]


_NAMES_OF: Final = {"s3": ObjectNames.LMCACHE_S3, "nixl_native": ObjectNames.NIXL}


def _find_names(scope: Scope, adapter: dict[str, Any]) -> str:
    """Return how an adapter names objects: those of LMCache by their kind, a vendor's as the spec declares it."""
    plugin = scope.settled.object_store.plugin if scope.settled.object_store else None
    if adapter["type"] != "plugin":
        return _NAMES_OF[adapter["type"]].value
    assert plugin is not None
    own = f"{adapter['module_path']}:{adapter['class_name']}"
    return own if plugin.object_names is ObjectNames.OWN else plugin.object_names.value


@settings(max_examples=150, derandomize=True, deadline=None)
@given(specs())
def test_both_transports_find_the_same_objects(spec: Spec) -> None:
    scope = build_scope(settle_spec(spec))
    adapters = [build_rdma_adapter(scope.settled), build_tcp_adapter(scope.settled)]
    assert len({_find_names(scope, adapter) for adapter in adapters if adapter}) <= 1


def test_some_specs_have_both_transports() -> None:
    both = [
        case
        for case in CASES
        if build_rdma_adapter(load_scope(case).settled) and build_tcp_adapter(load_scope(case).settled)
    ]
    assert len(both) >= 4


@settings(max_examples=60, derandomize=True, deadline=None)
@given(specs())
def test_rdma_pods_of_any_spec_are_rendered_the_same_each_time(spec: Spec) -> None:
    scope = choose_rdma(build_scope(settle_spec(spec)))
    assert repr(build_desired(scope)) == repr(build_desired(choose_rdma(build_scope(settle_spec(spec)))))
    if (
        find_attachment(scope) is None
        or check_compatibility(scope.settled, scope.pair, PLATFORM.kubernetes).status is not Truth.TRUE
    ):
        return
    (text,) = (
        item["data"][TRANSPORT_KEY]
        for item in render_scope("x", scope).find("ConfigMap")
        if TRANSPORT_KEY in item["data"]
    )
    parse_config(json.loads(text))
