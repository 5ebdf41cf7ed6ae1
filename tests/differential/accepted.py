"""Intended differences from Go: one row for each entry of section 12 of the protocol."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final, TypeAlias

from tests.differential import core_rules as core
from tests.differential import inspector_rules as inspector
from tests.differential.comparison import Case, Difference

Rule: TypeAlias = Callable[[Case, Difference], bool]


@dataclass(frozen=True, kw_only=True)
class Accepted:
    """One entry.

    Attributes:
        number: Its number in section 12 of the protocol and in compatibility.md.
        rules: Each decides whether the entry explains a difference.
        keeps: The side whose state both sides continue with: ``python`` or ``go``.
    """

    number: str
    rules: Sequence[Rule]
    keeps: str = "python"


ACCEPTED: Final = (
    Accepted(number="D2", rules=[core.due_times_are_rounded_up]),
    Accepted(number="D7", rules=[core.the_id_is_checked_before_the_lock]),
    Accepted(number="D8", rules=[core.the_lock_of_a_grouped_task_is_stored]),
    Accepted(number="D9", rules=[inspector.locks_go_with_their_tasks]),
    Accepted(number="D10", rules=[core.combining_releases_the_locks]),
    Accepted(number="D13", rules=[core.locks_are_rounded_up]),
    Accepted(number="D14", rules=[core.a_delayed_task_keeps_its_group]),
    Accepted(
        number="D15",
        rules=[
            core.forwarding_registers_the_group,
            core.servers_note_how_far_they_have_searched,
            inspector.a_task_moved_by_hand_forgets_its_group,
        ],
    ),
    Accepted(number="D16", rules=[core.reclaiming_registers_the_group]),
    Accepted(
        number="D18",
        rules=[
            core.a_requeued_task_waits_since_now,
            inspector.pending_since_is_set_and_cleared,
        ],
    ),
    Accepted(number="D20", rules=[inspector.trimmed_tasks_are_deleted]),
    Accepted(
        number="D21",
        rules=[
            inspector.the_archive_is_trimmed_ahead_of_need,
            inspector.nothing_archived_trims_nothing,
        ],
    ),
    Accepted(number="D22", rules=[core.queues_are_registered_again]),
    Accepted(number="D23", rules=[inspector.removal_looks_at_all_tasks]),
    Accepted(number="D29", rules=[core.a_stamp_says_who_holds_a_task]),
    Accepted(number="D32", rules=[core.a_recovered_task_runs_at_once], keeps="go"),
    Accepted(
        number="D36",
        rules=[
            core.fractions_of_seconds_are_rounded_up,
            core.options_that_cannot_work_are_refused,
        ],
    ),
    Accepted(number="D38", rules=[core.a_result_is_cleared_when_the_task_is_taken]),
    Accepted(number="D43", rules=[core.braces_in_queue_names_are_refused]),
    Accepted(number="D53", rules=[inspector.pages_and_sizes_count_from_one]),
    Accepted(number="D54", rules=[inspector.the_lock_goes_with_the_payload]),
    Accepted(
        number="D55",
        rules=[
            inspector.unknown_queues_are_named_as_such,
            inspector.running_tasks_are_named_as_the_reason,
        ],
    ),
    Accepted(number="D56", rules=[inspector.unknown_queues_cannot_be_paused]),
    Accepted(number="D66", rules=[core.a_recovered_task_has_crashed_a_worker], keeps="go"),
    Accepted(number="D70", rules=[core.a_task_past_its_deadline_is_archived]),
    Accepted(number="D71", rules=[core.failed_tries_are_kept]),
    Accepted(number="D72", rules=[core.runs_are_counted_for_inspectors]),
)


def explanation(case: Case, difference: Difference) -> Accepted | None:
    """Return the entry that explains *difference*, or None."""
    explaining = (
        entry for entry in ACCEPTED if any(rule(case, difference) for rule in entry.rules)
    )
    return next(explaining, None)
