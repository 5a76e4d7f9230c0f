"""The local provider: a whole cluster as processes of this machine, up in seconds and gone with its owner."""

import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self, TextIO

import yaml

from .binaries import cache_root, ensure_binaries
from .control_plane import (
    ADMIN,
    S3_DOMAIN,
    Layout,
    build_apiserver,
    build_etcd,
    build_others,
    prepare,
    write_kubeconfig,
)
from .nodes import NodeVariant, build_gpu_node
from .s3 import ObjectStore
from .supervisor import Control, ProcessSpec

_START_SECONDS: Final = 60.0
_ROOT: Final = Path(__file__).resolve().parents[2]


class ClusterError(RuntimeError):
    """The cluster could not be started or has ended; the text says which process and shows its log."""


class Cluster:
    """A running cluster."""

    def __init__(self, layout: Layout, supervisor: "subprocess.Popen[bytes] | None", *, keep: bool) -> None:
        self._layout = layout
        self._supervisor = supervisor
        self._control = Control(layout.folder)
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
    def audit_log(self) -> Path:
        """What the API server was asked, one JSON object per line."""
        return self._layout.folder / "audit.log"

    @property
    def authority(self) -> Path:
        """Certificate of the authority that signed the API server's."""
        return self._layout.folder / "certificates" / "ca.crt"

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
        """Run kubectl as administrator."""
        command = [str(self.bin_dir / "kubectl"), f"--kubeconfig={self.kubeconfig}", *arguments]
        out = subprocess.run(command, input=stdin, capture_output=True, text=True, check=False, timeout=timeout)
        if check and out.returncode != 0:
            raise ClusterError(f"kubectl {' '.join(arguments)} failed: {out.stderr.strip()}")
        return out

    def apply(self, *documents: dict[str, Any]) -> None:
        """Apply objects server-side."""
        self.kubectl("apply", "--server-side", "--force-conflicts", "-f", "-", stdin=yaml.safe_dump_all(documents))

    def get(self, *arguments: str) -> Any:
        """Return an object or a list as kubectl sees it; None where there is none."""
        out = self.kubectl("get", *arguments, "-o", "json", "--ignore-not-found")
        return json.loads(out.stdout) if out.stdout.strip() else None

    def add_nodes(self, names: Iterable[str], variant: NodeVariant = NodeVariant.REFERENCE) -> None:
        """Add fake GPU nodes."""
        documents = [build_gpu_node(name, variant) for name in names]
        self.kubectl("create", "-f", "-", stdin=yaml.safe_dump_all(documents))

    def service_account_kubeconfig(self, namespace: str, name: str) -> Path:
        """Return a kubeconfig with the rights of a ServiceAccount."""
        token = self.kubectl("create", "token", name, "--namespace", namespace, "--duration=24h").stdout.strip()
        path: Path = self.folder / "kubeconfigs" / f"{namespace}.{name}.yaml"
        write_kubeconfig(self._layout, path, token)
        return path

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
        self._control.ask("detach")
        self._supervisor = None

    def down(self) -> None:
        """Stop every process and remove the folder unless it is to be kept."""
        if self._control.alive:
            self._control.ask("shutdown")
        if self._supervisor is not None:
            if self._supervisor.stdin:
                self._supervisor.stdin.close()
            self._supervisor.wait(timeout=20)
        else:
            wait_for(lambda: not self._control.alive, 20, "the cluster's supervisor did not end")
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


def named_folder(name: str) -> Path:
    """Return the folder of a cluster that people refer to by name."""
    return cache_root() / "clusters" / name


def wait_for(condition: Callable[[], Any], seconds: float, message: str, pause: float = 0.05) -> Any:
    """Poll until a condition is true and return its value.

    Raises:
        ClusterError: The time is over.
    """
    deadline = time.monotonic() + seconds
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > deadline:
            raise ClusterError(f"{message} within {seconds:.0f} s")
        time.sleep(pause)


