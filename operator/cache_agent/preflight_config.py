"""The configuration of a preflight, read so that as much as possible is left of one that another version wrote.

The operator writes it as transport.json. Programs and configuration may be of different versions, as the programs are
replaced with the operator and the configuration with the pod.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

VERSION: Final = 1
_LIMIT: Final = 2**20

Adapter = dict[str, Any]


class ConfigError(Exception):
    """Why a configuration cannot be used."""


@dataclass(frozen=True)
class Store:
    """Where the bucket is.

    Attributes:
        path_addressing: Whether requests name the bucket in the path instead of the host.
        authorities: File with the certificate authorities; empty for the system's.
    """

    endpoint: str
    region: str
    bucket: str
    path_addressing: bool
    authorities: str


@dataclass(frozen=True)
class Config:
    """What a pod should find, and between which adapters it chooses.

    Attributes:
        required: Whether the engine may start without proof of RDMA.
        networks: Interfaces that should be there; none for devices that need no network.
        link_type: Ethernet or InfiniBand; empty where nobody says.
        resource: Extended resource of the devices; empty where they come from a claim.
        adds_ipc_lock: Whether the container asks for the capability IPC_LOCK.
        memlock: Bytes that the cache server locks.
        needs_proof: Whether the client is used only after it has moved bytes over RDMA here: NIXL, which starts without RDMA
            nowhere and never falls back.
        rdma: Adapter over RDMA; None where the client has none.
        tcp: Adapter over TCP; None where pods without RDMA run without the store.
    """

    required: bool
    networks: tuple[str, ...] = ()
    link_type: str = ""
    resource: str = ""
    adds_ipc_lock: bool = True
    memlock: int = 0
    needs_proof: bool = True
    store: Store | None = None
    rdma: Adapter | None = None
    tcp: Adapter | None = None


@dataclass(frozen=True)
class Fallback:
    """What is left of a configuration that cannot be used.

    Attributes:
        required: True where nothing says otherwise: RDMA that is required must not be dropped by a broken file.
    """

    required: bool = True
    tcp: Adapter | None = None


def read_config(path: Path) -> dict[str, Any]:
    """Return the content of a configuration file.

    Raises:
        ConfigError: There is none, or it is no JSON object.
    """
    try:
        with path.open("rb") as stream:
            content = json.loads(stream.read(_LIMIT))
    except (OSError, ValueError, RecursionError) as error:
        raise ConfigError(f"{path} cannot be read: {type(error).__name__}") from error
    if not isinstance(content, dict):
        raise ConfigError(f"{path} holds no JSON object")
    return content


def find_fallback(content: dict[str, Any]) -> Fallback:
    """Return what is needed to go on without RDMA; it takes nothing for granted."""
    candidates = content.get("candidates")
    tcp = candidates.get("tcp") if isinstance(candidates, dict) else None
    return Fallback(content.get("required") is not False, tcp if isinstance(tcp, dict) else None)


def parse_config(content: dict[str, Any]) -> Config:
    """Return a configuration.

    Raises:
        ConfigError: It is of another version, or a field is missing or of another type.
    """
    if content.get("version") != VERSION:
        raise ConfigError(f"the configuration has version {content.get('version')!r}, and this program knows {VERSION}")
    try:
        candidates = _take(content, "candidates", dict)
        return Config(
            required=_take(content, "required", bool),
            networks=tuple(_take(item, "interface", str) for item in _take(content, "networks", list)),
            link_type=_take(content, "linkType", str, ""),
            resource=_take(content, "resource", str, ""),
            adds_ipc_lock=_take(content, "lockedMemory", str) == "IPCLock",
            memlock=_take(content, "memlockBytes", int),
            needs_proof=_take(content, "client", str) != "Plugin",
            store=_parse_store(content["store"]) if content.get("store") is not None else None,
            rdma=_take(candidates, "rdma", dict, None),
            tcp=_take(candidates, "tcp", dict, None),
        )
    except (KeyError, TypeError) as error:
        raise ConfigError(f"the configuration lacks a field or has another type in it: {error}") from error


def _parse_store(content: dict[str, Any]) -> Store:
    return Store(
        endpoint=_take(content, "endpoint", str),
        region=_take(content, "region", str),
        bucket=_take(content, "bucket", str),
        path_addressing=_take(content, "addressing", str) == "Path",
        authorities=_take(content, "ca", str, ""),
    )


_MISSING: Final = object()


def _take(content: dict[str, Any], key: str, kind: type, absent: Any = _MISSING) -> Any:
    """Return a field; where it is null, what stands for that."""
    value = content[key] if absent is _MISSING else content.get(key)
    if value is None and absent is not _MISSING:
        return absent
    if not isinstance(value, kind) or (kind is int and isinstance(value, bool)):
        raise TypeError(key)
    return value
