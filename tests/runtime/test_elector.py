"""A leader stops before its Lease runs out for others, however long it slept."""

import asyncio
from typing import Any

import pytest

from inference_cache.cluster.errors import NotLeaderError
from inference_cache.cluster.lease import LeaseRecord
from inference_cache.runtime.elector import Elector

_SECONDS = 12


class _Store:
    """A Lease that this process always gets."""

    async def read(self) -> LeaseRecord | None:
        return None

    async def take(self, *_: Any) -> Any:
        return object()


def test_writes_stop_well_before_another_replica_may_lead() -> None:
    now = 100.0
    led = asyncio.Event()

    async def lead() -> Elector:
        store: Any = _Store()
        elector = Elector(store, "me", _SECONDS, led.set, lambda: None, clock=lambda: now)
        task = asyncio.create_task(elector.run())
        await asyncio.wait_for(led.wait(), 5)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        return elector

    elector = asyncio.run(lead())
    elector.fence()
    now = 100 + _SECONDS * 0.85
    elector.fence()
    # Others take the Lease 12 s after they last saw it change; a request on its way needs a part of that.
    now = 100 + _SECONDS * 0.95
    assert not elector.leading
    with pytest.raises(NotLeaderError):
        elector.fence()
