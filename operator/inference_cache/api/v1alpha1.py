"""InferenceCacheDeployment v1alpha1: its group, its names, and the spec that holds the parts.

A field is here only if it has an effect. Defaults live in code (`domain/`), not in the schema, so that a stored object
holds exactly what its author wrote and a better default reaches it with the next operator version.
"""

import re
from typing import Annotated, Final

from pydantic import Field

from .base import ApiModel, Rule
from .cache import Cache
from .engine import Engine
from .model import Model
from .nodes import Nodes
from .observability import Observability
from .rollout import Rollout
from .transport import Transport
from .transport_rules import TRANSPORT_RULES
from .workload import Workload

GROUP: Final = "inferencecache.io"
VERSION: Final = "v1alpha1"
API_VERSION: Final = f"{GROUP}/{VERSION}"
KIND: Final = "InferenceCacheDeployment"
PLURAL: Final = "inferencecachedeployments"

NAME_RULE: Final = Rule(
    cel="self.metadata.name.matches('^[a-z]([-a-z0-9]*[a-z0-9])?$') && self.metadata.name.size() <= 45",
    message=(
        "metadata.name becomes Service and StatefulSet names: use at most 45 lower case letters, digits and '-', "
        "and begin with a letter"
    ),
    holds=lambda name: bool(re.fullmatch(r"^[a-z]([-a-z0-9]*[a-z0-9])?$", name)) and len(name) <= 45,
    got_cel="self.metadata.name",
    got=lambda name: name,
)


class InferenceCacheDeploymentSpec(ApiModel):
    """One model served by a number of engine pods with a tiered KV cache."""

    rules = (
        Rule(
            cel="!has(self.engine) || !has(self.engine.blockTokens) || !has(self.cache.chunkTokens) || self.cache.chunkTokens % self.engine.blockTokens == 0",
            message="cache.chunkTokens must be a multiple of engine.blockTokens, as chunks consist of whole blocks; write a multiple, or remove chunkTokens for 256",
            holds=lambda m: (
                m.engine is None
                or m.engine.block_tokens is None
                or (m.cache.chunk_tokens or 0) % m.engine.block_tokens == 0
            ),
            # The text of a number has no bound that the API server knows, so it shows none.
            got=lambda m: f"{m.cache.chunk_tokens} with blocks of {m.engine.block_tokens}",
            path=".cache.chunkTokens",
        ),
        *TRANSPORT_RULES,
    )

    model: Model
    """The model to serve."""
    replicas: Annotated[int, Field(ge=0, le=1000)] | None = None
    """Engine pods. Without it: 1. Leave it out where an autoscaler owns the scale subresource."""
    engine: Engine | None = None
    """The vLLM process."""
    cache: Cache
    """The KV cache below HBM."""
    transport: Transport | None = None
    """Way to the object store."""
    nodes: Nodes | None = None
    """Placement."""
    rollout: Rollout | None = None
    """Replacement of pods."""
    observability: Observability | None = None
    """Logs, metrics and traces of the pods."""
    workload: Workload | None = None
    """Expected load, for the capacity plan."""
