"""Benchmark against a floor: a bare client that makes the same writes without any logic, in the same run.

Run as `python -m e2e.bench`. Times come from the API server's audit log only, and count only as ratios, because machines
differ. Not part of the tests.
"""

import argparse
import asyncio
import copy
import json
import ssl
import statistics
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

import aiohttp
import yaml

from e2e.cluster import Cluster, start_cluster, wait_for
from e2e.rig import NAMESPACE, Rig
from e2e.space import BUCKET, CHILD_KINDS, SECRET, Space

_OPERATOR: Final = f"system:serviceaccount:{NAMESPACE}:inference-cache-operator"
_CONCURRENCY: Final = 16
_ICD_PATH: Final = "/apis/inferencecache.io/v1alpha1/namespaces/{}/inferencecachedeployments"
_PATHS: Final = {
    "ServiceAccount": "/api/v1/namespaces/{}/serviceaccounts",
    "ConfigMap": "/api/v1/namespaces/{}/configmaps",
    "Service": "/api/v1/namespaces/{}/services",
    "PodDisruptionBudget": "/apis/policy/v1/namespaces/{}/poddisruptionbudgets",
    "NetworkPolicy": "/apis/networking.k8s.io/v1/namespaces/{}/networkpolicies",
    "StatefulSet": "/apis/apps/v1/namespaces/{}/statefulsets",
}
_CHILD_RESOURCES: Final = frozenset(CHILD_KINDS)

Post = Callable[[str, dict[str, Any]], Awaitable[None]]


@dataclass(frozen=True)
class Call:
    """One answered request of the audit log."""

    user: str
    agent: str
    verb: str
    resource: str
    name: str
    received: datetime
    done: datetime


def main() -> None:
    """Run the benchmark and print the ratios."""
    parser = argparse.ArgumentParser(prog="python -m e2e.bench", description=__doc__)
    parser.add_argument("--single", type=int, default=30, help="deployments applied one at a time")
    parser.add_argument("--burst", type=int, default=200, help="deployments applied at once")
    options = parser.parse_args()
    with start_cluster(nodes=3) as cluster:
        rig = Rig(cluster).start()
        cluster.s3.make_bucket(BUCKET)
        cluster.s3.make_user("bench", "bench-secret-0123456789")
        cluster.s3.grant(BUCKET, "bench")
        spaces = {name: Space(rig, name) for name in ("bench", "floor")}
        rig.put_keys("bench", SECRET, "bench", "bench-secret-0123456789")
        operator = rig.start_operator().wait_ready()
        wait_for(operator.leads, 20, "the operator does not lead")
        print(f"Children of a deployment, one deployment at a time ({options.single}):")
        template = _learn_children(spaces["bench"])
        ours = _measure_single(cluster, spaces["bench"], options.single)
        floor = asyncio.run(_measure_floor_single(cluster, template, options.single))
        _print_ratio("p50", statistics.median(ours), statistics.median(floor))
        _print_ratio("p99", _percentile(ours, 99), _percentile(floor, 99))
        print(f"Burst of {options.burst} deployments, from the first request to the last child:")
        drained = _measure_burst(cluster, spaces["bench"], options.burst)
        floor_drained = asyncio.run(_measure_floor_burst(cluster, spaces["floor"], template, options.burst))
        _print_ratio("drain", drained, floor_drained)
        print(
            f"Resident memory of the operator: {(operator.metric('process_resident_memory_bytes') or 0) / 2**20:.0f} MiB"
        )


def _print_ratio(what: str, ours: float, floor: float) -> None:
    print(f"  {what:<6} operator {ours * 1000:8.1f} ms   floor {floor * 1000:8.1f} ms   ratio {ours / floor:5.2f}")


def _percentile(values: list[float], percent: int) -> float:
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, len(ordered) * percent // 100)]


def _build(space: Space, name: str) -> dict[str, Any]:
    # No pods: schedulers and kubelets would compete for the processor with what is measured.
    return space.build(name, replicas=0)


def _learn_children(space: Space) -> list[dict[str, Any]]:
    """Return the objects of one deployment as the floor client will write them."""
    space.apply(_build(space, "template"))
    space.wait_ready("template")
    children = space.children("template")
    for child in children:
        metadata = child["metadata"]
        child["metadata"] = {key: metadata[key] for key in ("name", "labels", "annotations") if key in metadata}
        child["metadata"]["labels"].pop("inferencecache.io/deployment")
        child["metadata"]["labels"].pop("app.kubernetes.io/managed-by")
        child.pop("status", None)
        for field in ("clusterIP", "clusterIPs"):
            if child.get("spec", {}).get(field) != "None":
                child.get("spec", {}).pop(field, None)
        child.get("spec", {}).pop("clusterIPs", None)
    return children


def _measure_single(cluster: Cluster, space: Space, count: int) -> list[float]:
    mark = _settle(cluster)
    for number in range(count):
        space.apply(_build(space, f"single-{number}"))
        space.wait_ready(f"single-{number}")
    _settle(cluster)
    calls = _read_calls(cluster, mark)
    return [_latency(calls, f"single-{number}") for number in range(count)]


def _latency(calls: Iterable[Call], name: str) -> float:
    def about(call: Call) -> bool:
        return call.name == name or call.name.startswith(f"{name}-")

    applied = min(
        call.done
        for call in calls
        if call.resource == "inferencecachedeployments" and call.name == name and call.user != _OPERATOR
    )
    return _seconds(applied, max(call.done for call in calls if _is_child(call) and about(call)))


def _is_child(call: Call) -> bool:
    return call.user == _OPERATOR and call.verb == "create" and call.resource in _CHILD_RESOURCES


def _seconds(begin: datetime, end: datetime) -> float:
    return (end - begin).total_seconds()


