"""When which key is looked at: one worker per key, coalescing, lanes, delays and backoff."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress

import pytest

from inference_cache.cluster.cache import NamespacedName
from inference_cache.cluster.errors import ConflictError, NotLeaderError
from inference_cache.runtime import work_queue
from inference_cache.runtime.work_queue import Lane, WorkQueue, compute_backoff

A, B, C = ("ns", "a"), ("ns", "b"), ("ns", "c")


@asynccontextmanager
async def _working(queue: WorkQueue) -> AsyncIterator[None]:
    task = asyncio.create_task(queue.run())
    queue.open()
    try:
        yield
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


async def _until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(5):
        while not condition():  # noqa: ASYNC110 - the condition is about plain values that no event announces
            await asyncio.sleep(0.002)


def _recorder(seen: list[NamespacedName]) -> Callable[[NamespacedName], Awaitable[None]]:
    async def handle(key: NamespacedName) -> None:
        seen.append(key)

    return handle


async def test_asking_again_before_a_pass_begins_gives_one_pass() -> None:
    seen: list[NamespacedName] = []
    queue = WorkQueue(_recorder(seen), 2)
    for key in (A, A, B, A):
        queue.add(key)
    async with _working(queue):
        await _until(lambda: {A, B} <= set(seen))
        await asyncio.sleep(0.02)
    assert sorted(seen) == [A, B]


async def test_changes_go_before_routine_and_lift_a_routine_key() -> None:
    seen: list[NamespacedName] = []
    queue = WorkQueue(_recorder(seen), 1)
    queue.add(A, Lane.ROUTINE)
    queue.add(B, Lane.ROUTINE)
    queue.add(C, Lane.CHANGE)
    queue.add(B, Lane.CHANGE)
    async with _working(queue):
        await _until(lambda: len(seen) >= 3)
        await asyncio.sleep(0.02)
    assert seen == [C, B, A]


async def test_a_key_never_has_two_passes_at_a_time_and_a_change_meanwhile_gives_another() -> None:
    running, most, passes, gate = 0, 0, 0, asyncio.Event()

    async def handle(_: NamespacedName) -> None:
        nonlocal running, most, passes
        running, passes = running + 1, passes + 1
        most = max(most, running)
        await gate.wait()
        running -= 1

    queue = WorkQueue(handle, 4)
    queue.add(A)
    async with _working(queue):
        await _until(lambda: passes == 1)
        queue.add(A)
        queue.add(A)
        await asyncio.sleep(0.02)
        assert passes == 1
        gate.set()
        await _until(lambda: passes == 2)
        await asyncio.sleep(0.02)
    assert (passes, most) == (2, 1)


async def test_nothing_begins_while_closed() -> None:
    seen: list[NamespacedName] = []
    queue = WorkQueue(_recorder(seen), 1)
    async with _working(queue):
        queue.close()
        queue.add(A)
        await asyncio.sleep(0.02)
        assert seen == []
        queue.open()
        await _until(lambda: seen == [A])


async def test_the_earliest_of_several_delays_counts() -> None:
    seen: list[NamespacedName] = []
    queue = WorkQueue(_recorder(seen), 1)
    async with _working(queue):
        queue.add(A, delay=60)
        queue.add(A, delay=0.03)
        queue.add(A, delay=30)
        assert seen == []
        await _until(lambda: seen == [A])


async def test_handler_says_when_the_next_pass_is_due() -> None:
    seen: list[NamespacedName] = []

    async def handle(key: NamespacedName) -> float | None:
        seen.append(key)
        return 0.01 if len(seen) < 3 else None

    queue = WorkQueue(handle, 1)
    queue.add(A)
    async with _working(queue):
        await _until(lambda: len(seen) == 3)
        await asyncio.sleep(0.03)
    assert len(seen) == 3


async def test_not_leader_drops_the_key() -> None:
    seen: list[NamespacedName] = []

    async def handle(key: NamespacedName) -> None:
        seen.append(key)
        raise NotLeaderError

    queue = WorkQueue(handle, 1)
    queue.add(A)
    async with _working(queue):
        await _until(lambda: seen == [A])
        await asyncio.sleep(0.02)
        assert queue._due == {}
        assert queue._failures == {}
    assert seen == [A]


async def test_failures_back_off_longer_each_time_and_success_resets(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[int] = []

    def record(failures: int, jitter: float) -> float:
        assert 0.8 <= jitter <= 1.2
        asked.append(failures)
        return 0.001

    monkeypatch.setattr(work_queue, "compute_backoff", record)
    outcomes: list[Exception | None] = [ConflictError("x"), ValueError("x"), None, ConflictError("x"), None]
    done = 0

    async def handle(_: NamespacedName) -> float | None:
        nonlocal done
        outcome = outcomes[done]
        done += 1
        if outcome is not None:
            raise outcome
        return 0.001 if done < len(outcomes) else None

    queue = WorkQueue(handle, 1)
    queue.add(A)
    async with _working(queue):
        await _until(lambda: done == len(outcomes))
    assert asked == [1, 2, 1]


def test_backoff_doubles_up_to_five_minutes_and_takes_the_jitter() -> None:
    assert [compute_backoff(n, 1.0) for n in (1, 2, 3, 4)] == [1, 2, 4, 8]
    assert compute_backoff(1000, 1.0) == 300
    assert compute_backoff(2, 0.8) == pytest.approx(1.6)
