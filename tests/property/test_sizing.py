"""Sizes of random deployments: what is rendered fits the nodes that are called eligible, and the tier holds its loads."""

from collections.abc import Iterable
from typing import Any, Final

from hypothesis import given, settings
from hypothesis import strategies as st

from inference_cache.api.quantities import format_amount, parse_milli
from inference_cache.domain import names
from inference_cache.domain.assemble import assemble
from inference_cache.domain.defaults import Settled
from inference_cache.domain.desired.workload import build_pod_spec
from inference_cache.domain.kv_layout import build_kv_layout
from inference_cache.domain.node_facts import NodeFacts
from inference_cache.domain.node_policy import check_nodes
from inference_cache.domain.sizing import compute_sizes
from inference_cache.domain.verdict import Truth
from tests.property.strategies import Spec, collect_specs, specs
from tests.support.builders import IDENTITY, PLATFORM, build_scope, settle_spec

_GIB: Final = 2**30
_RESOURCES: Final = ("cpu", "memory", names.HUGE_PAGES_RESOURCE, names.GPU_RESOURCE)


def _milli(container: dict[str, Any], resource: str) -> int:
    """Return a request in thousandths; a limit stands in for a request that is absent, as the API server has it."""
    resources = container["resources"]
    text = resources["requests"].get(resource) or resources["limits"].get(resource) or "0"
    return parse_milli(text)


def _effective_milli(pod: dict[str, Any], resource: str) -> int:
    """Return what the scheduler reserves for a pod: init containers run one by one, beside the sidecars before them."""
    sidecars, most = 0, 0
    for container in pod["initContainers"]:
        if container.get("restartPolicy") == "Always":
            sidecars += _milli(container, resource)
        else:
            most = max(most, sidecars + _milli(container, resource))
    return max(most, sidecars + sum(_milli(container, resource) for container in pod["containers"]))


def _free_milli(node: NodeFacts) -> dict[str, int]:
    return {
        "cpu": node.milli_cpus,
        "memory": node.memory * 1000,
        names.HUGE_PAGES_RESOURCE: node.huge_pages * 1000,
        names.GPU_RESOURCE: (node.gpus or 0) * 1000,
    }


def _set_resources(spec: Spec, resources: dict[str, Any]) -> Spec:
    """Return the spec with other overrides for both containers."""
    engine, cache = spec.get("engine", {}), spec["cache"]
    return {**spec, "engine": {**engine, "resources": resources}, "cache": {**cache, "resources": resources}}


@st.composite
def _nodes_around(draw: st.DrawFn, settled: Settled) -> NodeFacts:
    """Return a node that has about what the deployment needs, a little more or less of each, or of any size."""
    sizes = compute_sizes(settled)
    near = st.sampled_from([0, 0, 0, 1, -1])
    wanted = settled.spec.nodes
    labels = dict((wanted.selector if wanted else None) or {})
    labels |= {names.GPU_PRODUCT_LABEL: draw(st.sampled_from(["NVIDIA-H200", "NVIDIA-B200", "NVIDIA-H100-NVL"]))}
    labels |= {names.GPU_MEMORY_LABEL: "999999", names.DRIVER_MAJOR_LABEL: "9999"}
    return NodeFacts(
        name="node",
        ready=True,
        unschedulable=False,
        labels=labels,
        taints=(),
        gpus=draw(near.map(lambda step: max(0, sizes.gpus + step))),
        memory=draw(near.map(lambda step: max(0, sizes.pod_memory + step)) | st.integers(0, 4096).map(_GIB.__mul__)),
        milli_cpus=draw(near.map(lambda step: max(0, sizes.pod_milli_cpus + step)) | st.integers(0, 256_000)),
        huge_pages=draw(
            near.map(lambda step: max(0, sizes.huge_pages + step)) | st.integers(0, 4096).map(_GIB.__mul__)
        ),
    )


