"""What is printed: one Markdown table, the goals, and how it was measured."""

from collections.abc import Iterable, Iterator, Sequence

from benchmarks.goals import Goal
from benchmarks.installed import Run
from benchmarks.roster import SLOTS
from benchmarks.sheet import Sheet

HEAD = (
    "",
    "enqueue/s: one at a time",
    "100 in flight",
    "many",
    *(f"drain/s: c={slots:,}" if slots == SLOTS[0] else f"c={slots:,}" for slots in SLOTS),
    "pick-up ms: p50",
    "p99",
    "worker µs/task",
    "Redis µs/task (main thread)",
    "bytes/task",
)

METHOD = """\
One machine, one run. Each measurement has a Redis of its own on a loopback port, without
persistence, and every contender runs in processes of its own. Handlers do nothing; a payload has
100 bytes.

- **enqueue/s**: one client, one process. *100 in flight*: 100 coroutines, or 100 threads for
  libraries that block (32 goroutines for Go). *many*: the library's own bulk call.
- **drain/s**: all tasks wait beforehand; one worker process; from the first task handled to the
  last, so what a library fetches before its first task counts in its favour. *c* is the number of
  tasks at a time.
- **pick-up**: from the call of enqueue in one process to the handler in another that has been idle
  for 20 to 400 ms (Go: 200 to 1200 ms, in one process); one clock. Where fewer than 100 tasks were
  sent, p99 is the slowest.
- **worker µs/task**: CPU (user and system) of the worker's process while its tasks were drained
  with c=100; the number that other programs on the machine disturb least.
- **Redis µs/task**: the same of Redis, the worker's start included; in brackets the main thread's
  part.
- **bytes/task**: what Redis' memory grew by for each waiting task."""


def report(runs: Sequence[Run], sheet: Sheet, goals: Sequence[Goal], machine: str) -> str:
    """Return the whole report as Markdown."""
    parts = [
        "\n".join(grid(HEAD, (_row(run, sheet) for run in runs))),
        "\n".join(grid(("goal for pyasynq", "wanted", "measured", ""), map(goal_row, goals))),
        *_memory(sheet),
        METHOD,
        "\n".join(f"- **{run.peer.name}** {run.version}: {run.peer.settings}." for run in runs),
        "\n".join(f"- {note}" for note in sheet.notes),
        machine,
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def _row(run: Run, sheet: Sheet) -> Iterator[str]:
    name = run.peer.name
    yield name
    for how in ("one", "flight", "many"):
        yield number(sheet.median(name, f"enqueue.{how}"))
    for slots in SLOTS:
        yield _drained(run, sheet, slots)
    yield number(sheet.median(name, "pickup.p50"), decimals=1)
    yield number(sheet.median(name, "pickup.p99"), decimals=1)
    slots = min(100, run.peer.slots[-1])
    yield number(sheet.median(name, f"worker_us.{slots}"))
    whole, main = (sheet.median(name, f"{key}.{slots}") for key in ("redis_us", "redis_main_us"))
    yield f"{number(whole, decimals=1)} ({number(main, decimals=1)})"
    yield number(sheet.median(name, "bytes"))


def _drained(run: Run, sheet: Sheet, slots: int) -> str:
    """Return the drain rate; one that has no such concurrency shows its own in the first column."""
    if slots in run.peer.slots:
        return number(sheet.median(run.peer.name, f"drain.{slots}"))
    own = run.peer.slots[0]
    rate = number(sheet.median(run.peer.name, f"drain.{own}"))
    return f"(c={own}) {rate}" if slots == SLOTS[0] else "—"


def goal_row(goal: Goal) -> Iterator[str]:
    """Yield the cells of a goal: what it says, wants and got."""
    yield goal.text
    yield f"{'≥' if goal.is_floor else '≤'} {goal.bound:g}{goal.unit}"
    yield "—" if goal.value is None else f"{goal.value:.2f}{goal.unit}"
    yield goal.mark


def _memory(sheet: Sheet) -> Iterator[str]:
    first, tenth, last = (
        sheet.median("pyasynq", f"rss.{when}") for when in ("first", "tenth", "last")
    )
    if first is not None and tenth is not None and last is not None:
        yield (
            "Memory of pyasynq's worker over the long queue: "
            f"{first / 1e6:.1f} MB at the first task, {tenth / 1e6:.1f} MB at a tenth, "
            f"{last / 1e6:.1f} MB at the last."
        )


def grid(head: Iterable[str], rows: Iterable[Iterable[str]]) -> Iterator[str]:
    """Yield the lines of a Markdown table with aligned columns."""
    cells = [list(head), *(list(row) for row in rows)]
    widths = [max(3, *map(len, column)) for column in zip(*cells, strict=True)]
    first, *others = (_line(line, widths) for line in cells)
    yield first
    yield _line(["-" * widths[0], *("-" * (width - 1) + ":" for width in widths[1:])], widths)
    yield from others


def _line(texts: Sequence[str], widths: Sequence[int]) -> str:
    """Return one line: the first column to the left, the numbers to the right."""
    numbers = (text.rjust(width) for text, width in zip(texts[1:], widths[1:], strict=True))
    return f"| {' | '.join((texts[0].ljust(widths[0]), *numbers))} |"


def number(value: float | None, decimals: int = 0) -> str:
    """Return *value* for people; a dash for None."""
    return "—" if value is None else f"{value:,.{decimals}f}"
