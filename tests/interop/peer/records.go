package main

import (
	"time"

	"github.com/hibiken/asynq"
)

// The JSON names are those of pyasynq's read models, so that Python can load a
// line into the same class: bytes are base64, durations seconds, instants
// RFC 3339, and missing values null.

type taskRecord struct {
	ID            string            `json:"id"`
	Queue         string            `json:"queue"`
	Type          string            `json:"type"`
	Payload       []byte            `json:"payload"`
	Headers       map[string]string `json:"headers"`
	State         string            `json:"state"`
	MaxRetry      int               `json:"max_retry"`
	Retried       int               `json:"retried"`
	LastError     *string           `json:"last_error"`
	LastFailedAt  *time.Time        `json:"last_failed_at"`
	Timeout       *float64          `json:"timeout"`
	Deadline      *time.Time        `json:"deadline"`
	Group         *string           `json:"group"`
	NextProcessAt *time.Time        `json:"next_process_at"`
	IsOrphaned    bool              `json:"is_orphaned"`
	Retention     *float64          `json:"retention"`
	CompletedAt   *time.Time        `json:"completed_at"`
	Result        []byte            `json:"result"`
}

func newTaskRecord(info *asynq.TaskInfo) taskRecord {
	return taskRecord{
		ID: info.ID, Queue: info.Queue, Type: info.Type,
		Payload: append([]byte{}, info.Payload...), Headers: filled(info.Headers), State: info.State.String(),
		MaxRetry: info.MaxRetry, Retried: info.Retried,
		LastError: text(info.LastErr), LastFailedAt: instant(info.LastFailedAt),
		Timeout: seconds(info.Timeout), Deadline: instant(info.Deadline),
		Group: text(info.Group), NextProcessAt: instant(info.NextProcessAt),
		IsOrphaned: info.IsOrphaned, Retention: seconds(info.Retention),
		CompletedAt: instant(info.CompletedAt), Result: info.Result,
	}
}

type queueRecord struct {
	Queue          string    `json:"queue"`
	Timestamp      time.Time `json:"timestamp"`
	Size           int       `json:"size"`
	Pending        int       `json:"pending"`
	Active         int       `json:"active"`
	Scheduled      int       `json:"scheduled"`
	Retry          int       `json:"retry"`
	Archived       int       `json:"archived"`
	Completed      int       `json:"completed"`
	Aggregating    int       `json:"aggregating"`
	Groups         int       `json:"groups"`
	Processed      int       `json:"processed"`
	Failed         int       `json:"failed"`
	ProcessedTotal int       `json:"processed_total"`
	FailedTotal    int       `json:"failed_total"`
	Paused         bool      `json:"paused"`
	Latency        float64   `json:"latency"`
	MemoryUsage    int64     `json:"memory_usage"`
}

func newQueueRecord(info *asynq.QueueInfo) queueRecord {
	return queueRecord{
		Queue: info.Queue, Timestamp: info.Timestamp.UTC(), Size: info.Size,
		Pending: info.Pending, Active: info.Active, Scheduled: info.Scheduled,
		Retry: info.Retry, Archived: info.Archived, Completed: info.Completed,
		Aggregating: info.Aggregating, Groups: info.Groups,
		Processed: info.Processed, Failed: info.Failed,
		ProcessedTotal: info.ProcessedTotal, FailedTotal: info.FailedTotal,
		Paused: info.Paused, Latency: info.Latency.Seconds(), MemoryUsage: info.MemoryUsage,
	}
}

type dayRecord struct {
	Queue     string `json:"queue"`
	Date      string `json:"date"`
	Processed int    `json:"processed"`
	Failed    int    `json:"failed"`
}

func newDayRecord(day *asynq.DailyStats) dayRecord {
	return dayRecord{day.Queue, day.Date.UTC().Format(time.DateOnly), day.Processed, day.Failed}
}

type groupRecord struct {
	Group string `json:"group"`
	Size  int    `json:"size"`
}

func newGroupRecord(group *asynq.GroupInfo) groupRecord {
	return groupRecord{group.Group, group.Size}
}

type serverRecord struct {
	ID             string         `json:"id"`
	Host           string         `json:"host"`
	PID            int            `json:"pid"`
	Concurrency    int            `json:"concurrency"`
	Queues         map[string]int `json:"queues"`
	StrictPriority bool           `json:"strict_priority"`
	Started        *time.Time     `json:"started"`
	Status         string         `json:"status"`
	ActiveWorkers  []workerRecord `json:"active_workers"`
}

type workerRecord struct {
	TaskID      string     `json:"task_id"`
	TaskType    string     `json:"task_type"`
	TaskPayload []byte     `json:"task_payload"`
	Queue       string     `json:"queue"`
	Started     *time.Time `json:"started"`
	Deadline    *time.Time `json:"deadline"`
}

func newServerRecord(server *asynq.ServerInfo) serverRecord {
	record := serverRecord{
		ID: server.ID, Host: server.Host, PID: server.PID,
		Concurrency: server.Concurrency, Queues: server.Queues,
		StrictPriority: server.StrictPriority, Started: instant(server.Started),
		Status: server.Status, ActiveWorkers: []workerRecord{},
	}
	for _, w := range server.ActiveWorkers {
		record.ActiveWorkers = append(record.ActiveWorkers, workerRecord{
			w.TaskID, w.TaskType, w.TaskPayload, w.Queue, instant(w.Started), instant(w.Deadline),
		})
	}
	return record
}

type entryRecord struct {
	ID      string     `json:"id"`
	Spec    string     `json:"spec"`
	Type    string     `json:"type"`
	Payload []byte     `json:"payload"`
	Options []string   `json:"options"`
	Next    *time.Time `json:"next"`
	Prev    *time.Time `json:"prev"`
}

func newEntryRecord(entry *asynq.SchedulerEntry) entryRecord {
	options := []string{}
	for _, option := range entry.Opts {
		options = append(options, option.String())
	}
	return entryRecord{
		entry.ID, entry.Spec, entry.Task.Type(), entry.Task.Payload(), options,
		instant(entry.Next), instant(entry.Prev),
	}
}

type eventRecord struct {
	TaskID     string    `json:"task_id"`
	EnqueuedAt time.Time `json:"enqueued_at"`
}

func newEventRecord(event *asynq.SchedulerEnqueueEvent) eventRecord {
	return eventRecord{event.TaskID, event.EnqueuedAt.UTC()}
}

// filled turns a nil map into an empty one.
func filled(headers map[string]string) map[string]string {
	if headers == nil {
		return map[string]string{}
	}
	return headers
}

func text(value string) *string {
	if value == "" {
		return nil
	}
	return &value
}

func seconds(value time.Duration) *float64 {
	if value == 0 {
		return nil
	}
	number := value.Seconds()
	return &number
}

func instant(value time.Time) *time.Time {
	if value.IsZero() {
		return nil
	}
	value = value.UTC()
	return &value
}
