package main

import (
	"encoding/json"
	"os"
	"sync"
)

var stdout struct {
	sync.Mutex
}

// emit writes one JSON line to stdout; goroutines may call it at once.
func emit(value any) error {
	line, err := json.Marshal(value)
	if err != nil {
		return err
	}
	stdout.Lock()
	defer stdout.Unlock()
	_, err = os.Stdout.Write(append(line, '\n'))
	return err
}

// emitAll writes one line per value, or passes on the error that came with them.
func emitAll[T, R any](values []T, err error, record func(T) R) error {
	for _, value := range values {
		if err == nil {
			err = emit(record(value))
		}
	}
	return err
}

// silence is a logger that drops everything.
type silence struct{}

func (silence) Debug(...any) {}
func (silence) Info(...any)  {}
func (silence) Warn(...any)  {}
func (silence) Error(...any) {}
func (silence) Fatal(...any) { os.Exit(1) }
