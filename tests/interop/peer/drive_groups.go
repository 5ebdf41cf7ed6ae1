package main

import (
	"context"
	"fmt"
	"time"

	"github.com/hibiken/asynq"
)

// groupOrder says how a server is to combine the groups of a queue.
type groupOrder struct {
	Queue   string    `json:"queue"`
	MaxSize int       `json:"max_size"`
	Task    taskOrder `json:"task"`
	Count   int       `json:"count"`
}

// combined is one call of the user's function.
type combined struct {
	Group    string   `json:"group"`
	Payloads []string `json:"payloads"`
}

// aggregate runs a server that takes no tasks, until it has combined this number of groups.
func aggregate(d *driver, o groupOrder) (any, error) {
	calls := []combined{}
	err := resting(d, o.Queue, func() error {
		s := newShift(d, workOrder{Queue: o.Queue, Concurrency: 1}, patient, func(config *asynq.Config) {
			config.GroupGracePeriod = time.Second
			config.GroupMaxSize = o.MaxSize
			config.GroupAggregator = asynq.GroupAggregatorFunc(func(group string, tasks []*asynq.Task) *asynq.Task {
				call := combined{Group: group}
				for _, task := range tasks {
					call.Payloads = append(call.Payloads, string(task.Payload()))
				}
				calls = append(calls, call)
				return asynq.NewTaskWithHeaders(o.Task.Type, o.Task.Payload, o.Task.Headers, o.Task.Own.list()...)
			})
		})
		if err := s.server.Start(s); err != nil {
			return err
		}
		defer s.over()
		return eventually(func() (bool, error) { return d.isCombined(o) })
	})
	return calls, err
}

// isCombined tells whether no group of a queue is left, neither waiting nor staged.
func (d *driver) isCombined(o groupOrder) (bool, error) {
	for _, pattern := range []string{"g:*", "aggregation_sets"} {
		keys, err := d.redis.Keys(context.Background(), fmt.Sprint(prefixOf(o.Queue), pattern)).Result()
		if len(keys) > 0 || err != nil {
			return false, err
		}
	}
	return true, nil
}
