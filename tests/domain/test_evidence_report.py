"""What a report of the node validator says, and when it does not count."""

import pytest

from inference_cache.api.networks import LinkType
from inference_cache.api.node_report import InferenceCacheNodeReport, ReportedDevice, ReportedPort
from inference_cache.api.node_requirements import DPUMode
from inference_cache.domain.evidence_report import project_report
from inference_cache.domain.node_evidence import NICSighting, Source
from tests.domain.evidence_objects import REPORT, Object, change


def test_report_gives_the_machine_and_its_physical_functions() -> None:
    facts = project_report(REPORT)
    assert facts is not None
    state = facts.state
    assert (facts.node, state.probed_at, state.valid_seconds, state.node_uid) == ("gpu-0", 1785585600.0, 900, "u-1")
    assert (state.kernel, state.modules) == ("6.8.0-60-generic", frozenset({"mlx5_ib", "ib_uverbs"}))
    assert (state.rdma_netns_mode, state.memlock_hard, state.huge_pages_total, state.numa_nodes) == (
        "shared",
        -1,
        1024,
        2,
    )
    assert facts.sightings == (
        NICSighting(
            Source.REPORT,
            pci="0000:1a:00.0",
            vendor="15b3",
            device_id="a2dc",
            model="BlueField-3",
            interface="enp26s0f0np0",
            rdma_device="mlx5_0",
            link_type=LinkType.INFINIBAND,
            speed_gbps=400,
            link_up=True,
            subnet_manager=True,
            firmware="32.39.2048",
            dpu_mode=DPUMode.DPU,
            virtual=False,
            numa_node=1,
            mtu=4200,
            total_vfs=16,
            current_vfs=2,
        ),
    )


def test_report_reads_only_fields_that_the_api_has() -> None:
    fields: set[str] = set()
    for model in (InferenceCacheNodeReport, ReportedDevice, ReportedPort):
        fields |= {field.alias or name for name, field in model.model_fields.items()}
    used = {*REPORT["report"], *REPORT["report"]["devices"][0], *REPORT["report"]["devices"][0]["ports"][0]}
    assert used <= fields


def test_report_of_a_machine_with_virtual_functions_only_keeps_them() -> None:
    function = REPORT["report"]["devices"][1]
    facts = project_report(change(REPORT, "report.devices", [function]))
    assert facts is not None
    assert [(item.pci, item.virtual) for item in facts.sightings] == [("0000:1a:00.2", True)]


@pytest.mark.parametrize(
    ("port", "link_up", "speed", "manager"),
    [
        ({"state": "DOWN", "rateGbps": 10}, False, None, True),
        ({"state": "INIT", "subnetManagerLid": 0}, False, None, False),
        ({"state": "DOWN", "subnetManagerLid": 0}, False, None, None),
        ({"subnetManagerLid": None}, True, 400, None),
        ({"linkLayer": "Ethernet", "subnetManagerLid": 0}, True, 400, None),
    ],
)
def test_report_tells_link_and_subnet_manager(
    port: Object, *, link_up: bool, speed: int | None, manager: bool | None
) -> None:
    ports = [REPORT["report"]["devices"][0]["ports"][0] | port]
    facts = project_report(change(REPORT, "report.devices.0.ports", ports))
    assert facts is not None
    sighting = facts.sightings[0]
    assert (sighting.link_up, sighting.speed_gbps, sighting.subnet_manager) == (link_up, speed, manager)


def test_report_without_rdma_device_takes_the_interface() -> None:
    device = {
        "pciAddress": "0000:1a:00.0",
        "vendor": "15b3",
        "device": "1021",
        "interfaceState": "down",
        "speedGbps": 25,
    }
    facts = project_report(change(REPORT, "report.devices", [device]))
    assert facts is not None
    assert (facts.sightings[0].link_up, facts.sightings[0].speed_gbps) == (False, 25)


def test_report_with_fields_of_a_later_version_counts() -> None:
    body = change(REPORT, "report.devices.0.dpuMode", "Restricted")
    facts = project_report(change(body, "report.somethingNew", {"a": 1}))
    assert facts is not None
    assert facts.sightings[0].dpu_mode is None


def test_report_grows_stale_by_its_own_words() -> None:
    facts = project_report(REPORT)
    assert facts is not None
    assert [facts.is_stale(facts.state.probed_at + age) for age in (0, 900, 901)] == [False, False, True]


def test_report_from_the_future_is_stale_beyond_what_clocks_differ() -> None:
    facts = project_report(REPORT)
    assert facts is not None
    assert [facts.is_stale(facts.state.probed_at - ahead) for ahead in (300, 301)] == [False, True]


@pytest.mark.parametrize(("told", "counts"), [(86_400, 86_400), (10**9, 86_400), (-5, 0)])
def test_report_counts_no_longer_than_the_api_allows(told: int, counts: int) -> None:
    facts = project_report(change(REPORT, "report.validSeconds", told))
    assert facts is not None
    assert facts.state.valid_seconds == counts


def test_report_that_was_only_confirmed_says_the_same() -> None:
    first = project_report(REPORT)
    later = project_report(change(REPORT, "report.probedAt", "2026-08-01T12:10:00Z"))
    other = project_report(change(REPORT, "report.kernel", "6.9"))
    moved = project_report(change(REPORT, "report.devices.0.mtu", 1500))
    assert first is not None
    assert later is not None
    assert first != later
    assert first.says_same(later)
    assert other is not None
    assert moved is not None
    assert not first.says_same(other)
    assert not first.says_same(moved)


def test_report_without_time_says_nothing() -> None:
    assert project_report({"metadata": {"name": "gpu-0"}}) is None


def test_report_with_a_time_that_is_none_is_refused() -> None:
    with pytest.raises(ValueError, match="isoformat"):
        project_report(change(REPORT, "report.probedAt", "yesterday"))
