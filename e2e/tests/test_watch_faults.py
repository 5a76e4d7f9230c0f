"""Faults of LIST and WATCH for longer than kopf's own retries: /healthz tells within 30 seconds, and all heals by itself."""

import time
from collections.abc import Iterator

import pytest

from e2e.cluster import wait_for
from e2e.faultproxy import AnswerStatus, ErrorEvent, FaultProxy, FreezeWatch, Match, ReverseRoute, Rule
from e2e.rig import Operator, Rig
from e2e.space import Space
from e2e.tests.conftest import FAST, forget_lease

# kopf's default retries end after 54 seconds.
_KOPF_BUDGET_SECONDS = 56
_READS = ("LIST", "WATCH")


@pytest.fixture(scope="module")
def faulty(rig: Rig) -> Iterator[tuple[FaultProxy, Operator]]:
    forget_lease(rig)
    with FaultProxy.start(ReverseRoute.to_kubeconfig(rig.cluster.kubeconfig)) as proxy:
        operator = rig.start_operator("faulty", server=proxy.url, environment=FAST).wait_ready()
        yield proxy, operator
        proxy.remove_rules()
        operator.stop()


def _cut(resource: str) -> Rule:
    """End the watches that are open, so that the next request meets the fault."""
    return Rule(
        id=f"cut-{resource}",
        match=Match(verbs=("WATCH",), resource=resource),
        action=ErrorEvent(code=410),
        times=1,
        open_streams=True,
    )


def _works(space: Space, resource: str) -> None:
    """Prove that the operator sees changes of a kind again: a deleted object comes back."""
    kind, name = ("service", "small") if resource != "poddisruptionbudgets" else ("poddisruptionbudget", "small")
    uid = space.get(kind, name)["metadata"]["uid"]
    space.cluster.kubectl("delete", kind, name, "--namespace", space.namespace)
    wait_for(
        lambda: (space.get(kind, name) or {"metadata": {"uid": uid}})["metadata"]["uid"] != uid,
        30,
        f"{kind} did not come back",
    )


def test_errors_beyond_the_retry_budget_fail_health_and_heal(space: Space, faulty: tuple[FaultProxy, Operator]) -> None:
    proxy, operator = faulty
    space.apply(space.build())
    space.wait_ready()
    codes = {"services": 500, "configmaps": 503, "statefulsets": 410, "poddisruptionbudgets": 403}
    rules = [
        Rule(id=f"fail-{resource}", match=Match(verbs=_READS, resource=resource), action=AnswerStatus(code=code))
        for resource, code in codes.items()
    ]
    started = time.monotonic()
    proxy.set_rules([*map(_cut, codes), *rules])
    wait_for(lambda: operator.health()[0] == 503, 30, "health stayed good although watches fail", pause=0.2)
    print(f"health failed after {time.monotonic() - started:.1f} s: {operator.health()[1]}")
    wait_for(lambda: time.monotonic() - started > _KOPF_BUDGET_SECONDS, 70, "", pause=0.5)
    blind = " ".join(operator.health()[1]["problems"])
    assert all(resource in blind for resource in codes)
    assert operator.exit_code() is None
    proxy.remove_rules()
    wait_for(lambda: operator.health()[0] == 200, 30, "health did not recover", pause=0.2)
    for resource in codes:
        _works(space, resource)


ERRORS = {"500": (500, "InternalError"), "410": (410, "Expired"), "403": (403, "Forbidden")}


@pytest.mark.parametrize("case", ERRORS, ids=[f"error event {code} in the stream" for code in ERRORS])
def test_error_event_in_a_stream_leaves_the_operator_working(
    space: Space, faulty: tuple[FaultProxy, Operator], case: str
) -> None:
    proxy, operator = faulty
    code, reason = ERRORS[case]
    space.apply(space.build())
    space.wait_ready()
    rule = Rule(
        id="error",
        match=Match(verbs=("WATCH",), resource="services"),
        action=ErrorEvent(code=code, reason=reason),
        times=1,
        open_streams=True,
    )
    proxy.set_rules([rule])
    proxy.wait_fired("error")
    proxy.remove_rules()
    _works(space, "services")
    wait_for(lambda: operator.health()[0] == 200, 30, "health is not good")


def test_deletion_missed_by_a_frozen_watch_is_found_after_it_reconnects(
    space: Space, faulty: tuple[FaultProxy, Operator]
) -> None:
    proxy, operator = faulty
    space.apply(space.build())
    space.wait_ready()
    freeze = Rule(
        id="freeze",
        match=Match(verbs=("WATCH",), resource="services"),
        action=FreezeWatch(),
        times=1,
        open_streams=True,
    )
    proxy.set_rules([freeze])
    uid = space.get("service", "small")["metadata"]["uid"]
    space.cluster.kubectl("delete", "service", "small", "--namespace", space.namespace)
    proxy.clear_rule("freeze")
    wait_for(
        lambda: (space.get("service", "small") or {"metadata": {"uid": uid}})["metadata"]["uid"] != uid,
        30,
        "the Service did not come back",
    )
    assert operator.health()[0] == 200
