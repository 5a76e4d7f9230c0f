"""The control API on loopback: which pods there are, and what they are told to do."""

import json
from collections.abc import Callable
from typing import Any

from aiohttp import web
from pydantic import ValidationError

from .behaviours import Behaviours, Rule


def build_app(
    behaviours: Behaviours, describe_pods: Callable[[], list[dict[str, Any]]], changed: Callable[[], None]
) -> web.Application:
    """Return the control application.

    Args:
        behaviours: What is changed here.
        describe_pods: Returns the answer of GET /pods.
        changed: Called after every change.
    """

    async def pods(_request: web.Request) -> web.Response:
        return web.json_response(describe_pods(), dumps=_dumps)

    async def list_rules(_request: web.Request) -> web.Response:
        return web.json_response(behaviours.to_json())

    async def put(request: web.Request) -> web.Response:
        try:
            rule = Rule.model_validate_json(await request.read())
        except ValidationError as error:
            return web.json_response({"errors": error.errors(include_url=False, include_context=False)}, status=400)
        behaviours.put(request.match_info["name"], rule)
        changed()
        return web.json_response(rule.to_json())

    async def delete(request: web.Request) -> web.Response:
        if not behaviours.delete(request.match_info["name"]):
            return web.json_response({"errors": ["no such behaviour"]}, status=404)
        changed()
        return web.Response(status=204)

    app = web.Application()
    app.router.add_get("/pods", pods)
    app.router.add_get("/behaviours", list_rules)
    app.router.add_put("/behaviours/{name}", put)
    app.router.add_delete("/behaviours/{name}", delete)
    return app


def _dumps(value: Any) -> str:
    return json.dumps(value, default=str)
