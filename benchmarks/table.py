"""The report: one Markdown table, the goals, and the method."""

from collections.abc import Iterable, Iterator, Sequence

from benchmarks.goals import Goal, rate_per_mb
from benchmarks.installed import Run
from benchmarks.roster import ALL_SLOTS
from benchmarks.sheet import Sheet

HEAD = (
    "",
    "enqueue/s: one at a time",
    "100 in flight",
    "many",
    *(f"drain/s: c={slots:,}" if slots == ALL_SLOTS[0] else f"c={slots:,}" for slots in ALL_SLOTS),
    "pick-up ms: p50",
    "p99",
    "worker µs/task",
    "worker MB",
    "drain/s for each MB",
    "Redis µs/task (main thread)",
    "bytes/task",
)

METHOD = """\
One machine, one run. Each measurement has its own Redis on a loopback port, without persistence, or
its own SQLite file on the disk; every contender runs in its own processes. Handlers do nothing; a
payload has 100 bytes.

- **enqueue/s**: one client, one process. *100 in flight*: 100 coroutines, or 100 threads for
  libraries that block (32 goroutines for Go). *many*: the library's own bulk call.
- **drain/s**: all tasks wait at the start; one worker process; from the first handled task to the
  last, so a library that prefetches tasks has an advantage. *c* is the concurrency.
- **pick-up**: from the call of enqueue in one process to the handler in another that has been idle
  for 200 to 600 ms (Go: 200 to 1200 ms, in one process); one clock. With fewer than 100 tasks,
  p99 is the slowest. pyasynq on Redis: the median of all rounds, because each time that the machine
  stands still for some milliseconds, as shared ones do, becomes one round's p99.
- **worker µs/task**: CPU time (user and system) of the worker's process during the drain with
  c=100; other programs on the machine affect this number least.
- **worker MB**: resident memory of the worker's process after the last task with c=100.
- **Redis µs/task**: the same for Redis, including the worker's start; in brackets the main thread.
- **bytes/task**: growth of Redis' memory, or of the file, for each waiting task."""


def format_report(runs: Sequence[Run], sheet: Sheet, goals: Sequence[Goal], machine: str) -> str:
    """Return the whole report as Markdown."""
    parts = [
        "\n".join(format_table(HEAD, (_format_row(run, sheet) for run in runs))),
        "\n".join(
            format_table(("goal for pyasynq", "wanted", "measured", ""), map(format_goal, goals))
        ),
        *_format_memory(sheet),
        METHOD,
        "\n".join(f"- **{run.peer.name}** {run.version}: {run.peer.settings}." for run in runs),
        "\n".join(f"- {note}" for note in sheet.notes),
        machine,
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def _format_row(run: Run, sheet: Sheet) -> Iterator[str]:
    name = run.peer.name
    yield name
    for how in ("one", "flight", "many"):
        yield format_number(sheet.median(name, f"enqueue.{how}"))
    for slots in ALL_SLOTS:
        yield format_number(sheet.median(name, f"drain.{slots}"))
    yield format_number(sheet.median(name, "pickup.p50"), decimals=1)
    yield format_number(sheet.median(name, "pickup.p99"), decimals=1)
    slots = min(100, run.peer.slots[-1])
    yield format_number(sheet.median(name, f"worker_us.{slots}"))
    resident = sheet.median(name, f"rss.{slots}")
    yield format_number(resident and resident / 1e6)
    yield format_number(rate_per_mb(sheet, name, slots))
    whole, main = (sheet.median(name, f"{key}.{slots}") for key in ("redis_us", "redis_main_us"))
    yield "—" if main is None else f"{format_number(whole, decimals=1)} ({main:,.1f})"
    yield format_number(sheet.median(name, "bytes"))


def format_goal(goal: Goal) -> Iterator[str]:
    """Yield the cells of a goal: text, bound, measurement and mark."""
    yield goal.text
    yield f"{'≥' if goal.is_floor else '≤'} {goal.bound:g}{goal.unit}"
    yield "—" if goal.value is None else f"{goal.value:.2f}{goal.unit}"
    yield goal.mark


def _format_memory(sheet: Sheet) -> Iterator[str]:
    first, tenth, last = (
        sheet.median("pyasynq", f"rss.{when}") for when in ("first", "tenth", "last")
    )
    if first is not None and tenth is not None and last is not None:
        yield (
            "Memory of pyasynq's worker over the long queue: "
            f"{first / 1e6:.1f} MB at the first task, {tenth / 1e6:.1f} MB at a tenth, "
            f"{last / 1e6:.1f} MB at the last."
        )


def format_table(head: Iterable[str], rows: Iterable[Iterable[str]]) -> Iterator[str]:
    """Yield the lines of a Markdown table with aligned columns."""
    cells = [list(head), *(list(row) for row in rows)]
    widths = [max(3, *map(len, column)) for column in zip(*cells, strict=True)]
    first, *others = (_format_line(line, widths) for line in cells)
    yield first
    yield _format_line(
        ["-" * widths[0], *("-" * (width - 1) + ":" for width in widths[1:])], widths
    )
    yield from others


def _format_line(texts: Sequence[str], widths: Sequence[int]) -> str:
    """Return one line: the first column aligned left, the numbers right."""
    numbers = (text.rjust(width) for text, width in zip(texts[1:], widths[1:], strict=True))
    return f"| {' | '.join((texts[0].ljust(widths[0]), *numbers))} |"


def format_number(value: float | None, decimals: int = 0) -> str:
    """Return *value* as text; a dash for None."""
    return "—" if value is None else f"{value:,.{decimals}f}"
