"""What batches and flows cost is compared with plain tasks."""

from benchmarks.workflows import (
    CASES,
    Ratio,
    evaluate_workflows,
    format_ratios,
    measure_workflows,
)


async def test_each_case_runs_as_many_tasks_as_it_creates() -> None:
    ratios = await measure_workflows(40, 1)
    assert [it.case for it in ratios] == [*CASES]
    assert min(it.create for it in ratios) > 0


def test_the_goals_judge_what_it_costs_to_run_a_task() -> None:
    case = CASES[0]
    good, bad = (Ratio(case=case, create=9, run=run) for run in (case.bound, case.bound + 1))
    assert [goal.mark for goal in evaluate_workflows([good, bad])] == ["pass", "FAIL"]
    assert [line.split("|")[-2].strip() for line in format_ratios([good]).splitlines()[2:3]] == [
        f"{case.bound:.2f}"
    ]


def test_without_measurements_there_is_no_verdict() -> None:
    assert [*evaluate_workflows([])] == []
