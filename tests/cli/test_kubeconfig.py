"""Cluster and namespace are chosen as kubectl chooses them; a kubeconfig of no use is named."""

import os
from pathlib import Path
from typing import Any

import pytest
import yaml

from inference_cache.cli.failure import CommandError
from inference_cache.cli.kubeconfig import choose_access


def _write(path: Path, current: str | None, **namespaces: str | None) -> Path:
    contexts: list[dict[str, Any]] = [
        {"name": name, "context": {"cluster": name, "user": name, **({"namespace": space} if space else {})}}
        for name, space in namespaces.items()
    ]
    path.write_text(yaml.safe_dump({"contexts": contexts, **({"current-context": current} if current else {})}))
    return path


def test_current_context_gives_the_namespace(tmp_path: Path) -> None:
    path = _write(tmp_path / "a", "one", one="team", two=None)
    access = choose_access(path, None, {})
    assert (access.context, access.namespace, access.flags) == ("one", "team", ("--kubeconfig", str(path)))
    assert choose_access(path, "two", {}).namespace == "default"
    assert choose_access(path, "two", {}).flags[-2:] == ("--context", "two")


def test_environment_is_used_without_flags_and_needs_none_in_commands(tmp_path: Path) -> None:
    path = _write(tmp_path / "a", "one", one="team")
    access = choose_access(None, None, {"KUBECONFIG": str(path)})
    assert (access.files, access.flags) == ((str(path),), ())


def test_first_file_that_names_a_context_wins(tmp_path: Path) -> None:
    paths = (
        _write(tmp_path / "a", None, one="a"),
        _write(tmp_path / "b", "two", two="b"),
        _write(tmp_path / "c", "three", three="c", one="x"),
    )
    access = choose_access(None, None, {"KUBECONFIG": os.pathsep.join([*map(str, paths), str(tmp_path / "absent")])})
    assert (access.context, access.namespace) == ("two", "b")
    assert choose_access(None, "one", {"KUBECONFIG": os.pathsep.join(map(str, paths))}).namespace == "a"


def test_client_library_is_led_to_the_chosen_context(tmp_path: Path) -> None:
    paths = (_write(tmp_path / "a", "one", one="a"), _write(tmp_path / "b", "two", two="b"))
    access = choose_access(None, None, {"KUBECONFIG": os.pathsep.join(map(str, paths))})
    with access.open_kubeconfig() as path:
        *files, overlay = str(path).split(os.pathsep)
        assert files == [str(item) for item in paths]
        assert yaml.safe_load(Path(overlay).read_text()) == {"current-context": "one"}
    assert not Path(overlay).exists()
    with choose_access(paths[0], None, {}).open_kubeconfig() as path:
        assert path == paths[0]


def test_pod_speaks_for_itself_where_there_is_no_kubeconfig(tmp_path: Path) -> None:
    inside = {"KUBECONFIG": str(tmp_path / "absent"), "KUBERNETES_SERVICE_HOST": "10.0.0.1"}
    access = choose_access(None, None, inside)
    with access.open_kubeconfig() as path:
        assert path is None
    with pytest.raises(CommandError, match="no kubeconfig"):
        choose_access(tmp_path / "absent", None, inside)


def test_useless_kubeconfigs_are_named_with_what_to_do(tmp_path: Path) -> None:
    broken, empty = tmp_path / "broken", tmp_path / "empty"
    broken.write_text("a: [")
    empty.write_text("")
    nowhere = _write(tmp_path / "nowhere", None, one=None, two=None)
    cases = {
        (tmp_path / "absent", None): "does not exist. Set KUBECONFIG",
        (broken, None): "cannot be read",
        (empty, None): "is empty or no mapping",
        (nowhere, None): "names no current context. Use --context with one of: one, two",
        (nowhere, "three"): "has no context three. Use --context with one of: one, two",
    }
    for (path, context), words in cases.items():
        with pytest.raises(CommandError) as error:
            choose_access(path, context, {})
        assert words in str(error.value)
