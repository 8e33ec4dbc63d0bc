"""Define the tables of the contract tests."""

from __future__ import annotations

from sqlalchemy import Column, Integer, LargeBinary, MetaData, String, Table

from shared.db import Big, Key
from shared.outbox import outbox_table

metadata = MetaData()

counters = Table(
    "counters",
    metadata,
    Column("name", String, primary_key=True),
    Column("value", Integer, nullable=False),
)

things = Table(
    "things",
    metadata,
    Column("id", Key, primary_key=True),
    Column("number", Big, nullable=True),
    Column("body", LargeBinary, nullable=True),
)

placed = Table(
    "placed",
    metadata,
    Column("connection", Key, primary_key=True),
    Column("resource", Key, primary_key=True),
    Column("id", Key, primary_key=True),
    Column("number", Big, nullable=False),
)

outbox = outbox_table(metadata)
