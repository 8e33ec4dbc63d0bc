"""Make a data folder of a recorded layout again, with its own keys and tokens, as if new.

It writes things as the recorded version did, without today's code: that code is being tested.
"""

from __future__ import annotations

import base64
import hashlib
import json
import secrets
import sqlite3
import time
from collections.abc import Mapping
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from cryptography.hazmat.primitives.ciphers.aead import AESGCM

HERE: Final = Path(__file__).parent
SECRET_FILES: Final = ("service-secret", "signing-secret", "sandbox-secret")
KEY_ID: Final = "k0"


@dataclass(frozen=True)
class Account:
    """Hold a recorded connection; ``account`` is its account at the simulated provider."""

    id: str
    account: str
    sync_id: str


@dataclass(frozen=True)
class Restored:
    """Hold ``connections`` by provider, and ``key`` and ``session`` as their holders send them."""

    data: Path
    connections: Mapping[str, Account]
    disconnected: Account
    key: str
    session: str


def restore(layout: int, data: Path) -> Restored:
    """Fill the folder ``data``, which must not exist yet."""
    recorded = HERE / f"layout_{layout}"
    about = json.loads((recorded / "about.json").read_text())
    data.mkdir(mode=0o700)
    filling = _Filling(data, age=time.time() - about["recorded_at"])
    for name in SECRET_FILES:
        filling.write(name, secrets.token_urlsafe(32))
    filling.write("keys", f"{KEY_ID}:{base64.b64encode(filling.sealing_key).decode()}")
    filling.databases(recorded)
    for path, content in json.loads((recorded / "kafka.json").read_text()).items():
        file = data / "kafka" / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(base64.b64decode(content))
    return Restored(
        data=data,
        connections={
            provider: Account(**found) for provider, found in about["connections"].items()
        },
        disconnected=Account(**about["disconnected"]),
        key=f"trb_{about['key_prefix']}_{filling.secret(about['key_secret'])}",
        session=filling.secret(about["session"]),
    )


class _Filling:
    """Fill in secrets: one name is the same secret in every database."""

    def __init__(self, data: Path, *, age: float) -> None:
        self._data, self._age = data, age
        self._secrets: dict[str, str] = {}
        self.sealing_key = secrets.token_bytes(32)

    def write(self, name: str, text: str) -> None:
        path = self._data / name
        path.touch(mode=0o600)
        path.write_text(f"{text}\n")

    def secret(self, name: str) -> str:
        """Return the secret called ``name``, which is ``secret:NUMBER:PREFIX``."""
        prefix = name.split(":", 2)[2]
        return self._secrets.setdefault(name, prefix + secrets.token_hex(20))

    def databases(self, recorded: Path) -> None:
        fillings = {
            "auth": self._auth,
            "fetcher": _as_it_is,
            "gateway": self._gateway,
            "sandbox": self._sandbox,
        }
        for name, fill in fillings.items():
            path = self._data / f"{name}.db"
            path.touch(mode=0o600)
            with closing(sqlite3.connect(path)) as db, db:
                db.execute("PRAGMA journal_mode=WAL")
                db.executescript((recorded / f"{name}.sql").read_text())
                fill(db)

    def _auth(self, db: sqlite3.Connection) -> None:
        db.execute("UPDATE canary SET sealed = ?", (self._sealed("tributary", "canary"),))
        owners = dict(db.execute("SELECT id, org_id FROM connections").fetchall())
        for id_, access, refresh in db.execute(
            "SELECT connection_id, access_sealed, refresh_sealed FROM credentials"
        ):
            place = (owners[id_], id_)
            sealed = (
                self._sealed(self.secret(access), *place, "access_token"),
                self._sealed(self.secret(refresh), *place, "refresh_token"),
                _digest(self.secret(refresh)),
            )
            db.execute(
                (
                    "UPDATE credentials SET access_sealed = ?, refresh_sealed = ?, fingerprint = ? "
                    "WHERE connection_id = ?"
                ),
                (*sealed, id_),
            )
        for id_, org, state, verifier in db.execute(
            "SELECT id, org_id, state_sealed, verifier_sealed FROM flows"
        ):
            place = (org, id_)
            sealed_flow = (
                self._sealed(self.secret(state), *place, "state"),
                self._sealed(self.secret(verifier), *place, "verifier"),
                _digest(self.secret(state)),
            )
            db.execute(
                (
                    "UPDATE flows SET state_sealed = ?, verifier_sealed = ?, state_hash = ? "
                    "WHERE id = ?"
                ),
                (*sealed_flow, id_),
            )
        for column in ("access_expires", "refresh_expires", "last_used"):
            db.execute(f"UPDATE credentials SET {column} = {column} + ?", (self._age,))

    def _gateway(self, db: sqlite3.Connection) -> None:
        for table, column in (("api_keys", "digest"), ("sessions", "id")):
            for (named,) in db.execute(f"SELECT {column} FROM {table}").fetchall():
                digest = _digest(self.secret(named.removeprefix("digest of ")))
                db.execute(f"UPDATE {table} SET {column} = ? WHERE {column} = ?", (digest, named))
        db.execute(
            "UPDATE sessions SET created = created + ?, used = used + ?", (self._age, self._age)
        )

    def _sandbox(self, db: sqlite3.Connection) -> None:
        for space, name, value in db.execute("SELECT space, key, value FROM state").fetchall():
            if not space.endswith(("/tokens", "/codes")):
                continue
            body = {key: self._aged(key, one) for key, one in json.loads(value).items()}
            filled = (self.secret(name), json.dumps(body).encode(), space, name)
            db.execute("UPDATE state SET key = ?, value = ? WHERE space = ? AND key = ?", filled)

    def _aged(self, key: str, value: Any) -> Any:
        return value + self._age if key in {"expires", "issued"} and value is not None else value

    def _sealed(self, text: str, *place: str) -> str:
        nonce = secrets.token_bytes(12)
        bound = json.dumps(
            ["v1", KEY_ID, *place], separators=(",", ":"), ensure_ascii=False
        ).encode()
        ciphertext = AESGCM(self.sealing_key).encrypt(nonce, text.encode(), bound)
        return f"v1.{KEY_ID}.{_b64(nonce)}.{_b64(ciphertext)}"


def _as_it_is(db: sqlite3.Connection) -> None:
    """Change nothing: the fetcher's tables hold no secret."""


def _b64(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()
