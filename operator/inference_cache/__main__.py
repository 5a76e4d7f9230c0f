"""Entry point: `python -m inference_cache` or `inference-cache-operator`, in and out of a cluster."""

import asyncio
import logging
import sys

from kubernetes.aio.config import ConfigException

from .runtime.logs import configure_logs
from .runtime.process import run_operator
from .runtime.settings import SettingError, read_settings


def main() -> None:
    """Run the operator; exits with 0 after SIGTERM, 1 after a failure, 2 when it cannot be configured."""
    try:
        settings = read_settings()
        configure_logs(settings.log_level)
        asyncio.run(run_operator(settings))
    except (SettingError, ConfigException) as error:
        print(f"inference-cache-operator: {error}", file=sys.stderr)  # noqa: T201 - logs are not set up yet
        sys.exit(2)
    except Exception:
        logging.getLogger(__name__).exception("the operator failed")
        sys.exit(1)


if __name__ == "__main__":
    main()
