package verifier_test

import (
	"bytes"
	"encoding/json"
	"io"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/scribegate/scribegate/verifier/event"
	"github.com/scribegate/scribegate/verifier/event/eventtest"
)

func FuzzSOAPNoteAPIPayload(f *testing.F) {
	f.Add([]byte(noteBody))
	f.Add([]byte(`{"event":"x y","note_id":"\u0000","status":"s","created_at":"c","data":"\ud83d"}`))
	f.Add([]byte(`{"event":"test","note_id":"test_1","status":"test","created_at":"2026-03-18T15:30:00.000Z"} `))
	f.Add([]byte(`{"event":"note.failed","event":"test"}`))
	f.Add([]byte(`{"a":[[[{"a":1}]]]}`))
	f.Fuzz(func(t *testing.T, body []byte) {
		kept := bytes.Clone(body)
		r := request(string(body))
		e, err := soapNoteAPI(secret).Event(r)
		if !bytes.Equal(r.Body, kept) {
			t.Fatal("the body was changed")
		}
		if err != nil {
			checkInvalid(t, e, err, "")
			return
		}
		var want struct {
			Event     string          `json:"event"`
			NoteID    string          `json:"note_id"`
			Status    string          `json:"status"`
			CreatedAt string          `json:"created_at"`
			Data      json.RawMessage `json:"data"`
		}
		if !utf8.Valid(body) || decodeExact(body, &want) != nil {
			t.Fatalf("taken, but encoding/json refuses %q", body)
		}
		if e.ObjectID != want.NoteID || e.OccurredAt != "" && e.OccurredAt != want.CreatedAt {
			t.Errorf("read %q, %q of %q", e.ObjectID, e.OccurredAt, body)
		}
		if short := e.ShortType(); short != event.Other && short != want.Event {
			t.Errorf("read the event %q of %q", short, body)
		}
		if note := body[e.Note.Start:e.Note.End]; !bytes.Equal(note, want.Data) {
			t.Errorf("the note is %q, want %q", note, want.Data)
		}
		doc := e.AppendStructured(nil)
		var rendered struct {
			Data struct {
				Note json.RawMessage `json:"note"`
				Raw  json.RawMessage `json:"raw"`
			} `json:"data"`
		}
		if err := json.Unmarshal(doc, &rendered); err != nil {
			t.Fatalf("rendered as %s: %v", doc, err)
		}
		if !bytes.Equal(rendered.Data.Note, want.Data) {
			t.Errorf("rendered with the note %q, want %q", rendered.Data.Note, want.Data)
		}
		if e.WithRaw && !bytes.Equal(rendered.Data.Raw, bytes.TrimSpace(body)) {
			t.Errorf("rendered with raw %q, want %q", rendered.Data.Raw, body)
		}
		eventtest.Validate(t, doc)
	})
}

func BenchmarkSOAPNoteAPIEvent(b *testing.B) {
	for name, size := range map[string]int{"1500": 1500, "1MiB": 1 << 20} {
		b.Run(name, func(b *testing.B) {
			text := strings.Repeat("The patient is well.\\n", size/22)
			r := request(strings.Replace(noteBody, "rest", text, 1))
			p := soapNoteAPI(secret)
			b.ReportAllocs()
			b.SetBytes(int64(len(r.Body)))
			for b.Loop() {
				if _, err := p.Event(r); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// The yardstick: a strict reading cannot cost more than the lenient one.
func BenchmarkEncodingJSON(b *testing.B) {
	r := request(strings.Replace(noteBody, "rest", strings.Repeat("The patient is well.\\n", 1500/22), 1))
	b.ReportAllocs()
	b.SetBytes(int64(len(r.Body)))
	for b.Loop() {
		var into struct {
			Event string          `json:"event"`
			Data  json.RawMessage `json:"data"`
		}
		if err := json.NewDecoder(bytes.NewReader(r.Body)).Decode(&into); err != nil && err != io.EOF {
			b.Fatal(err)
		}
	}
}
