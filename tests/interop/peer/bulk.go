package main

import (
	"fmt"

	"github.com/hibiken/asynq"
)

// bulkCalls maps a state to the call that moves all tasks of that state.
type bulkCalls map[string]func(queue string) (int, error)

// bulk obeys VERB QUEUE STATE [GROUP] and tells how many tasks were moved.
func bulk(i call, calls bulkCalls) error {
	move := calls[i.name(2)]
	if move == nil {
		return fmt.Errorf("no state %q for this; states: %s", i.name(2), names(calls))
	}
	count, err := move(i.name(1))
	if err != nil {
		return err
	}
	return emit(map[string]int{"count": count})
}

// ofGroup binds the group argument of a call that wants one.
func (i call) ofGroup(move func(*asynq.Inspector, string, string) (int, error)) func(string) (int, error) {
	return func(queue string) (int, error) { return move(i.Inspector, queue, i.name(3)) }
}

func runners(i call) bulkCalls {
	return bulkCalls{
		"scheduled":   i.RunAllScheduledTasks,
		"retry":       i.RunAllRetryTasks,
		"archived":    i.RunAllArchivedTasks,
		"aggregating": i.ofGroup((*asynq.Inspector).RunAllAggregatingTasks),
	}
}

func archivers(i call) bulkCalls {
	return bulkCalls{
		"pending":     i.ArchiveAllPendingTasks,
		"scheduled":   i.ArchiveAllScheduledTasks,
		"retry":       i.ArchiveAllRetryTasks,
		"aggregating": i.ofGroup((*asynq.Inspector).ArchiveAllAggregatingTasks),
	}
}

func deleters(i call) bulkCalls {
	return bulkCalls{
		"pending":     i.DeleteAllPendingTasks,
		"scheduled":   i.DeleteAllScheduledTasks,
		"retry":       i.DeleteAllRetryTasks,
		"archived":    i.DeleteAllArchivedTasks,
		"completed":   i.DeleteAllCompletedTasks,
		"aggregating": i.ofGroup((*asynq.Inspector).DeleteAllAggregatingTasks),
	}
}
