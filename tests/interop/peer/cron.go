package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"os"
	"time"

	"github.com/robfig/cron/v3"
)

// cronCase is a cron text, the zone of the scheduler, and an instant. Next
// holds the runs after it, null where there is none; Error says why the text
// is refused.
type cronCase struct {
	Spec  string       `json:"spec"`
	Zone  string       `json:"zone"`
	Start time.Time    `json:"start"`
	Next  []*time.Time `json:"next,omitempty"`
	Error bool         `json:"error,omitempty"`
	Hangs bool         `json:"hangs,omitempty"`
}

// cronRunsOf is the number of runs of a case.
const cronRunsOf = 4

// cronPatience is how long the library may search: at a day that a zone
// skipped it loops forever.
const cronPatience = 2 * time.Second

// cronRuns answers cases from stdin, one JSON object per line, with their next runs.
func cronRuns([]string) error {
	lines := bufio.NewScanner(os.Stdin)
	for lines.Scan() {
		var c cronCase
		if err := json.Unmarshal(lines.Bytes(), &c); err != nil {
			return err
		}
		if err := emitCron(c); err != nil {
			return err
		}
	}
	return lines.Err()
}

// emitCron completes a case and writes it.
func emitCron(c cronCase) error {
	zone, err := time.LoadLocation(c.Zone)
	if err != nil {
		return err
	}
	schedule, err := cron.ParseStandard(c.Spec)
	if err != nil {
		c.Error = true
		return emit(c)
	}
	found := make(chan []*time.Time, 1)
	go func() { found <- runsAfter(schedule, c.Start.In(zone)) }()
	select {
	case c.Next = <-found:
	case <-time.After(cronPatience):
		c.Hangs = true
	}
	return emit(c)
}

// runsAfter searches each run from the previous one, as cron's own loop does.
func runsAfter(schedule cron.Schedule, at time.Time) (runs []*time.Time) {
	for range cronRunsOf {
		at = schedule.Next(at)
		if at.IsZero() {
			return append(runs, nil)
		}
		utc := at.UTC()
		runs = append(runs, &utc)
	}
	return runs
}

// cronSpecs are tested in UTC: forms of fields, days, leap days, and what never runs.
var cronSpecs = []string{
	"* * * * *", "*/5 * * * *", "0 * * * *", "5,10,15-20 * * * *", "7/20 * * * *", "0-30/7 * * * *",
	"? ? ? ? ?", "30 4 * * *", "0 0,12 * * *", "0 22-23 * * *", "0 */7 * * *", "15 10 ? * *",
	"0 0 1 * *", "0 0 31 * *", "0 0 15,30 * *", "0 12 1 jan *", "0 12 1 JAN-Mar *", "0 0 1 */3 *",
	"0 0 * * sun", "0 0 * * MON-fri", "0 0 * * 1,3,5", "0 0 * * 0-6", "0 0 * * 6/1", "0 0 * * */2",
	"0 0 13 * 5", "0 0 13 * *", "0 0 */2 * 5", "0 0 */1 * 5", "0 0 ? * 5", "0 0 *,1 * 5", "0 0 1-31 * 5",
	"0 0 13 * */2", "0 0 13 * */1", "0 0 13 * 0-6", "0 0 *-5 * 1", "59 23 31 12 *", "0 0 29 2 *",
	"0 0 29 2 1", "0 0 29 2 */7", "0 0 29-31 2 *", "0 0 30 2 *", "0 0 31 2,4,6,9,11 *", ", * * * *", "* , * * *",
	"* * , * *", "* * , * 1", "* * * , *", "* * * * ,", "*,,5 * * * *", "+5 +6 * * *", "1-+3 */+9 * * *", "5/100 * * * *",
	" 1  2 3\t4 5 ", "@yearly", "@annually", "@monthly", "@weekly", "@daily", "@midnight", "@hourly",
	"@every 1s", "@every 90s", "@every 1h30m", "@every 1.5s", "@every 10ms", "@every -5m", "@every 0",
	"TZ=America/Phoenix 0 9 * * *", "CRON_TZ=Asia/Kolkata 30 9 * * 1-5", "TZ=UTC @daily", "TZ= @daily",
	"TZ=Local @daily", "TZ=Asia/Tokyo @every 1m", "CRON_TZ=Asia/Tokyo   @weekly",
}

