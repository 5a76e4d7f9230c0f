"""Which pods are looked at before something of a fabric is taken away."""

from collections.abc import AsyncIterator
from typing import Any, cast

import pytest

from inference_cache.cluster.fabric_observer import FabricObserver, Nodes
from inference_cache.cluster.fabric_store import FabricStore
from inference_cache.cluster.gateway import Gateway
from inference_cache.domain import kinds
from inference_cache.domain.fabric.plan import Surroundings, build_desired, plan_fabric
from inference_cache.domain.plan import Delete
from inference_cache.domain.reasons import Reason
from tests.domain.fabric.fabric_facts import PLAIN, build_fabric, find_form, observe

_GOING: dict[str, Any] = {"deletionTimestamp": "x", "finalizers": ["inferencecache.io/fabric"]}


class _Pods(Gateway):
    """A gateway without a cluster: pages of pods by namespace, and for the whole cluster under None."""

    def __init__(self, pages: list[list[dict[str, Any]]]) -> None:
        self._pages = pages
        self.asked: list[tuple[str | None, int]] = []

    async def list_pages(self, *_: Any, namespace: str | None = None, **__: Any) -> AsyncIterator[dict[str, Any]]:
        pages = [[]] if namespace else self._pages
        for number, items in enumerate(pages):
            self.asked.append((namespace, number))
            yield {"metadata": {}, "items": items}


def build_pod(resource: str, phase: str = "Running") -> dict[str, Any]:
    return {
        "metadata": {"name": "alone", "namespace": "elsewhere"},
        "spec": {"containers": [{"resources": {"limits": {resource: "1"}}}]},
        "status": {"phase": phase},
    }


@pytest.mark.parametrize(
    ("case", "resource"),
    [("sriov-ethernet", "nvidia.com/storage_vf"), ("shared-macvlan-plain", "rdma/storage")],
    ids=["policy", "DaemonSet"],
)
async def test_pod_of_any_namespace_keeps_what_makes_its_resource(case: str, resource: str) -> None:
    form = find_form(build_fabric(case), plain=case.endswith(PLAIN))
    live = [observe(item) for item in build_desired(build_fabric(case), form)]
    makers = [item for item in live if item.kind in {kinds.SRIOV_POLICY, kinds.DAEMON_SET, kinds.CONFIG_MAP}]
    going, around = build_fabric(case, **_GOING), Surroundings(None, makers)
    for pods, kept in (
        ([[build_pod("cpu")], [build_pod(resource)], []], True),
        ([[build_pod("cpu"), build_pod(resource, "Succeeded")], []], False),
    ):
        gateway = _Pods(pods)
        observer = FabricObserver(gateway, cast("FabricStore", None), cast("Nodes", None), lambda _: ())
        usage = await observer.read_usage(going, around)
        plan = plan_fabric(going, around, (), usage)
        # The last page is not asked for once a user is known.
        assert [number for namespace, number in gateway.asked if namespace is None] == [0, 1]
        assert any(isinstance(item, Delete) for item in plan.actions) != kept
        assert {item.reason for item in plan.findings} == ({Reason.FabricInUse} if kept else set())
        assert not kept or all("elsewhere/alone" in item.message for item in plan.findings)


async def test_pods_of_the_whole_cluster_are_not_read_for_a_network() -> None:
    form = find_form(build_fabric("sriov-ethernet"))
    live = [observe(item) for item in build_desired(build_fabric("sriov-ethernet"), form)]
    gateway = _Pods([[]])
    observer = FabricObserver(gateway, cast("FabricStore", None), cast("Nodes", None), lambda _: ())
    await observer.read_usage(build_fabric("sriov-ethernet", **_GOING), Surroundings(None, live))
    assert None not in {namespace for namespace, _ in gateway.asked}
