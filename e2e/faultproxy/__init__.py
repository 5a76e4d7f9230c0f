"""Scripted fault proxy: in front of an API server (reverse) or of an S3 server (forward).

A test scripts :class:`Rule` objects, lets the program under test talk through the proxy, waits for what happened and
reads the record. :class:`ProxyServer` runs on the test's event loop, :class:`FaultProxy` in a thread,
``python -m e2e.faultproxy`` as a process driven by :class:`FaultProxyClient`.
"""

from e2e.faultproxy.client import FaultControl, FaultProxy, FaultProxyClient
from e2e.faultproxy.journal import RequestRecord, RequestTotal
from e2e.faultproxy.kubeconfig import write_kubeconfig
from e2e.faultproxy.routes import Endpoint, ForwardRoutes, ReverseRoute
from e2e.faultproxy.rules import (
    AnswerStatus,
    Delay,
    DropAfter,
    DropBefore,
    DupEvents,
    ErrorEvent,
    EventFilter,
    FreezeWatch,
    Match,
    Pass,
    Rule,
    RuleState,
    Signal,
    SkipEvents,
    StallHeaders,
    Truncate,
)
from e2e.faultproxy.server import ProxyServer

__all__ = [
    "AnswerStatus",
    "Delay",
    "DropAfter",
    "DropBefore",
    "DupEvents",
    "Endpoint",
    "ErrorEvent",
    "EventFilter",
    "FaultControl",
    "FaultProxy",
    "FaultProxyClient",
    "ForwardRoutes",
    "FreezeWatch",
    "Match",
    "Pass",
    "ProxyServer",
    "RequestRecord",
    "RequestTotal",
    "ReverseRoute",
    "Rule",
    "RuleState",
    "Signal",
    "SkipEvents",
    "StallHeaders",
    "Truncate",
    "write_kubeconfig",
]
