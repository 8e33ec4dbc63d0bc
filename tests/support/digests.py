"""Add up the digest of a lane as a reader does."""

from __future__ import annotations

from collections.abc import Mapping
from hashlib import blake2b


def lane_digest(digests: Mapping[str, str]) -> str:
    """Return the digest of a lane that holds these items: id → digest of its content, in hex."""
    total = 0
    for id_, digest in digests.items():
        counted = blake2b(id_.encode() + bytes.fromhex(digest), digest_size=16).digest()
        total += int.from_bytes(counted, "big")
    return f"{total % 2**128:032x}"
