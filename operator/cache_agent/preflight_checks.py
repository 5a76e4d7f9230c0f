"""What is wrong with what a pod sees, and which ports carry its traffic. A check that looked at no device never passes.

Names of reasons are those of the operator's list (domain/reasons.py). A fault rules RDMA out; a remark does not.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Final

from .preflight_config import Config
from .preflight_machine import ETHERNET, INFINIBAND, ROCE_V2, Device, Interface, Port, Sight

_LEAST_MTU: Final = 4200
# Transports of UCX that are RDMA, by the beginning of their names; ib stands for all of them.
_RDMA_TRANSPORTS: Final = ("rc", "dc", "ud", "ib", "all")


@dataclass(frozen=True)
class Finding:
    """One thing that is wrong.

    Attributes:
        reason: Name in the operator's list.
        detail: What was found, and where.
        remedy: What the user can do.
    """

    reason: str
    detail: str
    remedy: str


@dataclass(frozen=True)
class Pin:
    """A port that carries the store's traffic, and the interface for which it does; None without networks."""

    device: Device
    port: Port
    interface: Interface | None

    @property
    def name(self) -> str:
        """The port as UCX names it."""
        return f"{self.device.name}:{self.port.facts.number}"


@dataclass(frozen=True)
class Examination:
    """What came of all checks.

    Attributes:
        pins: One for each network, or for each device where there is no network.
        faults: What rules RDMA out, the cause before its effects.
        remarks: What does not.
    """

    pins: tuple[Pin, ...]
    faults: tuple[Finding, ...]
    remarks: tuple[Finding, ...]


def examine(config: Config, sight: Sight, environment: Mapping[str, str]) -> Examination:
    """Check everything."""
    faults: list[Finding] = []
    if config.rdma is None:
        faults.append(
            Finding(
                "ClientWithoutRDMA",
                "the configuration has no adapter that speaks RDMA",
                "Use client Plugin, or client NIXL with rdmaDialect.",
            )
        )
    devices = list(_choose_devices(config, sight, faults))
    pins = list(_pin(config, sight, devices, faults)) if devices else []
    for pin in pins:
        faults += _check_port(pin)
        faults += _check_gids(pin, environment)
    faults += _check_memory(config, sight)
    faults += _check_transports(environment)
    remarks = [*_remark_mtu(pins), *_remark_pinning(pins, sight, environment)]
    return Examination(tuple(pins), tuple(faults), tuple(remarks))


def _choose_devices(config: Config, sight: Sight, faults: list[Finding]) -> Iterator[Device]:
    """Yield the devices of the wanted link layer; without one, note why there is none."""
    if not sight.devices:
        faults.append(_describe_no_device(config, sight))
        return
    chosen = [device for device in sight.devices if _find_port(device, config.link_type) is not None]
    if not chosen and not config.link_type:
        names = ", ".join(item.name for item in sight.devices)
        faults.append(Finding("LinkDown", f"{names} has no port", "Look after the NIC driver on the node."))
    elif not chosen:
        seen = ", ".join(f"{item.name} {_describe_layers(item)}" for item in sight.devices)
        faults.append(
            Finding(
                "LinkTypeMismatch",
                f"the pod's devices are {seen}, and {config.link_type} is wanted",
                "Set LINK_TYPE in the adapter's firmware, or correct the link type of the fabric.",
            )
        )
    yield from chosen


def _describe_no_device(config: Config, sight: Sight) -> Finding:
    if sight.named:
        what = f"{config.resource} is {', '.join(sight.named)}, and no RDMA device that can be opened lies there"
        remedy = "Set isRdma on the policy, and look after the device plugin on the node."
    elif sight.closed:
        what = f"/sys shows {', '.join(sight.closed)}, and none of their files in /dev/infiniband can be opened"
        remedy = f"Look whether the container was given {config.resource or 'its claim'}; look after the device plugin."
    else:
        what = "there is no RDMA device in /sys/class/infiniband_verbs"
        remedy = "Look after the device plugin and the NIC driver on the node."
    return Finding("NoRDMADevice", what, f"{remedy} Then delete the pod.")


