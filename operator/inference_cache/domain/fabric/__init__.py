"""Decisions about an InferenceCacheFabric: what it needs, what is there of it, what may be written and what may be deleted."""
