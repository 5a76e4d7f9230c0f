"""What a pod does: policy, client, faults and the trial together."""

from typing import Any, Final

import pytest

from cache_agent.preflight_checks import Examination, Finding
from cache_agent.preflight_config import ConfigError, Fallback, find_fallback, parse_config
from cache_agent.preflight_decision import Decision, decide, fall_back
from cache_agent.preflight_output import MESSAGE_BYTES, build_message
from cache_agent.preflight_proof import Trial
from inference_cache.domain.attachment import Variant
from inference_cache.domain.preflight_report import Evidence, parse_preflight
from inference_cache.domain.reasons import Reason
from tests.preflight.trees import RDMA_ADAPTER, TCP_ADAPTER, build_config

_CLEAN: Final = Examination((), (), ())
_FAULTY: Final = Examination(
    (), (Finding("LinkDown", "mlx5_2:1 is DOWN", "Check cable."), Finding("MTUTooSmall", "", "")), ()
)
_PROVEN: Final = Trial(True, True, False, "64 MiB went both ways")
_STILL: Final = Trial(True, False, False, "counters stood still")
_UNTRIED: Final = Trial(None, False, False, "no LMCache")
_BROKEN: Final = Trial(False, False, False, "the transfer failed (store)")
_OVER_TCP: Final = Trial(True, False, True, "eth0 carried it")
_NIXL: Final[dict[str, Any]] = {}
_PLUGIN: Final = {"client": "Plugin"}
_REQUIRED: Final = {"required": True}
_NO_TCP: Final = {"candidates": {"rdma": RDMA_ADAPTER, "tcp": None}}

CASES: Final[dict[str, tuple[dict[str, Any], Examination, Trial | None, tuple[str, str, bool, str]]]] = {
    "NIXL, proven": (_NIXL, _CLEAN, _PROVEN, ("RDMA", "Proven", True, "")),
    "NIXL, counters still": (_NIXL, _CLEAN, _STILL, ("TCP", "None", True, "RDMATransferUnproven")),
    "NIXL, not tried": (_NIXL, _CLEAN, _UNTRIED, ("TCP", "None", True, "RDMATransferUnproven")),
    "NIXL, failed": (_NIXL, _CLEAN, _BROKEN, ("TCP", "None", True, "RDMATransferUnproven")),
    "NIXL, over TCP": (_NIXL, _CLEAN, _OVER_TCP, ("TCP", "None", True, "SilentTCPFallback")),
    "NIXL, fault": (_NIXL, _FAULTY, None, ("TCP", "None", True, "LinkDown")),
    "plugin, proven": (_PLUGIN, _CLEAN, _PROVEN, ("RDMA", "Proven", True, "")),
    "plugin, counters still": (_PLUGIN, _CLEAN, _STILL, ("RDMA", "Unverified", True, "RDMATransferUnproven")),
    "plugin, not tried": (_PLUGIN, _CLEAN, _UNTRIED, ("RDMA", "Unverified", True, "RDMATransferUnproven")),
    "plugin, failed": (_PLUGIN, _CLEAN, _BROKEN, ("TCP", "None", True, "RDMATransferUnproven")),
    "plugin, over TCP": (_PLUGIN, _CLEAN, _OVER_TCP, ("TCP", "None", True, "SilentTCPFallback")),
    "plugin, fault": (_PLUGIN, _FAULTY, None, ("TCP", "None", True, "LinkDown")),
    "without an adapter for TCP, fault": (_PLUGIN | _NO_TCP, _FAULTY, None, ("None", "None", True, "LinkDown")),
    "required, NIXL, proven": (_REQUIRED, _CLEAN, _PROVEN, ("RDMA", "Proven", True, "")),
    "required, plugin, proven": (_REQUIRED | _PLUGIN, _CLEAN, _PROVEN, ("RDMA", "Proven", True, "")),
    "required, plugin, counters still": (
        _REQUIRED | _PLUGIN,
        _CLEAN,
        _STILL,
        ("None", "None", False, "RDMATransferUnproven"),
    ),
    "required, plugin, not tried": (
        _REQUIRED | _PLUGIN,
        _CLEAN,
        _UNTRIED,
        ("None", "None", False, "RDMATransferUnproven"),
    ),
    "required, over TCP": (_REQUIRED | _PLUGIN, _CLEAN, _OVER_TCP, ("None", "None", False, "SilentTCPFallback")),
    "required, fault": (_REQUIRED, _FAULTY, None, ("None", "None", False, "LinkDown")),
}


