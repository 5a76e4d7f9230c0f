"""The node validator before a real API server: its own report and no other, no needless write, and what outages do to it.

The manifests are the shipped ones. Pods of the DaemonSet are played by KWOK, so the program runs as a process of this
machine with a token that the API server issued for such a pod, and with the tree of a described machine.
"""

import json
import shutil
import signal
import ssl
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

import pytest
import yaml

from e2e.audit import AuditCall, AuditLog, select_calls
from e2e.cluster import Cluster, wait_for
from e2e.faultproxy import DropBefore, FaultProxy, Match, ReverseRoute, Rule
from e2e.nodetree import build_host, build_tree
from e2e.rig import ROOT, Rig
from inference_cache.api.node_report import InferenceCacheNodeReport

_NAME: Final = "inference-cache-node-validator"
_USER: Final = f"system:serviceaccount:{_NAME}:{_NAME}"
_MANIFESTS: Final = ROOT / "manifests" / "node-validator"
_KIND: Final = "nodecapabilityreports"
_NODES: Final = ("validated-a", "validated-b")
_CODE: Final = (
    f"import sys; sys.path.insert(0, {str(ROOT / 'operator')!r}); "
    "import runpy; runpy.run_module('cache_agent.node_agent', run_name='__main__')"
)
_SECONDS: Final = 30.0


@dataclass
class Validator:
    """One node, its tree, and the process that validates it."""

    cluster: Cluster
    folder: Path
    node: str
    log: str = field(default="", init=False)

    @property
    def credentials(self) -> Path:
        """What the kubelet mounts."""
        return self.folder / "credentials"

    @property
    def tree(self) -> Path:
        """The host's files."""
        return self.folder / "tree"

    def mount_token(self, token: str) -> None:
        """Put a token in place, as the kubelet does: by a rename."""
        draft = self.credentials / "draft"
        draft.write_text(token)
        draft.replace(self.credentials / "token")

    @contextmanager
    def run(self, server: str = "", **options: Any) -> Iterator["Validator"]:
        """Run the program while the block runs; it has to end by SIGTERM alone."""
        address = urlsplit(server or self.cluster.server)
        given = {"node": self.node, "interval": 0.2, "root": self.tree, "credentials": self.credentials} | options
        command = [sys.executable, "-I", "-S", "-c", _CODE, *(f"--{key}={value}" for key, value in given.items())]
        environment = {"KUBERNETES_SERVICE_HOST": str(address.hostname), "KUBERNETES_SERVICE_PORT": str(address.port)}
        output = self.folder / "output"
        with output.open("wb") as stream:
            process = subprocess.Popen(command, env=environment, stdout=stream, stderr=subprocess.STDOUT)
        try:
            yield self
            assert process.poll() is None, output.read_text()
        finally:
            process.terminate()
            code = process.wait(_SECONDS)
            self.log = output.read_text()
        assert code == 128 + signal.SIGTERM, self.log

    def read_log(self) -> str:
        """Return what the program wrote so far."""
        return (self.folder / "output").read_text()

    def find_report(self, node: str = "") -> Any:
        """Return the object of a node."""
        return self.cluster.get(_KIND, node or self.node, "--show-managed-fields")

    def wait_report(self) -> dict[str, Any]:
        """Return the object as soon as it is there."""
        found: dict[str, Any] = wait_for(self.find_report, _SECONDS, f"no report of {self.node}")
        return found

    def delete_report(self) -> None:
        """Remove the object."""
        self.cluster.kubectl("delete", _KIND, self.node, "--ignore-not-found")


def _find_pod(cluster: Cluster, node: str) -> str | None:
    """Return the DaemonSet's pod on a node."""
    running = f"spec.nodeName={node},status.phase=Running"
    pods = (cluster.get("pods", "--namespace", _NAME, "--field-selector", running) or {}).get("items", [])
    names = [item["metadata"]["name"] for item in pods if "deletionTimestamp" not in item["metadata"]]
    return names[0] if names else None


def _wait_pod(cluster: Cluster, node: str) -> str:
    """Return the DaemonSet's pod on a node as soon as it runs."""
    return str(wait_for(lambda: _find_pod(cluster, node), 60, f"no pod of the DaemonSet on {node}"))


def _issue_token(cluster: Cluster, node: str) -> str:
    """Return a token as the kubelet of a node gets it for the validator's pod there."""
    bound = ("--bound-object-kind=Pod", f"--bound-object-name={_wait_pod(cluster, node)}")
    return cluster.kubectl("create", "token", _NAME, "--namespace", _NAME, *bound).stdout.strip()


@pytest.fixture(scope="module")
def cluster(rig: Rig) -> Iterator[Cluster]:
    """A cluster with the node validator installed, and two nodes for it."""
    cluster = rig.cluster
    cluster.delete_at_end("-k", str(_MANIFESTS))
    cluster.kubectl("apply", "--server-side", "-k", str(_MANIFESTS))
    cluster.add_nodes(_NODES)
    for node in _NODES:
        _wait_pod(cluster, node)
    _wait_policy(cluster)
    yield cluster
    cluster.kubectl("delete", "node", *_NODES, "--ignore-not-found")
    cluster.kubectl("delete", "-k", str(_MANIFESTS), "--wait=false")


