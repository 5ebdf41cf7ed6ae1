"""The settings of a scheduler, checked.

Source:
    Protocol section 7.2 (asynq v0.26.0 ``SchedulerOpts``).
"""

from collections.abc import Awaitable, Callable, Sequence
from datetime import UTC, timedelta, tzinfo
from typing import Final, TypeAlias, TypedDict

import msgspec

from pyasynq.client import ClientMiddleware, MiddlewareChain
from pyasynq.client.middleware import convert_extensions
from pyasynq.core.codec import NO_CODECS, Codec, Codecs
from pyasynq.core.errors import OptionError, PyasynqError
from pyasynq.core.info import TaskInfo
from pyasynq.core.options import check_callback, check_time
from pyasynq.core.task import Task
from pyasynq.runtime.clock import Clock
from pyasynq.scheduler.entry import CatchUp, check_catch_up

PreEnqueue: TypeAlias = Callable[[Task], Awaitable[None] | None]
PostEnqueue: TypeAlias = Callable[[Task, TaskInfo | PyasynqError], Awaitable[None] | None]

SHORTEST_INTERVAL: Final = timedelta(seconds=1)


class SchedulerOptions(TypedDict, total=False):
    """Keywords of `Scheduler`.

    Keys:
        location: Time zone of specs that name none; UTC when not given.
        catch_up: How to treat ticks that were missed because no scheduler ran or the broker was
            away: ``"skip"`` drops those that are 30 s late or more, ``"once"`` enqueues the latest,
            ``"all"`` enqueues every one, oldest first. ``"skip"`` when not given.
        heartbeat_interval: Time between two writes of the list of entries, which expires after
            twice this time; 10 s when not given.
        pre_enqueue: Called with the task before each try to enqueue it; ``async def``, or ``def``
            in a thread. Ticks wait while a hook runs.
        post_enqueue: Called with the task and its info, or the error for which it was refused;
            ``async def``, or ``def`` in a thread.
        client_middleware: Called around each try to enqueue the task of a tick; see `Client`. A
            tick that it refuses is skipped.
        codecs: Seal payloads, in this order. With codecs, inspectors do not see the payloads of
            entries.
        clock: Tells the time; a test may pass its own.
    """

    location: tzinfo
    catch_up: CatchUp
    heartbeat_interval: timedelta
    pre_enqueue: PreEnqueue
    post_enqueue: PostEnqueue
    client_middleware: Sequence[ClientMiddleware]
    codecs: Sequence[Codec]
    clock: Clock


class Config(msgspec.Struct, frozen=True, kw_only=True):
    """Checked settings; see `SchedulerOptions`."""

    location: tzinfo = UTC
    catch_up: CatchUp = "skip"
    heartbeat_interval: timedelta = timedelta(seconds=10)
    pre_enqueue: PreEnqueue | None = None
    post_enqueue: PostEnqueue | None = None
    client_middleware: MiddlewareChain = msgspec.field(default_factory=MiddlewareChain)
    codecs: Codecs = NO_CODECS
    clock: Clock = msgspec.field(default_factory=Clock)

    @classmethod
    def of(cls, options: SchedulerOptions) -> "Config":
        """Return the settings that *options* give.

        Raises:
            OptionError: If a setting cannot work.
            TypeError: If a client middleware cannot be called as one.
        """
        return cls(**convert_extensions(options))

    def __post_init__(self) -> None:
        """Check what the types cannot express.

        Raises:
            OptionError: If a setting cannot work.
        """
        check_catch_up(self.catch_up)
        check_time("heartbeat_interval", self.heartbeat_interval, SHORTEST_INTERVAL)
        check_callback("pre_enqueue", self.pre_enqueue)
        check_callback("post_enqueue", self.post_enqueue)
        if not isinstance(self.clock, Clock):  # pyright: ignore[reportUnnecessaryIsInstance]
            raise OptionError("clock", self.clock, "a Clock")
        if not isinstance(self.location, tzinfo):  # pyright: ignore[reportUnnecessaryIsInstance]
            raise OptionError("location", self.location, 'a tzinfo such as ZoneInfo("Asia/Tokyo")')
