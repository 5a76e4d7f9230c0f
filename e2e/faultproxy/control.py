"""The control API of a proxy that runs as its own process; JSON over HTTP on loopback.

GET/PUT/DELETE ``/rules``; PUT/DELETE ``/rules/{id}``; POST ``/rules/{id}/clear``;
GET ``/rules/{id}/fired?count=1&timeout_s=30`` (answers when it happened, 408 when not);
GET ``/requests?since=0``; GET ``/totals``.
"""

from collections.abc import Awaitable, Callable, Sequence
from typing import Self

from aiohttp import web
from pydantic import BaseModel, TypeAdapter

from e2e.faultproxy.rules import Rule
from e2e.faultproxy.server import ProxyServer

RULES: TypeAdapter[list[Rule]] = TypeAdapter(list[Rule])


class ControlApi:
    """Serves the control API of one proxy, as an async context manager."""

    def __init__(self, proxy: ProxyServer, *, host: str = "127.0.0.1", port: int = 0) -> None:
        self._proxy = proxy
        self._host = host
        self._port = port
        app = web.Application(middlewares=[_errors_as_answers])
        app.add_routes(
            [
                web.get("/rules", self._get_rules),
                web.put("/rules", self._put_rules),
                web.delete("/rules", self._delete_rules),
                web.put("/rules/{id}", self._put_rule),
                web.delete("/rules/{id}", self._delete_rule),
                web.post("/rules/{id}/clear", self._clear_rule),
                web.get("/rules/{id}/fired", self._fired),
                web.get("/requests", self._requests),
                web.get("/totals", self._totals),
            ]
        )
        self._runner = web.AppRunner(app, access_log=None)

    async def __aenter__(self) -> Self:
        await self._runner.setup()
        site = web.TCPSite(self._runner, self._host, self._port)
        await site.start()
        self._port = self._runner.addresses[0][1]
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        await self._runner.cleanup()

    @property
    def url(self) -> str:
        """Address of the control API."""
        return f"http://{self._host}:{self._port}"

    async def _get_rules(self, _request: web.Request) -> web.Response:
        return _answer(self._proxy.rules())

    async def _put_rules(self, request: web.Request) -> web.Response:
        self._proxy.set_rules(RULES.validate_json(await request.read()))
        return _answer(self._proxy.rules())

    async def _delete_rules(self, _request: web.Request) -> web.Response:
        self._proxy.remove_rules()
        return _answer([])

    async def _put_rule(self, request: web.Request) -> web.Response:
        rule = Rule.model_validate_json(await request.read())
        if rule.id != request.match_info["id"]:
            raise ValueError(f"rule {rule.id!r} put to the path of {request.match_info['id']!r}")
        self._proxy.put_rule(rule)
        return _answer(self._proxy.rules())

    async def _delete_rule(self, request: web.Request) -> web.Response:
        self._proxy.remove_rule(request.match_info["id"])
        return _answer(self._proxy.rules())

    async def _clear_rule(self, request: web.Request) -> web.Response:
        self._proxy.clear_rule(request.match_info["id"])
        return _answer(self._proxy.rules())

    async def _fired(self, request: web.Request) -> web.Response:
        state = await self._proxy.wait_fired(
            request.match_info["id"],
            count=int(request.query.get("count", "1")),
            timeout_s=float(request.query.get("timeout_s", "30")),
        )
        return web.Response(text=state.model_dump_json(), content_type="application/json")

    async def _requests(self, request: web.Request) -> web.Response:
        return _answer(self._proxy.requests(since=int(request.query.get("since", "0"))))

    async def _totals(self, _request: web.Request) -> web.Response:
        return _answer(self._proxy.totals())


@web.middleware
async def _errors_as_answers(
    request: web.Request, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]
) -> web.StreamResponse:
    try:
        return await handler(request)
    except KeyError as exc:
        return web.Response(status=404, text=f"no rule {exc}")
    except TimeoutError as exc:
        return web.Response(status=408, text=str(exc))
    except ValueError as exc:
        return web.Response(status=400, text=str(exc))


def _answer(models: Sequence[BaseModel]) -> web.Response:
    body = "[" + ",".join(model.model_dump_json() for model in models) + "]"
    return web.Response(text=body, content_type="application/json")
