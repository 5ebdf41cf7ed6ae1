package main

import (
	"encoding/base64"
	"flag"
	"fmt"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/hibiken/asynq"
)

// command is a flag set with the one flag that every command has.
type command struct {
	*flag.FlagSet
	redis asynq.RedisConnOpt
}

func newCommand(name string) *command {
	c := &command{
		FlagSet: flag.NewFlagSet(name, flag.ExitOnError),
		redis:   asynq.RedisClientOpt{Addr: "127.0.0.1:6379"},
	}
	c.Func("redis", "`where` Redis listens: host:port, unix:///path[?db=N] or redis://...", func(text string) (err error) {
		c.redis, err = parseRedis(text)
		return err
	})
	return c
}

func parseRedis(text string) (asynq.RedisConnOpt, error) {
	if !strings.Contains(text, "://") {
		return asynq.RedisClientOpt{Addr: text}, nil
	}
	where, err := url.Parse(text)
	if err != nil {
		return nil, err
	}
	if where.Scheme != "unix" {
		return asynq.ParseRedisURI(strings.TrimSuffix(text, "/"))
	}
	db, err := strconv.Atoi("0" + where.Query().Get("db"))
	return asynq.RedisClientOpt{Network: "unix", Addr: where.Path, DB: db}, err
}

// pairs is a repeatable flag of the form key=value.
type pairs map[string]string

func (p pairs) String() string { return fmt.Sprint(map[string]string(p)) }

func (p pairs) Set(text string) error {
	key, value, found := strings.Cut(text, "=")
	if !found {
		return fmt.Errorf("want key=value, got %q", text)
	}
	p[key] = value
	return nil
}

// priorities is a flag of the form critical=6,default=3; a bare name counts 1.
type priorities map[string]int

func (p priorities) String() string { return fmt.Sprint(map[string]int(p)) }

func (p priorities) Set(text string) error {
	for _, part := range strings.Split(text, ",") {
		name, weight, found := strings.Cut(part, "=")
		if !found {
			weight = "1"
		}
		n, err := strconv.Atoi(weight)
		if err != nil {
			return err
		}
		p[name] = n
	}
	return nil
}

// words is a repeatable flag that collects prefixes.
type words []string

func (w *words) String() string { return strings.Join(*w, ",") }

func (w *words) Set(text string) error {
	*w = append(*w, text)
	return nil
}

// payloadFlags declares --payload (base64) and --payload-text. Without either
// the payload stays nil, which for asynq differs from an empty one.
func payloadFlags(c *command) *[]byte {
	var payload []byte
	c.Func("payload", "payload in `base64`", func(text string) (err error) {
		payload, err = base64.StdEncoding.DecodeString(text)
		return err
	})
	c.Func("payload-text", "payload as `text`", func(text string) error {
		payload = []byte(text)
		return nil
	})
	return &payload
}

// parseInstant reads RFC 3339 or Unix seconds.
func parseInstant(text string) (time.Time, error) {
	if seconds, err := strconv.ParseInt(text, 10, 64); err == nil {
		return time.Unix(seconds, 0), nil
	}
	return time.Parse(time.RFC3339Nano, text)
}
