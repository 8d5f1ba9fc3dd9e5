package main

import (
	"strings"
	"testing"
	"time"
)

func TestReport(t *testing.T) {
	t.Parallel()
	began := time.Now()
	at := func(seconds float64) time.Time { return began.Add(time.Duration(seconds * float64(time.Second))) }
	l := newLoad("", "")
	l.sent, l.slowest = 4, 2*time.Second
	l.answers = []time.Time{at(3), at(1), at(1.5)}
	l.received["a"], l.received["b"], l.received["c"] = at(1), at(1.5), at(3)
	l.refused["answer 502"] = 1
	in := newInbox()
	in.requests["a"], in.requests["b"] = 1, 3
	in.handled["a"], in.handled["b"] = at(0.9), at(6)
	r := in.compare(l)
	for _, row := range []string{
		"sent               4\n", "accepted           3\n", "not accepted       1, answer 502\n", "delivered          2\n", "lost               1\n",
		"delivered again    2, ", "longest pause      1.50 s", "slowest answer     2.00 s", "slowest delivery   4.50 s",
	} {
		if !strings.Contains(r.String(), row) {
			t.Errorf("the report lacks %q:\n%s", row, r)
		}
	}
	if err := r.err(); err == nil || !strings.Contains(err.Error(), "1 notes were accepted and not delivered") {
		t.Errorf("error %v", err)
	}
	if r.lost = 0; r.err() == nil {
		t.Error("no error, though a note was not accepted")
	}
	if r = (report{sent: 2, accepted: 2, delivered: 2}); r.err() != nil {
		t.Error(r.err())
	}
	if (report{}).err() == nil {
		t.Error("no error, though no note was sent")
	}
}
