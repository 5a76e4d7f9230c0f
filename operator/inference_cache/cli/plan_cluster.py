"""What `icd plan` reads of a cluster: deployments, nodes, the version of the API server, and the extended version table."""

import json
from collections.abc import Collection
from pathlib import Path
from typing import Any

import aiohttp
from kubernetes.aio.client.exceptions import ApiException

from inference_cache.cluster.platform_reader import parse_server_version
from inference_cache.domain.assemble import Platform
from inference_cache.domain.compatibility import KubernetesVersion
from inference_cache.domain.fabric.facts import FabricFacts, project_fabric
from inference_cache.domain.kinds import CONFIG_MAP, DEPLOYMENT, FABRIC
from inference_cache.domain.node_evidence import NodeEvidence
from inference_cache.domain.version_extension import CONFIG_MAP_KEY, CONFIG_MAP_NAME, extend_table
from inference_cache.domain.versions import BUILT_IN_TABLE

from .cluster_reader import ClusterReader, ForbiddenError, NotServedError, read_cluster
from .evidence_reader import read_evidence
from .failure import CommandError
from .kubeconfig import choose_access
from .plan_reading import Surroundings


def read_surroundings(
    operator_namespace: str,
    image: str | None,
    kubeconfig: Path | None,
    context: str | None,
    namespaces: Collection[str | None] = (None,),
) -> tuple[Surroundings, str]:
    """Return what a plan looks at, and the namespace of the context.

    Args:
        operator_namespace: Where the operator and its extension of the version table are.
        image: Engine image that the operator is set to use, if any.
        kubeconfig: File to use instead of the usual ones.
        context: Context to use instead of the current one.
        namespaces: Those of the deployments that are planned, None for that of the context. They are enough, though
            without the others nothing is known of sharing.

    Raises:
        CommandError: There is no cluster to ask, or it cannot be read.
    """
    try:
        access = choose_access(kubeconfig, context)
    except CommandError as error:
        raise CommandError(str(error), "--offline plans without a cluster.") from error
    own = sorted({item or access.namespace for item in namespaces})
    return read_cluster(access, lambda reader: _surround(reader, operator_namespace, image, own)), access.namespace


async def _surround(
    reader: ClusterReader, operator_namespace: str, image: str | None, namespaces: list[str]
) -> Surroundings:
    notes: list[str] = []
    try:
        live = await _read_live(reader, None)
    except ForbiddenError as error:
        live = {}
        for namespace in namespaces:
            live |= await _read_live(reader, namespace)
        notes.append(f"Sharing with deployments of other namespaces is not shown: {error}")
    nodes: tuple[NodeEvidence, ...] | None = None
    try:
        reading = await read_evidence(reader)
        nodes = reading.nodes
        notes += [
            f"Facts of nodes lack {source}: {cause}" for source, cause in sorted(reading.sources.unreadable.items())
        ]
    except ForbiddenError as error:
        notes.append(f"Nodes were not checked: {error}")
    fabrics: dict[str, FabricFacts] = {}
    try:
        fabrics = {item["metadata"]["name"]: project_fabric(item) async for item in reader.list_items(FABRIC)}
    except (ForbiddenError, NotServedError) as error:
        notes.append(f"Fabrics were not read: {error}")
    text = ""
    try:
        found = await reader.read(CONFIG_MAP, operator_namespace, CONFIG_MAP_NAME)
        text = ((found or {}).get("data") or {}).get(CONFIG_MAP_KEY, "")
    except ForbiddenError as error:
        notes.append(f"The operator's extension of the version table was not read: {error}")
    table, faults = extend_table(BUILT_IN_TABLE, text)
    notes += [
        f"The operator's extension of the version table has a fault and adds no pairs: {fault}" for fault in faults
    ]
    platform = Platform(operator_namespace, image, table, await _read_version(reader), tuple(faults))
    return Surroundings(f"cluster {reader.access.context}", platform, nodes, live, tuple(notes), fabrics)


async def _read_live(reader: ClusterReader, namespace: str | None) -> dict[tuple[str, str], dict[str, Any]]:
    return {
        (item["metadata"]["namespace"], item["metadata"]["name"]): item
        async for item in reader.list_items(DEPLOYMENT, namespace)
    }


async def _read_version(reader: ClusterReader) -> KubernetesVersion | None:
    try:
        response = await reader.connection.dynamic.request("get", "/version", serialize=False, _request_timeout=10)
        answer = json.loads(await response.read())
    except (ApiException, aiohttp.ClientError, OSError, ValueError):
        return None
    return parse_server_version(str(answer.get("major", "")), str(answer.get("minor", "")))
