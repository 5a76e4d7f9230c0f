"""The simulator without Kubernetes: command lines, the cache tiers, crash loops, behaviours, addresses."""

import json
import re
import socket
import time
from typing import Any

import pytest
from pydantic import ValidationError

from e2e.simulator.addresses import AddressesExhaustedError, AddressPool
from e2e.simulator.arguments import CommandError, find_command, parse_cache, parse_engine
from e2e.simulator.behaviours import Behaviour, Behaviours, ContainerBehaviour, Crash, Match, Rule
from e2e.simulator.cache_server import CacheServer, Layout
from e2e.simulator.chunks import hash_chunks, split_tokens
from e2e.simulator.machine import Phase, Role
from e2e.simulator.pod_status import build_status
from e2e.simulator.sandbox import Sandbox

ADAPTER = {
    "type": "s3",
    "s3_endpoint": "s3://kv-a.s3.internal:9000",
    "s3_region": "us-east-1",
    "disable_tls": True,
    "s3_prefer_http2": False,
    "shared": True,
}
CACHE = ["--http-host=0.0.0.0", "--http-port=8080", "--l1-size-gb=1", "--eviction-policy=LRU", "--chunk-size=256"]
S3 = f"--l2-adapter={json.dumps(ADAPTER)}"
TRANSFER = '--kv-transfer-config={"kv_connector":"LMCacheMPConnector","kv_role":"kv_both"}'
ENGINE = ["/models/fp-1/model", "--served-model-name=pub", "--enable-prompt-tokens-details", TRANSFER]
KEYS = {"AWS_ACCESS_KEY_ID": "A", "AWS_SECRET_ACCESS_KEY": "not-to-be-shown"}
TEXT = "abcd" * 700
LAYOUT = Layout("/models/fp-1/model", "01000100")


def build_pod(engine: list[str] | None = None, cache: list[str] | None = None) -> dict[str, Any]:
    caches = {
        "name": "cache",
        "image": "lab/engine:1",
        "restartPolicy": "Always",
        "command": ["lmcache", "server"],
        "args": [*CACHE, S3] if cache is None else cache,
    }
    engines = {"name": "engine", "image": "lab/engine:1", "command": ["vllm", "serve"], "args": engine or ENGINE}
    weights = {"name": "weights", "image": "lab/engine:1", "command": ["hf", "download"]}
    return {
        "metadata": {"namespace": "ns", "name": "pod-0", "uid": "u-1", "generation": 1},
        "spec": {"nodeName": "n", "initContainers": [weights, caches], "containers": [engines]},
    }


def build_sandbox(pod: dict[str, Any] | None = None, behaviour: Behaviour | None = None) -> Sandbox:
    sandbox = Sandbox(pod or build_pod(), default_start_seconds=1.0, time_scale=1.0)
    sandbox.environments["cache"] = dict(KEYS)
    sandbox.show(behaviour or Behaviour())
    return sandbox


def build_server(behaviour: Behaviour | None = None, *extra: str) -> CacheServer:
    shown = behaviour or Behaviour()
    return CacheServer(parse_cache([*CACHE, S3, *extra]), KEYS, lambda: shown, 1.0)


