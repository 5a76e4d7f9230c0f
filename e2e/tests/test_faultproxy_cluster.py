"""The fault proxy before the real servers: an API server with its async client and kubectl, an S3 server with boto3."""

import asyncio
import json
import os
import ssl
import subprocess
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import boto3
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError
from kubernetes.aio import client as kube
from kubernetes.aio import config as kube_config

from e2e.faultproxy import (
    AnswerStatus,
    Delay,
    DropAfter,
    DropBefore,
    DupEvents,
    ErrorEvent,
    EventFilter,
    FaultProxy,
    ForwardRoutes,
    FreezeWatch,
    Match,
    ProxyServer,
    ReverseRoute,
    Rule,
    SkipEvents,
    StallHeaders,
    Truncate,
    write_kubeconfig,
)
from e2e.rig import Rig

DEADLINE_S = 15.0
NAMESPACE = "default"
WATCHES = Match(verbs=("WATCH",), resource="configmaps")


@pytest.fixture
async def proxy(rig: Rig) -> AsyncIterator[ProxyServer]:
    async with ProxyServer(ReverseRoute.to_kubeconfig(rig.cluster.kubeconfig)) as server:
        yield server


@pytest.fixture
async def api(rig: Rig, proxy: ProxyServer, tmp_path: Path) -> AsyncIterator[Any]:
    kubeconfig = write_kubeconfig(rig.cluster.kubeconfig, tmp_path / "kubeconfig", proxy.url)
    settings = kube.Configuration()
    await kube_config.load_kube_config(str(kubeconfig), client_configuration=settings)
    async with kube.ApiClient(settings) as client:
        yield kube.CoreV1Api(client)


@pytest.fixture
def name(rig: Rig, request: pytest.FixtureRequest) -> str:
    """Return the name of a ConfigMap that does not exist yet."""
    text = f"{request.node.name}".lower().replace("_", "-").partition("[")[0][:50].strip("-")
    rig.cluster.kubectl("delete", "configmap", text, "--namespace", NAMESPACE, "--ignore-not-found")
    return text


async def apply(api: Any, name: str, value: str) -> Any:
    """Apply a ConfigMap server-side, once: no retry hides a fault."""
    body = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}, "data": {"a": value}}
    return await api.patch_namespaced_config_map(
        name,
        NAMESPACE,
        body,
        field_manager="test",
        force=True,
        _content_type="application/apply-patch+yaml",
        _request_timeout=DEADLINE_S,
    )


def stored(rig: Rig, name: str) -> str | None:
    """Return the ConfigMap's value as the API server has it, asked without the proxy."""
    found = rig.cluster.get("configmap", name, "--namespace", NAMESPACE)
    return found["data"]["a"] if found else None


@asynccontextmanager
async def watching(api: Any, name: str) -> AsyncIterator[aiohttp.StreamReader]:
    answer = await api.list_namespaced_config_map_without_preload_content(
        NAMESPACE,
        field_selector=f"metadata.name={name}",
        watch=True,
        _request_timeout=DEADLINE_S,
    )
    try:
        assert answer.status == 200
        yield answer.content
    finally:
        answer.close()


async def next_event(stream: aiohttp.StreamReader) -> tuple[str, str | None]:
    event = json.loads(await stream.readline())
    return event["type"], (event["object"].get("data") or {}).get("a")


async def test_list_watch_and_apply_pass(rig: Rig, proxy: ProxyServer, api: Any, name: str) -> None:
    await apply(api, name, "1")
    listed = await api.list_namespaced_config_map(NAMESPACE)
    assert name in {item.metadata.name for item in listed.items}
    async with watching(api, name) as stream:
        assert await next_event(stream) == ("ADDED", "1")
        await apply(api, name, "2")
        assert await next_event(stream) == ("MODIFIED", "2")
        await api.delete_namespaced_config_map(name, NAMESPACE)
        assert await next_event(stream) == ("DELETED", "2")
    assert stored(rig, name) is None
    records = proxy.requests()
    assert [record.verb for record in records] == ["APPLY", "LIST", "WATCH", "APPLY", "DELETE"]
    assert {(record.group, record.resource, record.namespace) for record in records} == {("", "configmaps", NAMESPACE)}
    assert [record.name for record in records] == [name, "", name, name, name]
    assert [record.status for record in records] == [201, 200, 200, 200, 200]


