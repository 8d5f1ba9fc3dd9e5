package verifier

import (
	"crypto/sha256"
	"crypto/subtle"
	"net/http"
	"time"

	"github.com/scribegate/scribegate/verifier/event"
)

// The statuses of a transcription, as Soniox writes them.
const (
	sonioxCompleted = "completed"
	sonioxError     = "error"
)

// typeTranscription is the prefix of Soniox's short types; the status follows.
const typeTranscription = "transcription."

// Soniox verifies the webhooks of Soniox. Nothing is signed: the only proof is a
// header whose name and value were set when the transcription was created. So the
// content of an event is a hint, to be confirmed over the provider's REST API.
type Soniox struct {
	// Header is the name of the header.
	Header string

	// Values returns the header's present values in the order of the
	// configuration; a request is genuine if it has any of them. An empty value
	// proves nothing.
	Values func() []string
}

// Name returns "soniox".
func (Soniox) Name() string { return "soniox" }

// Defaults returns the provider's site as source, and 64 KiB.
func (Soniox) Defaults() Defaults {
	return Defaults{Source: "https://soniox.com", MaxBody: 64 << 10}
}

// EventTypes returns transcription.completed and transcription.error.
func (Soniox) EventTypes() []string {
	return []string{typeTranscription + sonioxCompleted, typeTranscription + sonioxError}
}

// CheckHeader checks the whole proof, which is in the header alone. The Proof that
// it returns verifies any body.
func (s Soniox) CheckHeader(h http.Header, _ time.Time) (Proof, error) {
	if len(h.Values(s.Header)) > 1 {
		return nil, &Rejection{HeaderRepeated}
	}
	got := h.Get(s.Header)
	if got == "" {
		return nil, &Rejection{AuthMissing}
	}
	// Hashes have one length, so the time of the comparison reveals neither the
	// length of a value nor how much of it was right.
	digest := sha256.Sum256([]byte(got))
	match := -1
	for i, value := range values(s.Values) {
		want := sha256.Sum256([]byte(value))
		if subtle.ConstantTimeCompare(digest[:], want[:]) == 1 && value != "" && match < 0 {
			match = i
		}
	}
	if match < 0 {
		return nil, &Rejection{AuthMismatch}
	}
	return headerProof(match), nil
}

// A headerProof is the index of the value that a request has.
type headerProof int

// Verify returns the index. The body is not part of the proof.
func (p headerProof) Verify([]byte) (int, error) { return int(p), nil }

// Event reads a body of Soniox: a JSON object whose id is 1 to 128 letters,
// digits, underscores and hyphens, and whose status is completed or error.
func (s Soniox) Event(r Request) (*event.Event, error) {
	id, status, err := parseTranscription(r.Body)
	if err != nil {
		return nil, err
	}
	e := &event.Event{
		ID:          eventID(s.Name(), r.Source, []byte(id+"\x00"+status)),
		Source:      r.Source,
		Type:        event.TypePrefix(s.Name()) + typeTranscription + status,
		Subject:     id,
		Time:        event.FormatTime(r.ReceivedAt),
		Provider:    s.Name(),
		Kind:        event.KindTranscription,
		ObjectID:    id,
		Status:      statusCompleted,
		ReceivedAt:  r.ReceivedAt,
		Metadata:    event.ParseQuery(r.Query, r.Keep),
		WithRaw:     true,
		Body:        r.Body,
		ContentType: r.Header.Get("Content-Type"),
		Proof:       []event.Field{{Name: s.Header}}, // its value is the secret
		Query:       r.Query,
	}
	if status == sonioxError {
		e.Status = statusFailed
	}
	return e, nil
}

// Quarantine returns nil: Soniox retries a request that was not accepted, and the
// transcription stays available.
func (Soniox) Quarantine(Request) *event.Event { return nil }

func parseTranscription(body []byte) (id, status string, err error) {
	env, err := openEnvelope(body)
	if err != nil {
		return "", "", err
	}
	defer env.close()
	for {
		name, ok, err := env.next()
		if err != nil {
			return "", "", err
		}
		if !ok {
			return id, status, checkTranscription(id, status)
		}
		switch string(name) {
		case "id":
			id, err = env.text("id")
		case "status":
			status, err = env.text("status")
		default:
			_, err = env.value()
		}
		if err != nil {
			return "", "", err
		}
	}
}

// checkTranscription checks a payload that was read to its end. A member that was
// read is not empty.
func checkTranscription(id, status string) error {
	switch {
	case id == "":
		return invalid("id is missing")
	case !isWord(id, 128, "_-"):
		return invalid("id is not 1 to 128 letters, digits, underscores and hyphens")
	case status == "":
		return invalid("status is missing")
	case status != sonioxCompleted && status != sonioxError:
		return invalid("status is neither completed nor error")
	}
	return nil
}

// Interface guards
var (
	_ Provider   = Soniox{}
	_ EventTyper = Soniox{}
	_ Proof      = headerProof(0)
)
