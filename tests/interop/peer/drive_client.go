package main

import (
	"time"

	"github.com/hibiken/asynq"
)

// taskOrder is a task, with options of its own and options of the call.
type taskOrder struct {
	Type    string            `json:"type"`
	Payload []byte            `json:"payload"`
	Headers map[string]string `json:"headers"`
	Own     optionsOrder      `json:"own"`
	Options optionsOrder      `json:"options"`
}

// optionsOrder has the options of asynq; null is "not given". Durations are seconds,
// instants Unix seconds.
type optionsOrder struct {
	Queue     *string  `json:"queue"`
	TaskID    *string  `json:"task_id"`
	MaxRetry  *int     `json:"max_retry"`
	Timeout   *float64 `json:"timeout"`
	Deadline  *float64 `json:"deadline"`
	Unique    *float64 `json:"unique"`
	ProcessAt *float64 `json:"process_at"`
	ProcessIn *float64 `json:"process_in"`
	Retention *float64 `json:"retention"`
	Group     *string  `json:"group"`
}

func (o optionsOrder) list() []asynq.Option {
	var options []asynq.Option
	options = given(options, o.Queue, asynq.Queue)
	options = given(options, o.TaskID, asynq.TaskID)
	options = given(options, o.MaxRetry, asynq.MaxRetry)
	options = given(options, o.Group, asynq.Group)
	options = given(options, o.Timeout, lasting(asynq.Timeout))
	options = given(options, o.Unique, lasting(asynq.Unique))
	options = given(options, o.ProcessIn, lasting(asynq.ProcessIn))
	options = given(options, o.Retention, lasting(asynq.Retention))
	options = given(options, o.Deadline, instantly(asynq.Deadline))
	options = given(options, o.ProcessAt, instantly(asynq.ProcessAt))
	return options
}

func given[T any](options []asynq.Option, value *T, option func(T) asynq.Option) []asynq.Option {
	if value == nil {
		return options
	}
	return append(options, option(*value))
}

func lasting(option func(time.Duration) asynq.Option) func(float64) asynq.Option {
	return func(seconds float64) asynq.Option { return option(duration(seconds)) }
}

func instantly(option func(time.Time) asynq.Option) func(float64) asynq.Option {
	return func(seconds float64) asynq.Option { return option(time.Unix(0, 0).Add(duration(seconds))) }
}

func duration(seconds float64) time.Duration {
	return time.Duration(seconds * float64(time.Second))
}

func enqueueOne(d *driver, o taskOrder) (any, error) {
	task := asynq.NewTaskWithHeaders(o.Type, o.Payload, o.Headers, o.Own.list()...)
	info, err := d.client.Enqueue(task, o.Options.list()...)
	if err != nil {
		return nil, err
	}
	return newTaskRecord(info), nil
}

// enqueueMany enqueues tasks one after another: 0.26.0 has no call for a batch.
func enqueueMany(d *driver, o struct {
	Tasks []taskOrder `json:"tasks"`
}) (any, error) {
	answers := []answer{}
	for _, task := range o.Tasks {
		answers = append(answers, answered(enqueueOne(d, task)))
	}
	return answers, nil
}
