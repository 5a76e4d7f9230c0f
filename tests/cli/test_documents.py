"""What files may hold, where fields stand in them, and which error names file, document and line."""

import io
from pathlib import Path

import pytest

from inference_cache.cli.documents import Document, read_deployments
from inference_cache.cli.failure import CommandError

HEAD = "apiVersion: inferencecache.io/v1alpha1\nkind: InferenceCacheDeployment\n"
OTHER = "apiVersion: v1\nkind: Service\nmetadata: {name: web}\n"


def _write(path: Path, text: str) -> str:
    path.write_text(text, encoding="utf-8")
    return str(path)


def _read(folder: Path, text: str) -> list[Document]:
    return read_deployments([_write(folder / "x.yaml", text)])


def test_documents_of_a_file_are_numbered_and_others_are_noted(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    found = _read(tmp_path, f"---\n{OTHER}---\n{HEAD}metadata:\n  name: a\n---\n---\n{HEAD}metadata: {{name: b}}\n")
    assert [(item.name, item.number, item.line) for item in found] == [("a", 2, 6), ("b", 4, 12)]
    assert capsys.readouterr().err == f"Ignored: Service web in {tmp_path}/x.yaml, document 1, line 2.\n"


def test_files_folders_and_standard_input_are_read_together(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "folder"
    folder.mkdir()
    _write(folder / "2.yml", f"{HEAD}metadata: {{name: second}}")
    _write(folder / "1.yaml", f"{HEAD}metadata: {{name: first}}")
    _write(
        folder / "3.json",
        '{"apiVersion": "inferencecache.io/v1alpha1", "kind": "InferenceCacheDeployment", "metadata": {"name": "third"}}',
    )
    _write(folder / "notes.txt", "not: [read")
    monkeypatch.setattr("sys.stdin", io.StringIO(f"{HEAD}metadata: {{name: piped}}"))
    single = _write(tmp_path / "single.yaml", f"{HEAD}metadata: {{name: single}}")
    found = read_deployments([single, str(folder), "-"])
    assert [item.name for item in found] == ["single", "first", "second", "third", "piped"]
    assert found[-1].file == "standard input"


def test_list_of_kubectl_is_opened(tmp_path: Path) -> None:
    items = "".join(
        f"- apiVersion: inferencecache.io/v1alpha1\n  kind: InferenceCacheDeployment\n  metadata: {{name: {name}}}\n"
        for name in "ab"
    )
    found = _read(tmp_path, f"apiVersion: v1\nkind: List\nitems:\n{items}")
    assert [(item.name, item.line) for item in found] == [("a", 4), ("b", 7)]


def test_line_of_a_field_or_of_the_nearest_one_around_it(tmp_path: Path) -> None:
    text = f"{HEAD}metadata:\n  name: a\nspec:\n  cache:\n    tiers:\n    - memory:\n        size: 1Gi\n    - objectStore: {{}}\n"
    (document,) = _read(tmp_path, text)
    lines = {
        "spec.cache.tiers[0].memory.size": 9,
        "spec.cache.tiers[1].objectStore": 10,
        "spec.cache.tiers[1].objectStore.region": 10,
        "spec.cache.tiers[7]": 7,
        "spec.model.name": 5,
        "metadata.name": 4,
        "elsewhere": 1,
    }
    assert {path: document.find_line(path) for path in lines} == lines


def test_dates_stay_text_as_in_kubernetes(tmp_path: Path) -> None:
    (document,) = _read(tmp_path, f"{HEAD}spec: {{revision: 2026-01-31, time: 2026-01-31T10:00:00Z}}")
    assert document.body["spec"] == {"revision": "2026-01-31", "time": "2026-01-31T10:00:00Z"}


def _nest(following: str) -> str:
    """Return lines of which each stands for ten times what the one before stands for; REST is where that goes."""
    return "".join(
        f"x{level}: &x{level} {following.replace('REST', ', '.join([f'*x{level - 1}'] * 10))}\n"
        for level in range(1, 12)
    )


ERRORS = {
    "no YAML": (f"{HEAD}spec: [1\nx: 2\n", "x.yaml, document 1, line 4 is not YAML"),
    "no YAML in a later document": (f"{HEAD}---\na: b: c\n", "x.yaml, document 2, line 4 is not YAML"),
    "a tab": (f"{HEAD}spec:\n\ta: 1\n", "line 4 is not YAML"),
    "a key twice": (f"{HEAD}spec:\n  replicas: 1\n  model: {{}}\n  replicas: 2\n", "document 1, line 6: key replicas is on line 4 already. Keep one of them."),
    "a list": ("- 1\n", "document 1, line 1 is no Kubernetes object"),
    "no kind": ("apiVersion: v1\n", "is no Kubernetes object"),
    "another version": (HEAD.replace("v1alpha1", "v9"), "has apiVersion inferencecache.io/v9. Write inferencecache.io/v1alpha1"),
    "a set": (f"{HEAD}spec: !!set {{a, b}}\n", "document 1 holds a value that JSON does not know"),
    "an alias of itself": (f"{HEAD}spec: &x {{a: *x}}\n", "document 1 holds a value that JSON does not know"),
    "an unknown tag": (f"{HEAD}spec: !secret x\n", "document 1, line 3 is not YAML"),
    "aliases of aliases": (f"{HEAD}x0: &x0 [a, b]\n" + _nest("[REST]"), "document 1: its aliases stand for more than 100000 values"),
    "aliases that are merged": (f"{HEAD}x0: &x0 {{a: b}}\n" + _nest("{<<: [REST]}"), "document 1: its aliases stand for more than 100000 values"),
    "aliases of a long text": (f"{HEAD}x: &x {'a' * 100_000}\ny: [{', '.join(['*x'] * 200)}]\n", "document 1: its aliases stand for more than"),
    "a name twice": (f"{HEAD}metadata: {{name: a, namespace: b}}\n---\n{HEAD}metadata: {{name: a, namespace: b}}\n", "InferenceCacheDeployment a in namespace b is written twice: in FOLDER/x.yaml, document 1, line 1, and in FOLDER/x.yaml, document 2, line 5. Keep one"),
    "brackets in brackets": (f"{HEAD}spec: {'[' * 100_000}", "x.yaml, line 3 is nested more than 200 deep"),
    "nothing": ("", "no InferenceCacheDeployment in"),
    "other kinds alone": (OTHER, "no InferenceCacheDeployment in"),
}  # fmt: skip


@pytest.mark.parametrize("case", ERRORS)
def test_error_says_where_and_what_to_do(tmp_path: Path, case: str) -> None:
    text, message = ERRORS[case]
    with pytest.raises(CommandError) as error:
        _read(tmp_path, text)
    assert message.replace("FOLDER", str(tmp_path)) in str(error.value)
    assert error.value.advice


def test_few_aliases_and_many_values_are_taken(tmp_path: Path) -> None:
    many = ", ".join(["1"] * 150_000)
    (document,) = _read(tmp_path, f"{HEAD}x: &x {{a: [1, 2]}}\ny: [*x, *x]\nz: {{<<: *x}}\nmany: [{many}]\n")
    assert (document.body["y"], document.body["z"]) == ([{"a": [1, 2]}] * 2, {"a": [1, 2]})


def test_one_name_in_two_namespaces_and_no_name_twice_are_taken(tmp_path: Path) -> None:
    heads = [f"{HEAD}metadata: {{name: a, namespace: {space}}}\n" for space in "bc"] + [f"{HEAD}metadata: {{}}\n"] * 2
    assert len(_read(tmp_path, "---\n".join(heads))) == 4


def test_object_without_a_name_is_ignored_in_clear_words(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    _read(tmp_path, f"apiVersion: v1\nkind: Foo\n---\n{HEAD}")
    assert capsys.readouterr().err == f"Ignored: Foo in {tmp_path}/x.yaml, document 1, line 1.\n"


def test_unreadable_files_are_named(tmp_path: Path) -> None:
    binary = tmp_path / "binary.yaml"
    binary.write_bytes(b"a: \xff\xfe")
    empty = tmp_path / "empty"
    empty.mkdir()
    for path, words in ((binary, "is not UTF-8 text"), (empty, "holds no"), (tmp_path / "absent", "does not exist")):
        with pytest.raises(CommandError, match=words):
            read_deployments([str(path)])
