"""Column types that mean the same on both databases."""

from __future__ import annotations

from typing import Final

from sqlalchemy import BigInteger, Integer, String

Key: Final = String().with_variant(String(collation="C"), "postgresql")
"""Text that is sorted and paged by: in the order of its bytes, as SQLite and Python have it, whatever the locale."""
Big: Final = BigInteger().with_variant(Integer(), "sqlite")
"""64 bits. SQLite's INTEGER always has them, and only by that name can it be a growing primary key."""
