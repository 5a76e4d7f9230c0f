"""Keeps Python's search for cyclic garbage short: a full search visits every container and stops the event loop meanwhile.

What imports leave (100,000 containers, 60 ms) and what the first lists leave lives as long as the process, so it is taken
out of the search. Reference counting frees it all the same where it does go; only cycles among it would stay, and what
comes from the API server has none.
"""

import gc
from typing import Final

# A page of a list is some 10,000 containers that go by themselves; they should not age, as only a full search finds old
# ones. Searches of the two young generations then take about 5 and 20 ms at most.
_THRESHOLDS: Final = (10_000, 4, 20)


def settle_heap() -> None:
    """Take everything that is alive out of further searches; call it when something that lasts has been built."""
    gc.set_threshold(*_THRESHOLDS)
    gc.freeze()
