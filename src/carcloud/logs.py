"""Log lines: text for a person at a terminal, JSON objects for machines. Secrets never go in."""

import json
import logging
import sys
from contextvars import ContextVar

from carcloud.model.time import iso

_context: ContextVar[tuple[tuple[str, str], ...]] = ContextVar("log_context", default=())
_PLAIN = logging.makeLogRecord({}).__dict__.keys() | {"message", "asctime"}


class Bound:
    """Adds fields to every line that is logged inside, also by the tasks it awaits."""

    __slots__ = ("_fields", "_token")

    def __init__(self, **fields: str) -> None:
        self._fields = fields

    def __enter__(self) -> None:
        self._token = _context.set((*_context.get(), *self._fields.items()))

    def __exit__(self, *_error: object) -> None:
        _context.reset(self._token)


class JsonLines(logging.Formatter):
    """One JSON object a line: time, level, role, instance, logger, message, what is `Bound`, and
    whatever was given as `extra`."""

    def __init__(self, role: str, instance: str = "") -> None:
        super().__init__()
        self._process = {"role": role, "instance": instance} if instance else {"role": role}

    def format(self, record: logging.LogRecord) -> str:
        line = {
            "time": iso(int(record.created * 1e6)),
            "level": record.levelname.lower(),
            **self._process,
            "logger": record.name,
            "message": record.getMessage(),
            **dict(_context.get()),
            **{key: value for key, value in record.__dict__.items() if key not in _PLAIN},
        }
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        return json.dumps(line, default=str, ensure_ascii=False)


class TextLines(logging.Formatter):
    """A line for a person; what is `Bound` stands at its end."""

    def format(self, record: logging.LogRecord) -> str:
        return super().format(record) + "".join(f" {k}={v}" for k, v in _context.get())


def set_up(role: str, level: str, style: str, instance: str = "") -> None:
    """Send log lines to stderr; `style` auto, text or json (auto: text at a terminal)."""
    handler = logging.StreamHandler()
    if style == "json" or (style == "auto" and not sys.stderr.isatty()):
        handler.setFormatter(JsonLines(role, instance))
    else:
        handler.setFormatter(TextLines(f"%(asctime)s %(levelname)-7s {role} %(message)s"))
    logging.basicConfig(level=level.upper(), handlers=[handler], force=True)
    logging.getLogger("alembic").setLevel(max(logging.WARNING, logging.root.level))  # tells steps
