package main

import (
	"context"
	"errors"
	"fmt"
	"strconv"

	"github.com/go-redis/redis/v8"
	"github.com/hibiken/asynq"
	limits "github.com/hibiken/asynq/x/rate"
)

// guard makes a handler hold a token of x/rate's semaphore while it runs.
type guard struct {
	flags pairs
	*limits.Semaphore
}

// olderClient gives x/rate the version of the driver that it was built with.
type olderClient struct{ asynq.RedisClientOpt }

func (o olderClient) MakeRedisClient() any {
	return redis.NewClient(&redis.Options{Network: o.Network, Addr: o.Addr, DB: o.DB})
}

func semaphoreFlag(c *command) *guard {
	g := &guard{flags: pairs{}}
	c.Var(g.flags, "semaphore", "`scope=limit`: a task without a token fails")
	return g
}

// open makes the semaphore that the flags name, or none.
func (g *guard) open(where asynq.RedisConnOpt) error {
	for scope, limit := range g.flags {
		tokens, err := strconv.Atoi(limit)
		if err != nil {
			return err
		}
		single, ok := where.(asynq.RedisClientOpt)
		if !ok {
			return fmt.Errorf("no semaphore on %T", where)
		}
		g.Semaphore = limits.NewSemaphore(olderClient{single}, scope, tokens)
	}
	return nil
}

// hold runs a function while it holds a token.
func (g *guard) hold(ctx context.Context, do func() error) error {
	if g.Semaphore == nil {
		return do()
	}
	taken, err := g.Acquire(ctx)
	if err != nil {
		return err
	}
	if !taken {
		return errors.New("no token")
	}
	return errors.Join(do(), g.Release(ctx))
}
