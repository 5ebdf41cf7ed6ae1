package main

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"os"

	"github.com/hibiken/asynq"
	"github.com/redis/go-redis/v9"
)

// driver carries out operations one by one, all on one connection pool.
type driver struct {
	where     asynq.RedisConnOpt
	redis     redis.UniversalClient
	client    *asynq.Client
	inspector *asynq.Inspector
	held      *shift
}

// orders maps the name of an operation ("do") to its function.
var orders = map[string]func(*driver, []byte) (any, error){
	"open":         order(reopen),
	"enqueue":      order(enqueueOne),
	"enqueue_many": order(enqueueMany),
	"work":         order(workThrough),
	"begin":        order(begin),
	"end":          order(end),
	"crash":        order(crash),
	"maintain":     order(maintain),
	"aggregate":    order(aggregate),

	"queues":         order(askQueues),
	"queue_info":     order(askQueue),
	"history":        order(askHistory),
	"groups":         order(askGroups),
	"task_info":      order(askTask),
	"list_tasks":     order(askTasks),
	"servers":        order(askServers),
	"pause":          order(func(d *driver, o target) (any, error) { return nil, d.inspector.PauseQueue(o.Queue) }),
	"unpause":        order(func(d *driver, o target) (any, error) { return nil, d.inspector.UnpauseQueue(o.Queue) }),
	"delete_queue":   order(func(d *driver, o target) (any, error) { return nil, d.inspector.DeleteQueue(o.Queue, o.Force) }),
	"run_task":       order(func(d *driver, o target) (any, error) { return nil, d.inspector.RunTask(o.Queue, o.ID) }),
	"archive_task":   order(func(d *driver, o target) (any, error) { return nil, d.inspector.ArchiveTask(o.Queue, o.ID) }),
	"delete_task":    order(func(d *driver, o target) (any, error) { return nil, d.inspector.DeleteTask(o.Queue, o.ID) }),
	"cancel":         order(func(d *driver, o target) (any, error) { return nil, d.inspector.CancelProcessing(o.ID) }),
	"update_payload": order(updatePayload),
	"run_all":        order(func(d *driver, o target) (any, error) { return moveAll(d, o, runners) }),
	"archive_all":    order(func(d *driver, o target) (any, error) { return moveAll(d, o, archivers) }),
	"delete_all":     order(func(d *driver, o target) (any, error) { return moveAll(d, o, deleters) }),
}

// drive reads one JSON operation per line from stdin and answers each with one line on stdout:
// its value, or the class and text of its error.
func drive(args []string) error {
	c := newCommand("drive")
	c.Parse(args)
	d := &driver{where: c.redis, redis: c.redis.MakeRedisClient().(redis.UniversalClient)}
	lines := bufio.NewScanner(os.Stdin)
	lines.Buffer(nil, 1<<24)
	for lines.Scan() {
		if err := emit(d.obey(lines.Bytes())); err != nil {
			return err
		}
	}
	return lines.Err()
}

// answer is the result of an operation.
type answer struct {
	Value any      `json:"value"`
	Error *refusal `json:"error"`
}

type refusal struct {
	Class string `json:"class"`
	Text  string `json:"text"`
}

func answered(value any, err error) answer {
	if err != nil {
		return answer{Error: &refusal{classOf(err), err.Error()}}
	}
	return answer{Value: value}
}

func (d *driver) obey(line []byte) answer {
	var what struct {
		Do string `json:"do"`
	}
	if err := json.Unmarshal(line, &what); err != nil {
		return answered(nil, err)
	}
	obey := orders[what.Do]
	if obey == nil {
		return answered(nil, fmt.Errorf("no order %q; orders: %s", what.Do, names(orders)))
	}
	return answered(obey(d, line))
}

// order decodes the fields that an operation needs from its line.
func order[T any](obey func(*driver, T) (any, error)) func(*driver, []byte) (any, error) {
	return func(d *driver, line []byte) (any, error) {
		var fields T
		if err := json.Unmarshal(line, &fields); err != nil {
			return nil, err
		}
		return obey(d, fields)
	}
}

// classOf returns the name of the sentinel that an error wraps.
func classOf(err error) string {
	classes := map[string]error{
		"duplicate":       asynq.ErrDuplicateTask,
		"conflict":        asynq.ErrTaskIDConflict,
		"queue not found": asynq.ErrQueueNotFound,
		"queue not empty": asynq.ErrQueueNotEmpty,
		"task not found":  asynq.ErrTaskNotFound,
	}
	for class, sentinel := range classes {
		if errors.Is(err, sentinel) {
			return class
		}
	}
	return "other"
}

// reopen forgets what a client and an inspector remember, such as the queues they have registered.
func reopen(d *driver, _ struct{}) (any, error) {
	d.client = asynq.NewClientFromRedisClient(d.redis)
	d.inspector = asynq.NewInspectorFromRedisClient(d.redis)
	return nil, nil
}
