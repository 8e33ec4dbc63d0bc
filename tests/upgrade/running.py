"""Run the commands that people run on an installation of a recorded layout."""

from __future__ import annotations

import hashlib
import os
import sqlite3
import subprocess
from contextlib import closing
from pathlib import Path
from typing import Any

from tests.support import forks
from tests.support.processes import clean
from tests.support.product import Product
from tests.support.waiting import PATIENCE_S, eventually
from tests.upgrade.restore import Account, Restored, restore


class Installation(Product):
    """Hold a data folder; ``run`` runs a command on it, ``start`` starts the product."""

    @property
    def data(self) -> Path:
        return self.folder / "data"

    def restore(self, layout: int = 1) -> Restored:
        return restore(layout, self.data)

    def run(self, command: str, **settings: str) -> subprocess.CompletedProcess[str]:
        """Run ``command``: a module and its arguments."""
        return forks.run(*command.split(), cwd=self.folder, env=self._environment(settings))

    def refusal(self, command: str, **settings: str) -> str:
        """Return the sentence in which it ends."""
        ended = self.run(command, **settings)
        assert ended.returncode == 1, ended
        assert "Traceback" not in ended.stderr
        return ended.stderr.splitlines()[-1]

    def upgrade(self, **settings: str) -> str:
        """Return what it says."""
        ended = self.run("deploy.upgrade --yes", **settings)
        assert ended.returncode == 0, ended.stderr
        return ended.stdout

    def kill_upgrade_at(self, failpoint: str) -> None:
        """Kill -9 the upgrade at exactly this point."""
        said = self.folder / "upgrade.log"
        with said.open("wb") as output:
            upgrade = forks.start(
                "deploy.upgrade",
                "--yes",
                cwd=self.folder,
                env=self._environment({"TRIBUTARY_FAILPOINT": failpoint}),
                stdout=output,
                stderr=output,
            )

        def stopped() -> bool:
            assert upgrade.poll() is None, said.read_text()
            return f"stopped at failpoint {failpoint}\n" in said.read_text()

        eventually(stopped, every=0.01)
        upgrade.kill()
        upgrade.wait(PATIENCE_S)

    def loaded(self, provider: str, account: Account) -> dict[str, Any]:
        """Return the connection once it is loaded again and equals the provider."""
        url = f"/v1/connections/{account.id}"
        eventually(lambda: self.http.get(self.url + url).status_code == 200)
        found: dict[str, Any] = self.api("GET", url)
        assert self.synced(found["sync_id"])["state"] == "done"
        assert self.differences(provider, account.account, account.id) == {}
        return found

    def rows(self, database: str, query: str) -> list[tuple[object, ...]]:
        with closing(sqlite3.connect(self.data / f"{database}.db")) as db:
            return db.execute(query).fetchall()

    def write(self, database: str, statement: str, *values: object) -> None:
        """Write to a database while nothing runs."""
        with closing(sqlite3.connect(self.data / f"{database}.db")) as db, db:
            db.execute(statement, values)

    def _environment(self, settings: dict[str, str]) -> dict[str, str]:
        return {**clean(os.environ), **self.settings, **settings}


def contents(folder: Path) -> dict[str, str]:
    """Return path → digest of each file except lock files."""
    locks = {"lock", ".lock", ".lead"}
    files = [
        path
        for path in folder.rglob("*")
        if path.is_file() and not {path.name, path.suffix} & locks
    ]
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in files
    }
