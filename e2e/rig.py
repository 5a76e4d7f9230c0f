"""The operator's surroundings on a local cluster: its CRDs and RBAC, an S3 name service by proxy, simulated engines, replicas."""

import json
import os
import signal
import sys
import urllib.error
import urllib.request
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path
from typing import Any, Final

import yaml

from e2e.cluster import Cluster, ClusterError, wait_for
from e2e.cluster.layout import pick_ports
from e2e.simulator.client import SimulatorClient

ROOT: Final = Path(__file__).resolve().parents[1]
NAMESPACE: Final = "inference-cache-system"
SAMPLE: Final = ROOT / "manifests" / "samples" / "nemotron-70b.yaml"
_CRDS: Final = tuple(sorted((ROOT / "crds").glob("inferencecache.io_*.yaml")))
_BASE: Final = ROOT / "manifests" / "base"
# Local calls must not take the proxy that leads to S3.
_DIRECT: Final = urllib.request.build_opener(urllib.request.ProxyHandler({}))


def load_sample() -> dict[str, Any]:
    """Return the reference deployment."""
    sample: dict[str, Any] = yaml.safe_load(SAMPLE.read_text(encoding="utf-8"))
    return sample


def fetch(url: str, *, body: dict[str, Any] | None = None, timeout: float = 5) -> tuple[int, Any]:
    """Return status and JSON (or text) of an HTTP request; 0 where nothing answers."""
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(url, data, {"Content-Type": "application/json"})  # noqa: S310 - http on loopback
    try:
        with _DIRECT.open(request, timeout=timeout) as response:
            status, text = response.status, response.read().decode()
    except urllib.error.HTTPError as error:
        with error:
            status, text = error.code, error.read().decode()
    except OSError:
        return 0, ""
    try:
        return status, json.loads(text)
    except ValueError:
        return status, text


@dataclass
class Operator:
    """One operator process of a rig."""

    cluster: Cluster
    name: str
    port: int
    pid: int

    def health(self, path: str = "/healthz") -> tuple[int, Any]:
        """Return what the health endpoint says; status 0 where nothing answers."""
        return fetch(f"http://127.0.0.1:{self.port}{path}", timeout=3)

    def metric(self, name: str) -> float | None:
        """Return the value of the first sample that begins with `name`."""
        _, text = self.health("/metrics")
        lines = (line for line in str(text).splitlines() if line.startswith(name))
        return next((float(line.rsplit(" ", 1)[1]) for line in lines), None)

    def leads(self) -> bool:
        """Whether this replica holds the Lease."""
        return self.metric("leader_election_master_status{") == 1.0

    def exit_code(self) -> int | None:
        """Return the exit code, None while it runs."""
        return self.cluster.processes()[self.name]["code"]

    def wait_ready(self, seconds: float = 30) -> "Operator":
        """Wait for the readiness endpoint."""

        def ready() -> bool:
            if self.exit_code() is not None:
                raise ClusterError(f"{self.name} ended:\n{self.cluster.log(self.name)[-3000:]}")
            return self.health("/readyz")[0] == HTTPStatus.OK

        wait_for(ready, seconds, f"{self.name} did not become ready")
        return self

    def kill(self) -> None:
        """End it with SIGKILL."""
        if self.exit_code() is None:
            self.cluster.signal_process(self.name, signal.SIGKILL)
        self.wait_ended()

    def stop(self) -> None:
        """End it with SIGTERM."""
        self.cluster.stop_process(self.name)

    def wait_ended(self, seconds: float = 20) -> None:
        """Wait until it has ended."""
        wait_for(lambda: self.exit_code() is not None, seconds, f"{self.name} did not end")


