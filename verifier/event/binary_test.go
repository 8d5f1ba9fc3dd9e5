package event_test

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"reflect"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/scribegate/scribegate/verifier/event"
)

func encode(t testing.TB, e *event.Event) []byte {
	t.Helper()
	b, err := e.AppendBinary(nil)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// same compares two events, taking an absent list for an empty one.
func same(a, b *event.Event) bool {
	normal := func(e event.Event) event.Event {
		e.Body, e.Transcription = append([]byte{}, e.Body...), append([]byte{}, e.Transcription...)
		e.ReceivedAt = e.ReceivedAt.UTC()
		e.Metadata = append([]event.Param{}, e.Metadata...)
		for i := range e.Metadata {
			e.Metadata[i].Values = append([]string{}, e.Metadata[i].Values...)
		}
		e.Proof = append([]event.Field{}, e.Proof...)
		if e.Note.Empty() {
			e.Note = event.Span{}
		}
		return e
	}
	return reflect.DeepEqual(normal(*a), normal(*b))
}

func TestBinaryRoundTrip(t *testing.T) {
	t.Parallel()
	for _, k := range kinds {
		t.Run(k.name, func(t *testing.T) {
			t.Parallel()
			e := k.event()
			b, err := e.AppendBinary([]byte("before"))
			if err != nil {
				t.Fatal(err)
			}
			b, ok := bytes.CutPrefix(b, []byte("before"))
			if !ok {
				t.Fatal("what stood before is gone")
			}
			got, err := event.Decode(b)
			if err != nil {
				t.Fatal(err)
			}
			if !same(got, e) {
				t.Errorf("decoded %+v, want %+v", got, e)
			}
			if !got.ReceivedAt.Equal(e.ReceivedAt) || got.ReceivedAt.Location() != time.UTC {
				t.Errorf("received at %v, want %v in UTC", got.ReceivedAt, e.ReceivedAt)
			}
			if string(got.AppendStructured(nil)) != string(e.AppendStructured(nil)) {
				t.Error("the decoded event is rendered differently")
			}
			if &got.Body[0] != &b[len(b)-len(got.Body)-len(got.Transcription)] {
				t.Error("the body was copied")
			}
		})
	}
}

// Every field of an event must be in the coding, those to come included.
func TestBinaryKeepsEveryField(t *testing.T) {
	t.Parallel()
	v := reflect.ValueOf(*generated())
	full := generated()
	full.WithRaw, full.Transcription = true, []byte(`{}`)
	got, err := event.Decode(encode(t, full))
	if err != nil {
		t.Fatal(err)
	}
	for i := range v.NumField() {
		if reflect.ValueOf(*full).Field(i).IsZero() {
			t.Errorf("the test gives no value to %s", v.Type().Field(i).Name)
		}
		if reflect.ValueOf(*got).Field(i).IsZero() {
			t.Errorf("%s is lost", v.Type().Field(i).Name)
		}
	}
}

func TestBinaryRoundTripOfAnyEvent(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		text := func(name string) string { return string(rapid.SliceOfN(rapid.Byte(), 0, 300).Draw(t, name)) }
		body := rapid.SliceOf(rapid.Byte()).Draw(t, "body")
		e := &event.Event{
			ID: text("id"), Source: text("source"), Type: text("type"), Subject: text("subject"), Time: text("time"),
			ExpiryTime: text("expirytime"), TraceParent: text("traceparent"), TraceState: text("tracestate"),
			Provider: text("provider"), Kind: text("kind"), ObjectID: text("object"), Status: text("status"),
			OccurredAt: text("occurred"), ContentType: text("content type"), Query: text("query"),
			ReceivedAt: time.Unix(
				rapid.Int64Range(-62167219200, 253402300799).Draw(t, "second"),
				rapid.Int64Range(0, 999_999_999).Draw(t, "nanosecond")),
			Note:    event.Span{Start: rapid.IntRange(0, len(body)).Draw(t, "start"), End: rapid.IntRange(0, len(body)).Draw(t, "end")},
			WithRaw: rapid.Bool().Draw(t, "raw"),
			Body:    body,

			Transcription: rapid.SliceOfN(rapid.Byte(), 0, 300).Draw(t, "transcription"),
		}
		for range rapid.IntRange(0, 4).Draw(t, "params") {
			e.Metadata = append(e.Metadata, event.Param{Name: text("name"), Values: rapid.SliceOfN(rapid.String(), 0, 4).Draw(t, "values")})
		}
		for range rapid.IntRange(0, 3).Draw(t, "fields") {
			e.Proof = append(e.Proof, event.Field{Name: text("field"), Value: text("value")})
		}
		b, err := e.AppendBinary(nil)
		if err != nil {
			t.Fatal(err)
		}
		got, err := event.Decode(b)
		if err != nil {
			t.Fatal(err)
		}
		if !same(got, e) {
			t.Errorf("decoded %+v, want %+v", got, e)
		}
	})
}

