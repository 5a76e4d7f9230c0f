"""Decisions: observed facts in, desired objects, plans and status out. No I/O, clock, environment or randomness."""
