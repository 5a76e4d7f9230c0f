"""The processes of a local cluster and their flags: one etcd, the control plane, KWOK for nodes and an S3 server."""

import json
import secrets
import socket
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import yaml

from .certificates import write_certificates
from .supervisor import ProcessSpec

ADMIN: Final = "admin"
_SYSTEM_USERS: Final = ("system:kube-controller-manager", "system:kube-scheduler")
S3_DOMAIN: Final = "s3.internal"
_STAGES: Final = Path(__file__).parent / "stages.yaml"

# Every request of others than the control plane itself, without bodies: the independent witness of what an operator did.
_AUDIT_POLICY: Final[dict[str, Any]] = {
    "apiVersion": "audit.k8s.io/v1",
    "kind": "Policy",
    "omitStages": ["RequestReceived"],
    "rules": [
        {"level": "None", "userGroups": ["system:apiservers"]},
        {"level": "None", "users": ["system:apiserver", *_SYSTEM_USERS]},
        {"level": "Metadata"},
    ],
}


@dataclass(frozen=True)
class Layout:
    """Ports, folders and secrets of one cluster."""

    folder: Path
    bin_dir: Path
    slot: int
    ports: dict[str, int]
    tokens: dict[str, str] = field(repr=False)
    s3_access_key: str
    s3_secret_key: str = field(repr=False)

    @property
    def server(self) -> str:
        """URL of the API server."""
        return f"https://127.0.0.1:{self.ports['apiserver']}"

    @property
    def pod_cidr(self) -> str:
        """Loopback range of this cluster's pods; no two clusters of a machine share one."""
        return f"127.{16 + self.slot}.0.0/16"

    def kubeconfig(self, user: str) -> Path:
        """Return the kubeconfig of a user."""
        return self.folder / "kubeconfigs" / f"{user.rpartition(':')[2]}.yaml"


def pick_ports(*names: str) -> dict[str, int]:
    """Return a free port for each name."""
    sockets = {name: socket.socket() for name in names}
    try:
        for item in sockets.values():
            item.bind(("127.0.0.1", 0))
        return {name: item.getsockname()[1] for name, item in sockets.items()}
    finally:
        for item in sockets.values():
            item.close()


def prepare(folder: Path, bin_dir: Path, slot: int) -> Layout:
    """Write every file that the processes need."""
    names = ("etcd", "etcd-peer", "apiserver", "controller-manager", "scheduler", "kwok", "s3")
    tokens = {user: secrets.token_hex(16) for user in (ADMIN, *_SYSTEM_USERS)}
    layout = Layout(folder, bin_dir, slot, pick_ports(*names), tokens, secrets.token_hex(8), secrets.token_hex(20))
    write_certificates(folder / "certificates")
    lines = [f"{token},{user},{user}{',system:masters' if user == ADMIN else ''}" for user, token in tokens.items()]
    _write_private(folder / "tokens.csv", "\n".join(lines) + "\n")
    (folder / "audit-policy.yaml").write_text(yaml.safe_dump(_AUDIT_POLICY))
    (folder / "kubeconfigs").mkdir(exist_ok=True)
    (folder / "s3").mkdir(exist_ok=True)
    (folder / "s3-users").mkdir(exist_ok=True)
    for user, token in tokens.items():
        write_kubeconfig(layout, layout.kubeconfig(user), token)
    _write_private(
        folder / "s3.json",
        json.dumps({"accessKey": layout.s3_access_key, "secretKey": layout.s3_secret_key}),
    )
    return layout


def write_kubeconfig(layout: Layout, path: Path, token: str) -> None:
    """Write a kubeconfig for a bearer token."""
    authority = layout.folder / "certificates" / "ca.crt"
    config = {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": "local", "cluster": {"server": layout.server, "certificate-authority": str(authority)}}],
        "users": [{"name": "user", "user": {"token": token}}],
        "contexts": [{"name": "local", "context": {"cluster": "local", "user": "user"}}],
        "current-context": "local",
    }
    _write_private(path, yaml.safe_dump(config))


