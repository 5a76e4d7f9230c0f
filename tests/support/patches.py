"""What `kubectl patch` makes of a deployment, told from the text of the command alone."""

import copy
import json
import shlex
from typing import Any


def patch_spec(spec: dict[str, Any], command: str) -> dict[str, Any]:
    """Return the spec after `kubectl patch`, by the rules of JSON patch and JSON merge patch."""
    words = shlex.split(command)
    patch = json.loads(words[words.index("-p") + 1])
    body: Any = {"spec": copy.deepcopy(spec)}
    if "--type=merge" in words:
        return dict(_merge(body, patch)["spec"])
    for change in patch:
        *parents, last = [part.replace("~1", "/").replace("~0", "~") for part in change["path"].split("/")[1:]]
        parent = body
        for part in parents:
            parent = parent[int(part)] if isinstance(parent, list) else parent[part]
        key: Any = int(last) if isinstance(parent, list) else last
        if change["op"] != "add":
            assert key in (range(len(parent)) if isinstance(parent, list) else parent), (
                "remove and replace need the field"
            )
        if change["op"] == "remove":
            del parent[key]
        else:
            parent[key] = change["value"]
    return dict(body["spec"])


def _merge(target: Any, patch: Any) -> Any:
    if not isinstance(patch, dict):
        return patch
    merged = dict(target) if isinstance(target, dict) else {}
    for key, value in patch.items():
        if value is None:
            merged.pop(key, None)
        else:
            merged[key] = _merge(merged.get(key), value)
    return merged
