"""A vendor's L2 adapter for the cache server: the class, its parameters, and how it names objects."""

import re
from enum import StrEnum
from typing import Annotated, Final

from pydantic import Field

from .base import ApiModel, Rule, UniqueItems, match_rule, ruled
from .hatches import CREDENTIAL_PATTERN, SENSITIVE_KEY_PATTERN, looks_like_credential

_MODULE_PATTERN: Final = "^[A-Za-z_][A-Za-z0-9_]*([.][A-Za-z_][A-Za-z0-9_]*)*$"
_CLASS_PATTERN: Final = "^[A-Za-z_][A-Za-z0-9_]*$"
_MODULE = match_rule(
    _MODULE_PATTERN,
    "must be the path of a Python module, such as vendor.lmcache_adapter; copy it from the vendor's manual",
)
_CLASS = match_rule(
    _CLASS_PATTERN,
    "must be the name of a Python class; copy it from the vendor's manual",
)
_PARAMETER = match_rule(
    _CLASS_PATTERN,
    "must be a key of the adapter's parameters: letters, digits and '_'; copy it from the vendor's manual",
)


class RDMADialect(StrEnum):
    """How a client asks a store for RDMA; stores differ."""

    DELL = "Dell"


class ObjectNames(StrEnum):
    """How an adapter names the objects of a bucket."""

    LMCACHE_S3 = "LMCacheS3"
    NIXL = "NIXL"
    OWN = "Own"


class PluginParameter(ApiModel):
    """One parameter of the adapter."""

    rules = (
        Rule(
            cel=f"!(self.name.matches('{SENSITIVE_KEY_PATTERN}') || self.value.matches('{CREDENTIAL_PATTERN}'))",
            message="must not hold a credential, as the cache server prints its parameters; remove it: the adapter finds the keys of credentials.secretRef where every AWS client looks for them",
            holds=lambda m: not (re.search(SENSITIVE_KEY_PATTERN, m.name) or looks_like_credential(m.value)),
            got_cel="self.name",
            got=lambda m: m.name,
            secret=True,
        ),
    )

    name: Annotated[str, *ruled(_PARAMETER, min_length=1, max_length=63)]
    """Key in adapter_params."""
    value: Annotated[str, Field(max_length=1024)]
    """Value, as text. Never a credential: the cache server prints its configuration."""


_Parameters = Annotated[list[PluginParameter], *ruled(unique=UniqueItems("name"), min_length=1, max_length=32)]


class StorePlugin(ApiModel):
    """A vendor's L2 adapter."""

    rules = (
        Rule(
            cel="!has(self.tcpParameters) || self.objectNames == 'Own'",
            message="tcpParameters must be set with objectNames Own only: with the other names the adapter of that name takes over on TCP; remove tcpParameters, or write objectNames: Own",
            holds=lambda m: m.tcp_parameters is None or m.object_names is ObjectNames.OWN,
            got_cel="'objectNames ' + self.objectNames",
            got=lambda m: f"objectNames {m.object_names.value}",
        ),
    )

    module_path: Annotated[str, *ruled(_MODULE, min_length=1, max_length=253)]
    """Python module of the adapter (module_path)."""
    class_name: Annotated[str, *ruled(_CLASS, min_length=1, max_length=253)]
    """Class within the module (class_name)."""
    config_class_name: Annotated[str, *ruled(_CLASS, min_length=1, max_length=253)] | None = None
    """Class of its configuration (config_class_name). Without it: the adapter's own."""
    object_names: ObjectNames
    """How the adapter names objects. With LMCacheS3 or NIXL, the adapter of that name serves the same objects over TCP where RDMA fails; with Own, the plugin itself does, with tcpParameters. Part of the layout fingerprint."""
    parameters: _Parameters | None = None
    """adapter_params over RDMA."""
    tcp_parameters: _Parameters | None = None
    """adapter_params over TCP. Without it, with objectNames Own: pods whose RDMA fails run without the object store tier."""