func TestAppendBinaryRefuses(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name   string
		change func(e *event.Event)
		want   string
	}{
		{"note behind the body", func(e *event.Event) { e.Note = event.Span{Start: 1, End: len(e.Body) + 1} }, "note"},
		{"note before the body", func(e *event.Event) { e.Note = event.Span{Start: -1, End: 1} }, "note"},
		{"year 10000", func(e *event.Event) { e.ReceivedAt = time.Date(10000, 1, 1, 0, 0, 0, 0, time.UTC) }, "years"},
		{"year before 0", func(e *event.Event) { e.ReceivedAt = time.Date(-1, 12, 31, 23, 59, 59, 0, time.UTC) }, "years"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			e := generated()
			tt.change(e)
			b, err := e.AppendBinary([]byte("before"))
			if err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("the error is %v, want one about %q", err, tt.want)
			}
			if string(b) != "before" {
				t.Errorf("%d bytes are returned, want what stood before", len(b))
			}
		})
	}
}

// coding builds a coding by hand, for the damage that AppendBinary can't make.
type coding struct {
	note    []byte
	raw     []byte
	time    []byte
	params  []byte
	first   []byte // the coding of the first string
	fields  []byte
	behind  []byte // behind the fields, counted as theirs
	body    string
	bodyLen int // added to the body's length
	headLen int // added to the fields' length
	version byte

	completed     bool // version 2
	transcription string
	resultLen     int // added to the transcription's length
}

func (c coding) bytes() []byte {
	or := func(b, otherwise []byte) []byte {
		if b == nil {
			return otherwise
		}
		return b
	}
	head := or(c.first, []byte{0})
	head = append(bytes.Clone(head), make([]byte, 14)...)
	head = append(head, or(c.time, []byte{0, 0})...)
	head = append(head, or(c.params, []byte{0})...)
	head = append(head, or(c.note, []byte{0, 0})...)
	head = append(head, or(c.raw, []byte{0})...)
	head = append(head, or(c.fields, []byte{0})...)
	head = append(head, c.behind...)
	b := []byte{1 + c.version}
	b = binary.BigEndian.AppendUint32(b, uint32(len(head)+c.headLen))   // small
	b = binary.BigEndian.AppendUint32(b, uint32(len(c.body)+c.bodyLen)) // small
	if c.completed {
		b[0] = 2
		b = binary.BigEndian.AppendUint32(b, uint32(len(c.transcription)+c.resultLen)) // small
	}
	return append(append(append(b, head...), c.body...), c.transcription...)
}

