"""Log lines: for people on a console, or one JSON object each for programs."""

import logging
import sys
import time
import warnings
from typing import Final

import msgspec

from pyasynq.logs import FIELDS, TaskFields
from pyasynq.runtime.loggers import enable_loggers, get_logger

log: Final = get_logger("pyasynq.worker")

FORMAT: Final = "%(asctime)s.%(msecs)03d %(levelname)-7s %(message)s"
FORMAT_OF_SEVERAL: Final = "%(asctime)s.%(msecs)03d %(process)d %(levelname)-7s %(message)s"
DEFAULT_FORMAT: Final = "console"
DEFAULT_LEVEL: Final = "info"
NEVER_AWAITED: Final = "coroutine .* was never awaited"


class _Console(logging.Formatter):
    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802 - the base class has it
        line = super().formatMessage(record)
        task_id, task_type, queue, number = (getattr(record, name, "") for name in FIELDS)
        if not task_id or task_id in record.message:
            return line
        return f"{line} [{task_type} {task_id} in {queue!r}, try {number}]"


class _Json(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        entry: dict[str, object] = {
            "time": f"{self.formatTime(record, '%Y-%m-%dT%H:%M:%S')}.{int(record.msecs):03d}Z",
            "level": record.levelname.lower(),
            "logger": record.name,
            "pid": record.process,
            "message": record.getMessage(),
        }
        entry |= {name: value for name in FIELDS if (value := getattr(record, name, ""))}
        if record.exc_info:
            entry["exception"] = self.formatException(record.exc_info)
        safe = {key: _safe(value) for key, value in entry.items()}
        return msgspec.json.encode(safe).decode()


def _safe(value: object) -> object:
    return value.encode(errors="backslashreplace").decode() if isinstance(value, str) else value


class Logs:
    """Lines on stderr, until the user's module configures logging.

    What nobody handles goes to `logging.lastResort`. While the module is loaded our handler stands
    there and not at the root, where it would keep the module's own `logging.basicConfig` from
    having an effect.
    """

    def __init__(self, form: str | None, level: str | None, *, of_several: bool = False) -> None:
        """Show lines of *level* and above in *form*, ``console`` or ``json``.

        Those *of_several* processes name theirs on a console, too.
        """
        self._given = [
            f"{flag} {value}"
            for flag, value in (("--log-format", form), ("--log-level", level))
            if value is not None
        ]
        self._level = getattr(logging, (level or DEFAULT_LEVEL).upper())
        self._handler = logging.StreamHandler(sys.stderr)
        console = FORMAT_OF_SEVERAL if of_several else FORMAT
        formatter = _Json() if form == "json" else _Console(console, "%H:%M:%S")
        formatter.converter = time.gmtime if form == "json" else time.localtime
        self._handler.setFormatter(formatter)
        self._handler.addFilter(TaskFields())

    def begin(self) -> None:
        """Show lines where nothing is configured."""
        logging.lastResort = self._handler
        if not logging.root.handlers:
            logging.root.setLevel(self._level)

    def go_on(self) -> None:
        """Leave logging to the user's module if it has configured it."""
        enable_loggers()
        if self._is_left_to_us():
            logging.root.handlers = [self._handler]
        elif self._handler not in logging.root.handlers and self._given:
            log.warning("the app configures logging, without regard to %s", ", ".join(self._given))

    def _is_left_to_us(self) -> bool:
        """Return whether the root has no handler but what `logging.warning` puts there by itself.

        The functions of the module `logging` call `basicConfig` where there is no handler. That
        chooses nothing, and neither does a call of it without arguments.
        """
        match logging.root.handlers:
            case []:
                return True
            case [logging.StreamHandler(stream=sys.stderr, formatter=logging.Formatter(_fmt=form))]:
                return form == logging.BASIC_FORMAT and logging.root.level == self._level
            case _:
                return False


_logs: Logs | None = None


def set_up(form: str | None, level: str | None, *, of_several: bool = False) -> None:
    """Send log lines to stderr, as `Logs` has it; the user's module may change it."""
    global _logs  # noqa: PLW0603 - so is what it sets up, for the whole process
    _logs = Logs(form, level, of_several=of_several)
    _logs.begin()
    logging.captureWarnings(True)
    # Python shows a warning once for each place; here each stands for something that was not done.
    warnings.filterwarnings("always", NEVER_AWAITED, RuntimeWarning)


def go_on() -> None:
    """Go on speaking after the user's module was loaded."""
    if _logs is not None:
        _logs.go_on()
