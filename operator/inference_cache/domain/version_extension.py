"""The ConfigMap by which users extend the table of versions: how its text is read, and what it may say.

A user's pair names the supported pair whose options it shares, so that every rendered flag still exists in some list.
"""

from dataclasses import replace
from typing import Annotated, Any, Final

import yaml
from pydantic import Field, ValidationError

from inference_cache.api.base import ApiModel

from .versions import KnownBad, Span, VersionPair, VersionTable

CONFIG_MAP_NAME: Final = "inference-cache-versions"
CONFIG_MAP_KEY: Final = "versions.yaml"

# Far more than 64 entries of each kind take; the parser needs seconds for a whole ConfigMap of 1 MiB.
_MOST_CHARACTERS: Final = 64 * 1024
_MOST_DEPTH: Final = 8

_Version = Annotated[str, Field(pattern=r"^[0-9]+\.[0-9]+\.[0-9]+$", max_length=32)]
_OpenVersion = Annotated[str, Field(pattern=r"^([0-9]+\.[0-9]+\.[0-9]+)?$", max_length=32)]


class _SameOptions(ApiModel):
    vllm: _Version
    lmcache: _Version


class _Pair(ApiModel):
    vllm: _Version
    lmcache: _Version
    options_of: _SameOptions
    image: Annotated[str, Field(min_length=1, max_length=512)] | None = None
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
    pairs: Annotated[list[_Pair], Field(default_factory=list, max_length=64)]
    known_bad: Annotated[list[_Bad], Field(default_factory=list, max_length=64)]


def extend_table(table: VersionTable, text: str) -> tuple[VersionTable, list[str]]:
    """Return the table with what the text adds, and what is wrong with the text.

    A text with a fault adds nothing at all: half an extension would be worse than none. A user's known-bad entry also
    bars a built-in pair; a user's pair never replaces a built-in one.
    """
    try:
        extension = _Extension.model_validate(_load(text), by_alias=True, by_name=False)
    except yaml.YAMLError as error:
        shown = " ".join(str(error).split())
        return table, [f"{CONFIG_MAP_KEY} cannot be read: {shown[:300]}"]
    except ValidationError as error:
        return table, [_describe(item) for item in error.errors(include_url=False)]
    faults: list[str] = []
    pairs: list[VersionPair] = []
    for number, item in enumerate(extension.pairs):
        base = table.find(item.options_of.vllm, item.options_of.lmcache)
        if base is None:
            faults.append(
                f"pairs[{number}].optionsOf: vLLM {item.options_of.vllm} with LMCache {item.options_of.lmcache} is not supported; "
                f"name one of: {table.list_supported()}"
            )
        elif table.find(item.vllm, item.lmcache) is not None:
            faults.append(
                f"pairs[{number}]: vLLM {item.vllm} with LMCache {item.lmcache} is built in; remove the entry"
            )
        elif any((pair.vllm, pair.lmcache) == (item.vllm, item.lmcache) for pair in pairs):
            faults.append(
                f"pairs[{number}]: vLLM {item.vllm} with LMCache {item.lmcache} is listed twice; remove one entry"
            )
        else:
            pairs.append(_build_pair(item, base))
    if faults:
        return table, faults
    added = tuple(
        KnownBad(
            Span(item.vllm.from_, item.vllm.before),
            Span(item.lmcache.from_, item.lmcache.before),
            item.effect,
            item.issue,
        )
        for item in extension.known_bad
    )
    return VersionTable((*table.pairs, *pairs), (*added, *table.known_bad)), []


class _Loader(yaml.BaseLoader):
    """Takes every scalar as text, and no key twice: of two lists of pairs, one would be lost without a word."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        mapping: dict[Any, Any] = super().construct_mapping(node, deep=deep)
        if len(mapping) != len(node.value):
            raise yaml.MarkedYAMLError(problem="a key is written twice", problem_mark=node.start_mark)
        return mapping


def _load(text: str) -> Any:
    """Return the document with every scalar as text, as all fields are; an empty one is an empty mapping.

    Tags have no use here and may end in an error of the parser, nesting would exhaust its stack, and merge keys, which
    this loader takes for ordinary ones, would make a huge document of a small text.

    Raises:
        yaml.YAMLError: It is no YAML, or more than this extension needs.
    """
    if len(text) > _MOST_CHARACTERS:
        raise yaml.YAMLError(f"{len(text)} characters are more than {_MOST_CHARACTERS}")
    depth = 0
    for event in yaml.parse(text, Loader=yaml.BaseLoader):
        if getattr(event, "tag", None):
            raise _refuse(event, "tags are not taken")
        depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
        if depth > _MOST_DEPTH:
            raise _refuse(event, f"nested more than {_MOST_DEPTH} deep")
    document = yaml.load(text, Loader=_Loader)  # noqa: S506 - builds text, lists and mappings alone
    return {} if document is None else document


def _refuse(event: yaml.Event, text: str) -> yaml.YAMLError:
    return yaml.YAMLError(f"line {event.start_mark.line + 1}: {text}" if event.start_mark else text)


def _build_pair(item: _Pair, base: VersionPair) -> VersionPair:
    # Without a word about it, a new pair begins with a cache of its own: sharing bytes is a claim that someone must make.
    key_format = item.key_format or f"user/vllm-{item.vllm}+lmcache-{item.lmcache}"
    image = item.image or f"docker.io/inferencecache/engine:vllm-{item.vllm}-lmcache-{item.lmcache}"
    return replace(base, vllm=item.vllm, lmcache=item.lmcache, key_format=key_format, default_image=image)


def _describe(item: Any) -> str:
    path = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in item["loc"]).lstrip(".")
    got = "" if isinstance(item["input"], dict | list) else f" (got {item['input']!r})"
    return f"{path or CONFIG_MAP_KEY}: {item['msg']}{got}"[:300]
