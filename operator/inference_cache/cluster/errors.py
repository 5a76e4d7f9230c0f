"""What can go wrong between the operator and the API server; the type decides retry and condition."""

from collections.abc import Sequence

from inference_cache.domain.kinds import Kind
from inference_cache.domain.reasons import Reason


class ClusterError(Exception):
    """Base of the errors that the gateway raises."""


class AlreadyExistsError(ClusterError):
    """An object of that name exists, so nothing was created."""


class ConflictError(ClusterError):
    """The object changed or was replaced since it was read; read again and decide again."""


class FieldConflictError(ClusterError):
    """Others manage fields that were to be applied without force, so nothing was written.

    Attributes:
        conflicts: The fields, each with its manager.
    """

    def __init__(self, what: str, conflicts: Sequence[tuple[str, str]]) -> None:
        listed = ", ".join(f"{field} belongs to {manager}" for field, manager in conflicts)
        super().__init__(f"{what}: {listed}")
        self.conflicts = tuple(conflicts)


class GoneError(ClusterError):
    """The object does not exist (any more)."""


class RefusedError(ClusterError):
    """The API server denies the request for a reason that a person must mend.

    Attributes:
        reason: Forbidden for missing rights, WriteRefused for admission, quota and validation.
    """

    def __init__(self, reason: Reason, verb: str, kind: Kind, name: str, detail: str) -> None:
        super().__init__(f"{verb} {kind} {name}: {detail}")
        self.reason = reason


class UnavailableError(ClusterError):
    """The API server cannot be reached, is overloaded or failed; the same request may succeed later.

    Attributes:
        retry_after: Seconds that the server asked to wait, or None.
    """

    def __init__(self, message: str, retry_after: float | None = None) -> None:
        super().__init__(message)
        self.retry_after = retry_after


class NotLeaderError(ClusterError):
    """This replica may not write: another one holds the Lease, or ours has run out."""
