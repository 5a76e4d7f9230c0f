"""The local control plane: one etcd, the API server, the controller manager and the scheduler, with their flags."""

import secrets
from typing import Any, Final

import yaml

from .certificates import write_certificates
from .layout import ADMIN, LOCAL, Layout, Workplace, build_layout, pick_ports, write_private, write_token_kubeconfig
from .supervisor import ProcessSpec

_SYSTEM_USERS: Final = ("system:kube-controller-manager", "system:kube-scheduler")
_PORTS: Final = ("etcd", "etcd-peer", "apiserver", "controller-manager", "scheduler")

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


def prepare_control_plane(place: Workplace) -> Layout:
    """Write every file that the processes need."""
    folder = place.folder
    ports = pick_ports(*_PORTS)
    server = f"https://127.0.0.1:{ports['apiserver']}"
    layout = build_layout(place, LOCAL, server, ports)
    write_certificates(layout.certificates)
    tokens = {user: secrets.token_hex(16) for user in (ADMIN, *_SYSTEM_USERS)}
    lines = [f"{token},{user},{user}{',system:masters' if user == ADMIN else ''}" for user, token in tokens.items()]
    write_private(folder / "tokens.csv", "\n".join(lines) + "\n")
    (folder / "audit-policy.yaml").write_text(yaml.safe_dump(_AUDIT_POLICY))
    admin = layout.kubeconfig(ADMIN)
    cluster = {"server": server, "certificate-authority": str(layout.certificates / "ca.crt")}
    config = {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": "local", "cluster": cluster}],
        "users": [{"name": "user", "user": {}}],
        "contexts": [{"name": "local", "context": {"cluster": "local", "user": "user"}}],
        "current-context": "local",
    }
    write_private(admin, yaml.safe_dump(config))
    for user, token in tokens.items():
        write_token_kubeconfig(admin, layout.kubeconfig(user), token)
    return layout


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
    certificates = layout.certificates
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


def build_controllers(layout: Layout) -> list[ProcessSpec]:
    """Return the controller manager and the scheduler, which need a running API server."""
    certificates = layout.certificates
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
    ]


def _spec(layout: Layout, name: str, *arguments: str) -> ProcessSpec:
    return ProcessSpec(name, [str(layout.bin_dir / name), *arguments], essential=True)
