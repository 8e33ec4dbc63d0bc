"""Record a small data folder of the version it runs with, as text and without a secret.

In a checkout of that version: ``PYTHONPATH=. .venv-dev/bin/python PATH/TO/record.py
PATH/TO/tests/upgrade/layout_N``. Each key, token and digest becomes the name of a secret;
``restore.py`` makes fresh ones and puts them in their places.
"""

from __future__ import annotations

import asyncio
import base64
import json
import os
import re
import sqlite3
import subprocess
import sys
import tempfile
import time
from contextlib import closing
from pathlib import Path
from typing import Any, Final

from aiokafka import AIOKafkaProducer

from shared.crypto import hash_token, load_keyring
from tests.support.processes import clean
from tests.support.product import Product, product
from tests.support.waiting import eventually

ACCOUNTS: Final = {
    "hubspot": {"companies": 2, "contacts": 3, "deals": 2},
    "notion": {"pages": 3, "data_sources": 1, "users": 2},
    "airtable": {"bases": 1, "tables": 1, "records": 5},
}
DATABASES: Final = ("auth", "fetcher", "gateway", "sandbox")
SPOILT: Final = "tributary.syncs.v1"
PREFIX: Final = re.compile(r"(?:ntn_|nrt_|oaa|oar|CN|[a-z]{2}\d-|03)?")
"""The beginnings of providers' tokens, whoever they are for."""
SEALED: Final = {
    ("credentials", "connection_id", "access_sealed"): "access_token",
    ("credentials", "connection_id", "refresh_sealed"): "refresh_token",
    ("flows", "id", "state_sealed"): "state",
    ("flows", "id", "verifier_sealed"): "verifier",
}
"""Table, key and column of each sealed value of auth, and the end of its associated data."""
BLOB: Final = re.compile(r"X'([0-9A-F]*)'")
KAFKA_LEAVES_OUT: Final = {"lock"}


class Secrets:
    """Map secret text to its name, ``secret:NUMBER:PREFIX``."""

    def __init__(self) -> None:
        self._names: dict[str, str] = {}

    def name(self, text: str) -> str:
        begins = re.match(PREFIX, text)
        return self._names.setdefault(
            text, f"secret:{len(self._names) + 1}:{begins[0] if begins else ''}"
        )


def main(arguments: list[str]) -> int:
    into = Path(arguments[0]).absolute()
    into.mkdir(parents=True)
    with tempfile.TemporaryDirectory() as folder:
        data = Path(folder) / "data"
        about = lived(Path(folder))
        secrets = Secrets()
        hide_tokens(data, secrets)
        hide_key_and_session(data, secrets, about)
        for name in DATABASES:
            (into / f"{name}.sql").write_text(dumped(data / f"{name}.db"))
        (into / "kafka.json").write_text(
            json.dumps(files(data / "kafka"), indent=0, sort_keys=True) + "\n"
        )
    (into / "about.json").write_text(
        json.dumps({**about, "recorded_at": time.time()}, indent=2, sort_keys=True) + "\n"
    )
    return 0


def lived(folder: Path) -> dict[str, Any]:
    """Do what somebody does in a small installation, then stop it."""
    with product(folder) as one:
        connections = {}
        for provider, counts in ACCOUNTS.items():
            account = one.account(provider, counts, name="Recorded")
            connections[provider] = connected(one, provider, account, "demo")
        gone = connected(one, "notion", connections["notion"]["account"], "former")
        one.api("DELETE", f"/v1/connections/{gone['id']}")
        asyncio.run(spoil(one))
        eventually(lambda: one.api("GET", "/v1/dead-letters")["dead_letters"])
    settings = {**clean(os.environ), "TRIBUTARY_DATA_DIR": str(folder / "data")}
    create = ["keys", "create", "--org", "demo", "--scope", "admin", "--name", "recorded"]
    key = subprocess.run(
        [sys.executable, "-m", "services.gateway", *create],
        env=settings,
        capture_output=True,
        text=True,
        check=True,
    ).stdout.strip()
    with (
        product(folder, TRIBUTARY_HOST="0.0.0.0", TRIBUTARY_CLOCK_FILE="") as one,
        one.browser() as browser,
    ):  # so it asks for keys
        answer = browser.post(
            f"{one.url}/console/sign-in", data={"key": key}, headers={"origin": one.url}
        )
        assert answer.status_code == 303, answer.text
        session = browser.cookies["tributary_session"]
    return {"connections": connections, "disconnected": gone, "key": key, "session": session}


