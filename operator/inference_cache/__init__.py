"""Kubernetes operator for vLLM with a KV cache tiered from HBM to DRAM to an S3 object store."""

__version__ = "0.1.0"
