package main

import (
	"fmt"

	"github.com/hibiken/asynq"
)

// bulkCalls maps a state to the call that moves all tasks of that state.
type bulkCalls map[string]func(queue string) (int, error)

// bulk runs VERB QUEUE STATE [GROUP] and returns the number of moved tasks.
func bulk(i call, bound func(*asynq.Inspector, string) bulkCalls) error {
	calls := bound(i.Inspector, i.name(3))
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

// ofGroup binds the group of a call that needs one.
func ofGroup(i *asynq.Inspector, group string, move func(*asynq.Inspector, string, string) (int, error)) func(string) (int, error) {
	return func(queue string) (int, error) { return move(i, queue, group) }
}

func runners(i *asynq.Inspector, group string) bulkCalls {
	return bulkCalls{
		"scheduled":   i.RunAllScheduledTasks,
		"retry":       i.RunAllRetryTasks,
		"archived":    i.RunAllArchivedTasks,
		"aggregating": ofGroup(i, group, (*asynq.Inspector).RunAllAggregatingTasks),
	}
}

func archivers(i *asynq.Inspector, group string) bulkCalls {
	return bulkCalls{
		"pending":     i.ArchiveAllPendingTasks,
		"scheduled":   i.ArchiveAllScheduledTasks,
		"retry":       i.ArchiveAllRetryTasks,
		"aggregating": ofGroup(i, group, (*asynq.Inspector).ArchiveAllAggregatingTasks),
	}
}

func deleters(i *asynq.Inspector, group string) bulkCalls {
	return bulkCalls{
		"pending":     i.DeleteAllPendingTasks,
		"scheduled":   i.DeleteAllScheduledTasks,
		"retry":       i.DeleteAllRetryTasks,
		"archived":    i.DeleteAllArchivedTasks,
		"completed":   i.DeleteAllCompletedTasks,
		"aggregating": ofGroup(i, group, (*asynq.Inspector).DeleteAllAggregatingTasks),
	}
}
