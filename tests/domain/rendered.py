"""The rendered objects of a deployment in the form in which tests ask about it, and with parts that they may break."""

import copy
import json
from dataclasses import dataclass
from typing import Any, Final

from inference_cache.domain import names
from inference_cache.domain.desired import build_desired
from inference_cache.domain.desired.attached import TRANSPORT_KEY
from inference_cache.domain.kinds import STATEFUL_SET
from inference_cache.domain.scope import Scope
from tests.golden.cases import CASES, load_scope

Body = dict[str, Any]


@dataclass
class Rendered:
    """The objects of a deployment; every part may be changed to see who notices."""

    case: str
    scope: Scope
    objects: list[Body]

    def find(self, kind: str) -> list[Body]:
        """Return the objects of a kind."""
        return [body for body in self.objects if body["kind"] == kind]

    @property
    def workload(self) -> Body:
        """The StatefulSet."""
        (body,) = self.find(STATEFUL_SET.name)
        return body

    @property
    def pod(self) -> Body:
        """The pod's spec."""
        spec: Body = self.workload["spec"]["template"]["spec"]
        return spec

    @property
    def containers(self) -> list[Body]:
        """All containers in the order of their start."""
        return [*self.pod["initContainers"], *self.pod["containers"]]

    def container(self, name: str) -> Body | None:
        """Return a container, or None where the case has none of that name."""
        return next((item for item in self.containers if item["name"] == name), None)

    @property
    def engine(self) -> Body:
        """The engine's container."""
        (container,) = self.pod["containers"]
        assert isinstance(container, dict)
        return container

    @property
    def cache(self) -> Body | None:
        """The cache server's container."""
        return self.container(names.CACHE_CONTAINER)

    @property
    def connector(self) -> Body | None:
        """The engine's KV transfer configuration."""
        text = flag(self.engine, "--kv-transfer-config")
        return None if text is None else dict(json.loads(text))

    @property
    def adapter(self) -> Body | None:
        """The cache server's configuration of the store; None where there is none, or where the pod chooses it."""
        text = flag(self.cache, "--l2-adapter") if self.cache else None
        return None if text is None else dict(json.loads(text))

    @property
    def choices(self) -> list[Body]:
        """Every configuration of the store that a pod may get."""
        if self.adapter is not None:
            return [self.adapter]
        texts = [item["data"][TRANSPORT_KEY] for item in self.find("ConfigMap") if TRANSPORT_KEY in item["data"]]
        return [adapter for text in texts for adapter in json.loads(text)["candidates"].values() if adapter]


def flag(container: Body, name: str) -> str | None:
    """Return the value of an option, "" for a switch, None where it is absent."""
    found = [arg.partition("=")[2] for arg in container["args"] if arg.partition("=")[0] == name]
    return found[0] if found else None


def env(container: Body) -> dict[str, str | None]:
    """Return the variables of a container; None for those from a Secret."""
    return {item["name"]: item.get("value") for item in container["env"]}


def set_flag(container: Body | None, name: str, value: str | None) -> None:
    """Replace an option, add it, or take it away."""
    assert container is not None
    container["args"] = [arg for arg in container["args"] if arg.partition("=")[0] != name]
    container["args"] += [] if value is None else [f"{name}={value}" if value else name]


def set_env(container: Body | None, name: str, value: str | None) -> None:
    """Replace a variable, add it, or take it away."""
    assert container is not None
    container["env"] = [item for item in container["env"] if item["name"] != name]
    container["env"] += [] if value is None else [{"name": name, "value": value}]


def set_connector(rendered: Rendered, key: str, value: Any) -> None:
    """Change a field of the KV transfer configuration, or of its extra configuration."""
    config = rendered.connector
    assert config is not None
    target = config["kv_connector_extra_config"] if key.startswith("lmcache.") else config
    target[key] = value
    set_flag(rendered.engine, "--kv-transfer-config", json.dumps(config))


def set_adapter(rendered: Rendered, key: str, value: Any) -> None:
    """Change a field of the store's configuration."""
    config = rendered.adapter
    assert config is not None
    set_flag(rendered.cache, "--l2-adapter", json.dumps(config | {key: value}))


def render_scope(case: str, scope: Scope) -> Rendered:
    """Return a copy of the objects of a scope."""
    return Rendered(case, scope, copy.deepcopy([manifest.body for manifest in build_desired(scope)]))


def render_case(case: str) -> Rendered:
    """Return a copy of the objects of a golden case."""
    return render_scope(case, load_scope(case))


ALL: Final = [render_case(case) for case in CASES]
