"""The fetcher treats a network's answers as temporary, and leaves the API's to the connector."""

from __future__ import annotations

import pytest

from services.fetcher.call import meaning
from shared.connector import (
    Connector,
    Interruption,
    Reauthorize,
    Reject,
    Response,
    Restart,
    RetryLater,
)

HTML = {"content-type": "text/html; charset=utf-8"}


class Strict:
    """A connector that calls every error a refusal, unless ``means`` says otherwise."""

    def __init__(self, **means: Interruption) -> None:
        self._means = means

    def problem(self, response: Response) -> Interruption | None:
        if response.status < 400:
            return None
        found = self._means.get(f"s{response.status}")
        return found or Reject("A scope is missing.", code="missing_scope", scope="x")


def said(status: int, body: object, connector: Strict | None = None) -> object:
    answer = Response(status=status, headers=HTML, body=body)
    strict: Connector = connector or Strict()  # type: ignore[assignment]  # only asked for problems
    return meaning(strict, "Orchard", answer)


@pytest.mark.parametrize("status", [400, 403, 404, 410, 422, 500, 502])
def test_an_error_that_is_no_json_is_the_networks(status: int) -> None:
    found = said(status, None)
    assert isinstance(found, RetryLater)
    assert (found.code, found.limit, found.after_s) == ("not_the_api", False, None)
    assert found.reason == (
        f"The network in front of Orchard answered with a web page (status {status}) "
        "instead of the API."
    )


def test_the_network_may_ask_for_a_wait() -> None:
    answer = Response(status=403, headers={**HTML, "retry-after": "7"}, body=None)
    # Of a connector, only its problems are asked for.
    found = meaning(Strict(), "Orchard", answer)  # type: ignore[arg-type]
    assert isinstance(found, RetryLater)
    assert found.after_s == 7


def test_what_is_no_web_page_is_not_called_one() -> None:
    answer = Response(status=404, headers={"content-type": "text/plain"}, body=None)
    # Of a connector, only its problems are asked for.
    found = meaning(Strict(), "Orchard", answer)  # type: ignore[arg-type]
    assert isinstance(found, RetryLater)
    assert "answered with something that is not JSON (status 404)" in found.reason


@pytest.mark.parametrize("status", [408, 423, 425, 477])
def test_what_passes_is_no_refusal_whichever_api_says_it(status: int) -> None:
    found = said(status, {"error": "no"})
    assert isinstance(found, RetryLater)
    assert (found.reason, found.of_account) == ("A scope is missing.", status in {423, 477})


def test_an_api_that_asks_for_a_wait_does_not_refuse() -> None:
    answer = Response(status=409, headers={"retry-after": "7"}, body={"error": "no"})
    # Of a connector, only its problems are asked for.
    found = meaning(Strict(), "Orchard", answer)  # type: ignore[arg-type]
    assert isinstance(found, RetryLater)
    assert found.after_s == 7
    spent = Response(status=429, headers={"retry-after": "7"}, body={"error": "no"})
    assert isinstance(meaning(Strict(), "Orchard", spent), Reject)  # type: ignore[arg-type]


@pytest.mark.parametrize("status", [413, 414, 431])
def test_a_request_that_is_too_large_stays_so(status: int) -> None:
    assert isinstance(said(status, None), Reject)


@pytest.mark.parametrize("body", [None, {"error": "no"}], ids=["web page", "JSON"])
@pytest.mark.parametrize(
    ("status", "too_much"), [(413, True), (504, True), (524, True), (500, False), (403, False)]
)
def test_fewer_records_may_help_against_what_is_too_large_or_too_slow(
    status: int, too_much: bool, body: object
) -> None:
    found = said(status, body)
    assert isinstance(found, Interruption)
    assert found.too_much is too_much


def test_a_refusal_by_the_api_is_a_refusal() -> None:
    assert isinstance(said(403, {"error": "scope"}), Reject)


@pytest.mark.parametrize(
    "meant",
    [
        Reauthorize("The token has expired."),
        RetryLater("The limit is reached.", code="rate_limited", limit=True),
    ],
)
def test_a_token_and_a_limit_keep_their_meaning(meant: Interruption) -> None:
    assert said(401, None, Strict(s401=meant)) is meant


def test_no_web_page_says_anything_of_a_cursor() -> None:
    found = said(422, None, Strict(s422=Restart("The cursor has expired.")))
    assert isinstance(found, RetryLater)


@pytest.mark.parametrize("body", [None, {"results": []}])
def test_a_redirect_is_neither_a_page_nor_final(body: object) -> None:
    found = said(302, body)
    assert isinstance(found, RetryLater)
    assert found.code == "not_the_api"


def test_a_page_that_is_no_json_is_malformed() -> None:
    found = said(200, None)
    assert isinstance(found, RetryLater)
    assert found.code == "malformed_page"


def test_a_page_is_a_page() -> None:
    assert said(200, {"results": []}) is None
