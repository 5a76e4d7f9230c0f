"""Which request a rule takes: verbs and resources out of paths, matching, counting, and the JSON form."""

import pytest
from pydantic import TypeAdapter, ValidationError

from e2e.faultproxy import (
    AnswerStatus,
    DropBefore,
    ErrorEvent,
    EventFilter,
    Match,
    Pass,
    Rule,
    SkipEvents,
)
from e2e.faultproxy.http1 import BadMessageError, Head
from e2e.faultproxy.request_info import RequestInfo, kubernetes_request, plain_request
from e2e.faultproxy.routes import ForwardRoutes
from e2e.faultproxy.rulebook import RuleBook

APPS = "/apis/apps/v1/namespaces/team-a/statefulsets"


def describe(method: str, target: str, content_type: str | None = None) -> RequestInfo:
    return kubernetes_request(
        method=method, host="127.0.0.1", target=target, user_agent="operator/1.0", content_type=content_type
    )


@pytest.mark.parametrize(
    ("method", "target", "content_type", "expected"),
    [
        ("GET", APPS, None, ("LIST", "apps", "statefulsets", "", "team-a", "")),
        ("GET", f"{APPS}?watch=true", None, ("WATCH", "apps", "statefulsets", "", "team-a", "")),
        ("GET", f"{APPS}?watch=0", None, ("LIST", "apps", "statefulsets", "", "team-a", "")),
        ("GET", f"{APPS}/a", None, ("GET", "apps", "statefulsets", "", "team-a", "a")),
        ("GET", f"{APPS}?fieldSelector=metadata.name%3Da", None, ("LIST", "apps", "statefulsets", "", "team-a", "a")),
        ("PATCH", f"{APPS}/a", "application/apply-patch+yaml", ("APPLY", "apps", "statefulsets", "", "team-a", "a")),
        ("PATCH", f"{APPS}/a", "application/merge-patch+json", ("PATCH", "apps", "statefulsets", "", "team-a", "a")),
        (
            "PATCH",
            f"{APPS}/a/status",
            "application/apply-patch+yaml; charset=utf-8",
            ("APPLY", "apps", "statefulsets", "status", "team-a", "a"),
        ),
        ("POST", APPS, None, ("CREATE", "apps", "statefulsets", "", "team-a", "")),
        ("PUT", f"{APPS}/a/scale", None, ("UPDATE", "apps", "statefulsets", "scale", "team-a", "a")),
        ("DELETE", f"{APPS}/a", None, ("DELETE", "apps", "statefulsets", "", "team-a", "a")),
        ("DELETE", APPS, None, ("DELETECOLLECTION", "apps", "statefulsets", "", "team-a", "")),
        ("GET", "/api/v1/namespaces", None, ("LIST", "", "namespaces", "", "", "")),
        ("GET", "/api/v1/namespaces/team-a", None, ("GET", "", "namespaces", "", "team-a", "team-a")),
        (
            "PUT",
            "/api/v1/namespaces/team-a/finalize",
            None,
            ("UPDATE", "", "namespaces", "finalize", "team-a", "team-a"),
        ),
        ("POST", "/api/v1/namespaces/team-a/pods/p/eviction", None, ("CREATE", "", "pods", "eviction", "team-a", "p")),
        ("GET", "/api/v1/nodes/n1", None, ("GET", "", "nodes", "", "", "n1")),
        ("GET", "/api/v1/watch/nodes", None, ("WATCH", "", "nodes", "", "", "")),
        ("GET", "/apis/apps/v1", None, ("GET", "", "", "", "", "")),
        ("GET", "/readyz?verbose", None, ("GET", "", "", "", "", "")),
    ],
)
def test_kubernetes_verb_and_resource_come_from_the_request(
    method: str, target: str, content_type: str | None, expected: tuple[str, ...]
) -> None:
    info = describe(method, target, content_type)
    assert (info.verb, info.group, info.resource, info.subresource, info.namespace, info.name) == expected


@pytest.mark.parametrize(
    ("match", "covered"),
    [
        (Match(), True),
        (Match(verbs=("write",)), True),
        (Match(verbs=("UPDATE", "APPLY")), True),
        (Match(verbs=("PATCH",)), False),
        (Match(group="apps", resource="statefulsets", namespace="team-a", name="a"), True),
        (Match(group=""), False),
        (Match(subresource=""), False),
        (Match(subresource="status"), True),
        (Match(namespace="team-b"), False),
        (Match(user_agent="operator"), True),
        (Match(user_agent="kubectl"), False),
        (Match(path=r"/statefulsets/[a-c]/"), True),
        (Match(path=r"^/statefulsets"), False),
        (Match(host="127.0.0.1"), True),
        (Match(host="other"), False),
    ],
)
def test_match_covers_what_it_names(match: Match, *, covered: bool) -> None:
    assert match.covers(describe("PATCH", f"{APPS}/a/status", "application/apply-patch+yaml")) is covered