def build_etcd(layout: Layout) -> ProcessSpec:
    """Return etcd, without fsync: nothing here must survive a power failure."""
    client = f"http://127.0.0.1:{layout.ports['etcd']}"
    peer = f"http://127.0.0.1:{layout.ports['etcd-peer']}"
    return _spec(
        layout,
        "etcd",
        f"--data-dir={layout.folder / 'etcd'}",
        "--unsafe-no-fsync",
        "--log-level=warn",
        f"--listen-client-urls={client}",
        f"--advertise-client-urls={client}",
        f"--listen-peer-urls={peer}",
        f"--initial-advertise-peer-urls={peer}",
        f"--initial-cluster=default={peer}",
    )


def build_apiserver(layout: Layout) -> ProcessSpec:
    """Return the API server, with RBAC and an audit log."""
    certificates = layout.folder / "certificates"
    return _spec(
        layout,
        "kube-apiserver",
        f"--etcd-servers=http://127.0.0.1:{layout.ports['etcd']}",
        "--bind-address=127.0.0.1",
        f"--secure-port={layout.ports['apiserver']}",
        f"--tls-cert-file={certificates / 'server.crt'}",
        f"--tls-private-key-file={certificates / 'server.key'}",
        f"--cert-dir={certificates}",
        # Nobody uses client certificates; without the flag the controllers wait for a ConfigMap that never comes.
        f"--client-ca-file={certificates / 'ca.crt'}",
        f"--requestheader-client-ca-file={certificates / 'ca.crt'}",
        "--requestheader-allowed-names=nobody",
        f"--token-auth-file={layout.folder / 'tokens.csv'}",
        "--authorization-mode=Node,RBAC",
        f"--service-account-key-file={certificates / 'service-account.key'}",
        f"--service-account-signing-key-file={certificates / 'service-account.key'}",
        "--service-account-issuer=https://kubernetes.default.svc",
        "--service-cluster-ip-range=10.96.0.0/16",
        "--allow-privileged=true",
        f"--audit-policy-file={layout.folder / 'audit-policy.yaml'}",
        f"--audit-log-path={layout.folder / 'audit.log'}",
        "--audit-log-mode=batch",
        "--audit-log-batch-max-wait=200ms",
    )


def build_others(layout: Layout) -> list[ProcessSpec]:
    """Return everything that needs a running API server, and the S3 server."""
    certificates = layout.folder / "certificates"
    manager, scheduler = (layout.kubeconfig(user) for user in _SYSTEM_USERS)
    common = ["--leader-elect=false", "--bind-address=127.0.0.1"]
    return [
        _spec(
            layout,
            "kube-controller-manager",
            f"--kubeconfig={manager}",
            f"--authentication-kubeconfig={manager}",
            f"--authorization-kubeconfig={manager}",
            "--use-service-account-credentials=true",
            f"--service-account-private-key-file={certificates / 'service-account.key'}",
            f"--root-ca-file={certificates / 'ca.crt'}",
            f"--secure-port={layout.ports['controller-manager']}",
            *common,
        ),
        _spec(
            layout,
            "kube-scheduler",
            f"--kubeconfig={scheduler}",
            f"--authentication-kubeconfig={scheduler}",
            f"--authorization-kubeconfig={scheduler}",
            f"--secure-port={layout.ports['scheduler']}",
            *common,
        ),
        _spec(
            layout,
            "kwok",
            f"--config={_STAGES}",
            f"--kubeconfig={layout.kubeconfig(ADMIN)}",
            "--manage-nodes-with-annotation-selector=kwok.x-k8s.io/node=fake",
            # The lower half; the engine simulator gives out the upper one.
            f"--cidr=127.{16 + layout.slot}.0.0/17",
            "--node-lease-duration-seconds=40",
            f"--server-address=127.0.0.1:{layout.ports['kwok']}",
        ),
        ProcessSpec(
            "versitygw",
            [
                str(layout.bin_dir / "versitygw"),
                "--port",
                f"127.0.0.1:{layout.ports['s3']}",
                "--virtual-domain",
                S3_DOMAIN,
                "--iam-dir",
                str(layout.folder / "s3-users"),
                "posix",
                str(layout.folder / "s3"),
            ],
            {"ROOT_ACCESS_KEY": layout.s3_access_key, "ROOT_SECRET_KEY": layout.s3_secret_key},
            essential=True,
        ),
    ]


def _spec(layout: Layout, name: str, *arguments: str) -> ProcessSpec:
    return ProcessSpec(name, [str(layout.bin_dir / name), *arguments], essential=True)


def _write_private(path: Path, text: str) -> None:
    path.touch(mode=0o600)
    path.write_text(text)
