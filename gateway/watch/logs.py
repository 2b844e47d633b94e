"""Logs: what the process says of itself, a line each, with a reason code out of one vocabulary.

`Log` is how a room speaks: a fixed sentence, its code from `Said`, and facts by name. Facts come
from devices and servers too, so they are quoted, cut and kept on their line: nobody can forge one,
in text or in JSON. `configure` sends all of it, and what libraries say, to one stream. Until then
warnings go to standard error as Python's own logging has it. Decides nothing, keeps nothing.
"""

import logging
import math
import sys
import threading
from collections.abc import Mapping, MutableMapping
from datetime import UTC, datetime
from enum import StrEnum
from types import TracebackType
from typing import Any, Literal, TextIO

FACT_CHARS_MAX = 64
"""Of what came from outside: enough to know it again."""
WORDS_CHARS_MAX = 500
_WORDS = frozenset({"why", "finding", "url"})
"""Facts that are sentences or addresses, and may be longer."""
LIBRARY_CHARS_MAX = 2_000


class Said(StrEnum):
    """Why a line stands in the log. gateway/README.md says of each what to do."""

    ACCOUNTS_UNREADABLE = "accounts_unreadable"
    BOOKS_UNREADABLE = "books_unreadable"
    BROKER_CONNECTED = "broker_connected"
    BROKER_FAILED = "broker_failed"
    BROKER_LOST = "broker_lost"
    BROKER_NOT_MQTT = "broker_not_mqtt"
    BROKER_REFUSED = "broker_refused"
    BROKER_SESSION_NEW = "broker_session_new"
    BROKER_UNREACHABLE = "broker_unreachable"
    CHILD_ENDED = "child_ended"
    CORE_FAILED = "core_failed"
    DESK_BACK = "desk_back"
    DESK_DOWN = "desk_down"
    DISK_FULL = "disk_full"
    DISK_ROOM = "disk_room"
    EVIDENCE_PORT_TAKEN = "evidence_port_taken"
    EVIDENCE_UNREADABLE = "evidence_unreadable"
    FIGURES_UNREADABLE = "figures_unreadable"
    FILER_FAILED = "filer_failed"
    FILES_FAILED = "files_failed"
    HISTORY_BACK = "history_back"
    HISTORY_DOWN = "history_down"
    LIBRARY = "library"
    PAGE_FAILED = "page_failed"
    PLANS_UNREADABLE = "plans_unreadable"
    PROCESS_FAILED = "process_failed"
    RELOADED = "reloaded"
    RELOAD_REFUSED = "reload_refused"
    REQUEST_CHANGED = "request_changed"
    REQUEST_LEFT_OUT = "request_left_out"
    RULES_ERROR = "rules_error"
    RULES_FAILED = "rules_failed"
    RULES_FROM_BEFORE = "rules_from_before"
    RULES_RUN_FAILED = "rules_run_failed"
    RULES_WARNING = "rules_warning"
    STARTED = "started"
    STATUS_UNWRITTEN = "status_unwritten"
    STOPPED = "stopped"
    STORE_FAILED = "store_failed"
    SUBSCRIPTION_REFUSED = "subscription_refused"
    THREAD_FAILED = "thread_failed"


class Log:
    """The voice of one room. `text` is always the same sentence; what differs is a fact."""

    def __init__(self, room: str) -> None:
        self._logger = logging.getLogger(room)

    def info(self, said: Said, text: str, /, **facts: object) -> None:
        self._tell(logging.INFO, said, text, facts)

    def warning(self, said: Said, text: str, /, **facts: object) -> None:
        self._tell(logging.WARNING, said, text, facts)

    def error(self, said: Said, text: str, /, **facts: object) -> None:
        self._tell(logging.ERROR, said, text, facts)

    def critical(self, said: Said, text: str, /, **facts: object) -> None:
        self._tell(logging.CRITICAL, said, text, facts)

    def exception(self, said: Said, text: str, /, **facts: object) -> None:
        """An error, with the traceback of the exception being handled."""
        self._tell(logging.ERROR, said, text, facts, True)

    def failure(self, said: Said, text: str, error: BaseException, /, **facts: object) -> None:
        """The same, of one that somebody else caught."""
        self._tell(logging.ERROR, said, text, facts, error)

    def end(self, said: Said, text: str, error: BaseException | None, /, **facts: object) -> None:
        """What nobody caught."""
        self._tell(logging.CRITICAL, said, text, facts, error)

    def _tell(
        self,
        level: int,
        said: Said,
        text: str,
        facts: Mapping[str, object],
        trace: bool | BaseException | None = None,
    ) -> None:
        if not self._logger.isEnabledFor(level):
            return
        short = {name: shortened(name, value) for name, value in facts.items()}
        line = " ".join([text, *(f"{name}={quoted(value)}" for name, value in short.items())])
        extra = {"reason": str(said), "sentence": text, "facts": short}
        self._logger.log(level, "%s", line, exc_info=trace, extra=extra, stacklevel=3)


