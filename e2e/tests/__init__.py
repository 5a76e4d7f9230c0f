"""End-to-end tests of the tools and of the operator."""
