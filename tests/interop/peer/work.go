package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"

	"github.com/hibiken/asynq"
	"github.com/redis/go-redis/v9"
)

// work runs a server and writes a line when a task starts and when it is done,
// until SIGTERM or SIGINT.
func work(args []string) error {
	c := newCommand("work")
	script := scriptFlags(c)
	config := configFlags(c)
	c.Parse(args)
	if err := script.guard.open(c.redis); err != nil {
		return err
	}

	server := asynq.NewServer(c.redis, *config)
	stop := make(chan os.Signal, 1)
	signal.Notify(stop, syscall.SIGTERM, syscall.SIGINT)
	listeners := countListeners(c.redis)
	before, err := listeners()
	if err != nil {
		return err
	}
	if err := server.Start(script); err != nil {
		return err
	}
	if err := awaitMore(listeners, before); err != nil {
		return err
	}
	if err := emit(map[string]any{"event": "ready", "pid": os.Getpid()}); err != nil {
		return err
	}
	<-stop
	server.Shutdown()
	return emit(map[string]any{"event": "stopped"})
}

// configFlags declares the server settings that tests need, with short
// intervals as defaults.
func configFlags(c *command) *asynq.Config {
	config := &asynq.Config{
		Queues:            priorities{},
		TaskCheckInterval: 100 * time.Millisecond,
		LogLevel:          asynq.WarnLevel,
	}
	c.Var(priorities(config.Queues), "queues", "`critical=6,default=3`")
	c.IntVar(&config.Concurrency, "concurrency", 10, "most tasks at a time")
	c.BoolVar(&config.StrictPriority, "strict", false, "strict priority")
	c.DurationVar(&config.DelayedTaskCheckInterval, "delayed-interval", time.Second, "how often due tasks are forwarded")
	c.DurationVar(&config.ShutdownTimeout, "shutdown-timeout", 8*time.Second, "patience with running tasks")
	c.DurationVar(&config.JanitorInterval, "janitor-interval", time.Second, "how often expired tasks are deleted")
	c.DurationVar(&config.GroupGracePeriod, "group-grace", time.Second, "quiet time that closes a group")
	c.IntVar(&config.GroupMaxSize, "group-max-size", 0, "size that closes a group")
	c.Func("retry-delay", "fixed `duration` before a retry", func(text string) error {
		delay, err := time.ParseDuration(text)
		config.RetryDelayFunc = func(int, error, *asynq.Task) time.Duration { return delay }
		return err
	})
	aggregating := c.Duration("aggregate-sleep", 0, "how long it takes to combine a group")
	c.Func("aggregate", "`type` of the task that groups become; payloads are joined by commas", func(kind string) error {
		config.GroupAggregator = asynq.GroupAggregatorFunc(func(group string, tasks []*asynq.Task) *asynq.Task {
			time.Sleep(*aggregating)
			return asynq.NewTask(kind, joinPayloads(tasks))
		})
		return nil
	})
	return config
}

func joinPayloads(tasks []*asynq.Task) []byte {
	var parts []string
	for _, task := range tasks {
		parts = append(parts, string(task.Payload()))
	}
	return []byte(strings.Join(parts, ","))
}

// handling is a handler that behaves as its flags say.
type handling struct {
	sleep     time.Duration
	result    string
	failures  pairs
	skipRetry words
	revoke    words
	guard     *guard
}

func scriptFlags(c *command) *handling {
	h := &handling{failures: pairs{}, guard: semaphoreFlag(c)}
	c.DurationVar(&h.sleep, "sleep", 0, "how long a task runs; ends early when cancelled")
	c.StringVar(&h.result, "result", "", "`text` to write as the result")
	c.Var(h.failures, "fail", "`prefix=text`: types with the prefix fail with the text; repeatable")
	c.Var(&h.skipRetry, "skip-retry", "types with the `prefix` are archived; repeatable")
	c.Var(&h.revoke, "revoke", "types with the `prefix` are dropped; repeatable")
	return h
}

// ProcessTask implements asynq.Handler.
func (h *handling) ProcessTask(ctx context.Context, task *asynq.Task) error {
	event := newTaskEvent(ctx, task)
	outcome := h.guard.hold(ctx, func() error {
		if err := emit(event.at("start", nil)); err != nil {
			return err
		}
		return h.run(ctx, task)
	})
	if err := emit(event.at("done", outcome)); err != nil {
		return err
	}
	return outcome
}

func (h *handling) run(ctx context.Context, task *asynq.Task) error {
	select {
	case <-time.After(h.sleep):
	case <-ctx.Done():
		return ctx.Err()
	}
	if h.result != "" {
		if _, err := task.ResultWriter().Write([]byte(h.result)); err != nil {
			return err
		}
	}
	return h.verdict(task.Type())
}

func (h *handling) verdict(kind string) error {
	for prefix, text := range h.failures {
		if strings.HasPrefix(kind, prefix) {
			return errors.New(text)
		}
	}
	for _, prefix := range h.skipRetry {
		if strings.HasPrefix(kind, prefix) {
			return fmt.Errorf("told to skip: %w", asynq.SkipRetry)
		}
	}
	for _, prefix := range h.revoke {
		if strings.HasPrefix(kind, prefix) {
			return asynq.RevokeTask
		}
	}
	return nil
}

// taskEvent is what a handler sees of its task.
type taskEvent struct {
	Event    string            `json:"event"`
	ID       string            `json:"id"`
	Type     string            `json:"type"`
	Payload  []byte            `json:"payload"`
	Headers  map[string]string `json:"headers"`
	Queue    string            `json:"queue"`
	Retried  int               `json:"retried"`
	MaxRetry int               `json:"max_retry"`
	Deadline *time.Time        `json:"deadline"`
	Time     time.Time         `json:"time"`
	Error    *string           `json:"error"`
}

func newTaskEvent(ctx context.Context, task *asynq.Task) taskEvent {
	id, _ := asynq.GetTaskID(ctx)
	queue, _ := asynq.GetQueueName(ctx)
	retried, _ := asynq.GetRetryCount(ctx)
	limit, _ := asynq.GetMaxRetry(ctx)
	deadline, _ := ctx.Deadline()
	return taskEvent{
		ID: id, Type: task.Type(), Payload: task.Payload(), Headers: filled(task.Headers()),
		Queue: queue, Retried: retried, MaxRetry: limit, Deadline: instant(deadline),
	}
}

func (e taskEvent) at(event string, err error) taskEvent {
	e.Event, e.Time = event, time.Now().UTC()
	if err != nil {
		e.Error = text(err.Error())
	}
	return e
}

// countListeners returns a function that counts the subscribers of asynq's
// cancel channel.
func countListeners(where asynq.RedisConnOpt) func() (int64, error) {
	const channel = "asynq:cancel"
	client := where.MakeRedisClient().(redis.UniversalClient)
	return func() (int64, error) {
		counts, err := client.PubSubNumSub(context.Background(), channel).Result()
		return counts[channel], err
	}
}

// awaitMore waits until count returns more than before, so that a cancelation
// sent after "ready" is received.
func awaitMore(count func() (int64, error), before int64) error {
	for range 500 {
		now, err := count()
		if err != nil || now > before {
			return err
		}
		time.Sleep(5 * time.Millisecond)
	}
	return errors.New("the server did not subscribe to the cancel channel")
}
