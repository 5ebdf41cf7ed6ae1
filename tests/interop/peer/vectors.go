package main

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"github.com/hibiken/asynq"
	"github.com/redis/go-redis/v9"
)

// vectors prints the golden files: messages, unique-keys, options, cron or
// client-messages. unique-keys and client-messages write to Redis.
func vectors(args []string) error {
	c := newCommand("vectors")
	c.Parse(args)
	kinds := map[string]func(asynq.RedisConnOpt) error{
		"messages":        func(asynq.RedisConnOpt) error { return messageVectors() },
		"options":         func(asynq.RedisConnOpt) error { return optionVectors() },
		"cron":            func(asynq.RedisConnOpt) error { return cronVectors() },
		"unique-keys":     uniqueKeyVectors,
		"client-messages": clientMessageVectors,
	}
	write := kinds[c.Arg(0)]
	if write == nil {
		return fmt.Errorf("no vectors %q; there are: %s", c.Arg(0), names(kinds))
	}
	return write(c.redis)
}

// messageVectors encodes known fields with asynq's own message types.
func messageVectors() error {
	for _, vector := range []struct{ name, message, fields string }{
		{"empty", "TaskMessage", `{}`},
		{"defaults of the client and two headers", "TaskMessage", `{"type":"t","payload":"cA==","id":"i","queue":"q","retry":25,"timeout":"1800","headers":{"a":"b","e":""}}`},
		{"negative numbers", "TaskMessage", `{"type":"t","retry":-1,"deadline":"-5"}`},
		{"all fields", "TaskMessage", `{"type":"email:send","payload":"eyJhIjoxfQ==","id":"11111111-2222-3333-4444-555555555555","queue":"default","retry":25,"retried":2,"error_msg":"boom","timeout":"1800","deadline":"1700003600","unique_key":"asynq:{default}:unique:email:send:0","last_failed_at":"1700000000","retention":"3600","completed_at":"1700000001","group_key":"g","headers":{"k":"v"}}`},
		{"the largest numbers", "TaskMessage", `{"type":"t","retry":2147483647,"retried":2147483647,"timeout":"9223372036854775807","deadline":"9223372036854775807"}`},
		{"the smallest numbers", "TaskMessage", `{"type":"t","retry":-2147483648,"deadline":"-9223372036854775808"}`},
		{"text beyond ASCII", "TaskMessage", `{"type":"größe:☃","id":"𝄞","queue":"очередь","error_msg":"a\u0000b","headers":{"ключ":"値"}}`},
		{"every byte of a payload", "TaskMessage", `{"type":"t","payload":"AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8gISIjJCUmJygpKissLS4vMDEyMzQ1Njc4OTo7PD0+P0BBQkNERUZHSElKS0xNTk9QUVJTVFVWV1hZWltcXV5fYGFiY2RlZmdoaWprbG1ub3BxcnN0dXZ3eHl6e3x9fn+AgYKDhIWGh4iJiouMjY6PkJGSk5SVlpeYmZqbnJ2en6ChoqOkpaanqKmqq6ytrq+wsbKztLW2t7i5uru8vb6/wMHCw8TFxsfIycrLzM3Oz9DR0tPU1dbX2Nna29zd3t/g4eLj5OXm5+jp6uvs7e7v8PHy8/T19vf4+fr7/P3+/w=="}`},
		{"a header without key and value", "TaskMessage", `{"type":"t","headers":{"":""}}`},
		{"one busy server", "ServerInfo", `{"host":"h","pid":1,"server_id":"s","concurrency":2,"queues":{"q":1},"status":"active","start_time":"2023-11-14T22:13:20.000000005Z","active_worker_count":1}`},
		{"a strict server with two queues", "ServerInfo", `{"host":"h","pid":4194304,"server_id":"11111111-2222-3333-4444-555555555555","concurrency":100,"queues":{"critical":6,"low":1},"strict_priority":true,"status":"stopped","start_time":"2023-11-14T22:13:20Z"}`},
		{"one worker", "WorkerInfo", `{"host":"h","pid":1,"server_id":"s","task_id":"id","task_type":"t","task_payload":"cA==","queue":"q","start_time":"2023-11-14T22:13:20.000000005Z","deadline":"2023-11-14T22:15:00Z"}`},
		{"an entry that never ran", "SchedulerEntry", `{"id":"i","spec":"@every 1s","task_type":"t","next_enqueue_time":"0001-01-01T00:00:00Z","prev_enqueue_time":"0001-01-01T00:00:00Z"}`},
		{"an entry with options", "SchedulerEntry", `{"id":"i","spec":"*/5 * * * *","task_type":"t","task_payload":"cA==","enqueue_options":["Queue(\"low\")","MaxRetry(3)"],"next_enqueue_time":"2023-11-14T22:15:00Z","prev_enqueue_time":"2023-11-14T22:10:00Z"}`},
		{"an event", "SchedulerEnqueueEvent", `{"task_id":"tid","enqueue_time":"2023-11-14T22:13:20.000000500Z"}`},
	} {
		m := namedMessage{Name: vector.name, Message: vector.message, Fields: json.RawMessage(vector.fields)}
		var err error
		if m.Hex, err = m.encode(); err != nil {
			return err
		}
		if err := emit(m); err != nil {
			return err
		}
	}
	return nil
}

