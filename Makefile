.DEFAULT_GOAL := help
.PHONY: help up status down test unit lint format types generate check bench bench-cli bench-nodes clean

help: ## Show this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  %-10s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

up: ## Bring up a local cluster and take the reference deployment to Ready
	uv run python -m e2e up

status: ## Show conditions and bucket of what `up` started
	uv run python -m e2e status

down: ## Stop what `up` started
	uv run python -m e2e down

test: ## Run every check and test
	uv run pytest

unit: ## Run the tests that need no cluster
	uv run pytest tests

lint: ## Lint and check the layers
	uv run ruff check .
	uv run lint-imports

format: ## Format the code
	uv run ruff format .

types: ## Check types
	uv run mypy

generate: ## Write the generated files (CRD, reference pages)
	uv run python -m inference_cache.cli.generate

check: lint types ## Run every check that is no test; writes nothing
	uv run ruff format --check .
	uv run python -m inference_cache.cli.generate --check

bench: ## Measure against a floor client (not part of the tests)
	uv run python -m e2e.bench

bench-cli: ## Measure what planning and rendering cost (not part of the tests)
	uv run python -m e2e.bench_cli

bench-nodes: ## Measure memory and blocks of the event loop with 5,000 nodes (not part of the tests)
	uv run python -m e2e.bench_nodes

clean: ## Remove caches and built packages; the cluster's binaries stay
	rm -rf .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache dist
	find operator e2e tests -name __pycache__ -type d -prune -exec rm -rf {} +
