"""Reflectors, discovery and the evidence of nodes against a real API server: gaps, refusals, and kinds that come and go."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import pytest
import yaml

from e2e.audit import AuditCall, AuditLog, select_calls
from e2e.cluster import Cluster, wait_for
from e2e.faultproxy import ErrorEvent, FaultProxy, Match, ReverseRoute, Rule
from e2e.rig import ROOT, Rig
from e2e.situations.foreign_crds import (
    build_minimal_crd,
    install_foreign_crds,
    remove_foreign_crds,
)
from e2e.situations.machines import OPERATOR_NAMESPACE, Machine, build_machine
from e2e.tests.conftest import FAST, forget_lease
from inference_cache.cluster import reflector as reflector_module
from inference_cache.cluster.connection import Connection, connect
from inference_cache.cluster.discovery import Discovery
from inference_cache.cluster.evidence import EvidenceStore
from inference_cache.cluster.gateway import Gateway
from inference_cache.cluster.liveness import Feed, Feeds
from inference_cache.cluster.reflector import PagedReflector
from inference_cache.domain.kinds import CONFIG_MAP, Kind
from inference_cache.domain.node_evidence import Source

_SPACE = "evidence"
_KIND = Kind("evidence.example.com/v1", "Sighting", "sightings")
_RIGHTS = ROOT / "manifests" / "optional" / "node-evidence.yaml"
_WITH_STATUS = {"SriovNetworkNodeState", "NicDevice"}


async def until(condition: Callable[[], Any], what: str, seconds: float = 20) -> None:
    """Let the loop turn until a condition holds."""
    try:
        async with asyncio.timeout(seconds):
            # What is waited for happens in the cluster, which sets no event here.
            while not condition():  # noqa: ASYNC110
                await asyncio.sleep(0.02)
    except TimeoutError:
        pytest.fail(f"{what} within {seconds:.0f} s")


@asynccontextmanager
async def running(*parts: Any) -> AsyncIterator[None]:
    """Run parts in the background; one that ends fails the test."""
    tasks = [asyncio.create_task(part) for part in parts]
    try:
        yield
        for task in tasks:
            assert not task.done(), task
    finally:
        for task in tasks:
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task


@asynccontextmanager
async def connected(kubeconfig: Path) -> AsyncIterator[tuple[Connection, Gateway]]:
    """Open a connection that may read only."""
    connection = await connect(kubeconfig)

    def fence() -> None:
        raise AssertionError("nothing here writes")

    try:
        yield connection, Gateway(connection, fence)
    finally:
        await connection.close()


@pytest.fixture(scope="module")
def cluster(rig: Rig) -> Iterator[Cluster]:
    cluster = rig.cluster
    names = (_SPACE, OPERATOR_NAMESPACE)
    for name in names:
        metadata = {"name": name, "labels": cluster.mark}
        cluster.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": metadata})
    yield cluster
    cluster.kubectl("delete", "namespace", *names, "--wait=false")


@pytest.fixture(scope="module")
def foreign(cluster: Cluster) -> Iterator[Cluster]:
    """A cluster with the CRDs of other projects."""
    install_foreign_crds(cluster)
    yield cluster
    remove_foreign_crds(cluster)


def config_map(name: str, group: str, value: str = "a") -> dict[str, Any]:
    metadata = {"name": name, "namespace": _SPACE, "labels": {"evidence": group}}
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": {"value": value}}


class Watched:
    """A reflector of the ConfigMaps of one group, and what it called."""

    def __init__(self, connection: Connection, gateway: Gateway, group: str) -> None:
        self.changes: list[str] = []
        self.lists = 0
        self.feed = Feed("configmaps")
        self.reflector: PagedReflector[str] = PagedReflector(
            connection,
            gateway,
            CONFIG_MAP,
            lambda body: body["data"]["value"],
            self.feed,
            lambda namespace, name: self.changes.append(f"{namespace}/{name}"),
            f"evidence={group}",
            listed=self._listed,
        )

    def _listed(self) -> None:
        self.lists += 1

    def values(self) -> dict[str, str]:
        return {name: value for (_, name), value in (self.reflector.snapshot() or {}).items()}


def read_calls(cluster: Cluster, mark: Any, selector: str) -> list[AuditCall]:
    log = AuditLog(cluster.audit_log)
    log.settle(lambda word: cluster.kubectl("get", "--raw", f"/version?{word}"))
    calls = select_calls(log.since(mark), user_agent="inference-cache-operator", resource="configmaps")
    return [call for call in calls if selector in call.request_uri]


async def test_lists_are_read_page_by_page(cluster: Cluster, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reflector_module, "_PAGE", 5)
    cluster.apply(*(config_map(f"paged-{number:02}", "paged") for number in range(12)))
    mark = AuditLog(cluster.audit_log).mark()
    async with connected(cluster.kubeconfig) as (connection, gateway):
        watched = Watched(connection, gateway, "paged")
        assert watched.reflector.snapshot() is None
        async with running(watched.reflector.run()):
            await until(lambda: watched.reflector.synced, "no complete list")
            assert len(watched.values()) == 12
            assert sorted(watched.changes) == [f"{_SPACE}/paged-{number:02}" for number in range(12)]
    lists = select_calls(read_calls(cluster, mark, "evidence%3Dpaged"), verbs=("list",))
    assert len(lists) == 3
    assert all("limit=5" in call.request_uri for call in lists)


async def test_events_are_applied_and_equal_projections_are_no_news(cluster: Cluster) -> None:
    cluster.apply(config_map("event-a", "events"))
    async with connected(cluster.kubeconfig) as (connection, gateway):
        watched = Watched(connection, gateway, "events")
        async with running(watched.reflector.run()):
            await until(lambda: watched.values() == {"event-a": "a"}, "the first object is not seen")
            watched.changes.clear()
            annotate = ("annotate", "configmap", "event-a", "--namespace", _SPACE, "heartbeat=1")
            await asyncio.to_thread(cluster.kubectl, *annotate)
            await asyncio.to_thread(cluster.apply, config_map("event-b", "events"))
            await until(lambda: "event-b" in watched.values(), "a new object is not seen")
            assert watched.changes == [f"{_SPACE}/event-b"], "the annotation is nothing that anybody asked for"
            await asyncio.to_thread(cluster.apply, config_map("event-a", "events", "z"))
            await until(lambda: watched.values()["event-a"] == "z", "a change is not seen")
            # A watch with a selector tells of an object that loses its label as of a deleted one.
            await asyncio.to_thread(cluster.apply, config_map("event-a", "elsewhere", "z"))
            await asyncio.to_thread(cluster.kubectl, "delete", "configmap", "event-b", "--namespace", _SPACE)
            await until(lambda: watched.values() == {}, "deletions are not seen")
            assert watched.lists == 1


async def test_a_watch_is_resumed_without_a_new_list(cluster: Cluster, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reflector_module, "_WATCH_SECONDS", 1)
    cluster.apply(config_map("resumed", "resumed", "0"))
    mark = AuditLog(cluster.audit_log).mark()
    async with connected(cluster.kubeconfig) as (connection, gateway):
        watched = Watched(connection, gateway, "resumed")
        async with running(watched.reflector.run()):
            for number in range(4):
                await asyncio.to_thread(cluster.apply, config_map("resumed", "resumed", str(number)))
                await until(_expects(watched, {"resumed": str(number)}), "a change is not seen")
                # Watches end after a second, so that changes fall into several of them and between.
                await asyncio.sleep(0.8)
    calls = read_calls(cluster, mark, "evidence%3Dresumed")
    assert len(select_calls(calls, verbs=("list",))) == 1
    assert len(select_calls(calls, verbs=("watch",))) >= 3
    assert all("allowWatchBookmarks=true" in call.request_uri for call in select_calls(calls, verbs=("watch",)))


def _expects(watched: Watched, values: dict[str, str]) -> Callable[[], bool]:
    return lambda: watched.values() == values


async def test_a_version_that_is_too_old_leads_to_a_new_list(cluster: Cluster, tmp_path: Path) -> None:
    cluster.apply(config_map("gone-a", "gone"), config_map("gone-b", "gone"))
    with FaultProxy.start(ReverseRoute.to_kubeconfig(cluster.kubeconfig)) as proxy:
        config = yaml.safe_load(cluster.kubeconfig.read_text())
        config["clusters"][0]["cluster"] = {"server": proxy.url}
        kubeconfig = tmp_path / "kubeconfig"
        kubeconfig.write_text(yaml.safe_dump(config))
        async with connected(kubeconfig) as (connection, gateway):
            watched = Watched(connection, gateway, "gone")
            async with running(watched.reflector.run()):
                await until(lambda: len(watched.values()) == 2, "the objects are not seen")
                match = Match(verbs=("WATCH",), resource="configmaps")
                rule = Rule(id="old", match=match, action=ErrorEvent(code=410), times=1, open_streams=True)
                await asyncio.to_thread(proxy.set_rules, [rule])
                await until(lambda: watched.lists == 2, "no second list after 410 Gone")
                assert watched.feed.last_error == "", "an old version is no failure"
                await asyncio.to_thread(cluster.apply, config_map("gone-a", "gone", "z"))
                await until(_expects(watched, {"gone-a": "z", "gone-b": "a"}), "the watch does not go on")


async def test_objects_deleted_in_a_gap_are_found_by_the_next_list(cluster: Cluster) -> None:
    cluster.apply(config_map("gap-a", "gap"), config_map("gap-b", "gap"))
    async with connected(cluster.kubeconfig) as (connection, gateway):
        watched = Watched(connection, gateway, "gap")
        async with running(watched.reflector.run()):
            await until(lambda: len(watched.values()) == 2, "the objects are not seen")
        cluster.kubectl("delete", "configmap", "gap-a", "--namespace", _SPACE)
        cluster.apply(config_map("gap-b", "gap", "z"), config_map("gap-c", "gap"))
        watched.changes.clear()
        async with running(watched.reflector.run()):
            await until(lambda: watched.values() == {"gap-b": "z", "gap-c": "a"}, "the gap is not closed")
            assert sorted(watched.changes) == [f"{_SPACE}/gap-{letter}" for letter in "abc"]


async def test_one_object_that_is_not_understood_blinds_to_nothing_else(cluster: Cluster) -> None:
    odd = config_map("odd-a", "odd")
    del odd["data"]
    cluster.apply(odd, config_map("odd-b", "odd"))
    async with connected(cluster.kubeconfig) as (connection, gateway):
        watched = Watched(connection, gateway, "odd")
        async with running(watched.reflector.run()):
            await until(lambda: watched.values() == {"odd-b": "a"}, "the other object is not seen")
            await asyncio.to_thread(cluster.apply, config_map("odd-a", "odd"))
            await until(lambda: len(watched.values()) == 2, "the mended object is not seen")


# Kinds that come and go


async def test_a_kind_is_read_while_it_is_served(cluster: Cluster) -> None:
    crd = build_minimal_crd(_KIND, status=False)
    crd["metadata"].pop("annotations")
    body = {
        "apiVersion": _KIND.api_version,
        "kind": _KIND.name,
        "metadata": {"name": "one", "namespace": _SPACE},
        "word": "a",
    }
    async with connected(cluster.kubeconfig) as (connection, gateway):
        discovery = Discovery(connection, 1)
        changes: list[str] = []
        told: list[bool | None] = []
        reflector: PagedReflector[str] = PagedReflector(
            connection,
            gateway,
            _KIND,
            lambda item: item["word"],
            Feed("sightings", vital=False),
            lambda _, name: changes.append(name),
        )
        discovery.attach(reflector)
        discovery.subscribe(lambda: told.append(discovery.serves(_KIND)))
        assert discovery.serves(_KIND) is None
        async with running(discovery.run()):
            await until(lambda: discovery.serves(_KIND) is False, "nobody told what is served")
            for _ in range(2):
                told.clear()
                await asyncio.to_thread(install_foreign_crds, cluster, [crd])
                await until(lambda: reflector.synced, "the new kind is not read")
                assert told == [True]
                await asyncio.to_thread(cluster.apply, body)
                await until(lambda: reflector.get(_SPACE, "one") == "a", "the object is not seen")
                changes.clear()
                await asyncio.to_thread(remove_foreign_crds, cluster, [crd])
                await until(lambda: discovery.serves(_KIND) is False, "the kind did not vanish")
                assert (reflector.snapshot(), reflector.refused, changes) == (None, "", ["one"])


async def test_an_unchanged_answer_of_discovery_is_not_sent_again(cluster: Cluster) -> None:
    mark = AuditLog(cluster.audit_log).mark()
    async with connected(cluster.kubeconfig) as (connection, _):
        discovery = Discovery(connection, 0.3)
        async with running(discovery.run()):
            await until(lambda: discovery.known, "nobody told what is served")
            # Time for some more looks, which leave nothing to wait for.
            await asyncio.sleep(1.5)
    log = AuditLog(cluster.audit_log)
    log.settle(lambda word: cluster.kubectl("get", "--raw", f"/version?{word}"))
    calls = [call for call in log.since(mark) if call.request_uri == "/apis" and "operator" in call.user_agent]
    codes = [call.code for call in calls]
    assert codes[0] == 200
    assert codes.count(304) >= 2, codes


def _give_account(cluster: Cluster, name: str) -> Path:
    cluster.kubectl("create", "serviceaccount", name, "--namespace", _SPACE)
    return cluster.service_account_kubeconfig(_SPACE, name)


def _grant(cluster: Cluster, name: str, group: str, plural: str) -> None:
    role = ("create", "clusterrole", name, "--verb=list,watch", f"--resource={plural}.{group}")
    cluster.kubectl(*role)
    cluster.kubectl(
        *("create", "clusterrolebinding", name, f"--clusterrole={name}", f"--serviceaccount={_SPACE}:{name}")
    )


async def test_a_kind_that_may_not_be_read_is_told_and_taken_up_later(
    foreign: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reflector_module, "_REFUSED_SECONDS", 0.5)
    name = "evidence-refused"
    kubeconfig = _give_account(foreign, name)
    _grant(foreign, name, "", "nodes")
    feeds, changed = Feeds(), asyncio.Event()
    try:
        async with connected(kubeconfig) as (connection, gateway):
            discovery = Discovery(connection, 1)
            store = EvidenceStore(connection, gateway, feeds, discovery, changed.set)
            async with running(discovery.run(), store.run()):
                await until(lambda: store.settled, "decisions wait for what is refused")
                unreadable = store.sources.unreadable
                assert {Source.NIC_DEVICE, Source.NODE_STATE} <= unreadable.keys()
                assert "cannot list resource" in unreadable[Source.NIC_DEVICE]
                assert store.sources.available == {Source.NODE, Source.LABEL}
                assert store.nodes() is not None
                assert feeds.find_blind() == []
                await asyncio.to_thread(_grant, foreign, f"{name}-nics", "configuration.net.nvidia.com", "nicdevices")
                binding = ("create", "clusterrolebinding", f"{name}-more", f"--clusterrole={name}-nics")
                await asyncio.to_thread(foreign.kubectl, *binding, f"--serviceaccount={_SPACE}:{name}")
                await until(lambda: Source.NIC_DEVICE in store.sources.available, "new rights are not used")
                assert Source.NIC_DEVICE not in store.sources.unreadable
                assert Source.NODE_STATE in store.sources.unreadable
    finally:
        for kind in ("clusterrolebinding", "clusterrole"):
            names = (name, f"{name}-nics", f"{name}-more")
            foreign.kubectl("delete", kind, *names, "--ignore-not-found")


async def test_a_right_that_is_taken_away_drops_what_was_known(
    foreign: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reflector_module, "_WATCH_SECONDS", 1)
    name = "evidence-revoked"
    kubeconfig = _give_account(foreign, name)
    _grant(foreign, name, "", "nodes")
    nics = f"{name}-nics"
    _grant(foreign, nics, "configuration.net.nvidia.com", "nicdevices")
    binding = ("create", "clusterrolebinding", f"{name}-more", f"--clusterrole={nics}")
    foreign.kubectl(*binding, f"--serviceaccount={_SPACE}:{name}")
    try:
        async with connected(kubeconfig) as (connection, gateway):
            discovery = Discovery(connection, 1)
            store = EvidenceStore(connection, gateway, Feeds(), discovery, lambda: None)
            async with running(discovery.run(), store.run()):
                await until(lambda: Source.NIC_DEVICE in store.sources.available, "the kind is not read")
                await asyncio.to_thread(foreign.kubectl, "delete", "clusterrolebinding", f"{name}-more")
                await until(lambda: Source.NIC_DEVICE in store.sources.unreadable, "the refusal is not told")
                assert Source.NIC_DEVICE not in store.sources.available
    finally:
        for kind in ("clusterrolebinding", "clusterrole"):
            foreign.kubectl("delete", kind, name, nics, f"{name}-more", "--ignore-not-found")


# Evidence of a machine


def _create(cluster: Cluster, bodies: list[dict[str, Any]]) -> None:
    cluster.apply(*bodies)
    for body in bodies:
        if body["kind"] in _WITH_STATUS:
            metadata = body["metadata"]
            cluster.kubectl(
                *("patch", body["kind"], metadata["name"], "--namespace", metadata["namespace"]),
                *("--subresource=status", "--type=merge", "-p", json.dumps({"status": body["status"]})),
            )


async def test_what_projects_say_of_a_machine_comes_together(foreign: Cluster) -> None:
    zones = ({"nvidia.com/gpu": 4}, {"nvidia.com/gpu": 4})
    machine = Machine(zones=zones, report={}, rdma_mode="exclusive")
    bodies = build_machine("evidence-0", "evidence", machine, foreign.mark)
    _create(foreign, bodies)
    foreign.kubectl("apply", "--server-side", "-f", str(_RIGHTS))
    kubeconfig = foreign.service_account_kubeconfig("inference-cache-system", "inference-cache-operator")
    try:
        async with connected(kubeconfig) as (connection, gateway):
            discovery = Discovery(connection, 1)
            store = EvidenceStore(connection, gateway, Feeds(), discovery, lambda: None)
            async with running(discovery.run(), store.run()):
                await until(lambda: store.settled, "not every source was read")
                assert store.sources.unreadable == {}
                found = store.find("evidence-0")
                assert found is not None
                told = [[item.source for item in nic.sightings] for nic in found.nics if nic.sightings[0].pci]
                assert told[0] == [Source.REPORT, Source.NIC_DEVICE, Source.NODE_STATE]
                assert len(told) == 2
                assert told[1][-2:] == [Source.NIC_DEVICE, Source.NODE_STATE]
                assert found.sriov is not None
                assert (found.sriov.sync_status, found.sriov.rdma_mode) == ("Succeeded", "exclusive")
                assert [zone.available for zone in found.zones or ()] == list(zones)
                assert found.report is not None
                assert found.facts.uid
                assert found.facts.features_published
                before = store.version
                state = ("sriovnetworknodestate", "evidence-0", "--namespace", OPERATOR_NAMESPACE)
                await asyncio.to_thread(foreign.kubectl, "delete", *state)
                await until(lambda: (item := store.find("evidence-0")) and item.sriov is None, "the state stays")
                assert store.version > before
                await asyncio.to_thread(foreign.kubectl, "delete", "node", "evidence-0")
                await until(lambda: store.find("evidence-0") is None, "the node stays")
    finally:
        foreign.kubectl("delete", "-f", str(_RIGHTS))
        foreign.kubectl("delete", "nodecapabilityreport", "evidence-0", "--ignore-not-found")
        foreign.kubectl("delete", "node", "evidence-0", "--ignore-not-found")


def test_the_optional_manifests_are_accepted(foreign: Cluster) -> None:
    dry = ("apply", "--server-side", "--dry-run=server", "-f")
    assert len(foreign.kubectl(*dry, str(_RIGHTS)).stdout.splitlines()) == 10
    out = foreign.kubectl(*dry, str(_RIGHTS.with_name("node-feature-rule.yaml"))).stdout
    assert "nodefeaturerule.nfd.k8s-sigs.io/inference-cache-nics serverside-applied" in out


def _logs(cluster: Cluster, text: str) -> Callable[[], bool]:
    return lambda: text in cluster.log("unprivileged")


def test_the_operator_works_without_rights_for_what_is_optional(rig: Rig, foreign: Cluster) -> None:
    foreign.kubectl("delete", "-f", str(_RIGHTS), "--ignore-not-found")
    forget_lease(rig)
    operator = rig.start_operator("unprivileged", environment=FAST).wait_ready()
    try:
        for kind in ("nicdevices", "sriovnetworknodestates"):
            wait_for(_logs(foreign, f"{kind} may not be read"), 10, f"no word about {kind}")
        assert operator.health()[0] == 200
    finally:
        operator.stop()
