"""The evidence of nodes as objects come, change and go; what counts as news, and when decisions need not wait any longer."""

from collections.abc import Mapping
from typing import Any, cast

import pytest

from inference_cache.cluster.connection import Connection
from inference_cache.cluster.discovery import Discovery, parse_discovery
from inference_cache.cluster.evidence import EvidenceStore
from inference_cache.cluster.gateway import Gateway
from inference_cache.cluster.liveness import Feeds
from inference_cache.cluster.reflector import PagedReflector
from inference_cache.domain import kinds
from inference_cache.domain.node_evidence import DPUState, Source

NOW = 1_785_585_600.0
PROBED = "2026-08-01T12:00:00Z"


class Stand:
    """A store without an API server: objects are put where lists and watches would put them."""

    def __init__(self) -> None:
        self.now = NOW
        self.calls = 0
        self.used: dict[str, Mapping[str, int]] = {}
        # Neither is used, as nothing runs.
        connection, gateway = cast("Connection", None), cast("Gateway", None)
        self.feeds = Feeds()
        self.discovery = Discovery(connection)
        self.store = EvidenceStore(
            connection,
            gateway,
            self.feeds,
            self.discovery,
            self._changed,
            lambda: self.now,
            lambda node: self.used.get(node, {}),
        )

    def _changed(self) -> None:
        self.calls += 1

    def reflector(self, source: Source) -> PagedReflector[Any]:
        return self.store._nodes if source is Source.NODE else self.store._optional[source]

    def put(self, source: Source, body: dict[str, Any]) -> None:
        metadata = body["metadata"]
        reflector = self.reflector(source)
        reflector._put((metadata.get("namespace", ""), metadata["name"]), reflector._read(body))

    def delete(self, source: Source, name: str, namespace: str = "") -> None:
        self.reflector(source)._put((namespace, name), None)

    def is_settled(self) -> bool:
        return self.store.settled

    def sync(self, *sources: Source) -> None:
        for source in sources:
            self.reflector(source).synced = True
            self.store._review_sources()

    def serve(self, *served: kinds.Kind) -> None:
        self.discovery._served = frozenset((kind.api_version, kind.plural) for kind in served)
        for callback in self.discovery._callbacks:
            callback()

    def news(self) -> tuple[int, int]:
        """Return version and calls, to be compared before and after."""
        return self.store.version, self.calls


@pytest.fixture
def stand() -> Stand:
    return Stand()


def node(name: str = "gpu-0", uid: str = "u-1", **labels: str) -> dict[str, Any]:
    return {"metadata": {"name": name, "uid": uid, "labels": labels}}


def report(node_uid: str = "u-1", probed: str = PROBED, **changes: Any) -> dict[str, Any]:
    device = {"pciAddress": "0000:1a:00.0", "vendor": "15b3", "device": "1021"}
    body = {"probedAt": probed, "validSeconds": 900, "nodeUid": node_uid, "devices": [device]}
    return {"metadata": {"name": "gpu-0"}, "report": body | changes}


def nic_device(name: str, node_name: str, firmware: str = "28.39.1002") -> dict[str, Any]:
    ports = [{"pci": "0000:1a:00.0"}]
    status = {"node": node_name, "type": "1021", "firmwareVersion": firmware, "ports": ports}
    return {"metadata": {"name": name, "namespace": "network"}, "status": status}


def test_before_the_first_list_nothing_is_known(stand: Stand) -> None:
    stand.put(Source.NODE, node())
    assert stand.store.nodes() is None
    assert stand.store.snapshot() is None
    stand.sync(Source.NODE)
    assert [item.facts.name for item in stand.store.nodes() or ()] == ["gpu-0"]