class TestCommandLines:
    @pytest.mark.parametrize("flag", [["--max-model-len", "4096"], ["--max-model-len=4096"], ["--max_model_len=4096"]])
    def test_every_spelling_of_an_option(self, flag: list[str]) -> None:
        assert parse_engine(["/m", *flag]).max_model_len == 4096

    def test_model_as_option_and_served_name_by_default(self) -> None:
        arguments = parse_engine(["--enable-prefix-caching", "--model", "/m", "-tp", "8"])
        assert (arguments.model, arguments.served_name, arguments.kv_rank) == ("/m", "/m", "08000800")

    @pytest.mark.parametrize(
        "container",
        [
            {"command": ["vllm", "serve"], "args": ["/m", "--port=1"]},
            {"command": ["numactl", "-N", "0", "/opt/bin/vllm", "serve", "/m"], "args": ["--port=1"]},
            {"command": ["sh", "-c"], "args": ["exec vllm serve /m --port=1"]},
        ],
    )
    def test_program_behind_a_launcher(self, container: dict[str, Any]) -> None:
        words = find_command(container, "vllm", "serve")
        assert words is not None
        assert (parse_engine(words).model, parse_engine(words).port) == ("/m", 1)

    def test_another_program(self) -> None:
        assert find_command({"command": ["hf", "download"], "args": ["a/b"]}, "vllm", "serve") is None

    @pytest.mark.parametrize(
        ("flags", "exit_code"),
        [
            (["--kv-transfer-config={"], 2),
            (['--kv-transfer-config={"kv_connector":"LMCacheMPConnector"}'], 1),
            (["--max-model-len=long"], 2),
        ],
    )
    def test_engine_refuses(self, flags: list[str], exit_code: int) -> None:
        with pytest.raises(CommandError) as caught:
            parse_engine(["/m", *flags])
        assert caught.value.exit_code == exit_code

    @pytest.mark.parametrize(
        ("words", "exit_code"),
        [
            (["--eviction-policy=LRU"], 2),
            ([*CACHE, "--l2-adapter={"], 2),
            ([*CACHE, '--l2-adapter={"s3_endpoint":"a"}'], 2),
            ([*CACHE, '--l2-adapter={"type":"s3"}'], 1),
        ],
    )
    def test_cache_server_refuses(self, words: list[str], exit_code: int) -> None:
        with pytest.raises(CommandError) as caught:
            parse_cache(words)
        assert caught.value.exit_code == exit_code

    def test_endpoint_gives_bucket_and_address(self) -> None:
        adapter = parse_cache([*CACHE, S3]).adapters[0]
        assert (adapter.bucket, adapter.base_url) == ("kv-a", "http://s3.internal:9000")


class TestChunks:
    def test_equal_prefixes_have_equal_hashes_and_later_ones_differ(self) -> None:
        first, second = hash_chunks(split_tokens(TEXT), 256), hash_chunks(split_tokens(TEXT[:1500] + "X" * 1300), 256)
        assert len(first) == len(second) == 2
        assert first[0] == second[0]
        assert first[1] != second[1]
        assert re.fullmatch("[0-9a-f]{64}", first[0])

    def test_token_ids(self) -> None:
        assert len(hash_chunks(split_tokens(list(range(1000))), 256)) == 3


class TestCacheTiers:
    async def test_dram_hits_after_a_store(self) -> None:
        server = build_server(Behaviour(s3="fail403"))
        hashes = hash_chunks(split_tokens(TEXT), 256)
        assert await server.look_up(LAYOUT, hashes) == 0
        server.store(LAYOUT, hashes)
        assert await server.look_up(LAYOUT, hashes) == 2
        assert await server.look_up(Layout(LAYOUT.model, LAYOUT.kv_rank, "tenant"), hashes) == 0
        assert server.clear() == 2
        assert await server.look_up(LAYOUT, hashes) == 0
        await server.settle()

    async def test_refusals_leave_a_gap_between_submitted_and_completed_and_stay_healthy(self) -> None:
        server = build_server(Behaviour(s3="fail403"))
        for prompt in ("a", "b", "c", "d"):
            hashes = hash_chunks(split_tokens(prompt * 2048), 256)
            await server.look_up(LAYOUT, hashes)
            server.store(LAYOUT, hashes)
            await server.settle()
        assert server.tally.value("lmcache_mp_l2_store_submitted_objects_chunks_total") == 8
        assert server.tally.value("lmcache_mp_l2_store_completed_objects_chunks_total") == 0
        assert server.healthy
        assert server.stores[0].failures == 0

    async def test_three_failed_connections_open_the_breaker_for_good(self) -> None:
        told = [Behaviour(s3="refused")]
        server = CacheServer(parse_cache([*CACHE, S3]), KEYS, lambda: told[0], 1.0)
        seen = []
        for prompt in ("a", "b"):
            hashes = hash_chunks(split_tokens(prompt * 2048), 256)
            await server.look_up(LAYOUT, hashes)
            server.store(LAYOUT, hashes)
            await server.settle()
            seen.append((server.stores[0].failures, server.healthy))
        assert seen == [(2, True), (3, False)]
        told[0] = Behaviour()
        assert not server.healthy

    async def test_a_closed_port_counts_as_a_failed_connection(self, monkeypatch: pytest.MonkeyPatch) -> None:
        with socket.socket() as held:
            held.bind(("127.0.0.1", 0))
            # Bound but not listening: connections are refused, and nobody else can take the port.
            monkeypatch.setenv("HTTP_PROXY", f"http://127.0.0.1:{held.getsockname()[1]}")
            server = build_server()
            await server.look_up(LAYOUT, ["0" * 64])
        assert server.stores[0].failures == 1

    async def test_dram_evicts_the_oldest(self) -> None:
        server = build_server(Behaviour(s3="fail403"))
        room = server.arguments.l1_bytes // server.chunk_bytes
        hashes = [f"{index:064x}" for index in range(room)]
        for item in hashes:
            server.store(LAYOUT, [item])
        await server.settle()
        assert server.objects < room
        assert await server.look_up(LAYOUT, hashes[:1]) == 0
        assert await server.look_up(LAYOUT, hashes[-1:]) == 1

    def test_credentials_are_needed_and_not_shown(self) -> None:
        with pytest.raises(CommandError, match="AWS_ACCESS_KEY_ID"):
            CacheServer(parse_cache([*CACHE, S3]), {}, Behaviour, 1.0)
        sandbox = build_sandbox()
        sandbox.machine.advance(10.0, sandbox.behaviour)
        assert sandbox.cache is not None
        assert KEYS["AWS_SECRET_ACCESS_KEY"] not in str(sandbox.describe())
        assert KEYS["AWS_SECRET_ACCESS_KEY"] not in repr(sandbox.cache.stores[0].__dict__)


