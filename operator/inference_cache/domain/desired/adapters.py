"""The cache server's adapter to the object store, over RDMA and over TCP: two ways to the same objects.

The client of the spec fixes how objects are named, and an adapter of another kind stands in for it on TCP only where it
uses the same names, so that a pod without RDMA finds what the others have stored. No adapter is given credentials: the
server prints its configuration. Unknown keys are accepted by the server without a word, so tests hold the lists of keys.
"""

from collections.abc import Iterable
from typing import Any, Final
from urllib.parse import urlsplit

from inference_cache.api.cache import Addressing, ObjectStoreTier, StoreClient
from inference_cache.api.store_plugin import ObjectNames, PluginParameter, RDMADialect, StorePlugin
from inference_cache.domain.defaults import Settled

from .trust import CA_FILE

Adapter = dict[str, Any]

# How NIXL is asked for the engine of a store's vendor; an empty type sends bodies over HTTP although it is accelerated.
_ENGINES: Final = {RDMADialect.DELL: "dell"}


def build_tcp_adapter(settled: Settled) -> Adapter | None:
    """Return the adapter that speaks TCP; None where the spec has no object store, or a client that needs RDMA."""
    store = settled.object_store
    if store is None:
        return None
    if store.plugin is not None and settled.object_names is ObjectNames.OWN:
        parameters = store.plugin.tcp_parameters
        return None if parameters is None else build_plugin_adapter(store.plugin, parameters)
    if settled.object_names is ObjectNames.NIXL:
        return build_nixl_adapter(store)
    # A vendor's adapter may reach what LMCache's own of the same names cannot.
    return build_s3_adapter(store) if _reaches_by_host(store) else None


def build_rdma_adapter(settled: Settled) -> Adapter | None:
    """Return the adapter that speaks RDMA; None where the client cannot."""
    store = settled.object_store
    if store is None:
        return None
    if store.plugin is not None:
        return build_plugin_adapter(store.plugin, store.plugin.parameters or [])
    if settled.client is not StoreClient.NIXL or store.rdma_dialect is None:
        return None
    return build_nixl_adapter(store, store.rdma_dialect)


def build_s3_adapter(store: ObjectStoreTier) -> Adapter:
    """Return the configuration of LMCache's S3 adapter (TCP).

    The endpoint must hold the bucket as first label of the host, as the adapter knows no other addressing and no prefix
    (LMCache#3376). Plain HTTP needs HTTP/2 off.
    """
    url = urlsplit(store.endpoint)
    plain = url.scheme == "http"
    return {
        "type": "s3",
        "s3_endpoint": f"s3://{store.bucket.name}.{url.netloc}",
        "s3_region": store.region,
        "s3_prefer_http2": not plain,
        "disable_tls": plain,
        "shared": True,
        **({"s3_num_io_threads": store.io_threads} if store.io_threads is not None else {}),
    }


def build_nixl_adapter(store: ObjectStoreTier, dialect: RDMADialect | None = None) -> Adapter:
    """Return the configuration of LMCache's NIXL adapter with the object backend; over TCP without a dialect.

    It knows path addressing and private authorities. It cannot delete, so it takes no eviction. Checksums are sent only
    where they must be, as third-party stores refuse the newer kinds. It does not fall back: with a dialect whose engine
    the image lacks, the server does not start.
    """
    url = urlsplit(store.endpoint)
    params = {
        "bucket": store.bucket.name,
        "endpoint_override": f"{url.scheme}://{url.netloc}",
        "scheme": url.scheme,
        "region": store.region,
        "use_virtual_addressing": "false" if store.addressing is Addressing.PATH else "true",
        "req_checksum": "required",
        "resp_checksum": "required",
        **({"ca_bundle": CA_FILE} if store.tls is not None else {}),
        **({"num_threads": str(store.io_threads)} if store.io_threads is not None else {}),
        **({"accelerated": "true", "type": _ENGINES[dialect]} if dialect is not None else {}),
    }
    return {"type": "nixl_native", "backend": "OBJ", "backend_params": params, "shared": True}


def build_plugin_adapter(plugin: StorePlugin, parameters: Iterable[PluginParameter]) -> Adapter:
    """Return the configuration of a vendor's adapter, which the server loads from a module of the image."""
    named = {"config_class_name": plugin.config_class_name} if plugin.config_class_name is not None else {}
    return {
        "type": "plugin",
        "module_path": plugin.module_path,
        "class_name": plugin.class_name,
        **named,
        "adapter_params": {item.name: item.value for item in sorted(parameters, key=lambda item: item.name)},
        "shared": True,
    }


def _reaches_by_host(store: ObjectStoreTier) -> bool:
    return store.addressing is not Addressing.PATH and store.tls is None
