import asyncio
import io
import json
import logging
from contextlib import suppress
from pathlib import Path
from typing import Any, Literal

import pytest
import structlog
from typing_extensions import override

from shared.settings import SecretStr
from shared.telemetry import (
    RequestContextMiddleware,
    bind_request,
    bind_service,
    configure_logging,
    current_request_id,
    current_traceparent,
    escape_controls,
    new_traceparent,
    parse_traceparent,
    redact,
    redact_text,
)
from tests.support.waiting import turns

TRACE = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
NASTY = 'x\n{"event":"forged"}\r\x1b[31mred\x9b\u202e\u2028\x7f'
SENSITIVE = [
    *(
        "token",
        "access_token",
        "refreshToken",
        "client_secret",
        "Authorization",
        "Set-Cookie",
        "cookie",
        "code",
    ),
    *(
        "code_verifier",
        "password",
        "refresh",
        "api_key",
        "x.secret",
        "tokens",
        "credentials",
        "auth_code",
        "jwt",
    ),
]


@pytest.fixture
def out() -> io.StringIO:
    return io.StringIO()


def fail(text: str) -> None:
    raise ValueError(text)


def log_failure(text: str) -> None:
    """Log an exception by our logger and by a library's."""
    try:
        fail(text)
    except ValueError:
        structlog.get_logger().exception("failed")
        logging.getLogger("lib").exception("failed too")


def lines(out: io.StringIO) -> list[dict[str, Any]]:
    return [json.loads(line) for line in out.getvalue().splitlines()]


def test_a_log_line_is_json_with_service_request_and_trace(out: io.StringIO) -> None:
    configure_logging("info", "json", out)
    bind_service("gateway")
    with bind_request("req-1", TRACE):
        structlog.get_logger("tributary.x").info("loaded", items=3)
    (line,) = lines(out)
    assert (line["service"], line["request_id"], line["trace_id"]) == (
        "gateway",
        "req-1",
        TRACE[3:35],
    )
    assert (line["event"], line["level"], line["logger"], line["items"]) == (
        "loaded",
        "info",
        "tributary.x",
        3,
    )
    assert line["timestamp"].endswith("Z")


def test_an_unnamed_logger_is_called_after_its_module(out: io.StringIO) -> None:
    configure_logging("info", "json", out)
    structlog.get_logger().info("said")
    assert lines(out)[0]["logger"] == __name__


@pytest.mark.usefixtures("out")
@pytest.mark.parametrize("fmt", ["json", "pretty"])
def test_work_does_not_fail_because_a_line_cannot_be_written(
    fmt: Literal["json", "pretty"],
) -> None:
    with Path("/dev/full").open("w") as full:
        configure_logging("info", fmt, full)
        structlog.get_logger().warning("no room")
        with suppress(OSError):
            full.close()
        structlog.get_logger().warning("closed")


class Unshowable:
    @override
    def __repr__(self) -> str:
        raise RuntimeError("sesame")


@pytest.mark.parametrize("fmt", ["json", "pretty"])
def test_a_value_that_cannot_be_shown_costs_its_line_only(
    out: io.StringIO, fmt: Literal["json", "pretty"]
) -> None:
    configure_logging("info", fmt, out)
    structlog.get_logger().info("odd", value=Unshowable(), number=10**5000)
    structlog.get_logger().info("next")
    first, second = out.getvalue().splitlines()
    assert "line_not_shown" in first
    assert "RuntimeError" in first
    assert "sesame" not in first
    assert "next" in second


def test_lines_of_libraries_take_the_same_way_and_chatter_is_dropped(out: io.StringIO) -> None:
    configure_logging("info", "json", out)
    # A server that ran in this process before has set a level of its own.
    logging.getLogger("uvicorn.error").setLevel(logging.NOTSET)
    logging.getLogger("uvicorn.error").info("started %s", "now")
    logging.getLogger("httpx").info("HTTP Request: GET http://x?code=sesame")
    logging.getLogger("uvicorn.access").info("GET /callback?code=sesame")
    logging.getLogger("aiokafka.consumer").warning("token=sesame gone")
    assert [line["event"] for line in lines(out)] == ["started now", "token=*** gone"]


