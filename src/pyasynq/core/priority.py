"""Choose the queue from which each free slot takes its task.

Every slot chooses at random by itself. So the tasks taken are in proportion to the weights, no
matter whether they are taken one by one or a hundred at a time.

Source:
    Protocol section 6.3 (asynq v0.26.0 ``processor.queues``).
"""

from collections import Counter
from collections.abc import Mapping, Sequence


def draw_queues(weights: Mapping[str, int], picks: Sequence[float]) -> dict[str, int]:
    """Return how many slots take from each queue.

    Args:
        weights: Queue to weight, each at least 1.
        picks: One random number in [0, 1) for each slot.
    """
    if len(weights) == 1:
        return dict.fromkeys(weights, len(picks))
    tickets = [queue for queue, weight in weights.items() for _ in range(weight)]
    return Counter(tickets[int(pick * len(tickets))] for pick in picks)


def sort_by_weight(weights: Mapping[str, int]) -> list[str]:
    """Return the queues of strict priority: heaviest first, ties in the given order."""
    return sorted(weights, key=lambda queue: -weights[queue])
