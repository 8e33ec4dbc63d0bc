"""Make the app that is registered with each sandbox; the product makes the same one for itself."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from deploy.sandbox.world import SandboxClient
from shared.installation import sandbox_client


def sandbox_clients(
    data_dir: Path, public_url: str, slugs: Iterable[str], *, return_origins: tuple[str, ...] = ()
) -> dict[str, SandboxClient]:
    """Return slug → client, with callbacks below ``public_url``.

    Every process with the same ``data_dir`` gets the same clients. ``return_origins`` are the
    origins that the callback may send a browser on to (the allowed origins of ``return_url``).

    Raises:
        SecretFileRefused: the secret's file is readable by others, or damaged.
    """
    root = public_url.rstrip("/")
    clients = {}
    for slug in slugs:
        name, secret = sandbox_client(data_dir, slug)
        callback = f"{root}/integrations/{slug}/oauth2callback"
        clients[slug] = SandboxClient(
            id=name,
            secret=secret.reveal(),
            redirect_uris=(callback,),
            return_origins=return_origins,
        )
    return clients
