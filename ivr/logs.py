"""Logs: one format for our lines and everybody else's, with secrets and personal data taken out.

Lines go to standard error, which is what journald reads; standard output belongs to the commands.
What may be shown is decided in `ivr.redaction`; this file only puts it in the way of every line.
"""

import logging
import sys
from collections.abc import Iterable, MutableMapping
from typing import Any, Literal

import structlog
from structlog.types import EventDict, Processor

from ivr.redaction import (
    hide_exactly,
    redact_lead,
    redact_marker,
    redact_phone,
    redact_speech,
    redact_text,
    redact_transcript,
    redact_value,
)

__all__ = [
    "configure",
    "redact_lead",
    "redact_phone",
    "redact_speech",
    "redact_text",
    "redact_transcript",
    "redact_value",
]

# What structlog itself puts into a line.
_OURS = frozenset({"event", "level", "logger", "timestamp", "exception", "stack"})

# They bring handlers of their own, or tell at INFO what only their authors want to know.
_TAKEN_OVER = ("uvicorn", "uvicorn.error", "uvicorn.access", "dbos", "sqlalchemy", "alembic")
_QUIET = (
    *("httpx", "httpx2", "httpcore", "httpcore2", "sqlalchemy", "dbos", "alembic"),
    *("openai", "anthropic", "twilio", "websockets"),
)


def configure(
    log_format: Literal["console", "json"] = "console",
    log_pii: bool = False,
    *,
    level: str = "INFO",
    secrets: Iterable[str] = (),
) -> None:
    """Send all logs of this process to standard error; the last call wins.

    `secrets` are strings to hide wherever they stand.
    """
    handler = _StandardError()
    handler.setFormatter(_formatter(log_format, Redact(pii=log_pii, secrets=secrets)))
    root = logging.getLogger()
    for former in [old for old in root.handlers if isinstance(old, _StandardError)]:
        root.removeHandler(former)
    root.addHandler(handler)
    root.setLevel(level)
    for name in _TAKEN_OVER:
        theirs = logging.getLogger(name)
        # DBOS gives its logger a handler of its own, past our redaction, unless it finds one.
        theirs.handlers[:] = [logging.NullHandler()]
        theirs.propagate = True
        theirs.disabled = False
        theirs.setLevel(logging.NOTSET)
    for name in _QUIET:
        logging.getLogger(name).setLevel(logging.WARNING)
    structlog.configure(
        processors=[*_gather(), structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        wrapper_class=structlog.stdlib.BoundLogger,
        logger_factory=structlog.stdlib.LoggerFactory(),
        cache_logger_on_first_use=False,  # a module's logger must follow a later configure()
    )


class _StandardError(logging.Handler):
    """Write to whatever standard error is now; a test or a daemon may have replaced it."""

    def emit(self, record: logging.LogRecord) -> None:
        try:
            sys.stderr.write(self.format(record) + "\n")
            sys.stderr.flush()
        except Exception:
            self.handleError(record)


class Redact:
    """The processor that every line passes last before it is rendered."""

    def __init__(self, *, pii: bool, secrets: Iterable[str] = ()) -> None:
        self._pii = pii
        self._hide = hide_exactly(secrets)

    def __call__(self, _logger: Any, _method: str, event: EventDict) -> EventDict:
        """Return the line with its event, its traceback and every field redacted."""
        return {key: self._redact(key, value) for key, value in event.items()}

    def _redact(self, key: str, value: Any) -> Any:
        if key not in _OURS:
            return self._exactly(redact_value(key, value, pii=self._pii))
        text = str(value)
        if key == "event" and not self._pii and (marker := redact_marker(text)) is not None:
            return self._hide(marker)
        return self._hide(text if key == "timestamp" else redact_text(text, pii=self._pii))

    def _exactly(self, value: Any) -> Any:
        match value:
            case str():
                return self._hide(value)
            case dict():
                return {key: self._exactly(part) for key, part in value.items()}
            case list():
                return [self._exactly(part) for part in value]
        return value


def _gather() -> list[Processor]:
    """Return what turns a call of either library into one flat line."""
    return [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.stdlib.PositionalArgumentsFormatter(),
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.StackInfoRenderer(),
    ]


def _formatter(log_format: str, redact: Redact) -> logging.Formatter:
    return structlog.stdlib.ProcessorFormatter(
        foreign_pre_chain=[*_gather(), structlog.stdlib.ExtraAdder()],
        processors=[
            structlog.stdlib.ProcessorFormatter.remove_processors_meta,
            # Tracebacks become text first: rendered later they would escape, locals and all.
            structlog.processors.format_exc_info,
            redact,
            *_renderers(log_format),
        ],
    )


def _renderers(log_format: str) -> list[Processor]:
    if log_format == "json":
        return [_rename_event, structlog.processors.JSONRenderer(ensure_ascii=False)]
    return [structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty(), pad_event_to=0)]


def _rename_event(_logger: Any, _method: str, event: MutableMapping[str, Any]) -> EventDict:
    """Call it `message`, as log collectors do; a field of that name steps aside."""
    message = event.pop("event")
    fields = {"field_message" if key == "message" else key: part for key, part in event.items()}
    return {"timestamp": fields.pop("timestamp"), "message": message, **fields}
