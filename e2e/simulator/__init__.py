"""The engine simulator: kubelet, vLLM and LMCache for engine pods on fake nodes, in one process."""
