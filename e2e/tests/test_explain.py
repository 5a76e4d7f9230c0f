"""`icd explain` finds the cause of broken set-ups, and the commands that it prints mend them, run exactly as printed."""

import json
import os
import re
import signal
import subprocess
import sys
import uuid
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from e2e.cluster import NodeVariant, wait_for
from e2e.rig import ROOT, Operator, Rig
from e2e.simulator.behaviours import Behaviour, ContainerBehaviour, Crash, Match
from e2e.space import SECRET, Space

pytestmark = pytest.mark.usefixtures("operator")

_KEY = "tests-secret-0123456789"
_POOL = "explain.example.org/pool"
_PLACEHOLDER = re.compile(r"<[A-Z_]+>")

# Stands in for the AWS command line: the same operations and parameters, as both are made from botocore's models.
_AWS = """#!{python}
import json, os, sys
import boto3
from botocore import xform_name
from botocore.config import Config

words = sys.argv[1:]
options = {{}}
while words[0].startswith("--"):
    options[words[0]] = words[1]
    words = words[2:]
service, operation, *rest = words
assert service == "s3api", words
client = boto3.session.Session().client(
    "s3", endpoint_url=options["--endpoint-url"], region_name=options["--region"],
    config=Config(request_checksum_calculation="when_required", response_checksum_validation="when_required"),
)
method = xform_name(operation.replace("-", "_"))
members = client.meta.service_model.operation_model(client.meta.method_to_api_mapping[method]).input_shape.members
names = {{xform_name(name, "-"): name for name in members}}
arguments = {{names[key.removeprefix("--")]: value for key, value in zip(rest[::2], rest[1::2], strict=True)}}
print(json.dumps(getattr(client, method)(**arguments), default=str))
"""


@dataclass
class Case:
    """A broken set-up.

    Attributes:
        cause: The reason that must be found.
        fill: What a person knows: values of placeholders.
        end: What takes foreign things away again.
    """

    cause: str
    fill: dict[str, str] = field(default_factory=dict)
    end: Callable[[], object] | None = None


def _put_store(space: Space, body: dict[str, Any], **values: Any) -> None:
    store = body["spec"]["cache"]["tiers"][1]["objectStore"]
    store |= values
    space.apply(body)


def _break_absent_secret(space: Space) -> Case:
    space.cluster.kubectl("delete", "secret", SECRET, "--namespace", space.namespace)
    space.apply(space.build())
    return Case("SecretNotFound", {"<ACCESS_KEY>": "tests", "<SECRET_KEY>": _KEY})


def _break_missing_key(space: Space) -> Case:
    namespace = ("--namespace", space.namespace)
    space.cluster.kubectl("delete", "secret", SECRET, *namespace)
    space.cluster.kubectl("create", "secret", "generic", SECRET, "--from-literal=AWS_ACCESS_KEY_ID=tests", *namespace)
    space.apply(space.build())
    return Case("SecretKeyMissing", {"<SECRET_KEY>": _KEY})


def _break_newline(space: Space) -> Case:
    space.rig.put_keys(space.namespace, SECRET, "tests", f"{_KEY}\n")
    space.apply(space.build())
    return Case("SecretKeyMalformed", {"<SECRET_KEY>": _KEY})


def _break_access_key(space: Space) -> Case:
    space.rig.put_keys(space.namespace, SECRET, "nobody", _KEY)
    space.apply(space.build())
    return Case("AccessKeyUnknown", {"<ACCESS_KEY>": "tests", "<SECRET_KEY>": _KEY})


def _break_secret_key(space: Space) -> Case:
    space.rig.put_keys(space.namespace, SECRET, "tests", "wrong-secret-key")
    space.apply(space.build())
    return Case("SignatureMismatch", {"<SECRET_KEY>": _KEY})


def _break_absent_bucket(space: Space) -> Case:
    _put_store(space, space.build(), bucket={"name": f"kv-absent-{uuid.uuid4().hex[:6]}"})
    return Case("BucketNotFound", {"<PRINCIPAL>": "tests"})


def _break_denied_bucket(space: Space) -> Case:
    bucket = f"kv-denied-{uuid.uuid4().hex[:6]}"
    space.cluster.s3.make_bucket(bucket)
    _put_store(space, space.build(), bucket={"name": bucket})
    return Case("AccessDenied", {"<PRINCIPAL>": "tests"})


def _break_endpoint(space: Space) -> Case:
    _put_store(space, space.build(), endpoint="http://no-such-store.invalid")
    return Case("", {"<ENDPOINT>": f"http://{space.cluster.s3.domain}"})


