"""What the goals compare."""

from benchmarks.goals import Goal, evaluate_goals
from benchmarks.roster import GO, HUEY_SQLITE, PYASYNQ, PYASYNQ_SQLITE, PYASYNQ_SQLITE_NORMAL
from benchmarks.sheet import Sheet

OURS = PYASYNQ_SQLITE.name
HUEY = HUEY_SQLITE.name


def goal_about(words: str, sheet: Sheet, cores: int = 4) -> Goal:
    (found,) = [goal for goal in evaluate_goals(sheet, cores) if words in goal.text]
    return found


def test_bulk_is_compared_with_the_fastest_way_to_enqueue_of_huey() -> None:
    sheet = Sheet()
    sheet.add(OURS, "enqueue.many", 600)
    sheet.add(HUEY, "enqueue.one", 100)
    sheet.add(HUEY, "enqueue.flight", 120)
    found = goal_about("SQLite: `enqueue_many`", sheet)
    assert (found.value, found.mark) == (5, "FAIL")


def test_drain_is_compared_with_huey_at_its_best_concurrency() -> None:
    sheet = Sheet()
    sheet.add(OURS, "drain.100", 600)
    sheet.add(HUEY, "drain.1", 100)
    sheet.add(HUEY, "drain.100", 50)
    found = goal_about("SQLite: drain", sheet)
    assert (found.value, found.mark) == (6, "pass")


def test_pick_up_has_a_stricter_bound_without_a_sync() -> None:
    sheet = Sheet()
    sheet.add(OURS, "pickup.p99", 10)
    sheet.add(PYASYNQ_SQLITE_NORMAL.name, "pickup.p99", 10)
    assert goal_about(f"{OURS}: pick-up by an idle worker, p99", sheet).mark == "pass"
    assert goal_about("normal): pick-up", sheet).mark == "FAIL"


def test_memory_is_compared_with_the_contender_that_does_most_with_it() -> None:
    sheet = Sheet()
    for name, rate, resident in ((PYASYNQ.name, 900, 3e6), (GO.name, 100, 1e6), ("arq", 20, 1e5)):
        sheet.add(name, "drain.100", rate)
        sheet.add(name, "rss.100", resident)
    found = goal_about("MB of the worker", sheet)
    assert (found.value, found.mark) == (1.5, "pass")
    assert "(arq)" in found.text


def test_two_processes_are_compared_with_one_where_each_has_a_core() -> None:
    sheet = Sheet()
    sheet.add(PYASYNQ.name, "drain.100", 100)
    sheet.add(PYASYNQ.name, "pair", 120)
    assert goal_about("two processes", sheet, cores=4).mark == "FAIL"
    assert goal_about("two processes", sheet, cores=2).mark == "n/a"


def test_a_goal_without_measurements_is_not_applicable() -> None:
    assert {goal.mark for goal in evaluate_goals(Sheet(), cores=4)} == {"n/a"}