def test_T42_a_name_cannot_forge_a_line_or_reach_the_terminal_in_json(out: io.StringIO) -> None:
    configure_logging("info", "json", out)
    structlog.get_logger().info(NASTY, name=NASTY, **{NASTY: [NASTY]})
    logging.getLogger("lib").warning("%s", NASTY)
    assert [line["event"] for line in lines(out)] == [NASTY, NASTY]
    assert out.getvalue().replace("\n", "").isascii()
    assert out.getvalue().replace("\n", "").isprintable()


def test_T42_a_name_cannot_forge_a_line_or_reach_the_terminal_in_pretty(out: io.StringIO) -> None:
    configure_logging("info", "pretty", out)
    structlog.get_logger().info(NASTY, name=NASTY, more={"a": [NASTY]}, **{NASTY: 1})
    logging.getLogger("lib").warning("%s", NASTY)
    assert out.getvalue().count("\n") == 2
    assert escape_controls(out.getvalue().replace("\n", "")) == out.getvalue().replace("\n", "")
    assert "\\x1b" in out.getvalue()


def test_T42_an_exception_text_cannot_pose_as_a_line_of_ours(out: io.StringIO) -> None:
    configure_logging("info", "pretty", out)
    log_failure(f"bad\n2026-01-01 [info] forged{NASTY} token=sesame")
    ours = [line for line in out.getvalue().splitlines() if line and not line.startswith("    ")]
    assert ["failed" in line for line in ours] == [True, True]
    assert "\x1b" not in out.getvalue()
    assert "sesame" not in out.getvalue()


def test_names_in_any_script_stay_readable_in_pretty() -> None:
    assert escape_controls("Grüße 日本 🎉 שלום") == "Grüße 日本 🎉 שלום"


@pytest.mark.parametrize("name", SENSITIVE)
def test_T11_values_under_a_sensitive_name_are_masked_at_any_depth(name: str) -> None:
    event = {
        "a": [
            {
                "b": (
                    {name: "sesame"},
                    {name: ["sesame"]},
                    {name: {"x": "sesame"}},
                    {name: b"sesame"},
                )
            }
        ]
    }
    assert "sesame" not in repr(redact(event))


@pytest.mark.parametrize(
    "name", ["token_url", "status_code", "error_code", "state", "tokenizer", "cursor", "name"]
)
def test_harmless_names_stay(name: str) -> None:
    assert redact({name: "value", "tokens": 7, "refresh": None}) == {
        name: "value",
        "tokens": 7,
        "refresh": None,
    }


@pytest.mark.parametrize(
    "text",
    [
        "Bearer sesame-1234",
        "authorization: basic c2VzYW1lOng=sesame",
        "Cookie: a=b; flow=sesame",
        "http://x/cb?code=sesame&state=sesame",
        "grant_type=refresh_token&refresh_token=sesame&client_secret=sesame",
        '{"access_token": "sesame", "refresh_token":"sesame"}',
        "{'client_secret': 'sesame'}",
        "code_verifier = sesame",
        "v1.k1.sesamesesame.sesamesesamesesame",
        "12:30:v1.k1.sesamesesame.sesamesesamesesame",
    ],
)
def test_T11_secrets_in_a_text_are_masked_by_their_shape(text: str) -> None:
    assert "sesame" not in redact_text(text)
    assert "sesame" not in repr(redact([{"event": text}, (text,), text.encode()]))


def test_ordinary_texts_stay_as_they_are() -> None:
    text = (
        "Loaded 3 pages; the token was refreshed, error code: 42, state: idle, v1.2.3, basic auth"
    )
    assert redact_text(text) == text


def test_T11_a_secret_type_and_endless_nesting_are_masked() -> None:
    loop: list[Any] = []
    loop.append(loop)
    assert "***" in repr(redact({"x": SecretStr("sesame"), "loop": loop}))


def test_T11_an_exception_is_logged_without_its_secrets(out: io.StringIO) -> None:
    configure_logging("info", "json", out)
    log_failure("POST grant_type=x&refresh_token=sesame")
    assert ["ValueError" in line["exception"] for line in lines(out)] == [True, True]
    assert "sesame" not in out.getvalue()


