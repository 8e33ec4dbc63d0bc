"""What the fetcher tells itself on ``tributary.pages.v1``."""

from __future__ import annotations

import msgspec


class LoadPage(msgspec.Struct, frozen=True, kw_only=True):
    """A wake-up. It counts only while the job is ready and its own ``wake`` is this one."""

    job: str
    wake: int


KINDS: dict[str, type[LoadPage]] = {"LoadPage": LoadPage}
