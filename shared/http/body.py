"""Read bodies within a cap that holds after decompression, and decode them without trust."""

from __future__ import annotations

import json
import re
import zlib
from collections.abc import AsyncIterable
from typing import Any, Final, final

import msgspec

from shared.http.failures import BadBody, BodyTooLarge, MalformedBody, Unreachable

_STEP: Final = 1 << 20
_DEEPEST: Final = 200
_JSON: Final = re.compile(r"(?:application|text)/(?:[\w.+-]+\+)?json", re.IGNORECASE)
_NOT_BRACKETS: Final = bytes(set(range(256)) - set(b"[]{}"))
_SURROGATE: Final = re.compile("[\ud800-\udfff]")


async def read_body(chunks: AsyncIterable[bytes], encoding: str, cap: int) -> bytes:
    """Return the decompressed bytes.

    Raises ``BodyTooLarge``, ``BadBody`` and, for gzip that is cut off, ``Unreachable``.
    """
    coding = encoding.strip().lower()
    if coding not in {"", "identity", "gzip", "x-gzip"}:
        raise BadBody("The provider used a compression that we did not ask for.")
    gunzip = Gunzip() if "gzip" in coding else None
    parts: list[bytes] = []
    try:
        await _collect(chunks, gunzip, parts, cap)
    except BaseException:
        # The error's traceback leads here, and lives until the garbage collector comes by.
        parts.clear()
        raise
    if gunzip and not gunzip.complete:
        raise Unreachable("The provider's answer ended before its compressed data did.")
    return parts[0] if len(parts) == 1 else b"".join(parts)


async def _collect(
    chunks: AsyncIterable[bytes], gunzip: Gunzip | None, parts: list[bytes], cap: int
) -> None:
    room = cap
    async for chunk in chunks:
        for part in gunzip.feed(chunk) if gunzip else (chunk,):
            room -= len(part)
            if room < 0:
                raise BodyTooLarge(f"The provider's answer is larger than {cap // 1_048_576} MiB.")
            parts.append(part)


@final
class Gunzip:
    """Inflate in steps of at most 1 MiB.

    The reader of the steps decides how much of a decompression bomb goes off.
    """

    def __init__(self) -> None:
        self._stream: Any = None

    @property
    def complete(self) -> bool:
        """Return True between the members of a gzip file, and before its first byte."""
        return self._stream is None

    def feed(self, data: bytes) -> Any:
        while data:
            stream = self._stream = self._stream or zlib.decompressobj(wbits=31)
            try:
                part = stream.decompress(data, _STEP)
            except zlib.error:
                raise BadBody("The provider's answer claims to be gzip but is not.") from None
            data = stream.unconsumed_tail
            if stream.eof:
                data, self._stream = stream.unused_data, None
            if part:
                yield part


def decode_json(body: bytes, content_type: str | None) -> Any:
    """Return the value of a JSON body, without NUL characters (PostgreSQL refuses them).

    What is almost JSON is repaired: lone surrogates and invalid UTF-8 become U+FFFD, NaN and the
    infinities become null. Of a repeated key the last value counts.

    Raises ``MalformedBody`` for another content type (a captive portal's page), for anything else
    that is not JSON, and for more than 200 levels, which could exhaust the stack of whoever walks
    them.
    """
    if content_type is not None and not _JSON.fullmatch(content_type.partition(";")[0].strip()):
        raise MalformedBody("The provider answered with something that is not JSON.")
    try:
        value = msgspec.json.decode(body)
    except RecursionError:
        raise MalformedBody("The provider's answer is nested too deeply.") from None
    except (msgspec.DecodeError, UnicodeDecodeError):
        return _repaired(body)
    return strip_nul(value) if b"\\u0000" in body or _may_be_deep(body) else value


def strip_nul(value: Any) -> Any:
    """Return a copy without NUL in strings and keys. Raise ``MalformedBody`` beyond 200 levels."""
    return _mapped(value, lambda text: text.replace("\0", ""), 0)


def _may_be_deep(body: bytes) -> bool:
    """Return False only if the body certainly has at most 200 levels.

    It takes away innermost pairs of brackets until none are left, at the speed of a search.
    Brackets inside strings may cause a wrong True, which only costs a closer look.
    """
    brackets = body.translate(None, _NOT_BRACKETS)
    if len(brackets) > _STEP:
        return True
    for _ in range(_DEEPEST):
        outer = brackets.replace(b"{}", b"").replace(b"[]", b"")
        if len(outer) == len(brackets):
            break
        brackets = outer
    return bool(brackets)


def _repaired(body: bytes) -> Any:
    try:
        value = json.loads(body.decode("utf-8-sig", "replace"), parse_constant=lambda _: None)
    except RecursionError:
        raise MalformedBody("The provider's answer is nested too deeply.") from None
    except ValueError:
        raise MalformedBody("The provider's answer is not valid JSON.") from None
    return _mapped(value, lambda text: _SURROGATE.sub("\ufffd", text).replace("\0", ""), 0)


def _mapped(value: Any, change: Any, depth: int) -> Any:
    if depth > _DEEPEST:
        raise MalformedBody("The provider's answer is nested too deeply.")
    if isinstance(value, str):
        return change(value)
    if isinstance(value, dict):
        return {change(key): _mapped(item, change, depth + 1) for key, item in value.items()}
    if isinstance(value, list):
        return [_mapped(item, change, depth + 1) for item in value]
    return value