class TestMachine:
    def test_start_in_the_order_of_the_kubelet(self) -> None:
        sandbox = build_sandbox(behaviour=Behaviour(init_seconds=5, start_seconds=3))
        machine, behaviour = sandbox.machine, sandbox.behaviour
        assert machine.advance(100.0, behaviour) == 105.0
        assert [item.phase for item in machine.containers] == [Phase.RUNNING, Phase.WAITING, Phase.WAITING]
        assert machine.advance(105.0, behaviour) == 108.0
        assert [item.phase for item in machine.containers] == [Phase.TERMINATED, Phase.RUNNING, Phase.RUNNING]
        assert sandbox.ports() == {Role.CACHE: 8080}
        assert machine.advance(108.0, behaviour) is None
        assert sandbox.ports() == {Role.CACHE: 8080, Role.ENGINE: 8000}

    def test_crash_loop_waits_longer_each_time_and_ends_with_the_behaviour(self) -> None:
        sandbox = build_sandbox()
        sandbox.machine.advance(0.0, sandbox.behaviour)
        sandbox.machine.advance(1.0, sandbox.behaviour)
        assert sandbox.engine is not None
        crash = Behaviour(engine=ContainerBehaviour(crash=Crash(exit_code=137, reason="OOMKilled", source="a")))
        assert sandbox.machine.advance(2.0, crash) == 12.0
        assert sandbox.machine.advance(12.0, crash) == 32.0
        status = build_status(sandbox.pod, sandbox.machine, "10.0.0.1", "127.0.0.9", 12.0)
        engine = status["containerStatuses"][0]
        assert engine["state"]["waiting"]["reason"] == "CrashLoopBackOff"
        assert engine["lastState"]["terminated"]["exitCode"] == 137
        assert engine["lastState"]["terminated"]["reason"] == "OOMKilled"
        assert (engine["restartCount"], engine["ready"], status["phase"]) == (2, False, "Running")
        assert {item["type"]: item["status"] for item in status["conditions"]}["Ready"] == "False"
        sandbox.machine.advance(32.0, Behaviour())
        sandbox.machine.advance(33.0, Behaviour())
        assert sandbox.engine is not None

    def test_a_crash_counted_out_does_not_come_back(self) -> None:
        sandbox = build_sandbox()
        once = Behaviour(engine=ContainerBehaviour(crash=Crash(times=1, after_seconds=0.5, source="a")))
        assert sandbox.machine.advance(0.0, once) == 0.5
        assert sandbox.machine.advance(0.5, once) == 1.5
        assert sandbox.machine.advance(1.5, once) is None
        assert sandbox.engine is not None

    def test_a_serving_engine_survives_its_cache_server_and_a_starting_one_does_not(self) -> None:
        broken = Behaviour(cache=ContainerBehaviour(crash=Crash(source="a")))
        sandbox = build_sandbox()
        for now in (0.0, 1.0):
            sandbox.machine.advance(now, sandbox.behaviour)
        sandbox.machine.advance(2.0, broken)
        assert sandbox.cache is None
        assert sandbox.engine is not None
        fresh = build_sandbox()
        for now in (0.0, 0.5, 1.0):
            fresh.machine.advance(now, broken if now else fresh.behaviour)
        engine = fresh.machine.find(Role.ENGINE)
        assert engine is not None
        assert engine.last_ended is not None
        assert engine.last_ended.exit_code == 1

    @pytest.mark.parametrize(
        ("pod", "name", "exit_code"),
        [
            (build_pod(cache=["--l1-size-gb=1"]), "cache", 2),
            (build_pod(engine=["/m", "--kv-transfer-config={"]), "engine", 2),
        ],
    )
    def test_refused_arguments_crash_the_container(self, pod: dict[str, Any], name: str, exit_code: int) -> None:
        sandbox = build_sandbox(pod)
        sandbox.machine.advance(0.0, sandbox.behaviour)
        container = next(item for item in sandbox.machine.containers if item.name == name)
        assert container.last_ended is not None
        assert (container.reason, container.last_ended.exit_code) == ("CrashLoopBackOff", exit_code)
        assert sandbox.engine is None

    def test_a_missing_secret_keeps_the_container_from_starting(self) -> None:
        sandbox = build_sandbox()
        sandbox.machine.containers[1].config_error = 'secret "s3" not found'
        sandbox.machine.advance(0.0, sandbox.behaviour)
        status = build_status(sandbox.pod, sandbox.machine, "10.0.0.1", "127.0.0.9", 0.0)
        assert status["initContainerStatuses"][1]["state"]["waiting"]["reason"] == "CreateContainerConfigError"
        assert status["phase"] == "Pending"

    def test_adopted_containers_go_on(self) -> None:
        first = build_sandbox()
        for now in (0.0, 1.0):
            first.machine.advance(now, first.behaviour)
        status = build_status(first.pod, first.machine, "10.0.0.1", "127.0.0.9", 1.0)
        second = build_sandbox(first.pod | {"status": status})
        second.adopt()
        second.machine.advance(time.time(), second.behaviour)
        assert second.engine is not None
        assert [item.restarts for item in second.machine.containers] == [0, 0, 0]


