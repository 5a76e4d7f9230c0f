"""Every mistake with what the operator says about it, as one text for people to read."""

from pathlib import Path
from typing import Final

from tests.api.messages.cache_mistakes import NODE_MISTAKES, OTHER_MISTAKES, STORE_MISTAKES, TIER_MISTAKES
from tests.api.messages.domain_mistakes import DOMAIN_MISTAKES
from tests.api.messages.fabric_mistakes import FABRIC_MISTAKES
from tests.api.messages.model_mistakes import ENGINE_MISTAKES, MODEL_MISTAKES, NAME_MISTAKES
from tests.api.messages.transport_mistakes import ADAPTER_MISTAKES, PLUGIN_MISTAKES, TRANSPORT_MISTAKES

PATH: Final = Path(__file__).resolve().parent / "messages.txt"
MISTAKES: Final = [
    *NAME_MISTAKES,
    *MODEL_MISTAKES,
    *ENGINE_MISTAKES,
    *TIER_MISTAKES,
    *STORE_MISTAKES,
    *PLUGIN_MISTAKES,
    *TRANSPORT_MISTAKES,
    *NODE_MISTAKES,
    *ADAPTER_MISTAKES,
    *OTHER_MISTAKES,
    *FABRIC_MISTAKES,
]


def render() -> str:
    """Return the listing: the mistake, and below it each field or condition with its message."""
    blocks = [
        *((case.id, [(item.field, item.message) for item in case.check()]) for case in MISTAKES),
        *(
            (case.id, [(f"{item.condition}=False {item.reason.name}", item.message) for item in case.check()])
            for case in DOMAIN_MISTAKES
        ),
    ]
    return "\n".join(
        f"# {title}\n" + "".join(f"{place}\n    {message}\n" for place, message in lines) for title, lines in blocks
    )
