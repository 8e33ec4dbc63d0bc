from __future__ import annotations

import pytest

from services.gateway.app import bare_app
from services.gateway.connect.flow import with_flow
from services.gateway.http.return_url import checked_return_url, served_pages
from shared.errors import BadRequest

OWN = "http://localhost:8000"
ORIGINS = {"http://localhost:3000", "https://app.example.com", OWN}
SERVED = served_pages(bare_app())
GOOD = [
    "/",
    "/?tab=items#top",
    "/docs",
    "/docs/",
    "/events#tributary.items.v1",
    "/docs?next=//not-followed",
    "/console/items",
    "/console/items/c1/records/app/tbl/rec%20x",
    "/v1/connections",
    f"{OWN}/docs?x=1",
    f"{OWN}?x=1",
    OWN,
    "http://localhost:3000",
    "http://localhost:3000/",
    "http://localhost:3000/after?x=1",
    "https://app.example.com/after#here",
    "https://app.example.com#@evil.example",
    f"{OWN}/",
]
EVIL = [
    "",
    "//evil.example",
    "///evil.example",
    "////evil.example",
    "/\\evil.example",
    "\\/evil.example",
    "\\\\evil.example",
    "/%2fevil.example",
    "/%2Fevil.example",
    "/%252fevil.example",
    "/%5cevil.example",
    "/%5Cevil.example",
    "%2f%2fevil.example",
    "%2fevil.example",
    "https:evil.example",
    "https:/evil.example",
    "https:///evil.example",
    "https://evil.example",
    "http:evil.example",
    "http:localhost:3000",
    "https://app.example.com.evil.example/",
    "https://app.example.com@evil.example/",
    "https://evil.example@app.example.com/",
    "https://app.example.com:443@evil.example/",
    "https://app.example.com%2eevil.example/",
    "https://app.example.com\\.evil.example/",
    "https://app.example.com:444/",
    "https://app.example.com:/",
    "http://app.example.com/",
    "HTTPS://app.example.com/",
    "https://APP.example.com/",
    "https://app.example.comevil",
    "http://localhost:3000@evil.example/",
    "http://localhost:3000\\@evil.example",
    "http://localhost:30000/",
    "http://[::1/",
    "javascript:alert(1)",
    "javascript://localhost:3000/%0aalert(1)",
    "data:text/html,<script>alert(1)</script>",
    "ftp://localhost:3000/",
    "null",
    "evil.example",
    "./evil",
    "../evil",
    "/../evil",
    "/a/..//evil.example",
    "/.//evil.example",
    "/%2e%2e//evil.example",
    " /done",
    "/\t/evil.example",
    "/\n/evil.example",
    "/\r\nLocation: https://evil.example",
    "/%0d%0aLocation:%20https://evil.example",
    "/done\x00",
    "/%00",
    "/%zz",
    "/done\u2028",
    "/\uff0fevil.example",
    "http://localhost:3000\t/",
    "/?x=" + "a" * 3_000,
]
NOWHERE = [
    "/nope",
    "/docs/nope/nope",
    "/Docs",
    "/connect/0123",
    "/%63onnect/0123",
    "/v1/connect",
    "/console/connect",
    "/console/connect/0123",
    "/integrations/notion/oauth2callback",
    "/integrations/notion/load?x=1",
    f"{OWN}/nope",
    f"{OWN}/integrations/notion/oauth2callback",
    f"{OWN}/connect/0123",
    f"{OWN}//docs",
    f"{OWN}@evil.example/docs",
    f"{OWN}1/docs",
]


def checked(url: str) -> str:
    return checked_return_url(url, own=OWN, allowed_origins=ORIGINS, served=SERVED)


@pytest.mark.parametrize("url", GOOD)
def test_a_path_of_ours_or_a_page_of_an_allowed_origin_is_taken_as_it_is(url: str) -> None:
    assert checked(url) == url


@pytest.mark.parametrize("url", EVIL)
def test_T07_open_redirects_by_return_url_are_refused(url: str) -> None:
    with pytest.raises(BadRequest) as refused:
        checked(url)
    assert refused.value.code == "bad_return_url"


@pytest.mark.parametrize("url", NOWHERE)
def test_a_return_url_of_ours_where_no_page_is_is_refused(url: str) -> None:
    with pytest.raises(BadRequest) as refused:
        checked(url)
    assert refused.value.code == "bad_return_url"


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("/", "/?flow_id=f1"),
        ("/a?b=c#d", "/a?b=c&flow_id=f1#d"),
        ("http://localhost:3000", "http://localhost:3000?flow_id=f1"),
        ("http://localhost:3000/x", "http://localhost:3000/x?flow_id=f1"),
    ],
)
def test_the_return_url_gets_the_flow_and_nothing_else(url: str, expected: str) -> None:
    assert with_flow(url, "f1") == expected