def _wait_policy(cluster: Cluster) -> None:
    """Wait until the API server enforces the policy, which it loads some time after it was created."""
    token = cluster.kubectl("create", "token", _NAME, "--namespace", _NAME).stdout.strip()
    body = {"apiVersion": "inferencecache.io/v1alpha1", "kind": "NodeCapabilityReport", "metadata": {"name": "nobody"}}
    body |= {"report": {"probedAt": "2026-01-01T00:00:00Z", "validSeconds": 60}}
    wait_for(
        lambda: _write(cluster, token, body, "--dry-run=server").returncode, _SECONDS, "the policy is not enforced"
    )


def _write(cluster: Cluster, token: str, body: dict[str, Any], *options: str) -> "subprocess.CompletedProcess[str]":
    """Apply an object with a token."""
    config = yaml.safe_load(cluster.kubeconfig.read_text())
    config["users"][0]["user"] = {"token": token}
    path = cluster.folder / "kubeconfigs" / "node-validator-test.yaml"
    path.write_text(yaml.safe_dump(config))
    command = [str(cluster.bin_dir / "kubectl"), f"--kubeconfig={path}", "apply", "--server-side", "-f", "-", *options]
    return subprocess.run(command, input=json.dumps(body), capture_output=True, text=True, check=False, timeout=30)


@pytest.fixture
def validator(cluster: Cluster, tmp_path: Path) -> Iterator[Validator]:
    """A node without a report yet, with a valid token and a healthy machine."""
    validator = Validator(cluster, tmp_path, _NODES[0])
    validator.credentials.mkdir()
    shutil.copy(cluster.authority, validator.credentials / "ca.crt")
    validator.mount_token(_issue_token(cluster, validator.node))
    build_tree(build_host(), validator.tree)
    validator.delete_report()
    yield validator
    validator.delete_report()


def _calls(cluster: Cluster, name: str) -> list[AuditCall]:
    """Return the calls of validators for one report that are in the audit log by now."""
    return select_calls(AuditLog(cluster.audit_log).since(), user=_USER, name=name)


