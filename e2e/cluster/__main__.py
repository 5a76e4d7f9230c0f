"""Command line of clusters: `python -m e2e.cluster build`, `up`, `down`, `list` and `logs`."""

import re
from typing import Annotated, Final

import typer

from . import ClusterError, find_cluster, list_clusters, start_cluster
from .binaries import BuildError, ensure_binaries
from .start import named_folder

app = typer.Typer(add_completion=False, help="Clusters for tests and for looking around.", no_args_is_help=True)
# A name becomes a folder.
_NAME: Final = re.compile(r"[a-z0-9]([a-z0-9-]{0,30}[a-z0-9])?")

Name = Annotated[str, typer.Option(help="Name of the cluster.")]


@app.command()
def build() -> None:
    """Build the binaries that a cluster consists of."""
    typer.echo(f"All binaries are in {ensure_binaries(typer.echo)}.")


@app.command()
def up(name: Name, nodes: Annotated[int, typer.Option(min=0, help="How many fake GPU nodes.")] = 3) -> None:
    """Start a cluster that stays until it is stopped."""
    _check_name(name)
    cluster = start_cluster(name, nodes=nodes, report=typer.echo)
    cluster.detach()
    typer.echo(f"""The cluster {name} with {nodes} GPU nodes is up. Use it:
  export KUBECONFIG={cluster.kubeconfig}
  export PATH={cluster.bin_dir}:$PATH
  kubectl get nodes
Stop it:
  uv run python -m e2e.cluster down --name {name}""")


@app.command()
def down(name: Name) -> None:
    """Stop a cluster and remove its folder."""
    _check_name(name)
    find_cluster(name).down()
    typer.echo(f"The cluster {name} is stopped; nothing of it is left running.")


@app.command(name="list")
def show_list() -> None:
    """Show the names of the clusters that run."""
    for name in list_clusters():
        typer.echo(name)


@app.command()
def logs(name: Name, lines: Annotated[int, typer.Option(min=1, help="How many of each log.")] = 60) -> None:
    """Show the end of every log of a cluster, also of one that has ended by itself."""
    _check_name(name)
    folder = named_folder(name)
    if not (folder / "logs").is_dir():
        find_cluster(name)
    failure = folder / "failure"
    if failure.exists():
        typer.echo(f"The cluster has ended: {failure.read_text()}")
    for path in sorted((folder / "logs").glob("*.log")):
        tail = path.read_text(errors="replace").splitlines()[-lines:]
        typer.echo(f"\n==== {path.stem} (end of {path})\n" + "\n".join(tail))


def main() -> None:
    """Run a command; known failures end with a message instead of a traceback."""
    try:
        app()
    except (ClusterError, BuildError) as error:
        typer.echo(f"Error: {error}", err=True)
        raise SystemExit(1) from None


def _check_name(name: str) -> None:
    if not _NAME.fullmatch(name):
        raise ClusterError(
            f"'{name}' is no name of a cluster: use up to 32 lower-case letters, digits and inner hyphens"
        )


if __name__ == "__main__":
    main()
