"""The cluster tool's promises: several at once, quick, and nothing left running, however its owner or a process dies."""

import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from e2e.cluster import Cluster, ClusterError, start_cluster, wait_for
from e2e.cluster.reader import NotUnderstoodError, Reader
from e2e.rig import ROOT, Rig

_CALLER = """
import signal
from e2e.cluster import start_cluster
cluster = start_cluster(report=lambda text: None)
pids = [item["pid"] for item in cluster.processes().values()]
print(cluster.folder, *pids, cluster._supervisor.pid, flush=True)
signal.pause()
"""


def _is_running(pid: int) -> bool:
    try:
        state = re.search(r"^State:\s+(\w)", Path(f"/proc/{pid}/status").read_text(), re.MULTILINE)
    except OSError:
        return False
    return state is not None and state[1] not in "ZX"


def _quiet(_: str) -> None:
    pass


def _pids(cluster: Cluster) -> list[int]:
    return [item["pid"] or 0 for item in cluster.processes().values()]


def test_second_cluster_starts_quickly_beside_the_first_and_ends_cleanly(rig: Rig) -> None:
    started = time.monotonic()
    with start_cluster(nodes=1, report=_quiet) as other:
        took = time.monotonic() - started
        print(f"warm start: {took:.1f} s")
        assert took < 30
        assert other.pod_cidr != rig.cluster.pod_cidr
        assert other.server != rig.cluster.server
        other.kubectl("create", "namespace", "only-here")
        assert rig.cluster.get("namespace", "only-here") is None
        pids = _pids(other)
        assert all(map(_is_running, pids))
        folder = other.folder
    wait_for(lambda: not any(map(_is_running, pids)), 10, "processes are left")
    assert not folder.exists()
    assert rig.cluster.get("namespace", "default")


def test_kill_of_the_caller_leaves_nothing_running() -> None:
    with subprocess.Popen(
        [sys.executable, "-c", _CALLER],
        cwd=ROOT,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
        text=True,
    ) as caller:
        assert caller.stdout is not None
        _, *numbers = caller.stdout.readline().split()
        pids = [int(number) for number in numbers]
        assert len(pids) == 7
        assert all(map(_is_running, pids))
        caller.kill()
    wait_for(lambda: not any(map(_is_running, pids)), 20, "processes outlive their caller")


def test_kill_of_the_supervisor_leaves_nothing_running() -> None:
    cluster = start_cluster(report=_quiet)
    pids = _pids(cluster)
    supervisor = cluster._supervisor
    assert supervisor is not None
    supervisor.kill()
    wait_for(lambda: not any(map(_is_running, pids)), 10, "processes outlive their supervisor")
    cluster.down()


def test_death_of_an_essential_process_ends_the_cluster_and_is_told() -> None:
    cluster = start_cluster(report=_quiet, keep=True)
    try:
        pids = _pids(cluster)
        cluster.signal_process("etcd", signal.SIGKILL)
        wait_for(lambda: not any(map(_is_running, pids)), 20, "the rest goes on without etcd")
        assert "etcd ended with -9" in (cluster.folder / "failure").read_text()
    finally:
        cluster._keep = False
        cluster.down()


def test_engine_pods_are_left_to_the_simulator_and_others_to_kwok(rig: Rig) -> None:
    cluster = rig.cluster
    cluster.kubectl("run", "plain", "--image=busybox:1")
    cluster.kubectl("run", "engine", "--image=busybox:1", "--labels=app.kubernetes.io/component=engine")
    try:
        cluster.kubectl("wait", "--for=condition=Ready", "pod/plain", "--timeout=20s")
        wait_for(lambda: cluster.get("pod", "engine")["spec"].get("nodeName"), 20, "the pod was not scheduled")
        assert cluster.get("pod", "engine")["status"]["phase"] == "Pending"
        assert cluster.get("pod", "plain")["status"]["podIP"].startswith(cluster.pod_cidr.split(".0.", 1)[0])
    finally:
        cluster.kubectl("delete", "pod", "plain", "engine", "--force", "--grace-period=0")


def test_service_account_kubeconfig_has_the_rights_of_its_account_only(rig: Rig) -> None:
    path = rig.cluster.service_account_kubeconfig("default", "default")
    command = [str(rig.cluster.bin_dir / "kubectl"), f"--kubeconfig={path}", "get", "secrets"]
    out = subprocess.run(command, capture_output=True, text=True, check=False)
    assert out.returncode != 0
    assert "system:serviceaccount:default:default" in out.stderr


def test_failed_command_names_itself_and_the_cause(rig: Rig) -> None:
    with pytest.raises(ClusterError, match=r"kubectl get nonsense failed: .*nonsense"):
        rig.cluster.kubectl("get", "nonsense")


QUESTIONS = (
    ("nodes",),
    ("node", "gpu-0"),
    ("node", "absent"),
    ("sa", "default", "--namespace", "kube-system"),
    ("services,configmaps", "-n", "default"),
    ("nodes", "-l", "nvidia.com/gpu.present=true"),
    ("configmaps", "--namespace", "kube-system", "-l", "none=such"),
    ("pods", "-n", "absent"),
    ("clusterroles.rbac.authorization.k8s.io", "view"),
    ("crd", "inferencecachedeployments.inferencecache.io"),
    ("icd", "-A"),
    ("roles", "-A"),
    ("deployment", "absent", "-n", "default"),
)


@pytest.mark.parametrize("question", QUESTIONS, ids=map(" ".join, QUESTIONS))
def test_direct_read_agrees_with_kubectl(rig: Rig, question: tuple[str, ...]) -> None:
    cluster = rig.cluster
    out = cluster.kubectl("get", *question, "-o", "json", "--ignore-not-found").stdout
    direct = Reader(cluster.kubeconfig)
    try:
        assert _stable(direct.get(question)) == _stable(json.loads(out) if out.strip() else None)
    finally:
        direct.close()


def _stable(answer: Any) -> Any:
    """Return an answer without what changes from read to read: nodes are reported on all the time."""
    for item in (answer or {}).get("items", [answer] if answer else []):
        item["metadata"].pop("resourceVersion", None)
        item["metadata"].pop("managedFields", None)
        for condition in item.get("status", {}).get("conditions", []):
            condition.pop("lastHeartbeatTime", None)
    return answer


@pytest.mark.parametrize("question", [("nonsense",), ("nodes", "--sort-by", "x"), ("pod/x",), ("a,b", "c"), ()])
def test_other_questions_are_left_to_kubectl(rig: Rig, question: tuple[str, ...]) -> None:
    direct = Reader(rig.cluster.kubeconfig)
    try:
        with pytest.raises(NotUnderstoodError):
            direct.get(question)
    finally:
        direct.close()
