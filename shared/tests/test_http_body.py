import gzip
import json
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shared.http import MalformedBody, decode_json, strip_nul
from shared.http.body import Gunzip

JSON = "application/json; charset=utf-8"
values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=20,
)


def nested(levels: int, opening: str = '{"a":', closing: str = "}") -> bytes:
    return (opening * levels + "1" + closing * levels).encode()


@pytest.mark.parametrize(
    "kind", ["application/json", JSON, "Application/Problem+JSON", "text/json", None]
)
def test_json_content_types_are_read(kind: str | None) -> None:
    assert decode_json(b'{"a": [1]}', kind) == {"a": [1]}


@pytest.mark.parametrize(
    "kind", ["text/html", "", "text/plain; a=application/json", "application/jsonx"]
)
def test_T21_a_captive_portal_page_is_malformed(kind: str) -> None:
    with pytest.raises(MalformedBody, match="not JSON"):
        decode_json(b"{}", kind)


@pytest.mark.parametrize(
    "body", [b"", b"{", b"<html>", b'{"a":1} x', b"\xff\xfe", b"[1,]", b"1" * 5000]
)
def test_T19_what_is_no_json_is_malformed(body: bytes) -> None:
    try:
        assert isinstance(decode_json(body, JSON), int | float)
    except MalformedBody:
        pass
    else:
        assert body.isdigit()


@pytest.mark.parametrize("levels", [201, 999, 10_000, 100_000])
@pytest.mark.parametrize(
    ("opening", "closing"), [("[", "]"), ('{"a":', "}"), ('[{"]":', "}]"), ("[NaN,", "]")]
)
def test_T19_deep_nesting_is_malformed_and_never_exhausts_the_stack(
    levels: int, opening: str, closing: str
) -> None:
    with pytest.raises(MalformedBody, match="too deep"):
        decode_json(nested(levels, opening, closing), JSON)


def test_200_levels_are_read_and_brackets_in_strings_do_not_count() -> None:
    assert decode_json(nested(200), JSON)
    strings = json.dumps(["[" * 5000, "}" * 300, {"]": "{["}]).encode()
    assert decode_json(strings, JSON)[2] == {"]": "{["}


def test_T19_a_page_of_very_many_brackets_is_read() -> None:
    assert len(decode_json(b"[" + b"[[]]," * 150_000 + b"1]", JSON)) == 150_001


@pytest.mark.parametrize(
    ("body", "value"),
    [
        (rb'["a\ud800b"]', ["a\ufffdb"]),
        (b'["\xed\xa0\x80"]', ["\ufffd\ufffd\ufffd"]),
        (b'{"n": NaN, "i": [Infinity, -Infinity]}', {"n": None, "i": [None, None]}),
        (rb'{"a\u0000": "\u0000b"}', {"a": "b"}),
        (rb'["\ud800\u0000"]', ["\ufffd"]),
        (b'\xef\xbb\xbf{"bom": 1}', {"bom": 1}),
        (b'{"a": 1, "a": 2}', {"a": 2}),
    ],
)
def test_T19_almost_json_is_repaired(body: bytes, value: object) -> None:
    assert decode_json(body, JSON) == value


def test_nul_is_removed_everywhere() -> None:
    assert strip_nul({"a\0": ["\0", {"b": "x\0y"}], "n": 1}) == {"a": ["", {"b": "xy"}], "n": 1}


@settings(deadline=None)
@given(values)
def test_valid_json_comes_out_as_it_went_in_but_for_nul(value: Any) -> None:
    body = json.dumps(value).encode()
    decoded = decode_json(body, JSON)
    assert decoded == strip_nul(value)
    msgspec.json.encode(decoded)


@settings(deadline=None)
@given(st.binary(max_size=200) | st.text('[]{}",:0\\ud8NaN', max_size=60).map(str.encode))
def test_T19_any_bytes_are_json_or_malformed(body: bytes) -> None:
    try:
        msgspec.json.encode(decode_json(body, JSON))
    except MalformedBody:
        return


def test_T20_a_bomb_goes_off_in_steps_of_a_mebibyte() -> None:
    parts = [len(part) for part in Gunzip().feed(gzip.compress(bytes(20 << 20)))]
    assert max(parts) <= 1 << 20
    assert sum(parts) == 20 << 20
