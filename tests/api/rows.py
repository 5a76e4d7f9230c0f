"""How an example of what the API accepts or refuses is written, and builders for the kinds that come again and again."""

import copy
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any, Final

from inference_cache.api.fabric import FABRIC_KIND
from inference_cache.api.node_report import REPORT_KIND
from inference_cache.api.parsing import Violation, parse_fabric, parse_report, parse_spec
from inference_cache.api.v1alpha1 import KIND
from tests.support.builders import REMOVED, change, load_fabric, load_report, load_sample

Base = Mapping[str, Any] | None
"""Changes that make the place exist which an example is about."""

OBJECT_NAME_MESSAGE: Final = "must be the name of an object: lower case letters"
DATA_KEY_MESSAGE: Final = "must be a key of a Secret"
SIZE_MESSAGE: Final = (
    "must be a whole quantity from 1Gi to 64Ti with a unit such as Gi, Ti or G; write for instance 1200Gi"
)
MEMORY: Final = "spec.cache.tiers.0.memory"
STORE: Final = "spec.cache.tiers.1.objectStore"
S3_TIER: Final = load_sample()["spec"]["cache"]["tiers"][1]


@dataclass(frozen=True)
class Row:
    """One example.

    Attributes:
        id: What the example shows.
        changes: Values by path, applied in order to the sample.
        breaks: Keyword of the schema, "rule", "required", "unknown" or "duplicate"; empty where the example is accepted.
        path: Field that breaks it.
        ours: Text that the operator's message must hold.
        theirs: Text that the API server's message must hold.
        hidden: Part of the refused value that no message of ours may show, where it may be a credential.
        kind: Kind of the object, whose sample is changed.
    """

    id: str
    changes: Mapping[str, Any]
    path: str
    breaks: str = ""
    ours: str = ""
    theirs: str = ""
    hidden: str = ""
    kind: str = KIND

    @property
    def accepted(self) -> bool:
        """Whether the example obeys the API."""
        return not self.breaks

    def build(self) -> dict[str, Any]:
        """Return the whole object."""
        body = copy.deepcopy(_SAMPLES[self.kind]())
        for path, value in self.changes.items():
            change(body, path, value)
        return body

    def check(self) -> list[Violation]:
        """Return what the operator's own check finds."""
        body = self.build()
        result: Any
        match self.kind:
            case "InferenceCacheDeployment":
                result = parse_spec(body["metadata"]["name"], body["spec"])
            case "InferenceCacheFabric":
                result = parse_fabric(body["metadata"]["name"], body["spec"])
            case _:
                result = parse_report(body)
        return result if isinstance(result, list) else []

    @property
    def field(self) -> str:
        """The field as messages write it, with list items in brackets."""
        text = ""
        for part in self.path.split("."):
            text += f"[{part}]" if part.isdigit() else f".{part}" if text else part
        return text

    @property
    def value(self) -> Any:
        """What was written into the field."""
        return self.changes.get(self.path)


_SAMPLES: Final[Mapping[str, Callable[[], dict[str, Any]]]] = {
    KIND: load_sample,
    FABRIC_KIND: load_fabric,
    REPORT_KIND: load_report,
}


def on(kind: str, title: str, rows: Iterable[Row]) -> list[Row]:
    """Return examples of another kind, with its name before theirs."""
    return [replace(row, kind=kind, id=f"{title}: {row.id}") for row in rows]


def accept(title: str, path: str, value: Any, base: Base = None) -> Row:
    """Return an example that obeys the API."""
    return Row(f"accepts {title}", {**(base or {}), path: value}, path)


def rule(title: str, path: str, value: Any, message: str, base: Base = None, at: str = "", hidden: str = "") -> Row:
    """Return an example that breaks a rule; `at` is the field that the message names, if it is not the one written."""
    return Row(f"rejects {title}", {**(base or {}), path: value}, at or path, "rule", message, message, hidden)


def numbers(path: str, low: int, high: int, step: int = 1, base: Base = None) -> list[Row]:
    """Return both sides of both bounds of a number, and text in its place."""
    name = path.removeprefix("spec.")
    ours = f"must be from {low} to {high}"
    least, most = f"should be greater than or equal to {low}", f"should be less than or equal to {high}"
    other = base or {}
    return [
        accept(f"{name} at its least", path, low, base),
        accept(f"{name} at its most", path, high, base),
        Row(f"rejects {name} below its least", {**other, path: low - step}, path, "minimum", ours, least),
        Row(f"rejects {name} above its most", {**other, path: high + step}, path, "maximum", ours, most),
        Row(f"rejects {name} as text", {**other, path: "many"}, path, "type", "must be a whole number", "must be of type integer"),
    ]  # fmt: skip


