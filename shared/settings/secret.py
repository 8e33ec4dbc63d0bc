"""A string that does not show itself."""

from __future__ import annotations

import hmac
from typing import Final, final

from typing_extensions import override

_MASK: Final = "***"


@final
class SecretStr:
    """Hide a value: text, logs, tracebacks and representations show ``***``. ``reveal`` returns it.

    It is deliberately no msgspec type: encoding a struct that holds one raises ``TypeError``
    instead of publishing the secret.
    """

    __slots__ = ("_hidden",)

    def __init__(self, value: str) -> None:
        self._hidden = value

    def reveal(self) -> str:
        return self._hidden

    @override
    def __repr__(self) -> str:
        return _MASK

    @override
    def __format__(self, spec: str) -> str:
        return format(_MASK, spec)

    def __bool__(self) -> bool:
        return bool(self._hidden)

    @override
    def __eq__(self, other: object) -> bool:
        if not isinstance(other, SecretStr):
            return NotImplemented
        return hmac.compare_digest(self._hidden.encode(), other._hidden.encode())

    @override
    def __hash__(self) -> int:
        return hash((SecretStr, self._hidden))

    @override
    def __reduce__(self) -> str:
        raise TypeError("A SecretStr cannot be pickled. Call reveal() where the value is needed.")
