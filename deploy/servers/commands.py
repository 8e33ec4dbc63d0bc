"""Find commands of the system, and install them if that is possible without asking."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from shared.exit_codes import Refusal

POLICY: Final = Path("/usr/sbin/policy-rc.d")


class ProgramUnavailable(Refusal):
    """A server is not available on this machine; the message says why and what would help."""


def as_user(user: str | None, *, tied: signal.Signals | None = None) -> list[str]:
    """Return the words to put before a command.

    It then runs as ``user`` if we are root, and gets the signal ``tied`` when our thread ends.
    ``setpriv`` replaces itself by the command, so the process id is the command's own.
    """
    options: list[str] = []
    if user is not None and os.geteuid() == 0:
        options += [f"--reuid={user}", f"--regid={user}", "--clear-groups"]
    if tied is not None:
        options += ["--pdeathsig", tied.name.removeprefix("SIG")]
    return ["setpriv", *options, "--"] if options and shutil.which("setpriv") else []


def installed(what: str, packages: list[str], path: str | None = None) -> str:
    """Return the path of a command, after installing its Debian packages if we may.

    Raises:
        ProgramUnavailable: it is missing and cannot be installed.
    """
    return shutil.which(what, path=path) or _after_installing(what, packages, path)


def _after_installing(what: str, packages: list[str], path: str | None) -> str:
    install(what, packages)
    found = shutil.which(what, path=path)
    if found is None:
        raise ProgramUnavailable(
            f"{' '.join(packages)} is installed, but there is no command {what}."
        )
    return found


def install(what: str, packages: list[str]) -> None:
    """Install Debian packages. Raise ``ProgramUnavailable`` if that is not possible."""
    wanted = " ".join(packages)
    if shutil.which("apt-get") is None:
        raise ProgramUnavailable(
            f"There is no {what} here, and no apt-get to install {wanted}. Install {what} yourself."
        )
    if os.geteuid() != 0:
        raise ProgramUnavailable(
            f"There is no {what} here, and only root can install it: sudo apt-get install {wanted}"
        )
    print(f"Installing {wanted} (once).", file=sys.stderr)
    apt = ["apt-get", "-qq", "-o", "DPkg::Lock::Timeout=300"]
    with _services_stay_off():
        for arguments in (["update"], ["install", "-y", "--no-install-recommends", *packages]):
            ended = subprocess.run(  # noqa: S603, the command is ours
                [*apt, *arguments],
                env=os.environ | {"DEBIAN_FRONTEND": "noninteractive"},
                stdin=subprocess.DEVNULL,
                capture_output=True,
                text=True,
                check=False,
            )
            if ended.returncode:
                reason = (ended.stderr.strip() or ended.stdout.strip()).rpartition("\n")[2]
                raise ProgramUnavailable(f"{wanted} could not be installed: {reason}")


@contextmanager
def _services_stay_off() -> Iterator[None]:
    """Keep Debian from starting the servers that it installs."""
    if POLICY.exists():
        yield
        return
    POLICY.write_text("#!/bin/sh\nexit 101\n", "utf-8")
    POLICY.chmod(0o755)
    try:
        yield
    finally:
        POLICY.unlink(missing_ok=True)
