"""Command line entry points besides the operator itself."""
