"""The HTTP surface of vLLM 0.32.0."""

import json
import time
import uuid
from collections.abc import Mapping
from typing import Any

from aiohttp import web

from .chunks import split_tokens
from .engine_process import EngineProcess, Request
from .listeners import SANDBOXES, find_sandbox, hang_when_told
from .sandbox import Sandbox
from .vllm_metrics import write_metrics

VERSION = "0.32.0"


def build_app(sandboxes: Mapping[str, Sandbox]) -> web.Application:
    """Return the application that answers for every engine."""
    app = web.Application(middlewares=[hang_when_told], client_max_size=64 * 2**20)
    app[SANDBOXES] = sandboxes
    app.router.add_get("/health", _health)
    app.router.add_get("/ping", _health)
    app.router.add_post("/ping", _health)
    app.router.add_get("/version", _version)
    app.router.add_get("/v1/models", _models)
    app.router.add_get("/load", _load)
    app.router.add_get("/metrics", _metrics)
    app.router.add_post("/v1/completions", _complete)
    app.router.add_post("/v1/chat/completions", _chat)
    return app


def _engine(request: web.Request) -> tuple[EngineProcess, Sandbox]:
    sandbox = find_sandbox(request)
    engine = sandbox.engine
    if engine is None:
        raise ConnectionResetError("the engine has just ended")
    return engine, sandbox


async def _health(request: web.Request) -> web.Response:
    return web.Response(status=_engine(request)[1].behaviour.health_status)


async def _version(request: web.Request) -> web.Response:
    override = find_sandbox(request).behaviour.version_override.vllm
    return web.json_response({"version": override or VERSION})


async def _load(request: web.Request) -> web.Response:
    return web.json_response({"server_load": _engine(request)[0].running})


async def _metrics(request: web.Request) -> web.Response:
    return web.Response(text=write_metrics(_engine(request)[0]), content_type="text/plain")


async def _models(request: web.Request) -> web.Response:
    engine, _ = _engine(request)
    arguments, created = engine.arguments, int(engine.started_at)
    permission = {
        "id": f"modelperm-{uuid.uuid4().hex[:16]}",
        "object": "model_permission",
        "created": created,
        "allow_create_engine": False,
        "allow_sampling": True,
        "allow_logprobs": True,
        "allow_search_indices": False,
        "allow_view": True,
        "allow_fine_tuning": False,
        "organization": "*",
        "group": None,
        "is_blocking": False,
    }
    model = {
        "id": arguments.served_name,
        "object": "model",
        "created": created,
        "owned_by": "vllm",
        "root": arguments.model,
        "parent": None,
        "max_model_len": arguments.max_model_len,
        "permission": [permission],
    }
    return web.json_response({"object": "list", "data": [model]})


async def _complete(request: web.Request) -> web.StreamResponse:
    body = await _read(request)
    prompt = body.get("prompt", "")
    if not isinstance(prompt, str) and not all(isinstance(item, int) for item in prompt):
        return _error(400, "only one prompt, as text or as token ids, is simulated")
    return await _answer(request, body, split_tokens(prompt), body.get("max_tokens", 16), chat=False)


async def _chat(request: web.Request) -> web.StreamResponse:
    body = await _read(request)
    prompt = "".join(f"<{item['role']}>{item['content']}" for item in body.get("messages", []))
    most = body.get("max_completion_tokens") or body.get("max_tokens") or 16
    return await _answer(request, body, split_tokens(prompt), most, chat=True)


async def _read(request: web.Request) -> dict[str, Any]:
    try:
        body = await request.json()
    except ValueError:
        body = None
    if not isinstance(body, dict):
        raise web.HTTPBadRequest(text="the body is not a JSON object")
    return body


def _error(status: int, message: str) -> web.Response:
    kind = "NotFoundError" if status == 404 else "BadRequestError"
    error = {"message": message, "type": kind, "param": None, "code": status}
    return web.json_response({"error": error}, status=status)


async def _answer(
    request: web.Request, body: Mapping[str, Any], tokens: list[str], max_tokens: int, *, chat: bool
) -> web.StreamResponse:
    engine, _ = _engine(request)
    arguments = engine.arguments
    if body.get("model", arguments.served_name) != arguments.served_name:
        return _error(404, f"The model `{body['model']}` does not exist.")
    if not tokens or len(tokens) + max_tokens > arguments.max_model_len:
        limit = arguments.max_model_len
        return _error(400, f"This model's maximum context length is {limit} tokens, your request has {len(tokens)}.")
    work = await engine.prefill(tokens, max_tokens, body.get("cache_salt", ""))
    form = _Form(engine, work, chat=chat)
    try:
        if body.get("stream"):
            return await _stream(request, engine, work, form, usage=bool(body.get("stream_options")))
        text = ""
        while (word := await engine.decode(work)) is not None:
            text += word
        return web.json_response(form.whole(text))
    finally:
        engine.finish(work)


async def _stream(
    request: web.Request, engine: EngineProcess, work: Request, form: "_Form", *, usage: bool
) -> web.StreamResponse:
    response = web.StreamResponse(headers={"Content-Type": "text/event-stream; charset=utf-8"})
    await response.prepare(request)
    while (word := await engine.decode(work)) is not None:
        last = work.generated >= work.max_tokens
        await response.write(_event(form.piece(word, work.finish_reason if last else None)))
    if work.finish_reason == "abort":
        await response.write(_event(form.piece("", "abort")))
    if usage:
        await response.write(_event(form.piece(None, None)))
    await response.write(b"data: [DONE]\n\n")
    return response


def _event(value: Mapping[str, Any]) -> bytes:
    return f"data: {json.dumps(value)}\n\n".encode()


class _Form:
    """The shapes of an answer, for completions and for chats."""

    def __init__(self, engine: EngineProcess, work: Request, *, chat: bool) -> None:
        self._name = engine.arguments.served_name
        self._details = engine.arguments.prompt_token_details
        self._work = work
        self._chat = chat
        self._id = f"{'chatcmpl' if chat else 'cmpl'}-{uuid.uuid4().hex}"

    def whole(self, text: str) -> dict[str, Any]:
        content = {"message": {"role": "assistant", "content": text}} if self._chat else {"text": text}
        kind = "chat.completion" if self._chat else "text_completion"
        return self._frame(kind, content, self._work.finish_reason) | {"usage": self._usage()}

    def piece(self, text: str | None, finish_reason: str | None) -> dict[str, Any]:
        """Return one event of a stream; the one without text carries the usage."""
        kind = "chat.completion.chunk" if self._chat else "text_completion"
        content = {"delta": {"content": text}} if self._chat else {"text": text}
        frame = self._frame(kind, content, finish_reason)
        return frame if text is not None else frame | {"choices": [], "usage": self._usage()}

    def _frame(self, kind: str, content: Mapping[str, Any], finish_reason: str | None) -> dict[str, Any]:
        choice = {"index": 0, **content, "logprobs": None, "finish_reason": finish_reason, "stop_reason": None}
        now = int(time.time())
        return {"id": self._id, "object": kind, "created": now, "model": self._name, "choices": [choice]}

    def _usage(self) -> dict[str, Any]:
        prompt, generated = len(self._work.tokens), self._work.generated
        # vLLM tells cached tokens only with --enable-prompt-tokens-details.
        details = {"cached_tokens": self._work.cached} if self._details else None
        return {
            "prompt_tokens": prompt,
            "total_tokens": prompt + generated,
            "completion_tokens": generated,
            "prompt_tokens_details": details,
        }
