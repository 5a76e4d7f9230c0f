"""Reads deployments and fabrics from files, folders and standard input, and remembers where each field stands.

YAML is read as the API server reads it: dates stay text, and a key that is written twice is an error.
"""

import json
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import yaml

from inference_cache.api.fabric import FABRIC_KIND
from inference_cache.api.v1alpha1 import API_VERSION, GROUP, KIND

from .failure import CommandError
from .output import note

_ENDINGS: Final = (".yaml", ".yml", ".json")
_STDIN: Final = "-"
_TIMESTAMP: Final = "tag:yaml.org,2002:timestamp"
# Far more than deployments have a use for. What an alias stands for is written out again in each of its places.
_MOST_REPEATED: Final = 100_000
_NODE_CHARACTERS: Final = 100
# The library builds nodes by recursion in C, which ends the process where the stack ends.
_MOST_DEPTH: Final = 200


class _Loader(yaml.CSafeLoader):
    """YAML without dates: `revision: 2026-01-31` is text to Kubernetes."""

    yaml_implicit_resolvers = {  # noqa: RUF012 - as the base class declares it
        first: [(tag, pattern) for tag, pattern in resolvers if tag != _TIMESTAMP]
        for first, resolvers in yaml.CSafeLoader.yaml_implicit_resolvers.items()
    }


@dataclass(frozen=True)
class Document:
    """One deployment or fabric as it was written.

    Attributes:
        file: Where it was read from.
        number: Its place in the file, from 1.
        line: The line on which it begins.
    """

    file: str
    number: int
    line: int
    body: dict[str, Any]
    _node: yaml.Node = field(repr=False)

    @property
    def kind(self) -> str:
        """Its kind."""
        return str(self.body["kind"])

    @property
    def name(self) -> str:
        """metadata.name, or an empty text."""
        return str(_metadata(self.body).get("name") or "")

    @property
    def namespace(self) -> str | None:
        """metadata.namespace, None where it is not written."""
        value = _metadata(self.body).get("namespace")
        return None if value is None else str(value)

    @property
    def where(self) -> str:
        """File and document for messages."""
        return f"{self.file}, document {self.number}"

    def find_line(self, path: str) -> int:
        """Return the line of a field such as spec.cache.tiers[1].memory, or of the nearest one around it that is written."""
        node, line = self._node, self.line
        for part in path.replace("[", ".[").split("."):
            found = _find_child(node, part)
            if found is None:
                break
            line, node = found
        return line


@dataclass(frozen=True)
class Documents:
    """What files hold."""

    deployments: list[Document]
    fabrics: list[Document]


def read_documents(files: Sequence[str]) -> Documents:
    """Return every deployment and fabric of the files.

    Raises:
        CommandError: A file cannot be read, is not YAML, none of them holds a deployment or fabric, or two are of one name.
    """
    found: list[Document] = []
    for file, text in _read_texts(files):
        found += _read_documents(file, text)
    if not found:
        raise CommandError(
            f"no {KIND} in {', '.join(files)}",
            f"A deployment begins with apiVersion: {API_VERSION} and kind: {KIND}.",
        )
    _refuse_twins(found)
    kinds = {kind: [item for item in found if item.kind == kind] for kind in (KIND, FABRIC_KIND)}
    return Documents(kinds[KIND], kinds[FABRIC_KIND])


def read_deployments(files: Sequence[str]) -> list[Document]:
    """Return every deployment of the files.

    Raises:
        CommandError: As with `read_documents`, or there are fabrics alone.
    """
    found = read_documents(files).deployments
    if not found:
        raise CommandError(
            f"no {KIND} in {', '.join(files)}", "They hold fabrics alone; name the deployment's file too."
        )
    return found


def _read_texts(files: Sequence[str]) -> Iterator[tuple[str, str]]:
    for file in files:
        if file == _STDIN:
            yield "standard input", sys.stdin.read()
            continue
        path = Path(file)
        if path.is_dir():
            inside = sorted(item for item in path.iterdir() if item.suffix in _ENDINGS and item.is_file())
            if not inside:
                raise CommandError(
                    f"folder {file} holds no {', '.join(_ENDINGS)} file", "Name another folder or a file."
                )
            for item in inside:
                yield str(item), _read_text(item)
        else:
            yield file, _read_text(path)


def _read_text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except FileNotFoundError as error:
        raise CommandError(f"{path} does not exist", "Check the path; - reads standard input.") from error
    except UnicodeDecodeError as error:
        raise CommandError(f"{path} is not UTF-8 text (byte {error.start})", "Save it as UTF-8.") from error
    except OSError as error:
        raise CommandError(f"{path} cannot be read: {error.strerror}", "Check its permissions.") from error


def _read_documents(file: str, text: str) -> Iterator[Document]:
    _refuse_depth(file, text)
    loader = _Loader(text)
    number = 0
    try:
        while loader.check_node():
            number += 1
            node = loader.get_node()
            if node is None:
                continue
            _refuse_duplicates(file, number, node)
            _refuse_expansion(file, number, node)
            body = loader.construct_document(node)
            _refuse_other_values(file, number, body)
            yield from _list_deployments(file, number, node, body)
    except yaml.YAMLError as error:
        raise CommandError(*_describe_error(file, number, error)) from error
    finally:
        loader.dispose()