def _pin(config: Config, sight: Sight, devices: list[Device], faults: list[Finding]) -> Iterator[Pin]:
    """Yield the port of each network, or of each device where there are no networks."""
    if not config.networks:
        for device in devices:
            port = _find_port(device, config.link_type)
            if port is not None:
                yield Pin(device, port, None)
    for name in config.networks:
        interface = sight.interfaces.get(name)
        if interface is None or not interface.address:
            missing = "has no address" if interface else "does not exist"
            faults.append(
                Finding(
                    "NoFabricAddress",
                    f"interface {name} {missing} in the pod",
                    "Look after Multus, the network and its IPAM on the node, and delete the pod.",
                )
            )
            continue
        found = _match(config, interface, devices)
        if found is None:
            faults.append(_describe_unmatched(interface, devices))
        else:
            yield Pin(found[0], found[1], interface)


def _match(config: Config, interface: Interface, devices: list[Device]) -> tuple[Device, Port] | None:
    """Return the port to which an interface belongs.

    The function that both lie on tells it, and for an interface that lies on none, such as macvlan, the GID that the
    kernel made of its address. InfiniBand makes no GIDs of addresses, so there a single device must do.
    """
    ports = [(device, port) for device in devices if (port := _find_port(device, config.link_type)) is not None]
    rules = (
        lambda device, _: bool(interface.pci) and device.pci == interface.pci,
        lambda _, port: any(gid.address == interface.address and gid.kind == ROCE_V2 for gid in port.gids),
        lambda _, port: any(gid.interface == interface.name for gid in port.gids),
        lambda _, port: len(ports) == 1 and port.facts.link_layer == INFINIBAND,
    )
    for holds in rules:
        for device, port in ports:
            if holds(device, port):
                return device, port
    return None


def _describe_unmatched(interface: Interface, devices: list[Device]) -> Finding:
    names = ", ".join(device.name for device in devices)
    if len(devices) == 1:
        return Finding(
            "NoGIDOnInterface",
            f"{names} has no GID of {interface.name} ({interface.address})",
            "Check that the network lies on the interface of the RDMA device (master of the macvlan).",
        )
    return Finding(
        "RDMADeviceAmbiguous",
        f"{names} are open to the pod, and none has a GID of {interface.name} ({interface.address})",
        "Use a fabric whose networks carry the resource's name, or check the master of the network.",
    )


def _find_port(device: Device, link_type: str) -> Port | None:
    """Return the port to use: an active one of the wanted link layer before others of it."""
    ports = [port for port in device.ports if not link_type or port.facts.link_layer == link_type]
    return next((port for port in ports if port.facts.state == "ACTIVE"), ports[0] if ports else None)


def _describe_layers(device: Device) -> str:
    return (
        "/".join(sorted({port.facts.link_layer or "of an unknown link layer" for port in device.ports})) or "portless"
    )


def _check_port(pin: Pin) -> Iterator[Finding]:
    facts = pin.port.facts
    infiniband = facts.link_layer == INFINIBAND
    state = f"{pin.name} is {facts.state or 'in an unknown state'}, physically {facts.physical_state or 'unknown'}"
    if infiniband and pin.device.guid_unset:
        yield Finding(
            "VFGuidUnset",
            f"{state}, and {pin.device.name} has no GUID",
            "Run ib-kubernetes, or switch virtualisation on in the subnet manager.",
        )
    elif infiniband and not facts.subnet_manager_lid and facts.state in {"INIT", "ACTIVE", "ARMED"}:
        yield Finding("NoSubnetManager", f"{state}, with subnet manager LID 0", "Start a subnet manager on the fabric.")
    elif facts.state != "ACTIVE":
        yield Finding("LinkDown", state, "Check cable, switch port and the interface of the node.")


