"""Writes for a fabric: what stops which others, what belongs to somebody else, and what is deleted for good."""

import asyncio
import copy
from typing import Any, cast

import pytest

from inference_cache.cluster import fabric_store
from inference_cache.cluster.connection import Connection
from inference_cache.cluster.discovery import Discovery
from inference_cache.cluster.errors import (
    AlreadyExistsError,
    ConflictError,
    FieldConflictError,
    GoneError,
    RefusedError,
)
from inference_cache.cluster.fabric_execute import FabricExecution, FabricExecutor
from inference_cache.cluster.fabric_store import FabricStore
from inference_cache.cluster.gateway import Gateway
from inference_cache.cluster.liveness import Feeds
from inference_cache.domain import kinds
from inference_cache.domain.fabric.builders import build_fabric_manifest
from inference_cache.domain.fabric.device_plugin import POLICY_NAME
from inference_cache.domain.fabric.plan import ApplyShared, FabricAction
from inference_cache.domain.kinds import Kind
from inference_cache.domain.live import Live, project_live
from inference_cache.domain.manifest import Manifest
from inference_cache.domain.plan import Create, Delete
from inference_cache.domain.reasons import Reason
from tests.domain.fabric.fabric_facts import build_fabric

_NCP = kinds.NIC_CLUSTER_POLICY


def build(kind: Kind, name: str, namespace: str = "") -> Manifest:
    return build_fabric_manifest(kind, "storage", name, namespace, {"spec": {"master": "ens3"}})


def see(manifest: Manifest, version: str = "5", **metadata: Any) -> dict[str, Any]:
    body = copy.deepcopy(manifest.body)
    body["metadata"] |= {"uid": f"uid-{manifest.name}", "resourceVersion": version, **metadata}
    return body


NET = build(kinds.MACVLAN_NETWORK, "a")
OTHER = build(kinds.MACVLAN_NETWORK, "b")
PLUGIN = build(kinds.DAEMON_SET, "plugin", "inference-cache-fabric")
SHARED = Manifest(_NCP, POLICY_NAME, "", {"metadata": {"name": POLICY_NAME, "annotations": {}}, "spec": {"x": {}}})


class _Recorder(Gateway):
    """A gateway without a cluster: remembers what it was asked, and answers from tables."""

    def __init__(self, objects: dict[str, dict[str, Any]] | None = None, **failures: Exception) -> None:
        self.done: list[str] = []
        self.shared: dict[str, Any] = {"metadata": {"name": POLICY_NAME, "uid": "ncp", "resourceVersion": "9"}}
        self._objects = objects or {}
        self._failures = failures

    async def create(self, manifest: Manifest) -> Live:
        self.done.append(f"create {manifest.name}")
        if manifest.name in self._failures:
            raise self._failures[manifest.name]
        return project_live(manifest.kind, see(manifest))

    async def apply(self, manifest: Manifest, live: Live) -> Live:
        self.done.append(f"apply {manifest.name} {live.uid}")
        return project_live(manifest.kind, see(manifest))

    async def apply_shared(self, kind: Kind, name: str, content: dict[str, Any], live: Live | None) -> dict[str, Any]:
        assert kind is _NCP
        self.done.append(f"{'apply' if content else 'release'} {name}{f' at {live.resource_version}' if live else ''}")
        if "shared" in self._failures:
            raise self._failures["shared"]
        return {**self.shared, **({"spec": content["spec"]} if content else {})}

    async def read(self, kind: Kind, namespace: str, name: str) -> Any:
        found = self._objects.get(name)
        assert found is None or (found["kind"], found["metadata"].get("namespace", "")) == (kind.name, namespace)
        return found

    async def delete(
        self, kind: Kind, namespace: str, name: str, *, uid: str, resource_version: str | None = None
    ) -> None:
        assert (kind.namespaced, bool(namespace)) in {(True, True), (False, False)}
        self.done.append(f"delete {name} {uid} {resource_version}")


def build_store() -> FabricStore:
    """Return a store that nothing feeds."""
    nowhere = cast("Connection", None)
    return FabricStore(nowhere, cast("Gateway", None), Feeds(), Discovery(nowhere))


def execute(gateway: _Recorder, *actions: FabricAction) -> FabricExecution:
    async def run() -> FabricExecution:
        return await FabricExecutor(gateway, build_store()).execute("storage", actions)

    return asyncio.run(run())


def reasons(execution: FabricExecution) -> list[Reason]:
    return [item.reason for item in execution.findings]


def test_refusal_stops_writes_of_the_same_kind_alone() -> None:
    refusal = RefusedError(Reason.Forbidden, "post", kinds.MACVLAN_NETWORK, "a", "cannot create")
    gateway = _Recorder(a=refusal)
    found = execute(gateway, Create(NET), Create(OTHER), Create(PLUGIN))
    assert gateway.done == ["create a", "create plugin"]
    assert reasons(found) == [Reason.Forbidden]
    assert "manifests/optional/fabric-manage.yaml" in found.findings[0].message


def test_field_of_another_manager_stops_everything_but_deletions() -> None:
    live = project_live(kinds.MACVLAN_NETWORK, see(OTHER))
    gateway = _Recorder({"b": see(OTHER)}, shared=FieldConflictError("policy", [("spec.x", "helm")]))
    found = execute(gateway, ApplyShared(SHARED, None), Create(NET), Delete(live))
    assert gateway.done == [f"apply {POLICY_NAME}", "delete b uid-b 5"]
    assert reasons(found) == [Reason.FabricFieldConflict]
    assert "spec.x belongs to helm" in found.findings[0].message
    assert found.conflicts == {(_NCP, "", POLICY_NAME): Reason.FabricFieldConflict}