def _list_deployments(file: str, number: int, node: yaml.Node, body: Any) -> Iterator[Document]:
    if body is None:
        return
    where = f"{file}, document {number}, line {node.start_mark.line + 1}"
    if not isinstance(body, dict) or not isinstance(body.get("kind"), str):
        raise CommandError(f"{where} is no Kubernetes object", f"It needs apiVersion: {API_VERSION} and kind: {KIND}.")
    kind, version = body["kind"], str(body.get("apiVersion", ""))
    if kind == "List" and version == "v1":
        items = _find_child(node, "items")
        for index, item in enumerate(body.get("items") or []):
            child = _find_child(items[1], f"[{index}]") if items else None
            if child is not None:
                yield from _list_deployments(file, number, child[1], item)
        return
    if kind not in {KIND, FABRIC_KIND} or not version.startswith(f"{GROUP}/"):
        note(f"Ignored: {' '.join(filter(None, (kind, str(_metadata(body).get('name') or ''))))} in {where}.")
        return
    if version != API_VERSION:
        raise CommandError(f"{where} has apiVersion {version}", f"Write {API_VERSION}, the one that this icd knows.")
    yield Document(file, number, node.start_mark.line + 1, body, node)


def _refuse_twins(documents: Sequence[Document]) -> None:
    """Refuse a second deployment of a name: of two, a cluster would keep the one that is applied last."""
    seen: dict[tuple[str, str | None, str], Document] = {}
    for item in documents:
        first = seen.setdefault((item.kind, item.namespace, item.name), item)
        if first is item or not item.name:
            continue
        inside = f" in namespace {item.namespace}" if item.namespace else ""
        raise CommandError(
            f"{item.kind} {item.name}{inside} is written twice: in {first.where}, line {first.line}, and in {item.where}, line {item.line}",
            "Keep one of them.",
        )


def _metadata(body: Mapping[str, Any]) -> Mapping[str, Any]:
    found = body.get("metadata")
    return found if isinstance(found, dict) else {}


def _find_child(node: yaml.Node, part: str) -> tuple[int, yaml.Node] | None:
    """Return the line and the node of a field or of a list item such as [1]."""
    if isinstance(node, yaml.MappingNode):
        for key, value in node.value:
            if key.value == part:
                return key.start_mark.line + 1, value
    if isinstance(node, yaml.SequenceNode) and part.startswith("["):
        index = int(part.strip("[]"))
        if index < len(node.value):
            return node.value[index].start_mark.line + 1, node.value[index]
    return None


def _refuse_depth(file: str, text: str) -> None:
    depth = 0
    try:
        for event in yaml.parse(text, Loader=_Loader):
            depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
            if depth > _MOST_DEPTH:
                line = f", line {event.start_mark.line + 1}" if event.start_mark else ""
                problem = f"{file}{line} is nested more than {_MOST_DEPTH} deep"
                raise CommandError(problem, "A deployment is never so deep; look for a bracket that is not closed.")
    except yaml.YAMLError:
        # Told with the number of the document by whoever reads up to that place.
        return


def _refuse_duplicates(file: str, number: int, node: yaml.Node) -> None:
    todo, done = [node], set()
    while todo:
        item = todo.pop()
        if id(item) in done:
            # An alias; it may even be within itself.
            continue
        done.add(id(item))
        if isinstance(item, yaml.SequenceNode):
            todo += item.value
        if not isinstance(item, yaml.MappingNode):
            continue
        lines: Mapping[str, int] = {}
        for key, value in item.value:
            line = key.start_mark.line + 1
            if isinstance(key, yaml.ScalarNode) and key.value in lines and key.value != "<<":
                problem = (
                    f"{file}, document {number}, line {line}: key {key.value} is on line {lines[key.value]} already"
                )
                raise CommandError(problem, "Keep one of them.")
            lines = {**lines, key.value: line} if isinstance(key, yaml.ScalarNode) else lines
            todo.append(value)


def _refuse_expansion(file: str, number: int, root: yaml.Node) -> None:
    """Refuse aliases that make a huge document of a small text, before anything walks through it.

    The graph is walked without its repetitions: each node once, with the size of all that it stands for.
    """
    sizes: dict[int, int] = {}
    written, inside, todo = 0, set[int](), [(root, False)]
    while todo:
        node, done = todo.pop()
        if done:
            inside.discard(id(node))
            own = 1 + (len(node.value) // _NODE_CHARACTERS if isinstance(node, yaml.ScalarNode) else 0)
            written += own
            sizes[id(node)] = own + sum(sizes[id(child)] for child in _list_children(node))
        elif id(node) in inside:
            problem = f"{file}, document {number} holds a value that JSON does not know: an alias within what it stands for (line {node.start_mark.line + 1})"
            raise CommandError(problem, "Write the value out.")
        elif id(node) not in sizes:
            inside.add(id(node))
            todo += [(node, True), *((child, False) for child in _list_children(node))]
    if sizes[id(root)] - written > _MOST_REPEATED:
        problem = f"{file}, document {number}: its aliases stand for more than {_MOST_REPEATED} values"
        raise CommandError(problem, "Write the values out, or use fewer aliases.")


def _list_children(node: yaml.Node) -> list[yaml.Node]:
    if isinstance(node, yaml.MappingNode):
        return [part for pair in node.value for part in pair]
    return list(node.value) if isinstance(node, yaml.SequenceNode) else []


def _refuse_other_values(file: str, number: int, body: Any) -> None:
    """Refuse what YAML can say and JSON cannot, as the API knows JSON only: sets, binary data, aliases of themselves."""
    try:
        json.dumps(body)
    except (TypeError, ValueError, RecursionError) as error:
        problem = f"{file}, document {number} holds a value that JSON does not know: {error}"
        raise CommandError(problem, "Write it as text, number, list or mapping.") from error


def _describe_error(file: str, number: int, error: yaml.YAMLError) -> tuple[str, str]:
    mark = getattr(error, "problem_mark", None)
    line = f", line {mark.line + 1}" if mark is not None else ""
    problem = getattr(error, "problem", None) or " ".join(str(error).split())
    return (
        f"{file}, document {max(number, 1)}{line} is not YAML: {problem}",
        "Check indentation, colons and quotes there.",
    )
