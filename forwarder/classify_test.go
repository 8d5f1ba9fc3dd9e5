package forwarder

import (
	"context"
	"errors"
	"fmt"
	"os"
	"testing"
	"time"

	"github.com/scribegate/scribegate/forwarder/queue"
)

var noon = time.Date(2026, time.March, 19, 12, 0, 0, 0, time.UTC)

func TestClassify(t *testing.T) {
	t.Parallel()
	var (
		success   = verdict{result: queue.Success, used: true}
		gone      = verdict{result: queue.Gone, used: true, dead: true}
		theEvents = verdict{result: queue.Failure, used: true}
		upstreams = verdict{result: queue.Failure, used: true, upstreamFault: true}
		internal  = verdict{result: queue.Failure, used: true, internal: true}
		timeout   = verdict{result: queue.Timeout, used: true, upstreamFault: true}
		unreached = verdict{result: queue.ConnectError, upstreamFault: true, unreached: true}
	)
	holding := func(v verdict, d time.Duration) verdict {
		v.hold = noon.Add(d)
		return v
	}
	tests := []struct {
		name   string
		answer Answer
		err    error
		alive  bool
		want   verdict
	}{
		{"200", Answer{Status: 200}, nil, false, success},
		{"204", Answer{Status: 204}, nil, false, success},
		{"299", Answer{Status: 299}, nil, false, success},
		{"200 with Retry-After", Answer{200, "60"}, nil, false, success},
		{"nothing answered", Answer{}, nil, false, internal},
		{"101", Answer{Status: 101}, nil, false, theEvents},
		{"199", Answer{Status: 199}, nil, false, theEvents},
		{"300", Answer{Status: 300}, nil, false, theEvents},
		{"308", Answer{Status: 308}, nil, false, theEvents},
		{"400", Answer{Status: 400}, nil, false, theEvents},
		{"404 with Retry-After", Answer{404, "60"}, nil, false, theEvents},
		{"408", Answer{Status: 408}, nil, false, theEvents},
		{"410", Answer{Status: 410}, nil, false, gone},
		{"410 with Retry-After", Answer{410, "60"}, nil, false, gone},
		{"429", Answer{Status: 429}, nil, false, verdict{result: queue.Failure}},
		{"429 with Retry-After", Answer{429, "60"}, nil, false, holding(verdict{result: queue.Failure}, time.Minute)},
		{"429 with Retry-After of nothing", Answer{429, "0"}, nil, false, verdict{result: queue.Failure}},
		{"500", Answer{Status: 500}, nil, false, upstreams},
		{"500 with Retry-After", Answer{500, "60"}, nil, false, upstreams},
		{"503", Answer{Status: 503}, nil, false, upstreams},
		{"503 with Retry-After", Answer{503, "60"}, nil, false, holding(upstreams, time.Minute)},
		{"503 with garbage", Answer{503, "soon"}, nil, false, upstreams},
		{"599", Answer{Status: 599}, nil, false, upstreams},
		{"600", Answer{Status: 600}, nil, false, theEvents},
		{"no connection", Answer{}, fmt.Errorf("%w: refused", ErrConnect), false, unreached},
		{"timeout while connecting", Answer{}, fmt.Errorf("%w: %w", ErrConnect, context.DeadlineExceeded), false, unreached},
		{"timeout", Answer{}, fmt.Errorf("no final status: %w", context.DeadlineExceeded), false, timeout},
		{"timeout of the network", Answer{}, fmt.Errorf("read: %w", os.ErrDeadlineExceeded), false, timeout},
		{"connection broken", Answer{}, errors.New("reset"), false, upstreams},
		{"error beside a status", Answer{Status: 200}, errors.New("reset"), false, upstreams},
		{"no connection, and alive", Answer{}, fmt.Errorf("%w: refused", ErrConnect), true, unreached},
		{"unanswered", Answer{}, fmt.Errorf("%w: reset", ErrUnanswered), false, unreached},
		{"unanswered, and alive", Answer{}, fmt.Errorf("%w: reset", ErrUnanswered), true, upstreams},
		{"unanswered at its timeout", Answer{}, fmt.Errorf("%w: %w", ErrUnanswered, context.DeadlineExceeded), false, unreached},
		{"panic", Answer{}, errPanic, false, internal},
		{"no request", Answer{}, errRequest, true, internal},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			if got := classify(tt.answer, tt.err, tt.alive, noon); got != tt.want {
				t.Errorf("classify = %+v, want %+v", got, tt.want)
			}
		})
	}
}
