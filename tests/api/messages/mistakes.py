"""Mistakes that people make in a spec, each with the field that must be named and what of the value must be seen or not."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from inference_cache.api.parsing import Violation, parse_fabric, parse_spec
from tests.support.builders import IDENTITY, build_spec, change, load_fabric


@dataclass(frozen=True)
class Mistake:
    """One bad spec.

    Attributes:
        id: What was done.
        changes: Values by path below spec, applied in order to the sample.
        field: Field that one of the violations must name.
        shows: Text of the refused value that its message must show; empty where there is nothing to show.
        hidden: Part of the value that no message may show.
        name: Name of the deployment.
    """

    id: str
    changes: Mapping[str, Any]
    field: str
    shows: str = ""
    hidden: str = ""
    name: str = IDENTITY.name

    def check(self) -> list[Violation]:
        """Return what the operator says."""
        result = parse_spec(self.name, build_spec(self.changes))
        return result if isinstance(result, list) else []


def bad(title: str, path: str, value: Any, shows: str | None = None, at: str = "", **extra: Any) -> Mistake:
    """Return a mistake in one field; `at` is the field that the message names, if it is not the one written."""
    base: Mapping[str, Any] = extra.pop("base", {})
    hidden = extra.get("hidden", "")
    seen = "" if hidden else str(value) if shows is None else shows
    return Mistake(title, {**base, path: value}, f"spec.{at or _bracket(path)}", seen, **extra)


@dataclass(frozen=True)
class FabricMistake(Mistake):
    """One bad fabric; the changes are applied to the sample of one that the operator makes."""

    name: str = "storage"

    def check(self) -> list[Violation]:
        """Return what the operator says."""
        body = load_fabric()
        for path, value in self.changes.items():
            change(body["spec"], path, value)
        result = parse_fabric(self.name, body["spec"])
        return result if isinstance(result, list) else []


def bad_fabric(
    title: str, path: str, value: Any, shows: str | None = None, at: str = "", **extra: Any
) -> FabricMistake:
    """Return a mistake in one field of a fabric."""
    mistake = bad(title, path, value, shows, at, **extra)
    return FabricMistake(mistake.id, mistake.changes, mistake.field, mistake.shows, mistake.hidden)


def _bracket(path: str) -> str:
    text = ""
    for part in path.split("."):
        text += f"[{part}]" if part.isdigit() else f".{part}" if text else part
    return text