class Rig:
    """A cluster with everything that the operator meets in production, played by real servers and one simulator."""

    def __init__(self, cluster: Cluster) -> None:
        self.cluster = cluster
        ports = pick_ports("s3-proxy", "simulator")
        self._s3_proxy = ports["s3-proxy"]
        self.simulator = SimulatorClient(ports["simulator"])
        self._simulator_port = ports["simulator"]

    def start(self) -> "Rig":
        """Install CRDs and RBAC, start the S3 proxy and the simulator.

        Raises:
            ClusterError: An operator is installed in this cluster already; two would fight.
        """
        cluster = self.cluster
        if cluster.get("namespace", NAMESPACE):
            raise ClusterError(f"the cluster has a namespace {NAMESPACE}; tests need one without an installed operator")
        s3 = cluster.s3
        cluster.start_process(
            "s3-proxy",
            [
                *(sys.executable, "-m", "e2e.faultproxy", "forward", "--listen", f"127.0.0.1:{self._s3_proxy}"),
                *("--route", f".{s3.domain}={s3.endpoint_url.removeprefix('http://')}"),
            ],
        )
        cluster.start_process(
            "simulator",
            [
                *(sys.executable, "-m", "e2e.simulator", "--kubeconfig", str(cluster.kubeconfig)),
                *("--pod-cidr", cluster.pod_cidr, "--control-port", str(self._simulator_port)),
                *("--folder", str(cluster.folder / "simulator")),
            ],
            self.proxy_environment(),
        )
        for path in (*_CRDS, _BASE / "namespace.yaml", _BASE / "rbac.yaml"):
            cluster.delete_at_end("-f", str(path))
            cluster.kubectl("apply", "--server-side", "-f", str(path))
        for path in _CRDS:
            cluster.kubectl("wait", "--for=condition=Established", "-f", str(path), "--timeout=30s")
        self.simulator.wait_ready(30)
        return self

    def proxy_environment(self) -> dict[str, str]:
        """Return the environment that leads BUCKET.s3.internal to the S3 server, without DNS or /etc/hosts."""
        proxy = f"http://127.0.0.1:{self._s3_proxy}"
        direct = "127.0.0.1,127.0.0.0/8,localhost"
        return {"HTTP_PROXY": proxy, "http_proxy": proxy, "NO_PROXY": direct, "no_proxy": direct}

    def start_operator(
        self,
        name: str = "operator",
        *,
        server: str | None = None,
        environment: dict[str, str] | None = None,
        module: tuple[str, ...] = ("inference_cache",),
    ) -> Operator:
        """Start a replica under the ServiceAccount of the shipped manifests.

        Args:
            name: Of the process.
            server: URL of the API server, to lead the replica through a proxy.
            environment: Further settings.
            module: What Python runs, with arguments.
        """
        port = pick_ports("health")["health"]
        kubeconfig = self.cluster.service_account_kubeconfig(NAMESPACE, "inference-cache-operator")
        if server is not None:
            config = yaml.safe_load(kubeconfig.read_text())
            config["clusters"][0]["cluster"] = {"server": server}
            kubeconfig = kubeconfig.with_name(f"{name}.yaml")
            kubeconfig.write_text(yaml.safe_dump(config))
        settings = {
            **self.proxy_environment(),
            "KUBECONFIG": str(kubeconfig),
            "POD_NAME": name,
            "INFERENCE_CACHE_NAMESPACE": NAMESPACE,
            "INFERENCE_CACHE_HEALTH_ADDRESS": f"127.0.0.1:{port}",
            **(environment or {}),
        }
        pid = self.cluster.start_process(name, [sys.executable, "-m", *module], settings)
        return Operator(self.cluster, name, port, pid)

    def make_store(self, namespace: str, bucket: str, secret: str) -> None:
        """Create a bucket, a user who may use it, and the Secret with the user's keys."""
        s3 = self.cluster.s3
        s3.make_bucket(bucket)
        access, hidden = f"{bucket}-user", os.urandom(16).hex()
        s3.make_user(access, hidden)
        s3.grant(bucket, access)
        self.put_keys(namespace, secret, access, hidden)

    def put_keys(self, namespace: str, secret: str, access_key: str, secret_key: str) -> None:
        """Write the Secret that a deployment refers to."""
        data = {"AWS_ACCESS_KEY_ID": access_key, "AWS_SECRET_ACCESS_KEY": secret_key}
        self.cluster.apply(
            {
                "apiVersion": "v1",
                "kind": "Secret",
                "metadata": {"name": secret, "namespace": namespace},
                "stringData": data,
            }
        )