class TestBehaviours:
    def test_the_latest_match_wins_field_by_field(self) -> None:
        rules = Behaviours()
        first = Behaviour(start_seconds=5, engine=ContainerBehaviour(crash=Crash()))
        rules.put("a", Rule(behaviour=first))
        rules.put("b", Rule(match=Match(pod="^pod-"), behaviour=Behaviour(start_seconds=7)))
        rules.put("c", Rule(match=Match(namespace="other"), behaviour=Behaviour(start_seconds=9)))
        shown = rules.resolve(build_pod())
        assert shown.start_seconds == 7
        assert shown.engine.crash is not None
        rules.delete("b")
        assert rules.resolve(build_pod()).start_seconds == 5

    def test_a_behaviour_put_again_crashes_anew(self) -> None:
        rules = Behaviours()
        sources = set()
        for _ in range(2):
            rules.put("a", Rule(behaviour=Behaviour(engine=ContainerBehaviour(crash=Crash(times=1)))))
            crash = rules.resolve(build_pod()).engine.crash
            assert crash is not None
            sources.add(crash.source)
        assert len(sources) == 2

    @pytest.mark.parametrize(("match", "expected"), [({"image": "engine:1"}, True), ({"args": "fp-2"}, False)])
    def test_matching(self, match: dict[str, str], *, expected: bool) -> None:
        assert Match.model_validate(match).matches(build_pod()) is expected

    @pytest.mark.parametrize("document", [{"behaviour": {"startSecond": 1}}, {"match": {"pod": "("}, "behaviour": {}}])
    def test_mistakes_are_refused(self, document: dict[str, Any]) -> None:
        with pytest.raises(ValidationError):
            Rule.model_validate(document)


class TestAddresses:
    def test_upwards_in_the_upper_half_without_quick_reuse(self) -> None:
        pool = AddressPool("127.16.0.0/24")
        first = pool.allocate()
        pool.release(first)
        assert (first, pool.allocate()) == ("127.16.0.128", "127.16.0.129")

    def test_held_addresses_are_left_alone_until_all_are_gone(self) -> None:
        pool = AddressPool("127.16.0.0/29")
        assert pool.take("127.16.0.5")
        assert not pool.take("127.16.0.5")
        assert not pool.take("10.0.0.1")
        assert {pool.allocate(), pool.allocate()} == {"127.16.0.4", "127.16.0.6"}
        with pytest.raises(AddressesExhaustedError):
            pool.allocate()
