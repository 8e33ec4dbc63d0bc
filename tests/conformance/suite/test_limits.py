"""Check that limits are read from the documented headers, and that calls name declared buckets."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from msgspec import UNSET

from shared.connector import Bucket, Connector, Provider, Response
from tests.conformance.calls import RecordedCall, walk
from tests.conformance.recorded import Answer, Case
from tests.conformance.subject import ANSWERS, Subject, Unwritten

ODD: Final = ("", "many", "-1", "0", "9" * 30, "\u0663", "1.5e400", "NaN")
"""Header values in place of a number; one is a digit that is not ASCII."""


def test_a_success_tells_its_limits_or_that_there_are_none(
    subject: Subject, recorded: list[Answer]
) -> None:
    told = [one for one in recorded if one.means == "success" and one.limits is not UNSET]
    if not told:
        raise Unwritten(
            f"{subject.at(ANSWERS)}: no success says which limits its headers state. Add to one "
            "of them "
            '"limits": [{"name": "…", "requests": …, "window_s": …}], or "limits": [] if the '
            "headers state none."
        )


def test_limits_are_read_from_the_headers(
    subject: Subject, answer: Answer, connector: Connector, provider: Provider
) -> None:
    found = _limits(subject, connector, answer.response())
    _check_declared(subject, provider, found)
    if answer.limits is not UNSET and list(found) != answer.limits:
        raise Unwritten(
            f"{subject.at('problems.py')}: limits() gives {list(found)} for “{answer.case}”, but "
            f"the headers state {answer.limits}."
        )


def test_odd_headers_tell_of_no_limit_or_of_a_sound_one(
    subject: Subject, answer: Answer, connector: Connector, provider: Provider
) -> None:
    for headers in _odd(answer):
        response = Response(status=answer.status, headers=headers, body=answer.body)
        _check_declared(subject, provider, _limits(subject, connector, response))


async def test_recorded_calls_name_buckets_that_are_declared(
    subject: Subject, case: Case, connector: Connector, provider: Provider
) -> None:
    call = RecordedCall(subject, case)
    await walk(subject, call, case.resource)
    known = {bucket.name for bucket in provider.buckets}
    for request in call.sent:
        named = {name.partition(":")[0] for name in request.buckets}
        if not named or named - known:
            raise Unwritten(
                f"{subject.at('connector.py')}: `{request.method} {request.path}` names the "
                f"buckets {', '.join(sorted(named)) or 'none'}. Name those it counts against, of "
                f"PROVIDER.buckets: {', '.join(sorted(known))}."
            )


def _limits(subject: Subject, connector: Connector, response: Response) -> tuple[Bucket, ...]:
    try:
        return connector.limits(response)
    except Exception as error:
        raise Unwritten(
            f"{subject.at('problems.py')}: limits() fails on the headers {response.headers} with "
            f"{type(error).__name__}: {error}. Return () when a header makes no sense."
        ) from error


def _check_declared(subject: Subject, provider: Provider, found: tuple[Bucket, ...]) -> None:
    known = {bucket.name for bucket in provider.buckets}
    for bucket in found:
        sound = (bucket.requests or 0) > 0 and 0 < bucket.window_s < 1e7
        if bucket.name not in known or not sound:
            raise Unwritten(
                f"{subject.at('problems.py')}: limits() gives {bucket}. Give one of "
                f"PROVIDER.buckets ({', '.join(sorted(known))}) with at least one request and a "
                "window above 0 s, or nothing."
            )


def _odd(answer: Answer) -> Iterator[dict[str, str]]:
    """Yield the headers of an answer, each time with one of them odd."""
    headers = answer.response().headers
    for name in headers:
        for value in ODD:
            yield {**headers, name: value}
