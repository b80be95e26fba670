"""Log lines: text for a person at a terminal, JSON objects for machines. Secrets never go in."""

import json
import logging
import sys

from carcloud.model.time import iso

_PLAIN = logging.makeLogRecord({}).__dict__.keys() | {"message", "asctime"}


class JsonLines(logging.Formatter):
    """One JSON object a line: time, level, logger, message and whatever was given as `extra`."""

    def __init__(self, role: str) -> None:
        super().__init__()
        self._role = role

    def format(self, record: logging.LogRecord) -> str:
        line = {
            "time": iso(int(record.created * 1e6)),
            "level": record.levelname.lower(),
            "role": self._role,
            "logger": record.name,
            "message": record.getMessage(),
            **{key: value for key, value in record.__dict__.items() if key not in _PLAIN},
        }
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        return json.dumps(line, default=str, ensure_ascii=False)


def set_up(role: str, level: str, style: str) -> None:
    """Send log lines to stderr; `style` auto, text or json (auto: text at a terminal)."""
    handler = logging.StreamHandler()
    if style == "json" or (style == "auto" and not sys.stderr.isatty()):
        handler.setFormatter(JsonLines(role))
    else:
        handler.setFormatter(logging.Formatter(f"%(asctime)s %(levelname)-7s {role} %(message)s"))
    logging.basicConfig(level=level.upper(), handlers=[handler], force=True)
