"""kill -9 of the operator at every write of a create and of an update, and during a delete: the end state is the same."""

from collections.abc import Iterator
from typing import Literal

import pytest

from e2e.cluster import Cluster, wait_for
from e2e.faultproxy import FaultProxy, Match, Pass, ReverseRoute, Rule, Signal
from e2e.rig import Operator, Rig
from e2e.space import Space
from e2e.tests.conftest import FAST, forget_lease, make_space

_WRITES = Match(verbs=("write",))
_LEASES = Rule(id="leases", match=Match(resource="leases"), action=Pass())
_MOST_WRITES = 40


@pytest.fixture(autouse=True)
def no_operator_left(rig: Rig) -> Iterator[None]:
    yield
    if rig.cluster.processes().get("crashing", {"code": 0})["code"] is None:
        rig.cluster.stop_process("crashing")


@pytest.fixture(scope="module")
def proxy(rig: Rig) -> Iterator[FaultProxy]:
    with FaultProxy.start(ReverseRoute.to_kubeconfig(rig.cluster.kubeconfig)) as proxy:
        yield proxy


def _start(rig: Rig, proxy: FaultProxy) -> Operator:
    forget_lease(rig)
    return rig.start_operator("crashing", server=proxy.url, environment=FAST).wait_ready()


def _writes(proxy: FaultProxy, since: int) -> list[str]:
    return [
        f"{item.verb} {item.resource}/{item.subresource or ''}"
        for item in proxy.requests(since=since)
        if item.verb in {"CREATE", "PATCH", "APPLY", "UPDATE", "DELETE"} and item.resource != "leases"
    ]


def _last(proxy: FaultProxy) -> int:
    return max((item.sequence for item in proxy.requests()), default=0)


def _prepare(space: Space, step: str) -> None:
    """Bring the space to the state before the step."""
    if step == "update":
        space.apply(space.build(replicas=2))
        space.wait_ready()


def _act(space: Space, step: str) -> None:
    body = space.build(replicas=2)
    if step == "update":
        body["spec"]["engine"]["gpuMemoryUtilizationPercent"] = 80
        body["spec"]["rollout"] = {"drainSeconds": 30}
    space.apply(body)


def _wait_settled(space: Space, generation: int) -> None:
    space.wait_ready(seconds=60)
    assert space.get("icd", "small")["metadata"]["generation"] == generation


@pytest.mark.parametrize("step", ["create", "update"])
@pytest.mark.parametrize("when", ["before", "after"])
def test_kill_at_every_write_leads_to_the_same_end_state(
    rig: Rig, proxy: FaultProxy, step: str, when: Literal["before", "after"]
) -> None:
    proxy.remove_rules()
    operator = _start(rig, proxy)
    reference = make_space(rig, f"crash-{step}-{when}-reference")
    _prepare(reference, step)
    mark = _last(proxy)
    _act(reference, step)
    generation = 2 if step == "update" else 1
    _wait_settled(reference, generation)
    expected = reference.end_state()
    writes = _writes(proxy, mark)
    print(f"{step}: {len(writes)} writes: {writes}")
    assert len(writes) >= (10 if step == "create" else 5)
    reference.delete()

    killed = 0
    while killed < _MOST_WRITES:
        space = make_space(rig, f"crash-{step}-{when}-{killed}")
        _prepare(space, step)
        signal = Signal(pid=operator.pid, when=when)
        proxy.set_rules([_LEASES, Rule(id="kill", match=_WRITES, action=signal, skip=killed, times=1)])
        _act(space, step)

        def over(current: Operator = operator, where: Space = space) -> bool:
            ready = where.condition("small", "Ready")
            done = ready.get("status") == "True" and ready.get("observedGeneration") == generation
            return current.exit_code() is not None or done

        wait_for(over, 60, "neither killed nor ready", pause=0.1)
        fired = operator.exit_code() is not None
        proxy.remove_rules()
        if fired:
            killed += 1
            operator = _start(rig, proxy)
        _wait_settled(space, generation)
        _wait_state(space, expected, f"kill {when} write {killed} of {step}")
        space.delete()
        if not fired:
            break
    operator.stop()
    print(f"{step}: killed {when} each of {killed} writes")
    # Events at the end may come after Ready; every write up to Ready was hit.
    assert killed >= len(writes) - 3


def _wait_state(space: Space, expected: dict[str, object], what: str) -> None:
    try:
        wait_for(lambda: space.end_state() == expected, 20, what)
    except RuntimeError:
        raise AssertionError(f"{what} left another end state: {_difference(space, expected)}") from None


def _difference(space: Space, expected: dict[str, object]) -> str:
    found = space.end_state()
    return str(
        {
            key: (found.get(key), expected.get(key))
            for key in found.keys() | expected.keys()
            if found.get(key) != expected.get(key)
        }
    )


def test_delete_needs_no_write_and_survives_a_kill(rig: Rig, proxy: FaultProxy) -> None:
    proxy.remove_rules()
    operator = _start(rig, proxy)
    space = make_space(rig, "crash-delete")
    space.apply(space.build(replicas=2))
    space.wait_ready()
    mark = _last(proxy)
    cluster: Cluster = rig.cluster
    cluster.kubectl("delete", "icd", "small", "--namespace", space.namespace, "--wait=false")
    operator.kill()
    operator = _start(rig, proxy)
    space.wait_gone()
    assert _writes(proxy, mark) == []
    space.apply(space.build(replicas=2))
    space.wait_ready()
    mark = _last(proxy)
    space.delete()
    assert _writes(proxy, mark) == []
    operator.stop()
