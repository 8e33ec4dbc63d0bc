"""The app that is registered with each sandbox: the product reads the same from another process."""

from __future__ import annotations

import hmac
import os
import secrets
from collections.abc import Iterable
from pathlib import Path

import msgspec

from shared.sandbox import Client

FILE = "sandbox-client.json"


class Kept(msgspec.Struct, frozen=True):
    secret: str


def sandbox_clients(
    data_dir: Path, public_url: str, slugs: Iterable[str], *, return_origins: tuple[str, ...] = ()
) -> dict[str, Client]:
    """Slug → client, with the callback at ``public_url``. Every process with the same ``data_dir`` gets the same.

    ``return_origins``: where the callback may send a browser on to (the allowed origins of ``return_url``).
    """
    seed = _kept_secret(data_dir / FILE).encode()
    root = public_url.rstrip("/")
    return {
        slug: Client(
            id=f"tributary-sandbox-{slug}",
            secret=hmac.new(seed, slug.encode(), "sha256").hexdigest(),
            redirect_uris=(f"{root}/integrations/{slug}/oauth2callback",),
            return_origins=return_origins,
        )
        for slug in slugs
    }


def _kept_secret(path: Path) -> str:
    """Made once, whoever comes first: the file appears whole or not at all (a link to it fails if it is there)."""
    path.parent.mkdir(parents=True, exist_ok=True)
    if not path.exists():
        draft = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
        with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
            file.write(msgspec.json.encode(Kept(secrets.token_hex(32))))
            file.flush()
            os.fsync(file.fileno())
        try:
            os.link(draft, path)
        except FileExistsError:
            pass
        finally:
            draft.unlink()
    return msgspec.json.decode(path.read_bytes(), type=Kept).secret
