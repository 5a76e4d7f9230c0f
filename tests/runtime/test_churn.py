"""How long news about nodes wait, and how often they are acted on while nodes flap."""

import asyncio
from collections.abc import Callable

import pytest

from inference_cache.runtime.churn import FIRST_SECONDS, LAST_SECONDS, ChurnTimer, next_delay


@pytest.mark.parametrize(
    ("before", "quiet", "delay"),
    [
        (0.0, 0.0, 2.0),
        (2.0, 0.1, 4.0),
        (2.0, 5.1, 2.0),
        (4.0, 4.9, 8.0),
        (16.0, 1.0, 30.0),
        (30.0, 1.0, 30.0),
        (30.0, 29.0, 30.0),
        (30.0, 31.0, 2.0),
    ],
)
def test_delay_doubles_under_churn_and_falls_back_after_quiet(before: float, quiet: float, delay: float) -> None:
    assert next_delay(before, quiet) == delay


def test_two_minutes_of_flapping_are_acted_on_a_few_times() -> None:
    now, delay, fired = 0.0, 0.0, []
    while now < 120:
        delay = next_delay(delay, 0.05)
        now += delay
        fired.append(now)
    assert fired == [2, 6, 14, 30, 60, 90, 120]
    assert (FIRST_SECONDS, LAST_SECONDS) == (2.0, 30.0)


async def test_many_changes_call_once(monkeypatch: pytest.MonkeyPatch) -> None:
    loop = asyncio.get_running_loop()
    planned: list[tuple[float, Callable[[], None]]] = []

    def call_later(delay: float, callback: Callable[[], None]) -> asyncio.TimerHandle:
        planned.append((delay, callback))
        return asyncio.TimerHandle(loop.time() + delay, callback, (), loop)

    monkeypatch.setattr(loop, "call_later", call_later)
    calls: list[None] = []
    timer = ChurnTimer(lambda: calls.append(None))
    for _ in range(1000):
        timer.note()
    assert [delay for delay, _ in planned] == [2.0]
    assert not calls
    planned[0][1]()
    assert len(calls) == 1
    timer.note()
    assert [delay for delay, _ in planned] == [2.0, 4.0]