Plain = str | int | float | bool | None
Event = MutableMapping[str, Any]


def shortened(name: str, value: object) -> Plain:
    """A fact as it is logged; numbers as they are."""
    if value is None or isinstance(value, bool | int):
        return value
    if isinstance(value, float) and math.isfinite(value):  # JSON has no other
        return value
    text, most = str(value), WORDS_CHARS_MAX if name in _WORDS else FACT_CHARS_MAX
    return text if len(text) <= most else text[: most - 1] + "…"


def quoted(value: Plain) -> str:
    """On one line, within quotes that it cannot end."""
    if not isinstance(value, str):
        return str(value).lower()
    return '"' + on_one_line(value.replace("\\", "\\\\").replace('"', '\\"')) + '"'


def on_one_line(text: str) -> str:
    """What cannot be printed, a line break before all, is written out."""
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else ascii(c)[1:-1] for c in text)


def configure(form: Literal["text", "json"], stream: TextIO | None = None) -> None:
    """Everything that this process logs goes to `stream` (standard error) in this form, from now
    on; also what ends a thread or the process.
    """
    import structlog  # late: no command that does not run the service waits for it

    stdlib = structlog.stdlib
    render = structlog.processors.JSONRenderer() if form == "json" else _as_text
    handler = logging.StreamHandler(stream or sys.stderr)
    handler.setFormatter(
        stdlib.ProcessorFormatter(
            processors=[structlog.processors.format_exc_info, _as_fields, render]
        )
    )
    structlog.configure(
        processors=[
            stdlib.PositionalArgumentsFormatter(),
            stdlib.ProcessorFormatter.wrap_for_formatter,
        ],
        logger_factory=stdlib.LoggerFactory(),
        wrapper_class=stdlib.BoundLogger,
    )
    root = logging.getLogger()
    for old in root.handlers[:]:
        root.removeHandler(old)
    root.addHandler(handler)
    root.setLevel(logging.INFO)
    threading.excepthook = _thread_failed
    sys.excepthook = _process_failed


def _as_fields(_logger: Any, _method: str, event: Event) -> Event:
    """One event, whoever said it: the same fields in the same order."""
    record: logging.LogRecord = event["_record"]
    at = datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds")
    said = getattr(record, "sentence", None) or str(event.get("event", ""))[:LIBRARY_CHARS_MAX]
    fields: dict[str, Any] = {
        "timestamp": at.replace("+00:00", "Z"),
        "level": record.levelname.lower(),
        "room": record.name.removeprefix("gateway."),
        "reason": getattr(record, "reason", str(Said.LIBRARY)),
        "event": said,
    }
    trace = {"exception": event["exception"]} if event.get("exception") else {}
    return {**fields, **getattr(record, "facts", {}), **fields, **trace}


def _as_text(_logger: Any, _method: str, event: Event) -> str:
    """For people: when, how bad, where, what, with which facts; the code to search for. A traceback
    follows, set in, so that none of its lines looks like one of ours.
    """
    event = dict(event)
    at, level, room = event.pop("timestamp"), event.pop("level").upper(), event.pop("room")
    reason, said = event.pop("reason"), on_one_line(event.pop("event"))
    trace = str(event.pop("exception", ""))
    facts = "".join(f" {name}={quoted(value)}" for name, value in event.items())
    below = "".join(f"\n    {on_one_line(line)}" for line in trace.splitlines())
    return f"{at} {level} {room}: {said}{facts} [{reason}]{below}"


_log = Log("gateway.process")


def _thread_failed(args: threading.ExceptHookArgs) -> None:
    name = args.thread.name if args.thread is not None else ""
    _log.end(Said.THREAD_FAILED, "a thread ended that should not", args.exc_value, thread=name)


def _process_failed(
    kind: type[BaseException], error: BaseException, trace: TracebackType | None
) -> None:
    if issubclass(kind, KeyboardInterrupt):
        sys.__excepthook__(kind, error, trace)
    else:
        _log.end(Said.PROCESS_FAILED, "the process failed", error)
