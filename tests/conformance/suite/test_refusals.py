"""Check the table of refusals: what each recorded answer of the provider means."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from http import HTTPStatus
from typing import Any, Final

import pytest
from msgspec import UNSET

from services.fetcher.call import meaning
from shared.connector import (
    Connector,
    Interruption,
    Reject,
    Response,
    Restart,
    RetryLater,
)
from tests.conformance.calls import RecordedCall, records, unreachable, walk
from tests.conformance.recorded import Answer, Case
from tests.conformance.subject import ANSWERS, ITEMS, Subject, Unwritten

LONGEST_REASON: Final = 400
HOSTILE: Final = "<b>\u202e\x00\n" + "x" * 5_000
Test = Callable[[Answer], bool]


def _of(status: int, means: str) -> Test:
    return lambda answer: answer.status == status and answer.means == means


def _limited(*, told: bool) -> Test:
    def fits(answer: Answer) -> bool:
        names = {name.lower() for name in answer.headers}
        return _of(429, "RetryLater")(answer) and ("retry-after" in names) is told

    return fits


KINDS: Final[dict[str, tuple[str, Test]]] = {
    "success": (
        '"status": 200, "means": "success", with the headers that every answer carries',
        lambda answer: 200 <= answer.status < 300 and answer.means == "success",
    ),
    "token-refused": (
        '"status": 401, "means": "Reauthorize": the access token is not accepted',
        _of(401, "Reauthorize"),
    ),
    "forbidden": (
        '"status": 403, "means": "Reject": a scope or a right is missing',
        _of(403, "Reject"),
    ),
    "not-found": ('"status": 404, "means": "Reject": there is no such object', _of(404, "Reject")),
    "limit-with-retry-after": (
        '"status": 429 with a Retry-After header, "means": "RetryLater", "limit": true',
        _limited(told=True),
    ),
    "limit-without-retry-after": (
        '"status": 429 without Retry-After, "means": "RetryLater", "limit": true',
        _limited(told=False),
    ),
    "failure": (
        '"status": 500, "means": "RetryLater", with the error body of the provider',
        _of(500, "RetryLater"),
    ),
    "html-from-a-proxy": (
        '"status": 502, "means": "RetryLater", "html": "<html>…" in place of a body',
        lambda answer: _of(502, "RetryLater")(answer) and bool(answer.html),
    ),
}
SHAPES: Final[tuple[Any, ...]] = (None, [], {}, "text", 5, {"error": []}, {"errors": [None]})
STATUSES: Final = tuple(status.value for status in HTTPStatus if status >= 400)
SUCCESSES: Final = (200, 201, 204, 207)
NO_OWN_MEANING: Final = tuple({301, 302, *STATUSES} - {401, 413, 414, 429, 431})
"""Statuses that say nothing about the API when they come with a web page."""


def test_its_answers_are_recorded(subject: Subject) -> None:
    subject.answers()


@pytest.mark.parametrize("kind", KINDS)
def test_an_answer_of_each_kind_is_recorded(
    subject: Subject, kind: str, recorded: list[Answer]
) -> None:
    what, fits = KINDS[kind]
    if not any(map(fits, recorded)):
        raise Unwritten(
            f"{subject.at(ANSWERS)} has no answer of the kind {kind}. Add one in the provider's "
            "own shape: "
            f'{{"case": "…", {what}}}.'
        )


def test_a_recorded_answer_means_what_is_documented(
    subject: Subject, answer: Answer, connector: Connector
) -> None:
    found = _meaning(subject, connector, answer.response(), answer.case)
    meant = "success" if found is None else type(found).__name__
    if meant != answer.means:
        raise Unwritten(
            f"{subject.at('problems.py')}: “{answer.case}” (status {answer.status}) has to mean "
            f"{answer.means}, but problem() says {meant}{f': {found.reason}' if found else ''}."
        )
    for field in ("code", "after_s", "limit", "bucket", "scope"):
        wanted = getattr(answer, field)
        told = getattr(found, field, None)
        if wanted is not UNSET and told != wanted:
            raise Unwritten(
                f"{subject.at('problems.py')}: “{answer.case}” has to give {field} {wanted!r}, but "
                f"problem() gives {told!r}."
            )


def test_a_rate_limit_waits_as_long_as_it_is_told(subject: Subject, connector: Connector) -> None:
    answer = Response(status=429, headers={"retry-after": "7"}, body={})
    found = _problem(subject, connector, answer, "429 with Retry-After: 7")
    if not isinstance(found, RetryLater) or not found.limit or (found.after_s or 0) < 7:
        raise Unwritten(
            f"{subject.at('problems.py')}: 429 with `Retry-After: 7` has to give RetryLater with "
            "limit=True and after_s=7: `retry_after(response.headers)` of shared.connector reads "
            "it."
        )


def test_a_success_is_no_problem(subject: Subject, connector: Connector) -> None:
    for status in SUCCESSES:
        for body in SHAPES:
            found = _problem(subject, connector, _plain(status, body), f"status {status}")
            if found is not None:
                raise Unwritten(
                    f"{subject.at('problems.py')}: problem() says {type(found).__name__} for "
                    f"status {status}. Return None: page() refuses a page of another shape."
                )


def test_every_error_is_classified_whatever_its_body(
    subject: Subject, connector: Connector
) -> None:
    for status in STATUSES:
        for body in SHAPES:
            found = _problem(subject, connector, _plain(status, body), f"status {status}, {body!r}")
            if not isinstance(found, Interruption):
                raise Unwritten(
                    f"{subject.at('problems.py')}: problem() says {found!r} for status {status} "
                    f"with the body {body!r}. Return RetryLater for what may be temporary (408, "
                    "429, 5xx), and Reject for everything else."
                )


def test_what_the_network_answers_is_no_refusal(subject: Subject, connector: Connector) -> None:
    for status in NO_OWN_MEANING:
        answer = Response(status=status, headers={"content-type": "text/html"}, body=None)
        found = _meaning(subject, connector, answer, f"status {status} as HTML")
        if not isinstance(found, RetryLater):
            raise Unwritten(
                f"{subject.at('problems.py')}: an HTML page with status {status} comes from the "
                f"network in front of the API and is temporary, but problem() says "
                f"{type(found).__name__}. Return Reauthorize for 401 only."
            )


def test_a_hostile_answer_ends_as_one_short_line(
    subject: Subject, answer: Answer, connector: Connector
) -> None:
    hostile = Response(
        status=answer.status, headers=answer.response().headers, body=_hostile(answer.body)
    )
    found = _problem(subject, connector, hostile, answer.case)
    reason = "" if found is None else found.reason + found.code
    if len(reason) > LONGEST_REASON or not reason.isprintable():
        raise Unwritten(
            f"{subject.at('problems.py')}: “{answer.case}” with hostile texts gives a reason of "
            f"{len(reason)} characters. Quote a provider in at most {LONGEST_REASON // 2} "
            "printable characters."
        )


async def test_a_lost_connection_is_passed_on_and_loses_nothing(
    subject: Subject, case: Case, connector: Connector
) -> None:
    """Break each call in turn: the page must be read later, or be complete without that call."""
    await _wait_until_whole(subject, case)
    for number in range(len(case.exchanges)):
        call = RecordedCall(subject, case, broken_at=number, instead=unreachable)
        try:
            found = {record.id for record in records(await walk(subject, call, case.resource))}
        except RetryLater:
            continue
        if found != {item.id for item in case.items}:
            raise Unwritten(
                f"{subject.at('connector.py')}: when call {number + 1} of “{case.case}” finds no "
                "network, the walk ends as if there were no more objects. Do not catch RetryLater "
                "in page(): the fetcher then tries the page again."
            )


async def test_a_page_of_another_shape_is_tried_again_and_loses_nothing(
    subject: Subject, case: Case, connector: Connector
) -> None:
    """Answer each call in turn with valid JSON that is not a page, and a status of 200."""
    await _wait_until_whole(subject, case)
    for number, shape in _breaks(case):
        instead = partial(_plain, 200, shape)
        call = RecordedCall(subject, case, broken_at=number, instead=instead)
        try:
            found = {record.id for record in records(await walk(subject, call, case.resource))}
        except (RetryLater, Restart, Unwritten):
            continue
        except Reject as refused:
            raise Unwritten(
                f"{subject.at('connector.py')}: the body {shape!r} with status 200 in place of "
                f"call {number + 1} of “{case.case}” ends the part ({refused.reason}), but the "
                "next answer may be a page again. "
                'Raise RetryLater("…", code="malformed_page").'
            ) from None
        # Whichever error it is, it says what the connector took for granted.
        except Exception as error:  # noqa: BLE001
            raise Unwritten(
                f"{subject.at('connector.py')}: the body {shape!r} with status 200 in place of "
                f"call {number + 1} of “{case.case}” ends in {type(error).__name__}: {error}. "
                "Check the shape of a page before "
                'reading it, and raise RetryLater("…", code="malformed_page").'
            ) from None
        if found != {item.id for item in case.items}:
            raise Unwritten(
                f"{subject.at('connector.py')}: the body {shape!r} with status 200 in place of "
                f"call {number + 1} of "
                f"“{case.case}” is taken for the last page. "
                'Raise RetryLater("…", code="malformed_page").'
            )


def test_there_are_walks_to_break(subject: Subject) -> None:
    if not subject.cases():
        raise Unwritten(f"{subject.at(ITEMS)} is empty. Record a walk over each resource.")


async def _wait_until_whole(subject: Subject, case: Case) -> None:
    """Skip a walk that is already wrong before anything in it is broken."""
    try:
        found = await walk(subject, RecordedCall(subject, case), case.resource)
    except (Interruption, Unwritten):
        found = []
    if {record.id for record in records(found)} != {item.id for item in case.items}:
        pytest.skip("waits for test_a_recorded_walk_gives_its_items")


def _problem(
    subject: Subject, connector: Connector, response: Response, case: str
) -> Interruption | None:
    """Ask the connector.

    Raises:
        Unwritten: it failed instead of answering.
    """
    try:
        return connector.problem(response)
    except NotImplementedError as error:
        raise Unwritten(
            f"{subject.at('problems.py')}: problem() is not written yet. {error}"
        ) from None
    # Whichever error it is, it says what problem() took for granted.
    except Exception as error:  # noqa: BLE001
        raise Unwritten(
            f"{subject.at('problems.py')}: problem() fails on “{case}” with "
            f"{type(error).__name__}: {error}. Take nothing in a body for granted: it may be None, "
            "a list, or a page of a proxy."
        ) from None


def _meaning(
    subject: Subject, connector: Connector, response: Response, case: str
) -> Interruption | None:
    """Return what the fetcher makes of an answer, after the connector was asked."""
    _problem(subject, connector, response, case)
    return meaning(connector, subject.provider().name, response)


def _plain(status: int, body: Any) -> Response:
    return Response(status=status, headers={}, body=body)


def _breaks(case: Case) -> Iterator[tuple[int, Any]]:
    for number in range(len(case.exchanges)):
        for shape in SHAPES:
            yield number, shape


def _hostile(value: Any) -> Any:
    """Return a body with hostile text added to every string; its keys stay as they are."""
    if isinstance(value, str):
        return value + HOSTILE
    if isinstance(value, list):
        return [_hostile(one) for one in value]
    if isinstance(value, dict):
        return {key: _hostile(one) for key, one in value.items()}
    return value