func TestDecodeRefuses(t *testing.T) {
	t.Parallel()
	for _, c := range []coding{{body: "abc"}, {completed: true, body: "abc", transcription: "{}"}} {
		if _, err := event.Decode(c.bytes()); err != nil {
			t.Fatalf("the coding that the table changes is refused: %v", err)
		}
	}
	huge := binary.AppendUvarint(nil, 1<<63)
	tests := []struct {
		name string
		b    []byte
	}{
		{"nothing", nil},
		{"version alone", []byte{1}},
		{"unknown version", coding{version: 2}.bytes()},
		{"version 0", coding{version: 255}.bytes()},
		{"trailing byte", append(coding{body: "abc"}.bytes(), 0)},
		{"body cut", coding{body: "abc", bodyLen: 1}.bytes()},
		{"body too long", coding{body: "abc", bodyLen: -1}.bytes()},
		{"fields cut", coding{headLen: -1, bodyLen: 1}.bytes()},
		{"fields too long", coding{body: "abc", headLen: 1, bodyLen: -1}.bytes()},
		{"version 2 alone", []byte{2}},
		{"version 2 without a transcription", coding{completed: true, body: "abc"}.bytes()},
		{"version 2 with the header of version 1", coding{version: 1, body: "abc"}.bytes()},
		{"transcription cut", coding{completed: true, transcription: "{}", resultLen: 1}.bytes()},
		{"transcription too long", coding{completed: true, transcription: "{}", resultLen: -1}.bytes()},
		{"note within the transcription", coding{completed: true, note: []byte{1, 4}, body: "abc", transcription: "{}"}.bytes()},
		{"byte behind the fields", coding{behind: []byte{0}}.bytes()},
		{"string longer than the rest", coding{first: []byte{100}}.bytes()},
		{"string of 2^63 bytes", coding{first: huge}.bytes()},
		{"length that overflows", coding{first: bytes.Repeat([]byte{0xff}, 10)}.bytes()},
		{"length of eleven bytes", coding{first: append(bytes.Repeat([]byte{0x80}, 10), 1)}.bytes()},
		{"length in a longer form than it needs", coding{first: []byte{0x80, 0}}.bytes()},
		{"a billion nanoseconds", coding{time: binary.AppendUvarint([]byte{0}, 1_000_000_000)}.bytes()},
		{"time of more than 64 bits", coding{time: append(bytes.Repeat([]byte{0x80}, 9), 2, 0)}.bytes()},
		{"year 10000", coding{time: append(binary.AppendVarint(nil, 253402300800), 0)}.bytes()},
		{"year before 0", coding{time: append(binary.AppendVarint(nil, -62167219201), 0)}.bytes()},
		{"more parameters than bytes", coding{params: []byte{100}}.bytes()},
		{"more values than bytes", coding{params: []byte{1, 0, 100}}.bytes()},
		{"parameters of 2^63", coding{params: huge}.bytes()},
		{"note behind the body", coding{note: []byte{1, 4}, body: "abc"}.bytes()},
		{"note of the far end", coding{note: append([]byte{0}, huge...), body: "abc"}.bytes()},
		{"note backwards", coding{note: []byte{2, 1}, body: "abc"}.bytes()},
		{"empty note that is not zero", coding{note: []byte{1, 1}, body: "abc"}.bytes()},
		{"flag 2", coding{raw: []byte{2}}.bytes()},
		{"more fields than bytes", coding{fields: []byte{9}}.bytes()},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			if e, err := event.Decode(tt.b); err == nil {
				t.Errorf("decoded %+v, want an error", e)
			} else if !strings.HasPrefix(err.Error(), "decoding an event: ") {
				t.Errorf("the error %q does not say what was being done", err)
			}
		})
	}
}

func TestDecodeRefusesEveryPart(t *testing.T) {
	t.Parallel()
	b := encode(t, generated())
	for n := range len(b) {
		if _, err := event.Decode(b[:n]); err == nil {
			t.Fatalf("the first %d of %d bytes are taken for an event", n, len(b))
		}
	}
}

func FuzzDecode(f *testing.F) {
	for _, k := range kinds {
		f.Add(encode(f, k.event()))
	}
	f.Add(coding{body: "abc", note: []byte{1, 2}}.bytes())
	f.Add(coding{completed: true, body: "abc", transcription: "{}"}.bytes())
	f.Fuzz(func(t *testing.T, b []byte) {
		e, err := event.Decode(b)
		if err != nil {
			return
		}
		again, err := e.AppendBinary(nil)
		if err != nil {
			t.Fatalf("what was decoded cannot be encoded: %v", err)
		}
		if !bytes.Equal(again, b) {
			t.Errorf("%x was decoded and is encoded as %x", b, again)
		}
		e.Note, e.WithRaw, e.Transcription = event.Span{}, false, nil // the body is any bytes here
		if !json.Valid(e.AppendStructured(nil)) {
			t.Error("what was decoded is not rendered as JSON")
		}
	})
}

func BenchmarkAppendBinary(b *testing.B) {
	e := generated()
	var dst []byte
	b.ReportAllocs()
	for b.Loop() {
		var err error
		if dst, err = e.AppendBinary(dst[:0]); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkDecode(b *testing.B) {
	coded := encode(b, generated())
	b.ReportAllocs()
	for b.Loop() {
		if _, err := event.Decode(coded); err != nil {
			b.Fatal(err)
		}
	}
}

// The room that is taken at once is enough, and little of it is left.
func TestSizes(t *testing.T) {
	t.Parallel()
	for name, e := range map[string]*event.Event{"generated": generated(), "failed": failed(), "unknown": unknown(), "transcription": transcription(), "completed": completed()} {
		b, err := e.AppendBinary(nil)
		if err != nil {
			t.Fatal(err)
		}
		if n := e.BinarySize(); n < len(b) || n > len(b)+100 {
			t.Errorf("%s: BinarySize() = %d, the coding has %d bytes", name, n, len(b))
		}
		e.Metadata, e.TraceState = nil, "" // without what is escaped
		e.ObjectID = "a1b2"
		if b := e.AppendStructured(nil); cap(b) > len(b)+240 {
			t.Errorf("%s: room for %d bytes was taken, the document has %d", name, cap(b), len(b))
		}
	}
}
