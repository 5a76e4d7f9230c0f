"""A real Kubernetes for tests and demonstrations, on a machine with or without Docker."""

from .cluster import Cluster
from .nodes import NodeVariant, build_gpu_node
from .polling import ClusterError, MissingFeatureError, wait_for
from .s3 import ObjectStore
from .start import find_cluster, list_clusters, start_cluster

__all__ = [
    "Cluster",
    "ClusterError",
    "MissingFeatureError",
    "NodeVariant",
    "ObjectStore",
    "build_gpu_node",
    "find_cluster",
    "list_clusters",
    "start_cluster",
    "wait_for",
]
