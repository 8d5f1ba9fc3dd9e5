package caddymodule

import (
	"encoding/hex"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/caddyserver/caddy/v2"
	collector "go.opentelemetry.io/proto/otlp/collector/trace/v1"
	common "go.opentelemetry.io/proto/otlp/common/v1"
	otlp "go.opentelemetry.io/proto/otlp/trace/v1"
	"google.golang.org/protobuf/proto"
)

// An otlpReceiver receives spans as a collector does: OTLP over HTTP, in protobuf.
type otlpReceiver struct {
	*httptest.Server

	asked chan struct{} // gets a token for each export
	hold  chan struct{} // closed unless answers are held back

	mu     sync.Mutex
	bodies []byte // all of them, as they came
	spans  []*otlp.Span
	from   []map[string]string // the resource of each span
}

// newOTLPReceiver returns a receiver to which this process exports all of its spans, at once.
func newOTLPReceiver(t *testing.T) *otlpReceiver {
	t.Helper()
	o := &otlpReceiver{asked: make(chan struct{}, 1), hold: make(chan struct{})}
	close(o.hold)
	return o.listen(t)
}

// listen makes the receiver listen, and this process export to it.
func (o *otlpReceiver) listen(t *testing.T) *otlpReceiver {
	t.Helper()
	o.Server = httptest.NewServer(http.HandlerFunc(o.receive))
	t.Cleanup(o.Close)
	t.Setenv("OTEL_EXPORTER_OTLP_ENDPOINT", o.URL)
	t.Setenv("OTEL_EXPORTER_OTLP_PROTOCOL", "http/protobuf")
	t.Setenv("OTEL_BSP_SCHEDULE_DELAY", "20")
	return o
}

func (o *otlpReceiver) receive(w http.ResponseWriter, r *http.Request) {
	select {
	case o.asked <- struct{}{}:
	default:
	}
	<-o.hold
	body, err := io.ReadAll(r.Body)
	var request collector.ExportTraceServiceRequest
	if err == nil {
		err = proto.Unmarshal(body, &request)
	}
	if err != nil || r.URL.Path != "/v1/traces" {
		http.Error(w, "these are not spans", http.StatusBadRequest)
		return
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	o.bodies = append(o.bodies, body...)
	for _, rs := range request.ResourceSpans {
		from := make(map[string]string)
		for _, a := range rs.Resource.Attributes {
			from[a.Key] = a.Value.GetStringValue()
		}
		for _, ss := range rs.ScopeSpans {
			for _, s := range ss.Spans {
				o.spans = append(o.spans, s)
				o.from = append(o.from, from)
			}
		}
	}
	w.Header().Set("Content-Type", "application/x-protobuf")
}

// whole returns the bodies of all exports.
func (o *otlpReceiver) whole() []byte {
	o.mu.Lock()
	defer o.mu.Unlock()
	return slices.Clone(o.bodies)
}

// named returns the spans of a name, in the order in which they began.
func (o *otlpReceiver) named(name string) (found []*otlp.Span) {
	o.mu.Lock()
	defer o.mu.Unlock()
	for _, s := range o.spans {
		if s.Name == name {
			found = append(found, s)
		}
	}
	slices.SortFunc(found, func(a, b *otlp.Span) int { return int(a.StartTimeUnixNano) - int(b.StartTimeUnixNano) })
	return found
}

// wait returns the spans of a name once there are n.
func (o *otlpReceiver) wait(t *testing.T, name string, n int) []*otlp.Span {
	t.Helper()
	eventually(t, fmt.Sprintf("%d spans %s", n, name), func() bool { return len(o.named(name)) >= n })
	found := o.named(name)
	if len(found) != n {
		t.Fatalf("%d spans %s, want %d", len(found), name, n)
	}
	return found
}

// hasAttributes fails the test unless a span has exactly these attributes.
func hasAttributes(t *testing.T, s *otlp.Span, want map[string]string) {
	t.Helper()
	got := make(map[string]string)
	for _, a := range s.Attributes {
		got[a.Key] = a.Value.GetStringValue()
		if n, ok := a.Value.Value.(*common.AnyValue_IntValue); ok {
			got[a.Key] = fmt.Sprint(n.IntValue)
		}
	}
	if fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("%s has the attributes %v, want %v", s.Name, got, want)
	}
}

// within fails the test unless one span is the other's child.
func within(t *testing.T, child, parent *otlp.Span) {
	t.Helper()
	if string(child.TraceId) != string(parent.TraceId) || string(child.ParentSpanId) != string(parent.SpanId) {
		t.Errorf("%s is %x in the trace %x, want it below %s, %x in %x", child.Name, child.ParentSpanId, child.TraceId, parent.Name, parent.SpanId, parent.TraceId)
	}
}

