"""Say where a stack is, where its log is, how to make a key if one is needed, and when it ends."""

from __future__ import annotations

import os
import shlex
import sys
from pathlib import Path
from typing import Final

from shared.settings import Settings

EXAMPLE_ORG: Final = "demo"
NAMED_BY_ENVIRONMENT: Final = ("TRIBUTARY_DATA_DIR", "TRIBUTARY_DATABASE_PASSWORD_FILE")
"""Settings that say where keys are stored and may stand in a command: they hold no secret."""


def logs_folder(settings: Settings) -> Path:
    return settings.data_dir / "logs"


def greet(settings: Settings, *, logs: Path, keys_module: str) -> None:
    """Print where everything is. The addresses go to standard output, the rest to standard error.

    ``keys_module`` is the Python module whose ``keys create`` makes a key on this stack.
    """
    url = settings.public_url
    print(f"Console         {url}")
    print(f"API docs        {url}/docs")
    print(f"Events docs     {url}/events")
    print(f"Kafka bootstrap {settings.kafka.bootstrap}")
    print(f"Log             {logs}", flush=True)
    if settings.keys_required:
        print(_key_needed(keys_module), file=sys.stderr)


def say_stopped() -> None:
    """Print the last line of a stack that has stopped."""
    # A terminal has written ^C at the start of the line.
    if sys.stderr.isatty():
        print(file=sys.stderr)
    print("Stopped.", file=sys.stderr)


def _key_needed(keys_module: str) -> str:
    return (
        "An API key is needed, because the host or the public URL is not loopback. "
        f"This makes one for the organisation {EXAMPLE_ORG!r}:\n"
        f"  {keys_command(keys_module)}"
    )


def keys_command(keys_module: str) -> str:
    """Return a shell command that makes a key, for the folder in which this process was started.

    It names the interpreter that runs this process, and the variables that this process was given
    on its command line: another terminal does not have them. ``.env`` is read by the command too.
    """
    given = [(name, os.environ.get(name, "").strip()) for name in NAMED_BY_ENVIRONMENT]
    words = [f"{name}={shlex.quote(value)}" for name, value in given if value]
    words.append(shlex.quote(_interpreter()))
    words.append(f"-m {keys_module} keys create --org {EXAMPLE_ORG} --scope admin")
    return " ".join(words)


def _interpreter() -> str:
    """Return the path of this Python, relative to the current folder if it is inside."""
    path = Path(sys.executable)
    here = Path.cwd()
    return str(path.relative_to(here) if path.is_relative_to(here) else path)