def _add_node(space: Space, pool: str, variant: NodeVariant = NodeVariant.REFERENCE) -> tuple[str, Callable[[], None]]:
    """Add a node to a pool of its own, and return its name and what removes it."""
    name = f"explain-{uuid.uuid4().hex[:6]}"
    space.cluster.add_nodes([name], variant)
    space.cluster.kubectl("label", "node", name, f"{_POOL}={pool}")

    def remove() -> None:
        space.delete()
        space.cluster.kubectl("delete", "node", name)

    return name, remove


def _break_mistyped_label(space: Space) -> Case:
    _, remove = _add_node(space, "inference")
    space.apply(space.build(nodes={"selector": {_POOL: "inferense"}}))
    return Case("NoCandidateNodes", end=remove)


def _break_absent_label(space: Space) -> Case:
    space.apply(space.build(nodes={"selector": {_POOL: "unheard-of"}}))

    def end() -> None:
        space.delete()
        space.cluster.kubectl("label", "nodes", "--all", f"{_POOL}-")

    return Case("NoCandidateNodes", end=end)


def _break_taint(space: Space) -> Case:
    name, remove = _add_node(space, "tainted")
    space.cluster.kubectl("taint", "node", name, "team=search:NoSchedule")
    space.apply(space.build(nodes={"selector": {_POOL: "tainted"}}))
    return Case("NoCandidateNodes", end=remove)


def _break_cordon(space: Space) -> Case:
    _, remove = _add_node(space, "cordoned", NodeVariant.CORDONED)
    space.apply(space.build(nodes={"selector": {_POOL: "cordoned"}}))
    return Case("NoEligibleNodes", end=remove)


def _break_product_label(space: Space) -> Case:
    name, remove = _add_node(space, "unlabelled")
    space.cluster.kubectl("label", "node", name, "nvidia.com/gpu.product-")
    space.apply(space.build(nodes={"selector": {_POOL: "unlabelled"}}))
    return Case("NoEligibleNodes", {"<PRODUCT>": "NVIDIA-H200-NVL"}, end=remove)


def _break_product(space: Space) -> Case:
    space.apply(space.build(nodes={"requirements": {"gpu": {"products": ["B200"]}}}))
    return Case("NoEligibleNodes")


def _break_gpu_count(space: Space) -> Case:
    space.apply(space.build(engine={"tensorParallelSize": 16}))
    return Case("NoEligibleNodes")


def _break_memory(space: Space) -> Case:
    body = space.build()
    body["spec"]["cache"]["tiers"][0]["memory"]["size"] = "4000Gi"
    space.apply(body)
    return Case("NoEligibleNodes")


def _break_two_at_once(space: Space) -> Case:
    space.apply(space.build(engine={"tensorParallelSize": 16}, nodes={"requirements": {"gpu": {"products": ["B200"]}}}))
    return Case("NoEligibleNodes")


def _break_name(space: Space) -> Case:
    metadata = {"name": "small", "namespace": space.namespace}
    spec = {"ports": [{"port": 80}], "selector": {"app": "other"}}
    space.cluster.apply({"apiVersion": "v1", "kind": "Service", "metadata": metadata, "spec": spec})
    space.apply(space.build())
    return Case("NameConflict")


def _break_image(space: Space) -> Case:
    pull = Behaviour(engine=ContainerBehaviour(waiting="ImagePullBackOff"))
    space.rig.simulator.put(space.namespace, pull, Match(namespace=space.namespace, image="does-not-exist"))
    good = space.build()["spec"]["engine"].get("image") or "docker.io/inferencecache/engine:vllm-0.32.0-lmcache-0.5.6"
    space.apply(space.build(engine={"image": "registry.example/does-not-exist:vllm-0.32.0-lmcache-0.5.6"}))
    return Case("ImagePullFailing", {"<IMAGE>": good}, end=lambda: space.rig.simulator.delete(space.namespace))


def _break_capacity(space: Space) -> Case:
    """Three replicas want the 8 GPUs of one node."""
    _, remove = _add_node(space, "full")
    body = space.build(replicas=3, engine={"tensorParallelSize": 4}, nodes={"selector": {_POOL: "full"}})
    space.apply(body)
    return Case("PodsUnschedulable", end=remove)


def _break_by_quota(space: Space) -> Case:
    metadata = {"name": "team", "namespace": space.namespace}
    quota = {"apiVersion": "v1", "kind": "ResourceQuota", "metadata": metadata, "spec": {"hard": {"pods": "0"}}}
    space.cluster.apply(quota)
    wait_for(lambda: space.get("resourcequota", "team").get("status", {}).get("hard"), 20, "the quota is not in effect")
    space.apply(space.build())
    return Case("PodsNotCreated")


