"""What lasts is left out of the search for cyclic garbage, and new garbage is still found."""

import gc
import weakref
from collections.abc import Iterator

import pytest

from inference_cache.runtime.garbage import settle_heap


class Node:
    """Something that can be part of a cycle."""

    other: "Node"


@pytest.fixture(autouse=True)
def _restore() -> Iterator[None]:
    thresholds = gc.get_threshold()
    yield
    gc.unfreeze()
    gc.set_threshold(*thresholds)


def test_what_is_alive_is_left_out_of_the_search() -> None:
    kept: list[list[int]] = [[] for _ in range(1000)]
    gc.collect()
    assert any(item is kept for item in gc.get_objects())
    settle_heap()
    assert gc.get_freeze_count() > len(kept)
    assert not any(item is kept for item in gc.get_objects())


def test_cycles_that_come_later_are_collected() -> None:
    settle_heap()
    first, second = Node(), Node()
    first.other, second.other = second, first
    seen = weakref.ref(first)
    del first, second
    assert seen() is not None
    gc.collect()
    assert seen() is None


def test_a_page_of_objects_does_not_grow_old() -> None:
    settle_heap()
    assert gc.get_threshold()[0] >= 10_000
