"""The reflector: one object that nobody can read keeps nobody from reading the others."""

import logging
from collections.abc import AsyncIterator
from typing import Any, cast

import pytest

from inference_cache.cluster.connection import Connection
from inference_cache.cluster.gateway import Gateway
from inference_cache.cluster.liveness import Feed
from inference_cache.cluster.reflector import PagedReflector
from inference_cache.domain.kinds import POD, Kind


class _Pages(Gateway):
    """A gateway without a cluster that has one page."""

    def __init__(self, *names: str) -> None:
        self._names = names

    async def list_pages(self, *_: Any, **__: Any) -> AsyncIterator[dict[str, Any]]:
        items = [build(name) for name in self._names]
        yield {"metadata": {"resourceVersion": "5"}, "items": items}


def build(name: str) -> dict[str, Any]:
    return {"metadata": {"namespace": "ns", "name": name, "resourceVersion": "4"}}


@pytest.mark.parametrize(
    "error", [RecursionError(), KeyError("x"), ZeroDivisionError()], ids=lambda item: type(item).__name__
)
async def test_object_that_cannot_be_read_is_left_out_and_told_once(
    error: Exception, caplog: pytest.LogCaptureFixture
) -> None:
    kind: Kind = POD

    def project(body: dict[str, Any]) -> str:
        name: str = body["metadata"]["name"]
        if name == "bad" and "fine" not in body:
            raise error
        return name

    reflector = PagedReflector(
        cast("Connection", None), _Pages("a", "bad", "b"), kind, project, Feed("pods"), lambda *_: None
    )
    with caplog.at_level(logging.WARNING):
        await reflector._list()
        reflector._take({"type": "MODIFIED", "object": build("bad")})
        await reflector._list()
    assert reflector.snapshot() == {("ns", "a"): "a", ("ns", "b"): "b"}
    assert len(caplog.records) == 1
    reflector._take({"type": "MODIFIED", "object": {**build("bad"), "fine": True}})
    assert reflector.get("ns", "bad") == "bad"
    with caplog.at_level(logging.WARNING):
        reflector._take({"type": "MODIFIED", "object": build("bad")})
    assert (reflector.get("ns", "bad"), len(caplog.records)) == (None, 2)
    reflector._take({"type": "DELETED", "object": build("bad")})
    assert reflector._unreadable == set()
