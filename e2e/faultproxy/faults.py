"""What a rule does to one request around its forwarding; faults inside a watch are in :mod:`watch_stream`."""

import asyncio
import json
import os
import signal
from xml.sax.saxutils import escape

from e2e.faultproxy.http1 import Head
from e2e.faultproxy.rulebook import ActiveRule
from e2e.faultproxy.rules import AnswerStatus, Delay, DropAfter, DropBefore, Pass, Signal, StallHeaders


class DropConnectionError(Exception):
    """The client's connection is to be closed as it is; ``reset`` with RST instead of FIN."""

    def __init__(self, reason: str, *, reset: bool = False) -> None:
        super().__init__(reason)
        self.reset = reset


async def before_forwarding(active: ActiveRule) -> AnswerStatus | None:
    """Act before the server sees anything; an answer returned goes to the client in the server's place.

    Raises:
        DropConnectionError: the request is not to be forwarded and the connection closed.
        OSError: the process to signal is not there or not ours.
    """
    action = active.rule.action
    if isinstance(action, AnswerStatus):
        active.fire()
        return action
    if isinstance(action, Pass):
        active.fire()
    if isinstance(action, DropBefore):
        active.fire()
        raise DropConnectionError(f"rule {active.rule.id}: dropped before forwarding", reset=action.reset)
    if isinstance(action, Delay | StallHeaders | Signal) and action.when == "before":
        await _hold_or_signal(active, action)
    return None


async def before_relaying(active: ActiveRule) -> None:
    """Act once the server has answered, so has committed, and before the client sees any of it.

    Raises:
        DropConnectionError: the answer is not to be relayed and the connection closed.
        OSError: the process to signal is not there or not ours.
    """
    action = active.rule.action
    if isinstance(action, DropAfter):
        active.fire()
        raise DropConnectionError(f"rule {active.rule.id}: dropped after the commit", reset=action.reset)
    if isinstance(action, Delay | StallHeaders | Signal) and action.when == "after":
        await _hold_or_signal(active, action)


async def _hold_or_signal(active: ActiveRule, action: Delay | StallHeaders | Signal) -> None:
    if isinstance(action, Signal):
        os.kill(action.pid, signal.Signals[action.signal])
        active.fire()
        if action.signal == "SIGKILL":
            raise DropConnectionError(f"rule {active.rule.id}: killed process {action.pid}")
        return
    active.fire()
    if isinstance(action, Delay):
        await asyncio.sleep(action.seconds)
    else:
        await active.cleared.wait()


def answer_in_place(action: AnswerStatus, *, kubernetes: bool) -> tuple[Head, bytes]:
    """Return the answer a status rule gives: a Kubernetes Status or an S3 error document unless it has its own body."""
    if action.body is not None:
        text, content_type = action.body, action.content_type
    elif kubernetes:
        text, content_type = json.dumps(_status_object(action)), "application/json"
    else:
        text = (
            '<?xml version="1.0" encoding="UTF-8"?>'
            f"<Error><Code>{escape(action.reason)}</Code><Message>{escape(action.message)}</Message></Error>"
        )
        content_type = "application/xml"
    body = text.encode()
    head = Head(
        start=("HTTP/1.1", str(action.code), action.reason),
        headers=(("Content-Type", content_type), ("Content-Length", str(len(body)))),
    )
    if action.retry_after is not None:
        head = head.adding("Retry-After", str(action.retry_after))
    return head, body


def _status_object(action: AnswerStatus) -> dict[str, object]:
    status = status_failure(code=action.code, reason=action.reason, message=action.message)
    if action.retry_after is not None:
        status["details"] = {"retryAfterSeconds": action.retry_after}
    return status


def status_failure(*, code: int, reason: str, message: str) -> dict[str, object]:
    """Return a ``v1 Status`` of a failure, as the API server writes it."""
    return {
        "kind": "Status",
        "apiVersion": "v1",
        "metadata": {},
        "status": "Failure",
        "message": message,
        "reason": reason,
        "code": code,
    }
