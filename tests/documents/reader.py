"""A reader who types what a document shows, in one shell for each document."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from tests.documents.blocks import Step, read, steps
from tests.structure.tree import ROOT
from tests.support.client import RESOURCES
from tests.support.ports import reserved_ports
from tests.support.processes import clean
from tests.support.product import Product
from tests.support.waiting import PATIENCE_S

LEFT_OUT: Final = frozenset({".git", ".tributary", ".env", ".cache", ".venv-dev", "try"})
"""Left out of the copy: a fresh checkout lacks it, or a test must not write to it."""
END: Final = "--- end of the block"
LINK: Final = re.compile(r"http://localhost:\d+/connect/\w+")
CHANGING: Final = (
    (re.compile(r"\b[0-9a-f]{32}\b"), "<id>"),
    (re.compile(r"\b[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}\b"), "<uuid>"),
    (re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d+)?Z"), "<time>"),
    (re.compile(r"\b\d{16}\b"), "<version>"),
    (re.compile(r"\{'\d+': \d+(?:, '\d+': \d+)*\}"), "<positions>"),
    (re.compile(r"\btrb_\w+"), "<key>"),
    (re.compile(r"\d+\.\d+ ?(?:s|ms)\b"), "<duration>"),
    (re.compile(r"[ \t]+$", re.MULTILINE), ""),
)
"""Text that differs from run to run, and the placeholder that a comparison takes for it."""


def settled(text: str) -> str:
    """Return ``text`` with a placeholder for whatever changes from one run to the next."""
    for pattern, placeholder in CHANGING:
        text = pattern.sub(placeholder, text)
    return textwrap.dedent(text).strip()


class Reader:
    """Types commands of one document into a shell, at the addresses of the product that runs."""

    def __init__(self, running: Product, shell: subprocess.Popen[str], *, port: int) -> None:
        """``port`` is free for a server that a document shows."""
        self._running, self._shell = running, shell
        self._said = ""
        self._addresses = {
            "http://localhost:8000": running.url,
            "http://127.0.0.1:8003": running.sandbox,
            "http://127.0.0.1:8002": f"http://127.0.0.1:{running.ports['FETCHER']}",
            "http://127.0.0.1:3000": f"http://127.0.0.1:{port}",
            "127.0.0.1:9092": running.bootstrap,
            ".venv/bin/python": sys.executable,
            ".venv-dev/bin/python": sys.executable,
            "try/venv/bin/python": sys.executable,
        }

    def types(self, commands: str) -> str:
        """Run one block; return what it printed, with the addresses of the documents."""
        for shown, real in self._addresses.items():
            commands = re.sub(rf"(?<![\w/]){re.escape(shown)}", real, commands)
        assert self._shell.stdin is not None
        assert self._shell.stdout is not None
        self._shell.stdin.write(f"{commands}\nprintf '\\n%s %s\\n' '{END}' $?\n")
        self._shell.stdin.flush()
        said = ""
        for line in self._shell.stdout:
            if line.startswith(END):
                assert line == f"{END} 0\n", f"{commands}\nfailed: {said}"
                break
            said += line
        self._said = said.strip()
        return self._shown(self._said)

    def runs(self, program: str) -> str:
        """Run a Python program; return what it printed, with the addresses of the documents."""
        return self.types(f".venv/bin/python - <<'PROGRAM'\n{program}PROGRAM")

    def does(self, step: Step) -> str | None:
        """Do what a step says; return what a command or a program printed, else None."""
        match step.kind:
            case "commands":
                return self.types(step.body)
            case "program":
                return self.runs(step.body)
            case "file":
                self.saves(step.body, step.note)
            case "consent":
                self.consents(step.body)
            case "earlier":
                for one in steps(read(step.body)):
                    self.does(one)
            case _:
                pass
        return None

    def saves(self, program: str, path: str) -> None:
        self.types(f"mkdir -p {Path(path).parent}; cat > {path} <<'PROGRAM'\n{program}PROGRAM")

    def consents(self, decision: str) -> None:
        """Open the link that the last block printed, and decide at the simulated provider.

        ``decision`` is "allow" or "deny", and may name the account to choose.
        """
        (link,) = set(LINK.findall(self._said))
        word, _, name = decision.partition(" ")
        self._running.consent(link, decision=word, account=self._account(name))

    def _account(self, name: str) -> str | None:
        """Return the id of the simulated account of that name, None for whichever is offered."""
        for provider in RESOURCES:
            for account in self._running.control("GET", f"{provider}/accounts")["items"]:
                if account["name"] == name:
                    return str(account["id"])
        return None

    def _shown(self, said: str) -> str:
        for shown, real in self._addresses.items():
            said = said.replace(real, shown)
        return said.replace(str(ROOT), ".")


def _installed(venv: Path) -> None:
    """Make ``venv`` look complete to make: the packages are there, where this test runs."""
    (venv / "bin").mkdir(parents=True)
    (venv / "bin" / "python").symlink_to(sys.executable)
    shutil.copy(ROOT / "requirements-dev.lock", venv / "installed.lock")


@contextmanager
def reading(running: Product, folder: Path) -> Iterator[Reader]:
    """Yield a reader in a fresh shell, in a new folder with the checkout's files in it."""
    folder.mkdir()
    for path in ROOT.iterdir():
        if path.name not in LEFT_OUT:
            (folder / path.name).symlink_to(path)
    _installed(folder / ".venv-dev")
    (reserved,) = reserved_ports(1)
    port = reserved.getsockname()[1]
    environ = {
        **clean(os.environ),
        **running.settings,
        "KAFKA": running.bootstrap,
        "API": running.url,
        "PORT": str(port),
        "MAKEFLAGS": f"DEV={sys.executable}",
    }
    shell = subprocess.Popen(
        ["bash", "--norc", "-s"],
        cwd=folder,
        env={**environ, "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    try:
        yield Reader(running, shell, port=port)
    finally:
        reserved.close()
        assert shell.stdin is not None
        assert shell.stdout is not None
        shell.stdin.close()
        shell.wait(timeout=PATIENCE_S)
        shell.stdout.close()
