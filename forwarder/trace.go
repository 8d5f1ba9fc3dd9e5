package forwarder

import (
	"context"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/trace"

	"github.com/scribegate/scribegate/forwarder/queue"
	"github.com/scribegate/scribegate/verifier/event"
)

// spanName is what the span of an attempt is called.
const spanName = "scribegate.deliver"

// The attributes of an attempt's span, beside OpenTelemetry's own for a status.
const (
	attributeEvent    = attribute.Key("scribegate.event_id")
	attributeUpstream = attribute.Key("scribegate.upstream")
	attributeAttempt  = attribute.Key("scribegate.attempt")
	attributeOutcome  = attribute.Key("scribegate.outcome")
	attributeStatus   = attribute.Key("http.response.status_code")
)

// startSpan begins the span of an attempt at an event whose receipt was traced,
// and returns the context that the attempt belongs to. Of any other event there
// is no span.
//
// The span is a child of the receipt's, however long ago that was and whatever
// process it was in. OpenTelemetry's messaging conventions ask for links where
// one span takes up many messages, and allow a parent where it takes up one, as
// here; so an event is one trace from the provider to its backends. The kind is
// client, since the upstream's answer is waited for, and since the context that
// the event was created in is the receipt's.
func (a *attempt) startSpan(ctx context.Context, e *event.Event) (context.Context, trace.Span) {
	if e.TraceParent == "" {
		return ctx, trace.SpanFromContext(ctx) // one that does nothing
	}
	ctx = propagation.TraceContext{}.Extract(ctx, propagation.MapCarrier{
		"traceparent": e.TraceParent, "tracestate": e.TraceState,
	})
	tracer := a.runner.dispatcher.tracer.Load()
	if tracer == nil {
		return ctx, trace.SpanFromContext(ctx)
	}
	return (*tracer).Start(ctx, spanName, trace.WithSpanKind(trace.SpanKindClient), trace.WithAttributes(
		attributeEvent.String(a.delivery.EventID),
		attributeUpstream.String(a.delivery.Upstream),
		attributeAttempt.Int(a.delivery.Attempts+1),
	))
}

// endSpan ends the span of an attempt. It says no more of a failure than its
// result: the words of an error could hold anything.
func endSpan(span trace.Span, o queue.Outcome) {
	defer span.End()
	if !span.IsRecording() {
		return
	}
	span.SetAttributes(attributeOutcome.String(string(o.Result)))
	if o.Status != 0 {
		span.SetAttributes(attributeStatus.Int(o.Status))
	}
	if o.Result != queue.Success {
		span.SetStatus(codes.Error, string(o.Result))
	}
}

// cutSpan ends the span of an attempt that was given up with the process.
func cutSpan(span trace.Span) {
	span.SetStatus(codes.Error, "given up: the dispatcher is closing")
	span.End()
}

// trace sets the headers of W3C Trace Context to the span that the event was
// received in, as a gateway that makes no spans passes them on.
func (m *Message) trace(e *event.Event) {
	if e.TraceParent == "" {
		return
	}
	m.Header[headerTraceParent] = []string{e.TraceParent}
	if e.TraceState != "" {
		m.Header[headerTraceState] = []string{e.TraceState}
	}
}

// traceSpan sets them to the span of an attempt.
func (m *Message) traceSpan(ctx context.Context) {
	propagation.TraceContext{}.Inject(ctx, propagation.HeaderCarrier(m.Header))
}