// optionVectors prints the texts of options in a scheduler entry.
func optionVectors() error {
	moment := time.Date(2026, time.March, 4, 5, 6, 7, 0, time.UTC)
	for _, option := range []asynq.Option{
		asynq.MaxRetry(3),
		asynq.Queue("low"),
		asynq.Queue("a \"b\"\\c\n\tü☃"),
		asynq.TaskID("x"),
		asynq.Group("g:1"),
		asynq.Timeout(0),
		asynq.Timeout(30 * time.Minute),
		asynq.Timeout(5 * time.Microsecond),
		asynq.Timeout(1500 * time.Microsecond),
		asynq.Timeout(250 * time.Millisecond),
		asynq.Timeout(-90 * time.Second),
		asynq.Unique(time.Hour + 2*time.Minute + 3*time.Second),
		asynq.Unique(100*time.Hour + 2*time.Millisecond),
		asynq.ProcessIn(36 * time.Hour),
		asynq.Retention(24 * time.Hour),
		asynq.Deadline(moment),
		asynq.ProcessAt(moment.AddDate(0, 7, 20)),
	} {
		name, _, _ := strings.Cut(option.String(), "(")
		record := map[string]any{"option": name, "value": optionValue(option.Value()), "text": option.String()}
		if err := emit(record); err != nil {
			return err
		}
	}
	return nil
}

// optionValue makes a value that JSON can show: durations are seconds.
func optionValue(value any) any {
	if span, ok := value.(time.Duration); ok {
		return span.Seconds()
	}
	return value
}

// uniqueKeyVectors enqueues unique tasks and prints the lock each one holds.
func uniqueKeyVectors(where asynq.RedisConnOpt) error {
	client := where.MakeRedisClient().(redis.UniversalClient)
	defer client.Close()
	for _, task := range []struct {
		queue, kind string
		payload     []byte
	}{
		{"q", "t", nil},
		{"q", "t", []byte{}},
		{"q", "t", []byte("abc")},
		{"default", "email:send", []byte(`{"a":1}`)},
		{"with space", "größe:☃", []byte{0, 255}},
	} {
		info, err := asynq.NewClientFromRedisClient(client).Enqueue(
			asynq.NewTask(task.kind, task.payload), asynq.Queue(task.queue), asynq.Unique(time.Minute))
		if err != nil {
			return err
		}
		key, err := client.HGet(context.Background(), taskKey(info), "unique_key").Result()
		if err != nil {
			return err
		}
		record := map[string]any{"queue": task.queue, "type": task.kind, "payload": task.payload, "key": key}
		if err := emit(record); err != nil {
			return err
		}
	}
	return nil
}

// clientMessageVectors prints the bytes that asynq's client writes to Redis.
func clientMessageVectors(where asynq.RedisConnOpt) error {
	client := where.MakeRedisClient().(redis.UniversalClient)
	defer client.Close()
	task := asynq.NewTaskWithHeaders("t", []byte("p"), map[string]string{"a": "b"})
	info, err := asynq.NewClientFromRedisClient(client).Enqueue(task, asynq.TaskID("i"), asynq.Queue("q"))
	if err != nil {
		return err
	}
	data, err := client.HGet(context.Background(), taskKey(info), "msg").Result()
	if err != nil {
		return err
	}
	return emit(map[string]string{"message": "TaskMessage", "hex": fmt.Sprintf("%x", data)})
}

func taskKey(info *asynq.TaskInfo) string {
	return fmt.Sprintf("asynq:{%s}:t:%s", info.Queue, info.ID)
}