def _break_by_scale(space: Space) -> Case:
    space.apply(space.build(replicas=0))
    return Case("ScaledToZero")


# The set-up, and what the first command that changes something has in it.
CASES: dict[str, tuple[Callable[[Space], Case], str]] = {
    "Secret is absent": (_break_absent_secret, "create secret generic kv-tests"),
    "Secret lacks a key": (_break_missing_key, "patch secret kv-tests"),
    "key ends with a newline": (_break_newline, "patch secret kv-tests"),
    "access key is unknown to the store": (_break_access_key, "patch secret kv-tests"),
    "secret key is wrong": (_break_secret_key, "patch secret kv-tests"),
    "bucket is absent": (_break_absent_bucket, "s3api create-bucket --bucket kv-absent-"),
    "bucket denies access": (_break_denied_bucket, "s3api put-bucket-policy --bucket kv-denied-"),
    "host of the endpoint does not exist": (_break_endpoint, "/objectStore/endpoint"),
    "value of the node selector is mistyped": (_break_mistyped_label, '{"selector":{"explain.example.org/pool":"inference"}}'),
    "no node carries the selected label": (_break_absent_label, "kubectl label node gpu-"),
    "taint is not tolerated": (_break_taint, '{"key":"team","operator":"Equal","value":"search","effect":"NoSchedule"}'),
    "the only candidate is cordoned": (_break_cordon, "kubectl uncordon explain-"),
    "GPU product label is missing": (_break_product_label, "kubectl label node explain-"),
    "no node has the GPU product": (_break_product, '"products":["B200","H200"]'),
    "no node has enough GPUs": (_break_gpu_count, '{"engine":{"tensorParallelSize":8}}'),
    "no node has enough memory": (_break_memory, "/spec/cache/tiers/0/memory/size"),
    "GPU product and count are both wrong": (_break_two_at_once, '"products":["B200","H200"]'),
    "Service of the same name is someone else's": (_break_name, "delete service small"),
    "image cannot be pulled": (_break_image, '{"engine":{"image":'),
    "quota admits no pod": (_break_by_quota, "patch resourcequota team"),
    "capacity does not suffice for all replicas": (_break_capacity, "scale icd small --replicas=2"),
    "scaled to zero": (_break_by_scale, "scale icd small --replicas=1"),
}  # fmt: skip


