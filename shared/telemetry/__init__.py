"""Logs, request ids and traces."""

from shared.telemetry.context import (
    Bound,
    Trace,
    accepted_request_id,
    bind_request,
    bind_service,
    current_request_id,
    current_traceparent,
    new_request_id,
    new_traceparent,
    parse_traceparent,
)
from shared.telemetry.logs import configure_logging, escape_controls
from shared.telemetry.middleware import RequestContextMiddleware
from shared.telemetry.redaction import redact, redact_text

__all__ = [
    "Bound",
    "RequestContextMiddleware",
    "Trace",
    "accepted_request_id",
    "bind_request",
    "bind_service",
    "configure_logging",
    "current_request_id",
    "current_traceparent",
    "escape_controls",
    "new_request_id",
    "new_traceparent",
    "parse_traceparent",
    "redact",
    "redact_text",
]
