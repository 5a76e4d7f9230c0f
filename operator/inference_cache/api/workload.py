"""What the deployment is for: the load that the capacity plan reckons with. Nothing of it reaches a pod."""

from typing import Annotated

from pydantic import Field

from .base import ApiModel


class Workload(ApiModel):
    """Expected load of the whole deployment: a number of conversations that go on turn by turn."""

    conversations: Annotated[int, Field(ge=1, le=10_000_000)]
    """Conversations that come back with another turn."""
    context_tokens: Annotated[int, Field(ge=1, le=10_000_000)]
    """Tokens that a conversation has gathered before the turn that is planned for."""
    new_tokens: Annotated[int, Field(ge=1, le=1_000_000)] | None = None
    """Tokens of the question that each turn adds. Without it: 300."""
    answer_tokens: Annotated[int, Field(ge=1, le=1_000_000)] | None = None
    """Tokens of each answer. Without it: 200."""
