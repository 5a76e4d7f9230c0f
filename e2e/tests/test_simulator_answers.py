"""The HTTP answers of simulated processes, compared with the recorded shapes of the real ones."""

import asyncio
import json
import re
import socket
import time
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from e2e.simulator import lmcache_surface, vllm_surface
from e2e.simulator.behaviours import Behaviour
from e2e.simulator.listeners import Listeners
from e2e.simulator.machine import Role
from e2e.simulator.sandbox import Sandbox
from e2e.tests.test_simulator import TEXT, build_sandbox

SHAPES = Path(__file__).parents[1] / "simulator" / "shapes"
# What the runtime and the web framework report of themselves is not simulated; bounds of buckets are not recorded.
UNCOMPARED = re.compile(r"process_|target_info|python_|http_|.*_bucket$")


def collect_paths(value: Any, at: str = "") -> set[str]:
    """Return the key paths of a JSON document, as the files in shapes/ name them."""
    if isinstance(value, dict):
        if not value:
            return {f"{at}:{{}}"}
        names = {name: "*" if at == "non_cuda_context_meta" else name for name in value}
        return set().union(
            *(collect_paths(item, f"{at}.{names[name]}" if at else names[name]) for name, item in value.items())
        )
    if isinstance(value, list):
        return set().union(*(collect_paths(item, f"{at}[]") for item in value)) or {f"{at}[]"}
    return {at}


def collect_series(page: str) -> dict[str, list[str]]:
    """Return the names of a metrics page with their labels."""
    found: dict[str, list[str]] = {}
    for line in page.splitlines():
        match = re.match(r"([a-zA-Z_:0-9]+)(?:\{(.*)\})? [-0-9.e+]+$", line)
        assert line.startswith("#") or match, f"not the Prometheus text format: {line}"
        if match and not UNCOMPARED.match(match[1]):
            found[match[1]] = sorted(set(re.findall(r'(\w+)="', match[2] or "")))
    return found


def load_shape(name: str) -> Any:
    return json.loads((SHAPES / f"{name}.json").read_text())


@dataclass
class Answering:
    """A pod whose processes answer."""

    sandbox: Sandbox
    ports: dict[Role, int]

    async def ask(self, role: Role, path: str, body: Mapping[str, Any] | None = None) -> tuple[int, str]:
        """Return status and text of an answer; POST when there is a body."""
        url = f"http://{self.sandbox.ip}:{self.ports[role]}{path}"
        method = "GET" if body is None else "POST"
        async with aiohttp.ClientSession() as session, session.request(method, url, json=body) as response:
            return response.status, await response.text()


@pytest.fixture
async def pod() -> AsyncIterator[Answering]:
    """A pod that answers on a loopback address; S3 refuses."""
    sandbox = build_sandbox(behaviour=Behaviour(start_seconds=0, s3="fail403"))
    sandbox.ip = "127.15.255.1"
    sandboxes = {sandbox.ip: sandbox}
    apps = {Role.ENGINE: vllm_surface.build_app(sandboxes), Role.CACHE: lmcache_surface.build_app(sandboxes)}
    listeners = Listeners(apps)
    await listeners.start()
    sandbox.machine.advance(time.time(), sandbox.behaviour)
    ports = {role: _free_port(sandbox.ip) for role in apps}
    await listeners.reconcile(sandbox.ip, ports)
    yield Answering(sandbox, ports)
    await listeners.close()


def _free_port(ip: str) -> int:
    with socket.socket() as probe:
        probe.bind((ip, 0))
        port: int = probe.getsockname()[1]
        return port


