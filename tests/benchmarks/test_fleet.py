"""What is computed from the measurements of fleets at rest."""

from benchmarks.fleet import Cost, evaluate_fleets, format_costs


def a_cost(queues: int, servers: int, *, connections: int, cpu_ms: float) -> Cost:
    return Cost(
        queues=queues,
        servers=servers,
        connections=connections,
        requests=2.0 * servers,
        scripts=1.0 * servers,
        cpu_ms=cpu_ms,
    )


COSTS = [
    a_cost(1, 1, connections=4, cpu_ms=1.0),
    a_cost(1, 11, connections=40, cpu_ms=1.4),
    a_cost(3, 1, connections=6, cpu_ms=2.0),
    a_cost(3, 11, connections=77, cpu_ms=4.4),
]


def test_a_further_server_is_compared_with_the_smaller_fleet_of_the_same_queues() -> None:
    rows = [line.split("|") for line in format_costs(COSTS).splitlines()[2:6]]
    assert [row[-2].strip() for row in rows] == ["—", "0.040", "—", "0.240"]


def test_the_goals_judge_the_most_expensive_fleet() -> None:
    connections, cpu = evaluate_fleets(COSTS)
    assert (connections.value, connections.mark) == (4, "FAIL")
    assert cpu.value is not None
    assert (round(cpu.value, 3), cpu.mark) == (0.06, "FAIL")


def test_without_measurements_there_is_no_verdict() -> None:
    assert [goal.mark for goal in evaluate_fleets([])] == ["n/a", "n/a"]
