package verifier_test

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/scribegate/scribegate/verifier"
	"github.com/scribegate/scribegate/verifier/event"
)

func request(body string) verifier.Request {
	return verifier.Request{
		Source: "https://soapnoteapi.com",
		Keep:   []string{"order_id", "user_id"},
		Header: header(
			verifier.SignatureHeader, strings.Repeat("AB", 32),
			verifier.TimestampHeader, nowText,
			"Content-Type", "application/json; charset=utf-8",
			"X-Forwarded-For", "192.0.2.1"),
		Query:      "user_id=1&order_id=3&user_id=2&token=x",
		Body:       []byte(body),
		ReceivedAt: time.Date(2026, 3, 19, 17, 30, 0, 412_987_654, time.FixedZone("", 7200)),
	}
}

// hash is the formula of the ids in words of its own.
func hash(s string) string {
	sum := sha256.Sum256([]byte(s))
	return hex.EncodeToString(sum[:16])
}

func check(t *testing.T, got, want *event.Event) {
	t.Helper()
	g, w := reflect.ValueOf(*got), reflect.ValueOf(*want)
	for i := range g.NumField() {
		if !reflect.DeepEqual(g.Field(i).Interface(), w.Field(i).Interface()) {
			t.Errorf("%s is %#v, want %#v", g.Type().Field(i).Name, g.Field(i), w.Field(i))
		}
	}
}

// checkInvalid checks that a payload was refused: with the words of want where
// want is given, and never with words of the body.
func checkInvalid(t *testing.T, e *event.Event, err error, want string) {
	t.Helper()
	invalid, ok := errors.AsType[*verifier.PayloadError](err)
	if !ok {
		t.Fatalf("the error is %T %v, want a *PayloadError", err, err)
	}
	if e != nil {
		t.Error("there is an event beside the error")
	}
	if want != "" && invalid.What != want {
		t.Errorf("invalid since %q, want %q", invalid.What, want)
	}
	if !phrases[invalid.What] {
		t.Errorf("%q is not one of the fixed phrases", invalid.What)
	}
	if err.Error() != "invalid payload: "+invalid.What {
		t.Errorf("the error reads %q", err)
	}
}

var phrases = map[string]bool{
	"not valid UTF-8": true, "not a JSON object": true, "malformed JSON": true, "nested too deeply": true,
	"data after the object": true, "a member's name is repeated": true, "a member's name is not valid Unicode": true,
	"event is missing": true, "event is empty": true, "event is not a string": true, "event is not valid Unicode": true,
	"note_id is missing": true, "note_id is empty": true, "note_id is not a string": true, "note_id is not valid Unicode": true,
	"status is missing": true, "status is empty": true, "status is not a string": true, "status is not valid Unicode": true,
	"created_at is missing": true, "created_at is empty": true, "created_at is not a string": true, "created_at is not valid Unicode": true,
	"data is missing": true, "data is not an object": true,
	"id is missing": true, "id is empty": true, "id is not a string": true, "id is not valid Unicode": true,
	"id is not 1 to 128 letters, digits, underscores and hyphens": true, "status is neither completed nor error": true,
}

// decodeExact decodes with encoding/json, but with the names as they stand.
func decodeExact(body []byte, into any) error {
	members := map[string]json.RawMessage{}
	if err := json.Unmarshal(body, &members); err != nil {
		return err
	}
	v := reflect.ValueOf(into).Elem()
	for i := range v.NumField() {
		raw, ok := members[v.Type().Field(i).Tag.Get("json")]
		if !ok {
			continue
		}
		if err := json.Unmarshal(raw, v.Field(i).Addr().Interface()); err != nil {
			return err
		}
	}
	return nil
}
