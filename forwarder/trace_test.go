package forwarder

import (
	"context"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"
	"go.opentelemetry.io/otel/trace"

	"github.com/scribegate/scribegate/forwarder/queue"
)

const (
	receiptTrace  = "0af7651916cd43dd8448eb211c80319c"
	receiptSpan   = "b7ad6b7169203331"
	receiptParent = "00-" + receiptTrace + "-" + receiptSpan + "-01"
)

// A headerLog is a Sender that keeps the headers of what it is sent.
type headerLog struct {
	headers []http.Header
	answers []Answer
}

func (l *headerLog) Send(_ context.Context, m *Message) (Answer, error) {
	l.headers = append(l.headers, m.Header)
	return l.answers[min(len(l.headers), len(l.answers))-1], nil
}

// tracedRig delivers one event whose receipt was traced, or not, and returns the
// spans that came of it.
func tracedRig(t *testing.T, sender Sender, format Format, traced, tracing bool) []sdktrace.ReadOnlySpan {
	t.Helper()
	spans := tracetest.NewSpanRecorder()
	provider := sdktrace.NewTracerProvider(sdktrace.WithSpanProcessor(spans))
	r := newRig(t)
	c := Config{Upstreams: []Upstream{{Name: "ehr", Format: format, Sender: sender, Retry: []time.Duration{time.Second, time.Second}}}}
	if tracing {
		c.Tracer = provider.Tracer("test")
	}
	item := r.add("ehr", false)
	if traced {
		item.event.TraceParent, item.event.TraceState = receiptParent, "a=b"
	}
	r.d.Apply(c)
	elapse(10 * time.Second)
	if len(spans.Started()) != len(spans.Ended()) {
		t.Errorf("%d spans began, %d ended", len(spans.Started()), len(spans.Ended()))
	}
	return spans.Ended()
}

func attributes(s sdktrace.ReadOnlySpan) map[attribute.Key]string {
	all := make(map[attribute.Key]string)
	for _, a := range s.Attributes() {
		all[a.Key] = a.Value.String()
	}
	return all
}

// Each attempt is a span of its own in the receipt's trace, and its request names that span.
func TestAttemptsAreTraced(t *testing.T) {
	t.Parallel()
	for _, format := range []Format{Structured, Binary, Raw} {
		t.Run(string(format), func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				l := &headerLog{answers: []Answer{{Status: 500}, {Status: 204}}}
				spans := tracedRig(t, l, format, true, true)
				if len(spans) != 2 || len(l.headers) != 2 {
					t.Fatalf("%d spans of %d attempts, want 2 of 2", len(spans), len(l.headers))
				}
				for i, want := range []struct {
					attempt, outcome, status string
					code                     codes.Code
				}{{"1", "failure", "500", codes.Error}, {"2", "success", "204", codes.Unset}} {
					s := spans[i]
					if s.Name() != "scribegate.deliver" || s.SpanKind() != trace.SpanKindClient || s.Status().Code != want.code {
						t.Errorf("span %d is %q, kind %s, status %v", i, s.Name(), s.SpanKind(), s.Status())
					}
					if s.SpanContext().TraceID().String() != receiptTrace || s.Parent().SpanID().String() != receiptSpan || !s.Parent().IsRemote() {
						t.Errorf("span %d is in trace %s below %s", i, s.SpanContext().TraceID(), s.Parent().SpanID())
					}
					got := attributes(s)
					if len(got) != 5 || got["scribegate.attempt"] != want.attempt || got["scribegate.outcome"] != want.outcome ||
						got["http.response.status_code"] != want.status || got["scribegate.upstream"] != "ehr" || got["scribegate.event_id"] == "" {
						t.Errorf("span %d has the attributes %v", i, got)
					}
					sent := l.headers[i]
					if want := "00-" + receiptTrace + "-" + s.SpanContext().SpanID().String() + "-01"; sent.Get("traceparent") != want || sent.Get("tracestate") != "a=b" {
						t.Errorf("attempt %d: traceparent %q, tracestate %q, want %q", i, sent.Get("traceparent"), sent.Get("tracestate"), want)
					}
				}
			})
		})
	}
}

func TestAttemptsThatAreNotTraced(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name            string
		traced, tracing bool
		parent          string
	}{
		{"tracing was off at the receipt", false, true, ""},
		{"tracing is off now", true, false, receiptParent},
		{"tracing was never on", false, false, ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				l := &headerLog{answers: []Answer{{Status: 204}}}
				if spans := tracedRig(t, l, Structured, tt.traced, tt.tracing); len(spans) != 0 {
					t.Errorf("%d spans", len(spans))
				}
				if len(l.headers) != 1 || l.headers[0].Get("traceparent") != tt.parent {
					t.Errorf("headers %v, want traceparent %q", l.headers, tt.parent)
				}
				if _, there := l.headers[0]["Tracestate"]; there != (tt.parent != "") {
					t.Errorf("headers %v", l.headers[0])
				}
			})
		})
	}
}

// An attempt that fails in words tells none of them to the trace, and one that
// is given up leaves a span that has ended.
func TestSpansOfFailures(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		quoting := senderFunc(func(context.Context, *Message) (Answer, error) { panic("PATIENT-TEXT") })
		for _, s := range tracedRig(t, quoting, Structured, true, true) {
			if s.Status().Description != string(queue.Failure) || len(s.Events()) != 0 || strings.Contains(attributes(s)["scribegate.outcome"], "PATIENT") {
				t.Errorf("status %v, events %v, attributes %v", s.Status(), s.Events(), attributes(s))
			}
		}
	})
	synctest.Test(t, func(t *testing.T) {
		spans := tracetest.NewSpanRecorder()
		r := newRig(t)
		item := r.add("ehr", false)
		item.event.TraceParent = receiptParent
		r.d.Apply(Config{
			Upstreams: []Upstream{{Name: "ehr", Sender: hanging, Timeout: time.Hour}},
			Tracer:    sdktrace.NewTracerProvider(sdktrace.WithSpanProcessor(spans)).Tracer("test"),
		})
		synctest.Wait()
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if err := r.d.Close(ctx); err != nil {
			t.Fatal(err)
		}
		ended := spans.Ended()
		if len(ended) != 1 || ended[0].Status().Code != codes.Error {
			t.Fatalf("spans %v", ended)
		}
		if _, settled := attributes(ended[0])["scribegate.outcome"]; settled {
			t.Error("the span of an attempt that was given up has an outcome")
		}
	})
}

// Without tracing an attempt costs nothing more.
func TestNoSpanCostsNothing(t *testing.T) {
	r := newRig(t)
	a := &attempt{runner: &runner{dispatcher: r.d}}
	e := sampleEvent("id")
	m := Render(e, RenderOptions{})
	n := testing.AllocsPerRun(100, func() {
		ctx, span := a.startSpan(context.Background(), e)
		m.traceSpan(ctx)
		endSpan(span, queue.Outcome{Result: queue.Success, Status: 204})
	})
	if n != 0 {
		t.Errorf("%v allocations, want none", n)
	}
}