def test_name_that_is_taken_is_left_alone_and_stops_nobody() -> None:
    foreign = see(NET)
    del foreign["metadata"]["labels"]
    gateway = _Recorder({"a": foreign}, a=AlreadyExistsError("taken"))
    found = execute(gateway, Create(NET), Create(OTHER))
    assert gateway.done == ["create a", "create b"]
    assert reasons(found) == [Reason.NameConflict]
    assert "labels" in found.findings[0].remedy
    assert "deployment" not in found.findings[0].remedy
    assert found.conflicts == {(kinds.MACVLAN_NETWORK, "", "a"): Reason.NameConflict}


@pytest.mark.parametrize(
    ("change", "done"),
    [({}, []), ({"annotations": {"inferencecache.io/applied-hash": "older"}}, ["apply a uid-a"])],
    ids=["as wanted", "of an older spec"],
)
def test_own_object_that_was_not_seen_is_taken_back(change: dict[str, Any], done: list[str]) -> None:
    gateway = _Recorder({"a": see(NET, **change)}, a=AlreadyExistsError("taken"))
    found = execute(gateway, Create(NET))
    assert gateway.done == ["create a", *done]
    assert found.findings == []


def test_object_in_a_namespace_that_does_not_exist_names_the_namespace() -> None:
    found = execute(_Recorder(plugin=GoneError("namespaces not found")), Create(PLUGIN), Create(NET))
    assert reasons(found) == [Reason.NamespaceNotFound]
    assert "namespace inference-cache-fabric does not exist" in found.findings[0].message
    assert found.applied == ["MacvlanNetwork a"]


def test_change_meanwhile_calls_for_another_look() -> None:
    found = execute(_Recorder(shared=ConflictError("changed")), ApplyShared(SHARED, None))
    assert (found.again, found.findings) == (True, [])


def test_object_that_was_replaced_is_not_deleted() -> None:
    live = project_live(kinds.MACVLAN_NETWORK, see(NET))
    gateway = _Recorder({"a": see(NET, uid="another")})
    assert execute(gateway, Delete(live)).removed == []
    assert gateway.done == []


OWNERS: dict[str, tuple[dict[str, Any], bool]] = {
    "nobody": ({"metadata": {"managedFields": []}}, True),
    "the operator and a controller's status": (
        {"metadata": {"managedFields": [{"manager": "inference-cache-operator"}, {"manager": "m", "subresource": "status"}]}},
        True,
    ),
    "somebody": ({"metadata": {"managedFields": [{"manager": "helm"}]}}, False),
    "somebody's fields": ({"metadata": {"managedFields": []}, "spec": {"ofedDriver": {}}}, False),
}  # fmt: skip


@pytest.mark.parametrize("case", OWNERS, ids=list(OWNERS))
def test_policy_is_deleted_only_where_nobody_else_ever_wrote_to_it(case: str) -> None:
    change, gone = OWNERS[case]
    gateway = _Recorder()
    gateway.shared = {**gateway.shared, **change, "metadata": {**gateway.shared["metadata"], **change["metadata"]}}
    found = execute(gateway, ApplyShared(None, project_live(_NCP, gateway.shared)))
    assert gateway.done == [f"release {POLICY_NAME} at 9", *([f"delete {POLICY_NAME} ncp 9"] if gone else [])]
    assert len(found.removed) == 1


async def test_what_was_written_counts_until_the_watch_tells_of_it() -> None:
    store = build_store()
    reflector = store._parts[kinds.MACVLAN_NETWORK]

    def know(version: str) -> None:
        reflector._put(("", "a"), project_live(kinds.MACVLAN_NETWORK, see(NET, version)))
        reflector.synced = True

    def versions() -> list[str]:
        return [item.resource_version for item in store.own(build_fabric("shared-macvlan"))]

    know("5")
    assert versions() == ["5"]
    store.note_written(project_live(kinds.MACVLAN_NETWORK, see(NET, "8")))
    assert versions() == ["8"]
    know("7")
    assert versions() == ["8"]
    know("9")
    assert versions() == ["9"]
    reflector._put(("", "a"), None)
    assert versions() == []
    store.note_written(project_live(kinds.MACVLAN_NETWORK, see(NET, "10")))
    store.note_deleted(project_live(kinds.MACVLAN_NETWORK, see(NET, "10")))
    assert versions() == []


async def test_object_that_goes_right_after_a_write_is_missed_at_once() -> None:
    store = build_store()
    reflector = store._parts[kinds.MACVLAN_NETWORK]
    woken: list[str] = []
    store.subscribe(woken.append)
    fabric = build_fabric("shared-macvlan")
    reflector.synced = True
    reflector._put(("", "a"), project_live(kinds.MACVLAN_NETWORK, see(NET, "5")))
    store.note_written(project_live(kinds.MACVLAN_NETWORK, see(NET, "8")))
    # The watch tells of the write and of the deletion before anybody looks.
    reflector._put(("", "a"), project_live(kinds.MACVLAN_NETWORK, see(NET, "8")))
    reflector._put(("", "a"), None)
    assert store.own(fabric) == []
    assert woken


async def test_write_that_the_watch_never_tells_of_is_looked_after(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fabric_store, "_WRITTEN_SECONDS", 0.01)
    store = build_store()
    woken = asyncio.Event()
    store.subscribe(lambda _: woken.set())
    # The answer of a write comes after the watch has told of the deletion.
    store.note_written(project_live(kinds.MACVLAN_NETWORK, see(NET, "8")))
    await asyncio.wait_for(woken.wait(), 5)
    assert store.own(build_fabric("shared-macvlan")) == []
