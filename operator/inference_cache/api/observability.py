"""What the processes of a pod tell about themselves."""

from enum import StrEnum
from typing import Annotated, Final

from pydantic import Field

from .base import PORT, ApiModel, match_rule, ruled

_TRACES_PATTERN: Final = f"^(https?|grpc)://[a-z0-9]([-.a-z0-9]*[a-z0-9])?(:({PORT}))?(/[-a-zA-Z0-9._/]*)?$"
_TRACES = match_rule(
    _TRACES_PATTERN,
    "must be the URL of an OTLP collector without credentials; write for instance http://otel-collector.observability:4317",
)


class LogLevel(StrEnum):
    """Least severity that is logged."""

    DEBUG = "Debug"
    INFO = "Info"
    WARNING = "Warning"
    ERROR = "Error"


class Switch(StrEnum):
    """On or off."""

    ENABLED = "Enabled"
    DISABLED = "Disabled"


class Observability(ApiModel):
    """Logs, metrics and traces of engine and cache server."""

    log_level: LogLevel | None = None
    """Log level of engine and cache server (VLLM_LOGGING_LEVEL, LMCACHE_LOG_LEVEL). Without it: Info."""
    request_logs: Switch | None = None
    """Whether the engine logs each request, prompts included (--enable-log-requests). Without it: Disabled."""
    metrics_sample_percent: Annotated[int, Field(ge=1, le=100)] | None = None
    """Share of operations whose time and size LMCache observes in its histograms (--metrics-sample-rate). Without it: 1."""
    traces_endpoint: Annotated[str, *ruled(_TRACES, min_length=1, max_length=253)] | None = None
    """OTLP collector for the engine's traces (--otlp-traces-endpoint). Without it: no traces."""
