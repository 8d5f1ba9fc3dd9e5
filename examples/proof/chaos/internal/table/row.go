package table

import (
	"strings"
	"time"
)

// A Row is a row of the table.
type Row struct {
	Fault        string
	Times        int           // how many times the fault was injected
	Acknowledged int           // number of events answered with 200
	Delivered    int           // of these, those that each of their upstreams has accepted
	Lost         int           // of these, the others
	Duplicated   int           // deliveries after an event's first one at an upstream
	Recovery     time.Duration // the longest; 0 if there is nothing to recover from
	Note         string
}

// Failed returns the note of a row whose scenario failed: the first line of the error.
func Failed(err error) string {
	line, _, _ := strings.Cut(err.Error(), "\n")
	return "FAILED: " + line
}
