"""Send every log line, ours and the libraries', one way: redacted, one line each, safe to show.

Lines go to standard error. A program that a person starts at a terminal can also name a file: then
everything is written there, and the terminal shows warnings and errors only.
"""

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
from shared.telemetry.log_file import LogFile
from shared.telemetry.redaction import redact

# Libraries whose info level says nothing to whoever runs Tributary: a line for each HTTP request,
# each fetch and each rebalance.
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
_LOUD: Final = frozenset({"warning", "error", "critical"})
_UNSAFE: Final = frozenset({"Cc", "Cf", "Zl", "Zp", "Cs", "Co"})
"""Unicode categories that can move a cursor, end a line or turn the direction of text."""


def configure_logging(
    level: str = "info",
    fmt: Literal["auto", "json", "pretty"] = "auto",
    stream: TextIO | None = None,
    file: LogFile | None = None,
) -> None:
    """Route structlog and the standard library to ``stream`` (standard error by default).

    With a ``file``, every line goes there as JSON, and ``stream`` gets warnings and errors only.
    A second call replaces the first.

    Start uvicorn with ``log_config=None``: its own configuration would bring back an access log
    that shows query strings.
    """
    target = stream or sys.stderr
    pretty = fmt == "pretty" or (fmt == "auto" and target.isatty())
    render = _never_raising(_last(pretty=pretty, colors=target.isatty()))
    for_file = _never_raising(_last(pretty=False, colors=False))

    first: list[Processor] = []
    last = render
    if file is not None:
        last = _to_file_and_terminal(file, for_file, render)
    elif pretty and level != "debug":
        first = [_drop_uneventful_request]
    structlog.configure(
        processors=[*first, *_common(), last],
        logger_factory=_Lines(target),
        wrapper_class=structlog.make_filtering_bound_logger(level),
        cache_logger_on_first_use=False,
    )

    handler = _handler(target, render)
    handlers = [handler]
    if file is not None:
        handler.setLevel(logging.WARNING)
        handler.addFilter(_not_chatty)
        handlers.append(_handler(file, for_file))
    root = logging.getLogger()
    root.handlers = handlers
    root.setLevel(level.upper())
    logging.captureWarnings(capture=True)
    _quieten()


def _not_chatty(record: logging.LogRecord) -> bool:
    """Keep aiokafka off the terminal: it warns of every rebalance.

    Our consumers log by themselves when they cannot go on.
    """
    return not record.name.startswith("aiokafka")


def _handler(target: TextIO | LogFile, render: Processor) -> logging.Handler:
    """Return a handler for the standard library's records that renders them as ours are."""
    handler: logging.Handler = logging.StreamHandler(target)
    remove_meta = structlog.stdlib.ProcessorFormatter.remove_processors_meta
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=_common(), processors=[remove_meta, render]
        )
    )
    return handler


class _Lines(structlog.stdlib.LoggerFactory):
    """Make loggers that write straight to the stream.

    The detour through the standard library's records would double the time a line takes.
    """

    def __init__(self, stream: TextIO) -> None:
        # An unnamed logger is named after the module that asks for it, which is not this one.
        super().__init__(ignore_frame_names=[__name__])
        self._stream = stream

    @override
    def __call__(self, *args: Any) -> Any:
        return _Line(super().__call__(*args).name, self._stream)


class _Line:
    """Write finished lines; structlog calls the method named after the level.

    Work must not fail because the stream is a closed pipe or a full disk: the line is lost instead.
    """

    def __init__(self, name: str, stream: TextIO) -> None:
        self.name, self._stream = name, stream

    def msg(self, line: str) -> None:
        with suppress(OSError, ValueError):
            self._stream.write(f"{line}\n")
            self._stream.flush()

    debug = info = warning = error = critical = msg


def _to_file_and_terminal(file: LogFile, for_file: Processor, for_terminal: Processor) -> Processor:
    """Return a last step that writes each line to the file and passes on only the loud ones."""

    def render(logger: WrappedLogger, method: str, event: EventDict) -> Any:
        line: Any = for_file(logger, method, dict(event))
        with suppress(OSError, ValueError):
            file.write(f"{line}\n")
            file.flush()
        if event.get("level") not in _LOUD:
            raise structlog.DropEvent
        return for_terminal(logger, method, event)

    return render


def _drop_uneventful_request(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
    """Keep requests that succeeded off a terminal, unless somebody is debugging."""
    if event.get("event") == "request" and event.get("status", 500) < 400:
        raise structlog.DropEvent
    return event


def _common() -> list[Processor]:
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
    """Make one step of the chain that never raises.

    A value that cannot be shown costs its line, not the work around it.
    """

    def render(logger: WrappedLogger, method: str, event: EventDict) -> Any:
        line: Any = event
        try:
            for step in chain:
                line = step(logger, method, line)
        except Exception as error:  # noqa: BLE001  # a value's own methods may raise anything
            instead = {
                "event": "line_not_shown",
                "level": method,
                "error": type(error).__name__,
            }
            return _json_line(logger, method, instead)
        return line

    return render


def _add_context(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
    return {**context_fields(), **event}


def _redacted(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
    return {str(name): value for name, value in redact(event).items()}


def _json_line(_logger: WrappedLogger, _method: str, event: EventDict) -> str:
    """Return ASCII only, so that controls, line separators and direction marks are escaped."""
    return json.dumps(event, ensure_ascii=True).replace("\x7f", "\\u007f")


def _printable(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
    """Escape every value, so that no text from outside can pose as a line of ours.

    Only a traceback may have several lines, and they are indented.
    """
    shown = {escape_controls(name): _escaped(value) for name, value in event.items()}
    for name in ("exception", "stack"):
        text = event.get(name)
        if isinstance(text, str):
            shown[name] = "\n".join(f"    {escape_controls(line)}" for line in text.split("\n"))
    return shown


def escape_controls(text: str) -> str:
    """Return ``text`` with control characters, line separators and direction marks escaped."""
    if text.isascii() and text.isprintable():
        return text
    return "".join(map(_escaped_character, text))


def _escaped_character(char: str) -> str:
    if unicodedata.category(char) in _UNSAFE:
        return char.encode("unicode_escape").decode()
    return char


def _escaped(value: Any) -> Any:
    if isinstance(value, str):
        return escape_controls(value)
    if isinstance(value, int | float | None):
        return value
    return escape_controls(json.dumps(value, ensure_ascii=False))


def _quieten() -> None:
    for name in _OWN_HANDLERS:
        library = logging.getLogger(name)
        library.handlers = []
        library.propagate = True
    for name in _QUIET:
        logging.getLogger(name).setLevel(logging.WARNING)
    # Its lines show query strings, which carry codes and states.
    access = logging.getLogger("uvicorn.access")
    access.handlers = []
    access.propagate = False
    access.disabled = True
