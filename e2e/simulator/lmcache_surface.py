"""The HTTP surface of LMCache server 0.5.6."""

import json
from collections.abc import Mapping
from typing import Final

from aiohttp import web

from .cache_server import CacheServer
from .listeners import SANDBOXES, find_sandbox, hang_when_told
from .lmcache_status import alter, build_config, build_status, write_metrics
from .object_store import StoreRefusedError, StoreUnreachableError
from .sandbox import Sandbox

VERSION: Final = "0.5.6"
COMMIT: Final = "g3e11e108"


def build_app(sandboxes: Mapping[str, Sandbox]) -> web.Application:
    """Return the application that answers for every cache server."""
    app = web.Application(middlewares=[hang_when_told])
    app[SANDBOXES] = sandboxes
    app.router.add_get("/", _root)
    app.router.add_get("/healthcheck", _healthcheck)
    app.router.add_get("/status", _status)
    app.router.add_get("/config", _config)
    app.router.add_get("/config/adapters", _adapters)
    app.router.add_get("/version", _version)
    app.router.add_get("/lmc_version", _lmc_version)
    app.router.add_get("/commit_id", _commit_id)
    app.router.add_get("/metrics", _metrics)
    app.router.add_get("/cache/objects", _objects)
    app.router.add_post("/cache/clear", _clear)
    return app


def _server(request: web.Request) -> CacheServer:
    server = find_sandbox(request).cache
    if server is None:
        raise ConnectionResetError("the cache server has just ended")
    return server


def _reported_version(request: web.Request) -> str:
    return find_sandbox(request).behaviour.version_override.lmcache or VERSION


async def _root(_request: web.Request) -> web.Response:
    return web.json_response({"status": "ok", "service": "LMCache HTTP API"})


async def _healthcheck(_request: web.Request) -> web.Response:
    # Healthy as long as the process lives, also with an open breaker.
    return web.json_response({"status": "healthy"})


async def _status(request: web.Request) -> web.Response:
    changes = find_sandbox(request).behaviour.altered_config
    return web.json_response(alter(build_status(_server(request)), changes))


async def _config(request: web.Request) -> web.Response:
    changes = find_sandbox(request).behaviour.altered_config
    # The real server prints this one document with indentation.
    text = json.dumps(alter(build_config(_server(request)), changes), indent=2)
    return web.Response(text=text, content_type="application/json")


async def _adapters(request: web.Request) -> web.Response:
    adapters = [
        {"index": index, "type_name": item.kind, "tier": "l2", "primary": index == 0, "reconfigurable": False}
        for index, item in enumerate(_server(request).arguments.adapters)
    ]
    return web.json_response({"adapters": adapters})


async def _version(request: web.Request) -> web.Response:
    return web.json_response(f"{_reported_version(request)}-{COMMIT}")


async def _lmc_version(request: web.Request) -> web.Response:
    return web.json_response(_reported_version(request))


async def _commit_id(_request: web.Request) -> web.Response:
    return web.json_response(COMMIT)


async def _metrics(request: web.Request) -> web.Response:
    return web.Response(text=write_metrics(_server(request)), content_type="text/plain")


async def _objects(request: web.Request) -> web.Response:
    """List the bucket: the one answer that fails when the store refuses. The fields of an object are not recorded."""
    wanted = request.query.get("model_name")
    objects = []
    try:
        for store in _server(request).stores:
            for key in await store.list_keys():
                model, *parts = key.split("@")
                if len(parts) >= 3 and wanted in {None, model}:
                    objects.append({"model_name": model, "kv_rank": parts[0], "chunk_hash": parts[2]})
    except (StoreRefusedError, StoreUnreachableError):
        return web.Response(status=500, text="Internal Server Error")
    return web.json_response({"objects": objects})


async def _clear(request: web.Request) -> web.Response:
    return web.json_response({"status": "ok", "cleared": _server(request).clear()})
