"""One way out for every log line, ours and the libraries': redacted, one line each, safe to show on a terminal."""

from __future__ import annotations

import json
import logging
import sys
import unicodedata
from collections.abc import Sequence
from contextlib import suppress
from typing import Any, Final, Literal, TextIO

import structlog
from structlog.types import EventDict, Processor, WrappedLogger
from typing_extensions import override

from shared.telemetry.context import context_fields
from shared.telemetry.redaction import redact

_QUIET: Final = (
    "aiokafka",
    "aiosqlite",
    "alembic",
    "asyncio",
    "faststream",
    "hpack",
    "httpcore",
    "httpx",
    "kafka",
)
_OWN_HANDLERS: Final = (*_QUIET, "uvicorn", "uvicorn.error", "uvicorn.asgi", "litestar")
_UNSAFE: Final = frozenset({"Cc", "Cf", "Zl", "Zp", "Cs", "Co"})
"""Unicode categories that can move a cursor, end a line or turn the direction of text."""


def configure_logging(
    level: str = "info",
    fmt: Literal["auto", "json", "pretty"] = "auto",
    stream: TextIO | None = None,
) -> None:
    """Route structlog and the standard library to ``stream`` (stderr when None). Calling it again replaces it.

    Start uvicorn with ``log_config=None``: its own configuration would bring back an access log with query strings.
    """
    target = stream or sys.stderr
    pretty = fmt == "pretty" or (fmt == "auto" and target.isatty())
    last = [_never_raising(_last(pretty=pretty, colors=target.isatty()))]
    told: list[Processor] = [_worth_a_line] if pretty and level != "debug" else []
    structlog.configure(
        processors=[*told, *_ours(), *last],
        logger_factory=_Lines(target),
        wrapper_class=structlog.make_filtering_bound_logger(level),
        cache_logger_on_first_use=False,
    )
    handler = logging.StreamHandler(target)
    chain: list[Processor] = [structlog.stdlib.ProcessorFormatter.remove_processors_meta, *last]
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(foreign_pre_chain=_ours(), processors=chain)
    )
    root = logging.getLogger()
    root.handlers = [handler]
    root.setLevel(level.upper())
    logging.captureWarnings(capture=True)
    _quieten()


class _Lines(structlog.stdlib.LoggerFactory):
    """Our own lines go straight to the stream: the way through the standard library's records takes as long again."""

    def __init__(self, stream: TextIO) -> None:
        super().__init__(
            ignore_frame_names=[__name__]
        )  # an unnamed logger is called after whoever asks for it
        self._stream = stream

    @override
    def __call__(self, *args: Any) -> Any:
        return _Line(super().__call__(*args).name, self._stream)


class _Line:
    """What structlog takes for a logger: a method for each level, called with the finished line.

    A stream that takes nothing (a closed pipe, a full disk) is no reason for work to fail: the line is lost.
    """

    def __init__(self, name: str, stream: TextIO) -> None:
        self.name, self._stream = name, stream

    def msg(self, line: str) -> None:
        with suppress(OSError, ValueError):
            self._stream.write(f"{line}\n")
            self._stream.flush()

    debug = info = warning = error = critical = msg


def _worth_a_line(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
    """On a terminal a request that went well says nothing, unless debugging was asked for."""
    if event.get("event") == "request" and event.get("status", 500) < 400:
        raise structlog.DropEvent
    return event


def _ours() -> list[Processor]:
    return [
        _add_context,
        structlog.stdlib.add_logger_name,
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.format_exc_info,
        structlog.processors.StackInfoRenderer(),
    ]


def _last(*, pretty: bool, colors: bool) -> list[Processor]:
    if pretty:
        return [_redacted, _printable, structlog.dev.ConsoleRenderer(colors=colors)]
    return [_redacted, _json_line]


def _never_raising(chain: Sequence[Processor]) -> Processor:
    """The chain as one step that never raises: a value that cannot be shown costs its line, not the work around it."""

    def shown(logger: WrappedLogger, method: str, event: EventDict) -> Any:
        line: Any = event
        try:
            for step in chain:
                line = step(logger, method, line)
        except Exception as error:  # noqa: BLE001  # whatever a value's own methods raise
            return _json_line(
                logger,
                method,
                {"event": "line_not_shown", "level": method, "error": type(error).__name__},
            )
        return line

    return shown


def _add_context(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
    return {**context_fields(), **event}


def _redacted(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
    return {str(name): value for name, value in redact(event).items()}


def _json_line(_logger: WrappedLogger, _method: str, event: EventDict) -> str:
    """ASCII only: controls, line separators and direction marks all come out as escapes."""
    return json.dumps(event, ensure_ascii=True).replace("\x7f", "\\u007f")


def _printable(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
    """Nothing but a traceback may have more than one line, and its lines are indented so that none can pose as ours."""
    blocks = {
        name: event[name] for name in ("exception", "stack") if isinstance(event.get(name), str)
    }
    shown = {escape_controls(name): _escaped(value) for name, value in event.items()}
    for name, text in blocks.items():
        shown[name] = "\n".join(f"    {escape_controls(line)}" for line in text.split("\n"))
    return shown


def escape_controls(text: str) -> str:
    """Control characters, line separators and direction marks become visible escapes; all else stays as it is."""
    if text.isascii() and text.isprintable():
        return text
    return "".join(
        char.encode("unicode_escape").decode() if unicodedata.category(char) in _UNSAFE else char
        for char in text
    )


def _escaped(value: Any) -> Any:
    if isinstance(value, str):
        return escape_controls(value)
    return (
        value
        if isinstance(value, int | float | None)
        else escape_controls(json.dumps(value, ensure_ascii=False))
    )


def _quieten() -> None:
    for name in _OWN_HANDLERS:
        library = logging.getLogger(name)
        library.handlers = []
        library.propagate = True
    for name in _QUIET:
        logging.getLogger(name).setLevel(logging.WARNING)
    access = logging.getLogger("uvicorn.access")
    access.handlers = []
    access.propagate = False
    access.disabled = True
