"""The options of a task, their limits, and how they merge.

Source:
    Protocol sections 5.1 and 5.2 (asynq v0.26.0 ``client.go`` options).

Differs:
    The reference stores any value; here a value that cannot work is refused (D36), and so are
    braces in queue names (D43). Durations are zero or at least a second, because Redis stores
    seconds; fractions of a second are rounded up.
"""

import difflib
import re
from collections.abc import Callable, Collection, Iterable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Final, TypedDict, Unpack, cast

import msgspec

from pyasynq.core.errors import OptionError, as_timedelta, seconds

DEFAULT_QUEUE: Final = "default"
DEFAULT_MAX_RETRY: Final = 25
DEFAULT_TIMEOUT: Final = timedelta(minutes=30)
MAX_NAME: Final = 255
MAX_RETRY: Final = 2**31 - 1
_NAME: Final = f"non-blank text of at most {MAX_NAME} bytes of UTF-8"
_STAGED: Final = re.compile(r":[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}$")
SECOND: Final = timedelta(seconds=1)
LONGEST: Final = timedelta(days=36_500)
FIRST: Final = datetime(1970, 1, 1, 0, 0, 1, tzinfo=UTC)
LATEST: Final = datetime(9000, 1, 1, tzinfo=UTC)
"""A hundred years later is still a valid `datetime`."""


class TaskOptions(TypedDict, total=False):
    """Options given for the task or for the call; those of the call win.

    Keys:
        queue: Name of the queue; ``default`` if not given.
        task_id: Id, unique within the queue; a random UUID if not given.
        max_retry: Retries after the first failure; 25 if not given, 0 for none.
        timeout: Longest run; 30 minutes if neither *timeout* nor *deadline* is given.
        deadline: Instant by which the task must have ended.
        unique: Time for which no second task of this queue, type and payload is accepted.
        process_at: Earliest instant at which the task runs; one in the past means now.
        process_in: Shortest time from now until the task runs.
        retention: Time the task and its result are kept after success; zero deletes it at once.
        group: Name of the group whose tasks are combined into one.
    """

    queue: str
    task_id: str
    max_retry: int
    timeout: timedelta
    deadline: datetime
    unique: timedelta
    process_at: datetime
    process_in: timedelta
    retention: timedelta
    group: str


class EnqueueOptions(TaskOptions, total=False):
    """`TaskOptions` plus headers; these merge with the headers of the task.

    Keys:
        headers: Text metadata that travels with the task.
    """

    headers: Mapping[str, str]


class Options(msgspec.Struct, frozen=True, kw_only=True):
    """The merged options of task and call; None means "not given".

    `TaskOptions` says what each option means, and its unit. The headers of the `Task` itself are
    not included. To remove an option, use ``msgspec.structs.replace``.
    """

    queue: str | None = None
    task_id: str | None = None
    max_retry: int | None = None
    timeout: timedelta | None = None
    deadline: datetime | None = None
    unique: timedelta | None = None
    process_at: datetime | None = None
    process_in: timedelta | None = None
    retention: timedelta | None = None
    group: str | None = None
    headers: Mapping[str, str] = {}

    def merge(self, **options: Unpack[EnqueueOptions]) -> "Options":
        """Return these options overridden by *options*; headers merge.

        Raises:
            OptionError: If a value is not allowed.
            TypeError: If an option is unknown.
        """
        return merge(self, check_all(options))


NO_OPTIONS: Final = Options()


def check_all(given: Mapping[str, object]) -> Options:
    """Return *given* as `Options`; None counts as "not given".

    Raises:
        TypeError: If a name is not an option.
        OptionError: If a value is not allowed.
    """
    if not given:
        return NO_OPTIONS
    check_known(given, _CHECKS)
    values = {n: _CHECKS[n](n, value) for n, value in given.items() if value is not None}
    if "process_at" in values and "process_in" in values:
        raise OptionError("process_in", given["process_in"], "left out when process_at is given")
    return Options(**values)  # type: ignore[arg-type]  # _CHECKS has checked each value


def merge(first: Options, then: Options) -> Options:
    """Return *first* overridden by *then*; headers merge, a process time replaces either kind."""
    if then is NO_OPTIONS:
        return first
    if first is NO_OPTIONS:
        return then
    changes = {
        name: value for name, value in msgspec.structs.asdict(then).items() if value is not None
    }
    changes["headers"] = {**first.headers, **then.headers}
    if then.process_at is not None:
        changes["process_in"] = None
    elif then.process_in is not None:
        changes["process_at"] = None
    return msgspec.structs.replace(first, **changes)


def check_options(options: object) -> Options:
    """Check *options* that a user has made or changed, and return them.

    Raises:
        OptionError: If they are not `Options`, or a value is not allowed.
    """
    if not isinstance(options, Options):
        raise OptionError("options", options, "Options: options.merge(…) gives changed ones")
    return check_all(msgspec.structs.asdict(options))


def check_timeout(timeout: object) -> timedelta:
    """Return *timeout* if it can limit how long a call waits.

    Raises:
        OptionError: If it is not a timedelta.
    """
    if not isinstance(timeout, timedelta):
        raise OptionError("timeout", timeout, f"a timedelta{_suggest(timeout)}")
    return timeout


def check_count(option: str, value: object, most: int) -> int:
    """Return *value* if it is a valid count.

    Raises:
        OptionError: If it is not a whole number from 1 to *most*.
    """
    if not isinstance(value, int) or isinstance(value, bool) or not 1 <= value <= most:
        raise OptionError(option, value, f"a whole number from 1 to {most}")
    return value


