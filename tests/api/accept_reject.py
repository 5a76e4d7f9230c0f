"""What the API accepts and what it refuses, as data: one row for each side of each rule and bound.

The same table runs against the operator's own check and against a real API server. A reject row names the keyword of
the schema, or the rule, that it breaks, so that a test can tell which constraint has no row.
"""

from typing import Final

from tests.api.cache_rows import CACHE_ROWS
from tests.api.engine_rows import ENGINE_ROWS
from tests.api.fabric_rows import FABRIC_ROWS
from tests.api.model_rows import MODEL_ROWS
from tests.api.nodes_rows import NODES_ROWS
from tests.api.other_rows import OTHER_ROWS
from tests.api.plugin_rows import PLUGIN_ROWS
from tests.api.report_rows import REPORT_ROWS
from tests.api.rows import Row
from tests.api.store_rows import STORE_ROWS
from tests.api.transport_rows import TRANSPORT_ROWS

__all__ = ["ROWS", "Row"]

ROWS: Final = [
    Row("accepts the sample", {}, ""),
    *MODEL_ROWS,
    *ENGINE_ROWS,
    *CACHE_ROWS,
    *STORE_ROWS,
    *PLUGIN_ROWS,
    *TRANSPORT_ROWS,
    *NODES_ROWS,
    *OTHER_ROWS,
    *FABRIC_ROWS,
    *REPORT_ROWS,
]
