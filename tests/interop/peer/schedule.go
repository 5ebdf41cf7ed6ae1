package main

import (
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/hibiken/asynq"
)

// schedule runs a scheduler with one entry and writes a line for each task it
// enqueued, until SIGTERM or SIGINT.
func schedule(args []string) error {
	c := newCommand("schedule")
	spec := c.String("spec", "@every 1s", "cron text")
	kind := c.String("type", "", "task type")
	payload := payloadFlags(c)
	heartbeat := c.Duration("heartbeat", time.Second, "how often entries are published")
	options := optionFlags(c)
	c.Parse(args)

	stop := make(chan os.Signal, 1)
	signal.Notify(stop, syscall.SIGTERM, syscall.SIGINT)
	scheduler := asynq.NewScheduler(c.redis, &asynq.SchedulerOpts{
		HeartbeatInterval: *heartbeat,
		LogLevel:          asynq.WarnLevel,
		PostEnqueueFunc:   reportEnqueue,
	})
	entry, err := scheduler.Register(*spec, asynq.NewTask(*kind, *payload), *options...)
	if err != nil {
		return err
	}
	if err := scheduler.Start(); err != nil {
		return err
	}
	if err := emit(map[string]any{"event": "ready", "entry": entry}); err != nil {
		return err
	}
	<-stop
	scheduler.Shutdown()
	return emit(map[string]any{"event": "stopped"})
}

func reportEnqueue(info *asynq.TaskInfo, err error) {
	if err != nil {
		emit(map[string]any{"event": "refused", "error": err.Error()})
		return
	}
	emit(map[string]any{"event": "enqueued", "task": newTaskRecord(info)})
}
