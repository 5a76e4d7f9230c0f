"""Follows the ResourceClaimTemplates of deployments, where the API server serves them, and hands them to the object cache.

They are children like the others, but of a kind that older clusters lack, so they are read by a reflector that discovery
starts rather than by the fixed watches.
"""

from collections.abc import Callable
from typing import Any

from inference_cache.domain import names
from inference_cache.domain.kinds import RESOURCE_CLAIM_TEMPLATE

from .cache import NamespacedName, ObjectCache
from .connection import Connection
from .discovery import Discovery
from .gateway import Gateway
from .liveness import Feeds
from .reflector import Key, PagedReflector


class ClaimTemplateFeed:
    """Keeps the cache current.

    Args:
        connection: The way to the API server.
        gateway: For the lists.
        feeds: For the health check; this kind is not vital.
        discovery: Runs the reflector.
        cache: Takes the objects in.
        changed: Called with the deployment of an object that changed.
    """

    def __init__(
        self,
        connection: Connection,
        gateway: Gateway,
        feeds: Feeds,
        discovery: Discovery,
        cache: ObjectCache,
        changed: Callable[[NamespacedName], None],
    ) -> None:
        self._cache = cache
        self._changed = changed
        self._uids: dict[Key, str] = {}
        self._discovery = discovery
        self._reflector: PagedReflector[dict[str, Any]] = PagedReflector(
            connection,
            gateway,
            RESOURCE_CLAIM_TEMPLATE,
            dict,
            feeds.get(RESOURCE_CLAIM_TEMPLATE.plural, vital=False),
            self._take,
            names.MANAGED_SELECTOR,
        )
        discovery.attach(self._reflector)

    @property
    def known(self) -> bool:
        """Whether all of them were read, or none can be."""
        return self._discovery.is_settled(self._reflector)

    def _take(self, namespace: str, name: str) -> None:
        body = self._reflector.get(namespace, name)
        if body is not None:
            self._uids[namespace, name] = body["metadata"]["uid"]
            deployment = self._cache.upsert(RESOURCE_CLAIM_TEMPLATE, body)
        else:
            uid = self._uids.pop((namespace, name), "")
            deployment = self._cache.remove(RESOURCE_CLAIM_TEMPLATE, namespace, name, uid)
        if deployment is not None:
            self._changed(deployment)