async def _with_client(cluster: Cluster, work: Callable[[Post], Awaitable[None]]) -> None:
    config = yaml.safe_load(cluster.kubeconfig.read_text())
    context = ssl.create_default_context(cafile=str(cluster.authority))
    connector = aiohttp.TCPConnector(ssl=context, limit=64)
    headers = {"Authorization": f"Bearer {config['users'][0]['user']['token']}", "User-Agent": "floor"}
    async with aiohttp.ClientSession(cluster.server, connector=connector, headers=headers) as session:

        async def post(path: str, body: dict[str, Any]) -> None:
            async with session.post(path, json=body) as answer:
                if answer.status >= 300:
                    raise RuntimeError(f"{path}: {answer.status} {await answer.text()}")

        await work(post)


def _floor_bodies(template: list[dict[str, Any]], name: str) -> list[tuple[str, dict[str, Any]]]:
    bodies = []
    for number, child in enumerate(template):
        body = copy.deepcopy(child)
        body["metadata"]["name"] = f"{name}-{number}"
        bodies.append((_PATHS[body["kind"]].format("floor"), body))
    return bodies


async def _measure_floor_single(cluster: Cluster, template: list[dict[str, Any]], count: int) -> list[float]:
    mark = _settle(cluster)

    async def work(post: Post) -> None:
        for number in range(count):
            trigger = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": f"trigger-{number}"}}
            await post(_PATHS["ConfigMap"].format("floor"), trigger)
            await asyncio.gather(*(post(path, body) for path, body in _floor_bodies(template, f"one-{number}")))

    await _with_client(cluster, work)
    _settle(cluster)
    calls = [call for call in _read_calls(cluster, mark) if call.agent == "floor" and call.verb == "create"]
    found = []
    for number in range(count):
        trigger = next(call.done for call in calls if call.name == f"trigger-{number}")
        last = max(call.done for call in calls if call.name.startswith(f"one-{number}-"))
        found.append(_seconds(trigger, last))
    return found


def _measure_burst(cluster: Cluster, space: Space, count: int) -> float:
    mark = _settle(cluster)

    async def work(post: Post) -> None:
        path = _ICD_PATH.format(space.namespace)
        await _post_all(post, [[(path, _build(space, f"burst-{number}"))] for number in range(count)])

    asyncio.run(_with_client(cluster, work))

    def complete() -> bool:
        _settle(cluster)
        created = [call for call in _read_calls(cluster, mark) if _is_child(call)]
        return len(created) >= count * 7

    wait_for(complete, 300, "the burst was not drained", pause=1.0)
    calls = _read_calls(cluster, mark)
    first = min(call.received for call in calls if call.agent == "floor")
    return _seconds(first, max(call.done for call in calls if _is_child(call)))


async def _measure_floor_burst(cluster: Cluster, space: Space, template: list[dict[str, Any]], count: int) -> float:
    """The floor writes a deployment-sized object, the children, and as many small objects as there are status writes and events."""
    mark = _settle(cluster)
    extra = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {}}

    async def work(post: Post) -> None:
        batches = []
        for number in range(count):
            small = [
                (_PATHS["ConfigMap"].format("floor"), {**extra, "metadata": {"name": f"extra-{number}-{index}"}})
                for index in range(5)
            ]
            body = json.loads(json.dumps(_build(space, f"burst-{number}")))
            body["spec"]["cache"]["tiers"] = body["spec"]["cache"]["tiers"][:1]
            spec = {
                "apiVersion": "v1",
                "kind": "ConfigMap",
                "metadata": {"name": f"spec-{number}"},
                "data": {"spec": json.dumps(body)},
            }
            batches.append(
                [(_PATHS["ConfigMap"].format("floor"), spec), *_floor_bodies(template, f"many-{number}"), *small]
            )
        await _post_all(post, batches)

    await _with_client(cluster, work)
    _settle(cluster)
    calls = [call for call in _read_calls(cluster, mark) if call.agent == "floor"]
    return _seconds(min(call.received for call in calls), max(call.done for call in calls))


async def _post_all(post: Post, batches: list[list[tuple[str, dict[str, Any]]]]) -> None:
    """Write batches in parallel workers; within a batch the first object goes first, the others together."""
    queue = iter(batches)

    async def worker() -> None:
        for batch in queue:
            first, *rest = batch
            await post(*first)
            await asyncio.gather(*(post(*item) for item in rest))

    async with asyncio.TaskGroup() as group:
        for _ in range(_CONCURRENCY):
            group.create_task(worker())


def _read_calls(cluster: Cluster, mark: int) -> list[Call]:
    """Return the answered requests from an offset in bytes on."""
    with cluster.audit_log.open("rb") as log:
        log.seek(mark)
        events = [json.loads(line) for line in log.read().splitlines()]
    return [
        Call(
            event["user"]["username"],
            event.get("userAgent", ""),
            event["verb"],
            event["objectRef"]["resource"],
            event["objectRef"].get("name", ""),
            datetime.fromisoformat(event["requestReceivedTimestamp"]),
            datetime.fromisoformat(event["stageTimestamp"]),
        )
        for event in events
        if event["stage"] == "ResponseComplete" and "objectRef" in event
    ]


def _settle(cluster: Cluster) -> int:
    """Wait until the audit log holds all that happened; returns its size."""
    mark = cluster.audit_log.stat().st_size
    name = f"marker-{mark}"
    cluster.kubectl("get", "configmap", name, "--ignore-not-found")

    def written() -> bool:
        with cluster.audit_log.open("rb") as log:
            log.seek(mark)
            return name.encode() in log.read()

    wait_for(written, 15, "the audit log did not catch up")
    return cluster.audit_log.stat().st_size


if __name__ == "__main__":
    main()
