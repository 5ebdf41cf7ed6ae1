package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/hibiken/asynq"
	"github.com/redis/go-redis/v9"
)

const (
	never   = time.Hour
	soon    = time.Millisecond
	patient = 10 * time.Second
)

// workOrder has the tasks that a server takes, and the outcome of each by id.
type workOrder struct {
	Queue       string             `json:"queue"`
	Count       int                `json:"count"`
	Concurrency int                `json:"concurrency"`
	Outcomes    map[string]outcome `json:"outcomes"`
	Abort       bool               `json:"abort"`
}

// outcome is how a handler ends.
type outcome struct {
	Kind   string  `json:"kind"`
	Text   string  `json:"text"`
	Delay  float64 `json:"delay"`
	Result []byte  `json:"result"`
}

// scripted is the error of an outcome; its text is exactly that of the outcome.
type scripted struct{ outcome }

func (s scripted) Error() string { return s.Text }

func (s scripted) Unwrap() error {
	return map[string]error{"skip": asynq.SkipRetry, "revoke": asynq.RevokeTask}[s.Kind]
}

// otherDelay is the delay after an error that is not scripted.
const otherDelay = 5000 * time.Second

func retryDelay(_ int, err error, _ *asynq.Task) time.Duration {
	var s scripted
	if errors.As(err, &s) {
		return duration(s.Delay)
	}
	return otherDelay
}

func isFailure(err error) bool {
	var s scripted
	return !errors.As(err, &s) || s.Kind != "spare"
}

// shift is a running server, and what its handlers have seen.
type shift struct {
	order    workOrder
	client   redis.UniversalClient
	server   *asynq.Server
	plug     *plug
	released chan struct{}
	all      chan struct{}

	mu    sync.Mutex
	known map[string]bool
	seen  []taskEvent
	fails []failedTask
}

// report is the answer of a shift.
type report struct {
	Seen   []taskEvent  `json:"seen"`
	Failed []failedTask `json:"failed"`
}

type failedTask struct {
	ID   string `json:"id"`
	Text string `json:"text"`
}

// newShift makes a server for an operation; patience is how long it waits for handlers at the end.
func newShift(d *driver, o workOrder, patience time.Duration, change func(*asynq.Config)) *shift {
	s := &shift{
		order: o, plug: &plug{}, released: make(chan struct{}), all: make(chan struct{}),
		known: map[string]bool{},
	}
	s.client = d.where.MakeRedisClient().(redis.UniversalClient)
	s.client.AddHook(s.plug)
	config := asynq.Config{
		Queues: map[string]int{o.Queue: 1}, Concurrency: o.Concurrency,
		TaskCheckInterval: soon, DelayedTaskCheckInterval: never, JanitorInterval: never,
		RetryDelayFunc: retryDelay, IsFailure: isFailure, ErrorHandler: s,
		ShutdownTimeout: patience, Logger: silence{},
	}
	if change != nil {
		change(&config)
	}
	s.server = asynq.NewServerFromRedisClient(s.client, config)
	return s
}

// ProcessTask implements asynq.Handler.
func (s *shift) ProcessTask(ctx context.Context, task *asynq.Task) error {
	s.see(newTaskEvent(ctx, task))
	select {
	case <-s.released:
	case <-ctx.Done():
		return ctx.Err()
	}
	id, _ := asynq.GetTaskID(ctx)
	told := s.order.Outcomes[id]
	if told.Result != nil {
		if _, err := task.ResultWriter().Write(told.Result); err != nil {
			return err
		}
	}
	if told.Kind == "ok" {
		return nil
	}
	return scripted{told}
}

// HandleError implements asynq.ErrorHandler; it also sees the tasks that no handler does.
func (s *shift) HandleError(ctx context.Context, task *asynq.Task, err error) {
	id, _ := asynq.GetTaskID(ctx)
	s.mu.Lock()
	s.fails = append(s.fails, failedTask{id, err.Error()})
	s.mu.Unlock()
	s.note(id)
}

func (s *shift) see(event taskEvent) {
	s.mu.Lock()
	s.seen = append(s.seen, event)
	s.mu.Unlock()
	s.note(event.ID)
}

// note counts a task; after the last one the server stops taking tasks.
func (s *shift) note(id string) {
	s.mu.Lock()
	last := !s.known[id] && len(s.known)+1 == s.order.Count
	s.known[id] = true
	s.mu.Unlock()
	if last {
		s.server.Stop()
		close(s.all)
	}
}

func (s *shift) start() error {
	if err := s.server.Start(s); err != nil {
		return err
	}
	if s.order.Count == 0 {
		time.Sleep(5 * soon)
		return nil
	}
	select {
	case <-s.all:
		return nil
	case <-time.After(patient):
		return fmt.Errorf("saw %d tasks of %d", len(s.known), s.order.Count)
	}
}

