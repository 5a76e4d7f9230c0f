"""Calls to the API server, counted by its own audit log: few to create, none while idle, none after a restart."""

import json
from collections import Counter
from collections.abc import Iterator
from typing import Any

import pytest

from e2e.cluster import wait_for
from e2e.rig import NAMESPACE, Operator, Rig
from e2e.space import Space
from e2e.tests.conftest import FAST, forget_lease

_USER = f"system:serviceaccount:{NAMESPACE}:inference-cache-operator"
_WRITES = {"create", "update", "patch", "delete", "deletecollection"}
# A resync every 5 seconds instead of 300: 20 seconds then hold what 20 minutes hold in production.
COMPRESSED = FAST | {"INFERENCE_CACHE_RESYNC_SECONDS": "5"}
_IDLE_RESYNCS = 4


@pytest.fixture
def busy(rig: Rig) -> Iterator[Operator]:
    forget_lease(rig)
    operator = rig.start_operator("counted", environment=COMPRESSED).wait_ready()
    yield operator
    operator.stop()


def _calls(rig: Rig, offset: int = 0) -> list[dict[str, Any]]:
    """Return the operator's calls in the audit log from an offset in bytes on."""
    with rig.cluster.audit_log.open("rb") as log:
        log.seek(offset)
        lines = log.read().splitlines()
    return [
        event
        for event in map(json.loads, lines)
        if event["user"]["username"] == _USER and event["stage"] == "ResponseComplete"
    ]


def _settle(rig: Rig) -> int:
    """Wait until the log holds everything up to now, told by a request of ours; returns its size."""
    mark = rig.cluster.audit_log.stat().st_size
    name = f"marker-{mark}"
    rig.cluster.kubectl("get", "configmap", name, "--ignore-not-found")

    def written() -> bool:
        with rig.cluster.audit_log.open("rb") as log:
            log.seek(mark)
            return name.encode() in log.read()

    wait_for(written, 10, "the audit log did not catch up")
    return rig.cluster.audit_log.stat().st_size


def _describe(event: dict[str, Any]) -> str:
    target = event.get("objectRef", {})
    return f"{event['verb']} {target.get('resource', event['requestURI'])}/{target.get('subresource', '')} {event['responseStatus']['code']}"


@pytest.mark.usefixtures("busy")
def test_created_deployment_costs_at_most_fourteen_calls(rig: Rig, space: Space) -> None:
    offset = _settle(rig)
    space.apply(space.build(replicas=2))
    space.wait_ready()
    _settle(rig)
    calls = [event for event in _calls(rig, offset) if event.get("objectRef", {}).get("namespace") == space.namespace]
    print(f"{len(calls)} calls for a created deployment: {dict(Counter(map(_describe, calls)))}")
    assert 10 <= len(calls) <= 14


@pytest.mark.usefixtures("busy")
def test_idle_deployments_cause_no_writes(rig: Rig, space: Space) -> None:
    names = [f"small-{number}" for number in range(3)]
    for name in names:
        space.apply(space.build(name))
    for name in names:
        space.wait_ready(name)
    offset = _settle(rig)

    def resyncs() -> int:
        lists = [
            event
            for event in _calls(rig, offset)
            if event["verb"] == "list" and event.get("objectRef", {}).get("resource") == "statefulsets"
        ]
        return len(lists)

    wait_for(lambda: resyncs() >= _IDLE_RESYNCS, 60, "no resync happened", pause=0.5)
    _settle(rig)
    writes = [event for event in _calls(rig, offset) if event["verb"] in _WRITES]
    about_leases = [event for event in writes if event.get("objectRef", {}).get("resource") == "leases"]
    print(f"{resyncs()} resyncs, {len(writes)} writes, {len(about_leases)} of them renewals of the Lease")
    assert [_describe(event) for event in writes if event not in about_leases] == []


def test_restart_with_fifty_unchanged_deployments_writes_nothing(rig: Rig, space: Space) -> None:
    forget_lease(rig)
    operator = rig.start_operator("counted", environment=FAST).wait_ready()
    names = [f"small-{number}" for number in range(50)]
    bodies = [space.build(name, replicas=0 if number >= 20 else 1) for number, name in enumerate(names)]
    space.cluster.kubectl(
        "apply", "--server-side", "-f", "-", stdin=json.dumps({"apiVersion": "v1", "kind": "List", "items": bodies})
    )

    def all_ready() -> bool:
        items = space.cluster.get("icd", "--namespace", space.namespace)["items"]
        states = [
            c["status"] for item in items for c in item.get("status", {}).get("conditions", []) if c["type"] == "Ready"
        ]
        return len(states) == 50 and set(states) == {"True"}

    wait_for(all_ready, 120, "not all 50 became Ready", pause=0.5)
    operator.stop()
    offset = _settle(rig)
    operator = rig.start_operator("counted", environment=FAST).wait_ready()
    passes = wait_for(lambda: (operator.metric("controller_runtime_reconcile_total") or 0) >= 50, 60, "no passes")
    assert passes
    wait_for(lambda: operator.metric("workqueue_depth") == 0, 30, "the queue did not drain")
    _settle(rig)
    writes = [
        event
        for event in _calls(rig, offset)
        if event["verb"] in _WRITES and event.get("objectRef", {}).get("resource") != "leases"
    ]
    print(f"restart with 50 deployments: {len(writes)} writes")
    assert [_describe(event) for event in writes] == []
    operator.stop()
