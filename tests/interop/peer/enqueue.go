package main

import (
	"strconv"
	"time"

	"github.com/hibiken/asynq"
)

// enqueue enqueues tasks with asynq's client and prints the outcome of each.
func enqueue(args []string) error {
	c := newCommand("enqueue")
	kind := c.String("type", "", "task type")
	payload := payloadFlags(c)
	headers := pairs{}
	c.Var(headers, "header", "`key=value`; repeatable")
	count := c.Int("count", 1, "number of equal tasks")
	options := optionFlags(c)
	c.Parse(args)

	client := asynq.NewClient(c.redis)
	defer client.Close()
	for range *count {
		task := asynq.NewTaskWithHeaders(*kind, *payload, headers)
		info, err := client.Enqueue(task, *options...)
		if err != nil {
			return err
		}
		if err := emit(newTaskRecord(info)); err != nil {
			return err
		}
	}
	return nil
}

// optionFlags declares a flag for each enqueue option; only those given are in the result.
func optionFlags(c *command) *[]asynq.Option {
	options := &[]asynq.Option{}
	optionFlag(c, options, "queue", asText, asynq.Queue)
	optionFlag(c, options, "id", asText, asynq.TaskID)
	optionFlag(c, options, "group", asText, asynq.Group)
	optionFlag(c, options, "max-retry", strconv.Atoi, asynq.MaxRetry)
	optionFlag(c, options, "timeout", time.ParseDuration, asynq.Timeout)
	optionFlag(c, options, "unique", time.ParseDuration, asynq.Unique)
	optionFlag(c, options, "process-in", time.ParseDuration, asynq.ProcessIn)
	optionFlag(c, options, "retention", time.ParseDuration, asynq.Retention)
	optionFlag(c, options, "deadline", parseInstant, asynq.Deadline)
	optionFlag(c, options, "process-at", parseInstant, asynq.ProcessAt)
	return options
}

func optionFlag[T any](
	c *command, options *[]asynq.Option, name string,
	parse func(string) (T, error), option func(T) asynq.Option,
) {
	c.Func(name, "asynq's option of this name", func(text string) error {
		value, err := parse(text)
		*options = append(*options, option(value))
		return err
	})
}

func asText(text string) (string, error) { return text, nil }
