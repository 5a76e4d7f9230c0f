"""Starting and finding clusters: supervisor, control plane of the chosen provider, surroundings, nodes."""

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Final

from .binaries import SURROUNDINGS, Report, cache_root, ensure_binaries
from .cluster import END_SECONDS, Cluster, describe_failure
from .layout import Workplace, load_layout
from .polling import ClusterError, wait_for
from .providers import Provider, choose_provider
from .supervisor import Control
from .surroundings import build_surroundings

_ROOT: Final = Path(__file__).resolve().parents[2]


def start_cluster(
    name: str | None = None,
    *,
    nodes: int = 0,
    report: Report = print,
    keep: bool = False,
    provider: Provider | None = None,
) -> Cluster:
    """Start a cluster; it ends with this process unless it is detached.

    Args:
        name: For a cluster that is found again by name; without it, a temporary folder is used.
        nodes: How many reference GPU nodes to add.
        report: Gets a line of progress now and then.
        keep: Whether the folder stays after the end.
        provider: Who runs the control plane; without it, the environment decides.

    Raises:
        ClusterError: A process did not come up, or the provider cannot work here.
        BuildError: A binary could not be built.
    """
    provider = provider or choose_provider(os.environ)
    provider.check()
    bin_dir = ensure_binaries(report, wanted=(*provider.binaries, *SURROUNDINGS))
    for attempt in range(1, provider.attempts + 1):
        folder = named_folder(name) if name else Path(tempfile.mkdtemp(prefix="icd-cluster-"))
        if name:
            if Control(folder).alive:
                raise ClusterError(f"a cluster named {name} runs already; stop it, or choose another name")
            shutil.rmtree(folder, ignore_errors=True)
            folder.mkdir(parents=True)
        try:
            return _start(folder, bin_dir, provider, report, nodes=nodes, keep=keep)
        except ClusterError:
            # A free port may have been taken between its choice and its use.
            if attempt == provider.attempts:
                raise
    raise AssertionError


def named_folder(name: str) -> Path:
    """Return the folder of a cluster that people refer to by name."""
    return cache_root() / "clusters" / name


def find_cluster(name: str) -> Cluster:
    """Return a cluster that was started by name.

    Raises:
        ClusterError: There is none.
    """
    folder = named_folder(name)
    if not Control(folder).alive:
        raise ClusterError(f"no cluster named {name} runs; running are: {', '.join(list_clusters()) or 'none'}")
    return Cluster(load_layout(folder))


def list_clusters() -> list[str]:
    """Return the names of all clusters that run."""
    folders = (cache_root() / "clusters").glob("*")
    return sorted(folder.name for folder in folders if Control(folder).alive)


def _start(folder: Path, bin_dir: Path, provider: Provider, report: Report, *, nodes: int, keep: bool) -> Cluster:
    for part in ("logs", "kubeconfigs", "s3", "s3-users"):
        (folder / part).mkdir(exist_ok=True)
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
        layout = provider.bring_up(Workplace(folder, bin_dir, control.ask("status")["slot"], control, report))
        layout.save()
        cluster = Cluster(layout, supervisor, keep=keep)
        for spec in build_surroundings(layout):
            control.start(spec)
        wait_for(lambda: cluster.get("serviceaccount", "default"), 30, "the controller manager did not begin to work")
        if nodes:
            cluster.add_nodes(f"gpu-{number}" for number in range(nodes))
    except BaseException:
        text = describe_failure(folder)
        if supervisor.stdin:
            supervisor.stdin.close()
        supervisor.wait(timeout=END_SECONDS)
        if text:
            raise ClusterError(text) from None
        raise
    return cluster
