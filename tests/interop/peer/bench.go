package main

import (
	"bytes"
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/hibiken/asynq"
)

const benchType = "bench:noop"

// benchPayload has about the size of a usual small JSON payload.
var benchPayload = bytes.Repeat([]byte("0123456789"), 10)

// benchEnqueue measures one shared client used by many goroutines.
func benchEnqueue(args []string) error {
	c := newCommand("bench-enqueue")
	n := c.Int("n", 10_000, "number of tasks")
	goroutines := c.Int("goroutines", 100, "callers at a time")
	queue := c.String("queue", "default", "queue name")
	c.Parse(args)

	took, err := fill(c.redis, *queue, *n, *goroutines)
	if err != nil {
		return err
	}
	return emit(map[string]any{
		"bench": "enqueue", "n": *n, "goroutines": *goroutines,
		"seconds": took.Seconds(), "rate": rate(*n, took),
	})
}

// fill enqueues n no-op tasks with random ids and returns how long that took.
func fill(where asynq.RedisConnOpt, queue string, n, goroutines int) (time.Duration, error) {
	client := asynq.NewClient(where)
	defer client.Close()
	if err := client.Ping(); err != nil {
		return 0, err
	}
	var left atomic.Int64
	left.Store(int64(n))
	failed := make(chan error, goroutines)
	var callers sync.WaitGroup
	begin := time.Now()
	for range goroutines {
		callers.Go(func() {
			for left.Add(-1) >= 0 {
				if _, err := client.Enqueue(asynq.NewTask(benchType, benchPayload), asynq.Queue(queue)); err != nil {
					failed <- err
					return
				}
			}
		})
	}
	callers.Wait()
	took := time.Since(begin)
	close(failed)
	return took, <-failed
}

// benchDrain measures a server from its start to the n-th task handled.
func benchDrain(args []string) error {
	c := newCommand("bench-drain")
	n := c.Int("n", 10_000, "number of tasks to wait for")
	concurrency := c.Int("concurrency", 100, "most tasks at a time")
	queue := c.String("queue", "default", "queue name")
	filling := c.Bool("fill", false, "enqueue the tasks first")
	c.Parse(args)

	if *filling {
		if _, err := fill(c.redis, *queue, *n, 100); err != nil {
			return err
		}
	}
	var handled atomic.Int64
	last := make(chan time.Time, 1)
	server := quietServer(c.redis, *queue, *concurrency)
	begin := time.Now()
	err := server.Start(asynq.HandlerFunc(func(context.Context, *asynq.Task) error {
		if handled.Add(1) == int64(*n) {
			last <- time.Now()
		}
		return nil
	}))
	if err != nil {
		return err
	}
	took := (<-last).Sub(begin)
	resident := residentBytes()
	server.Shutdown()
	return emit(map[string]any{
		"bench": "drain", "n": *n, "concurrency": *concurrency,
		"seconds": took.Seconds(), "rate": rate(*n, took), "rss": []int{resident},
	})
}

// residentBytes returns the memory of this process, as Linux counts it.
func residentBytes() int {
	var size, resident int
	statm, err := os.ReadFile("/proc/self/statm")
	if err == nil {
		_, err = fmt.Sscan(string(statm), &size, &resident)
	}
	if err != nil {
		panic(err)
	}
	return resident * os.Getpagesize()
}

// benchPickup measures the delay from the call of Enqueue to the start of the
// handler in a server that was idle.
func benchPickup(args []string) error {
	c := newCommand("bench-pickup")
	n := c.Int("n", 20, "number of tasks")
	queue := c.String("queue", "default", "queue name")
	concurrency := c.Int("concurrency", 10, "most tasks at a time")
	c.Parse(args)

	started := make(chan time.Time, 1)
	server := quietServer(c.redis, *queue, *concurrency)
	err := server.Start(asynq.HandlerFunc(func(context.Context, *asynq.Task) error {
		started <- time.Now()
		return nil
	}))
	if err != nil {
		return err
	}
	client := asynq.NewClient(c.redis)
	defer client.Close()
	var delays []time.Duration
	begin := time.Now()
	for range *n {
		time.Sleep(200*time.Millisecond + rand.N(time.Second))
		sent := time.Now()
		if _, err := client.Enqueue(asynq.NewTask(benchType, benchPayload), asynq.Queue(*queue)); err != nil {
			return err
		}
		delays = append(delays, (<-started).Sub(sent))
	}
	took := time.Since(begin)
	server.Shutdown()
	return emit(pickupRecord(delays, took))
}

func pickupRecord(delays []time.Duration, took time.Duration) map[string]any {
	slices.Sort(delays)
	var sum time.Duration
	for _, delay := range delays {
		sum += delay
	}
	return map[string]any{
		"bench": "pickup", "n": len(delays),
		"seconds": took.Seconds(), "rate": rate(len(delays), took),
		"mean_ms": milliseconds(sum / time.Duration(max(1, len(delays)))),
		"p50_ms":  milliseconds(percentile(delays, 50)),
		"p95_ms":  milliseconds(percentile(delays, 95)),
		"max_ms":  milliseconds(percentile(delays, 100)),
	}
}

// percentile picks from a sorted list by the nearest-rank rule.
func percentile(sorted []time.Duration, percent int) time.Duration {
	if len(sorted) == 0 {
		return 0
	}
	rank := (len(sorted)*percent + 99) / 100
	return sorted[max(rank, 1)-1]
}

// quietServer has asynq's default settings except for queue and concurrency.
func quietServer(where asynq.RedisConnOpt, queue string, concurrency int) *asynq.Server {
	return asynq.NewServer(where, asynq.Config{
		Concurrency: concurrency,
		Queues:      map[string]int{queue: 1},
		Logger:      silence{},
	})
}

func rate(n int, took time.Duration) float64 { return rounded(float64(n) / took.Seconds()) }

func milliseconds(d time.Duration) float64 { return rounded(float64(d.Microseconds()) / 1000) }

func rounded(x float64) float64 {
	value, _ := strconv.ParseFloat(fmt.Sprintf("%.3f", x), 64)
	return value
}
