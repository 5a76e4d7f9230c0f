"""A running cluster: what a test asks of it, whoever runs its control plane."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self, TextIO

import yaml

from .layout import ADMIN, EXISTING, LOCAL, MARK, S3_DOMAIN, Layout, write_token_kubeconfig
from .nodes import NodeVariant, build_gpu_node
from .polling import ClusterError, MissingFeatureError, wait_for
from .reader import NotUnderstoodError, Reader
from .s3 import ObjectStore
from .supervisor import Control, ProcessSpec

# Farewell commands may take their time.
END_SECONDS: Final = 150.0
_ROOT: Final = Path(__file__).resolve().parents[2]


class Cluster:
    """A running cluster."""

    def __init__(
        self, layout: Layout, supervisor: "subprocess.Popen[bytes] | None" = None, *, keep: bool = False
    ) -> None:
        self._layout = layout
        self._supervisor = supervisor
        self._control = Control(layout.folder)
        self._reader = Reader(layout.kubeconfig(ADMIN))
        self._keep = keep

    folder = property(lambda self: self._layout.folder, doc="Everything that the cluster wrote.")
    bin_dir = property(lambda self: self._layout.bin_dir, doc="Where kubectl and the others are.")
    server = property(lambda self: self._layout.server, doc="URL of the API server.")
    pod_cidr = property(lambda self: self._layout.pod_cidr, doc="Loopback range of the pods.")

    @property
    def kubeconfig(self) -> Path:
        """The administrator's kubeconfig."""
        return self._layout.kubeconfig(ADMIN)

    @property
    def mark(self) -> dict[str, str]:
        """Label of everything that goes with this cluster, though its control plane may stay."""
        return {MARK: self._layout.mark}

    @property
    def audit_log(self) -> Path:
        """What the API server was asked, one JSON object per line.

        Raises:
            MissingFeatureError: The API server's flags are not ours.
        """
        return self._need_own_control_plane("an audit log") / "audit.log"

    @property
    def authority(self) -> Path:
        """Certificate of the authority that signed the API server's.

        Raises:
            MissingFeatureError: The authority is not ours.
        """
        return self._need_own_control_plane("the API server's keys") / "certificates" / "ca.crt"

    @property
    def s3(self) -> ObjectStore:
        """The S3 server."""
        return ObjectStore(
            f"http://127.0.0.1:{self._layout.ports['s3']}",
            S3_DOMAIN,
            self._layout.s3_access_key,
            self._layout.s3_secret_key,
            self._layout.bin_dir / "versitygw",
        )

    def kubectl(
        self, *arguments: str, stdin: str | None = None, check: bool = True, timeout: float = 60
    ) -> subprocess.CompletedProcess[str]:
        """Run kubectl as administrator.

        Args:
            arguments: For kubectl.
            stdin: Its standard input.
            check: Whether a failure raises.
            timeout: Seconds until it is killed.

        Raises:
            ClusterError: It failed; the text holds its message and, where the cluster ended by itself, why.
        """
        out = subprocess.run(
            self._kubectl_command(arguments), input=stdin, capture_output=True, text=True, check=False, timeout=timeout
        )
        if check and out.returncode != 0:
            text = f"kubectl {' '.join(arguments)} failed: {out.stderr.strip()}"
            raise ClusterError("\n".join(filter(None, (text, describe_failure(self.folder)))))
        return out

    def apply(self, *documents: dict[str, Any]) -> None:
        """Apply objects server-side."""
        self.kubectl("apply", "--server-side", "--force-conflicts", "-f", "-", stdin=yaml.safe_dump_all(documents))

    def get(self, *arguments: str) -> Any:
        """Return an object or a list as kubectl sees it; None where there is none."""
        try:
            return self._reader.get(arguments)
        except NotUnderstoodError:
            pass
        out = self.kubectl("get", *arguments, "-o", "json", "--ignore-not-found")
        return json.loads(out.stdout) if out.stdout.strip() else None

    def add_nodes(self, names: Iterable[str], variant: NodeVariant = NodeVariant.REFERENCE) -> None:
        """Add fake GPU nodes."""
        nodes = [build_gpu_node(name, variant, self.mark) for name in names]
        self.kubectl("create", "-f", "-", stdin=yaml.safe_dump_all(nodes))

    def service_account_kubeconfig(self, namespace: str, name: str) -> Path:
        """Return a kubeconfig with the rights of a ServiceAccount, good for a day."""
        token = self.kubectl("create", "token", name, "--namespace", namespace, "--duration=24h").stdout.strip()
        path: Path = self.folder / "kubeconfigs" / f"{namespace}.{name}.yaml"
        write_token_kubeconfig(self.kubeconfig, path, token)
        return path

    def delete_at_end(self, *arguments: str) -> None:
        """Have `kubectl delete` run when the cluster ends, however its owner dies; the last that was asked for comes first.

        It does nothing where the control plane ends too.
        """
        if self._layout.provider == EXISTING:
            command = self._kubectl_command(("delete", *arguments, "--ignore-not-found", "--wait=false"))
            self._control.ask("at-end", argv=command)

    def start_process(self, name: str, argv: list[str], env: dict[str, str] | None = None) -> int:
        """Start a process that ends with the cluster at the latest; returns its pid."""
        paths = os.pathsep.join((str(_ROOT), str(_ROOT / "operator")))
        return self._control.start(ProcessSpec(name, argv, {"PYTHONPATH": paths, **(env or {})}))

    def stop_process(self, name: str) -> None:
        """Stop a process: SIGTERM, and SIGKILL if it takes too long."""
        self._control.ask("stop", name=name)

    def signal_process(self, name: str, number: int) -> None:
        """Send a signal to a process."""
        self._control.ask("signal", name=name, signal=int(number))

    def processes(self) -> dict[str, dict[str, int | None]]:
        """Return pid and exit code (None while it runs) of every process."""
        found: dict[str, dict[str, int | None]] = self._control.ask("status")["processes"]
        return found

    def log(self, name: str) -> str:
        """Return what a process wrote."""
        path: Path = self.folder / "logs" / f"{name}.log"
        return path.read_text(errors="replace") if path.exists() else ""

    def dump_logs(self, stream: TextIO = sys.stderr, lines: int = 60) -> None:
        """Write the end of every log, for a test that failed."""
        for path in sorted((self.folder / "logs").glob("*.log")):
            tail = path.read_text(errors="replace").splitlines()[-lines:]
            stream.write(f"\n==== {path.stem} (last {lines} lines of {path})\n" + "\n".join(tail) + "\n")

    def detach(self) -> None:
        """Let the cluster live on without its owner."""
        self._reader.close()
        self._control.ask("detach")
        self._supervisor = None

    def down(self) -> None:
        """Stop every process and remove the folder unless it is to be kept."""
        self._reader.close()
        if self._control.alive:
            self._control.ask("shutdown")
        if self._supervisor is not None:
            if self._supervisor.stdin:
                self._supervisor.stdin.close()
            self._supervisor.wait(timeout=END_SECONDS)
        else:
            wait_for(lambda: not self._control.alive, END_SECONDS, "the cluster's supervisor did not end")
        if not self._keep:
            shutil.rmtree(self.folder, ignore_errors=True)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is not None:
            self.dump_logs()
        self.down()

    def _kubectl_command(self, arguments: Iterable[str]) -> list[str]:
        return [str(self.bin_dir / "kubectl"), f"--kubeconfig={self.kubeconfig}", *arguments]

    def _need_own_control_plane(self, feature: str) -> Path:
        if self._layout.provider != LOCAL:
            raise MissingFeatureError(
                f"a cluster of the provider '{self._layout.provider}' does not offer {feature};"
                " use INFERENCE_CACHE_E2E_PROVIDER=local for tests that need it"
            )
        return self._layout.folder


def describe_failure(folder: Path) -> str:
    """Return why a cluster ended by itself, with the end of every log; empty where it did not."""
    path = folder / "failure"
    if not path.exists():
        return ""
    tails = (
        f"==== {log.stem}\n" + "\n".join(log.read_text(errors="replace").splitlines()[-15:])
        for log in sorted((folder / "logs").glob("*.log"))
    )
    return "\n".join((path.read_text(), *tails))
