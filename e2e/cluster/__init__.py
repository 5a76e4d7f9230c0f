"""Test clusters: an existing kubeconfig, kind, or a control plane built from Go modules."""
