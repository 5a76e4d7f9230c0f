"""The providers on a real API server: a cluster that exists is used, told apart and left as it was found."""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from e2e.cluster import Cluster, ClusterError, MissingFeatureError, start_cluster, wait_for
from e2e.cluster.binaries import SURROUNDINGS, ensure_binaries
from e2e.cluster.providers import ExistingProvider, KindProvider, LocalProvider
from e2e.rig import NAMESPACE, ROOT, Rig
from e2e.space import CHILD_KINDS


@pytest.fixture(scope="module")
def owner() -> Iterator[Cluster]:
    """A cluster of somebody else, with things of their own in it."""
    with start_cluster(report=_quiet, provider=LocalProvider()) as cluster:
        cluster.add_nodes(["theirs"])
        cluster.kubectl("create", "namespace", "theirs")
        yield cluster


def _quiet(_: str) -> None:
    pass


def _names(cluster: Cluster, kind: str) -> set[str]:
    return {item["metadata"]["name"] for item in (cluster.get(kind) or {"items": []})["items"]}


def _run(owner: Cluster, home: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    environment = {
        **os.environ,
        "INFERENCE_CACHE_E2E_PROVIDER": "existing",
        "KUBECONFIG": str(owner.kubeconfig),
        "XDG_CACHE_HOME": str(home),
    }
    return _run_with(environment, *arguments)


def _run_with(environment: dict[str, str], *arguments: str) -> "subprocess.CompletedProcess[str]":
    command = [sys.executable, "-m", *arguments]
    return subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False, timeout=180)


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """A user cache of this test's own that shares the built binaries."""
    return _share_binaries(tmp_path)


def _share_binaries(home: Path) -> Path:
    real = ensure_binaries(_quiet)
    folder = home / "inference-cache-operator" / "bin"
    folder.mkdir(parents=True)
    (folder / real.name).symlink_to(real)
    return home


def test_demonstration_reaches_ready_on_an_existing_cluster_and_leaves_it_as_it_was(owner: Cluster, home: Path) -> None:
    kinds = ("nodes", "namespaces", "crds", "clusterroles", "clusterrolebindings", "secrets", *CHILD_KINDS, "pods")
    before = {kind: _names(owner, kind) for kind in kinds}
    out = _run(owner, home, "e2e", "up")
    try:
        assert out.returncode == 0, out.stderr + out.stdout
        assert "Ready after" in out.stdout
        assert owner.get("icd", "nemotron-70b")["status"]["readyReplicas"] == 2
        # A second demonstration or somebody's operator is never fought with.
        again = _run(owner, _share_binaries(home / "other"), "e2e", "up")
        assert again.returncode == 1
        assert 'nodes "gpu-0" already exists' in again.stderr
        provider = ExistingProvider(owner.kubeconfig)
        refusal = pytest.raises(ClusterError, match=f"has a namespace {NAMESPACE}")
        with start_cluster(report=_quiet, provider=provider) as cluster, refusal:
            Rig(cluster).start()
        assert owner.get("icd", "nemotron-70b")
        assert owner.get("node", "gpu-0")
    finally:
        out = _run(owner, home, "e2e", "down")
    assert out.returncode == 0, out.stderr
    wait_for(lambda: {kind: _names(owner, kind) for kind in kinds} == before, 90, "something is left", pause=1)


def test_existing_cluster_offers_all_but_audit_log_and_keys(owner: Cluster) -> None:
    with start_cluster(nodes=1, report=_quiet, provider=ExistingProvider(owner.kubeconfig)) as cluster:
        assert cluster.server == owner.server
        cluster.kubectl("wait", "--for=condition=Ready", "node/gpu-0", "--timeout=20s")
        cluster.s3.make_bucket("theirs")
        path = cluster.service_account_kubeconfig("default", "default")
        assert set(yaml.safe_load(path.read_text())["users"][0]["user"]) == {"token"}
        with pytest.raises(MissingFeatureError, match=r"'existing' does not offer an audit log; use .*=local"):
            _ = cluster.audit_log
        with pytest.raises(MissingFeatureError, match="keys"):
            _ = cluster.authority
        log = cluster.folder / "logs" / "farewell.log"
        assert not log.exists()
    assert owner.get("node", "gpu-0") is None
    assert owner.get("node", "theirs")


