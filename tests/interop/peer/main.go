// Peer is a Go program with asynq, which the Python tests and benchmarks call.
//
//	peer COMMAND [flags] [arguments]
//
// Results are JSON, one object per line, on stdout. An error is a line on
// stderr and exit code 1; a wrong call is exit code 2.
package main

import (
	"fmt"
	"os"
	"slices"
	"strings"
)

// commands maps each command to its function.
var commands = map[string]func(args []string) error{
	"enqueue":       enqueue,
	"work":          work,
	"schedule":      schedule,
	"inspect":       inspect,
	"drive":         drive,
	"encode":        encode,
	"decode":        decode,
	"vectors":       vectors,
	"cron":          cronRuns,
	"bench-enqueue": benchEnqueue,
	"bench-drain":   benchDrain,
	"bench-pickup":  benchPickup,
}

func main() {
	if len(os.Args) < 2 || commands[os.Args[1]] == nil {
		fmt.Fprintln(os.Stderr, "usage: peer COMMAND [flags] [arguments]; commands:", names(commands))
		os.Exit(2)
	}
	if err := commands[os.Args[1]](os.Args[2:]); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// names lists the keys of a command table.
func names[V any](table map[string]V) string {
	var list []string
	for name := range table {
		list = append(list, name)
	}
	slices.Sort(list)
	return strings.Join(list, ", ")
}
