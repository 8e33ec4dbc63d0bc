"""Page tokens say where a listing goes on: only we can write them, and each belongs to its filters."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Final, TypeVar

import msgspec

from shared.crypto import BadToken, Signer
from shared.errors import BadRequest

T = TypeVar("T")
LARGEST_PAGE: Final = 200


class PageTokens:
    """The tokens of one listing: of ``listing`` as ``filters`` narrow it down."""

    def __init__(self, signer: Signer, listing: str, *filters: str | None) -> None:
        self._signer, self._bound_to = signer, msgspec.json.encode((listing, *filters)).decode()

    def write(self, position: object) -> str:
        return self._signer.sign(msgspec.json.encode(position), self._bound_to)

    def read(self, token: str | None, kind: Any) -> Any:
        """Return the position in a token, of type ``kind``; None for no token.

        Raises:
            BadToken: it was not given out for this listing and these filters.
        """
        if token is None:
            return None
        payload = self._signer.verify(token, self._bound_to)
        try:
            return msgspec.json.decode(payload, type=kind)
        except msgspec.DecodeError:
            raise BadToken("This page token is of an older version. Start again without it.") from None

    def next(self, found: Sequence[T], page_size: int, position: Callable[[T], object]) -> str | None:
        """Return the token of the page after ``found``, which holds one row more than a page when there is one."""
        return self.write(position(found[page_size - 1])) if len(found) > page_size else None


def check_page_size(page_size: int) -> None:
    """Raises ``BadRequest``."""
    if not 1 <= page_size <= LARGEST_PAGE:
        raise BadRequest(f"`page_size` must be 1 to {LARGEST_PAGE}; {page_size} is not.", code="bad_page_size")
