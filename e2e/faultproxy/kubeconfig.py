"""Kubeconfigs that lead through the proxy: same user and namespace, another server address."""

import os
from pathlib import Path

import yaml

from e2e.faultproxy.routes import current_cluster, current_context


def write_kubeconfig(source: Path, destination: Path, server: str, *, ca_pem_file: Path | None = None) -> Path:
    """Write a kubeconfig that keeps the user of ``source`` and talks to ``server``, the proxy's URL.

    Over plain http the Python clients still send their token; client-go based programs such as kubectl leave it out,
    so give the proxy a certificate and its CA here when one of those is the client.

    Raises:
        ValueError: the user proves itself with a client certificate, which cannot pass through a proxy.
    """
    config = yaml.safe_load(source.read_text())
    context = current_context(config)
    cluster = current_cluster(config)
    user = next(entry["user"] for entry in config["users"] if entry["name"] == context["user"])
    if "token" not in user and "tokenFile" not in user and "exec" not in user:
        raise ValueError(f"{source}: user {context['user']!r} has no token; client certificates stop at the proxy")
    for key in ("certificate-authority", "certificate-authority-data", "insecure-skip-tls-verify", "proxy-url"):
        cluster.pop(key, None)
    cluster["server"] = server
    if ca_pem_file is not None:
        cluster["certificate-authority"] = str(ca_pem_file.resolve())
    written = {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": "faultproxy",
        "clusters": [{"name": context["cluster"], "cluster": cluster}],
        "users": [{"name": context["user"], "user": user}],
        "contexts": [{"name": "faultproxy", "context": context}],
    }
    descriptor = os.open(destination, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w") as file:
        yaml.safe_dump(written, file, sort_keys=False)
    return destination
