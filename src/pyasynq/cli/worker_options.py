"""The options of ``pyasynq worker``."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkerOptions:
    """The options of the command; None means the app's value, or else the server's default."""

    app: str
    uri: str | None
    concurrency: int | None
    threads: int | None
    task_processes: int | None
    queues: Mapping[str, int] | None
    deployment: str | None
    strict: bool
    processes: int | None
    burst: bool
    reload: bool
    shutdown_timeout: timedelta | None
    max_tasks: int | None
    max_memory: int | None
    max_crashes: int | None
    unknown: str | None
    health_addr: tuple[str, int] | None
    metrics: bool
    log_format: str | None
    log_level: str | None

    @property
    def is_supervised(self) -> bool:
        """Whether worker processes are supervised."""
        return bool(self.processes or self.reload)
