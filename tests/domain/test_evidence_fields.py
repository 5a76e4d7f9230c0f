"""How the values that projects write differently are read as one."""

from typing import Any

import pytest

from inference_cache.api.networks import LinkType
from inference_cache.api.node_requirements import NIC_MODELS
from inference_cache.domain.evidence_fields import (
    read_link_type,
    read_number,
    read_pci_address,
    read_pci_id,
    read_speed,
)
from inference_cache.domain.nic_models import find_model


@pytest.mark.parametrize(
    ("text", "speed"),
    [
        ("100000 Mb/s", 100),
        ("200000Mb/s", 200),
        ("25000 Mbps", 25),
        ("400 Gb/s", 400),
        ("2.5 Gb/s", 2),
        ("-1 Mb/s", None),
        ("Unknown", None),
        ("", None),
        (None, None),
        (100000, None),
        ("9" * 400 + " Gb/s", None),
        ("1." + "9" * 400 + " Gb/s", None),
    ],
)
def test_speed_is_read_as_projects_write_it(text: Any, speed: int | None) -> None:
    assert read_speed(text) == speed


@pytest.mark.parametrize(
    ("value", "number"),
    [
        (2**64 - 1, 2**64 - 1),
        (-1, -1),
        (" 9000 ", 9000),
        (10**400, None),
        (-(10**400), None),
        ("9" * 5000, None),
        (True, None),
    ],
)
def test_number_is_one_that_a_machine_counts_with(value: Any, number: int | None) -> None:
    assert read_number(value) == number


@pytest.mark.parametrize(
    ("text", "link"),
    [
        *((text, LinkType.ETHERNET) for text in ("ETH", "eth", "Ethernet", "ether")),
        *((text, LinkType.INFINIBAND) for text in ("IB", "ib", "Infiniband", "InfiniBand", "infiniband")),
        ("", None),
        ("loopback", None),
        (None, None),
    ],
)
def test_link_type_is_read_as_projects_write_it(text: Any, link: LinkType | None) -> None:
    assert read_link_type(text) is link


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("0000:1a:00.0", "0000:1a:00.0"),
        ("0000:1A:00.1", "0000:1a:00.1"),
        ("1a:00.0", "0000:1a:00.0"),
        ("10001:1a:00.0", "10001:1a:00.0"),
        ("0000:1a:00", ""),
        ("eth0", ""),
        (None, ""),
    ],
)
def test_pci_address_has_one_form(text: Any, address: str) -> None:
    assert read_pci_address(text) == address


@pytest.mark.parametrize(("text", "found"), [("A2DC", "a2dc"), ("0x1021", "1021"), ("mlx5", None), (4129, None)])
def test_pci_id_has_one_form(text: Any, found: str | None) -> None:
    assert read_pci_id(text) == found


@pytest.mark.parametrize(
    ("device_id", "text", "model"),
    [
        ("1021", "", "ConnectX-7"),
        ("a2dc", "ConnectX-7", "BlueField-3"),
        ("101d", "", "ConnectX-6 Dx"),
        ("101b", "", "ConnectX-6"),
        ("101c", "", "ConnectX-6"),
        ("101e", "", None),
        (None, "ConnectX-6 Dx EN adapter card", "ConnectX-6 Dx"),
        (None, "MT28908 Family [ConnectX-6]", "ConnectX-6"),
        (None, "MT43244 BlueField-3 integrated ConnectX-7 network controller", "BlueField-3"),
        (None, "BlueField-2 integrated ConnectX-6 Dx network controller", "BlueField-2"),
        ("1593", "Ethernet Controller E810-C", None),
    ],
)
def test_model_comes_from_the_device_id_before_the_text(device_id: str | None, text: str, model: str | None) -> None:
    assert find_model(device_id, text) == model


def test_models_are_named_as_requirements_name_them() -> None:
    ids = ("101b", "101d", "1021", "1023", "1025", "a2d6", "a2dc")
    assert {find_model(item) for item in ids} == set(NIC_MODELS)
