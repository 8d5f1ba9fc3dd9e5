package event_test

import (
	"bytes"
	"encoding/json"
	"maps"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/cloudevents/sdk-go/v2/binding"
	cehttp "github.com/cloudevents/sdk-go/v2/protocol/http"
	"pgregory.net/rapid"

	"github.com/scribegate/scribegate/verifier/event"
	"github.com/scribegate/scribegate/verifier/event/eventtest"
)

func TestAppendData(t *testing.T) {
	t.Parallel()
	for _, k := range kinds {
		t.Run(k.name, func(t *testing.T) {
			t.Parallel()
			if got := string(k.event().AppendData([]byte("before "))); got != "before "+k.data {
				t.Errorf("data is\n%s\nwant\n%s", got, "before "+k.data)
			}
		})
	}
}

func TestAppendStructured(t *testing.T) {
	t.Parallel()
	for _, k := range kinds {
		t.Run(k.name, func(t *testing.T) {
			t.Parallel()
			want := k.head + k.data + "}"
			got := k.event().AppendStructured(nil)
			if string(got) != want {
				t.Errorf("document is\n%s\nwant\n%s", got, want)
			}
			eventtest.Validate(t, got)
		})
	}
}

// The SDK does not undo percent-encoding, so values that need it are compared
// as they stand in the header.
func TestAttributesAreReadByTheSDK(t *testing.T) {
	t.Parallel()
	for _, k := range kinds {
		t.Run(k.name, func(t *testing.T) {
			t.Parallel()
			e := k.event()
			data := e.AppendData(nil)
			h := http.Header{"Content-Type": {"application/json"}}
			for name, value := range e.Attributes() {
				h.Set("ce-"+name, value)
			}
			m := cehttp.NewMessage(h, nopCloser{bytes.NewReader(data)})
			if m.ReadEncoding() != binding.EncodingBinary {
				t.Fatalf("the headers are read as %v, want binary", m.ReadEncoding())
			}
			got, err := binding.ToEvent(t.Context(), m)
			if err != nil {
				t.Fatal(err)
			}
			if err := got.Validate(); err != nil {
				t.Error(err)
			}
			if got.ID() != e.ID || got.Type() != e.Type || got.Source() != e.Source || got.Subject() != e.Subject {
				t.Errorf("the SDK read %v", got.Context)
			}
			if want, _ := time.Parse(time.RFC3339, e.Time); !got.Time().Equal(want) {
				t.Errorf("time is %v, want %v", got.Time(), want)
			}
			if got.DataContentType() != "application/json" || !bytes.Equal(got.Data(), data) {
				t.Errorf("data is %s %s, want %s", got.DataContentType(), got.Data(), data)
			}
		})
	}
}

type nopCloser struct{ *bytes.Reader }

func (nopCloser) Close() error { return nil }

func TestAttributes(t *testing.T) {
	t.Parallel()
	got := maps.Collect(generated().Attributes())
	want := map[string]string{
		"specversion": "1.0",
		"id":          "soapnoteapi-00112233445566778899aabbccddeeff",
		"source":      "https://soapnoteapi.com",
		"type":        "com.soapnoteapi.note.generated",
		"subject":     "a1b2",
		"time":        "2026-03-19T15:30:00.000Z",
		"expirytime":  "2026-03-20T15:30:00+01:00",
		"traceparent": "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
		"tracestate":  "vendor=a%20b,other=%221%22",
	}
	if !maps.Equal(got, want) {
		t.Errorf("attributes are %v, want %v", got, want)
	}
	for name := range generated().Attributes() {
		if name != "specversion" {
			t.Errorf("the first attribute is %s, want specversion", name)
		}
		break
	}
}

func TestAttributesArePercentEncoded(t *testing.T) {
	t.Parallel()
	tests := []struct{ name, value, want string }{
		{"safe", "!#$&'()*+,-./09:;<=>?@AZ[]^_`az{|}~", "!#$&'()*+,-./09:;<=>?@AZ[]^_`az{|}~"},
		{"space", "a b", "a%20b"},
		{"quote", `a"b`, "a%22b"},
		{"percent", "a%20b", "a%2520b"},
		{"line break", "a\r\nb", "a%0D%0Ab"},
		{"delete", "\x7f", "%7F"},
		{"two bytes", "é", "%C3%A9"},
		{"four bytes", "😀", "%F0%9F%98%80"},
		{"not UTF-8", "a\xffb", "a%EF%BF%BDb"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			got := maps.Collect((&event.Event{Source: tt.value}).Attributes())
			if got["source"] != tt.want || len(got) != 2 {
				t.Errorf("attributes are %v, want source %q and specversion", got, tt.want)
			}
		})
	}
}

func TestStringsAreQuoted(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		e := &event.Event{
			ObjectID: rapid.String().Draw(t, "id"),
			Status:   string(rapid.SliceOf(rapid.Byte()).Draw(t, "status")),
			Metadata: []event.Param{{
				Name:   rapid.String().Draw(t, "name"),
				Values: rapid.SliceOf(rapid.String()).Draw(t, "values"),
			}},
		}
		var got struct {
			ID       string              `json:"id"`
			Status   string              `json:"status"`
			Metadata map[string][]string `json:"metadata"`
		}
		if err := json.Unmarshal(e.AppendData(nil), &got); err != nil {
			t.Fatal(err)
		}
		if got.ID != e.ObjectID {
			t.Errorf("id is %q, want %q", got.ID, e.ObjectID)
		}
		if want := string([]rune(e.Status)); got.Status != want {
			t.Errorf("status is %q, want %q", got.Status, want)
		}
		values, ok := got.Metadata[e.Metadata[0].Name]
		if !ok || strings.Join(values, "\x00") != strings.Join(e.Metadata[0].Values, "\x00") {
			t.Errorf("metadata is %q, want %q", got.Metadata, e.Metadata)
		}
	})
}

func TestShortType(t *testing.T) {
	t.Parallel()
	if got := generated().ShortType(); got != "note.generated" {
		t.Errorf("short type is %q, want note.generated", got)
	}
	if got := transcription().ShortType(); got != "transcription.error" {
		t.Errorf("short type is %q, want transcription.error", got)
	}
}

func BenchmarkAppendStructured(b *testing.B) {
	e := generated()
	var dst []byte
	b.ReportAllocs()
	for b.Loop() {
		dst = e.AppendStructured(dst[:0])
	}
	b.SetBytes(int64(len(dst)))
}