// report returns what the handlers have seen so far.
func (s *shift) report() report {
	s.mu.Lock()
	defer s.mu.Unlock()
	return report{append([]taskEvent{}, s.seen...), append([]failedTask{}, s.fails...)}
}

// over shuts the server down.
func (s *shift) over() {
	s.server.Shutdown()
	s.client.Close()
}

// workThrough runs a server until it has seen the tasks of the operation.
func workThrough(d *driver, o workOrder) (any, error) {
	s := newShift(d, o, patient, nil)
	close(s.released)
	err := s.start()
	s.over()
	return s.report(), err
}

// begin starts a server whose handlers run until end.
func begin(d *driver, o workOrder) (any, error) {
	d.held = newShift(d, o, soon, nil)
	err := d.held.start()
	return d.held.report(), err
}

// end lets the handlers end with their outcomes; abort shuts the server down while they run.
func end(d *driver, o workOrder) (any, error) {
	s := d.held
	s.order.Outcomes = o.Outcomes
	var err error
	if !o.Abort {
		close(s.released)
		err = eventually(s.isIdle)
	}
	s.over()
	d.held = nil
	return s.report(), err
}

// isIdle tells whether nothing that the handlers saw is active.
func (s *shift) isIdle() (bool, error) {
	active, err := s.client.LRange(context.Background(), prefixOf(s.order.Queue)+"active", 0, -1).Result()
	s.mu.Lock()
	defer s.mu.Unlock()
	return !slices.ContainsFunc(active, func(id string) bool { return s.known[id] }), err
}

// crash takes tasks with a server that then loses Redis.
func crash(d *driver, o workOrder) (any, error) {
	s := newShift(d, o, soon, nil)
	err := s.start()
	s.plug.pulled.Store(true)
	s.over()
	return s.report(), err
}

// maintenance has the upkeep of a server.
type maintenance struct {
	Queue string `json:"queue"`
	What  string `json:"what"`
}

// maintain runs a server that takes no tasks until it has done one kind of upkeep.
func maintain(d *driver, o maintenance) (any, error) {
	return nil, resting(d, o.Queue, func() error {
		s := newShift(d, workOrder{Queue: o.Queue, Concurrency: 1}, patient, func(config *asynq.Config) {
			switch o.What {
			case "forward":
				config.DelayedTaskCheckInterval = soon
			case "expire":
				config.JanitorInterval = soon
			}
		})
		if err := s.server.Start(s); err != nil {
			return err
		}
		defer s.over()
		return eventually(func() (bool, error) { return d.isDone(o) })
	})
}

// isDone tells whether nothing is left for an upkeep.
func (d *driver) isDone(o maintenance) (bool, error) {
	margins := map[string]time.Duration{"lease": 30 * time.Second, "aggregation_sets": 0}
	keys := map[string][]string{
		"forward": {"scheduled", "retry"}, "expire": {"completed"}, "recover": {"lease"}, "reclaim": {"aggregation_sets"},
	}
	for _, key := range keys[o.What] {
		most := fmt.Sprint(time.Now().Add(-margins[key]).Unix())
		left, err := d.redis.ZCount(context.Background(), prefixOf(o.Queue)+key, "-inf", most).Result()
		if left > 0 || err != nil {
			return false, err
		}
	}
	return true, nil
}

// resting pauses a queue meanwhile by a command to Redis.
func resting(d *driver, queue string, do func() error) error {
	paused, ctx := prefixOf(queue)+"paused", context.Background()
	ours, err := d.redis.SetNX(ctx, paused, 1, 0).Result()
	if err != nil {
		return err
	}
	err = do()
	if ours {
		err = errors.Join(err, d.redis.Del(ctx, paused).Err())
	}
	return err
}

func prefixOf(queue string) string { return "asynq:{" + queue + "}:" }

// eventually waits until a condition holds.
func eventually(holds func() (bool, error)) error {
	for deadline := time.Now().Add(patient); time.Now().Before(deadline); time.Sleep(soon) {
		if done, err := holds(); done || err != nil {
			return err
		}
	}
	return errors.New("waited in vain")
}

// plug is a hook between a server and Redis; once pulled, it blocks every command on a queue.
type plug struct {
	pulled atomic.Bool
}

func (p *plug) DialHook(next redis.DialHook) redis.DialHook { return next }

func (p *plug) ProcessPipelineHook(next redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return next
}

func (p *plug) ProcessHook(next redis.ProcessHook) redis.ProcessHook {
	return func(ctx context.Context, command redis.Cmder) error {
		if p.pulled.Load() && aboutQueue(command) {
			return errors.New("the plug is pulled")
		}
		return next(ctx, command)
	}
}

func aboutQueue(command redis.Cmder) bool {
	for _, word := range command.Args() {
		if text, ok := word.(string); ok && strings.HasPrefix(text, "asynq:{") {
			return true
		}
	}
	return false
}