def start_local(
    name: str | None = None, *, nodes: int = 0, report: Callable[[str], None] = print, keep: bool = False
) -> Cluster:
    """Start a cluster; it ends with this process unless it is detached.

    Args:
        name: For a cluster that is found again by name; without it, a temporary folder is used.
        nodes: How many reference GPU nodes to add.
        report: Gets a line of progress now and then.
        keep: Whether the folder stays after the end.

    Raises:
        ClusterError: A process did not come up.
        BuildError: A binary could not be built.
    """
    bin_dir = ensure_binaries(report)
    for attempt in (1, 2):
        folder = named_folder(name) if name else Path(tempfile.mkdtemp(prefix="icd-cluster-"))
        if name:
            if Control(folder).alive:
                raise ClusterError(f"a cluster named {name} runs already; stop it, or choose another name")
            shutil.rmtree(folder, ignore_errors=True)
            folder.mkdir(parents=True)
        try:
            cluster = _start(folder, bin_dir, keep=keep)
        except ClusterError:
            # A free port may have been taken between its choice and its use.
            if attempt == 2:
                raise
            continue
        if nodes:
            cluster.add_nodes(f"gpu-{number}" for number in range(nodes))
        return cluster
    raise AssertionError


def find_cluster(name: str) -> Cluster:
    """Return a cluster that was started by name.

    Raises:
        ClusterError: There is none.
    """
    folder = named_folder(name)
    if not Control(folder).alive:
        raise ClusterError(f"no cluster named {name} runs")
    saved = json.loads((folder / "layout.json").read_text())
    keys = json.loads((folder / "s3.json").read_text())
    layout = Layout(
        folder, Path(saved["binDir"]), saved["slot"], saved["ports"], {}, keys["accessKey"], keys["secretKey"]
    )
    return Cluster(layout, None, keep=False)


def list_clusters() -> list[str]:
    """Return the names of all clusters that run."""
    folders = (cache_root() / "clusters").glob("*")
    return sorted(folder.name for folder in folders if Control(folder).alive)


def _start(folder: Path, bin_dir: Path, *, keep: bool) -> Cluster:
    (folder / "logs").mkdir(exist_ok=True)
    with (folder / "logs" / "supervisor.log").open("ab") as log:
        supervisor = subprocess.Popen(
            [sys.executable, str(Path(__file__).with_name("supervisor.py")), str(folder)],
            stdin=subprocess.PIPE,
            # A detached cluster must not hold the terminal or the pipe of whoever started it.
            stdout=log,
            stderr=subprocess.STDOUT,
            cwd=_ROOT,
            start_new_session=True,
        )
    control = Control(folder)
    try:
        wait_for(lambda: control.alive, 15, "the supervisor did not answer")
        layout = prepare(folder, bin_dir, control.ask("status")["slot"])
        (folder / "layout.json").write_text(
            json.dumps({"binDir": str(bin_dir), "slot": layout.slot, "ports": layout.ports})
        )
        cluster = Cluster(layout, supervisor, keep=keep)
        control.start(build_etcd(layout))
        control.start(build_apiserver(layout))
        _wait_ready(cluster)
        for spec in build_others(layout):
            control.start(spec)
        wait_for(lambda: cluster.get("serviceaccount", "default"), 30, "the controller manager did not begin to work")
    except BaseException:
        failure = folder / "failure"
        text = failure.read_text() if failure.exists() else ""
        if supervisor.stdin:
            supervisor.stdin.close()
        supervisor.wait(timeout=20)
        if text:
            raise ClusterError(f"{text}\n{_tails(folder)}") from None
        raise
    return cluster


def _wait_ready(cluster: Cluster) -> None:
    def ready() -> bool:
        if (cluster.folder / "failure").exists():
            raise ClusterError("a process of the control plane ended")
        # The controller manager and the scheduler lose seconds if they start before this object exists.
        needed = ("configmap", "extension-apiserver-authentication", "--namespace=kube-system")
        answers = (("get", "--raw", "/readyz"), ("get", *needed))
        return all(cluster.kubectl(*arguments, check=False).returncode == 0 for arguments in answers)

    wait_for(ready, _START_SECONDS, "the API server did not become ready", pause=0.1)


def _tails(folder: Path) -> str:
    parts = [
        f"==== {path.stem}\n" + "\n".join(path.read_text(errors="replace").splitlines()[-15:])
        for path in sorted((folder / "logs").glob("*.log"))
    ]
    return "\n".join(parts)