def test_a_trace_continues_with_a_new_span() -> None:
    child = parse_traceparent(new_traceparent(TRACE))
    assert child is not None
    assert (child.trace_id, child.sampled) == (TRACE[3:35], True)
    assert child.span_id != TRACE[36:52]
    assert parse_traceparent(current_traceparent()) is not None
    with bind_request("r", TRACE):
        assert current_traceparent() == current_traceparent()
        assert current_traceparent()[3:35] == TRACE[3:35]


@pytest.mark.parametrize(
    "header",
    [
        None,
        "",
        "x",
        TRACE.upper(),
        TRACE + "-x",
        "ff" + TRACE[2:],
        TRACE.replace(TRACE[3:35], "0" * 32),
        TRACE + "\n" * 300,
    ],
)
def test_an_invalid_trace_starts_a_new_one(header: str | None) -> None:
    assert parse_traceparent(header) is None
    assert parse_traceparent(new_traceparent(header)) is not None


async def call(app: Any, path: str = "/v1/x", **headers: str) -> list[dict[str, Any]]:
    sent: list[dict[str, Any]] = []
    raw = [
        (name.replace("_", "-").encode(), value.encode("latin-1"))
        for name, value in headers.items()
    ]
    scope = {
        "type": "http",
        "method": "GET",
        "path": path,
        "query_string": b"code=sesame",
        "headers": raw,
    }

    async def receive() -> dict[str, Any]:
        return {"type": "http.request"}

    async def send(message: dict[str, Any]) -> None:
        sent.append(message)

    await app(scope, receive, send)
    return sent


async def hello(scope: Any, receive: Any, send: Any) -> None:
    headers = [
        (b"x-seen", current_request_id().encode()),
        (b"x-trace", current_traceparent().encode()),
    ]
    await send({"type": "http.response.start", "status": 204, "headers": headers})
    await send({"type": "http.response.body", "body": b""})


async def test_a_request_keeps_its_id_and_trace_and_is_logged_without_its_query(
    out: io.StringIO,
) -> None:
    configure_logging("info", "json", out)
    sent = await call(
        RequestContextMiddleware(hello, "gateway"), x_request_id="abc-1", traceparent=TRACE
    )
    headers = dict(sent[0]["headers"])
    assert (headers[b"x-request-id"], headers[b"x-seen"]) == (b"abc-1", b"abc-1")
    assert TRACE[3:35].encode() in headers[b"x-trace"]
    (line,) = lines(out)
    assert (line["method"], line["path"], line["status"], line["service"]) == (
        "GET",
        "/v1/x",
        204,
        "gateway",
    )
    assert line["request_id"] == "abc-1"
    assert line["ms"] >= 0
    assert "sesame" not in out.getvalue()
    assert current_request_id() == ""


@pytest.mark.parametrize("given", ["", "a b", "x" * 129, "a\nb", "ä", "<x>"])
async def test_T42_an_odd_request_id_is_replaced(out: io.StringIO, given: str) -> None:
    configure_logging("info", "json", out)
    sent = await call(RequestContextMiddleware(hello, "gateway"), x_request_id=given)
    (found,) = [value for name, value in sent[0]["headers"] if name == b"x-request-id"]
    assert found.isalnum()
    assert found != given.encode()


async def test_a_crash_is_logged_as_500_and_passed_on(out: io.StringIO) -> None:
    configure_logging("info", "json", out)

    async def crash(scope: Any, receive: Any, send: Any) -> None:
        raise RuntimeError

    with pytest.raises(RuntimeError):
        await call(RequestContextMiddleware(crash, "gateway"))
    assert lines(out)[0]["status"] == 500


async def test_probes_are_silent_while_they_succeed(out: io.StringIO) -> None:
    configure_logging("info", "json", out)
    await call(RequestContextMiddleware(hello, "gateway"), "/health/ready")
    assert not lines(out)


async def test_requests_at_the_same_time_do_not_mix_their_ids(out: io.StringIO) -> None:
    configure_logging("info", "json", out)

    async def slow(scope: Any, receive: Any, send: Any) -> None:
        await turns()
        await hello(scope, receive, send)

    app = RequestContextMiddleware(slow, "gateway")
    answers = await asyncio.gather(*(call(app, x_request_id=f"r{number}") for number in range(20)))
    assert [dict(sent[0]["headers"])[b"x-seen"].decode() for sent in answers] == [
        f"r{n}" for n in range(20)
    ]