// traceparent returns a span's context as a header has it.
func traceparent(s *otlp.Span) string {
	return "00-" + hex.EncodeToString(s.TraceId) + "-" + hex.EncodeToString(s.SpanId) + "-01"
}

const tracedSites = "\ttracing {\n\t\tspan site\n\t}\n"

// One trace has Caddy's span, the receipt, an attempt that fails, and, after a restart, the
// attempt that succeeds.
func TestTraceGoesAcrossTheQueue(t *testing.T) {
	o, s, b := newOTLPReceiver(t), newSite(t), newBackend(t)
	b.respond(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusInternalServerError) })
	app := oneUpstream + b.URL + " {\n\t\t\tretry 2s 1h\n\t\t}\n\t}"
	s.load(app, tracedSites+bothProviders)
	id := accepted(t, s, "note-1")
	b.wait(t, 1)
	failed := o.wait(t, "scribegate.deliver", 1)[0]
	if err := caddy.Stop(); err != nil {
		t.Fatal(err)
	}
	b.respond(nil)
	s.load(app, tracedSites+bothProviders)
	got := b.wait(t, 2)

	attempts := o.wait(t, "scribegate.deliver", 2)
	receipt := o.wait(t, "scribegate.receive", 1)[0]
	within(t, receipt, o.wait(t, "site", 1)[0])
	if receipt.Kind != otlp.Span_SPAN_KIND_PRODUCER || receipt.Status.GetCode() != otlp.Status_STATUS_CODE_UNSET {
		t.Errorf("the receipt is of kind %s, status %s", receipt.Kind, receipt.Status)
	}
	hasAttributes(t, receipt, map[string]string{
		"scribegate.provider": "soapnoteapi", "scribegate.event_id": id, "scribegate.type": "note.generated", "scribegate.outcome": "accepted",
	})
	if string(failed.SpanId) != string(attempts[0].SpanId) {
		t.Error("the first attempt is not the first")
	}
	for i, want := range []map[string]string{
		{"scribegate.event_id": id, "scribegate.upstream": "ehr", "scribegate.attempt": "1", "scribegate.outcome": "failure", "http.response.status_code": "500"},
		{"scribegate.event_id": id, "scribegate.upstream": "ehr", "scribegate.attempt": "2", "scribegate.outcome": "success", "http.response.status_code": "204"},
	} {
		a := attempts[i]
		within(t, a, receipt)
		hasAttributes(t, a, want)
		if a.Kind != otlp.Span_SPAN_KIND_CLIENT {
			t.Errorf("attempt %d is of kind %s", i+1, a.Kind)
		}
		if sent := got[i].header.Get("Traceparent"); sent != traceparent(a) {
			t.Errorf("attempt %d: the backend got the traceparent %s, want %s", i+1, sent, traceparent(a))
		}
		if !strings.Contains(string(got[i].body), `"traceparent":"`+traceparent(receipt)+`"`) {
			t.Errorf("attempt %d: the event's own traceparent is not the receipt's: %s", i+1, got[i].body)
		}
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	for i, from := range o.from {
		if from["webengine.name"] != "Caddy" || !maps.Equal(from, o.from[0]) {
			t.Errorf("span %s is from %v, and %s from %v", o.spans[i].Name, from, o.spans[0].Name, o.from[0])
		}
	}
}