def too_short(path: str, low: int, base: Base = None, head: str = "", hidden: str = "") -> Row:
    """Return a text that is one character too short."""
    name = path.removeprefix("spec.")
    ours = "must not be empty" if low == 1 else f"must have at least {low} characters"
    theirs, value = f"should be at least {low} chars long", (head + "a" * low)[: low - 1]
    changes = {**(base or {}), path: value}
    return Row(f"rejects {name} that is too short", changes, path, "minLength", ours, theirs, hidden)


def lengths(
    path: str, low: int, high: int, base: Base = None, head: str = "", *, fits: bool = True, hidden: bool = False
) -> list[Row]:
    """Return texts of the greatest length, of one more and of one too few; a `head` makes them obey the other rules."""
    name = path.removeprefix("spec.")
    long = head + "a" * (high - len(head))
    ours, theirs = f"must have at most {high} characters", f"may not be more than {high} bytes"
    changes = {**(base or {}), path: f"{long}a"}
    unseen = "a" * 8 if hidden else ""
    rows = [Row(f"rejects {name} that is too long", changes, path, "maxLength", ours, theirs, unseen)]
    if low:
        rows.append(too_short(path, low, base, head))
    if fits:
        rows.append(accept(f"{name} of the greatest length", path, long, base))
    return rows


def required(path: str, base: Base = None) -> Row:
    """Return a spec without a required field."""
    changes = {**(base or {}), path: REMOVED}
    name = path.removeprefix("spec.")
    return Row(f"rejects a spec without {name}", changes, path, "required", "must be set", "Required value")


def unknown(parent: str, base: Base = None, *, hidden: bool = False) -> Row:
    """Return a spec with a field that an object does not have."""
    path = f"{parent}.surprise"
    changes = {**(base or {}), path: "unexpected"}
    unseen = "unexpected" if hidden else ""
    title = f"rejects an unknown field in {parent}"
    return Row(title, changes, path, "unknown", "is no field of", "unknown field", unseen)


def enum(path: str, good: tuple[str, ...], base: Base = None, bases: Mapping[str, Base] | None = None) -> list[Row]:
    """Return every word of an enum, some with a base of their own, and another word."""
    name = path.removeprefix("spec.")
    accepted = [accept(f"{name} {value}", path, value, (bases or {}).get(value, base)) for value in good]
    changes = {**(base or {}), path: "Other"}
    ours, theirs = f"must be {good[0]}", f'supported values: "{good[0]}"'
    return [*accepted, Row(f"rejects another {name}", changes, path, "enum", ours, theirs)]


def items(path: str, low: int, high: int, item: Any, base: Base = None) -> list[Row]:
    """Return lists of the most entries, of one more, and of none where one is needed; a function as item gets its number."""
    name = path.removeprefix("spec.")

    def some(count: int) -> list[Any]:
        if callable(item):
            return [item(number) for number in range(count)]
        if isinstance(item, dict):
            return [item | {"name": f"{item['name']}_{number}"} if "name" in item else item for number in range(count)]
        return [f"{item}-{number}" for number in range(count)]

    ours, theirs = f"must have at most {high} entries", f"must have at most {high} items"
    rows = [
        accept(f"the most {name}", path, some(high), base),
        Row(f"rejects too many {name}", {**(base or {}), path: some(high + 1)}, path, "maxItems", ours, theirs),
    ]
    if low:
        ours, theirs = f"must have at least {low} entry", f"should have at least {low} items"
        rows.append(Row(f"rejects empty {name}", {**(base or {}), path: []}, path, "minItems", ours, theirs))
    return rows


def duplicate(path: str, *entries: Any, base: Base = None) -> Row:
    """Return a list whose second entry repeats the first one."""
    name = path.removeprefix("spec.")
    changes = {**(base or {}), path: list(entries)}
    return Row(
        f"rejects {name} twice",
        changes,
        f"{path}.1",
        "duplicate",
        "must differ from the other entries",
        "Duplicate value",
    )


def sizes(path: str, title: str, base: Base = None) -> list[Row]:
    """Return both sides of what a quantity of memory may be."""
    return [
        accept(f"the least {title}", path, "1Gi", base),
        accept(f"{title} in decimal units", path, "2G", base),
        accept(f"the most {title}", path, "64Ti", base),
        rule(f"{title} above 64Ti", path, "65537Gi", SIZE_MESSAGE, base),
        rule(f"{title} of a number that is too long with its unit", path, "999999999999999Gi", SIZE_MESSAGE, base),
        rule(f"{title} below 1Gi", path, "1023Mi", SIZE_MESSAGE, base),
        rule(f"{title} with a fraction", path, "1.5Gi", SIZE_MESSAGE, base),
        rule(f"{title} in GB", path, "16GB", SIZE_MESSAGE, base),
        *lengths(path, 1, 20, base, fits=False),
    ]