def connected(one: Product, provider: str, account: str, user: str) -> dict[str, Any]:
    made = one.connect(provider, account=account, user=user)
    assert one.synced(made["sync_id"])["state"] == "done"
    return {"id": made["id"], "account": account, "sync_id": made["sync_id"]}


async def spoil(one: Product) -> None:
    """Send a message that nobody can read, so that there is a dead letter."""
    producer = AIOKafkaProducer(bootstrap_servers=one.bootstrap)
    await producer.start()
    await producer.send_and_wait(
        SPOILT, b"no request", key=b"nobody", headers=[("ce_type", b"tributary.Nonsense")]
    )
    await producer.stop()


def hide_tokens(data: Path, secrets: Secrets) -> None:
    """Name the sandbox's tokens and codes; auth's sealed values tell which is which."""
    with closing(sqlite3.connect(data / "sandbox.db")) as sandbox, sandbox:
        for space, key in sandbox.execute("SELECT space, key FROM state").fetchall():
            if space.endswith(("/tokens", "/codes")):
                name = secrets.name(key)
                sandbox.execute(
                    "UPDATE state SET key = ? WHERE space = ? AND key = ?", (name, space, key)
                )
    ring = load_keyring((), data / "keys")
    with closing(sqlite3.connect(data / "auth.db")) as auth, auth:
        orgs = dict(
            auth.execute(
                "SELECT id, org_id FROM connections UNION SELECT id, org_id FROM flows"
            ).fetchall()
        )
        for (table, key, column), field in SEALED.items():
            for id_, sealed in auth.execute(f"SELECT {key}, {column} FROM {table}").fetchall():
                if sealed is not None:
                    name = secrets.name(ring.open(sealed, orgs[id_], id_, field))
                    auth.execute(f"UPDATE {table} SET {column} = ? WHERE {key} = ?", (name, id_))
        auth.execute("UPDATE canary SET sealed = 'canary'")
        auth.execute(
            "UPDATE flows SET nonce_hash = 'spent', state_hash = 'digest of ' || state_sealed"
        )
        auth.execute("UPDATE credentials SET fingerprint = 'digest of ' || refresh_sealed")


def hide_key_and_session(data: Path, secrets: Secrets, about: dict[str, Any]) -> None:
    """Name the key and session; ``about`` keeps the public beginning of the key."""
    _, prefix, secret = about.pop("key").split("_")
    session = about.pop("session")
    with closing(sqlite3.connect(data / "gateway.db")) as gateway, gateway:
        for table, column, text in (("api_keys", "digest", secret), ("sessions", "id", session)):
            named = (f"digest of {secrets.name(text)}", hash_token(text))
            changed = gateway.execute(
                f"UPDATE {table} SET {column} = ? WHERE {column} = ?", named
            ).rowcount
            assert changed == 1, table
    about |= {
        "key_prefix": prefix,
        "key_secret": secrets.name(secret),
        "session": secrets.name(session),
    }


def dumped(path: Path) -> str:
    with closing(sqlite3.connect(path)) as db:
        return re.sub(BLOB, _readable, "\n".join(db.iterdump()) + "\n")


def _readable(blob: re.Match[str]) -> str:
    """Return JSON as text, half as long and fit to be read."""
    try:
        text = bytes.fromhex(blob[1]).decode()
    except UnicodeDecodeError:
        return blob[0]
    return f"""CAST('{text.replace("'", "''")}' AS BLOB)""" if text.isprintable() else blob[0]


def files(folder: Path) -> dict[str, str]:
    """Return path → content in base64."""
    found = sorted(
        path for path in folder.rglob("*") if path.is_file() and path.name not in KAFKA_LEAVES_OUT
    )
    return {
        str(path.relative_to(folder)): base64.b64encode(path.read_bytes()).decode()
        for path in found
    }


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
