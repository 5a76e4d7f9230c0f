"""How eligibility labels get onto nodes: through Node Feature Discovery, or else by patching the Node, where either is allowed.

Both need a right that is not part of the base installation. A way that is refused, or that does not lead to labels, is
left alone for a while.
"""

import logging
import time
from collections.abc import Callable, Mapping
from enum import StrEnum
from typing import Final

from inference_cache.domain.eligibility import list_present
from inference_cache.domain.kinds import NODE, NODE_FEATURE, Kind
from inference_cache.domain.node_facts import NodeFacts
from inference_cache.domain.node_features import build_node_feature, name_node_feature

from . import metrics
from .errors import ConflictError, GoneError, RefusedError
from .gateway import Gateway

_log = logging.getLogger(__name__)

REFUSED_SECONDS: Final = 600.0
"""How long a way is left alone that the operator has no right to."""
IDLE_SECONDS: Final = 3600.0
"""How long a way is left alone that leads to no labels, as where nobody acts on NodeFeature objects."""


class Way(StrEnum):
    """How labels are written; the values are as people read them."""

    NODE_FEATURE = "NodeFeature"
    NODE = "Node"


class LabelWriter:
    """Writes the eligibility labels of one node at a time.

    Args:
        gateway: For the writes.
        serves: Whether the API server serves a kind; None before that is known.
        namespace: Where the operator runs.
        clock: Monotonic seconds.
    """

    def __init__(
        self,
        gateway: Gateway,
        serves: Callable[[Kind], bool | None],
        namespace: str,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._gateway = gateway
        self._serves = serves
        self._namespace = namespace
        self._clock = clock
        self._closed_until: dict[Way, float] = {}
        self.causes: dict[Way, str] = {}

    @property
    def known(self) -> bool:
        """Whether it is known already what the API server serves."""
        return self._serves(NODE_FEATURE) is not None

    def choose_way(self) -> Way | None:
        """Return how labels are written now, or None where there is no way."""
        if self._serves(NODE_FEATURE) and self._is_open(Way.NODE_FEATURE):
            return Way.NODE_FEATURE
        return Way.NODE if self._is_open(Way.NODE) else None

    def close(self, way: Way, cause: str, seconds: float) -> None:
        """Leave a way alone for a while."""
        if self.causes.get(way) != cause:
            _log.warning("labels of nodes cannot be written", extra={"way": way.value, "cause": cause[:300]})
        self._closed_until[way] = self._clock() + seconds
        self.causes[way] = cause

    def reopens_at(self) -> float | None:
        """Return when a way that was left alone may be tried again, in monotonic seconds."""
        now = self._clock()
        return min((until for until in self._closed_until.values() if until > now), default=None)

    async def write(self, way: Way, node: NodeFacts, labels: Mapping[str, str]) -> bool:
        """Give a node exactly these eligibility labels; returns whether it was written.

        Raises:
            ClusterError: The API server failed; try again later.
        """
        try:
            if way is Way.NODE_FEATURE:
                await self._write_feature(node, labels)
            else:
                await self._patch_node(node, labels)
        except (GoneError, ConflictError):
            # The node is gone or was replaced; its evidence will say so.
            return False
        except RefusedError as error:
            self.close(way, str(error), REFUSED_SECONDS)
            return False
        self.causes.pop(way, None)
        return True

    async def _write_feature(self, node: NodeFacts, labels: Mapping[str, str]) -> None:
        if labels:
            body = build_node_feature(node.name, node.uid, labels, self._namespace)
            await self._gateway.apply_own(NODE_FEATURE, self._namespace, body)
            metrics.writes.labels(NODE_FEATURE.name, "apply").inc()
            return
        name = name_node_feature(node.name)
        found = await self._gateway.read(NODE_FEATURE, self._namespace, name)
        if found is not None:
            await self._gateway.delete(NODE_FEATURE, self._namespace, name, uid=found["metadata"]["uid"])
            metrics.writes.labels(NODE_FEATURE.name, "delete").inc()

    async def _patch_node(self, node: NodeFacts, labels: Mapping[str, str]) -> None:
        changes: dict[str, str | None] = dict.fromkeys(list_present(node.labels))
        await self._gateway.patch_node_labels(node.name, node.uid, changes | dict(labels))
        metrics.writes.labels(NODE.name, "patch").inc()

    def _is_open(self, way: Way) -> bool:
        return self._clock() >= self._closed_until.get(way, 0.0)