// The span of a rejected request has its reason only, that of a duplicate says so, and that of a
// genuine request with an invalid payload has its id.
func TestTraceOfWhatIsNotDelivered(t *testing.T) {
	o, s, b := newOTLPReceiver(t), newSite(t), newBackend(t)
	s.load(oneUpstream+b.URL+"\n\t}", tracedSites+bothProviders+"\n\tscribegate /checkpoint soniox {\n\t\theader X-Webhook-Secret {env.SONIOX_SECRET}\n\t\tformat binary\n\t}\n\treverse_proxy "+b.URL)
	first := accepted(t, s, "note-1")
	accepted(t, s, "note-1")
	do(t, s.soapnote("/soapnote", `{}`))
	forged := s.soapnote("/soapnote", note("forged"))
	forged.Header.Set("X-SoapNoteAPI-Signature", strings.Repeat("0", 64))
	do(t, forged)
	passed := do(t, s.soniox("/checkpoint", transcription("tr-1")))
	if passed.status != http.StatusNoContent {
		t.Fatalf("answer %d %s", passed.status, passed.body)
	}

	spans := o.wait(t, "scribegate.receive", 5)
	for i, want := range []map[string]string{
		{"scribegate.provider": "soapnoteapi", "scribegate.event_id": first, "scribegate.type": "note.generated", "scribegate.outcome": "accepted"},
		{"scribegate.provider": "soapnoteapi", "scribegate.event_id": first, "scribegate.type": "note.generated", "scribegate.outcome": "duplicate"},
		{"scribegate.provider": "soapnoteapi", "scribegate.event_id": soapnoteID(`{}`), "scribegate.outcome": "rejected", "scribegate.reason": "payload"},
		{"scribegate.provider": "soapnoteapi", "scribegate.outcome": "rejected", "scribegate.reason": "signature_mismatch"},
	} {
		hasAttributes(t, spans[i], want)
	}
	checkpoint := spans[4]
	if checkpoint.Kind != otlp.Span_SPAN_KIND_INTERNAL {
		t.Errorf("a checkpoint's span is of kind %s", checkpoint.Kind)
	}
	o.wait(t, "scribegate.deliver", 1)
	for _, d := range b.wait(t, 2) {
		if d.uri == "/checkpoint" && d.header.Get("Traceparent") != traceparent(checkpoint) {
			t.Errorf("the checkpoint's backend got the traceparent %s, want %s", d.header.Get("Traceparent"), traceparent(checkpoint))
		}
	}
}

// A `tracing` in an upstream's route makes a span below that of the attempt.
func TestTraceGoesThroughARoute(t *testing.T) {
	o, s, b := newOTLPReceiver(t), newSite(t), newBackend(t)
	s.load(oneUpstream+"{\n\t\t\tformat raw\n\t\t\troute {\n\t\t\t\ttracing {\n\t\t\t\t\tspan route\n\t\t\t\t}\n\t\t\t\treverse_proxy "+b.URL+"\n\t\t\t}\n\t\t}\n\t}",
		"\troute {\n"+tracedSites+bothProviders+"\n\t}")
	do(t, s.soniox("/soniox", transcription("tr-1"))).id(t)
	attempt := o.wait(t, "scribegate.deliver", 1)[0]
	inner := o.wait(t, "route", 1)[0]
	within(t, attempt, o.wait(t, "scribegate.receive", 1)[0])
	within(t, inner, attempt)
	if got := b.wait(t, 1)[0].header.Get("Traceparent"); got != traceparent(inner) {
		t.Errorf("the backend got the traceparent %s, want %s", got, traceparent(inner))
	}
}

// Without `tracing` nothing is exported or sent to a backend, and a reload can turn it on and
// off. A trace that has begun is passed on as it is.
func TestTracingOffAndOn(t *testing.T) {
	o, s, b := newOTLPReceiver(t), newSite(t), newBackend(t)
	b.respond(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusConflict) })
	app := oneUpstream + b.URL + " {\n\t\t\tretry 1s\n\t\t}\n\t}"
	s.load(app, bothProviders)
	accepted(t, s, "off")
	if d := b.wait(t, 1)[0]; d.header["Traceparent"] != nil || strings.Contains(string(d.body), "traceparent") {
		t.Errorf("without tracing the backend got %v %s", d.header, d.body)
	}
	eventually(t, "the event to be dead", func() bool { return queued(t).Upstreams[0].Dead == 1 })

	s.load(app, tracedSites+bothProviders)
	accepted(t, s, "on")
	o.wait(t, "scribegate.deliver", 1)
	receipt := o.wait(t, "scribegate.receive", 1)[0]
	s.load(app, bothProviders)
	got := b.wait(t, 4)
	if last := got[3].header.Get("Traceparent"); last != traceparent(receipt) {
		t.Errorf("with tracing off again the backend got the traceparent %q, want the receipt's %s", last, traceparent(receipt))
	}
	eventually(t, "both events to be dead", func() bool { return queued(t).Upstreams[0].Dead == 2 })
	if err := caddy.Stop(); err != nil {
		t.Fatal(err)
	}
	o.wait(t, "scribegate.deliver", 1)
}

// A collector that reads spans and never answers delays no delivery.
func TestCollectorHangs(t *testing.T) {
	o := (&otlpReceiver{asked: make(chan struct{}, 1), hold: make(chan struct{})}).listen(t)
	s, b := newSite(t), newBackend(t)
	defer close(o.hold) // before Caddy is stopped
	s.load(oneUpstream+b.URL+"\n\t}", tracedSites+bothProviders)
	for i := range 20 {
		accepted(t, s, fmt.Sprint(i))
	}
	b.wait(t, 20)
	<-o.asked
	eventually(t, "an empty queue", func() bool { return queued(t).Upstreams[0].Pending == 0 })
}
