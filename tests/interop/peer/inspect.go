package main

import (
	"fmt"
	"strconv"

	"github.com/hibiken/asynq"
)

// call is one call of asynq's inspector, with its arguments.
type call struct {
	*asynq.Inspector
	c    *command
	page []asynq.ListOption
}

// inspect calls asynq's inspector: peer inspect [flags] VERB ARGUMENT...
func inspect(args []string) error {
	c := newCommand("inspect")
	page := c.Int("page", 1, "page of a list")
	size := c.Int("size", 1000, "tasks on a page")
	c.Parse(args)

	verb := verbs[c.Arg(0)]
	if verb == nil {
		return fmt.Errorf("no verb %q; verbs: %s", c.Arg(0), names(verbs))
	}
	inspector := asynq.NewInspector(c.redis)
	defer inspector.Close()
	return verb(call{inspector, c, []asynq.ListOption{asynq.Page(*page), asynq.PageSize(*size)}})
}

// name returns the n-th argument after the verb, "" if it is missing.
func (i call) name(n int) string { return i.c.Arg(n) }

var verbs = map[string]func(call) error{
	"queues":  showQueues,
	"queue":   showQueue,
	"groups":  showGroups,
	"tasks":   showTasks,
	"task":    showTask,
	"history": showHistory,
	"servers": showServers,
	"entries": showEntries,
	"events":  showEvents,

	"run":            func(i call) error { return done(i.RunTask(i.name(1), i.name(2))) },
	"archive":        func(i call) error { return done(i.ArchiveTask(i.name(1), i.name(2))) },
	"delete":         func(i call) error { return done(i.DeleteTask(i.name(1), i.name(2))) },
	"update-payload": func(i call) error { return done(i.UpdateTaskPayload(i.name(1), i.name(2), []byte(i.name(3)))) },
	"cancel":         func(i call) error { return done(i.CancelProcessing(i.name(1))) },
	"pause":          func(i call) error { return done(i.PauseQueue(i.name(1))) },
	"unpause":        func(i call) error { return done(i.UnpauseQueue(i.name(1))) },
	"deletequeue":    func(i call) error { return done(i.DeleteQueue(i.name(1), i.name(2) == "force")) },

	"runall":     func(i call) error { return bulk(i, runners) },
	"archiveall": func(i call) error { return bulk(i, archivers) },
	"deleteall":  func(i call) error { return bulk(i, deleters) },
}

func showQueues(i call) error {
	queues, err := i.Queues()
	return emitAll(queues, err, func(name string) string { return name })
}

func showQueue(i call) error {
	info, err := i.GetQueueInfo(i.name(1))
	if err != nil {
		return err
	}
	return emit(newQueueRecord(info))
}

func showGroups(i call) error {
	groups, err := i.Groups(i.name(1))
	return emitAll(groups, err, newGroupRecord)
}

// showTasks lists the tasks of a queue in a state; aggregating takes a group as well.
func showTasks(i call) error {
	queue, state, group := i.name(1), i.name(2), i.name(3)
	list := listers(i.Inspector, group)
	if list[state] == nil {
		return fmt.Errorf("no state %q; states: %s", state, names(list))
	}
	tasks, err := list[state](queue, i.page...)
	return emitAll(tasks, err, newTaskRecord)
}

// listers maps a state to the call that lists a queue's tasks in that state.
func listers(i *asynq.Inspector, group string) map[string]func(string, ...asynq.ListOption) ([]*asynq.TaskInfo, error) {
	return map[string]func(string, ...asynq.ListOption) ([]*asynq.TaskInfo, error){
		"pending":   i.ListPendingTasks,
		"active":    i.ListActiveTasks,
		"scheduled": i.ListScheduledTasks,
		"retry":     i.ListRetryTasks,
		"archived":  i.ListArchivedTasks,
		"completed": i.ListCompletedTasks,
		"aggregating": func(queue string, page ...asynq.ListOption) ([]*asynq.TaskInfo, error) {
			return i.ListAggregatingTasks(queue, group, page...)
		},
	}
}

func showTask(i call) error {
	info, err := i.GetTaskInfo(i.name(1), i.name(2))
	if err != nil {
		return err
	}
	return emit(newTaskRecord(info))
}

func showHistory(i call) error {
	days, err := strconv.Atoi(i.name(2))
	if err != nil {
		return err
	}
	history, err := i.History(i.name(1), days)
	return emitAll(history, err, newDayRecord)
}

func showServers(i call) error {
	servers, err := i.Servers()
	return emitAll(servers, err, newServerRecord)
}

func showEntries(i call) error {
	entries, err := i.SchedulerEntries()
	return emitAll(entries, err, newEntryRecord)
}

func showEvents(i call) error {
	events, err := i.ListSchedulerEnqueueEvents(i.name(1), i.page...)
	return emitAll(events, err, newEventRecord)
}

// done reports an action that has no answer of its own.
func done(err error) error {
	if err != nil {
		return err
	}
	return emit(map[string]bool{"ok": true})
}
