"""Command line of the demonstration: `python -m e2e up`, `status` and `down`."""

import typer

from e2e.cluster import ClusterError
from e2e.cluster.binaries import BuildError
from e2e.demo import show_status, start_demo, stop_demo

app = typer.Typer(add_completion=False, help="The reference deployment on an embedded cluster.", no_args_is_help=True)


@app.command()
def up() -> None:
    """Start a cluster and take the reference deployment to Ready."""
    start_demo(typer.echo)


@app.command()
def status() -> None:
    """Show the conditions and the bucket."""
    show_status(typer.echo)


@app.command()
def down() -> None:
    """Stop everything."""
    stop_demo()
    typer.echo("Stopped; nothing is left running.")


def main() -> None:
    """Run a command; known failures end with a message instead of a traceback."""
    try:
        app()
    except (ClusterError, BuildError) as error:
        typer.echo(f"Error: {error}", err=True)
        raise SystemExit(1) from None


if __name__ == "__main__":
    main()