def test_objects_of_several_projects_meet_at_their_node(stand: Stand) -> None:
    stand.put(Source.NODE, node())
    stand.put(Source.NIC_DEVICE, nic_device("gpu-0-a", "gpu-0"))
    stand.put(Source.REPORT, report())
    stand.put(
        Source.NODE_STATE, {"metadata": {"name": "gpu-0", "namespace": "network"}, "status": {"syncStatus": "Failed"}}
    )
    stand.put(Source.NODE_TOPOLOGY, {"metadata": {"name": "gpu-0"}, "zones": [{"name": "node-0", "type": "Node"}]})
    stand.put(Source.DPU, {"metadata": {"name": "d"}, "spec": {"nodeName": "gpu-0"}, "status": {"phase": "DPU Config"}})
    found = stand.store.find("gpu-0")
    assert found is not None
    assert [item.source for nic in found.nics for item in nic.sightings] == [Source.REPORT, Source.NIC_DEVICE]
    assert found.sriov is not None
    assert found.sriov.sync_status == "Failed"
    assert [zone.name for zone in found.zones or ()] == ["node-0"]
    assert found.dpus == (DPUState("d", "DPU Config"),)
    assert found.report is not None


def test_objects_of_a_node_that_does_not_exist_wait_for_it(stand: Stand) -> None:
    stand.put(Source.NIC_DEVICE, nic_device("a", "gpu-0"))
    assert stand.store.find("gpu-0") is None
    stand.put(Source.NODE, node())
    found = stand.store.find("gpu-0")
    assert found is not None
    assert len(found.nics) == 1


def test_an_object_that_moves_to_another_node_leaves_the_first(stand: Stand) -> None:
    stand.put(Source.NODE, node("gpu-0"))
    stand.put(Source.NODE, node("gpu-1"))
    stand.put(Source.NIC_DEVICE, nic_device("a", "gpu-0"))
    first, second = stand.store.find("gpu-0"), stand.store.find("gpu-1")
    assert first is not None
    assert second is not None
    assert (len(first.nics), len(second.nics)) == (1, 0)
    stand.put(Source.NIC_DEVICE, nic_device("a", "gpu-1"))
    first, second = stand.store.find("gpu-0"), stand.store.find("gpu-1")
    assert first is not None
    assert second is not None
    assert (len(first.nics), len(second.nics)) == (0, 1)
    stand.delete(Source.NIC_DEVICE, "a", "network")
    second = stand.store.find("gpu-1")
    assert second is not None
    assert second.nics == ()
    assert stand.store._nic_devices._keys == {}


def test_an_object_that_says_the_same_is_no_news(stand: Stand) -> None:
    stand.put(Source.NODE, node())
    stand.put(Source.NIC_DEVICE, nic_device("a", "gpu-0"))
    before = stand.news()
    stand.put(Source.NODE, node())
    stand.put(Source.NIC_DEVICE, nic_device("a", "gpu-0"))
    assert stand.news() == before
    stand.put(Source.NIC_DEVICE, nic_device("a", "gpu-0", firmware="28.40.0"))
    assert stand.news() == (before[0] + 1, before[1] + 1)


def test_evidence_is_put_together_once_between_changes(stand: Stand) -> None:
    stand.put(Source.NODE, node())
    first = stand.store.find("gpu-0")
    assert stand.store.find("gpu-0") is first
    stand.put(Source.NODE, node(zone="a"))
    assert stand.store.find("gpu-0") is not first


def test_an_object_that_is_not_understood_counts_as_absent(stand: Stand) -> None:
    stand.put(Source.NODE, node())
    stand.put(Source.REPORT, report())
    stand.put(Source.REPORT, report(probed="yesterday"))
    found = stand.store.find("gpu-0")
    assert found is not None
    assert (found.report, found.report_stale, found.nics) == (None, False, ())


# Reports


def test_a_confirmed_report_is_no_news_but_counts_for_longer(stand: Stand) -> None:
    stand.put(Source.NODE, node())
    stand.put(Source.REPORT, report())
    before = stand.news()
    stand.now = NOW + 600
    stand.put(Source.REPORT, report(probed="2026-08-01T12:10:00Z"))
    assert stand.news() == before
    stand.now = NOW + 1200
    stand.store.check_age()
    found = stand.store.find("gpu-0")
    assert found is not None
    assert not found.report_stale
    assert found.report is not None
    assert found.report.probed_at == NOW + 600