async def test_a_status_reaches_the_client_as_an_api_error(rig: Rig, proxy: ProxyServer, api: Any, name: str) -> None:
    conflict = AnswerStatus(code=409, reason="Conflict", message="injected")
    proxy.put_rule(Rule(id="conflict", match=Match(verbs=("APPLY",)), action=conflict, times=1))
    with pytest.raises(kube.ApiException, match="injected") as caught:
        await apply(api, name, "1")
    assert caught.value.status == 409
    assert stored(rig, name) is None
    await apply(api, name, "1")
    assert stored(rig, name) == "1"


@pytest.mark.parametrize(("action", "committed"), [(DropBefore(), None), (DropAfter(), "1")])
async def test_a_dropped_write_is_committed_or_not(
    rig: Rig, proxy: ProxyServer, api: Any, name: str, action: DropBefore | DropAfter, committed: str | None
) -> None:
    proxy.put_rule(Rule(id="drop", match=Match(verbs=("write",), name=name), action=action, times=1))
    with pytest.raises(aiohttp.ClientError):
        await apply(api, name, "1")
    assert stored(rig, name) == committed


@pytest.mark.parametrize("when", ["before", "after"])
async def test_a_held_write_is_committed_or_not_until_cleared(
    rig: Rig, proxy: ProxyServer, api: Any, name: str, when: str
) -> None:
    action = StallHeaders.model_validate({"when": when})
    proxy.put_rule(Rule(id="stall", match=Match(verbs=("APPLY",)), action=action))
    writing = asyncio.create_task(apply(api, name, "1"))
    await proxy.wait_fired("stall", timeout_s=DEADLINE_S)
    assert stored(rig, name) == ("1" if when == "after" else None)
    assert not writing.done()
    proxy.clear_rule("stall")
    await writing
    assert stored(rig, name) == "1"


async def test_delay_and_truncation_of_a_list(proxy: ProxyServer, api: Any) -> None:
    proxy.set_rules(
        [
            Rule(id="late", match=Match(verbs=("LIST",)), action=Delay(seconds=0.2), times=1),
            Rule(id="cut", match=Match(verbs=("LIST",)), action=Truncate(after_bytes=20)),
        ]
    )
    await api.list_namespaced_config_map(NAMESPACE)
    with pytest.raises(aiohttp.ClientPayloadError):
        await api.list_namespaced_config_map(NAMESPACE)
    first, second = proxy.requests()
    assert first.duration_s is not None
    assert first.duration_s >= 0.2
    assert second.bytes_sent == 20


async def test_watch_faults(proxy: ProxyServer, api: Any, name: str) -> None:
    await apply(api, name, "1")
    proxy.set_rules(
        [
            Rule(id="expire", match=WATCHES, action=ErrorEvent(after_events=1), times=1),
            Rule(id="skip", match=WATCHES, action=SkipEvents(events=EventFilter(types=("ADDED",))), times=1),
            Rule(id="dup", match=WATCHES, action=DupEvents(events=EventFilter(name=name)), times=1),
        ]
    )
    async with watching(api, name) as stream:
        assert await next_event(stream) == ("ADDED", "1")
        error = json.loads(await stream.readline())
        assert (error["type"], error["object"]["code"]) == ("ERROR", 410)
        assert await stream.readline() == b""
    async with watching(api, name) as stream:
        await proxy.wait_fired("skip", timeout_s=DEADLINE_S)
        await apply(api, name, "2")
        assert await next_event(stream) == ("MODIFIED", "2")
    async with watching(api, name) as stream:
        assert [await next_event(stream) for _ in range(2)] == [("ADDED", "2")] * 2


