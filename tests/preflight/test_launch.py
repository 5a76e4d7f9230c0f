"""The launcher as its container runs it: the server gets its own arguments, the chosen adapter and the chosen variables."""

import json
import resource
from pathlib import Path
from typing import Any, Final

import pytest

from inference_cache.domain import names
from inference_cache.domain.desired.options import build_cache_args
from tests.preflight.container import Container, build_container

_CASE: Final = "rdma-macvlan-plugin"
_ADAPTER: Final = {"type": "plugin", "adapter_params": {"path": "$(DATA)/x", "text": "ü '\""}}


def _build(root: Path, adapter: object, variables: object = None, **environment: str) -> Container:
    container = build_container(root, _CASE, names.CACHE_CONTAINER, **environment)
    container.prepare()
    (container.run_folder / "l2-adapter.json").write_text(json.dumps({"adapter": adapter}), encoding="utf-8")
    chosen = {"variables": {} if variables is None else variables}
    (container.run_folder / "environment.json").write_text(json.dumps(chosen), encoding="utf-8")
    return container


def _launch(container: Container) -> dict[str, Any]:
    code, output = container.finish()
    assert code == 0, output
    return dict(json.loads(output))


def test_adapter_is_added_to_the_rendered_arguments(tmp_path: Path) -> None:
    container = _build(tmp_path, _ADAPTER)
    server, *arguments, adapter = _launch(container)["arguments"]
    assert (server, arguments) == ("server", build_cache_args(container.scope))
    assert json.loads(adapter.removeprefix("--l2-adapter=")) == _ADAPTER


def test_without_an_adapter_nothing_is_added(tmp_path: Path) -> None:
    container = _build(tmp_path, None)
    assert _launch(container)["arguments"] == ["server", *build_cache_args(container.scope)]


def test_server_takes_the_place_of_the_launcher(tmp_path: Path) -> None:
    container = _build(tmp_path, _ADAPTER)
    with container.start() as process:
        output, _ = process.communicate(timeout=30)
    assert json.loads(output)["pid"] == process.pid, "signals must reach the server itself"


def test_server_gets_the_environment_of_its_container_and_what_was_chosen(tmp_path: Path) -> None:
    own = {"PYTHONPATH": "/opt/of-the-image", "UCX_NET_DEVICES": "mlx5_9:1"}
    container = _build(tmp_path, _ADAPTER, {"UCX_NET_DEVICES": "mlx5_2:1"}, **own)
    found = _launch(container)["environment"]
    assert found["PYTHONPATH"] == "/opt/of-the-image"
    assert found["UCX_NET_DEVICES"] == "mlx5_2:1"
    assert found["LMCACHE_TRACK_USAGE"] == "false"


def test_limit_of_locked_memory_is_lifted_as_far_as_it_may_be(tmp_path: Path) -> None:
    _, hard = resource.getrlimit(resource.RLIMIT_MEMLOCK)
    assert _launch(_build(tmp_path, _ADAPTER))["memlock"] == [hard, hard]


def test_restart_finds_the_same_choice(tmp_path: Path) -> None:
    container = _build(tmp_path, _ADAPTER)
    assert _launch(container)["arguments"] == _launch(container)["arguments"]


@pytest.mark.parametrize("name", ["l2-adapter.json", "environment.json"])
@pytest.mark.parametrize(
    ("content", "words"),
    [
        (None, "is not there: the container preflight must have ended well; delete the pod"),
        ("{", "cannot be read (JSONDecodeError)"),
        ("[]", "holds no JSON object"),
        ("{}", "holds no "),
    ],
)
def test_server_is_not_started_without_a_choice(name: str, content: str | None, words: str, tmp_path: Path) -> None:
    container = _build(tmp_path, _ADAPTER)
    path = container.run_folder / name
    if content is None:
        path.unlink()
    else:
        path.write_text(content, encoding="utf-8")
    code, output = container.finish()
    assert code == 1
    assert words in output
    assert str(path) in output


def test_command_that_is_not_in_the_image(tmp_path: Path) -> None:
    container = _build(tmp_path, _ADAPTER)
    with container.start() as process:
        process.communicate(timeout=30)
    (tmp_path / "commands" / "lmcache").unlink()
    container._make_commands = lambda: tmp_path  # type: ignore[method-assign]
    assert container.finish() == (1, "launch: lmcache cannot be started: No such file or directory\n")