def test_a_report_grows_stale_without_any_event(stand: Stand) -> None:
    stand.put(Source.NODE, node())
    stand.put(Source.REPORT, report())
    found = stand.store.find("gpu-0")
    assert found is not None
    assert len(found.nics) == 1
    before = stand.news()
    stand.now = NOW + 901
    stand.store.check_age()
    assert stand.news() == (before[0] + 1, before[1] + 1)
    found = stand.store.find("gpu-0")
    assert found is not None
    assert (found.report, found.report_stale, found.nics) == (None, True, ())
    stand.store.check_age()
    assert stand.news() == (before[0] + 1, before[1] + 1)


def test_a_stale_report_that_is_confirmed_counts_again(stand: Stand) -> None:
    stand.now = NOW + 901
    stand.put(Source.NODE, node())
    stand.put(Source.REPORT, report())
    found = stand.store.find("gpu-0")
    assert found is not None
    assert found.report_stale
    before = stand.news()
    stand.put(Source.REPORT, report(probed="2026-08-01T12:15:00Z"))
    assert stand.news() == (before[0] + 1, before[1] + 1)
    found = stand.store.find("gpu-0")
    assert found is not None
    assert found.report is not None


@pytest.mark.parametrize(
    ("reported", "counts"), [("u-1", True), ("u-0", False), ("", True)], ids=["same", "another", "unknown"]
)
def test_a_report_of_a_machine_that_was_replaced_does_not_count(stand: Stand, reported: str, *, counts: bool) -> None:
    stand.put(Source.NODE, node(uid="u-1"))
    stand.put(Source.REPORT, report(node_uid=reported))
    found = stand.store.find("gpu-0")
    assert found is not None
    assert ((found.report is not None), bool(found.nics), found.report_stale) == (counts, counts, False)


def test_a_report_of_another_machine_is_not_called_stale(stand: Stand) -> None:
    stand.now = NOW + 5000
    stand.put(Source.NODE, node(uid="u-1"))
    stand.put(Source.REPORT, report(node_uid="u-0"))
    found = stand.store.find("gpu-0")
    assert found is not None
    assert not found.report_stale


def test_a_deleted_report_leaves_nothing(stand: Stand) -> None:
    stand.put(Source.NODE, node())
    stand.put(Source.REPORT, report())
    stand.delete(Source.REPORT, "gpu-0")
    found = stand.store.find("gpu-0")
    assert found is not None
    assert (found.report, found.report_stale) == (None, False)
    assert (stand.store._reports, stand.store._stale) == ({}, set())


# Devices in use


def test_devices_in_use_are_those_of_the_moment(stand: Stand) -> None:
    stand.put(Source.NODE, node())
    assert [item.used for item in (stand.store.find("gpu-0"),) if item] == [{}]
    before = stand.news()
    stand.used["gpu-0"] = {"rdma/storage": 2}
    stand.store.note_used("gpu-0")
    assert stand.news() == (before[0] + 1, before[1]), "results are computed anew, and nobody is woken"
    found = stand.store.find("gpu-0")
    assert found is not None
    assert found.used == {"rdma/storage": 2}
    assert stand.store.find("gpu-0") is found


def test_devices_in_use_of_an_unknown_node_are_no_news(stand: Stand) -> None:
    before = stand.news()
    stand.store.note_used("gone")
    assert stand.news() == before


def test_nodes_that_go_during_an_iteration_are_left_out(stand: Stand) -> None:
    for number in range(3):
        stand.put(Source.NODE, node(f"gpu-{number}"))
    stand.sync(Source.NODE)
    iteration = iter(stand.store.nodes() or ())
    assert next(iteration).facts.name == "gpu-0"
    stand.delete(Source.NODE, "gpu-1")
    stand.put(Source.NODE, node("gpu-3"))
    assert [item.facts.name for item in iteration] == ["gpu-2"]


# Sources


def test_sources_come_and_go(stand: Stand) -> None:
    stand.sync(Source.NODE)
    assert stand.store.sources.available == {Source.NODE, Source.LABEL}
    before = stand.news()
    stand.sync(Source.NIC_DEVICE)
    assert stand.store.sources.available == {Source.NODE, Source.LABEL, Source.NIC_DEVICE}
    assert stand.news() == (before[0] + 1, before[1] + 1)
    stand.reflector(Source.NIC_DEVICE).drop()
    assert stand.store.sources.available == {Source.NODE, Source.LABEL}


