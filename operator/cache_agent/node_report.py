"""From facts to the NodeCapabilityReport: its bounds, and when it is worth a write.

A report is written when its content changed, and again when half of its validity is over. What engine pods change by
using the node is no change: free huge pages, and all but the identity of virtual functions, whose interfaces move into
pods. So pods that come and go cause no writes.
"""

from __future__ import annotations

import calendar
import hashlib
import json
import time
from dataclasses import fields
from typing import Any, Final

from .node_facts import DeviceFacts, NodeFacts, PortFacts

API_VERSION: Final = "inferencecache.io/v1alpha1"
KIND: Final = "NodeCapabilityReport"
ANNOTATION_CONTENT_HASH: Final = "inferencecache.io/content-hash"
_TEXT: Final = 64
_PROBLEM: Final = 253
_PROBLEMS: Final = 16
_TIME: Final = "%Y-%m-%dT%H:%M:%SZ"
_IDENTITY: Final = ("pciAddress", "vendor", "device", "function")


def build_report(facts: NodeFacts, *, probed_at: float, valid_seconds: int, node_uid: str | None) -> dict[str, Any]:
    """Return the content of a report.

    Args:
        facts: What was probed.
        probed_at: When, in seconds of the epoch.
        valid_seconds: How long it counts.
        node_uid: Uid of the Node object, where it is known.
    """
    head = {
        "probedAt": time.strftime(_TIME, time.gmtime(probed_at)),
        "validSeconds": valid_seconds,
        **({"nodeUid": node_uid} if node_uid else {}),
    }
    content = _build_object(facts)
    problems = [_clean(text, _PROBLEM) for text in facts.problems]
    if len(problems) > _PROBLEMS:
        problems[_PROBLEMS - 1 :] = [f"and {len(problems) - _PROBLEMS + 1} more problems"]
    content.pop("problems")
    return {**head, **content, **({"problems": problems} if problems else {})}


def build_object(node: str, report: dict[str, Any]) -> dict[str, Any]:
    """Return the object that is applied; it belongs to its Node, so that it goes with it."""
    metadata: dict[str, Any] = {"name": node, "annotations": {ANNOTATION_CONTENT_HASH: hash_content(report)}}
    if "nodeUid" in report:
        owner = {"apiVersion": "v1", "kind": "Node", "name": node, "uid": report["nodeUid"]}
        metadata["ownerReferences"] = [owner]
    return {"apiVersion": API_VERSION, "kind": KIND, "metadata": metadata, "report": report}


def hash_content(report: dict[str, Any]) -> str:
    """Return a hash of what is worth a write when it changes."""
    content = {key: value for key, value in report.items() if key not in {"probedAt", "hugePagesFree"}}
    if "devices" in content:
        content["devices"] = [
            {key: item[key] for key in _IDENTITY if key in item} if item.get("function") == "Virtual" else item
            for item in content["devices"]
        ]
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()[:32]


def needs_write(stored: dict[str, Any] | None, wanted: dict[str, Any], now: float) -> bool:
    """Whether an object has to be applied.

    Args:
        stored: What the API server has.
        wanted: What build_object returned just now.
        now: Seconds of the epoch.
    """
    if stored is None:
        return True
    # The hash, not the stored content: a CRD that is older prunes fields, which would be a change each time.
    found = (stored.get("metadata", {}).get("annotations") or {}).get(ANNOTATION_CONTENT_HASH)
    if found != wanted["metadata"]["annotations"][ANNOTATION_CONTENT_HASH]:
        return True
    try:
        probed_at = calendar.timegm(time.strptime(stored["report"]["probedAt"], _TIME))
    except (KeyError, TypeError, ValueError):
        return True
    # One from the future would count longer than it should.
    return not 0 <= now - probed_at < wanted["report"]["validSeconds"] / 2


def _build_object(item: NodeFacts | DeviceFacts | PortFacts) -> dict[str, Any]:
    values = ((field.name, getattr(item, field.name)) for field in fields(item))
    return {_name(key): _build_value(value) for key, value in values if value is not None}


def _build_value(value: Any) -> Any:
    if isinstance(value, tuple):
        return [_build_value(item) for item in value]
    if isinstance(value, str):
        return _clean(value, _TEXT)
    return _build_object(value) if isinstance(value, (DeviceFacts, PortFacts)) else value


def _name(key: str) -> str:
    first, *rest = key.split("_")
    return first + "".join(map(str.capitalize, rest))


def _clean(text: str, length: int) -> str:
    # Names of files may hold bytes that are no text.
    return "".join(filter(str.isprintable, text))[:length]
