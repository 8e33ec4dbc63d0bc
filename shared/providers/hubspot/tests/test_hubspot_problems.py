from __future__ import annotations

from typing import Any

import pytest

from shared.connector import Bucket, Interruption, Reauthorize, Reject, Response, RetryLater
from shared.providers.hubspot.connector import CONNECTOR


def classified(status: int, body: Any = None, **headers: str) -> Interruption:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    found = CONNECTOR.problem(Response(status=status, headers=named, body=body))
    assert found is not None
    return found


@pytest.mark.parametrize(
    ("body", "headers", "after_s"),
    [
        ({"policyName": "TEN_SECONDLY_ROLLING"}, {}, 10.0),
        (
            {"policyName": "TEN_SECONDLY_ROLLING"},
            {"x_hubspot_ratelimit_interval_milliseconds": "5000"},
            5.0,
        ),
        (
            {"policyName": "TEN_SECONDLY_ROLLING"},
            {"x_hubspot_ratelimit_interval_milliseconds": "soon"},
            10.0,
        ),
        ({"policyName": "TEN_SECONDLY_ROLLING"}, {"retry_after": "3"}, 3.0),
        ({"policyName": "SECONDLY"}, {}, 1.0),
        ({"policyName": "DAILY"}, {}, 3600.0),
        ({"policyName": ["odd"]}, {}, 10.0),
        (None, {}, 10.0),
        (["odd"], {"retry_after": "soon"}, 10.0),
    ],
)
def test_a_limit_is_waited_out_as_told_or_by_its_policy(
    body: Any, headers: dict[str, str], after_s: float
) -> None:
    found = classified(429, body, **headers)
    assert isinstance(found, RetryLater)
    assert (found.after_s, found.limit, found.code) == (after_s, True, "rate_limited")


@pytest.mark.parametrize(
    ("body", "code"),
    [
        ({"category": "EXPIRED_AUTHENTICATION"}, "expired_authentication"),
        ({"category": "INVALID_AUTHENTICATION"}, "invalid_authentication"),
        ({"category": {"odd": 1}}, "unauthorized"),
        ({"category": "<b>"}, "unauthorized"),
        (None, "unauthorized"),
    ],
)
def test_a_token_that_is_not_accepted_asks_for_another(body: Any, code: str) -> None:
    found = classified(401, body)
    assert isinstance(found, Reauthorize)
    assert found.code == code


@pytest.mark.parametrize(
    ("errors", "scope"),
    [
        (
            [{"context": {"requiredGranularScopes": ["crm.objects.deals.read"]}}],
            "crm.objects.deals.read",
        ),
        (
            [
                {
                    "context": {
                        "requiredGranularScopes": [
                            "crm.schemas.deals.read",
                            "crm.objects.deals.read",
                        ]
                    }
                }
            ],
            "crm.objects.deals.read",
        ),
        ([{"context": {"requiredGranularScopes": ["tickets"]}}], "tickets"),
        ([{"context": {"requiredGranularScopes": "odd"}}, {"context": []}, 7], None),
        ("odd", None),
        (None, None),
    ],
)
def test_a_missing_scope_is_named_where_it_is_told(errors: Any, scope: str | None) -> None:
    found = classified(403, {"category": "MISSING_SCOPES", "errors": errors})
    assert isinstance(found, Reject)
    assert (found.code, found.scope) == ("missing_scope", scope)
    assert "connect again" in found.remedy
    assert (scope or "a scope") in found.reason


@pytest.mark.parametrize(
    ("status", "body", "code"),
    [
        (403, {"message": "Account suspended"}, "forbidden"),
        (403, None, "forbidden"),
        (404, None, "not_found"),
        (414, None, "url_too_long"),
        (400, {"category": "VALIDATION_ERROR"}, "validation_error"),
        (302, None, "rejected"),
        (418, {}, "rejected"),
    ],
)
def test_everything_else_is_refused_with_a_reason(status: int, body: Any, code: str) -> None:
    found = classified(status, body)
    assert isinstance(found, Reject)
    assert (found.code, found.scope) == (code, None)
    assert found.reason.startswith("HubSpot ")


def test_a_hostile_message_is_shortened_and_escaped() -> None:
    message = "<script>alert(1)</script>\u202e\x00\n" + "&" * 100_000
    reason = classified(400, {"message": message}).reason
    assert len(reason) < 260
    assert "<" not in reason
    assert reason.isprintable()


@pytest.mark.parametrize(
    ("most", "interval", "told"),
    [
        ("190", "10000", (Bucket(name="ten_secondly", requests=190, window_s=10),)),
        ("1000000", "1000", (Bucket(name="ten_secondly", requests=1_000_000, window_s=1),)),
        ("0", "10000", ()),
        ("-1", "10000", ()),
        ("many", "10000", ()),
        ("190", "", ()),
        ("9" * 30, "10000", ()),
    ],
)
def test_an_answer_tells_the_limit_that_is_in_force(
    most: str, interval: str, told: tuple[Bucket, ...]
) -> None:
    headers = {
        "x-hubspot-ratelimit-max": most,
        "x-hubspot-ratelimit-interval-milliseconds": interval,
    }
    assert CONNECTOR.limits(Response(status=200, headers=headers, body={})) == told
    assert CONNECTOR.limits(Response(status=200, headers={}, body={})) == ()