@pytest.fixture(scope="module")
def shell(rig: Rig, tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """The environment of a platform engineer: kubectl, icd, and aws as an administrator of the store."""
    folder = tmp_path_factory.mktemp("bin")
    aws = folder / "aws"
    aws.write_text(_AWS.format(python=sys.executable))
    aws.chmod(0o755)
    paths = (folder, rig.cluster.bin_dir, Path(sys.executable).parent)
    return {
        "PATH": os.pathsep.join((*map(str, paths), os.environ["PATH"])),
        "HOME": str(folder),
        "PYTHONPATH": str(ROOT / "operator"),
        "KUBECONFIG": str(rig.cluster.kubeconfig),
        "AWS_ACCESS_KEY_ID": rig.cluster.s3.access_key,
        "AWS_SECRET_ACCESS_KEY": rig.cluster.s3.secret_key,
        **rig.proxy_environment(),
    }


def _explain(shell: dict[str, str], space: Space) -> dict[str, Any]:
    command = ["icd", "explain", "small", "-n", space.namespace, "-o", "json"]
    out = subprocess.run(command, env=shell, capture_output=True, text=True, check=False, timeout=60)
    assert out.returncode in {0, 1}, out.stderr
    found: dict[str, Any] = json.loads(out.stdout)
    wrong = found["state"] in {"Broken", "Degraded", "Stale", "NotSeen"}
    assert out.returncode == int(wrong), "the exit code says whether someone has to act"
    return found


def _await_cause(shell: dict[str, str], space: Space, cause: str) -> dict[str, Any]:
    """Ask again until the cause shows: checks take a moment, and pods begin with PodsStarting."""
    latest: dict[str, Any] = {}

    def found() -> bool:
        latest.update(_explain(shell, space))
        settled = latest["state"] not in {"NotSeen", "Stale", "Progressing", "Healthy"}
        return settled and latest["cause"] == (cause or latest["cause"])

    try:
        wait_for(found, 60, "cause", pause=0.3)
    except RuntimeError:
        pytest.fail(f"{cause} was not found: {json.dumps(latest, indent=1)}")
    return latest


def _run_fix(shell: dict[str, str], fix: dict[str, Any], fill: dict[str, str]) -> None:
    assert fix["why"].strip()
    assert any(not step["looks"] for step in fix["steps"]), f"nothing is mended by {fix}"
    for step in fix["steps"]:
        command = step["command"]
        for placeholder, value in fill.items():
            command = command.replace(placeholder, value)
        assert not _PLACEHOLDER.search(command), f"only a person knows what stands for it in {command}"
        out = subprocess.run(
            ["bash", "-c", command], env=shell, capture_output=True, text=True, check=False, timeout=60
        )
        assert step["looks"] or out.returncode == 0, f"{command}\n{out.stdout}{out.stderr}"


@pytest.mark.parametrize("case", CASES, ids=list(CASES))
def test_printed_fix_mends_the_deployment(space: Space, shell: dict[str, str], case: str) -> None:
    break_it, does = CASES[case]
    broken = break_it(space)
    try:
        found = _await_cause(shell, space, broken.cause)
        assert does in next(step["command"] for step in found["fix"][0]["steps"] if not step["looks"])
        _run_fix(shell, found["fix"][0], broken.fill)
        wait_for(lambda: space.condition("small", "Ready").get("reason") != "ScaledToZero", 30, "still scaled to zero")
        space.wait_ready(seconds=90)
        assert _explain(shell, space)["state"] == "Healthy"
    finally:
        if broken.end is not None:
            broken.end()


def test_crash_names_container_and_log_and_a_new_pod_ends_the_back_off(space: Space, shell: dict[str, str]) -> None:
    crash = Behaviour(engine=ContainerBehaviour(crash=Crash(exit_code=3)))
    space.rig.simulator.put(space.namespace, crash, Match(namespace=space.namespace))
    try:
        space.apply(space.build())
        found = _await_cause(shell, space, "PodsCrashing")
    finally:
        # What made it crash lies outside the cluster; it is mended before the last of the commands is run.
        space.rig.simulator.delete(space.namespace)
    logs, again = found["fix"]
    assert logs["steps"][0]["command"] == f"kubectl -n {space.namespace} logs small-0 -c engine --previous --tail=50"
    assert any("exit code 3" in line for line in found["evidence"])
    _run_fix(shell, again, {})
    space.wait_ready(seconds=60)


def test_change_that_the_operator_has_not_seen_points_to_the_operator(
    space: Space, shell: dict[str, str], operator: Operator
) -> None:
    space.apply(space.build())
    space.wait_ready()
    space.cluster.signal_process(operator.name, signal.SIGSTOP)
    try:
        space.cluster.kubectl("scale", "icd/small", "--replicas=2", "--namespace", space.namespace)
        found = _explain(shell, space)
    finally:
        space.cluster.signal_process(operator.name, signal.SIGCONT)
    assert found["state"] == "Stale"
    assert any("Lease" in line for line in found["evidence"])
    space.wait_ready()
    assert _explain(shell, space)["state"] == "Healthy"


def test_nodes_are_judged_as_the_operator_judges_them(space: Space, shell: dict[str, str]) -> None:
    _, remove = _add_node(space, "matrix", NodeVariant.FOUR_GPUS)
    try:
        space.apply(space.build(engine={"tensorParallelSize": 8}))
        space.wait_condition("small", "NodesEligible", "True")
        command = ["icd", "nodes", "small", "-n", space.namespace, "-o", "json"]
        out = subprocess.run(command, env=shell, capture_output=True, text=True, check=True, timeout=60)
        rows = json.loads(out.stdout)
        status = space.get("icd", "small")["status"]["nodes"]
        assert sum(row["eligible"] for row in rows) == status["eligible"]
        assert sum(row["candidate"] for row in rows) == status["candidates"]
        assert [row["cause"] for row in rows if not row["eligible"]] == ["GPUCountTooLow"]
    finally:
        remove()


def test_user_without_rights_on_nodes_gets_the_cause_all_the_same(space: Space, shell: dict[str, str]) -> None:
    space.cluster.kubectl("create", "serviceaccount", "viewer", "--namespace", space.namespace)
    space.cluster.kubectl(
        *("create", "role", "viewer", "--verb=get,list", "--resource=inferencecachedeployments.inferencecache.io"),
        *("--namespace", space.namespace),
    )
    binding = ("--role=viewer", f"--serviceaccount={space.namespace}:viewer", "--namespace", space.namespace)
    space.cluster.kubectl("create", "rolebinding", "viewer", *binding)
    kubeconfig = space.cluster.service_account_kubeconfig(space.namespace, "viewer")
    space.cluster.kubectl("delete", "secret", SECRET, "--namespace", space.namespace)
    space.apply(space.build())
    found = _await_cause({**shell, "KUBECONFIG": str(kubeconfig)}, space, "SecretNotFound")
    assert any("nodes" in line for line in found["notRead"])
    assert any("pods" in line for line in found["notRead"])
