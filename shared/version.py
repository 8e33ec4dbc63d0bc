"""The version of this code: the contracts, the command and the API say the same one."""

from __future__ import annotations

from typing import Final

VERSION: Final = "0.1.0"
