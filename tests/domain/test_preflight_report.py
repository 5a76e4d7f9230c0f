"""The message of a pod's preflight: what counts as one, and what is left of odd ones."""

import json
from typing import Any, Final

import pytest
from hypothesis import given
from hypothesis import strategies as st

from inference_cache.domain.attachment import Variant
from inference_cache.domain.preflight_report import Evidence, PreflightReport, parse_preflight
from inference_cache.domain.reasons import Reason

_MESSAGE: Final[dict[str, Any]] = {
    "version": 1,
    "transport": "TCP",
    "evidence": "None",
    "reason": "LinkDown",
    "detail": "mlx5_2:1 is DOWN",
    "devices": ["mlx5_2 DOWN Ethernet 200 Gb/s"],
    "interfaces": ["net1 192.168.10.7 mtu 9000"],
    "memlock": -1,
}


def test_message_is_read() -> None:
    assert parse_preflight(json.dumps(_MESSAGE)) == PreflightReport(
        Variant.TCP,
        Evidence.NONE,
        Reason.LinkDown,
        "mlx5_2:1 is DOWN",
        ("mlx5_2 DOWN Ethernet 200 Gb/s",),
        ("net1 192.168.10.7 mtu 9000",),
        -1,
    )


_NO_REPORT: dict[str, Any] = {
    "nothing": None,
    "empty": "",
    "text of a log": "Traceback (most recent call last):",
    "no object": "[]",
    "deep": "[" * 2000,
    "too long": json.dumps(_MESSAGE | {"detail": "x" * 5000}),
    "another version": json.dumps(_MESSAGE | {"version": 2}),
    "no transport": json.dumps({key: value for key, value in _MESSAGE.items() if key != "transport"}),
    "transport of nobody": json.dumps(_MESSAGE | {"transport": "rdma"}),
    "transport that is null": json.dumps(_MESSAGE | {"transport": None}),
    "transport that is a list": json.dumps(_MESSAGE | {"transport": []}),
    "evidence of nobody": json.dumps(_MESSAGE | {"evidence": "Sure"}),
    "proof of TCP": json.dumps(_MESSAGE | {"evidence": "Proven"}),
}


@pytest.mark.parametrize("text", _NO_REPORT.values(), ids=_NO_REPORT.keys())
def test_no_report(text: str | None) -> None:
    assert parse_preflight(text) is None


@pytest.mark.parametrize(
    ("changes", "attribute", "expected"),
    [
        ({"reason": ""}, "reason", None),
        ({"reason": "OfTomorrow"}, "reason", Reason.PreflightFailed),
        ({"reason": ["LinkDown"]}, "reason", Reason.PreflightFailed),
        ({"detail": None}, "detail", ""),
        ({"detail": "two\nlines\x1b[31m"}, "detail", "two lines [31m"),
        ({"devices": "mlx5_0"}, "devices", ()),
        ({"devices": ["a", 1, None, "b"]}, "devices", ("a", "b")),
        ({"devices": ["a"] * 99}, "devices", ("a",) * 16),
        ({"memlock": 8388608}, "memlock", 8388608),
        ({"memlock": True}, "memlock", None),
        ({"memlock": "-1"}, "memlock", None),
        ({"memlock": -2}, "memlock", None),
    ],
)
def test_odd_fields(changes: dict[str, Any], attribute: str, expected: Any) -> None:
    report = parse_preflight(json.dumps(_MESSAGE | changes))
    assert report is not None
    assert getattr(report, attribute) == expected


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3),
    max_leaves=5,
)


@given(st.fixed_dictionaries({}, optional={key: _JSON | st.just(value) for key, value in _MESSAGE.items()}))
def test_anything_in_the_fields_is_a_report_or_none(message: dict[str, Any]) -> None:
    report = parse_preflight(json.dumps(message))
    assert report is None or all(isinstance(line, str) for line in report.devices)
