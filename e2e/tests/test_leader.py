"""Two replicas: the standby writes nothing, takes over within 15 seconds, and a stopped leader never writes again."""

import signal
import time
from collections.abc import Iterator

import pytest

from e2e.cluster import wait_for
from e2e.faultproxy import FaultProxy, ReverseRoute
from e2e.rig import Operator, Rig
from e2e.space import Space
from e2e.tests.conftest import forget_lease

_WRITE_VERBS = {"CREATE", "PATCH", "APPLY", "UPDATE", "DELETE"}


class Replica:
    """An operator behind a proxy of its own, which records what it asks for."""

    def __init__(self, rig: Rig, name: str) -> None:
        self.proxy = FaultProxy.start(ReverseRoute.to_kubeconfig(rig.cluster.kubeconfig))
        self.operator: Operator = rig.start_operator(name, server=self.proxy.url).wait_ready()

    def writes(self, since: int = 0) -> list[str]:
        return [
            f"{item.verb} {item.resource}"
            for item in self.proxy.requests(since=since)
            if item.verb in _WRITE_VERBS and item.resource != "leases"
        ]

    def lease_writes(self) -> int:
        return sum(item.verb in _WRITE_VERBS and item.resource == "leases" for item in self.proxy.requests())

    def last(self) -> int:
        return max((item.sequence for item in self.proxy.requests()), default=0)


@pytest.fixture
def replicas(rig: Rig) -> Iterator[tuple[Replica, Replica]]:
    """A leader and a standby with production settings."""
    forget_lease(rig)
    leader = Replica(rig, "replica-0")
    wait_for(leader.operator.leads, 20, "the first replica does not lead")
    standby = Replica(rig, "replica-1")
    yield leader, standby
    for replica in (leader, standby):
        if replica.operator.exit_code() is None:
            replica.operator.stop()
        replica.proxy.stop()


def test_standby_writes_nothing_and_takes_over_within_fifteen_seconds(
    space: Space, replicas: tuple[Replica, Replica]
) -> None:
    leader, standby = replicas
    space.apply(space.build())
    space.wait_ready()
    assert standby.writes() == []
    assert standby.lease_writes() == 0
    assert not standby.operator.leads()
    leader.operator.kill()
    killed = time.monotonic()
    space.apply(space.build(replicas=2))
    wait_for(standby.operator.leads, 16, "the standby did not take over", pause=0.05)
    took = time.monotonic() - killed
    space.wait_ready()
    print(f"failover after kill -9: {took:.1f} s")
    assert took <= 15
    assert len(space.pods()) == 2


def test_sigterm_hands_over_at_once(space: Space, replicas: tuple[Replica, Replica]) -> None:
    leader, standby = replicas
    leader.operator.stop()
    stopped = time.monotonic()
    wait_for(standby.operator.leads, 5, "the standby did not take over", pause=0.05)
    print(f"failover after SIGTERM: {time.monotonic() - stopped:.1f} s")
    assert leader.operator.exit_code() == 0
    space.apply(space.build())
    space.wait_ready()


def test_leader_that_was_stopped_for_long_does_not_write(
    rig: Rig, space: Space, replicas: tuple[Replica, Replica]
) -> None:
    leader, standby = replicas
    space.apply(space.build())
    space.wait_ready()
    rig.cluster.signal_process("replica-0", signal.SIGSTOP)
    wait_for(standby.operator.leads, 16, "the standby did not take over", pause=0.05)
    space.apply(space.build(replicas=2))
    space.wait_ready()
    mark = leader.last()
    rig.cluster.signal_process("replica-0", signal.SIGCONT)
    space.cluster.kubectl("delete", "service", "small", "--namespace", space.namespace)
    wait_for(lambda: space.get("service", "small"), 20, "the new leader did not restore the Service")
    wait_for(lambda: leader.operator.health("/readyz")[0] == 200, 30, "the old leader is not back")
    assert leader.writes(since=mark) == []
    assert not leader.operator.leads()
    assert standby.operator.leads()
