"""Log lines: for people on a console, or one JSON object each for programs."""

import logging
import sys
import time

import msgspec

from pyasynq.cli.values import Options


class _Json(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        entry = {
            "time": f"{self.formatTime(record, '%Y-%m-%dT%H:%M:%S')}.{int(record.msecs):03d}Z",
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
        }
        if record.exc_info:
            entry["exception"] = self.formatException(record.exc_info)
        return msgspec.json.encode(entry).decode()


def add_to(options: Options) -> None:
    """Add what says how log lines look."""
    options.value("--log-format", choices=["console", "json"], default="console", help="log lines")
    options.value(
        "--log-level",
        choices=["debug", "info", "warning", "error"],
        default="info",
        help="least important log lines shown",
    )


def set_up(form: str, level: str) -> None:
    """Send log lines of *level* and above to stderr, in *form* ``console`` or ``json``."""
    handler = logging.StreamHandler(sys.stderr)
    formatter = (
        _Json()
        if form == "json"
        else logging.Formatter("%(asctime)s.%(msecs)03d %(levelname)-7s %(message)s", "%H:%M:%S")
    )
    formatter.converter = time.gmtime if form == "json" else time.localtime
    handler.setFormatter(formatter)
    logging.basicConfig(level=level.upper(), handlers=[handler], force=True)
