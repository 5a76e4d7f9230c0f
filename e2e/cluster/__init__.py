"""A real Kubernetes for tests and demonstrations, on a machine with or without Docker."""

from .local import Cluster, ClusterError, find_cluster, list_clusters, start_local, wait_for
from .nodes import NodeVariant, build_gpu_node
from .s3 import ObjectStore

__all__ = [
    "Cluster",
    "ClusterError",
    "NodeVariant",
    "ObjectStore",
    "build_gpu_node",
    "find_cluster",
    "list_clusters",
    "start_local",
    "wait_for",
]
