"""A model of flows: how each step must end, computed from the graph alone, step by step."""

import random
from collections.abc import Mapping, Sequence
from typing import NamedTuple, TypeAlias

from pyasynq.core.flow import Node, When

WHENS: Sequence[When] = ("succeeded", "failed", "ended")
QUEUES = ("q", "r", "s")

StepShape: TypeAlias = tuple[When, tuple[int, ...]]
"""When a step runs, and the numbers of the steps before it."""


class Graph(NamedTuple):
    """A random flow: its steps, how each ends if it runs, and its queue.

    *members* has for each map how its tasks end, by the number of the step.
    """

    steps: Sequence[StepShape]
    ends: str
    queues: Sequence[str]
    members: Mapping[int, str] = {}


def a_graph(chance: random.Random, *, most: int = 12) -> Graph:
    """Return a random graph; one in four tasks fails, and some are revoked."""
    steps: list[StepShape] = []
    for number in range(chance.randint(1, most)):
        count = chance.randint(0, min(3, number))
        when = chance.choices(WHENS, (6, 2 if count else 0, 2))[0]
        steps.append((when, tuple(sorted(chance.sample(range(number), count)))))
    ends = "".join(chance.choices("sfx", (12, 4, 1), k=len(steps)))
    return Graph(steps, ends, chance.choices(QUEUES, k=len(steps)))


def with_maps(graph: Graph, chance: random.Random, *, most: int = 9) -> Graph:
    """Return *graph* with some steps as maps; one in twelve of their tasks fails."""
    numbers = [n for n in range(len(graph.steps)) if chance.random() < 0.3]
    members = {
        n: "".join(chance.choices("sf", (11, 1), k=chance.randint(0, most))) for n in numbers
    }
    ends = list(graph.ends)
    for number, of_map in members.items():
        ends[number] = "f" if "f" in of_map else "s"
    return graph._replace(ends="".join(ends), members=members)


def outcomes(graph: Graph) -> str:
    """Return how each step must end."""
    marks = ""
    for (when, after), end in zip(graph.steps, graph.ends, strict=True):
        marks += _outcome(when, {marks[before] for before in after}, end)
    return marks


def outcomes_after_retry(graph: Graph) -> str:
    """Return how each step must end after a retry in which every task succeeds."""
    before, marks = outcomes(graph), ""
    for (when, after), old in zip(graph.steps, before, strict=True):
        again = old in "fu"
        marks += _outcome(when, {marks[it] for it in after}, "s") if again else old
    return marks


def _outcome(when: When, before: set[str], end: str) -> str:
    lost = bool(before & {"f", "u"})
    if when == "ended" or (when == "failed" and lost):
        return end
    if when == "failed":
        return "x"
    return "u" if lost else "x" if "x" in before else end


def steps_of(steps: Sequence[StepShape]) -> list[Node]:
    """Return *steps* as nodes, named by their numbers."""
    then: list[list[int]] = [[] for _ in steps]
    for number, (_, after) in enumerate(steps):
        for before in after:
            then[before].append(number)
    return [
        Node(name=f"{n}", type="t", when=when, after=after, then=tuple(then[n]))
        for n, (when, after) in enumerate(steps)
    ]
