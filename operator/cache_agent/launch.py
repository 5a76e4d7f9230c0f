"""Starts the cache server with the adapter that the preflight has chosen, and takes its place with it.

    python3 -I launch.py --run-directory FOLDER -- lmcache server OPTIONS

One file that imports nothing else of this package, so that it can run isolated from every variable: the server gets the
environment of its container, and the preflight's variables on top. A container that starts anew reads the same choice, as
that lies in a volume of the pod.
"""

from __future__ import annotations

import json
import os
import resource
import sys
from pathlib import Path
from typing import Any, Final, NoReturn

_LIMIT: Final = 2**20
CHOICE: Final = "l2-adapter.json"
ENVIRONMENT: Final = "environment.json"


class LaunchError(Exception):
    """Why the server is not started, and what to do."""


def build_command(command: list[str], folder: Path) -> list[str]:
    """Return the command with the chosen adapter.

    Raises:
        LaunchError: Nothing was chosen.
    """
    adapter = _read(folder / CHOICE).get("adapter", 0)
    if adapter is None:
        return command
    if not isinstance(adapter, dict):
        raise LaunchError(f"{folder / CHOICE} holds no adapter")
    return [*command, f"--l2-adapter={json.dumps(adapter, sort_keys=True, separators=(',', ':'))}"]


def read_variables(folder: Path) -> dict[str, str]:
    """Return the variables that the preflight adds.

    Raises:
        LaunchError: They cannot be read.
    """
    variables = _read(folder / ENVIRONMENT).get("variables")
    if not isinstance(variables, dict) or not all(isinstance(value, str) for value in variables.values()):
        raise LaunchError(f"{folder / ENVIRONMENT} holds no variables")
    return variables


def raise_memlock() -> None:
    """Lift the limit of locked memory as far as it may be lifted: the preflight judged it by that."""
    _, hard = resource.getrlimit(resource.RLIMIT_MEMLOCK)
    resource.setrlimit(resource.RLIMIT_MEMLOCK, (hard, hard))


def _read(path: Path) -> dict[str, Any]:
    try:
        with path.open("rb") as stream:
            content = json.loads(stream.read(_LIMIT))
    except (OSError, ValueError) as error:
        cause = "is not there" if isinstance(error, FileNotFoundError) else f"cannot be read ({type(error).__name__})"
        raise LaunchError(f"{path} {cause}: the container preflight must have ended well; delete the pod") from error
    if not isinstance(content, dict):
        raise LaunchError(f"{path} holds no JSON object: delete the pod")
    return content


def _fail(text: str, code: int) -> NoReturn:
    print(f"launch: {text}", file=sys.stderr, flush=True)
    sys.exit(code)


def main(arguments: list[str]) -> NoReturn:
    """Run with the arguments of a command line; does not return."""
    option, separator, *command = [*arguments, "", ""][: max(len(arguments), 2)]
    if not option.startswith("--run-directory=") or separator != "--" or not command:
        _fail("usage: launch.py --run-directory=FOLDER -- COMMAND", 2)
    folder = Path(option.partition("=")[2])
    try:
        command = build_command(command, folder)
        environment = {**os.environ, **read_variables(folder)}
    except LaunchError as error:
        _fail(str(error), 1)
    raise_memlock()
    try:
        os.execvpe(command[0], command, environment)  # noqa: S606 - it takes this process's place
    except OSError as error:
        _fail(f"{command[0]} cannot be started: {error.strerror}", 1)


if __name__ == "__main__":
    main(sys.argv[1:])
