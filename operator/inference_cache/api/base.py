"""How API models are written: camelCase on the wire, immutable in memory, unknown fields refused, one rule in two languages.

A rule that no OpenAPI keyword can state is a `Rule`: the CEL text goes into the CRD, where the API server enforces it
before anything is stored, and the Python predicate runs again in the reconciler, which must not trust that the CRD
installed in the cluster is the one it was built with. A table test feeds every example to both.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar, TypeVar

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, GetJsonSchemaHandler, model_validator
from pydantic.alias_generators import to_camel
from pydantic.fields import FieldInfo
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema, PydanticCustomError

T = TypeVar("T")


@dataclass(frozen=True)
class Rule:
    """One validation rule.

    Attributes:
        cel: CEL expression over `self` that is true for valid values.
        message: What is wrong and what to write instead; shown by the API server and by the reconciler.
        holds: The same predicate in Python.
        got_cel: CEL expression of type string that shows the refused value. The API server prints scalars itself but
            prints "object" or "array" for the rest, so rules over those must say what they saw.
        got: The same in Python.
        path: CEL field path (such as ".tiers") that the API server reports instead of the object, if any.
        secret: The refused value may be a credential, so our own messages never show it.
        transition: The expression compares with `oldSelf`, so that it holds for every object that is looked at alone; the
            API server judges it at updates, and there is no Python twin.
    """

    cel: str
    message: str
    holds: Callable[[Any], bool]
    got_cel: str = ""
    got: Callable[[Any], object] | None = None
    path: str = ""
    secret: bool = False
    transition: bool = False

    def to_schema(self) -> dict[str, str]:
        """Return the rule as an entry of x-kubernetes-validations."""
        entry = {"rule": self.cel, "message": self.message}
        if self.got_cel:
            quoted = self.message.replace("\\", "\\\\").replace("'", "\\'")
            entry["messageExpression"] = f"'{quoted} (got ' + ({self.got_cel}) + ')'"
        if self.path:
            entry["fieldPath"] = self.path
        return entry

    def check(self, value: T) -> T:
        """Return the value, or raise the error that pydantic collects into a ValidationError."""
        if not self.holds(value):
            kind = "secret_rule" if self.secret else "rule"
            got = str(self.got(value)) if self.got else ""
            raise PydanticCustomError(kind, "{message}", {"message": self.message, "got": got, "path": self.path})
        return value


def match_rule(pattern: str, message: str) -> Rule:
    """Return the rule that a text matches a pattern as a whole; the pattern begins with ^ and ends with $, as CEL searches."""
    return Rule(cel=f"self.matches('{pattern}')", message=message, holds=lambda text: bool(re.fullmatch(pattern, text)))


@dataclass(frozen=True)
class UniqueItems:
    """That the items of a list differ, which the API server checks for lists of type set and map.

    Attributes:
        key: Attribute that tells items apart; the whole item where there is none.
    """

    key: str = ""

    def to_schema(self) -> dict[str, Any]:
        """Return the keywords that make the API server check it."""
        if not self.key:
            return {"x-kubernetes-list-type": "set"}
        return {"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": [to_camel(self.key)]}

    def check(self, items: list[T]) -> list[T]:
        """Return the items, or raise the error that pydantic collects into a ValidationError."""
        seen: dict[Any, int] = {}
        for number, item in enumerate(items):
            first = seen.setdefault(getattr(item, self.key) if self.key else item, number)
            if first != number:
                what = f"the {self.key} of entry" if self.key else "entry"
                text = f"must differ from the other entries, but repeats {what} [{first}]; remove one of the two"
                raise PydanticCustomError("duplicate", "{message}", {"message": text, "path": f"[{number}]"})
        return items


def ruled(
    *rules: Rule, unique: UniqueItems | None = None, **field: Any
) -> tuple[FieldInfo, *tuple[AfterValidator, ...]]:
    """Return the Annotated metadata of a scalar or list field that obeys the rules."""
    schema_extra: dict[str, Any] = unique.to_schema() if unique else {}
    if rules:
        schema_extra["x-kubernetes-validations"] = [rule.to_schema() for rule in rules]
    info: FieldInfo = Field(json_schema_extra=schema_extra, **field)
    checks = [rule.check for rule in rules] + ([unique.check] if unique else [])
    return (info, *(AfterValidator(check) for check in checks))


class ApiModel(BaseModel):
    """Base of every object in the API group. Attribute docstrings become the CRD's descriptions."""

    model_config = ConfigDict(
        alias_generator=to_camel,
        populate_by_name=True,
        extra="forbid",
        frozen=True,
        use_attribute_docstrings=True,
    )

    rules: ClassVar[tuple[Rule, ...]] = ()

    @classmethod
    def __get_pydantic_json_schema__(cls, core_schema: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        schema = handler(core_schema)
        if cls.rules:
            handler.resolve_ref_schema(schema)["x-kubernetes-validations"] = [rule.to_schema() for rule in cls.rules]
        return schema

    @model_validator(mode="after")
    def _obey_rules(self) -> "ApiModel":
        for rule in type(self).rules:
            rule.check(self)
        return self


def count_set(model: ApiModel, *names: str) -> int:
    """Return how many of the named optional fields are present; unions are `count_set(...) == 1`."""
    return sum(getattr(model, name) is not None for name in names)


DNS_LABEL = "^[a-z0-9]([-a-z0-9]*[a-z0-9])?$"
DNS_SUBDOMAIN = "^[a-z0-9]([-a-z0-9]*[a-z0-9])?([.][a-z0-9]([-a-z0-9]*[a-z0-9])?)*$"

PORT = "[1-9][0-9]{0,3}|[1-5][0-9]{4}|6[0-4][0-9]{3}|65[0-4][0-9]{2}|655[0-2][0-9]|6553[0-5]"
LABEL_VALUE = "^[A-Za-z0-9]([-A-Za-z0-9_.]*[A-Za-z0-9])?$"

_OBJECT_NAME = match_rule(
    DNS_SUBDOMAIN,
    (
        "must be the name of an object: lower case letters, digits, '-' and '.', beginning and ending with a letter or digit; "
        "copy it from kubectl get"
    ),
)

ObjectName = Annotated[str, *ruled(_OBJECT_NAME, min_length=1, max_length=253)]
