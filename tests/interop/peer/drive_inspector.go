package main

import (
	"fmt"

	"github.com/hibiken/asynq"
)

// target has the arguments of the inspector; each operation needs some of them.
type target struct {
	Queue   string `json:"queue"`
	ID      string `json:"id"`
	State   string `json:"state"`
	Group   string `json:"group"`
	Payload []byte `json:"payload"`
	Page    int    `json:"page"`
	Size    int    `json:"size"`
	Days    int    `json:"days"`
	Force   bool   `json:"force"`
}

func (o target) page() []asynq.ListOption {
	return []asynq.ListOption{asynq.Page(o.Page), asynq.PageSize(o.Size)}
}

// recorded turns what asynq returns into records, or passes on the error that came with it.
func recorded[T, R any](values []T, err error, record func(T) R) (any, error) {
	records := []R{}
	for _, value := range values {
		records = append(records, record(value))
	}
	return records, err
}

func askQueues(d *driver, _ target) (any, error) {
	queues, err := d.inspector.Queues()
	return recorded(queues, err, func(name string) string { return name })
}

func askQueue(d *driver, o target) (any, error) {
	info, err := d.inspector.GetQueueInfo(o.Queue)
	if err != nil {
		return nil, err
	}
	return newQueueRecord(info), nil
}

func askHistory(d *driver, o target) (any, error) {
	history, err := d.inspector.History(o.Queue, o.Days)
	return recorded(history, err, newDayRecord)
}

func askGroups(d *driver, o target) (any, error) {
	groups, err := d.inspector.Groups(o.Queue)
	return recorded(groups, err, newGroupRecord)
}

func askTask(d *driver, o target) (any, error) {
	info, err := d.inspector.GetTaskInfo(o.Queue, o.ID)
	if err != nil {
		return nil, err
	}
	return newTaskRecord(info), nil
}

func askTasks(d *driver, o target) (any, error) {
	list := listers(d.inspector, o.Group)[o.State]
	if list == nil {
		return nil, fmt.Errorf("no state %q", o.State)
	}
	tasks, err := list(o.Queue, o.page()...)
	return recorded(tasks, err, newTaskRecord)
}

func askServers(d *driver, _ target) (any, error) {
	servers, err := d.inspector.Servers()
	return recorded(servers, err, newServerRecord)
}

func updatePayload(d *driver, o target) (any, error) {
	return nil, d.inspector.UpdateTaskPayload(o.Queue, o.ID, o.Payload)
}

func moveAll(d *driver, o target, calls func(*asynq.Inspector, string) bulkCalls) (any, error) {
	move := calls(d.inspector, o.Group)[o.State]
	if move == nil {
		return nil, fmt.Errorf("no state %q for this", o.State)
	}
	return move(o.Queue)
}
