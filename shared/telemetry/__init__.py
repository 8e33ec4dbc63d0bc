"""Write logs, count metrics, and carry request ids and traces."""

from shared.telemetry.context import (
    Bound,
    Trace,
    accepted_request_id,
    bind_request,
    bind_service,
    current_request_id,
    current_service,
    current_traceparent,
    new_request_id,
    new_traceparent,
    parse_traceparent,
)
from shared.telemetry.log_file import LogFile
from shared.telemetry.logs import configure_logging, escape_controls
from shared.telemetry.metrics import Collector, Counter, Scrape, gauge
from shared.telemetry.middleware import RequestContextMiddleware
from shared.telemetry.redaction import redact, redact_text

__all__ = [
    "Bound",
    "Collector",
    "Counter",
    "LogFile",
    "RequestContextMiddleware",
    "Scrape",
    "Trace",
    "accepted_request_id",
    "bind_request",
    "bind_service",
    "configure_logging",
    "current_request_id",
    "current_service",
    "current_traceparent",
    "escape_controls",
    "gauge",
    "new_request_id",
    "new_traceparent",
    "parse_traceparent",
    "redact",
    "redact_text",
]
