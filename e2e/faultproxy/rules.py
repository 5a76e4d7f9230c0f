"""The vocabulary of fault rules: what a rule matches and what it does; the JSON form is the same."""

import re
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator

from e2e.faultproxy.request_info import VERBS, RequestInfo


class _Model(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Match(_Model):
    """Which requests a rule is about; what is not given matches everything.

    ``verbs`` takes the verbs of :data:`~e2e.faultproxy.request_info.Verb` and ``write`` for every mutating one.
    ``subresource=""`` means the object itself only. ``host`` with a leading dot takes the names below it too.
    ``user_agent`` is a substring, ``path`` a regular expression searched in the path without its query.
    """

    verbs: tuple[str, ...] = ()
    group: str | None = None
    resource: str | None = None
    subresource: str | None = None
    namespace: str | None = None
    name: str | None = None
    user_agent: str | None = None
    path: str | None = None
    host: str | None = None

    @field_validator("verbs")
    @classmethod
    def _known_verbs(cls, verbs: tuple[str, ...]) -> tuple[str, ...]:
        unknown = set(verbs) - VERBS - {"write"}
        if unknown:
            raise ValueError(f"unknown verbs {sorted(unknown)}; known are {sorted(VERBS)} and 'write'")
        return verbs

    @field_validator("path")
    @classmethod
    def _compiles(cls, path: str | None) -> str | None:
        if path is not None:
            try:
                re.compile(path)
            except re.error as exc:
                raise ValueError(f"path {path!r} is no regular expression: {exc}") from exc
        return path

    def covers(self, info: RequestInfo) -> bool:
        """Whether a request is one of those meant."""
        exact = (
            (self.group, info.group),
            (self.resource, info.resource),
            (self.subresource, info.subresource),
            (self.namespace, info.namespace),
            (self.name, info.name),
        )
        return (
            (not self.verbs or info.verb in self.verbs or ("write" in self.verbs and info.is_write))
            and all(wanted is None or wanted == actual for wanted, actual in exact)
            and (self.user_agent is None or self.user_agent in info.user_agent)
            and (self.path is None or re.search(self.path, info.path) is not None)
            and (self.host is None or _host_covers(self.host.lower(), info.host.lower()))
        )


def _host_covers(wanted: str, host: str) -> bool:
    return host == wanted.removeprefix(".") or (wanted.startswith(".") and host.endswith(wanted))


class EventFilter(_Model):
    """Which watch events an action is about; what is not given matches everything."""

    types: tuple[Literal["ADDED", "MODIFIED", "DELETED", "BOOKMARK"], ...] = ()
    name: str | None = None
    namespace: str | None = None

    def covers(self, event_type: str, *, name: str, namespace: str) -> bool:
        """Whether an event is one of those meant."""
        return (
            (not self.types or event_type in self.types)
            and (self.name is None or self.name == name)
            and (self.namespace is None or self.namespace == namespace)
        )


class Pass(_Model):
    """Forward unharmed: an exception from a later rule, or a plain signal that the request came by."""

    kind: Literal["pass"] = "pass"


class Delay(_Model):
    """Hold the request (before) or its committed answer (after) for some seconds."""

    kind: Literal["delay"] = "delay"
    seconds: float = Field(ge=0)
    when: Literal["before", "after"] = "before"


class AnswerStatus(_Model):
    """Answer in the server's place; the server never sees the request.

    The body is a Kubernetes Status (reverse) or an S3 error document (forward) unless ``body`` replaces it;
    ``retry_after`` is in seconds.
    """

    kind: Literal["status"] = "status"
    code: int = Field(ge=400, le=599)
    reason: str = "InternalError"
    message: str = "injected by the fault proxy"
    retry_after: int | None = Field(default=None, ge=0)
    body: str | None = None
    content_type: str = "text/plain"


class DropBefore(_Model):
    """Close the client's connection; the server never sees the request. ``reset`` sends RST instead of FIN."""

    kind: Literal["drop-before"] = "drop-before"
    reset: bool = False


class DropAfter(_Model):
    """Forward, wait until the server has answered (so it has committed), then close without relaying the answer."""

    kind: Literal["drop-after"] = "drop-after"
    reset: bool = False


class StallHeaders(_Model):
    """Hold the request (before) or its committed answer (after) until the rule is cleared; then go on as usual."""

    kind: Literal["stall-headers"] = "stall-headers"
    when: Literal["before", "after"] = "before"


class Truncate(_Model):
    """Relay ``after_bytes`` bytes of the decoded answer body, then close the connection; shorter answers pass whole."""

    kind: Literal["truncate"] = "truncate"
    after_bytes: int = Field(ge=0)


class ErrorEvent(_Model):
    """End a watch with an ERROR event, as the API server does; 410 Expired makes the client list again.

    ``after_events`` real events (bookmarks do not count) pass first.
    """

    kind: Literal["error-event"] = "error-event"
    code: int = 410
    reason: str = "Expired"
    message: str = "too old resource version: injected by the fault proxy"
    after_events: int = Field(default=0, ge=0)


class FreezeWatch(_Model):
    """Keep a watch open but silent until the rule is cleared, then close it; events meanwhile are lost.

    ``after_events`` real events (bookmarks do not count) pass first.
    """

    kind: Literal["freeze-watch"] = "freeze-watch"
    after_events: int = Field(default=0, ge=0)


class SkipEvents(_Model):
    """Leave watch events out, at most ``limit`` on each stream."""

    kind: Literal["skip-events"] = "skip-events"
    events: EventFilter = EventFilter()
    limit: int | None = Field(default=None, ge=1)


class DupEvents(_Model):
    """Deliver watch events twice, at most ``limit`` on each stream."""

    kind: Literal["dup-events"] = "dup-events"
    events: EventFilter = EventFilter()
    limit: int | None = Field(default=None, ge=1)


class Signal(_Model):
    """Signal a process at a request.

    before: the signal goes out before anything is forwarded. after: the server has answered, the client has not seen it.
    Nothing more is relayed to a process that was sent SIGKILL: before, its request is lost; after, its answer is.
    With the other signals the request and its answer go on as usual.
    """

    kind: Literal["signal"] = "signal"
    pid: int = Field(gt=1)
    signal: Literal["SIGKILL", "SIGTERM", "SIGSTOP", "SIGCONT"] = "SIGKILL"
    when: Literal["before", "after"] = "before"


StreamAction = ErrorEvent | FreezeWatch | SkipEvents | DupEvents | Truncate
"""Actions that work on a watch stream, and so can also reach streams that are already open."""

Action = Annotated[
    Pass
    | Delay
    | AnswerStatus
    | DropBefore
    | DropAfter
    | StallHeaders
    | Truncate
    | ErrorEvent
    | FreezeWatch
    | SkipEvents
    | DupEvents
    | Signal,
    Field(discriminator="kind"),
]


class Rule(_Model):
    """One scripted fault. The first rule in order that covers a request and is due takes it; no other does.

    ``skip`` matches pass by before the rule is due, and it acts on at most ``times`` requests (None: all).
    ``open_streams`` applies a stream action at once to matching watches that are already open as well.
    """

    id: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$")
    match: Match = Match()
    action: Action
    skip: int = Field(default=0, ge=0)
    times: int | None = Field(default=None, ge=1)
    open_streams: bool = False

    @field_validator("open_streams")
    @classmethod
    def _only_stream_actions(cls, open_streams: bool, info: object) -> bool:
        action = getattr(info, "data", {}).get("action")
        if open_streams and action is not None and not isinstance(action, StreamAction):
            raise ValueError(f"open_streams needs a stream action, not {action.kind!r}")
        return open_streams


class RuleState(_Model):
    """A rule with its counts: requests matched, requests taken by the rule, and effects (see ``fired``).

    ``fired`` counts what really happened: an answer replaced, a connection dropped, a signal sent, an event skipped.
    """

    rule: Rule
    matched: int = 0
    taken: int = 0
    fired: int = 0
    cleared: bool = False