@pytest.mark.parametrize(("changes", "examination", "trial", "expected"), CASES.values(), ids=CASES.keys())
def test_decision(
    changes: dict[str, Any], examination: Examination, trial: Trial | None, expected: tuple[str, str, bool, str]
) -> None:
    config = parse_config(build_config(changes))
    found = decide(config, examination, trial, {"UCX_NET_DEVICES": "mlx5_2:1"})
    assert (found.transport, found.evidence, found.starts, found.reason) == expected
    assert found.adapter == {"RDMA": config.rdma, "TCP": config.tcp, "None": None}[found.transport]
    assert bool(found.variables) == (found.transport == "RDMA"), "what RDMA needs must not reach a server on TCP"
    assert bool(found.remedy) == (found.transport != "RDMA")


def test_engine_never_starts_without_proof_where_rdma_is_required() -> None:
    for changes, examination, trial, _ in CASES.values():
        found = decide(parse_config(build_config(changes | _REQUIRED)), examination, trial, {})
        assert found.starts == (found.evidence == "Proven") == (trial is _PROVEN)


def test_nothing_holds_a_pod_where_rdma_is_not_required() -> None:
    for changes, examination, trial, _ in CASES.values():
        assert decide(parse_config(build_config(changes | {"required": False})), examination, trial, {}).starts


def test_further_faults_are_named() -> None:
    found = decide(parse_config(build_config()), _FAULTY, None, {})
    assert found.detail == "mlx5_2:1 is DOWN; also MTUTooSmall"


def test_remarks_are_told_with_rdma() -> None:
    remarked = Examination((), (), (Finding("MTUTooSmall", "the MTU of net1 is 1500", ""),))
    assert "MTUTooSmall: the MTU of net1 is 1500" in decide(parse_config(build_config()), remarked, _PROVEN, {}).detail


@pytest.mark.parametrize(
    ("content", "required", "tcp"),
    [
        ({}, True, None),
        ({"required": False}, False, None),
        ({"required": "no", "candidates": {"tcp": TCP_ADAPTER}}, True, TCP_ADAPTER),
        ({"version": 2, "required": False, "candidates": {"tcp": TCP_ADAPTER, "new": 1}}, False, TCP_ADAPTER),
        ({"required": False, "candidates": []}, False, None),
    ],
)
def test_what_is_left_of_a_configuration(content: dict[str, Any], required: bool, tcp: dict[str, Any] | None) -> None:
    assert find_fallback(content) == Fallback(required, tcp)


@pytest.mark.parametrize(
    "changes",
    [
        {"version": 2},
        {"networks": None},
        {"networks": ["net1"]},
        {"memlockBytes": True},
        {"memlockBytes": "1"},
        {"client": None},
        {"candidates": None},
        {"candidates": {"rdma": []}},
        {"store": {"endpoint": "https://x"}},
    ],
    ids=str,
)
def test_configuration_of_another_form_is_refused(changes: dict[str, Any]) -> None:
    with pytest.raises(ConfigError):
        parse_config(build_config(changes))


def _message(decision: Decision, devices: list[str], interfaces: list[str], memlock: int | None = -1) -> str:
    return build_message(decision, devices, interfaces, memlock)


def test_operator_reads_what_the_pod_says() -> None:
    decision = decide(parse_config(build_config(_PLUGIN)), _CLEAN, _STILL, {})
    report = parse_preflight(_message(decision, ["mlx5_2 ACTIVE Ethernet 200 Gb/s"], ["net1 192.168.10.7 mtu 9000"]))
    assert report is not None
    assert (report.transport, report.evidence, report.reason) == (
        Variant.RDMA,
        Evidence.UNVERIFIED,
        Reason.RDMATransferUnproven,
    )
    assert (report.devices, report.interfaces, report.memlock) == (
        ("mlx5_2 ACTIVE Ethernet 200 Gb/s",),
        ("net1 192.168.10.7 mtu 9000",),
        -1,
    )
    assert "counters stood still" in report.detail


@pytest.mark.parametrize("sign", ["x", "ü", "\U0001f40d", '"', "\x00"])
def test_message_is_short_whatever_was_seen(sign: str) -> None:
    decision = fall_back(Fallback(False, TCP_ADAPTER), "LinkDown", sign * 5000, sign * 5000)
    text = _message(decision, [sign * 500] * 20, [sign * 500] * 20)
    assert len(text.encode()) <= MESSAGE_BYTES
    report = parse_preflight(text)
    assert report is not None
    assert (report.transport, report.reason) == (Variant.TCP, Reason.LinkDown)