// badCronSpecs are refused. A zone with nothing after it is not among them: it crashes the parser.
var badCronSpecs = []string{
	"", " ", "*", "* * * *", "* * * * * *", "60 * * * *", "* 24 * * *", "* * 0 * *", "* * 32 * *", "* * * 0 *",
	"* * * 13 *", "* * * * 7", "-1 * * * *", "5-1 * * * *", "1-2-3 * * * *", "*/0 * * * *", "*/-1 * * * *", "1/2/3 * * * *",
	"*/ * * * *", "a * * * *", "jan * * * *", "* * * january *", "* * * * monday", "** * * * *", "1- * * * *", "-5 * * * *",
	"1.5 * * * *", "L * * * *", "* * 15W * *", "* * * * 5#2", "@reboot", "@Daily", "@", "@every", "@every ", "@every 5",
	"@every 1d", "@every x", "@daily ", "TZ=Nowhere/Land * * * * *", "TZ=UTC ", "TZ=UTC * * * *", "tz=UTC * * * * *",
}

// cronChanges are days around which the clocks of a zone changed. They are in the
// past, where zone files of different age agree.
var cronChanges = []struct {
	zone   string
	starts []string
}{
	{"America/New_York", []string{"2024-03-09T12:00:00Z", "2024-03-10T06:30:00Z", "2024-11-02T12:00:00Z", "2024-11-03T05:30:00Z"}},
	{"Europe/Berlin", []string{"2024-03-30T12:00:00Z", "2024-10-26T12:00:00Z", "2024-10-27T00:30:20.5Z"}},
	{"Australia/Lord_Howe", []string{"2024-04-06T00:00:00Z", "2024-10-05T00:00:00Z"}},
	{"America/Sao_Paulo", []string{"2018-11-03T12:00:00Z", "2018-02-17T12:00:00Z"}},
	{"America/Havana", []string{"2024-03-09T12:00:00Z", "2024-11-03T02:00:00Z"}},
	{"Africa/Cairo", []string{"2024-04-25T12:00:00Z", "2024-10-31T12:00:00Z"}},
	{"Pacific/Apia", []string{"2011-12-31T00:00:00Z", "2012-03-31T00:00:00Z", "2020-09-26T00:00:00Z"}},
	{"Asia/Kathmandu", []string{"2024-01-01T00:00:00Z"}},
	{"Europe/Dublin", []string{"2024-03-30T12:00:00Z", "2024-10-26T12:00:00Z"}},
	{"Africa/Casablanca", []string{"2024-03-09T12:00:00Z", "2024-04-13T12:00:00Z"}},
}

// changeSpecs are tested on those days.
var changeSpecs = []string{
	"30 2 * * *", "0 0 * * *", "30 1 * * *", "*/15 * * * *", "0 */2 * * *", "15 1-3 * * *", "0 0 * * 0", "30 0 1 * *", "45 23 * * *", "@hourly",
}

// cronVectors prints the next runs of known cases.
func cronVectors() error {
	for _, spec := range cronSpecs {
		for _, start := range []string{"2026-02-27T23:59:30.25Z", "2027-12-31T23:59:59Z"} {
			if err := emitCronAt(spec, "UTC", start); err != nil {
				return err
			}
		}
	}
	for _, spec := range badCronSpecs {
		if err := emitCronAt(spec, "UTC", "2026-01-01T00:00:00Z"); err != nil {
			return err
		}
	}
	for _, change := range cronChanges {
		for _, start := range change.starts {
			for _, spec := range changeSpecs {
				if err := emitCronAt(spec, change.zone, start); err != nil {
					return err
				}
			}
		}
	}
	return nil
}

func emitCronAt(spec, zone, start string) error {
	at, err := time.Parse(time.RFC3339Nano, start)
	if err != nil {
		return fmt.Errorf("case %q: %w", spec, err)
	}
	return emitCron(cronCase{Spec: spec, Zone: zone, Start: at})
}
