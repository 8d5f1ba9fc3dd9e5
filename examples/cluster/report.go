package main

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"
)

// A report is what became of the notes.
type report struct {
	sent, accepted  int
	refused         map[string]int // by the reason
	delivered, lost int            // of the accepted
	again           int            // deliveries of an event after its first
	pause           time.Duration  // the longest time in which no note was accepted
	slowestAnswer   time.Duration
	slowestDelivery time.Duration // after the answer
}

func (r report) String() string {
	var text strings.Builder
	row := func(what, format string, args ...any) {
		fmt.Fprintf(&text, "  %-18s %s\n", what, fmt.Sprintf(format, args...))
	}
	row("sent", "%d", r.sent)
	row("accepted", "%d", r.accepted)
	for _, reason := range slices.Sorted(maps.Keys(r.refused)) {
		row("not accepted", "%d, %s", r.refused[reason], reason)
	}
	row("delivered", "%d", r.delivered)
	row("lost", "%d", r.lost)
	row("delivered again", "%d, with the same webhook-id", r.again)
	row("longest pause", "%.2f s in which no note was accepted", r.pause.Seconds())
	row("slowest answer", "%.2f s", r.slowestAnswer.Seconds())
	row("slowest delivery", "%.2f s after the answer; the lease is %s", r.slowestDelivery.Seconds(), lease)
	return text.String()
}

// err returns an error if a note was lost or not accepted.
func (r report) err() error {
	switch {
	case r.lost > 0:
		return fmt.Errorf("%d notes were accepted and not delivered", r.lost)
	case r.accepted < r.sent:
		return fmt.Errorf("%d notes were not accepted", r.sent-r.accepted)
	case r.sent == 0:
		return errors.New("no note was sent")
	}
	return nil
}