def test_kill_of_the_caller_still_removes_its_nodes(owner: Cluster) -> None:
    code = """
import signal, sys
from pathlib import Path
from e2e.cluster import start_cluster
from e2e.cluster.providers import ExistingProvider
cluster = start_cluster(nodes=1, report=lambda text: None, provider=ExistingProvider(Path(sys.argv[1])))
print("up", flush=True)
signal.pause()
"""
    with subprocess.Popen(
        [sys.executable, "-c", code, str(owner.kubeconfig)], cwd=ROOT, stdout=subprocess.PIPE, text=True
    ) as caller:
        assert caller.stdout is not None
        assert caller.stdout.readline() == "up\n"
        assert owner.get("node", "gpu-0")
        caller.kill()
    wait_for(lambda: owner.get("node", "gpu-0") is None, 20, "the node is left", pause=0.3)


def test_silent_api_server_is_named(tmp_path: Path, owner: Cluster) -> None:
    config = yaml.safe_load(owner.kubeconfig.read_text())
    config["clusters"][0]["cluster"]["server"] = "https://127.0.0.1:1"
    path = tmp_path / "config"
    path.write_text(yaml.safe_dump(config))
    with pytest.raises(ClusterError, match=f"API server of {path} does not answer"):
        start_cluster(report=_quiet, provider=ExistingProvider(path))


def test_kind_creates_its_own_cluster_and_deletes_it(
    owner: Cluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Docker and kind are stand-ins here: this shows the order of commands, and that what kind yields is put to use."""
    log = tmp_path / "kind.log"
    provider = KindProvider()
    real = ensure_binaries(_quiet, wanted=SURROUNDINGS)
    folder = tmp_path / "inference-cache-operator" / "bin" / real.name
    folder.mkdir(parents=True)
    for path in real.iterdir():
        (folder / path.name).symlink_to(path)
    kind = folder / provider.binaries[0].name
    kind.unlink(missing_ok=True)
    kind.write_text(f"""#!/bin/sh
echo "$1 $2" >> {log}
[ "$1" = create ] || exit 0
while [ "$1" != --kubeconfig ]; do shift; done
cp {owner.kubeconfig} "$2"
""")
    docker = tmp_path / "docker"
    docker.write_text("#!/bin/sh\n")
    for program in (kind, docker):
        program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    with start_cluster(report=_quiet, provider=provider) as cluster:
        cluster.kubectl("get", "nodes")
        assert log.read_text().splitlines() == ["get clusters", "create cluster"]
    assert log.read_text().splitlines()[-1] == "delete cluster"


def test_command_line_starts_shows_and_stops_a_cluster_by_name(home: Path) -> None:
    def run(*arguments: str) -> "subprocess.CompletedProcess[str]":
        return _run_with({**os.environ, "XDG_CACHE_HOME": str(home)}, "e2e.cluster", *arguments)

    assert "no cluster named looked-at runs; running are: none" in run("down", "--name=looked-at").stderr
    assert "'Not/A Name' is no name of a cluster" in run("up", "--name=Not/A Name").stderr
    out = run("up", "--name=looked-at", "--nodes=1")
    assert out.returncode == 0, out.stderr
    try:
        assert "export KUBECONFIG=" in out.stdout
        assert run("list").stdout.split() == ["looked-at"]
        assert "runs already" in run("up", "--name=looked-at").stderr
        assert "==== kube-apiserver" in run("logs", "--name=looked-at").stdout
    finally:
        out = run("down", "--name=looked-at")
    assert "nothing of it is left running" in out.stdout
    assert run("list").stdout == ""
    assert not list((home / "inference-cache-operator" / "clusters").glob("*"))