def test_a_refusal_drops_what_was_known_and_is_told(stand: Stand) -> None:
    stand.put(Source.NODE, node())
    stand.put(Source.NIC_DEVICE, nic_device("a", "gpu-0"))
    stand.sync(Source.NODE, Source.NIC_DEVICE)
    stand.reflector(Source.NIC_DEVICE)._refuse("nicdevices is forbidden")
    assert stand.store.sources.unreadable == {Source.NIC_DEVICE: "nicdevices is forbidden"}
    assert stand.discovery.refused == {kinds.NIC_DEVICE: "nicdevices is forbidden"}
    found = stand.store.find("gpu-0")
    assert found is not None
    assert found.nics == ()
    assert stand.feeds.find_blind() == []


def test_only_nodes_are_vital(stand: Stand) -> None:
    feeds = Feeds(lambda: stand.now)
    feeds.get("nodes").failed("x")
    feeds.get("nicdevices", vital=False).failed("y")
    stand.now += 60
    assert ["nodes" in text for text in feeds.find_blind()] == [True]


def test_decisions_wait_for_kinds_that_are_served_and_can_be_read(stand: Stand) -> None:
    stand.sync(Source.NODE)
    assert not stand.is_settled(), "nobody knows yet what is served"
    stand.serve(kinds.NIC_DEVICE, kinds.DPU)
    assert not stand.is_settled()
    stand.reflector(Source.DPU)._refuse("forbidden")
    assert not stand.is_settled()
    before = stand.news()
    stand.sync(Source.NIC_DEVICE)
    assert stand.is_settled()
    assert stand.news() > before


def test_decisions_do_not_wait_for_kinds_that_are_not_served(stand: Stand) -> None:
    stand.serve()
    assert not stand.is_settled()
    stand.sync(Source.NODE)
    assert stand.is_settled()
    stand.serve(kinds.NIC_DEVICE)
    assert stand.is_settled(), "a kind that comes later unsettles nothing"


# Discovery


def build_discovery(*versions: tuple[str, str, str, str]) -> dict[str, Any]:
    items = [
        {
            "metadata": {"name": group},
            "versions": [{"version": version, "freshness": freshness, "resources": [{"resource": plural}]}],
        }
        for group, version, plural, freshness in versions
    ]
    return {"kind": "APIGroupDiscoveryList", "apiVersion": "apidiscovery.k8s.io/v2", "items": items}


def test_served_kinds_are_read_from_aggregated_discovery() -> None:
    body = build_discovery(("apps", "v1", "deployments", "Current"), ("a.b", "v2", "cs", "Current"))
    assert parse_discovery(body, frozenset()) == {("apps/v1", "deployments"), ("a.b/v2", "cs")}


def test_a_group_whose_server_does_not_answer_keeps_what_it_had() -> None:
    body = build_discovery(("a.b", "v2", "new", "Stale"), ("c.d", "v1", "es", "Current"))
    before = frozenset({("a.b/v2", "cs"), ("a.b/v1", "olds"), ("c.d/v1", "gone")})
    assert parse_discovery(body, before) == {("a.b/v2", "cs"), ("a.b/v2", "new"), ("c.d/v1", "es")}


def test_an_api_server_without_aggregated_discovery_is_named() -> None:
    with pytest.raises(ValueError, match="APIGroupList"):
        parse_discovery({"kind": "APIGroupList", "groups": []}, frozenset())


def test_kinds_of_the_core_are_always_served(stand: Stand) -> None:
    assert stand.discovery.serves(kinds.NAMESPACE) is True
    assert stand.discovery.serves(kinds.NIC_DEVICE) is None
    stand.serve(kinds.NIC_DEVICE)
    assert stand.discovery.serves(kinds.NIC_DEVICE) is True
    assert stand.discovery.serves(kinds.DPU) is False
