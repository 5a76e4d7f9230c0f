"""The proxy's own record of requests: the latest ones in full, totals of all of them."""

import time
from collections import Counter, deque
from collections.abc import Iterator
from contextlib import contextmanager

from pydantic import BaseModel

from e2e.faultproxy.request_info import RequestInfo


class RequestRecord(BaseModel):
    """One request; ``status`` and ``duration_s`` stay None while it runs, ``status`` also where nothing was answered.

    ``received`` is Unix time in seconds. ``status`` is what the client was sent. ``upstream_status`` is what the server
    answered, also where the client never saw it. ``rule`` is the id of the rule that took the request.
    """

    sequence: int
    received: float
    verb: str
    host: str
    path: str
    query: str
    group: str
    resource: str
    subresource: str
    namespace: str
    name: str
    user_agent: str
    status: int | None = None
    upstream_status: int | None = None
    duration_s: float | None = None
    rule: str | None = None
    bytes_sent: int = 0
    error: str | None = None


class RequestTotal(BaseModel):
    """How many requests of one kind there were since the start."""

    verb: str
    group: str
    resource: str
    subresource: str
    count: int


class Journal:
    """Ring of the latest ``capacity`` requests; totals are never dropped (their number is bounded by the API's kinds)."""

    def __init__(self, capacity: int = 20_000) -> None:
        self._records: deque[RequestRecord] = deque(maxlen=capacity)
        self._totals: Counter[tuple[str, str, str, str]] = Counter()
        self._sequence = 0

    @contextmanager
    def recording(self, info: RequestInfo) -> Iterator[RequestRecord]:
        """Record a request for as long as it runs."""
        self._sequence += 1
        self._totals[info.verb, info.group, info.resource, info.subresource] += 1
        record = RequestRecord(
            sequence=self._sequence,
            received=time.time(),
            verb=info.verb,
            host=info.host,
            path=info.path,
            query=info.query,
            group=info.group,
            resource=info.resource,
            subresource=info.subresource,
            namespace=info.namespace,
            name=info.name,
            user_agent=info.user_agent,
        )
        self._records.append(record)
        started = time.monotonic()
        try:
            yield record
        finally:
            record.duration_s = time.monotonic() - started

    def since(self, sequence: int = 0) -> list[RequestRecord]:
        """Return the recorded requests with a greater sequence number, oldest first."""
        return [record.model_copy() for record in self._records if record.sequence > sequence]

    def totals(self) -> list[RequestTotal]:
        """Return the totals, most frequent first."""
        return [
            RequestTotal(verb=verb, group=group, resource=resource, subresource=subresource, count=count)
            for (verb, group, resource, subresource), count in self._totals.most_common()
        ]
