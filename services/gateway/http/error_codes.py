"""The errors of the REST API: each stable code with its status, its meaning and an example message.

A route names the codes of its own (``errors=`` in its decorator); those that any request may get
are added. The contract shows them as named examples of each answer. A test holds the codes that are
raised to this table.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Final, NamedTuple


class ErrorCode(NamedTuple):
    """``detail`` is an example message for people. Its words may change; the code does not."""

    status: int
    meaning: str
    detail: str


TITLES: Final[Mapping[int, str]] = {
    400: "Bad Request",
    401: "Unauthorized",
    403: "Forbidden",
    404: "Not Found",
    405: "Method Not Allowed",
    409: "Conflict",
    413: "Content Too Large",
    415: "Unsupported Media Type",
    421: "Misdirected Request",
    422: "Unprocessable Content",
    429: "Too Many Requests",
    500: "Internal Server Error",
    502: "Bad Gateway",
    503: "Service Unavailable",
    504: "Gateway Timeout",
}
"""The reason phrases of RFC 9110. Python's own change from version to version."""
ERROR_CODES: Final[Mapping[str, ErrorCode]] = {
    "bad_request": ErrorCode(
        400,
        "A field or parameter is missing, unknown, of the wrong type or out of range; "
        "`errors` names each.",
        "`page_size` must be 1 to 200; 1000 is not.",
    ),
    "bad_query": ErrorCode(
        400,
        "The query is not UTF-8, or contains a NUL character.",
        "The query is not UTF-8. Send its text as UTF-8, percent-encoded.",
    ),
    "unknown_parameter": ErrorCode(
        400,
        "The query has a parameter that this operation does not have.",
        "No such query parameter: limit.",
    ),
    "repeated_parameter": ErrorCode(
        400, "A parameter was sent more than once.", "Sent more than once: provider."
    ),
    "too_deep": ErrorCode(
        400,
        "The body is nested too deeply to be read.",
        "The request is nested too deeply to be read.",
    ),
    "unknown_provider": ErrorCode(
        400,
        "There is no provider of that name here.",
        "`salesforce` is not a provider here. Known: acme.",
    ),
    "unknown_resource": ErrorCode(
        400,
        "The provider has no resource of that name.",
        "`deals` is not a resource of Acme. Known: pages, data_sources, users.",
    ),
    "unknown_topic": ErrorCode(
        400,
        "There is no topic of that name.",
        "`orders` is not a topic with dead letters. Known: tributary.items.v1, tributary.syncs.v1.",
    ),
    "bad_time": ErrorCode(
        400,
        "A time is not RFC 3339.",
        "`synced_since`: give a time like 2026-01-31T09:30:00Z (RFC 3339).",
    ),
    "bad_search": ErrorCode(
        400,
        "The search text contains a control character, or is too long.",
        "q must be at most 200 characters.",
    ),
    "bad_token": ErrorCode(
        400,
        "A page token or handle was not issued for this request: start again without it.",
        "This token was not issued for this request. Start again without it.",
    ),
    "bad_name": ErrorCode(
        400, "A name contains a control character.", "org_id and user_id must be plain text."
    ),
    "bad_return_url": ErrorCode(
        400,
        "The return URL is neither a page of this server nor of an allowed origin.",
        "return_url must be a page of this server, such as / or /docs, or a page of an "
        "origin that TRIBUTARY_ALLOWED_ORIGINS lists.",
    ),
    "unknown_mode": ErrorCode(
        400, "There is no such sync mode.", "`fast` is not a mode. The only one is full."
    ),
    "bad_event_id": ErrorCode(
        400,
        "The Last-Event-ID is not the id of an event of this stream.",
        "Last-Event-ID must be the id of an event of this stream.",
    ),
    "unauthorized": ErrorCode(
        401,
        "A valid API key is required, and none was sent.",
        "This needs an API key: send a header `Authorization: Bearer trb_…`.",
    ),
    "scope_too_small": ErrorCode(
        403,
        "The key's scope is not sufficient.",
        "This needs a key with scope admin; this one has read.",
    ),
    "foreign_org": ErrorCode(
        403,
        "`org_id` names a different organisation than the key's.",
        "This key belongs to a different organisation than org_id.",
    ),
    "foreign_origin": ErrorCode(
        403,
        "Pages of that origin may not call this server.",
        "Pages of that origin may not call this server. Its operator can allow the origin in "
        "TRIBUTARY_ALLOWED_ORIGINS.",
    ),
    "keys_not_required": ErrorCode(
        403,
        "This gateway does not ask for keys, so a request belongs to no organisation.",
        "This gateway listens on this machine only and does not ask for keys.",
    ),
    "not_found": ErrorCode(
        404,
        "There is no such thing, or it belongs to another organisation.",
        "There is no such connection. GET /v1/connections lists those there are.",
    ),
    "unknown_part": ErrorCode(
        404,
        "The newest sync of the resource does not name the part, or holds none of its deletions.",
        "The newest sync of `records` holds no deletions of a part `appQ1w2E3r4T5y6U`.",
    ),
    "disconnected": ErrorCode(
        409,
        "The account was disconnected.",
        "This account was disconnected. Connect it again to sync it.",
    ),
    "not_waiting": ErrorCode(
        409,
        "The sync is not waiting.",
        "This sync is not waiting for anything: it is running or has ended.",
    ),
    "asked_to_wait": ErrorCode(
        409,
        "The provider itself has asked for the wait.",
        "The provider has asked to wait until 2026-01-31T09:30:08.000Z. We will try again then.",
    ),
    "reauth_required": ErrorCode(
        409,
        "The provider asks for consent again.",
        "Acme no longer accepts this connection. Connect the account again.",
    ),
    "not_replayable": ErrorCode(
        409,
        "The dead letter is not a message of a topic, or cannot be sent again as it was.",
        "This is a record of a provider's page, not a message, so it cannot be replayed. "
        "Sync the connection again; the record is read again with it.",
    ),
    "replay_running": ErrorCode(
        409,
        "Another replay of this dead letter is running.",
        "This dead letter is being replayed, or an earlier replay broke off. Ask again in 30 "
        "seconds.",
    ),
    "too_large": ErrorCode(
        413,
        "The request is larger than 1 MiB.",
        "The request is larger than the limit of 1 MiB.",
    ),
    "unsupported_encoding": ErrorCode(
        415,
        "The body is compressed.",
        "Compressed requests are not accepted: send the body without Content-Encoding.",
    ),
    "wrong_host": ErrorCode(
        421,
        "The Host header names another server.",
        "This server answers only for localhost. To reach it by another name, "
        "set TRIBUTARY_PUBLIC_URL to that address.",
    ),
    "too_many_failures": ErrorCode(
        429,
        "Too many wrong keys came from this address.",
        "Too many wrong keys were tried. Try again in 8 seconds.",
    ),
    "internal": ErrorCode(
        500,
        "The server failed; the request was not the cause.",
        "Something went wrong on our side. The request id finds it in the logs.",
    ),
    "unavailable": ErrorCode(
        503,
        "Part of Tributary is unavailable: try again in a moment.",
        "The database does not answer. Nothing was changed; try again in a moment.",
    ),
    "stopping": ErrorCode(
        503,
        "This process is shutting down: try again in a moment.",
        "Tributary is shutting down; try again in a moment.",
    ),
    # The end of a consent without a connection: the callback's answer, and the `error` of its
    # status.
    "state_invalid": ErrorCode(
        400,
        "The link was already used, or was not issued by us.",
        "This link was used already, or Tributary did not issue it. Start connecting again.",
    ),
    "flow_mismatch": ErrorCode(
        400,
        "The consent was started in another browser.",
        "This consent was started in another browser, or this browser blocks cookies. "
        "Start connecting again and stay in one browser window.",
    ),
    "flow_expired": ErrorCode(
        400,
        "The link is older than ten minutes.",
        "This link has expired: links last for 10 minutes. Start connecting again.",
    ),
    "code_missing": ErrorCode(
        400,
        "The provider answered neither yes nor no.",
        "Acme sent you back without saying yes or no. Start connecting again.",
    ),
    "access_denied": ErrorCode(
        400,
        "The person declined.",
        "Access was declined at Acme. Start again if you change your mind.",
    ),
    "code_expired": ErrorCode(
        400,
        "The provider no longer accepts the consent.",
        "Acme no longer accepts this consent: it is too old or was used already. "
        "Start connecting again.",
    ),
    "provider_config": ErrorCode(
        400,
        "The provider does not accept this installation's client id, secret, scopes or "
        "redirect URI.",
        "Acme does not accept this installation's settings. Ask whoever runs it to check the "
        "client id, client secret, scopes and redirect URI.",
    ),
    "provider_unavailable": ErrorCode(
        400,
        "The provider could not be reached.",
        "Acme could not be reached or has a problem of its own. Start again in a few minutes.",
    ),
    "provider_refused": ErrorCode(
        400,
        "The provider refused.",
        "Acme refused to connect this account. Start connecting again.",
    ),
    "identity_missing": ErrorCode(
        400,
        "The provider did not say which account was connected.",
        "Acme did not say which account was connected, so nothing was saved. "
        "Start connecting again.",
    ),
    # Only the routes of the original app answer with these.
    "not_connected": ErrorCode(
        400,
        "There is no such connection.",
        "No credentials found. Connect the account first; if that failed, its window says why.",
    ),
    "bad_handle": ErrorCode(
        400,
        "`credentials` is not what `/credentials` returned.",
        "credentials must be the JSON that /credentials returned.",
    ),
    "bad_form": ErrorCode(
        400, "A field of the form is not a short text in UTF-8.", "user_id must be a short text."
    ),
    "missing_field": ErrorCode(
        422,
        "A field of the form is missing or empty.",
        "Missing or empty: user_id. Send a form (multipart or URL-encoded).",
    ),
    "load_failed": ErrorCode(
        502,
        "Nothing was ever read; or, with `strict`, something could not be read now.",
        "Acme could not be synced completely. deals failed: Acme did not grant deals.read.",
    ),
}

OF_ANY_REQUEST: Final = (
    "bad_query",
    "unknown_parameter",
    "unauthorized",
    "scope_too_small",
    "foreign_origin",
    "unsupported_encoding",
    "wrong_host",
    "too_many_failures",
    "internal",
    "unavailable",
    "stopping",
)
CONSENT_ERRORS: Final = (
    "state_invalid",
    "flow_mismatch",
    "flow_expired",
    "code_missing",
    "access_denied",
    "code_expired",
    "provider_config",
    "provider_unavailable",
    "provider_refused",
    "identity_missing",
)
OF_PARAMETERS: Final = ("bad_request", "repeated_parameter")
OF_A_BODY: Final = ("bad_request", "too_deep", "too_large")


def by_status(codes: Collection[str]) -> dict[int, dict[str, ErrorCode]]:
    """Return status → code → error, both sorted."""
    found: dict[int, dict[str, ErrorCode]] = {}
    for code in sorted(codes, key=lambda code: (ERROR_CODES[code].status, code)):
        found.setdefault(ERROR_CODES[code].status, {})[code] = ERROR_CODES[code]
    return found
