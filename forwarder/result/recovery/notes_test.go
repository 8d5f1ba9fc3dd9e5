package recovery

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"net/http/httptest"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/scribegate/scribegate/examples/providers/standin"
	"github.com/scribegate/scribegate/forwarder/result/rest"
	"github.com/scribegate/scribegate/forwarder/result/soapnoteapi"
	"github.com/scribegate/scribegate/verifier"
	"github.com/scribegate/scribegate/verifier/event"
	"github.com/scribegate/scribegate/verifier/event/eventtest"
)

const noteSource = "https://soapnoteapi.com"

func newNotes(t *testing.T, s *store) (*standin.Server, SOAPNoteAPI) {
	t.Helper()
	api := standin.New(standin.Options{})
	server := httptest.NewServer(api)
	c, err := soapnoteapi.New(rest.Options{Base: server.URL, Key: func() string { return standin.SOAPNoteKey }, Rate: 600_000})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		c.Close()
		api.Close()
		server.Close()
	})
	return api, SOAPNoteAPI{
		API: c,
		New: func(id string, n soapnoteapi.Note) *event.Event {
			return verifier.RecoveredNote{Source: noteSource, ID: id, JSON: n.JSON, ExpiresAt: n.ExpiresAt, At: time.Now()}.Event()
		},
		Known: func(_ context.Context, id string) (bool, error) {
			for _, e := range s.events {
				if e.Subject == id {
					return true, nil
				}
			}
			return false, nil
		},
		Take: s.callbacks().Take,
	}
}

func TestRecoveredNote(t *testing.T) {
	t.Parallel()
	s := newStore()
	api, notes := newNotes(t, s)
	data := json.RawMessage(`{ "noteId" : "note_1","plan":"rest\u00e9", "expires_at":"2126-03-20T15:30:00.000Z","new":[1] }`)
	api.AddNote(standin.Note{ID: "note_1", Status: "COMPLETED", Data: data})
	r, err := notes.Recover(t.Context(), []string{"note_1", "note_1"})
	if err != nil || !reflect.DeepEqual(r.Recovered, []string{"note_1"}) || len(s.events) != 1 {
		t.Fatalf("%+v, %v", r, err)
	}
	sum := sha256.Sum256([]byte(noteSource + "\x00note_1\x00recovered"))
	e := s.events["soapnoteapi-"+hex.EncodeToString(sum[:16])]
	if e == nil {
		t.Fatalf("events = %+v", s.events)
	}
	if e.ShortType() != "note.generated" || e.Subject != "note_1" || e.Status != "completed" || len(e.Proof) > 0 || e.ExpiryTime != "2126-03-20T15:30:00.000Z" {
		t.Errorf("event = %+v", e)
	}
	rendered := e.AppendStructured(nil)
	eventtest.Validate(t, rendered)
	if !bytes.Contains(rendered, append([]byte(`"note":`), data...)) || bytes.Contains(rendered, []byte(`"raw"`)) {
		t.Errorf("%s", rendered)
	}

	r, err = notes.Recover(t.Context(), []string{"note_1"})
	if err != nil || !reflect.DeepEqual(r.Known, []string{"note_1"}) {
		t.Errorf("%+v, %v", r, err)
	}
	notes.Force = true
	r, err = notes.Recover(t.Context(), []string{"note_1"})
	if err != nil || !reflect.DeepEqual(r.Recovered, []string{"note_1"}) {
		t.Errorf("%+v, %v", r, err)
	}
}

// What cannot be recovered is reported, with the reason, and holds up nothing else.
func TestRecoverNotesReports(t *testing.T) {
	t.Parallel()
	s := newStore()
	api, notes := newNotes(t, s)
	api.AddNote(standin.Note{ID: "failed", Status: "Failed"})
	api.AddNote(standin.Note{ID: "expired", ExpiresAt: time.Now().Add(-time.Hour)})
	api.AddNote(standin.Note{ID: "processing", Status: "PROCESSING"})
	api.AddNote(standin.Note{ID: "broken"})
	api.AddNote(standin.Note{ID: "gone"})
	api.AddNote(standin.Note{ID: "last"})
	api.Fail(standin.GetNote, standin.Fault{ID: "broken", Body: []byte(`{"noteId":`)})
	api.Fail(standin.GetNote, standin.Fault{ID: "gone", Status: 404})
	ids := []string{"failed", "expired", "processing", "broken", "gone", "a/b", "..", "last"}
	r, err := notes.Recover(t.Context(), ids)
	if err != nil || !reflect.DeepEqual(r.Recovered, []string{"last"}) || len(r.Failed) != 7 {
		t.Fatalf("%+v, %v", r, err)
	}
	for i, reason := range []string{reasonFailed, reasonUnknown, reasonStatus + "processing", "not valid JSON", reasonExpired, reasonUnknown, reasonUnknown} {
		if f := r.Failed[i]; f.ID != ids[i] || !strings.Contains(f.Reason, reason) {
			t.Errorf("%+v, want %s: %s", f, ids[i], reason)
		}
	}
}

// A wrong key is met once, not once a note.
func TestRecoverNotesWithoutAPI(t *testing.T) {
	t.Parallel()
	s := newStore()
	api, notes := newNotes(t, s)
	api.Fail(standin.GetNote, standin.Fault{Status: 401})
	ids := strings.Fields("a b c d")
	r, err := notes.Recover(t.Context(), ids)
	if err != nil || len(r.Failed) != 4 || api.Count(standin.GetNote) != 1 {
		t.Errorf("%+v, %v", r, err)
	}
	for _, f := range r.Failed {
		if !strings.Contains(f.Reason, "api_key") {
			t.Errorf("%+v", f)
		}
	}
	api.ClearFaults()
	api.Fail(standin.GetNoteStatus, standin.Fault{Status: 500, Times: 1})
	api.AddNote(standin.Note{ID: "a"})
	if r, err := notes.Recover(t.Context(), ids[:1]); err != nil || len(r.Recovered) != 1 {
		t.Errorf("%+v, %v", r, err)
	}
}
