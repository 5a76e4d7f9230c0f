"""The `icd` command, which is also `kubectl icd`: what sub-commands there are, and how they end.

Modules of sub-commands import only typer at their top and the rest when they run, so that help and completion stay fast.
Exit codes: 0 fine, 1 the input is refused or something is wrong, 2 the command line is wrong.
"""

import os
import sys
import traceback
from pathlib import Path
from typing import Any, Final

import typer
from typer.core import TyperGroup
from typer.exceptions import TyperException

from inference_cache import __version__

from . import explain, fabrics, lint, nodes, plan, render
from .failure import CommandError
from .options import Format, Output

_HELP: Final = "Look after InferenceCacheDeployments: check and render them offline, explain them in a cluster."
_EPILOG: Final = """\b
Examples:
  icd lint -f deployment.yaml             is the spec accepted?
  icd render -f deployment.yaml           what would be created for it?
  icd explain nemotron-70b                why is it not ready, and what mends it?
  icd nodes nemotron-70b                  which nodes can run it, and why not the others?
  icd fabrics                             are the storage fabrics ready?

Every command has a help of its own: icd explain --help."""

# Each module has a function `register` that adds its command.
_COMMANDS: Final = (lint, render, plan, explain, nodes, fabrics)


_DEBUG: Final = "ICD_DEBUG"


class _Group(TyperGroup):
    """Shows a failure as one line, also one that nobody expected; the text of that might hold a secret."""

    def invoke(self, ctx: Any) -> Any:
        try:
            return super().invoke(ctx)
        except CommandError as error:
            typer.echo(f"Error: {error}", err=True)
            raise typer.Exit(1) from error
        except (TyperException, typer.Exit, typer.Abort, BrokenPipeError):
            raise
        except Exception as error:
            if os.environ.get(_DEBUG):
                traceback.print_exc()
            typer.echo(
                f"icd failed: {type(error).__name__}; this is a fault of icd, please report it with the command line",
                err=True,
            )
            raise typer.Exit(1) from error


def build_app(*, completion: bool = True) -> typer.Typer:
    """Return the application with all its commands."""
    app = typer.Typer(
        cls=_Group,
        help=_HELP,
        epilog=_EPILOG,
        no_args_is_help=True,
        add_completion=completion,
        # Plain help: no boxes, no colours, and rich is not loaded.
        rich_markup_mode=None,
        pretty_exceptions_enable=False,
        context_settings={"help_option_names": ["-h", "--help"]},
    )
    for module in _COMMANDS:
        module.register(app)
    app.command("version", epilog="\b\nExamples:\n  icd version -o json")(show_version)
    return app


def show_version(output: Output = Format.TABLE) -> None:
    """Show the version of this command."""
    from inference_cache.api.v1alpha1 import API_VERSION  # noqa: PLC0415 - slow

    from .output import print_document  # noqa: PLC0415 - slow

    if output is Format.TABLE:
        typer.echo(f"icd {__version__}, API {API_VERSION}")
    else:
        print_document({"version": __version__, "apiVersion": API_VERSION}, output)


def main() -> None:
    """Run the command."""
    program = Path(sys.argv[0]).name
    if program == "kubectl-icd":
        # kubectl completes its plugins by another way, and a name with a blank would break the scripts of typer's.
        build_app(completion=False)(prog_name="kubectl icd")
    build_app()(prog_name="icd")


if __name__ == "__main__":
    main()
