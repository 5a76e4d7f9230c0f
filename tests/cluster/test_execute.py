"""In which order writes go out, and which pods are left alone at the last moment."""

import asyncio
import copy
from dataclasses import replace
from typing import Any

import pytest

from inference_cache.cluster.cache import ObjectCache
from inference_cache.cluster.errors import NotLeaderError
from inference_cache.cluster.execute import Executor
from inference_cache.cluster.gateway import Gateway
from inference_cache.domain.desired import build_desired
from inference_cache.domain.kinds import CONFIG_MAP, POD, SERVICE_ACCOUNT, STATEFUL_SET, Kind
from inference_cache.domain.live import Live
from inference_cache.domain.manifest import Manifest
from inference_cache.domain.plan import Create, Scale
from inference_cache.domain.pod_facts import PodFacts, project_pod
from tests.support.builders import IDENTITY, build_sample_scope, observe, observe_all


class _Recorder(Gateway):
    """A gateway without a cluster: remembers what it was asked, and answers from a table."""

    def __init__(self, objects: dict[tuple[Kind, str], Any] | None = None) -> None:
        self.done: list[str] = []
        self._objects = objects or {}

    async def create(self, manifest: Manifest) -> Live:
        if manifest.kind in {CONFIG_MAP, SERVICE_ACCOUNT}:
            for _ in range(20):
                await asyncio.sleep(0)
        self.done.append(str(manifest.kind))
        return observe(manifest)

    async def read(self, kind: Kind, namespace: str, name: str) -> Any:
        assert namespace == IDENTITY.namespace
        return self._objects.get((kind, name))

    async def delete(
        self, kind: Kind, namespace: str, name: str, *, uid: str, resource_version: str | None = None
    ) -> None:
        self.done.append(f"delete {kind} {namespace}/{name} {uid} {resource_version}")


def test_stateful_set_is_created_after_all_that_its_pods_refer_to() -> None:
    gateway = _Recorder()
    actions = tuple(Create(manifest) for manifest in build_desired(build_sample_scope()))
    asyncio.run(Executor(gateway, ObjectCache()).execute(IDENTITY, actions, repairing=False))
    assert sorted(gateway.done) == sorted(str(action.manifest.kind) for action in actions)
    workload = gateway.done.index("StatefulSet")
    assert {"ConfigMap", "ServiceAccount"} <= set(gateway.done[:workload])


_STATEFUL_SET = {"metadata": {"uid": "set"}, "status": {"updateRevision": "new"}}


def _pod(**changes: Any) -> dict[str, Any]:
    pod: dict[str, Any] = {
        "metadata": {
            "namespace": IDENTITY.namespace,
            "name": "pod-0",
            "uid": "u",
            "resourceVersion": "7",
            "labels": {"controller-revision-hash": "old"},
            "ownerReferences": [{"uid": "set", "controller": True}],
        },
        "status": {"conditions": [{"type": "Ready", "status": "True"}]},
    }
    pod["metadata"] |= {key: value for key, value in changes.items() if key != "status"}
    pod["status"] |= changes.get("status", {})
    return pod


def _replace(seen: PodFacts, live: dict[str, Any] | None) -> list[str]:
    gateway = _Recorder({(STATEFUL_SET, IDENTITY.name): _STATEFUL_SET, (POD, "pod-0"): live})
    asyncio.run(Executor(gateway, ObjectCache()).replace_pods(IDENTITY, (seen,), "new"))
    return gateway.done


def test_outdated_pod_is_deleted_with_its_uid_and_version() -> None:
    assert _replace(project_pod(_pod()), _pod()) == [f"delete Pod {IDENTITY.namespace}/pod-0 u 7"]


@pytest.mark.parametrize(
    "live",
    [
        None,
        _pod(uid="successor"),
        _pod(labels={"controller-revision-hash": "new"}),
        _pod(deletionTimestamp="now"),
        _pod(status={"conditions": []}),
        _pod(ownerReferences=[]),
        _pod(ownerReferences=[{"uid": "other", "controller": True}]),
    ],
    ids=["gone", "replaced", "updated", "terminating", "no longer ready", "nobody's", "somebody else's"],
)
def test_pod_that_is_not_what_was_seen_is_left_alone(live: dict[str, Any] | None) -> None:
    assert _replace(project_pod(_pod()), live) == []


def test_revision_that_changed_meanwhile_replaces_nothing() -> None:
    gateway = _Recorder({(STATEFUL_SET, IDENTITY.name): {**_STATEFUL_SET, "status": {"updateRevision": "newer"}}})
    executor = Executor(gateway, ObjectCache())
    assert asyncio.run(executor.replace_pods(IDENTITY, (project_pod(_pod()),), "new")) == []
    assert gateway.done == []


class _Connection:
    """Fails the test when a request gets through."""

    def resource(self, kind: Kind) -> Any:
        raise AssertionError(f"a request about {kind} was prepared")


def test_replica_that_does_not_lead_sends_no_write() -> None:
    def fence() -> None:
        raise NotLeaderError("no")

    connection: Any = _Connection()
    gateway = Gateway(connection, fence)
    scope = build_sample_scope()
    manifest, live = build_desired(scope)[0], observe_all(scope)[0]
    for write in (
        gateway.create(manifest),
        gateway.apply(manifest, replace(live, created_by_update=False)),
        gateway.scale(live, 2),
        gateway.apply_status(IDENTITY, {}),
        gateway.delete(live.kind, live.namespace, live.name, uid=live.uid),
        gateway.create_event({"metadata": {"namespace": "x"}}),
    ):
        with pytest.raises(NotLeaderError):
            asyncio.run(write)


def test_scale_touches_nothing_but_the_replicas() -> None:
    scope = build_sample_scope()
    workload = next(item for item in observe_all(scope) if item.kind is STATEFUL_SET)
    sent: list[Any] = []

    class Writer(_Recorder):
        async def _write(
            self, verb: str, kind: Kind, namespace: str | None, name: str | None, body: Any, **options: Any
        ) -> Any:
            sent.append((verb, str(kind), namespace, name, body, options))
            return copy.deepcopy(workload.body)

    execution = asyncio.run(Executor(Writer(), ObjectCache()).execute(IDENTITY, (Scale(workload, 5),), repairing=False))
    ((verb, kind, namespace, name, body, options),) = sent
    assert (verb, kind, namespace, name) == ("patch", "StatefulSet", IDENTITY.namespace, IDENTITY.name)
    assert body == {
        "metadata": {"uid": workload.uid, "resourceVersion": workload.resource_version},
        "spec": {"replicas": 5},
    }
    assert options == {"content_type": "application/merge-patch+json"}
    assert execution.updated == [f"StatefulSet {IDENTITY.name}"]


def _remove(seen: PodFacts, live: dict[str, Any] | None) -> list[str]:
    gateway = _Recorder({(POD, "pod-0"): live})
    asyncio.run(Executor(gateway, ObjectCache()).remove_pod(seen))
    return gateway.done


def test_refused_pod_is_deleted_with_its_uid_and_version_and_only_while_it_is_refused() -> None:
    refused = {"conditions": [], "phase": "Failed", "reason": "TopologyAffinityError"}
    seen = project_pod(_pod(status=refused))
    assert _remove(seen, _pod(status=refused)) == [f"delete Pod {IDENTITY.namespace}/pod-0 u 7"]
    for live in (None, _pod(), _pod(uid="successor", status=refused), _pod(deletionTimestamp="now", status=refused)):
        assert _remove(seen, live) == []