def test_a_leading_dot_in_host_takes_the_names_below() -> None:
    def covers(host: str) -> bool:
        request = plain_request(method="GET", host=host, target="/key", user_agent="")
        return Match(host=".s3.internal").covers(request)

    assert covers("bucket.s3.internal")
    assert covers("S3.internal")
    assert not covers("nots3.internal")


def test_reads_are_no_writes() -> None:
    for method, target in (("GET", APPS), ("GET", f"{APPS}?watch=1"), ("GET", f"{APPS}/a"), ("HEAD", "/readyz")):
        assert not Match(verbs=("write",)).covers(describe(method, target)), (method, target)


def test_rule_is_due_after_skip_and_for_times() -> None:
    book = RuleBook()
    book.put(Rule(id="third", action=DropBefore(), skip=2, times=1))
    book.put(Rule(id="rest", action=Pass()))
    takers = [book.take(describe("GET", APPS)) for _ in range(5)]
    assert [taker.rule.id for taker in takers if taker] == ["rest", "rest", "third", "rest", "rest"]
    third, rest = book.states()
    assert (third.matched, third.taken, rest.matched, rest.taken) == (5, 1, 4, 4)


def test_a_cleared_rule_takes_nothing_more() -> None:
    book = RuleBook()
    book.put(Rule(id="one", action=Pass()))
    book.clear("one")
    assert book.take(describe("GET", APPS)) is None
    assert book.states()[0].cleared


def test_rule_ids_must_differ() -> None:
    book = RuleBook()
    with pytest.raises(ValueError, match="repeat"):
        book.replace_all([Rule(id="one", action=Pass()), Rule(id="one", action=DropBefore())])


async def test_waiting_for_a_rule_that_never_fires_names_its_counts() -> None:
    book = RuleBook()
    book.put(Rule(id="one", action=Pass()))
    with pytest.raises(TimeoutError, match=r"'one'.*fired=0"):
        await book.wait_fired("one", timeout_s=0.01)
    with pytest.raises(KeyError):
        await book.wait_fired("two", timeout_s=0.01)


def test_rules_survive_their_json_form() -> None:
    rules = [
        Rule(id="a", match=Match(verbs=("write",), resource="pods"), action=AnswerStatus(code=429, retry_after=1)),
        Rule(id="b", action=SkipEvents(events=EventFilter(types=("DELETED",), name="x"), limit=1), open_streams=True),
    ]
    adapter = TypeAdapter(list[Rule])
    assert adapter.validate_json(adapter.dump_json(rules)) == rules


@pytest.mark.parametrize(
    "rule",
    [
        {"id": "a", "action": {"kind": "no-such-action"}},
        {"id": "a", "action": {"kind": "pass"}, "match": {"verbs": ["get"]}},
        {"id": "a", "action": {"kind": "pass"}, "match": {"path": "("}},
        {"id": "a", "action": {"kind": "pass"}, "match": {"kinds": "Pod"}},
        {"id": "a", "action": {"kind": "drop-before"}, "open_streams": True},
        {"id": "a/b", "action": {"kind": "pass"}},
        {"id": "a", "action": {"kind": "signal", "pid": 1}},
    ],
)
def test_rules_that_make_no_sense_are_refused(rule: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        Rule.model_validate(rule)


def test_open_streams_takes_stream_actions() -> None:
    assert Rule(id="a", action=ErrorEvent(), open_streams=True).open_streams


def test_forward_routes_take_the_longest_suffix_and_keep_path_and_host_as_signed() -> None:
    routes = ForwardRoutes.parse([".internal=127.0.0.1:1", ".s3.internal=127.0.0.1:2", "one.example=127.0.0.1:3"])

    def port(host: str) -> int | None:
        endpoint = routes.find(host)
        return endpoint.port if endpoint else None

    assert [port(h) for h in ("b.s3.internal", "s3.internal", "x.internal", "one.example", "a.one.example")] == [
        2,
        2,
        1,
        3,
        None,
    ]
    head = Head(
        start=("PUT", "http://b.s3.internal:7070/a%20b/%C3%BC+c?x=%2F", "HTTP/1.1"),
        headers=(("host", "b.s3.internal:7070"),),
    )
    routed = routes.route(head)
    assert routed.head.start[1] == "/a%20b/%C3%BC+c?x=%2F"
    assert routed.head.headers == head.headers
    assert (routed.info.host, routed.info.path) == ("b.s3.internal", "/a%20b/%C3%BC+c")
    with pytest.raises(BadMessageError):
        routes.route(Head(start=("GET", "ftp://x/", "HTTP/1.1")))