class TestAnswers:
    @pytest.mark.parametrize(
        ("role", "path", "shape"),
        [
            (Role.ENGINE, "/version", "vllm-version"),
            (Role.ENGINE, "/v1/models", "vllm-models"),
            (Role.CACHE, "/", "lmcache-root"),
            (Role.CACHE, "/healthcheck", "lmcache-healthcheck"),
            (Role.CACHE, "/status", "lmcache-status"),
            (Role.CACHE, "/config", "lmcache-config"),
            (Role.CACHE, "/config/adapters", "lmcache-config-adapters"),
        ],
    )
    async def test_documents_have_the_recorded_shape(self, pod: Answering, role: Role, path: str, shape: str) -> None:
        # The recorded /status is that of a server with an engine that has served.
        await pod.ask(Role.ENGINE, "/v1/completions", {"prompt": TEXT})
        status, text = await pod.ask(role, path)
        assert status == 200
        assert collect_paths(json.loads(text)) == set(load_shape(shape))

    async def test_metrics_have_the_recorded_names_and_labels(self, pod: Answering) -> None:
        idle = collect_series((await pod.ask(Role.CACHE, "/metrics"))[1])
        assert idle == load_shape("lmcache-idle-metrics")
        assert collect_series((await pod.ask(Role.ENGINE, "/metrics"))[1]) == load_shape("vllm-metrics")

    async def test_versions(self, pod: Answering) -> None:
        assert await pod.ask(Role.CACHE, "/version") == (200, '"0.5.6-g3e11e108"')
        assert await pod.ask(Role.CACHE, "/lmc_version") == (200, '"0.5.6"')
        assert await pod.ask(Role.ENGINE, "/version") == (200, '{"version": "0.32.0"}')

    async def test_second_completion_is_cached_and_answers_the_same(self, pod: Answering) -> None:
        body = {"model": "pub", "prompt": TEXT, "max_tokens": 4}
        first, second = [json.loads((await pod.ask(Role.ENGINE, "/v1/completions", body))[1]) for _ in range(2)]
        assert first["usage"]["prompt_tokens_details"] == {"cached_tokens": 0}
        assert second["usage"]["prompt_tokens_details"] == {"cached_tokens": 512}
        assert first["choices"][0]["text"] == second["choices"][0]["text"]
        engine = pod.sandbox.engine
        assert engine is not None
        assert engine.tally.value("vllm:external_prefix_cache_hits_total") == 512
        assert engine.tally.value("vllm:prompt_tokens_by_source_total") == 1400
        assert engine.tally.value("vllm:request_success_total", finished_reason="length") == 2

    async def test_stream(self, pod: Answering) -> None:
        body = {
            "messages": [{"role": "user", "content": "hello"}],
            "max_tokens": 3,
            "stream": True,
            "stream_options": {"include_usage": True},
        }
        _, text = await pod.ask(Role.ENGINE, "/v1/chat/completions", body)
        *events, done = [line.removeprefix("data: ") for line in text.split("\n\n") if line]
        assert done == "[DONE]"
        assert [json.loads(item)["choices"][0]["finish_reason"] for item in events[:-1]] == [None, None, "length"]
        assert json.loads(events[-1])["usage"]["completion_tokens"] == 3

    @pytest.mark.parametrize(
        ("body", "expected"),
        [({"model": "other", "prompt": "x"}, 404), ({"prompt": "x" * 50_000}, 400), ({"prompt": ""}, 400)],
    )
    async def test_bad_requests(self, pod: Answering, body: dict[str, Any], expected: int) -> None:
        status, text = await pod.ask(Role.ENGINE, "/v1/completions", body)
        assert (status, json.loads(text)["error"]["code"]) == (expected, expected)

    async def test_requests_while_draining_are_aborted_and_health_stays(self, pod: Answering) -> None:
        assert pod.sandbox.engine is not None
        pod.sandbox.engine.draining = True
        status, text = await pod.ask(Role.ENGINE, "/v1/completions", {"prompt": TEXT})
        assert (status, json.loads(text)["choices"][0]["finish_reason"]) == (200, "abort")
        assert (await pod.ask(Role.ENGINE, "/health"))[0] == 200

    async def test_open_breaker_shows_in_status_alone(self, pod: Answering) -> None:
        pod.sandbox.show(Behaviour(breaker_open=True))
        status = json.loads((await pod.ask(Role.CACHE, "/status"))[1])
        assert not status["is_healthy"]
        assert not status["storage_manager"]["is_healthy"]
        assert status["storage_manager"]["l2_adapters"][0]["connection_disabled"]
        assert (await pod.ask(Role.CACHE, "/healthcheck"))[0] == 200
        assert (await pod.ask(Role.CACHE, "/cache/objects"))[0] == 500

    async def test_altered_reports(self, pod: Answering) -> None:
        paths = {"mp.chunk_size": 512, "storage_manager.l2_adapters.0.endpoint": "elsewhere", "no.such": 1}
        pod.sandbox.show(Behaviour.model_validate({"alteredConfig": paths, "versionOverride": {"vllm": "0.1"}}))
        config = json.loads((await pod.ask(Role.CACHE, "/config"))[1])
        status = json.loads((await pod.ask(Role.CACHE, "/status"))[1])
        assert config["mp"]["chunk_size"] == 512
        assert (status["chunk_size"], "no" in status) == (256, False)
        assert status["storage_manager"]["l2_adapters"][0]["endpoint"] == "elsewhere"
        assert await pod.ask(Role.ENGINE, "/version") == (200, '{"version": "0.1"}')

    async def test_hang_ends_with_the_behaviour(self, pod: Answering) -> None:
        pod.sandbox.show(Behaviour(hang_http=True))
        waiting = asyncio.create_task(pod.ask(Role.ENGINE, "/health"))
        done, _ = await asyncio.wait({waiting}, timeout=0.2)
        assert not done
        pod.sandbox.show(Behaviour())
        assert (await waiting)[0] == 200
