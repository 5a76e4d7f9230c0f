"""The ConfigMap by which users extend the table of versions: how its text is read, and what it may say.

A user's pair names the supported pair whose options it shares, so that every rendered flag still exists in some list.
"""

from dataclasses import replace
from typing import Annotated, Any, Final

import yaml
from pydantic import Field, ValidationError

from inference_cache.api.base import ApiModel
from inference_cache.api.engine import VERSION_PATTERN, EngineImage, Version
from inference_cache.api.hatches import looks_like_credential, may_name_user

from .versions import KnownBad, Span, VersionPair, VersionTable

CONFIG_MAP_NAME: Final = "inference-cache-versions"
CONFIG_MAP_KEY: Final = "versions.yaml"

# Far more than 64 entries of each kind take; the parser needs seconds for a whole ConfigMap of 1 MiB.
_MOST_CHARACTERS: Final = 64 * 1024
_MOST_DEPTH: Final = 8

_MOST_ENTRIES: Final = 64
_KNOWN_BAD: Final = "knownBad"
_MOST_SHOWN: Final = 300

_OpenVersion = Annotated[str, Field(pattern=f"^$|{VERSION_PATTERN}", max_length=32)]


class _SameOptions(ApiModel):
    vllm: Version
    lmcache: Version


class _Pair(ApiModel):
    vllm: Version
    lmcache: Version
    options_of: _SameOptions
    image: EngineImage | None = None
    key_format: Annotated[str, Field(min_length=1, max_length=64, pattern="^[a-z0-9][-a-z0-9./+]*$")] | None = None


class _Range(ApiModel):
    from_: Annotated[_OpenVersion, Field(alias="from")] = ""
    before: _OpenVersion = ""


class _Bad(ApiModel):
    vllm: _Range = _Range()
    lmcache: _Range = _Range()
    effect: Annotated[str, Field(min_length=1, max_length=300)]
    issue: Annotated[str, Field(min_length=1, max_length=200)]


class _Extension(ApiModel):
    pairs: Annotated[list[_Pair], Field(default_factory=list, max_length=_MOST_ENTRIES)]
    known_bad: Annotated[list[_Bad], Field(default_factory=list, max_length=_MOST_ENTRIES)]


def extend_table(table: VersionTable, text: str) -> tuple[VersionTable, list[str]]:
    """Return the table with what the text adds, and what is wrong with the text.

    A text with a fault adds no pair at all: half an extension would be worse than none. Its entries of known-bad versions
    that are in order hold nevertheless, as they keep harm away; they also bar a built-in pair.
    """
    try:
        document = _load(text)
    except yaml.YAMLError as error:
        shown = " ".join(str(error).split())
        return table, [f"{CONFIG_MAP_KEY} cannot be read: {shown[:_MOST_SHOWN]}"]
    try:
        extension = _Extension.model_validate(document, by_alias=True, by_name=False)
    except ValidationError as error:
        return _bar(table, _salvage_known_bad(document)), [_describe(item) for item in error.errors(include_url=False)]
    pairs, faults = _collect_pairs(table, extension.pairs)
    if faults:
        return _bar(table, extension.known_bad), faults
    own = {(pair.vllm, pair.lmcache): pair for pair in pairs}
    # A pair that was the user's first and came with an upgrade then stays as the user has it, at the place in the table.
    kept = [own.pop((pair.vllm, pair.lmcache), pair) for pair in table.pairs]
    return _bar(replace(table, pairs=(*kept, *own.values())), extension.known_bad), []


def _collect_pairs(table: VersionTable, items: list[_Pair]) -> tuple[list[VersionPair], list[str]]:
    pairs: list[VersionPair] = []
    faults: list[str] = []
    for number, item in enumerate(items):
        built_in = table.find(item.vllm, item.lmcache)
        base = built_in or table.find(item.options_of.vllm, item.options_of.lmcache)
        if base is None:
            faults.append(
                f"pairs[{number}].optionsOf: vLLM {item.options_of.vllm} with LMCache {item.options_of.lmcache} is not supported; "
                f"name one of: {table.list_supported()}"
            )
        elif any((pair.vllm, pair.lmcache) == (item.vllm, item.lmcache) for pair in pairs):
            faults.append(
                f"pairs[{number}]: vLLM {item.vllm} with LMCache {item.lmcache} is listed twice; remove one entry"
            )
        else:
            pairs.append(_build_pair(item, base))
    return pairs, faults


def _salvage_known_bad(document: Any) -> list[_Bad]:
    """Return the entries of known-bad versions that are in order, of a document that is not."""
    items = document.get(_KNOWN_BAD) if isinstance(document, dict) else None
    found: list[_Bad] = []
    for item in items[:_MOST_ENTRIES] if isinstance(items, list) else []:
        try:
            found.append(_Bad.model_validate(item, by_alias=True, by_name=False))
        except ValidationError:
            continue
    return found


def _bar(table: VersionTable, items: list[_Bad]) -> VersionTable:
    added = tuple(
        KnownBad(
            Span(item.vllm.from_, item.vllm.before),
            Span(item.lmcache.from_, item.lmcache.before),
            item.effect,
            item.issue,
        )
        for item in items
    )
    return replace(table, known_bad=(*added, *table.known_bad)) if added else table


class _Loader(yaml.BaseLoader):
    """Takes every scalar as text, and no key twice: of two lists of pairs, one would be lost without a word."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        mapping: dict[Any, Any] = super().construct_mapping(node, deep=deep)
        if len(mapping) != len(node.value):
            raise yaml.MarkedYAMLError(problem="a key is written twice", problem_mark=node.start_mark)
        return mapping


def _load(text: str) -> Any:
    """Return the document with every scalar as text, as all fields are; an empty one is an empty mapping.

    So tags convert nothing, and merge keys, which make a huge document of a small text, are keys like others. Nesting
    would exhaust the parser's stack.

    Raises:
        yaml.YAMLError: It is no YAML, or more than this extension needs.
    """
    if len(text) > _MOST_CHARACTERS:
        raise yaml.YAMLError(f"{len(text)} characters are more than {_MOST_CHARACTERS}")
    depth = 0
    for event in yaml.parse(text, Loader=yaml.BaseLoader):
        depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
        if depth > _MOST_DEPTH:
            where = f"line {event.start_mark.line + 1}: " if event.start_mark else ""
            raise yaml.YAMLError(f"{where}nested more than {_MOST_DEPTH} deep")
    document = yaml.load(text, Loader=_Loader)  # noqa: S506 - builds text, lists and mappings alone
    return {} if document is None else document


def _build_pair(item: _Pair, base: VersionPair) -> VersionPair:
    # Without a word about it, a new pair begins with a cache of its own: sharing bytes is a claim that someone must make.
    key_format = item.key_format or f"user/vllm-{item.vllm}+lmcache-{item.lmcache}"
    image = item.image or f"docker.io/inferencecache/engine:vllm-{item.vllm}-lmcache-{item.lmcache}"
    return replace(base, vllm=item.vllm, lmcache=item.lmcache, key_format=key_format, default_image=image)


def _describe(item: Any) -> str:
    path = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in item["loc"]).lstrip(".")
    got, value = "", item["input"]
    if isinstance(value, str) and (looks_like_credential(value) or may_name_user(value)):
        got = " (got a value that is not shown, as it may be a credential)"
    elif not isinstance(value, dict | list):
        got = f" (got {value!r})"
    return f"{path or CONFIG_MAP_KEY}: {item['msg']}{got}"[:_MOST_SHOWN]
