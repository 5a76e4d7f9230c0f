"""Where the files of one cluster lie, and which ports, addresses and keys it has."""

import json
import secrets
import socket
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import yaml

from .supervisor import Control

ADMIN: Final = "admin"
LOCAL: Final = "local"
KIND: Final = "kind"
EXISTING: Final = "existing"
S3_DOMAIN: Final = "s3.internal"
MARK: Final = "inferencecache.io/test-cluster"
_PORTS: Final = ("kwok", "s3")
_SERVER_PORTS: Final = range(15_000, 32_000)
_PORT_ATTEMPTS: Final = 100


@dataclass(frozen=True)
class Workplace:
    """Where a provider brings a control plane up.

    Attributes:
        slot: Number that no other cluster of this machine has.
        control: Starts processes that end with the cluster.
        report: Gets a line of progress now and then.
    """

    folder: Path
    bin_dir: Path
    slot: int
    control: Control
    report: Callable[[str], None]


@dataclass(frozen=True)
class Layout:
    """Ports, folders and secrets of one cluster.

    Attributes:
        provider: Who runs the control plane.
        mark: Value of the label that tells this cluster's nodes and namespaces from those of others.
        server: URL of the API server.
    """

    folder: Path
    bin_dir: Path
    slot: int
    provider: str
    mark: str
    server: str
    ports: dict[str, int]
    s3_access_key: str
    s3_secret_key: str = field(repr=False)

    @property
    def pod_cidr(self) -> str:
        """Loopback range of this cluster's pods; no two clusters of a machine share one."""
        return f"127.{16 + self.slot}.0.0/16"

    @property
    def certificates(self) -> Path:
        """Folder of certificates and keys."""
        return self.folder / "certificates"

    def kubeconfig(self, user: str) -> Path:
        """Return the kubeconfig of a user."""
        return self.folder / "kubeconfigs" / f"{user.rpartition(':')[2]}.yaml"

    def save(self) -> None:
        """Write what `load_layout` reads."""
        content = {
            "binDir": str(self.bin_dir),
            "slot": self.slot,
            "provider": self.provider,
            "mark": self.mark,
            "server": self.server,
            "ports": self.ports,
            "s3AccessKey": self.s3_access_key,
            "s3SecretKey": self.s3_secret_key,
        }
        write_private(self.folder / "layout.json", json.dumps(content))


def load_layout(folder: Path) -> Layout:
    """Return the layout of a cluster that was started elsewhere."""
    saved = json.loads((folder / "layout.json").read_text())
    return Layout(
        folder=folder,
        bin_dir=Path(saved["binDir"]),
        slot=saved["slot"],
        provider=saved["provider"],
        mark=saved["mark"],
        server=saved["server"],
        ports=saved["ports"],
        s3_access_key=saved["s3AccessKey"],
        s3_secret_key=saved["s3SecretKey"],
    )


def build_layout(place: Workplace, provider: str, server: str, ports: Mapping[str, int]) -> Layout:
    """Return a layout with new keys for the S3 server's owner; `ports` are added to those of the surroundings."""
    return Layout(
        folder=place.folder,
        bin_dir=place.bin_dir,
        slot=place.slot,
        provider=provider,
        mark=secrets.token_hex(4),
        server=server,
        ports={**ports, **pick_ports(*_PORTS)},
        s3_access_key=secrets.token_hex(8),
        s3_secret_key=secrets.token_hex(20),
    )


def pick_ports(*names: str) -> dict[str, int]:
    """Return a free port for each name.

    They lie below the range from which the kernel gives ports to clients: between choice and use, a connection of
    another cluster would take one of those.
    """
    sockets = {name: socket.socket() for name in names}
    try:
        return {name: _bind_somewhere(item) for name, item in sockets.items()}
    finally:
        for item in sockets.values():
            item.close()


def _bind_somewhere(server: socket.socket) -> int:
    for _ in range(_PORT_ATTEMPTS):
        port = secrets.choice(_SERVER_PORTS)
        try:
            server.bind(("127.0.0.1", port))
        except OSError:
            continue
        return port
    raise OSError(f"no free port among {_SERVER_PORTS} in {_PORT_ATTEMPTS} attempts")


def write_token_kubeconfig(admin: Path, path: Path, token: str) -> None:
    """Write a kubeconfig that reaches the administrator's cluster with a bearer token."""
    config: dict[str, Any] = yaml.safe_load(admin.read_text())
    config["users"] = [{"name": entry["name"], "user": {"token": token}} for entry in config["users"]]
    write_private(path, yaml.safe_dump(config))


def write_private(path: Path, text: str) -> None:
    """Write a file that only its owner may read."""
    path.touch(mode=0o600)
    path.write_text(text)
