"""How pods are replaced when their specification changes."""

from typing import Annotated

from pydantic import Field

from .base import ApiModel


class Rollout(ApiModel):
    """How pods are replaced when their specification changes."""

    max_unavailable: Annotated[int, Field(ge=1, le=100)] | None = None
    """Replicas that may be unavailable at a time, for rollouts and for voluntary evictions. Without it: 1."""
    drain_seconds: Annotated[int, Field(ge=1, le=3600)] | None = None
    """Seconds that a stopping engine may spend on requests in flight (--shutdown-timeout). Without it: 120."""