def _check_gids(pin: Pin, environment: Mapping[str, str]) -> Iterator[Finding]:
    if pin.port.facts.link_layer != ETHERNET:
        return
    routed = [gid for gid in pin.port.gids if gid.kind == ROCE_V2 and not gid.address.startswith("fe80:")]
    if pin.interface is not None:
        routed = [gid for gid in routed if gid.address == pin.interface.address]
    of = f" of {pin.interface.name} ({pin.interface.address})" if pin.interface else ""
    if not routed:
        yield Finding(
            "NoGIDOnInterface",
            f"{pin.name} has no RoCE v2 GID{of} among {len(pin.port.gids)} GIDs",
            "Attach a secondary network whose interface lies on the RDMA device.",
        )
        return
    index = environment.get("UCX_IB_GID_INDEX", "").strip()
    if index.isdecimal() and int(index) not in {gid.index for gid in routed}:
        places = ", ".join(str(gid.index) for gid in routed)
        yield Finding(
            "GIDIndexMismatch",
            f"UCX_IB_GID_INDEX is {index}, and the RoCE v2 GID{of} of {pin.name} is at {places}",
            "Remove UCX_IB_GID_INDEX from the image; UCX finds the index by itself.",
        )


def _check_memory(config: Config, sight: Sight) -> Iterator[Finding]:
    memory = sight.memory
    if memory.capable or memory.hard == -1 or (memory.hard is not None and memory.hard >= config.memlock):
        return
    limit = "unknown" if memory.hard is None else f"{memory.hard} bytes"
    what = f"the limit of locked memory is {limit}, and the cache server locks {config.memlock} bytes"
    if config.adds_ipc_lock and not memory.root:
        yield Finding(
            "IPCLockIneffectiveNonRoot",
            f"{what}; IPC_LOCK was asked for and is not effective, as the process is not root",
            "Run the image as root, or set LimitMEMLOCK=infinity for the container runtime and transport.lockedMemory to NodeUnlimited.",
        )
    else:
        yield Finding(
            "MemlockTooLow",
            what,
            "Set LimitMEMLOCK=infinity for the container runtime of the node, or transport.lockedMemory to IPCLock.",
        )


def _check_transports(environment: Mapping[str, str]) -> Iterator[Finding]:
    text = environment.get("UCX_TLS", "").strip().lower()
    if not text:
        return
    excluded = text.startswith("^")
    words = [word.strip() for word in text.removeprefix("^").split(",") if word.strip()]
    named = [word for word in words if word.startswith(_RDMA_TRANSPORTS)]
    without = bool({"ib", "all"} & set(words)) or {"rc", "dc", "ud"} <= set(words) if excluded else not named
    if without:
        yield Finding(
            "SilentTCPFallback",
            f"UCX_TLS is {text}, which leaves no RDMA transport",
            "Remove UCX_TLS from the image or from what injects it.",
        )


def _remark_mtu(pins: list[Pin]) -> Iterator[Finding]:
    for pin in pins:
        mtu = pin.interface.mtu if pin.interface else None
        if mtu is not None and mtu < _LEAST_MTU and pin.port.facts.link_layer == ETHERNET:
            name = pin.interface.name if pin.interface else ""
            yield Finding(
                "MTUTooSmall",
                f"the MTU of {name} is {mtu}; a RoCE MTU of 4096 needs {_LEAST_MTU}",
                "Set 4200 or more on interface and switch.",
            )


def _remark_pinning(pins: list[Pin], sight: Sight, environment: Mapping[str, str]) -> Iterator[Finding]:
    if sight.others:
        yield Finding(
            "UCXDeviceNotPinned",
            f"{', '.join(sight.others)} can be opened too and belong to no network of the pod",
            "Switch mofedEnabled of the GPU device plugin off.",
        )
    text = environment.get("UCX_NET_DEVICES", "").strip()
    if text and pins and text != "all" and not {pin.name for pin in pins} <= set(text.split(",")):
        yield Finding(
            "UCXDeviceNotPinned",
            f"UCX_NET_DEVICES is {text[:100]}; the cache server gets {','.join(pin.name for pin in pins)} instead",
            "Remove UCX_NET_DEVICES from the image.",
        )
