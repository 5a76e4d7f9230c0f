"""The README's first command: a cluster, two operator replicas and the reference deployment, taken to Ready."""

import time
from collections.abc import Callable
from http import HTTPStatus
from typing import Any, Final

from e2e.cluster import Cluster, ClusterError, find_cluster, start_cluster, wait_for
from e2e.cluster.start import named_folder
from e2e.cluster.supervisor import Control
from e2e.rig import Rig, fetch, load_sample
from e2e.space import CHILD_KINDS

NAME: Final = "demo"
_READY_SECONDS: Final = 120

Report = Callable[[str], None]


def start_demo(report: Report = print) -> None:
    """Bring everything up, then leave it running.

    Raises:
        ClusterError: Something did not come up; the text says what.
    """
    if Control(named_folder(NAME)).alive:
        running = find_cluster(NAME)
        report(f"The demonstration runs already, in {running.folder}.\n")
        report(describe_demo(running))
        return
    started = time.monotonic()
    cluster = start_cluster(NAME, nodes=3, report=report)
    try:
        report(f"Cluster with 3 GPU nodes is up after {time.monotonic() - started:.0f} s.")
        rig = Rig(cluster).start()
        sample = load_sample()
        name, namespace = sample["metadata"]["name"], "default"
        store = sample["spec"]["cache"]["tiers"][1]["objectStore"]
        secret = store["credentials"]["secretRef"]["name"]
        _claim(cluster, namespace, secret=secret, icd=name)
        # The garbage collector may not know the new kind yet, and by then the kind will be gone.
        kinds, label = ",".join((*CHILD_KINDS, "pods")), f"inferencecache.io/deployment={name}"
        cluster.delete_at_end(kinds, "-l", label, "--namespace", namespace, "--force", "--grace-period=0")
        rig.make_store(namespace, store["bucket"]["name"], secret)
        for number in (0, 1):
            rig.start_operator(f"operator-{number}").wait_ready()
        report("CRD, RBAC, bucket and Secret are there; two operator replicas run.")
        cluster.apply({**sample, "metadata": {**sample["metadata"], "namespace": namespace}})
        _follow(cluster, name, report)
        _complete(cluster, name, store["bucket"]["name"], report)
    except BaseException:
        cluster.dump_logs(lines=15)
        cluster.down()
        raise
    cluster.detach()
    report(f"Ready after {time.monotonic() - started:.0f} s in all.\n")
    report(describe_demo(cluster))


def stop_demo() -> None:
    """Stop everything.

    Raises:
        ClusterError: It does not run.
    """
    find_cluster(NAME).down()


def describe_demo(cluster: Cluster) -> str:
    """Return how to look at the demonstration and how to stop it."""
    return f"""Look at it:
  export KUBECONFIG={cluster.kubeconfig}
  export PATH={cluster.bin_dir}:$PATH
  kubectl get icd -o wide
  kubectl describe icd nemotron-70b
  kubectl get pods,services,configmaps,pdb -l inferencecache.io/deployment=nemotron-70b
  kubectl scale icd nemotron-70b --replicas=3
  uv run python -m e2e status      # conditions, and what lies in the bucket
  ls {cluster.folder / "logs"}
Stop it:
  uv run python -m e2e down"""


def show_status(report: Report = print) -> None:
    """Print the conditions of the deployment and the objects in its bucket.

    Raises:
        ClusterError: The demonstration does not run.
    """
    cluster = find_cluster(NAME)
    report(cluster.kubectl("get", "icd", "-A", "-o", "wide").stdout)
    for item in (cluster.get("icd", "--all-namespaces") or {}).get("items", []):
        for condition in item.get("status", {}).get("conditions", []):
            report(
                f"  {condition['type']:<18} {condition['status']:<8} {condition['reason']:<18} {condition['message']}"
            )
        for tier in item["spec"]["cache"]["tiers"]:
            if "objectStore" in tier:
                _show_bucket(cluster, tier["objectStore"]["bucket"]["name"], report)
    report("\n" + describe_demo(cluster))


def _show_bucket(cluster: Cluster, bucket: str, report: Report) -> None:
    client = cluster.s3.client()
    try:
        keys = [entry["Key"] for entry in client.list_objects_v2(Bucket=bucket).get("Contents", [])]
    except client.exceptions.NoSuchBucket:
        report(f"\nBucket {bucket} does not exist.")
        return
    report(f"\nBucket {bucket} holds {len(keys)} KV objects:")
    for key in keys[:5]:
        report(f"  {key}")


def _claim(cluster: Cluster, namespace: str, **items: str) -> None:
    for kind, name in items.items():
        if cluster.get(kind, name, "--namespace", namespace):
            raise ClusterError(f"the cluster has {kind} {namespace}/{name} already; it is left as it is")
        cluster.delete_at_end(kind, name, "--namespace", namespace)


def _follow(cluster: Cluster, name: str, report: Report) -> None:
    shown = ""

    def ready() -> bool:
        nonlocal shown
        conditions: list[dict[str, Any]] = (cluster.get("icd", name) or {}).get("status", {}).get("conditions", [])
        found = next((item for item in conditions if item["type"] == "Ready"), None)
        if found is None:
            return False
        text = f"Ready={found['status']} {found['reason']}: {found['message']}"
        if text != shown:
            report(f"  {name}: {text}")
            shown = text
        return bool(found["status"] == "True")

    wait_for(ready, _READY_SECONDS, f"{name} did not become Ready", pause=0.3)


def _complete(cluster: Cluster, name: str, bucket: str, report: Report) -> None:
    """Ask for one completion, so that the bucket has something to show."""
    pod = cluster.get("pod", f"{name}-0")
    model = load_sample()["spec"]["model"]["name"]
    prompt = "The cache is tiered from HBM to DRAM to S3. " * 200
    url = f"http://{pod['status']['podIP']}:8000/v1/completions"
    status, answer = fetch(url, body={"model": model, "prompt": prompt, "max_tokens": 8}, timeout=20)
    if status != HTTPStatus.OK:
        raise ClusterError(f"the engine answered {status} to a completion: {answer}")
    objects = wait_for(
        lambda: cluster.s3.client().list_objects_v2(Bucket=bucket).get("KeyCount"),
        20,
        "no KV object reached the bucket",
    )
    report(
        f"  one completion of {answer['usage']['prompt_tokens']} prompt tokens left {objects} KV objects in the bucket"
    )