def check_time(name: str, value: object, least: timedelta, most: timedelta = LONGEST) -> timedelta:
    """Return *value* if it is a time from *least* to *most*.

    Raises:
        OptionError: If it is not.
    """
    if not isinstance(value, timedelta) or not least <= value <= most:
        allowed = f"a timedelta of at least {seconds(least)} and at most {seconds(most)}"
        raise OptionError(name, value, allowed + _suggest(value))
    return value


def check_callback(name: str, value: object) -> None:
    """Check that *value* can be called, or is None.

    Raises:
        OptionError: If it is neither.
    """
    if value is not None and not callable(value):
        raise OptionError(name, value, "a function")


def check_name(option: str, value: object) -> str:
    """Return *value* if it is a valid name.

    Raises:
        OptionError: If it is not text, blank, too long, or not encodable as UTF-8.
    """
    if not isinstance(value, str) or not value.strip():
        raise OptionError(option, value, _NAME)
    if len(value) > MAX_NAME // 4 and len(_encode_utf8(option, value)) > MAX_NAME:
        raise OptionError(option, value, _NAME)
    if not value.isascii():
        _encode_utf8(option, value)
    return value


def check_queue(name: str, value: object) -> str:
    """Return *value* if it is a valid name of a queue.

    Raises:
        OptionError: If it is not a valid name, or has braces.
    """
    queue = check_name(name, value)
    if "{" in queue or "}" in queue:
        raise OptionError(name, value, "without braces (they mark the cluster slot)")
    return queue


def check_headers(value: object) -> Mapping[str, str]:
    """Return a copy of *value* if it maps text to text.

    Raises:
        OptionError: If it does not, or a text is not encodable as UTF-8.
    """
    if not isinstance(value, Mapping):
        raise OptionError("headers", value, "a mapping of text to text")
    headers = dict(cast("Mapping[object, object]", value))
    for text in (*headers.keys(), *headers.values()):
        if not isinstance(text, str):
            raise OptionError("headers", headers, "a mapping of text to text")
        _encode_utf8("headers", text)
    return cast("dict[str, str]", headers)


def check_instant(name: str, value: object) -> datetime:
    """Return *value* in UTC if it is a valid instant.

    Raises:
        OptionError: If it is not, has no time zone, or is before 1970 or after 8999.
    """
    if not isinstance(value, datetime) or value.utcoffset() is None:
        raise OptionError(name, value, "a datetime with a time zone")
    if not FIRST <= value < LATEST:
        raise OptionError(name, value, "after the start of 1970 and before the year 9000")
    return value.astimezone(UTC)


def whole_seconds(duration: timedelta) -> int:
    """Return *duration* in seconds, rounded up so that nothing ends early."""
    return -(-duration // SECOND)


def check_known(given: Iterable[str], known: Collection[str]) -> None:
    """Check that all names in *given* are in *known*.

    Raises:
        TypeError: If one is not; the text suggests the most similar known name.
    """
    for name in given:
        if name not in known:
            close = difflib.get_close_matches(name, known, n=1)
            hint = f"; did you mean {close[0]!r}?" if close else f"; there are {', '.join(known)}"
            msg = f"unknown option {name!r}{hint}"
            raise TypeError(msg)


def _check_group(name: str, value: object) -> str:
    group = check_name(name, value)
    # A group must not look like an aggregation set, whose key is that of its group and a UUID.
    if _STAGED.search(group):
        raise OptionError(name, value, "a name that does not end in a colon and a UUID")
    return group


def _check_max_retry(name: str, value: object) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value <= MAX_RETRY:
        raise OptionError(name, value, f"a whole number from 0 to {MAX_RETRY}")
    return value


def _check_duration(name: str, value: object, *, zero: bool) -> timedelta:
    if isinstance(value, timedelta) and (SECOND <= value <= LONGEST or (zero and not value)):
        return value
    allowed = "a timedelta of at least a second and at most a hundred years"
    raise OptionError(name, value, allowed + (", or zero" if zero else "") + _suggest(value))


def _suggest(value: object) -> str:
    """Return a hint how to write *value* if only its type is wrong."""
    if isinstance(value, timedelta) or (isinstance(value, int | float) and not value >= 0):
        return ""
    return f", {as_timedelta(value)} for instance"


def _check_positive_time(name: str, value: object) -> timedelta:
    return SECOND * whole_seconds(_check_duration(name, value, zero=False))


def _check_time_or_zero(name: str, value: object) -> timedelta:
    return SECOND * whole_seconds(_check_duration(name, value, zero=True))


def _check_delay(name: str, value: object) -> timedelta:
    return _check_duration(name, value, zero=True)  # only the resulting instant is rounded


def _check_headers(_name: str, value: object) -> Mapping[str, str]:
    return check_headers(value)


def _encode_utf8(option: str, text: str) -> bytes:
    try:
        return text.encode()
    except UnicodeEncodeError as error:
        raise OptionError(option, text, "encodable as UTF-8") from error


_CHECKS: Final[dict[str, Callable[[str, object], object]]] = {
    "queue": check_queue,
    "task_id": check_name,
    "max_retry": _check_max_retry,
    "timeout": _check_positive_time,
    "deadline": check_instant,
    "unique": _check_positive_time,
    "process_at": check_instant,
    "process_in": _check_delay,
    "retention": _check_time_or_zero,
    "group": _check_group,
    "headers": _check_headers,
}
