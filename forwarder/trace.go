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

// spanName is the name of an attempt's span.
const spanName = "scribegate.deliver"

// The attributes of an attempt's span, beside OpenTelemetry's own for a status.
const (
	attributeEvent    = attribute.Key("scribegate.event_id")
	attributeUpstream = attribute.Key("scribegate.upstream")
	attributeAttempt  = attribute.Key("scribegate.attempt")
	attributeOutcome  = attribute.Key("scribegate.outcome")
	attributeStatus   = attribute.Key("http.response.status_code")
)

// startSpan starts the span of an attempt at an event whose receipt was traced, and
// returns the context of the attempt. For any other event it starts no span.
//
// The span is a child of the receipt's, however long ago that was and in whatever
// process. OpenTelemetry's messaging conventions ask for links if one span processes
// many messages, and allow a parent if it processes one, as here. So an event is one
// trace from the provider to its backends. The kind is client, since the attempt
// waits for the upstream's answer.
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

// endSpan ends the span of an attempt. Of a failure it records the result only: the
// text of an error could contain anything.
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

// cutSpan ends the span of an attempt that was cancelled as the dispatcher closed.
func cutSpan(span trace.Span) {
	span.SetStatus(codes.Error, "cancelled: the dispatcher is closing")
	span.End()
}

// trace sets the headers of W3C Trace Context to the span in which the event was
// received, as a gateway without tracing passes them on.
func (m *Message) trace(e *event.Event) {
	if e.TraceParent == "" {
		return
	}
	m.Header[headerTraceParent] = []string{e.TraceParent}
	if e.TraceState != "" {
		m.Header[headerTraceState] = []string{e.TraceState}
	}
}

// traceSpan sets these headers to the span of an attempt.
func (m *Message) traceSpan(ctx context.Context) {
	propagation.TraceContext{}.Inject(ctx, propagation.HeaderCarrier(m.Header))
}
