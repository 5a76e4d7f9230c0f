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
    """

    cel: str
    message: str
    holds: Callable[[Any], bool]
    got_cel: str = ""
    got: Callable[[Any], object] | None = None
    path: str = ""

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
            shown = f" (got {self.got(value)})" if self.got else ""
            raise PydanticCustomError("rule", "{message}", {"message": self.message + shown})
        return value


def ruled(*rules: Rule, **field: Any) -> tuple[FieldInfo, *tuple[AfterValidator, ...]]:
    """Return the Annotated metadata of a scalar or list field that obeys the rules."""
    extra = {"x-kubernetes-validations": [rule.to_schema() for rule in rules]}
    schema_extra: dict[str, Any] = extra | field.pop("json_schema_extra", {})
    info: FieldInfo = Field(json_schema_extra=schema_extra, **field)
    return (info, *(AfterValidator(rule.check) for rule in rules))


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

_OBJECT_NAME = Rule(
    cel=f"self.matches('{DNS_SUBDOMAIN}')",
    message=(
        "must be the name of an object: lower case letters, digits, '-' and '.', beginning and ending with a letter or digit; "
        "copy it from kubectl get"
    ),
    holds=lambda text: bool(re.fullmatch(DNS_SUBDOMAIN, text)),
)

ObjectName = Annotated[str, *ruled(_OBJECT_NAME, min_length=1, max_length=253)]