async def test_an_open_watch_freezes_and_is_closed_when_cleared(proxy: ProxyServer, api: Any, name: str) -> None:
    await apply(api, name, "1")
    async with watching(api, name) as stream:
        assert await next_event(stream) == ("ADDED", "1")
        proxy.put_rule(Rule(id="freeze", match=WATCHES, action=FreezeWatch(), open_streams=True))
        await proxy.wait_fired("freeze", timeout_s=DEADLINE_S)
        await apply(api, name, "2")
        reading = asyncio.create_task(stream.readline())
        done, _ = await asyncio.wait({reading}, timeout=0.3)
        assert not done
        proxy.clear_rule("freeze")
        with pytest.raises(aiohttp.ClientPayloadError):
            await reading


def test_kubectl_through_tls(rig: Rig, tmp_path: Path) -> None:
    cluster = rig.cluster
    tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    tls.load_cert_chain(cluster.authority.with_name("server.crt"), cluster.authority.with_name("server.key"))
    with FaultProxy.start(ReverseRoute.to_kubeconfig(cluster.kubeconfig), tls=tls) as proxy:
        through = write_kubeconfig(
            cluster.kubeconfig, tmp_path / "kubeconfig", proxy.url, ca_pem_file=cluster.authority
        )
        proxy.put_rule(
            Rule(id="forbid", match=Match(resource="secrets"), action=AnswerStatus(code=403, reason="Forbidden"))
        )

        def kubectl(*arguments: str) -> subprocess.CompletedProcess[str]:
            command = [str(cluster.bin_dir / "kubectl"), f"--kubeconfig={through}", *arguments]
            environment = {key: value for key, value in os.environ.items() if "proxy" not in key.lower()}
            return subprocess.run(command, capture_output=True, text=True, check=False, timeout=30, env=environment)

        nodes = kubectl("get", "nodes", "-o", "name")
        assert nodes.returncode == 0, nodes.stderr
        assert "node/" in nodes.stdout
        assert "injected by the fault proxy" in kubectl("get", "secrets").stderr
        assert any(record.verb == "LIST" and record.resource == "nodes" for record in proxy.requests())


@pytest.fixture
def bucket(rig: Rig) -> str:
    name = "fault-proxy"
    store = rig.cluster.s3.client()
    if name not in {bucket["Name"] for bucket in store.list_buckets()["Buckets"]}:
        rig.cluster.s3.make_bucket(name)
    return name


def test_s3_by_virtual_host_names_without_dns(rig: Rig, bucket: str) -> None:
    s3 = rig.cluster.s3
    route = f".{s3.domain}={s3.endpoint_url.removeprefix('http://')}"
    with FaultProxy.start(ForwardRoutes.parse([route])) as proxy:
        config = Config(
            s3={"addressing_style": "virtual"}, proxies={"http": proxy.url}, retries={"total_max_attempts": 1}
        )
        store = boto3.session.Session().client(
            "s3",
            endpoint_url=f"http://{s3.domain}:7070",
            region_name="us-east-1",
            aws_access_key_id=s3.access_key,
            aws_secret_access_key=s3.secret_key,
            config=config,
        )
        data = os.urandom(3_000_000)
        key = "a folder/ü+c&d.bin"
        store.put_object(Bucket=bucket, Key=key, Body=data)
        assert store.get_object(Bucket=bucket, Key=key)["Body"].read() == data
        assert store.list_objects_v2(Bucket=bucket, Prefix="a folder/")["KeyCount"] == 1
        assert s3.client().head_object(Bucket=bucket, Key=key)["ContentLength"] == len(data)
        assert {record.host for record in proxy.requests()} == {f"{bucket}.{s3.domain}"}
        slow = AnswerStatus(code=503, reason="SlowDown")
        proxy.put_rule(Rule(id="slow", match=Match(verbs=("write",), host=f".{s3.domain}"), action=slow, times=1))
        with pytest.raises(ClientError, match="SlowDown"):
            store.put_object(Bucket=bucket, Key="other", Body=data)
        store.delete_object(Bucket=bucket, Key=key)
        store.close()
