"""Every error Notion documents leads to the right next step."""

from typing import Any

import pytest

from shared.connector import Interruption, Reauthorize, Reject, Response, Restart, RetryLater
from shared.providers.notion.connector import CONNECTOR


def problem(status: int, body: Any = None, **headers: str) -> Interruption | None:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return CONNECTOR.problem(Response(status=status, headers=named, body=body))


def error(code: str, message: str = "Something.", **extra: Any) -> dict[str, Any]:
    return {"object": "error", "code": code, "message": message, "additional_data": extra}


def test_a_success_is_no_problem() -> None:
    assert problem(200, {"object": "list"}) is None


@pytest.mark.parametrize(
    ("status", "body", "kind", "code"),
    [
        (
            400,
            error("validation_error", "body.filter should be defined"),
            Reject,
            "validation_error",
        ),
        (
            400,
            error("validation_error", "The start_cursor provided is invalid: abc"),
            Restart,
            "cursor_expired",
        ),
        (400, error("invalid_json"), Reject, "invalid_json"),
        (400, error("missing_version"), Reject, "missing_version"),
        (401, error("unauthorized"), Reauthorize, "unauthorized"),
        (401, None, Reauthorize, "unauthorized"),
        (403, error("restricted_resource"), Reject, "restricted_resource"),
        (403, None, Reject, "edge_blocked"),
        (404, error("object_not_found"), Reject, "object_not_found"),
        (409, error("conflict_error"), RetryLater, "conflict_error"),
        (
            429,
            error("rate_limited", rate_limit_reason="public_api_request_blocked"),
            Reject,
            "blocked",
        ),
        (500, error("internal_server_error"), RetryLater, "internal_server_error"),
        (502, None, RetryLater, "unavailable"),
        (
            503,
            error("database_connection_unavailable"),
            RetryLater,
            "database_connection_unavailable",
        ),
        (504, error("gateway_timeout"), RetryLater, "gateway_timeout"),
        (529, error("service_overload"), RetryLater, "service_overload"),
        (418, "teapot", Reject, "rejected"),
        (400, {"code": ["x"], "message": 7}, Reject, "rejected"),
    ],
)
def test_an_error_leads_to_the_next_step(
    status: int, body: Any, kind: type[Interruption], code: str
) -> None:
    found = problem(status, body)
    assert isinstance(found, kind)
    assert found.code == code


@pytest.mark.parametrize("status", [429, 529])
def test_a_rate_limit_waits_as_told_by_the_header(status: int) -> None:
    found = problem(status, error("rate_limited", retry_after="40"), retry_after="12")
    assert isinstance(found, RetryLater)
    assert (found.after_s, found.limit) == (12.0, True)


def test_a_rate_limit_without_a_header_waits_as_told_by_the_body() -> None:
    found = problem(
        429,
        error("rate_limited", rate_limit_reason="public_api_request_rate_limit", retry_after="12"),
    )
    assert isinstance(found, RetryLater)
    assert (found.after_s, found.limit) == (12.0, True)


@pytest.mark.parametrize("status", [500, 502, 503, 504, 529])
def test_a_failure_that_names_no_wait_is_no_limit(status: int) -> None:
    found = problem(status, error("internal_server_error"))
    assert isinstance(found, RetryLater)
    assert (found.after_s, found.limit) == (None, False)


def test_what_notion_says_is_quoted_short_and_without_invisible_letters() -> None:
    found = problem(400, error("validation_error", "bad\u202e\x00 thing\n" + "x" * 5_000))
    assert found is not None
    assert "bad thing xxx" in found.reason
    assert len(found.reason) < 260
    assert found.reason.isprintable()
