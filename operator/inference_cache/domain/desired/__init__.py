"""What should exist for one deployment: one builder per object, and the list of them."""

from inference_cache.domain.manifest import Manifest
from inference_cache.domain.scope import Scope

from .access import build_network_policy, build_service_account
from .agent import build_agent_config_maps
from .attached import build_resource_claim_template
from .config import build_config_map
from .services import build_disruption_budget, build_headless_service, build_service
from .workload import build_stateful_set

__all__ = ["build_desired"]


def build_desired(scope: Scope) -> list[Manifest]:
    """Return the objects that should exist, the StatefulSet last: it refers to the others."""
    config = build_config_map(scope)
    claims = build_resource_claim_template(scope)
    return [
        build_service_account(scope),
        *([config] if config else []),
        *build_agent_config_maps(scope),
        *([claims] if claims else []),
        build_service(scope),
        build_headless_service(scope),
        build_disruption_budget(scope),
        build_network_policy(scope),
        build_stateful_set(scope, config.name if config else None),
    ]
