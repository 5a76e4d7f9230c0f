"""Which failures of passes are worth telling in a status, and in which words; for deployments and for fabrics."""

from collections.abc import Hashable
from datetime import UTC, datetime
from typing import Final

from inference_cache.domain.reasons import Reason

from .errors import ClusterError, ConflictError, GoneError, NotLeaderError, RefusedError, UnavailableError

# A busy or restarting API server is not worth a status write; one that fails the same object again and again is.
_LASTING_FAILURES: Final = 3


def now_text() -> str:
    """Return the time as conditions hold it (RFC 3339, whole seconds)."""
    return datetime.now(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")


class FailureCount:
    """Counts the passes over each object that failed in a row."""

    def __init__(self) -> None:
        self._failures: dict[Hashable, int] = {}

    def is_lasting(self, key: Hashable, error: Exception) -> bool:
        """Count a failure; returns whether it is to be told."""
        failures = self._failures[key] = self._failures.get(key, 0) + 1
        passing = isinstance(error, UnavailableError | ConflictError | GoneError)
        return not isinstance(error, NotLeaderError) and (not passing or failures >= _LASTING_FAILURES)

    def forget(self, key: Hashable) -> None:
        """A pass succeeded, or the object is gone."""
        self._failures.pop(key, None)


def describe_failure(error: Exception) -> tuple[Reason, str]:
    """Return reason and detail for a status."""
    if isinstance(error, RefusedError):
        return error.reason, str(error)
    if isinstance(error, ClusterError):
        return Reason.RequestsFailing, str(error)
    # Its text may quote anything, such as a Secret's value.
    return Reason.InternalError, type(error).__name__
