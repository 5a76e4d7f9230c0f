"""The ConfigMap that pods mount.

Immutable and named by its content: a new configuration is a new object, so pods of an older revision keep reading
theirs and a way back finds what it needs.
"""

import json
from typing import Any, Final

import jinja2

from inference_cache.api.cache import Addressing
from inference_cache.domain.kinds import CONFIG_MAP
from inference_cache.domain.manifest import Manifest, build_manifest, hash_content
from inference_cache.domain.scope import Scope

from .adapters import build_tcp_adapter
from .attached import TRANSPORT_KEY, build_transport_config, find_attachment
from .options import build_transfer_config

CONFIG_MOUNT: Final = "/etc/inference-cache"
AWS_CONFIG_KEY: Final = "aws-config"
TRANSFER_CONFIG_KEY: Final = "kv-transfer-config.json"
ADAPTERS_KEY: Final = "l2-adapters.json"

# Third-party stores reject the checksums that newer AWS SDKs add by default (boto/boto3#4392).
_AWS_CONFIG: Final = jinja2.Template(
    """\
[default]
region = {{ region }}
request_checksum_calculation = when_required
response_checksum_validation = when_required
s3 =
    addressing_style = {{ style }}
""",
    undefined=jinja2.StrictUndefined,
    keep_trailing_newline=True,
    autoescape=False,
)


def build_config_map(scope: Scope) -> Manifest | None:
    """Return the ConfigMap, or None where the pods read nothing from one. It holds no credentials.

    kv-transfer-config.json and l2-adapters.json state how the pods are connected, for people and for other tools; RDMA
    pods, which choose between two adapters, read transport.json instead of the latter.
    """
    settled = scope.settled
    store = settled.object_store
    attachment = find_attachment(scope)
    data: dict[str, str] = {}
    if settled.cache_enabled:
        data[TRANSFER_CONFIG_KEY] = _show(build_transfer_config(scope.pair))
    if settled.cache_enabled and attachment is None:
        adapter = build_tcp_adapter(settled)
        data[ADAPTERS_KEY] = _show([] if adapter is None else [adapter])
    if attachment is not None:
        data[TRANSPORT_KEY] = _show(build_transport_config(scope, attachment))
    if store is not None:
        style = "path" if settled.addressing is Addressing.PATH else "virtual"
        data[AWS_CONFIG_KEY] = _AWS_CONFIG.render(region=store.region, style=style)
    if not data:
        return None
    name = f"{scope.identity.name}-config-{hash_content(data)[:8]}"
    return build_manifest(CONFIG_MAP, scope.identity, name, {"immutable": True, "data": data})


def _show(content: Any) -> str:
    return json.dumps(content, sort_keys=True, indent=2) + "\n"
