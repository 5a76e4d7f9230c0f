"""Cluster rig, engine simulator, fault proxy, end-to-end suites and benchmarks of the operator."""
