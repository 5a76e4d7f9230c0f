"""Stand-in for the parser of adapters."""

import argparse
import json
from types import SimpleNamespace
from typing import Any


def parse_args_to_l2_adapters_config(arguments: argparse.Namespace) -> Any:
    """Return the adapters of a command line."""
    return SimpleNamespace(adapters=[json.loads(text) for text in arguments.l2_adapter])
