"""Remember the schemas by which a job's pages are understood, so that each is read once a job."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping
from hashlib import blake2b
from typing import Final, NamedTuple

import msgspec

from shared.connector import Schema

MOST_KEPT: Final = 256
"""A base's schema may have some hundred kilobytes."""
_SORTED: Final = msgspec.json.Encoder(order="sorted")


class KeptSchema(NamedTuple):
    """A schema, and the 16 bytes by which a change of it is noticed."""

    schema: Schema
    digest: bytes


class Schemas:
    """Keep the schemas last used, by job and key.

    A job begins by reading its schemas anew: what was added since the last one must not be missed.
    """

    def __init__(self) -> None:
        self._kept: OrderedDict[tuple[str, str], KeptSchema] = OrderedDict()

    def get(self, job_id: str, key: str) -> KeptSchema | None:
        found = self._kept.get((job_id, key))
        if found is not None:
            self._kept.move_to_end((job_id, key))
        return found

    def keep(self, job_id: str, schemas: Mapping[str, Schema]) -> None:
        for key, schema in schemas.items():
            digest = blake2b(_SORTED.encode(schema), digest_size=16).digest()
            self._kept[job_id, key] = KeptSchema(schema, digest)
        while len(self._kept) > MOST_KEPT:
            self._kept.popitem(last=False)

    def forget(self, job_id: str, key: str) -> None:
        self._kept.pop((job_id, key), None)
