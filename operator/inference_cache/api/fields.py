"""The fields of what people write, by their paths: which an object has, what they mean, and which one a misspelt name stands for."""

import difflib
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Final

from .base import ApiModel
from .schema import build_schema

# Names that stand in too many places to be a hint, unless the place is below the one where the name was written.
_COMMON: Final = frozenset({"image", "key", "memory", "name", "path", "resources", "revision", "value"})
_CUTOFF: Final = 0.6


@dataclass(frozen=True)
class Form:
    """The part of a kind's objects that people write, with what messages need to know of it.

    Attributes:
        root: Name of the part, spec or report.
        examples: A line of YAML by path, whose list positions are left out.
        other_names: Paths by what other tools call the same thing, without capitals and punctuation.
        images: Paths of images, in which a password may be before an '@'.
        hatches: Paths below which any value may be a credential that was put there by mistake, with the one field of them
            that is none.
    """

    root: str
    model: type[ApiModel]
    examples: Mapping[str, str] = field(default_factory=dict)
    other_names: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    images: frozenset[str] = frozenset()
    hatches: Mapping[str, str] = field(default_factory=dict)

    @cached_property
    def schema(self) -> dict[str, Any]:
        """The structural schema, as the CRD holds it."""
        return build_schema(self.model)

    @cached_property
    def paths_by_name(self) -> Mapping[str, list[str]]:
        """Where fields are, by their flattened names."""
        found: dict[str, list[str]] = {}
        for path in _walk(self.schema, self.root):
            found.setdefault(flatten(path.rpartition(".")[2]), []).append(path)
        return found


@dataclass(frozen=True)
class Place:
    """A place in a form.

    Attributes:
        parts: Keys and positions that lead to it.
    """

    form: Form
    parts: tuple[int | str, ...] = ()

    @property
    def last(self) -> int | str:
        """The last key or position; empty for the root."""
        return self.parts[-1] if self.parts else ""

    @property
    def around(self) -> "Place":
        """The place of the object or list around it."""
        return Place(self.form, self.parts[:-1])

    @property
    def path(self) -> str:
        """As messages write it, such as spec.cache.tiers[1].memory."""
        return self.form.root + "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in self.parts)

    @property
    def general_path(self) -> str:
        """Without positions, such as spec.cache.tiers[].memory."""
        return self.form.root + "".join("[]" if isinstance(part, int) else f".{part}" for part in self.parts)

    @property
    def schema(self) -> dict[str, Any]:
        """What the schema says of it; empty where there is no such place."""
        node = self.form.schema
        for part in self.parts:
            if isinstance(part, int):
                node = node.get("items", {})
            else:
                node = node.get("properties", {}).get(part) or node.get("additionalProperties") or {}
        return node

    @property
    def required(self) -> bool:
        """Whether the object around it must have it; the root is required too."""
        return not self.parts or self.last in self.around.schema.get("required", [])

    @property
    def fields(self) -> list[str]:
        """Names of the fields that the object there may have."""
        return list(self.schema.get("properties", {}))

    @property
    def example(self) -> str:
        """A line of YAML that may be written there; empty where there is none."""
        return self.form.examples.get(self.general_path, "")

    def step(self, part: int | str) -> "Place":
        """Return the place of a field or an item of it."""
        return Place(self.form, (*self.parts, part))

    def find_elsewhere(self, name: str) -> Sequence[str]:
        """Return the paths of fields of that name, or of what other tools call so, below it or else anywhere."""
        plain = flatten(name)
        found = self.form.other_names.get(plain) or self.form.paths_by_name.get(plain, [])
        here = self.general_path
        below = [path for path in found if path.startswith((f"{here}.", f"{here}["))]
        return below or ([] if name in _COMMON else found)


def find_nearest(name: str, known: Sequence[str]) -> str | None:
    """Return the one of the known words that a misspelt one most likely stands for."""
    plain = {flatten(word): word for word in known}
    wanted = flatten(name)
    best, *others = [*difflib.get_close_matches(wanted, plain, n=2, cutoff=_CUTOFF), ""]
    # Between two that are equally near, no guess is better than a wrong one.
    if not best or any(_likeness(wanted, best) == _likeness(wanted, other) for other in others):
        return None
    return plain[best]


def _likeness(one: str, other: str) -> float:
    return difflib.SequenceMatcher(None, other, one).ratio()


def flatten(name: str) -> str:
    """Return a name without capitals and punctuation, in which snake_case and camelCase are the same."""
    return re.sub("[^a-z0-9]", "", name.lower())


def _walk(node: Mapping[str, Any], path: str) -> Iterator[str]:
    for name, child in node.get("properties", {}).items():
        yield f"{path}.{name}"
        yield from _walk(child, f"{path}.{name}")
    if isinstance(items := node.get("items"), dict):
        yield from _walk(items, f"{path}[]")
