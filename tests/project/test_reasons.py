"""The list of reasons holds what the operator says, and nothing that it never says."""

import re
from pathlib import Path

import pytest

from inference_cache.domain.reasons import Reason

_SOURCES = Path(__file__).resolve().parents[2] / "operator"


@pytest.fixture(scope="module")
def words() -> frozenset[str]:
    """Every word of the operator and of what runs in pods, but for the list itself and what mends a reason once it was said."""
    files = (item for item in _SOURCES.rglob("*.py") if item.name != "reasons.py" and item.parent.name != "remedies")
    return frozenset(word for item in files for word in re.findall(r"\w+", item.read_text(encoding="utf-8")))


@pytest.mark.parametrize("reason", Reason, ids=lambda item: item.name)
def test_reason_is_said_somewhere(words: frozenset[str], reason: Reason) -> None:
    assert reason.name in words
