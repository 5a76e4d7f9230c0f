"""Waiting for a condition with a deadline, and the error of everything that goes wrong with a cluster."""

import time
from collections.abc import Callable
from typing import Any


class ClusterError(RuntimeError):
    """The cluster could not be started or has ended; the text says which process and shows its log."""


class MissingFeatureError(ClusterError):
    """Clusters of this provider lack a feature; the text names it and what to do."""


def wait_for(condition: Callable[[], Any], seconds: float, message: str, pause: float = 0.05) -> Any:
    """Poll until a condition is true and return its value.

    Raises:
        ClusterError: The time is over.
    """
    deadline = time.monotonic() + seconds
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > deadline:
            raise ClusterError(f"{message} within {seconds:.0f} s")
        time.sleep(pause)
