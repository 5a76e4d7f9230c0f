"""Metrics of the operator, with the names and labels that controller-runtime and client-go made common.

Dashboards and alerts written for other operators then work for this one.
"""

from typing import Final

from prometheus_client import Counter, Gauge, Histogram

CONTROLLER: Final = "inferencecachedeployment"

_SECONDS: Final = (0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60)

_requests = Counter("rest_client_requests", "Requests to the API server.", ["method", "code"])
_request_seconds = Histogram(
    "rest_client_request_duration_seconds", "Time of a request to the API server.", ["verb"], buckets=_SECONDS
)
reconcile_total = Counter("controller_runtime_reconcile", "Reconcile passes.", ["controller", "result"])
reconcile_errors = Counter("controller_runtime_reconcile_errors", "Reconcile passes that failed.", ["controller"])
reconcile_seconds = Histogram(
    "controller_runtime_reconcile_time_seconds", "Time of a reconcile pass.", ["controller"], buckets=_SECONDS
)
active_workers = Gauge("controller_runtime_active_workers", "Reconcile passes under way.", ["controller"])
max_workers = Gauge("controller_runtime_max_concurrent_reconciles", "Most passes at a time.", ["controller"])

queue_depth = Gauge("workqueue_depth", "Keys that wait for a pass.", ["name"])
queue_adds = Counter("workqueue_adds", "Keys added.", ["name"])
queue_retries = Counter("workqueue_retries", "Keys added again after a failure.", ["name"])
queue_seconds = Histogram("workqueue_queue_duration_seconds", "Time that a key waits.", ["name"], buckets=_SECONDS)
work_seconds = Histogram("workqueue_work_duration_seconds", "Time of the work on a key.", ["name"], buckets=_SECONDS)

leader = Gauge("leader_election_master_status", "1 on the replica that holds the Lease.", ["name"])
watch_blind_seconds = Gauge(
    "inference_cache_watch_blind_seconds", "How long a watch has been failing; 0 while it works.", ["kind"]
)
relists = Counter("inference_cache_watch_relists", "Lists after the first one, for repairs of the cache.", ["kind"])
cache_repairs = Counter("inference_cache_watch_repairs", "Objects that a list found stale in the cache.", ["kind"])
kind_readable = Gauge(
    "inference_cache_kind_readable",
    "1 for a kind of other projects that is read, 0 for one that is served and may not be read.",
    ["kind"],
)
loop_lag_seconds = Gauge("inference_cache_event_loop_lag_seconds", "Latest delay of the event loop.")
writes = Counter("inference_cache_writes", "Objects written.", ["kind", "action"])
version_table_faults = Gauge(
    "inference_cache_version_table_faults",
    "Faults in the ConfigMap that extends the table of versions; it is not used while there are any.",
)
condition = Gauge(
    "icd_condition", "1 for the current status of a condition.", ["namespace", "name", "type", "status", "reason"]
)


def observe_request(verb: str, code: str, seconds: float) -> None:
    """Count one request to the API server."""
    _requests.labels(verb, code).inc()
    _request_seconds.labels(verb).observe(seconds)
