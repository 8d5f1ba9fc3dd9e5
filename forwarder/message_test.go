package forwarder

import (
	"maps"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	standardwebhooks "github.com/standard-webhooks/standard-webhooks/libraries/go"

	"github.com/scribegate/scribegate/verifier/event"
	"github.com/scribegate/scribegate/verifier/event/eventtest"
)

const sampleID = "soapnoteapi-0123456789abcdef0123456789abcdef"

// headers gives a header as net/http would write it: without what has no value.
func headers(h http.Header) map[string]string {
	all := make(map[string]string)
	for name, values := range h {
		if len(values) > 0 {
			all[strings.ToLower(name)] = strings.Join(values, " AND ")
		}
	}
	return all
}

func TestRenderHeaders(t *testing.T) {
	t.Parallel()
	now := time.Unix(1773934200, 999)
	key := mustKey(t, vectorSecret)
	bare := sampleEvent(sampleID)
	bare.ContentType, bare.Query, bare.Proof = "", "", nil
	spaced := sampleEvent(sampleID)
	spaced.Query = "note=a b"
	impostor := sampleEvent(sampleID)
	impostor.Proof = []event.Field{{Name: "webhook-id", Value: "forged"}, {Name: "user-agent", Value: "forged"}}
	tests := []struct {
		name  string
		event *event.Event
		o     RenderOptions
		want  map[string]string // beside those that are always there
		query string
	}{
		{
			name: "structured", event: sampleEvent(sampleID), o: RenderOptions{Format: Structured},
			want: map[string]string{"content-type": "application/cloudevents+json; charset=utf-8"},
		},
		{
			name: "binary", event: sampleEvent(sampleID), o: RenderOptions{Format: Binary},
			want: map[string]string{
				"content-type": "application/json", "ce-specversion": "1.0", "ce-id": sampleID,
				"ce-source": "https://soapnoteapi.com", "ce-type": "com.soapnoteapi.note.generated",
				"ce-subject": "a1b2c3d4", "ce-time": "2026-03-19T15:30:00.000Z", "ce-expirytime": "2026-03-20T15:30:00.000Z",
			},
		},
		{
			name: "raw", event: sampleEvent(sampleID), o: RenderOptions{Format: Raw, Proof: sampleEvent(sampleID).Proof},
			want: map[string]string{
				"content-type":            "application/json; charset=utf-8",
				"x-soapnoteapi-signature": strings.Repeat("ab", 32), "x-soapnoteapi-timestamp": "1773934200",
			},
			query: "user_id=1%202&user_id=3",
		},
		{name: "raw of little", event: bare, o: RenderOptions{Format: Raw}, want: map[string]string{}},
		{
			name: "raw with a space in the query", event: spaced, o: RenderOptions{Format: Raw},
			want:  map[string]string{"content-type": "application/json; charset=utf-8"},
			query: "note=a%20b",
		},
		{
			name: "raw with a secret", event: sampleTranscription(),
			o:    RenderOptions{Format: Raw, Proof: []event.Field{{Name: "X-Webhook-Secret", Value: "the secret"}}},
			want: map[string]string{"x-webhook-secret": "the secret"},
		},
		{
			name: "raw with headers of ours", event: impostor, o: RenderOptions{Format: Raw, Proof: impostor.Proof},
			want: map[string]string{"content-type": "application/json; charset=utf-8"}, query: "user_id=1%202&user_id=3",
		},
		{
			name: "signed", event: sampleEvent(sampleID), o: RenderOptions{Keys: []SigningKey{key}},
			want: map[string]string{
				"content-type":      "application/cloudevents+json; charset=utf-8",
				"webhook-signature": Sign([]SigningKey{key}, sampleID, now, sampleEvent(sampleID).AppendStructured(nil)),
			},
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			o := tt.o
			o.Attempt, o.Now, o.Version = 3, now, "1.2.3"
			m := Render(tt.event, o)
			want := maps.Clone(tt.want)
			want["webhook-id"] = tt.event.ID
			want["webhook-timestamp"] = "1773934200"
			want["scribegate-attempt"] = "3"
			want["user-agent"] = "Scribegate/1.2.3"
			if got := headers(m.Header); !maps.Equal(got, want) {
				t.Errorf("headers = %v\nwant %v", got, want)
			}
			if m.Query != tt.query {
				t.Errorf("query = %q, want %q", m.Query, tt.query)
			}
			for name := range m.Header {
				if name != http.CanonicalHeaderKey(name) {
					t.Errorf("%s is not canonical", name)
				}
			}
		})
	}
}

// The key is there without a value, so that nobody makes a Content-Type up.
func TestRenderRawInventsNoContentType(t *testing.T) {
	t.Parallel()
	m := Render(sampleTranscription(), RenderOptions{Format: Raw})
	if values, there := m.Header["Content-Type"]; !there || len(values) != 0 {
		t.Errorf("Content-Type = %v, %v", values, there)
	}
}

func TestRenderBodies(t *testing.T) {
	t.Parallel()
	for _, e := range []*event.Event{sampleEvent(sampleID), sampleTranscription()} {
		structured := Render(e, RenderOptions{Format: Structured}).Body
		eventtest.Validate(t, structured)
		if got := Render(e, RenderOptions{Format: "unheard of"}).Body; !slices.Equal(got, structured) {
			t.Errorf("an unknown format renders as %s", got)
		}
		data := Render(e, RenderOptions{Format: Binary}).Body
		if !strings.HasSuffix(string(structured), `"data":`+string(data)+"}") {
			t.Errorf("the data of binary is not that of structured: %s", data)
		}
		if raw := Render(e, RenderOptions{Format: Raw}).Body; !slices.Equal(raw, e.Body) {
			t.Errorf("raw = %s, want %s", raw, e.Body)
		}
	}
	if got := Render(sampleEvent(sampleID), RenderOptions{}).Body; !strings.Contains(string(got), sampleData) {
		t.Errorf("the note is not passed on byte for byte: %s", got)
	}
}

// A backend with the official library and any one of the secrets takes every format.
func TestRenderSignaturesVerify(t *testing.T) {
	t.Parallel()
	second := "whsec_AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHg=="
	keys := []SigningKey{mustKey(t, vectorSecret), mustKey(t, second)}
	for _, format := range []Format{Structured, Binary, Raw} {
		t.Run(string(format), func(t *testing.T) {
			t.Parallel()
			m := Render(sampleEvent(sampleID), RenderOptions{Format: format, Now: time.Now(), Keys: keys})
			for _, secret := range []string{vectorSecret, second} {
				official, err := standardwebhooks.NewWebhook(secret)
				if err != nil {
					t.Fatal(err)
				}
				if err := official.Verify(m.Body, m.Header); err != nil {
					t.Error(err)
				}
			}
		})
	}
}
