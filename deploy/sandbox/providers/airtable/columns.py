"""Describe a column of a simulated table."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

import msgspec

Value = Callable[[random.Random, int], Any]
"""Given a source of chance and the row's number, a cell as Airtable shows it; None shows none."""


class Column(msgspec.Struct, frozen=True):
    name: str
    type: str
    value: Value
    options: dict[str, Any] | None = None