def test_report_belongs_to_the_node_and_is_what_was_probed(cluster: Cluster, validator: Validator) -> None:
    with validator.run():
        found = validator.wait_report()
    uid = cluster.get("node", validator.node)["metadata"]["uid"]
    assert found["metadata"]["ownerReferences"] == [
        {"apiVersion": "v1", "kind": "Node", "name": validator.node, "uid": uid}
    ]
    assert {entry["manager"] for entry in found["metadata"]["managedFields"]} == {_NAME}
    report = InferenceCacheNodeReport.model_validate(found["report"])
    assert report.node_uid == uid
    assert report.devices is not None
    assert [item.rdma_device for item in report.devices] == ["mlx5_0", "mlx5_1"]
    assert report.problems is None
    once = subprocess.run(
        [sys.executable, "-I", "-S", "-c", _CODE, "--once", f"--root={validator.tree}"],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert json.loads(once.stdout) | {"probedAt": "", "nodeUid": uid} == found["report"] | {"probedAt": ""}


def test_unchanged_node_is_written_once_whatever_restarts(cluster: Cluster, validator: Validator) -> None:
    AuditLog(cluster.audit_log).settle()
    before = len(_calls(cluster, validator.node))

    def wait_rounds(count: int) -> None:
        def reads() -> int:
            return sum(call.verb == "get" for call in _calls(cluster, validator.node)[before:])

        wait_for(lambda: reads() >= count, _SECONDS, "the validator does not go round")

    for rounds in (5, 10):
        with validator.run():
            wait_rounds(rounds)
    AuditLog(cluster.audit_log).settle()
    calls = _calls(cluster, validator.node)[before:]
    assert [call.verb for call in calls if call.is_write] == ["patch"]
    assert validator.find_report()["metadata"]["generation"] == 1


def test_fault_of_the_node_is_written_in_the_next_round(validator: Validator) -> None:
    with validator.run():
        first = validator.wait_report()
        (validator.tree / "sys/class/infiniband/mlx5_0/ports/1/state").write_text("1: DOWN\n")

        def state() -> Any:
            return validator.find_report()["report"]["devices"][0]["ports"][0]["state"]

        wait_for(lambda: state() == "DOWN", _SECONDS, "the fault does not show")
    assert validator.find_report()["metadata"]["uid"] == first["metadata"]["uid"]
    assert validator.find_report()["metadata"]["generation"] == 2


def test_report_that_was_deleted_comes_back(validator: Validator) -> None:
    with validator.run():
        first = validator.wait_report()["metadata"]["uid"]
        validator.delete_report()
        assert validator.wait_report()["metadata"]["uid"] != first


def test_report_of_another_node_is_refused(validator: Validator) -> None:
    refused = f"The validator on node {_NODES[0]} must not write the report of {_NODES[1]}."
    with validator.run(node=_NODES[1]):
        wait_for(lambda: refused in validator.read_log(), _SECONDS, "nothing was refused")
    assert "apply manifests/node-validator" in validator.log
    assert validator.find_report(_NODES[1]) is None


def _forge(node: str, **changes: Any) -> dict[str, Any]:
    report = {"probedAt": "2026-01-01T00:00:00Z", "validSeconds": 60, **changes.pop("report", {})}
    kind = {"apiVersion": "inferencecache.io/v1alpha1", "kind": "NodeCapabilityReport"}
    return {**kind, "metadata": {"name": node, **changes}, "report": report}


_OWNER: Final = {"apiVersion": "v1", "kind": "Node", "name": _NODES[1], "uid": "11111111-2222-3333-4444-555555555555"}
_FORGERIES: Final = {
    "other name": (_forge(_NODES[1]), "must not write the report of validated-b"),
    "other uid": (_forge(_NODES[0], report={"nodeUid": "other"}), "nodeUid must be the uid of the validator's node"),
    "other owner": (_forge(_NODES[0], ownerReferences=[_OWNER]), "node alone may own its report"),
    "finalizer": (_forge(_NODES[0], finalizers=["example.com/keep"]), "must not have finalizers"),
}


@pytest.mark.parametrize(("body", "text"), _FORGERIES.values(), ids=_FORGERIES)
def test_token_of_a_node_cannot_forge(cluster: Cluster, validator: Validator, body: dict[str, Any], text: str) -> None:
    token = (validator.credentials / "token").read_text()
    out = _write(cluster, token, body)
    assert out.returncode != 0
    assert text in out.stderr
    assert _write(cluster, token, _forge(_NODES[0]), "--dry-run=server").returncode == 0


def test_token_that_names_no_node_writes_nothing(cluster: Cluster) -> None:
    token = cluster.kubectl("create", "token", _NAME, "--namespace", _NAME).stdout.strip()
    out = _write(cluster, token, _forge(_NODES[0]))
    assert out.returncode != 0
    assert "The token names no node" in out.stderr


def test_others_may_write_whom_rbac_lets(cluster: Cluster) -> None:
    cluster.kubectl("apply", "--server-side", "--dry-run=server", "-f", "-", stdin=json.dumps(_forge("any")))


def test_token_that_ran_out_is_read_anew(cluster: Cluster, validator: Validator) -> None:
    # A token ends with the pod that it is bound to.
    pod = _find_pod(cluster, validator.node)
    cluster.kubectl("delete", "pod", str(pod), "--namespace", _NAME, "--grace-period=0", "--force")
    fresh = wait_for(lambda: _find_pod(cluster, validator.node) not in {None, pod}, 60, "no other pod")
    assert fresh
    with validator.run():
        wait_for(lambda: "HTTP 401" in validator.read_log(), _SECONDS, "the token is still accepted")
        assert validator.find_report() is None
        validator.mount_token(_issue_token(cluster, validator.node))
        validator.wait_report()
    token = (validator.credentials / "token").read_text()
    assert token not in validator.log


def test_outage_of_the_api_server_is_waited_for(cluster: Cluster, validator: Validator) -> None:
    tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    tls.load_cert_chain(cluster.authority.with_name("server.crt"), cluster.authority.with_name("server.key"))
    with FaultProxy.start(ReverseRoute.to_kubeconfig(cluster.kubeconfig), tls=tls) as proxy:
        proxy.put_rule(Rule(id="down", match=Match(resource=_KIND), action=DropBefore()))
        # With the interval of production, it is the pauses after failures that bring it back soon.
        with validator.run(server=proxy.url, interval=300):
            wait_for(lambda: len(proxy.requests()) >= 3, _SECONDS, "it does not try again")
            assert validator.find_report() is None
            proxy.clear_rule("down")
            validator.wait_report()
            wait_for(lambda: "report written" in validator.read_log(), _SECONDS, "it does not say so")
        assert [record.verb for record in proxy.requests() if record.status] == ["GET", "APPLY"]
    assert validator.log.count("does not answer") >= 3


def test_report_goes_with_its_node(cluster: Cluster, validator: Validator) -> None:
    cluster.add_nodes(["validated-short"])
    gone = Validator(cluster, validator.folder, "validated-short")
    gone.mount_token(_issue_token(cluster, gone.node))
    with gone.run():
        gone.wait_report()
    cluster.kubectl("delete", "node", gone.node)
    wait_for(lambda: gone.find_report() is None, 60, "the garbage collector leaves the report")


def test_daemon_set_is_accepted_in_its_namespace(cluster: Cluster) -> None:
    wanted = cluster.get("daemonset", _NAME, "--namespace", _NAME)["status"]
    assert wanted["desiredNumberScheduled"] >= len(_NODES)
    pod = cluster.get("pod", str(_find_pod(cluster, _NODES[0])), "--namespace", _NAME)
    mounts = [item for item in pod["spec"]["containers"][0]["volumeMounts"] if item["name"] == "sys"]
    assert mounts == [{"name": "sys", "mountPath": "/host/sys", "readOnly": True, "recursiveReadOnly": "IfPossible"}]
