"""Whole runs use two processes, as tests of a cluster wait for about half of their time.

Each process has a cluster of its own, so tests of one process never meet those of the other; all tests of a file run in
one process and in their order. Runs of single files, with -s or with --pdb stay in one process, and -n decides otherwise.
"""

import os
from pathlib import Path
from typing import Final

import pytest

_PROCESSES: Final = 2
# Every pytest below this one inherits it, so that work that is shared out is never shared out again.
_SHARED: Final = "INFERENCE_CACHE_TESTS_SHARED"
# The longest come first, so that no process has the other's work left at the end.
_LONGEST: Final = (
    "test_crash",
    "test_situations",
    "test_mixed_cluster",
    "test_transport",
    "test_fabric",
    "test_explain",
    "test_watch_faults",
    "test_lifecycle",
    "test_api_effects",
    "test_quality_gates",
)


@pytest.hookimpl(tryfirst=True)
def pytest_cmdline_main(config: pytest.Config) -> None:
    """Choose the number of processes, before pytest-xdist looks at it."""
    option = config.option
    if getattr(option, "numprocesses", 0) is None and _wants_processes(config):
        os.environ[_SHARED] = "1"
        option.numprocesses, option.dist, option.loadscopereorder = _PROCESSES, "loadfile", False


def _wants_processes(config: pytest.Config) -> bool:
    option = config.option
    if _SHARED in os.environ or "PYTEST_XDIST_WORKER" in os.environ or hasattr(config, "workerinput"):
        return False
    if option.capture == "no" or option.usepdb or option.collectonly or option.dist != "no":
        return False
    # A cluster that exists takes one operator at a time.
    if os.environ.get("INFERENCE_CACHE_E2E_PROVIDER") == "existing" or (os.cpu_count() or 1) < _PROCESSES:
        return False
    return all(Path(argument).is_dir() for argument in config.args)


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Put the longest modules first and those of clusters before the others, where processes share the work."""
    if hasattr(config, "workerinput"):
        items.sort(key=_rank)


def _rank(item: pytest.Item) -> tuple[int, bool]:
    name = item.path.stem
    place = _LONGEST.index(name) if name in _LONGEST else len(_LONGEST)
    return place, "e2e" not in item.path.parts
