"""What pods see, in and out: each situation with the reasons that it gives, the cause first."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

import pytest

from cache_agent.preflight_checks import Examination, examine
from cache_agent.preflight_config import parse_config
from cache_agent.preflight_machine import Sight, list_named, look
from e2e.nodetree import Machine
from inference_cache.domain.reasons import Reason
from tests.preflight.trees import (
    ADDRESSES,
    INFINIBAND,
    LOW,
    NO_NETWORK,
    PCI,
    RESOURCE,
    ROOT_STATUS,
    SHARED,
    SRIOV,
    TWO_RAILS,
    Pod,
    build_config,
    build_foreign,
    build_gids,
    build_infiniband,
    build_shared,
    build_virtual_function,
)

_NAMED: Final = "PCIDEVICE_NVIDIA_COM_STORAGE_VF"


def see(pod: Pod, root: Path) -> tuple[Sight, Examination]:
    config = parse_config(build_config(pod.config))
    sight = look(
        pod.build(root), pod.environment, config.resource, config.networks, lambda name: pod.addresses.get(name, "")
    )
    return sight, examine(config, sight, pod.environment)


def _with_function(**port: Any) -> Pod:
    return SRIOV.changed(functions=(build_foreign(), build_virtual_function(2, "net1", **port)))


HEALTHY: Final[dict[str, tuple[Pod, list[str]]]] = {
    "SR-IOV Ethernet": (SRIOV, ["mlx5_2:1"]),
    "SR-IOV with two rails": (TWO_RAILS, ["mlx5_2:1", "mlx5_3:1"]),
    "SR-IOV whose plugin names nothing": (SRIOV.changed(environment={_NAMED: ""}), ["mlx5_2:1"]),
    "shared device and macvlan": (SHARED, ["mlx5_0:1"]),
    "shared device and macvlan, told by the interface of a GID alone": (
        build_shared().changed(addresses={"net1": ADDRESSES["net1"]}),
        ["mlx5_0:1"],
    ),
    "InfiniBand": (INFINIBAND, ["mlx5_2:1"]),
    "InfiniBand without a function below its interface": (
        INFINIBAND.changed(contents={}, removed=(f"sys/devices/pci0000:17/{PCI['net1']}/net/net1/device",)),
        ["mlx5_2:1"],
    ),
    "device without a network": (NO_NETWORK, ["mlx5_2:1"]),
    "any link type": (SRIOV.changed(config={"linkType": None}), ["mlx5_2:1"]),
    "limit of exactly what is needed": (
        SRIOV.changed(capabilities=0, memlock=replace(LOW, hard=str(64 * 2**30))),
        ["mlx5_2:1"],
    ),
    "no limit and no capability": (SRIOV.changed(capabilities=0), ["mlx5_2:1"]),
    "UCX may use RDMA and TCP": (SRIOV.changed(environment={"UCX_TLS": "tcp,rc,cuda_copy"}), ["mlx5_2:1"]),
    "UCX leaves TCP out": (SRIOV.changed(environment={"UCX_TLS": "^tcp"}), ["mlx5_2:1"]),
    "index of the RoCE v2 GID": (SRIOV.changed(environment={"UCX_IB_GID_INDEX": "3"}), ["mlx5_2:1"]),
}
FAULTY: Final[dict[str, tuple[Pod, list[str]]]] = {
    "no device at all": (Pod(Machine(capabilities=1 << 14)), ["NoRDMADevice"]),
    "device whose file is not there": (SRIOV.changed(functions=(build_foreign(),)), ["NoRDMADevice"]),
    "device whose file cannot be opened": (SRIOV.changed(unreadable=("dev/infiniband/uverbs2",)), ["NoRDMADevice"]),
    "plugin names a function without RDMA": (SRIOV.changed(environment={_NAMED: "0000:17:00.9"}), ["NoRDMADevice"]),
    "no port": (
        SRIOV.changed(
            config={"linkType": None}, removed=(f"sys/devices/pci0000:17/{PCI['net1']}/infiniband/mlx5_2/ports/1",)
        ),
        ["LinkDown"],
    ),
    "port down": (_with_function(state="1: DOWN", physical_state="3: Disabled"), ["LinkDown"]),
    "port in an unknown state": (
        SRIOV.changed(removed=(f"sys/devices/pci0000:17/{PCI['net1']}/infiniband/mlx5_2/ports/1/state",)),
        ["LinkDown"],
    ),
    "Ethernet where InfiniBand is wanted": (SRIOV.changed(config={"linkType": "InfiniBand"}), ["LinkTypeMismatch"]),
    "InfiniBand where Ethernet is wanted": (INFINIBAND.changed(config={"linkType": "Ethernet"}), ["LinkTypeMismatch"]),
    "no subnet manager, port initialised": (
        build_infiniband(state="2: INIT", subnet_manager_lid=0),
        ["NoSubnetManager"],
    ),
    "no subnet manager, port active": (build_infiniband(subnet_manager_lid=0), ["NoSubnetManager"]),
    "InfiniBand port down": (build_infiniband(state="1: DOWN", subnet_manager_lid=0), ["LinkDown"]),
    "virtual function without GUID": (
        build_infiniband(state="1: DOWN", subnet_manager_lid=0).changed(
            extra={f"sys/devices/pci0000:17/{PCI['net1']}/infiniband/mlx5_2/node_guid": "0000:0000:0000:0000"}
        ),
        ["VFGuidUnset"],
    ),
    "no interface": (SRIOV.changed(config={"networks": [{"interface": "net9"}]}), ["NoFabricAddress"]),
    "interface without address": (SRIOV.changed(addresses={"net1": ""}), ["NoFabricAddress"]),
    "second rail without address": (TWO_RAILS.changed(addresses={"net2": ""}), ["NoFabricAddress"]),
    "empty GID table": (_with_function(gids={}), ["NoGIDOnInterface"]),
    "only RoCE v1": (_with_function(gids={0: build_gids(ADDRESSES["net1"], "net1")[2]}), ["NoGIDOnInterface"]),
    "only link-local GIDs": (_with_function(gids={1: build_gids(ADDRESSES["net1"], "net1")[1]}), ["NoGIDOnInterface"]),
    "GID of another address": (_with_function(gids=build_gids("192.168.10.8", "net1")), ["NoGIDOnInterface"]),
    "macvlan on another port than the one device": (
        build_shared(others=0, address="192.168.99.9").changed(
            removed=tuple(
                f"sys/devices/pci0000:17/0000:17:00.0/infiniband/mlx5_0/ports/1/gid_attrs/ndevs/{index}"
                for index in range(4, 8)
            )
        ),
        ["NoGIDOnInterface"],
    ),
    "macvlan on none of several devices": (
        build_shared(address="192.168.99.9").changed(
            removed=tuple(
                f"sys/devices/pci0000:17/0000:17:00.0/infiniband/mlx5_0/ports/1/gid_attrs/ndevs/{index}"
                for index in range(4, 8)
            )
        ),
        ["RDMADeviceAmbiguous"],
    ),
    "device without a network and without an address": (
        NO_NETWORK.changed(functions=(build_virtual_function(2, "net1", gids={}),)),
        ["NoGIDOnInterface"],
    ),
    "index of a RoCE v1 GID": (SRIOV.changed(environment={"UCX_IB_GID_INDEX": "2"}), ["GIDIndexMismatch"]),
    "index of an empty GID": (SRIOV.changed(environment={"UCX_IB_GID_INDEX": "7"}), ["GIDIndexMismatch"]),
    "IPC_LOCK that is not effective for its user": (
        SRIOV.changed(capabilities=0, memlock=LOW),
        ["IPCLockIneffectiveNonRoot"],
    ),
    "other capabilities than IPC_LOCK": (
        SRIOV.changed(capabilities=0x3FFF, memlock=LOW),
        ["IPCLockIneffectiveNonRoot"],
    ),
    "root without IPC_LOCK": (
        SRIOV.changed(capabilities=0, memlock=LOW, contents={"proc/self/status": ROOT_STATUS}),
        ["MemlockTooLow"],
    ),
    "node that should have no limit": (
        SRIOV.changed(capabilities=0, memlock=LOW, config={"lockedMemory": "NodeUnlimited"}),
        ["MemlockTooLow"],
    ),
    "limit that is not told": (
        SRIOV.changed(capabilities=0, removed=("proc/self/limits",)),
        ["IPCLockIneffectiveNonRoot"],
    ),
    "UCX is told TCP": (SRIOV.changed(environment={"UCX_TLS": "tcp"}), ["SilentTCPFallback"]),
    "UCX is told TCP and shared memory": (SRIOV.changed(environment={"UCX_TLS": "self,sm,TCP"}), ["SilentTCPFallback"]),
    "UCX leaves RDMA out": (SRIOV.changed(environment={"UCX_TLS": "^ib"}), ["SilentTCPFallback"]),
    "UCX leaves each RDMA transport out": (SRIOV.changed(environment={"UCX_TLS": "^rc,ud,dc"}), ["SilentTCPFallback"]),
    "client without RDMA": (SRIOV.changed(config={"candidates": {"rdma": None, "tcp": {}}}), ["ClientWithoutRDMA"]),
    "several things, the cause first": (
        _with_function(state="1: DOWN", gids={}).changed(capabilities=0, memlock=LOW, environment={"UCX_TLS": "tcp"}),
        ["LinkDown", "NoGIDOnInterface", "IPCLockIneffectiveNonRoot", "SilentTCPFallback"],
    ),
}
REMARKABLE: Final[dict[str, tuple[Pod, list[str]]]] = {
    "small MTU": (SHARED.changed(extra={"sys/class/net/net1/mtu": "1500"}), ["MTUTooSmall"]),
    "device that the plugin did not name": (
        SRIOV.changed(functions=(build_foreign(char_device=True), build_virtual_function(2, "net1"))),
        ["UCXDeviceNotPinned"],
    ),
    "UCX is told another device": (SRIOV.changed(environment={"UCX_NET_DEVICES": "mlx5_0:1"}), ["UCXDeviceNotPinned"]),
    "UCX is told this device": (SRIOV.changed(environment={"UCX_NET_DEVICES": "mlx5_2:1"}), []),
}


@pytest.mark.parametrize(("pod", "ports"), HEALTHY.values(), ids=HEALTHY.keys())
def test_healthy(pod: Pod, ports: list[str], tmp_path: Path) -> None:
    sight, found = see(pod, tmp_path / "root")
    assert [item.reason for item in found.faults] == []
    assert [pin.name for pin in found.pins] == ports
    assert sight.problems == ()


@pytest.mark.parametrize(("pod", "reasons"), FAULTY.values(), ids=FAULTY.keys())
def test_faulty(pod: Pod, reasons: list[str], tmp_path: Path) -> None:
    _, found = see(pod, tmp_path / "root")
    assert [item.reason for item in found.faults] == reasons
    assert all(item.detail and item.remedy.endswith(".") for item in found.faults)


@pytest.mark.parametrize(("pod", "reasons"), REMARKABLE.values(), ids=REMARKABLE.keys())
def test_remarkable(pod: Pod, reasons: list[str], tmp_path: Path) -> None:
    _, found = see(pod, tmp_path / "root")
    assert [item.reason for item in found.faults] == []
    assert [item.reason for item in found.remarks] == reasons


def test_every_reason_is_one_of_the_operators() -> None:
    told = {reason for _, reasons in [*FAULTY.values(), *REMARKABLE.values()] for reason in reasons}
    assert told <= set(Reason.__members__)
    assert all(Reason[name].remedy for name in told)


def test_no_situation_without_a_device_passes(tmp_path: Path) -> None:
    for number, networks in enumerate(([], [{"interface": "net1"}])):
        bare = Pod(Machine(capabilities=1 << 14), config={"networks": networks})
        _, found = see(bare, tmp_path / str(number))
        assert found.faults
        assert found.pins == ()


def test_devices_of_the_host_are_told_from_the_pods(tmp_path: Path) -> None:
    sight, _ = see(SRIOV, tmp_path / "root")
    assert [device.name for device in sight.devices] == ["mlx5_2"]
    assert sight.closed == ("mlx5_0",)
    assert sight.named == (PCI["net1"],)


@pytest.mark.parametrize(
    ("environment", "resource", "expected"),
    [
        ({"PCIDEVICE_NVIDIA_COM_STORAGE_VF": "a,b"}, RESOURCE, {"a", "b"}),
        ({"PCIDEVICE_NVIDIA_COM_STORAGE_VF_INFO": "{}"}, RESOURCE, set()),
        ({"PCIDEVICE_OPENSHIFT_IO_IB_STORAGE": "a"}, "openshift.io/ib_storage", {"a"}),
        ({"PCIDEVICE_INTEL_COM_A_B": "a"}, "intel.com/a-b", {"a"}),
        ({"PCIDEVICE_NVIDIA_COM_OTHER": "a"}, RESOURCE, set()),
        ({}, "", set()),
    ],
)
def test_devices_that_the_plugin_names(environment: Mapping[str, str], resource: str, expected: set[str]) -> None:
    assert list_named(environment, resource) == expected
