"""Examples about the name, the rollout, what pods tell about themselves, and the expected load."""

from collections.abc import Mapping
from typing import Any, Final

from tests.api.rows import accept, enum, lengths, numbers, required, rule, unknown

_TRACES: Final = "spec.observability.tracesEndpoint"
LOAD: Final[Mapping[str, Any]] = {"spec.workload": {"conversations": 2000, "contextTokens": 30000}}
_NAME_MESSAGE: Final = "use at most 45 lower case letters, digits and '-', and begin with a letter"
_TRACES_MESSAGE: Final = "must be the URL of an OTLP collector without credentials"

OTHER_ROWS: Final = [
    accept("a name of 45 characters", "metadata.name", "a" * 45),
    rule("a name of 46 characters", "metadata.name", "a" * 46, _NAME_MESSAGE),
    rule("a name that begins with a digit", "metadata.name", "70b", _NAME_MESSAGE),
    rule("a name with a dot", "metadata.name", "nemotron.70b", _NAME_MESSAGE),
    *numbers("spec.rollout.maxUnavailable", 1, 100),
    *numbers("spec.rollout.drainSeconds", 1, 3600),
    *enum("spec.observability.logLevel", ("Debug", "Info", "Warning", "Error")),
    *enum("spec.observability.requestLogs", ("Enabled", "Disabled")),
    *numbers("spec.observability.metricsSamplePercent", 1, 100),
    *lengths(_TRACES, 1, 253, head="http://"),
    accept("a collector with port and path", _TRACES, "grpc://otel-collector.observability:4317/v1/traces"),
    rule("a collector without scheme", _TRACES, "otel-collector:4317", _TRACES_MESSAGE),
    rule("a collector with a port that does not exist", _TRACES, "http://otel:70000", _TRACES_MESSAGE),
    rule("a collector with a password", _TRACES, "http://me:pass@otel:4317", _TRACES_MESSAGE, hidden="pass@"),
    required("spec.workload.conversations", LOAD),
    required("spec.workload.contextTokens", LOAD),
    *numbers("spec.workload.conversations", 1, 10_000_000, base=LOAD),
    *numbers("spec.workload.contextTokens", 1, 10_000_000, base=LOAD),
    *numbers("spec.workload.newTokens", 1, 1_000_000, base=LOAD),
    *numbers("spec.workload.answerTokens", 1, 1_000_000, base=LOAD),
    *(unknown(parent) for parent in ("spec", "spec.rollout", "spec.observability")),
    unknown("spec.workload", LOAD),
]
