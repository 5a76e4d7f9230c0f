"""How soon news about nodes wakes the deployments: soon for a single change, ever later while changes keep coming.

Every deployment looks at every node, so a cluster whose nodes flap must not keep the operator busy, nor its status moving.
"""

import asyncio
from collections.abc import Callable
from typing import Final

FIRST_SECONDS: Final = 2.0
LAST_SECONDS: Final = 30.0
# Two changes further apart than that are no churn.
_QUIET_SECONDS: Final = 5.0


def next_delay(before: float, quiet: float) -> float:
    """Return the seconds until news are acted on.

    Args:
        before: The delay of the time before; 0 where there was none.
        quiet: Seconds between the end of that delay and the news.
    """
    if not before or quiet > max(_QUIET_SECONDS, before):
        return FIRST_SECONDS
    return min(LAST_SECONDS, before * 2)


class ChurnTimer:
    """Calls once for all news of a while.

    Args:
        call: What to do.
    """

    def __init__(self, call: Callable[[], None]) -> None:
        self._call = call
        self._delay = 0.0
        self._fired = 0.0
        self._timer: asyncio.TimerHandle | None = None

    def note(self) -> None:
        """Note that something changed; cheap, as thousands of changes may come at once."""
        if self._timer is None:
            loop = asyncio.get_running_loop()
            self._delay = next_delay(self._delay, loop.time() - self._fired)
            self._timer = loop.call_later(self._delay, self._fire)

    def _fire(self) -> None:
        self._timer = None
        self._fired = asyncio.get_running_loop().time()
        self._call()
