"""Draw a share of things so that the same seed draws the same ones."""

from __future__ import annotations

from hashlib import blake2b
from typing import Final

WHOLE: Final = 1 << 64


def drawn(id_: str, *, seed: int, share: float) -> bool:
    """Return True for about ``share`` of all ids; what is drawn stays drawn with a larger share."""
    digest = blake2b(f"{seed}/{id_}".encode(), digest_size=8).digest()
    return int.from_bytes(digest) < share * WHOLE
