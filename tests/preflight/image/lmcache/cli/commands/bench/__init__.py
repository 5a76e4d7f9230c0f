"""Stand-in for LMCache."""