def test_eligible_node_has_room_for_what_is_rendered() -> None:
    eligible = 0
    chosen = collect_specs(120)

    @settings(max_examples=200, derandomize=True, deadline=None)
    @given(st.data())
    def check(data: st.DataObject) -> None:
        nonlocal eligible
        spec = data.draw(st.sampled_from(chosen))
        settled = settle_spec(data.draw(st.sampled_from([spec, _set_resources(spec, {"requests": {"cpu": "1m"}})])))
        node = data.draw(_nodes_around(settled))
        _, status = check_nodes(settled, [node])
        assert status is not None
        if not status.eligible:
            return
        eligible += 1
        pod = build_pod_spec(build_scope(settled), "config")
        free = _free_milli(node)
        wanted = {resource: _effective_milli(pod, resource) for resource in _RESOURCES}
        assert {key: value for key, value in wanted.items() if value > free[key]} == {}

    check()
    assert eligible > 20


def test_node_of_exactly_the_needed_size_is_eligible() -> None:
    for spec in collect_specs(120):
        settled = settle_spec({**spec, "nodes": {}})
        sizes = compute_sizes(settled)
        pod = build_pod_spec(build_scope(settled), "config")
        exact = {resource: _effective_milli(pod, resource) for resource in _RESOURCES}
        node = NodeFacts(
            "node",
            True,
            False,
            {},
            (),
            sizes.gpus,
            exact["memory"] // 1000,
            exact["cpu"],
            exact[names.HUGE_PAGES_RESOURCE] // 1000,
        )
        _, status = check_nodes(settled, [node])
        assert status is not None
        assert status.eligible == 1, status


def _containers(pod: dict[str, Any]) -> Iterable[dict[str, Any]]:
    return [*pod["initContainers"], *pod["containers"]]


@settings(max_examples=40, derandomize=True, deadline=None)
@given(specs())
def test_limits_are_never_below_requests_in_an_accepted_spec(spec: Spec) -> None:
    settled = settle_spec(spec)
    valid, _ = assemble(IDENTITY, settled.spec, PLATFORM).checks
    for container in _containers(build_pod_spec(build_scope(settled), "config")):
        requests, limits = container["resources"]["requests"], container["resources"]["limits"]
        assert all(parse_milli(value) > 0 for value in (*requests.values(), *limits.values()))
        for key in requests.keys() & limits.keys() if valid.status is Truth.TRUE else ():
            assert parse_milli(limits[key]) >= parse_milli(requests[key]), (container["name"], key)
        # GPUs and huge pages cannot be overcommitted: the API server refuses a request that is not its limit.
        for key in (names.GPU_RESOURCE, names.HUGE_PAGES_RESOURCE):
            assert requests.get(key) == limits.get(key)


@settings(max_examples=40, derandomize=True, deadline=None)
@given(specs())
def test_overrides_win_key_by_key(spec: Spec) -> None:
    pod = build_pod_spec(build_scope(settle_spec(spec)), "config")
    for section, name in (("engine", names.ENGINE_CONTAINER), ("cache", names.CACHE_CONTAINER)):
        wanted = spec.get(section, {}).get("resources", {})
        for container in (item for item in _containers(pod) if item["name"] == name):
            for side in ("requests", "limits"):
                given_amounts = {key: format_amount(value) for key, value in wanted.get(side, {}).items()}
                assert given_amounts.items() <= container["resources"][side].items()


def test_memory_tier_of_an_accepted_spec_holds_the_loads_in_flight() -> None:
    stored = 0
    for spec in collect_specs():
        # Random shapes and overrides are rarely ones that the tiers can do with; these are.
        shape = {"layers": 8, "attentionHeads": 16, "kvHeads": 16, "headDim": 64}
        known = {"model": {**spec["model"], "architecture": shape, "maxModelLen": 4096}}
        settled = settle_spec(_set_resources(spec | known, {}))
        valid, _ = assemble(IDENTITY, settled.spec, PLATFORM).checks
        layout, sizes = build_kv_layout(settled), compute_sizes(settled)
        assert min(sizes.shm, sizes.gpus, sizes.in_flight_loads) > 0
        assert min(sizes.memory_tier, sizes.huge_pages, sizes.locked_memory) >= 0
        if valid.status is not Truth.TRUE or layout is None or settled.object_store is None:
            continue
        stored += 1
        usable = settled.memory_bytes * settled.eviction_watermark_percent / 100
        tokens = settled.spec.model.max_model_len
        assert usable >= sizes.in_flight_loads * tokens * layout.bytes_per_token
        assert sizes.locked_memory >= settled.memory_bytes
        assert sizes.cache is not None
        assert sizes.cache.memory + sizes.huge_pages > settled.memory_bytes
    assert stored > 10
